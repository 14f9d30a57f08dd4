//! What the custodian does with records: take in, find, correct, delete, keep, export, dispose of; with snapshots: list,
//! expire, compact, check. Each call is a leaf of the log, which names contract, tables, the request and who acted;
//! never a pupil, and no number of rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledger::{DocumentKind, Event, LedgerError};
use memoranda::Contract;
use serde_json::{Value, json};
use vault::{
    Changed, Checked, Expired, Expiry, Held, Ingested, Input, Mode, RecordsError, Snapshot, SnapshotEntry,
    VaultError,
};

use crate::acts::ActError;
use crate::enclave::{Enclave, OpenError};
use crate::people::Actor;
use crate::permissions::Action;

/// How often a state that changes while it is looked at is looked at again.
const LOOKS: usize = 16;

impl From<RecordsError> for ActError {
    fn from(error: RecordsError) -> ActError {
        match error {
            RecordsError::Vault(error) => ActError::Open(OpenError::Vault(error)),
            other => ActError::Records(other),
        }
    }
}

impl From<VaultError> for ActError {
    fn from(error: VaultError) -> ActError {
        ActError::Open(OpenError::Vault(error))
    }
}

impl Enclave {
    /// The snapshot in force, if it is the one that the log announced last. Finishes a switch that a crash cut short.
    pub(crate) fn announced_snapshot(&self, contract: &str) -> Result<Option<Snapshot>, OpenError> {
        for _ in 0..LOOKS {
            let announced = self.ledger.announced(contract)?;
            let snapshot = self.vault.snapshot(contract)?;
            match (announced, snapshot) {
                (None, None) => return Ok(None),
                (Some(announced), Some(snapshot)) if announced == snapshot.manifest_sha256 => {
                    return Ok(Some(snapshot));
                }
                (Some(announced), _) => self.vault.finish_switch(contract, &announced)?,
                (None, Some(_)) => break,
            };
        }
        Err(OpenError::NotAnnounced(contract.to_owned()))
    }

    /// Whether the store of every contract is in the state that the log announced last.
    pub fn check_announced(&self) -> Result<(), OpenError> {
        let contracts = self.ledger.documents(DocumentKind::Contract)?;
        let names: BTreeSet<String> = contracts.into_iter().map(|contract| contract.name).collect();
        names.iter().try_for_each(|name| self.announced_snapshot(name).map(drop))
    }

    /// Takes records in: validates, pseudonymises, encrypts, and puts a new snapshot in force; all or nothing.
    pub fn ingest(
        &self,
        contract: &str,
        inputs: &[Input],
        progress: vault::ingest::Progress<'_>,
    ) -> Result<Ingested, ActError> {
        self.ingest_as(Mode::Replace, contract, inputs, progress)
    }

    /// The same, where rows may come to those that a table has.
    pub fn ingest_as(
        &self,
        mode: Mode,
        contract: &str,
        inputs: &[Input],
        progress: vault::ingest::Progress<'_>,
    ) -> Result<Ingested, ActError> {
        let actor = self.permitted(Action::Ingest)?;
        let contract = self.contract_or(contract)?;
        let facts = match mode {
            Mode::Replace => json!({}),
            Mode::Append => json!({ "mode": "append" }),
            Mode::Upsert => json!({ "mode": "upsert" }),
        };
        self.take_in(&actor, Event::Ingest, facts, mode, &contract, inputs, progress)
    }

    /// Corrects rows: each takes the place of the one with the same primary key. The rows before are gone with the
    /// snapshots that held them.
    pub fn correct_records(
        &self,
        contract: &str,
        inputs: &[Input],
        request: Option<&str>,
        progress: vault::ingest::Progress<'_>,
    ) -> Result<(Ingested, Expired), ActError> {
        let actor = self.permitted(Action::CorrectRecords)?;
        let contract = self.contract_or(contract)?;
        let facts = json!({ "act": "correct", "request": request });
        let done = self.take_in(&actor, Event::Records, facts, Mode::Upsert, &contract, inputs, progress)?;
        Ok((done, self.vault.expire(&contract, Expiry::Keep(1))?))
    }

    #[expect(clippy::too_many_arguments, reason = "two callers, which differ in most of them")]
    fn take_in(
        &self,
        actor: &Actor,
        event: Event,
        mut facts: Value,
        mode: Mode,
        contract: &Contract,
        inputs: &[Input],
        progress: vault::ingest::Progress<'_>,
    ) -> Result<Ingested, ActError> {
        let given = |table: &str| inputs.iter().any(|input| input.table == table);
        let everything = mode == Mode::Replace && contract.tables.iter().all(|table| given(&table.name));
        // What is to stay must be what was announced.
        if !everything {
            self.announced_snapshot(&contract.name)?;
        }
        facts["contract"] = json!(contract.name);
        facts["version"] = json!(contract.version.to_string());
        facts["tables"] = json!(inputs.iter().map(|input| input.table.as_str()).collect::<Vec<_>>());
        // Logged before it is in force: no question reads a snapshot that the log does not know. No numbers of
        // rows: the log is for everybody.
        let announce = |ingested: &Ingested| {
            let mut facts = facts.clone();
            facts["snapshot"] = json!(ingested.snapshot_id);
            facts["manifest_sha256"] = json!(ingested.manifest_sha256);
            let logged = self.ledger.append(self.stamp(actor), event, facts);
            logged.map(drop).map_err(|error| error.to_string())
        };
        Ok(self.vault.ingest_as(mode, contract, inputs, progress, &announce)?)
    }

    /// All that is held on the pupil of this number.
    pub fn find_records(
        &self,
        contract: &str,
        number: &str,
        request: Option<&str>,
    ) -> Result<Vec<Held>, ActError> {
        self.held(Action::FindRecords, "find", contract, number, request)
    }

    /// The same, to be handed over.
    pub fn export_records(
        &self,
        contract: &str,
        number: &str,
        request: Option<&str>,
    ) -> Result<Vec<Held>, ActError> {
        self.held(Action::ExportRecords, "export", contract, number, request)
    }

    fn held(
        &self,
        action: Action,
        act: &str,
        contract: &str,
        number: &str,
        request: Option<&str>,
    ) -> Result<Vec<Held>, ActError> {
        let actor = self.permitted(action)?;
        let contract = self.contract_or(contract)?;
        self.announced_snapshot(&contract.name)?;
        // Logged before anything is shown.
        let tables: Vec<_> =
            contract.tables.iter().filter(|t| t.is_private()).map(|t| t.name.as_str()).collect();
        let facts = json!({ "act": act, "contract": contract.name, "tables": tables, "request": request });
        self.ledger.append(self.stamp(&actor), Event::Records, facts)?;
        Ok(self.vault.desk()?.held(&contract, number)?)
    }

    /// Takes one pupil's rows out of all tables, and expires the snapshots that still hold them.
    pub fn delete_records(
        &self,
        contract: &str,
        number: &str,
        request: Option<&str>,
    ) -> Result<(Changed, Expired), ActError> {
        let (actor, contract) = self.to_change(Action::DeleteRecords, contract)?;
        let announce = |changed: &Changed| self.log_change(&actor, "delete", &contract, request, changed);
        let changed = self.vault.delete_pupil(&contract, number, &announce)?;
        Ok((changed, self.vault.expire(&contract, Expiry::Keep(1))?))
    }

    /// Keeps one pupil's records beyond their time, or no longer.
    pub fn keep_records(
        &self,
        contract: &str,
        number: &str,
        keep: bool,
        request: Option<&str>,
    ) -> Result<Changed, ActError> {
        let (actor, contract) = self.to_change(Action::CorrectRecords, contract)?;
        let act = if keep { "keep" } else { "keep no longer" };
        let announce = |changed: &Changed| self.log_change(&actor, act, &contract, request, changed);
        Ok(self.vault.keep_pupil(&contract, number, keep, &announce)?)
    }

    /// Takes out the rows whose time is over, and expires the snapshots that still hold them.
    pub fn dispose_records(&self, contract: &str) -> Result<Option<(Changed, Expired)>, ActError> {
        let (actor, contract) = self.to_change(Action::DisposeRecords, contract)?;
        let announce = |changed: &Changed| self.log_change(&actor, "dispose", &contract, None, changed);
        match self.vault.dispose(&contract, self.today(), &announce)? {
            Some(changed) => Ok(Some((changed, self.vault.expire(&contract, Expiry::Keep(1))?))),
            None => Ok(None),
        }
    }

    /// The snapshots of a contract, the oldest first.
    pub fn snapshots(&self, contract: &str) -> Result<Vec<SnapshotEntry>, ActError> {
        self.permitted(Action::ReadSnapshots)?;
        Ok(self.vault.snapshots(&self.contract_or(contract)?.name)?)
    }

    /// Expires older snapshots.
    pub fn expire_snapshots(&self, contract: &str, which: Expiry) -> Result<Expired, ActError> {
        let (actor, contract) = self.to_change(Action::ExpireSnapshots, contract)?;
        let facts = match which {
            Expiry::Keep(keep) => json!({ "act": "expire", "contract": contract.name, "keep": keep }),
            Expiry::OlderThanDays(days) => {
                json!({ "act": "expire", "contract": contract.name, "older_than_days": days })
            }
        };
        self.ledger.append(self.stamp(&actor), Event::Records, facts)?;
        Ok(self.vault.expire(&contract, which)?)
    }

    /// Cuts the tables into as many parts as suit their rows.
    pub fn compact(&self, contract: &str) -> Result<Option<Changed>, ActError> {
        let (actor, contract) = self.to_change(Action::ExpireSnapshots, contract)?;
        let announce = |changed: &Changed| self.log_change(&actor, "compact", &contract, None, changed);
        Ok(self.vault.compact(&contract, &announce)?)
    }

    /// Checks the store of a contract, after mending what can be mended.
    pub fn check_vault(&self, contract: &str, repair: bool) -> Result<Checked, ActError> {
        let actor = self.permitted(Action::CheckVault)?;
        let contract = self.contract_or(contract)?;
        let announced = match self.announced_snapshot(&contract.name) {
            // The check names the file.
            Err(OpenError::Vault(VaultError::Damaged(_))) => true,
            Err(OpenError::NotAnnounced(_)) => false,
            looked => looked.map(|_| true)?,
        };
        if repair && announced {
            let announce = |changed: &Changed| self.log_change(&actor, "repair", &contract, None, changed);
            self.vault.repair(&contract, &announce)?;
        }
        let mut checked = self.vault.check(&contract)?;
        if !announced {
            checked.findings.insert(
                0,
                vault::Finding {
                    place: contract.name.clone(),
                    rule: "log".to_owned(),
                    message: "is not in the state that the log announced last".to_owned(),
                    mend: vault::Mend::Restore,
                },
            );
        }
        Ok(checked)
    }

    fn to_change(&self, action: Action, contract: &str) -> Result<(Actor, Arc<Contract>), ActError> {
        let actor = self.permitted(action)?;
        let contract = self.contract_or(contract)?;
        self.announced_snapshot(&contract.name)?;
        Ok((actor, contract))
    }

    /// Logged before it is in force, as an ingest is.
    fn log_change(
        &self,
        actor: &Actor,
        act: &str,
        contract: &Contract,
        request: Option<&str>,
        changed: &Changed,
    ) -> Result<(), String> {
        let facts = json!({
            "act": act,
            "contract": contract.name,
            "tables": changed.tables,
            "request": request,
            "snapshot": changed.snapshot_id,
            "manifest_sha256": changed.manifest_sha256,
        });
        let logged: Result<_, LedgerError> = self.ledger.append(self.stamp(actor), Event::Records, facts);
        logged.map(drop).map_err(|error| error.to_string())
    }
}
