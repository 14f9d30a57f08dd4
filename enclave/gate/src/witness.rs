//! The log for outsiders: who witnesses it, what they cosigned, and when old words are removed from it.

use chrono::{FixedOffset, Months, NaiveDate, NaiveTime, TimeZone, Utc};
use ledger::{LogPosition, ProofError, PruneError, Pruned, Witness, WitnessPublic};

use crate::acts::ActError;
use crate::enclave::Enclave;
use crate::permissions::Action;

/// How long the words of questions and answers are kept where no other date is named.
pub const RETENTION_YEARS: u32 = 5;

impl Enclave {
    /// Makes somebody a witness, or gives a witness another key.
    pub fn register_witness(&self, witness: &WitnessPublic) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::WitnessLog)?;
        Ok(self.ledger.register_witness(self.stamp(&actor), witness)?)
    }

    /// Ends that somebody is a witness.
    pub fn remove_witness(&self, name: &str) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::WitnessLog)?;
        Ok(self.ledger.remove_witness(self.stamp(&actor), name)?)
    }

    /// Takes the cosignatures of a checkpoint in, and gives the names.
    pub fn add_cosignatures(&self, note: &str) -> Result<Vec<String>, ActError> {
        let actor = self.permitted(Action::WitnessLog)?;
        Ok(self.ledger.add_cosignatures(self.stamp(&actor), note)?)
    }

    /// Who is a witness.
    pub fn witnesses(&self) -> Result<Vec<Witness>, ActError> {
        self.permitted(Action::ReadLog)?;
        Ok(self.ledger.witnesses()?)
    }

    /// The proof that a leaf is in the log.
    pub fn prove_leaf(&self, index: u64) -> Result<String, ActError> {
        self.permitted(Action::ReadLog)?;
        Ok(self.ledger.tlog_proof(index)?)
    }

    /// The proof that the log continues an earlier checkpoint.
    pub fn prove_since(&self, earlier: &str) -> Result<String, ActError> {
        self.permitted(Action::ReadLog)?;
        Ok(self.ledger.prove_since(earlier)?)
    }

    /// Removes the words of questions, refusals, answers and log-ins from before a day in Japan, under a written
    /// policy. Without a day: [`RETENTION_YEARS`] ago.
    pub fn prune_log(
        &self,
        before: Option<NaiveDate>,
        policy: &str,
    ) -> Result<(NaiveDate, Pruned), ActError> {
        let actor = self.permitted(Action::PruneLog)?;
        let default = self.today().checked_sub_months(Months::new(12 * RETENTION_YEARS));
        let day = before.or(default).ok_or(PruneError::Future)?;
        let midnight = day.and_time(NaiveTime::MIN);
        let japan =
            FixedOffset::east_opt(9 * 3600).and_then(|japan| japan.from_local_datetime(&midnight).single());
        let moment = japan.map_or_else(|| midnight.and_utc(), |moment| moment.with_timezone(&Utc));
        Ok((day, self.ledger.prune(self.stamp(&actor), moment, policy)?))
    }
}

impl From<ProofError> for ActError {
    fn from(error: ProofError) -> ActError {
        match error {
            ProofError::Ledger(error) => error.into(),
            other => ActError::Proof(other),
        }
    }
}
