//! What waits for the board: a question that a principle or a tier leaves to it, with what it needs to decide.

use std::fmt;

use disclosure_rules::rules::TierRules;
use ledger::{Approval, Case, CaseState, Cast, Vote};
use queries::{Concern, PrivatePlan, Refusal, Rule};
use serde_json::json;

use crate::acts::ActError;
use crate::answered::Answered;
use crate::ask::{Agreement, Failure};
use crate::enclave::Enclave;
use crate::encode;
use crate::mask;
use crate::price::Priced;
use crate::request::Request;

/// A question that the board has not approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Number of the approval.
    pub approval: u64,
    /// Where it stands: `open`, `asked-back`, or `used` where another question was quicker.
    pub state: &'static str,
    /// Principles and tiers that leave it to the board, with their reasons.
    pub reasons: Vec<String>,
}

impl Waiting {
    pub(crate) fn used(approval: u64) -> Waiting {
        Waiting { approval, state: CaseState::Used.name(), reasons: vec![] }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.state == CaseState::Used.name() {
            return write!(f, "approval {} was used already: a new one is needed", self.approval);
        }
        write!(f, "the board decides on this before it runs: approval {} is {}", self.approval, self.state)?;
        self.reasons.iter().try_for_each(|reason| write!(f, "\n  {reason}"))?;
        write!(f, "\nask again, as it is, once `enclave approvals show {}` says approved", self.approval)
    }
}

impl Enclave {
    /// The approval under which a question runs; none where it needs none.
    pub(crate) fn approval(
        &self,
        request: &Request,
        agreement: &Agreement,
        plan: &PrivatePlan,
        priced: &Priced,
        tier: &TierRules,
        preview: impl FnOnce() -> Result<Answered, Failure>,
    ) -> Result<Option<u64>, Failure> {
        let concerns = plan.concerns();
        let board = agreement.rules.board;
        let votes = tier.votes.max(if concerns.is_empty() { 0 } else { board.votes });
        if votes == 0 {
            return Ok(None);
        }
        let (memorandum, person, now) = (&agreement.memorandum, &agreement.person, self.now());
        let approved = self.ledger.approved(now, priced.question, Some(&memorandum.id), person)?;
        if approved.is_some() {
            return Ok(approved);
        }
        let reasons = reasons(concerns, tier);
        let principles: Vec<&str> = concerns.iter().map(|concern| concern.principle.as_str()).collect();
        let purpose = json!({ "en": memorandum.purpose.en, "ja": memorandum.purpose.ja });
        let file = json!({
            "sql": request.sql,
            "reasons": reasons,
            "purpose": purpose,
            "use_case": agreement.purpose,
            "institution": memorandum.institution,
            "justification": request.justification.as_deref().unwrap_or_default(),
            "preview": encode::json(&preview()?).unwrap_or_default(),
        });
        let case = Case {
            subject: "question",
            digest: priced.question,
            memorandum: Some(&memorandum.id),
            person,
            votes,
            days: board.approval_days,
            file: &file,
            facts: json!({
                "sql": mask::answered(&request.sql, &agreement.contract),
                "items": plan.items(),
                "principles": principles,
                "rules": format!("{}@{}", agreement.rules.name, agreement.rules.version),
                "rho_micro": priced.loss.cost().rho.micro(),
            }),
        };
        let approval = self.ledger.escalate(now, &case)?;
        let state = approval.state(now).name();
        Err(Failure::Waiting(Waiting { approval: approval.id, state, reasons }))
    }

    /// Whether the person has shown the second factor as lately as the tier asks for.
    pub(crate) fn check_second_factor(&self, agreement: &Agreement, tier: &TierRules) -> Result<(), Failure> {
        let Some(minutes) = tier.second_factor_minutes else { return Ok(()) };
        if self.stepped_up(&agreement.person, Some(&agreement.memorandum.id), minutes)? {
            return Ok(());
        }
        let reason = format!("its items need the second factor, given within the last {minutes} minutes");
        let rewrite = "enclave step-up --as PERSON -m MEMORANDUM --code CODE, then ask again";
        Err(Failure::Refused(Refusal::new(Rule::SecondFactor, reason).rewrite(rewrite)))
    }

    /// All cases, in their order.
    pub fn approvals(&self) -> Result<Vec<Approval>, ledger::LedgerError> {
        self.ledger.approvals()
    }

    /// One case.
    pub fn case(&self, id: u64) -> Result<Option<Approval>, ledger::LedgerError> {
        self.ledger.approval(id)
    }

    /// The vote of a registered member of the board, or the answer of whoever asks.
    pub fn vote(&self, id: u64, person: &str, vote: Vote, reason: &str) -> Result<Approval, ActError> {
        if vote != Vote::Answer && !self.may_vote(person)? {
            let message =
                "only a member of the board who is registered votes: `enclave people add` by a steward";
            return Err(ActError::Denied(message.to_owned()));
        }
        let asker = self.ledger.approval(id)?.map(|case| case.person);
        let own = |asker: String| asker == person || person.ends_with(&format!("/{asker}"));
        if vote == Vote::Answer && !asker.is_none_or(own) {
            return Err(ActError::Denied("only whoever asks answers the board".to_owned()));
        }
        if vote != Vote::Answer {
            self.ledger.note_seen(self.now(), person)?;
        }
        Ok(self.ledger.vote(self.now(), id, person, vote, reason)?)
    }

    /// Votes and answers as a reader may see them now.
    pub fn cast_for<'a>(&self, approval: &'a Approval, reader: Option<&str>) -> Vec<&'a Cast> {
        approval.cast_for(reader, self.now())
    }

    /// Where a case stands now.
    pub fn state(&self, approval: &Approval) -> CaseState {
        approval.state(self.now())
    }
}

fn reasons(concerns: &[Concern], tier: &TierRules) -> Vec<String> {
    let principle = |concern: &Concern| format!("`{}`: {}", concern.principle, concern.reason);
    let mut reasons: Vec<String> = concerns.iter().map(principle).collect();
    if tier.votes > 0 {
        reasons.push(
            "restricted items: the board sees each question first · 制限付きの項目は諮問委員会が事前に確認する"
                .to_owned(),
        );
    }
    reasons
}
