//! [`Enclave::ask`]: the way of one question.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use disclosure_rules::measure::{CONFIDENCE, GroupKeys, Guarantee};
use disclosure_rules::rules::TierRules;
use disclosure_rules::{Exhausted, RuleSet};
use ledger::{DebitError, Disclosure, Event, LedgerError, Question, ReplayKey};
use memoranda::{Contract, Memorandum, Tier};
use queries::{PrivatePlan, Refusal, Rule};
use serde_json::json;
use sha2::{Digest, Sha256};
use vault::{Allowed, EvaluateError, Snapshot, VaultError};

use crate::answered::{self, Answered, Balance, LogPlace, Recorded};
use crate::approvals::Waiting;
use crate::enclave::{Enclave, OpenError};
use crate::explain;
use crate::mask;
use crate::permissions::Action;
use crate::price::{self, Priced};
use crate::receipt::table_digest;
use crate::request::Request;

/// Why there is no answer. None of these depends on a row.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A typed "no".
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The board decides on it first.
    #[error("{0}")]
    Waiting(Waiting),
    /// Allotment or pool is spent.
    #[error("{0}")]
    Exhausted(Exhausted),
    /// The enclave itself is at fault.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger could not be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Failure {
        Failure::Open(OpenError::Vault(error))
    }
}

/// Who asks, under what.
pub(crate) struct Agreement {
    pub(crate) memorandum: Arc<Memorandum>,
    pub(crate) contract: Arc<Contract>,
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) person: String,
    /// The use case.
    pub(crate) purpose: String,
}

impl Enclave {
    /// Answers one question, or says why not. Every attempt is in the log when this returns.
    ///
    /// ```text
    /// agreement → verify → price → (preview | replay) → debit → evaluate → release → record → answer
    /// ```
    pub async fn ask(&self, request: &Request) -> Result<Answered, Failure> {
        self.ask_since(request, Instant::now()).await
    }

    /// The same for a question that came at `arrived`, from which its time is counted: how long it waited, was planned and
    /// evaluated is then one number of steps of the grid.
    pub async fn ask_since(&self, request: &Request, arrived: Instant) -> Result<Answered, Failure> {
        let agreement = match self.agreement(request) {
            Ok(agreement) => agreement,
            Err(Failure::Refused(refusal)) => return Err(self.refused(request, None, refusal)?),
            Err(failure) => return Err(failure),
        };
        match self.ask_under(request, &agreement, arrived).await {
            Err(Failure::Refused(refusal)) => Err(self.refused(request, Some(&agreement), refusal)?),
            other => other,
        }
    }

    /// The grid of moments at which answers under a memorandum leave; that of the standard rules where there is none.
    pub fn time_grid(&self, memorandum: &str) -> Result<Duration, Failure> {
        let rules = match self.memorandum(memorandum)? {
            Some(found) => self.rules(&found.rules)?,
            None => None,
        };
        let grid = |rules: &RuleSet| rules.limits.time_grid_ms;
        Ok(Duration::from_millis(rules.map_or_else(|| grid(&RuleSet::standard()), |rules| grid(&rules))))
    }

    async fn ask_under(
        &self,
        request: &Request,
        agreement: &Agreement,
        arrived: Instant,
    ) -> Result<Answered, Failure> {
        let Agreement { memorandum, contract, person, .. } = agreement;
        let plan = verified(request, agreement)?;
        let (rules, tier) = tiers(&plan, agreement);
        let rules = &rules;
        let priced = price::priced(&plan, request.price, request.confidence, memorandum, rules)?;
        let snapshot =
            self.announced_snapshot(&contract.name)?.ok_or_else(|| nothing_ingested(&contract.name))?;
        let key = ReplayKey {
            memorandum: &memorandum.id,
            contract: &contract.name,
            snapshot: &snapshot.id,
            digest: priced.question,
        };
        if !request.preview
            && !request.fresh
            && let Some(disclosure) = self.ledger.replay(&key)?
        {
            return self.replayed(agreement, &key, &plan, &priced, disclosure);
        }
        let mut keys = Vec::new();
        // One for all stages: a question of many parts has no more time than one of few.
        let allowed = Allowed::from_now(&rules.limits);
        for stage in plan.stages() {
            let of = self.vault.keys(stage, &snapshot, allowed).await;
            keys.push(of.map_err(not_evaluated)?);
        }
        if request.preview {
            return self.preview(agreement, &plan, &priced, &keys, request.confidence);
        }
        self.check_second_factor(agreement, &tier)?;
        let preview = || self.preview(agreement, &plan, &priced, &keys, request.confidence);
        let approval = self.approval(request, agreement, &plan, &priced, &tier, preview)?;
        let question = Question {
            memorandum: &memorandum.id,
            contract: &contract.name,
            person,
            digest: priced.question,
            approval,
            facts: json!({
                "sql": mask::answered(&request.sql, contract),
                "purpose": agreement.purpose,
                "items": plan.items(),
                "contract_version": contract.version.to_string(),
                "rules": format!("{}@{}", rules.name, rules.version),
                "snapshot": snapshot.id,
            }),
        };
        // Both moments are told in the receipt: between them is a whole number of steps of the grid, not how long it took.
        let asked = self.now();
        let charge = self.ledger.debit(asked, &question, priced.loss).map_err(|error| match error {
            DebitError::Exhausted(exhausted) => Failure::Exhausted(exhausted),
            DebitError::Ledger(LedgerError::NotApproved(id)) => Failure::Waiting(Waiting::used(id)),
            // It was ended while the question waited.
            DebitError::Ledger(LedgerError::Ended(_)) => not_in_force(),
            DebitError::Ledger(error) => Failure::Ledger(error),
        })?;
        let recorded = self.evaluated(&plan, &priced, &keys, &snapshot, allowed, charge).await?;
        let body = serde_json::to_string(&recorded).map_err(|_| engine_failed())?;
        let facts = json!({
            "mechanism": answered::mechanism(plan.guarantee()),
            "scales": priced.terms.iter().map(|terms| &terms.scales).collect::<Vec<_>>(),
            "groups_told": recorded.rows.len(),
            "table_sha256": table_digest(&recorded.columns, &recorded.rows).map_err(|_| engine_failed())?,
        });
        let grid = Duration::from_millis(rules.limits.time_grid_ms);
        let took = (self.now() - asked).to_std().unwrap_or_default();
        let released = asked + on_grid(took, grid);
        if !self.at_machine {
            // Also the order of leaves says nothing of how long it took.
            tokio::time::sleep_until((arrived + on_grid(arrived.elapsed(), grid)).into()).await;
        }
        let disclosure = self.ledger.record(released, &key, facts, &body)?;
        self.told(agreement, &plan, &priced, recorded, &disclosure, false)
    }

    /// The only place where rows are read: stage by stage, exact totals, and the noise that makes them a release. A
    /// later stage may use the noisy values of an earlier one.
    async fn evaluated(
        &self,
        plan: &PrivatePlan,
        priced: &Priced,
        keys: &[GroupKeys],
        snapshot: &Snapshot,
        allowed: Allowed<'_>,
        charge: disclosure_rules::Charge,
    ) -> Result<Recorded, Failure> {
        let parts: Vec<_> = priced.terms.iter().map(|terms| (terms.plan, terms.cost())).collect();
        let charges = match plan.guarantee() {
            Guarantee::Concentrated => charge.split(&parts),
            Guarantee::Pure => charge.split_pure(&parts),
        };
        let charges = charges.ok_or_else(engine_failed)?;
        let stages = plan.stages().iter().zip(&priced.terms).zip(keys).zip(charges);
        let mut releases = Vec::new();
        for (((stage, terms), keys), charge) in stages {
            let bindings = plan.bindings(&releases);
            let exact = self
                .vault
                .evaluate(stage, &bindings, terms.plan, snapshot, allowed)
                .await
                .map_err(not_evaluated)?;
            releases
                .push(disclosure_rules::release(exact, charge, terms, keys).map_err(|_| engine_failed())?);
        }
        Ok(Recorded::new(plan, &priced.terms, plan.answer(&releases)))
    }

    fn agreement(&self, request: &Request) -> Result<Agreement, Failure> {
        let refuse = |reason: String| Failure::Refused(Refusal::new(Rule::Memorandum, reason));
        let memorandum = self.memorandum(&request.memorandum)?.ok_or_else(not_in_force)?;
        if !memorandum.is_in_force(self.today()) || self.ledger.ended(&memorandum.id)?.is_some() {
            return Err(not_in_force());
        }
        let contract = self.contract(&memorandum.contract)?.ok_or_else(not_in_force)?;
        let rules = self.rules(&memorandum.rules)?.ok_or_else(not_in_force)?;
        let action = if request.preview { Action::Preview } else { Action::Ask };
        let researchers = || memorandum.people.iter().filter(|person| action.permits(person.role));
        let own = format!("{}/", memorandum.id);
        let person = match &request.person {
            Some(id) => researchers().find(|person| person.id == *id.strip_prefix(&own).unwrap_or(id)),
            None if researchers().count() == 1 => researchers().next(),
            None => {
                return Err(refuse(
                    "the memorandum names several researchers: say who asks with `--as PERSON`".to_owned(),
                ));
            }
        };
        let Some(person) = person else {
            return Err(refuse("this person is not a researcher of the memorandum".to_owned()));
        };
        let person = person.id.clone();
        let key = format!("{own}{person}");
        if self.is_dormant(&key)? {
            return Err(refuse(format!(
                "this person was not seen for long: `enclave people renew {key}` by a steward"
            )));
        }
        self.ledger.note_seen(self.now(), &key)?;
        let purpose = purpose(request, &memorandum)?;
        Ok(Agreement { memorandum, contract, rules, person, purpose })
    }

    fn preview(
        &self,
        agreement: &Agreement,
        plan: &PrivatePlan,
        priced: &Priced,
        keys: &[GroupKeys],
        confidence: Option<f64>,
    ) -> Result<Answered, Failure> {
        Ok(Answered {
            preview: true,
            bounds: Some(explain::bounds(plan, &priced.terms, keys)),
            board: Some(plan.concerns().iter().map(|concern| concern.principle.clone()).collect()),
            columns: answered::columns(plan, &priced.terms, Some(confidence.unwrap_or(CONFIDENCE))),
            ..self.header(agreement, priced)?
        })
    }

    fn replayed(
        &self,
        agreement: &Agreement,
        key: &ReplayKey<'_>,
        plan: &PrivatePlan,
        priced: &Priced,
        disclosure: Disclosure,
    ) -> Result<Answered, Failure> {
        let recorded: Recorded = serde_json::from_str(disclosure.answer()).map_err(|_| engine_failed())?;
        let facts = json!({
            "memorandum": key.memorandum,
            "person": agreement.person,
            "purpose": agreement.purpose,
            "items": plan.items(),
            "question": priced.question.to_string(),
            "release_index": disclosure.position().index,
        });
        self.ledger.append(self.now(), Event::Replay, facts)?;
        self.told(agreement, plan, priced, recorded, &disclosure, true)
    }

    fn told(
        &self,
        agreement: &Agreement,
        plan: &PrivatePlan,
        priced: &Priced,
        recorded: Recorded,
        disclosure: &Disclosure,
        replayed: bool,
    ) -> Result<Answered, Failure> {
        let header = self.header(agreement, priced)?;
        let position = disclosure.position();
        Ok(Answered {
            release: Some(format!("sha256:{}", hex::encode(Sha256::digest(disclosure.answer())))),
            replayed,
            charged: if replayed { header.charged.nothing() } else { header.charged },
            columns: recorded.named(plan),
            rows: recorded.rows,
            log: Some(LogPlace { index: position.index, root: hex::encode(position.root) }),
            receipt: self.ledger.receipt(position.index)?,
            ..header
        })
    }

    fn header(&self, agreement: &Agreement, priced: &Priced) -> Result<Answered, Failure> {
        let memorandum = &agreement.memorandum;
        let account = self.ledger.account(&memorandum.id)?;
        let rho = account.and_then(|account| account.balance()).unwrap_or_default();
        let epsilon = account.and_then(|account| account.pure).map(|pure| pure.balance());
        Ok(Answered {
            memorandum: memorandum.id.clone(),
            question: priced.question.to_string(),
            release: None,
            replayed: false,
            preview: false,
            charged: answered::charged(priced.loss, memorandum.allotment.delta),
            balance: Balance { rho, epsilon },
            bounds: None,
            board: None,
            columns: vec![],
            rows: vec![],
            log: None,
            receipt: None,
        })
    }

    /// Logs a refusal and gives it back.
    fn refused(
        &self,
        request: &Request,
        agreement: Option<&Agreement>,
        refusal: Refusal,
    ) -> Result<Failure, Failure> {
        let facts = json!({
            // An id that is none of ours may be anything that was typed.
            "memorandum": agreement.map(|agreement| agreement.memorandum.id.as_str()),
            "person": agreement.map(|agreement| agreement.person.as_str()),
            "rule": refusal.rule.name(),
            "place": refusal.at,
            "sql": mask::refused(&request.sql, agreement.map(|agreement| &*agreement.contract)),
            "preview": request.preview,
        });
        self.ledger.append(self.now(), Event::Refusal, facts)?;
        Ok(Failure::Refused(refusal))
    }
}

/// The next point of a grid.
pub fn on_grid(elapsed: Duration, grid: Duration) -> Duration {
    if grid.is_zero() {
        return elapsed;
    }
    let steps = elapsed.as_nanos().div_ceil(grid.as_nanos());
    grid.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

/// The use case that a question is asked for: a question names a purpose of its memorandum.
fn purpose(request: &Request, memorandum: &Memorandum) -> Result<String, Refusal> {
    let cases = &memorandum.use_cases;
    let refuse = |reason: &str| {
        Refusal::new(Rule::Memorandum, format!("{reason}; its use cases are {}", cases.join(", ")))
            .rewrite("--purpose USE_CASE")
    };
    match (&request.purpose, cases.as_slice()) {
        (Some(named), _) if cases.contains(named) => Ok(named.clone()),
        (Some(_), _) => Err(refuse("the purpose is not one of this memorandum")),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(refuse("the memorandum has several use cases: say which the question is for")),
    }
}

/// What holds for the tiers of the columns that a plan reads.
fn tiers(plan: &PrivatePlan, agreement: &Agreement) -> (RuleSet, TierRules) {
    let items = plan.items();
    let has = |tier: Tier| {
        items.iter().any(|item| {
            let column = item.split_once('.').and_then(|(table, column)| {
                agreement.contract.table(table).and_then(|table| table.column(column))
            });
            column.is_some_and(|column| column.tier == tier)
        })
    };
    agreement.rules.for_tiers(has(Tier::Sensitive), has(Tier::Restricted))
}

/// The door of `queries`. A panic of the planner is one more refusal: it says nothing but that it happened.
fn verified(request: &Request, agreement: &Agreement) -> Result<PrivatePlan, Refusal> {
    let Agreement { memorandum, contract, rules, .. } = agreement;
    let verify = || queries::verify(&request.sql, contract, memorandum, rules, &request.options);
    std::panic::catch_unwind(AssertUnwindSafe(verify)).unwrap_or_else(|_| {
        Err(Refusal::new(Rule::Engine, "the question could not be planned; write it in a simpler form"))
    })
}

/// One answer for an id that does not exist, is not yet or no longer in force, or whose papers are gone.
fn not_in_force() -> Failure {
    Failure::Refused(Refusal::new(Rule::Memorandum, "no memorandum of this id is in force today".to_owned()))
}

fn nothing_ingested(contract: &str) -> Refusal {
    Refusal::new(Rule::Engine, format!("contract `{contract}` holds no data yet"))
}

/// The one refusal for whatever goes wrong while rows are read.
pub fn engine_failed() -> Failure {
    Failure::Refused(Refusal::new(Rule::Engine, EvaluateError::Failed.to_string()))
}

fn not_evaluated(error: EvaluateError) -> Failure {
    let rule = match error {
        EvaluateError::Damaged(place) => return VaultError::Damaged(place).into(),
        EvaluateError::TooManyKeys(_) => Rule::Limit,
        EvaluateError::NotIngested(_) | EvaluateError::Failed | EvaluateError::Unread => Rule::Engine,
    };
    Refusal::new(rule, error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_met_from_below() {
        let ms = Duration::from_millis;
        for (elapsed, left) in [(0, 0), (1, 100), (100, 100), (101, 200), (1234, 1300)] {
            assert_eq!(on_grid(ms(elapsed), ms(100)), ms(left));
        }
        assert_eq!(on_grid(ms(7), Duration::ZERO), ms(7));
    }
}
