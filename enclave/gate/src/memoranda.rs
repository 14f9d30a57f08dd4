//! A memorandum's life: check, sign, amend, end; what changed, and which items nobody uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use ledger::{DocumentKind, LeafKind, LogPosition};
use memoranda::memorandum::draft;
use memoranda::{Contract, Difference, Memorandum, Mistake, Tier};
use serde::Serialize;
use serde_json::{Value, json};

use crate::acts::{ActError, mistakes};
use crate::enclave::{Enclave, OpenError};
use crate::permissions::Action;
use crate::review::record;

/// A version of a memorandum that was signed.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What it says.
    pub memorandum: Memorandum,
    /// When it was signed.
    pub at: DateTime<Utc>,
    /// By whom; as the leaf states it.
    pub by: Option<String>,
    /// Index of its leaf.
    pub leaf: u64,
    /// Against the version before.
    pub differences: Vec<Difference>,
}

/// An item, and when questions used it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemUse {
    /// Table.
    pub table: String,
    /// Column.
    pub column: String,
    /// Its tier.
    pub tier: &'static str,
    /// Questions in the time looked at.
    pub questions: u64,
    /// Day of the last question ever.
    pub last_used: Option<NaiveDate>,
}

/// What an editor may complete: an item and its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Table.
    pub table: String,
    /// Column.
    pub column: String,
    /// Type, as Data Package names it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Title in English.
    pub title: String,
    /// Title in Japanese.
    pub title_ja: String,
}

impl Enclave {
    /// A template filled from a contract.
    pub fn draft_memorandum(&self, contract: &str, id: &str) -> Result<String, ActError> {
        self.permitted(Action::DraftMemorandum)?;
        let contract = self.contract_or(contract)?;
        Ok(draft(&contract, id, self.today()))
    }

    /// Every mistake of a memorandum, signing nothing; also whether it could be signed or would amend.
    pub fn check_memorandum(&self, text: &str) -> Result<Memorandum, ActError> {
        self.permitted(Action::DraftMemorandum)?;
        let memorandum = Memorandum::parse(text).map_err(mistakes("the memorandum"))?;
        self.fits(&memorandum)?;
        Ok(memorandum)
    }

    /// Puts a memorandum (TOML) in force between its dates, and opens its account.
    pub fn sign_memorandum(&self, text: &str) -> Result<(Memorandum, LogPosition), ActError> {
        let actor = self.permitted(Action::SignMemorandum)?;
        let memorandum = Memorandum::parse(text).map_err(mistakes("the memorandum"))?;
        let contract = self.fits(&memorandum)?;
        let id = &memorandum.id;
        if let Some(signed) = self.memorandum(id)? {
            return Err(ActError::Already(format!(
                "memorandum `{id}` is signed already, in version {}; `enclave memorandum amend FILE` signs a later \
                 one, a new memorandum needs a new id",
                signed.version
            )));
        }
        if memorandum.version != 1 {
            let first = Mistake::new("/version", "the first version of a memorandum is 1");
            return Err(mistakes("the memorandum")(vec![first]));
        }
        let reasons = restricted(&memorandum, &contract);
        if !reasons.is_empty() {
            self.two_people(&actor, Action::SignMemorandum, text, &reasons)?;
        }
        let place = self.ledger.sign(self.stamp(&actor), &memorandum, text, contract.pool_rho)?;
        Ok((memorandum, place))
    }

    /// Signs a later version of a memorandum; in force at once. What was charged stays charged.
    pub fn amend_memorandum(
        &self,
        text: &str,
    ) -> Result<(Memorandum, Vec<Difference>, LogPosition), ActError> {
        let actor = self.permitted(Action::SignMemorandum)?;
        let memorandum = Memorandum::parse(text).map_err(mistakes("the memorandum"))?;
        let contract = self.fits(&memorandum)?;
        let before = self.memorandum_or(&memorandum.id)?;
        let differences = before.differences(&memorandum);
        if before.contract != memorandum.contract {
            let message = format!("stays `{}`: another data set needs another memorandum", before.contract);
            return Err(mistakes("the memorandum")(vec![Mistake::new("/contract", message)]));
        }
        if memorandum.version <= before.version {
            let message = format!("version {} is in force: an amendment has a higher one", before.version);
            return Err(mistakes("the memorandum")(vec![Mistake::new("/version", message)]));
        }
        if differences.is_empty() {
            return Err(ActError::Already("the amendment changes nothing".to_owned()));
        }
        let mut reasons = restricted(&memorandum, &contract);
        if before.rules != memorandum.rules
            && let (Some(old), Some(new)) = (self.rules(&before.rules)?, self.rules(&memorandum.rules)?)
        {
            reasons.extend(new.weaker_than(&old));
        }
        if !reasons.is_empty() {
            self.two_people(&actor, Action::SignMemorandum, text, &reasons)?;
        }
        let lines: Vec<String> = differences.iter().map(Difference::to_string).collect();
        let facts = json!({ "difference": lines });
        let place = self.ledger.amend(self.stamp(&actor), &before, &memorandum, text, facts)?;
        Ok((memorandum, differences, place))
    }

    /// Ends a memorandum before its date.
    pub fn end_memorandum(&self, id: &str) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::EndMemorandum)?;
        self.memorandum_or(id)?;
        if self.ledger.ended(id)?.is_some() {
            return Err(ActError::Already(format!("memorandum `{id}` has ended already")));
        }
        Ok(self.ledger.end_memorandum(self.stamp(&actor), id)?)
    }

    /// The versions of a memorandum, the oldest first, each with what it changed.
    pub fn memorandum_history(&self, id: &str) -> Result<Vec<Signed>, ActError> {
        self.permitted(Action::ReadMemoranda)?;
        self.memorandum_or(id)?;
        let mut history: Vec<Signed> = Vec::new();
        for document in self.ledger.documents(DocumentKind::Memorandum)? {
            if document.name != id {
                continue;
            }
            let memorandum = Memorandum::parse(&document.text)
                .map_err(|_| OpenError::Document("memorandum", id.to_owned()))?;
            let before = history.last().map(|signed| &signed.memorandum);
            let differences = before.map(|before| before.differences(&memorandum)).unwrap_or_default();
            let leaf = self.ledger.leaf(document.leaf)?;
            let facts = leaf.and_then(|leaf| serde_json::from_str::<Value>(&leaf.body).ok());
            let by = facts.and_then(|facts| facts["by"].as_str().map(str::to_owned));
            history.push(Signed { memorandum, at: document.at, by, leaf: document.leaf, differences });
        }
        Ok(history)
    }

    /// Every item of a memorandum with its use in the last `days` days, as the log has it.
    pub fn review_items(&self, id: &str, days: u32) -> Result<Vec<ItemUse>, ActError> {
        self.permitted(Action::ReadMemoranda)?;
        let memorandum = self.memorandum_or(id)?;
        let contract = self.contract_or(&memorandum.contract)?;
        let since = self.now().checked_sub_days(Days::new(u64::from(days)));
        let mut uses: BTreeMap<String, (u64, NaiveDate)> = BTreeMap::new();
        record::each(&self.ledger, |record| {
            let asked = matches!(record.kind, LeafKind::Question | LeafKind::Replay);
            if !asked || record.text("memorandum") != id {
                return;
            }
            for item in record.texts("items") {
                let used = uses.entry(item.to_owned()).or_insert((0, record.at.date_naive()));
                used.0 += u64::from(since.is_none_or(|since| record.at >= since));
                used.1 = used.1.max(record.at.date_naive());
            }
        })?;
        let item = |(table, column, tier): (&str, &str, Tier)| {
            let used = uses.get(&format!("{table}.{column}"));
            ItemUse {
                table: table.to_owned(),
                column: column.to_owned(),
                tier: tier.name(),
                questions: used.map_or(0, |used| used.0),
                last_used: used.map(|used| used.1),
            }
        };
        Ok(memorandum.tiers(&contract).map(item).collect())
    }

    /// What an editor may complete under a memorandum: its items, and nothing else of the contract.
    pub fn memorandum_items(&self, id: &str) -> Result<Vec<Item>, ActError> {
        let actor = self.permitted(Action::ReadItems)?;
        // A person of another memorandum learns nothing of this one.
        if actor.id().split_once('/').is_some_and(|(own, _)| own != id) {
            return Err(ActError::Denied("this is not your memorandum".to_owned()));
        }
        let memorandum = self.memorandum_or(id)?;
        let contract = self.contract_or(&memorandum.contract)?;
        let item = |(table, name, _): (&str, &str, Tier)| {
            let column = contract.table(table)?.column(name)?;
            Some(Item {
                table: table.to_owned(),
                column: name.to_owned(),
                kind: column.kind.name(),
                title: column.title.en.clone(),
                title_ja: column.title.ja.clone(),
            })
        };
        Ok(memorandum.tiers(&contract).filter_map(item).collect())
    }

    /// The contract, if memorandum, contract and rule set fit together.
    fn fits(&self, memorandum: &Memorandum) -> Result<Arc<Contract>, ActError> {
        let contract = self.contract_or(&memorandum.contract)?;
        self.rules(&memorandum.rules)?.ok_or_else(|| {
            let how = "install it first: `enclave rules install FILE`";
            ActError::Missing("rule set", memorandum.rules.clone(), how)
        })?;
        let wrong = memorandum.check_against(&contract);
        if wrong.is_empty() { Ok(contract) } else { Err(mistakes("the memorandum")(wrong)) }
    }

    pub(crate) fn contract_or(&self, name: &str) -> Result<Arc<Contract>, ActError> {
        let how = "publish it first: `enclave contract publish FILE`";
        self.contract(name)?.ok_or_else(|| ActError::Missing("contract", name.to_owned(), how))
    }

    fn memorandum_or(&self, id: &str) -> Result<Arc<Memorandum>, ActError> {
        let how = "`enclave memorandum list` shows them";
        self.memorandum(id)?.ok_or_else(|| ActError::Missing("memorandum", id.to_owned(), how))
    }
}

/// Why a memorandum takes a steward and a member of the board: each of its restricted items.
fn restricted(memorandum: &Memorandum, contract: &Contract) -> Vec<String> {
    let items = memorandum.tiers(contract).filter(|(.., tier)| *tier == Tier::Restricted);
    items.map(|(table, column, _)| format!("`{table}.{column}` is restricted")).collect()
}
