//! What departs from the ordinary course of the guidelines, so that the director or the board has to hear of it.

use std::collections::BTreeMap;

use disclosure_rules::RuleSet;
use ledger::{Document, LeafKind};
use memoranda::{Contract, Memorandum, Tier, datapackage};
use serde::Serialize;

use super::record::Record;

/// Acts that people were not permitted, in one period.
pub const DENIED_LEAST: usize = 3;

/// Whom a deviation calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallsFor {
    /// The director of the think-tank (総括管理主体).
    Director,
    /// The advisory board.
    Board,
    /// Both.
    Both,
}

impl CallsFor {
    /// In Japanese and English.
    pub fn title(self) -> (&'static str, &'static str) {
        match self {
            CallsFor::Director => ("所長", "director"),
            CallsFor::Board => ("諮問委員会", "board"),
            CallsFor::Both => ("所長・諮問委員会", "director and board"),
        }
    }
}

/// A deviation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deviation {
    /// Numbers of the leaves.
    pub leaves: Vec<u64>,
    /// Whom it calls for.
    pub calls_for: CallsFor,
    /// What, in Japanese.
    pub ja: &'static str,
    /// What, in English.
    pub en: &'static str,
    /// Of what: names that the leaves state.
    pub what: String,
}

/// What leaves of a kind, and of an act where one is named, call for. Kinds and acts are as the log names them.
#[rustfmt::skip]
const CALLED: [(&str, &str, CallsFor, &str, &str); 13] = [
    ("records", "delete", CallsFor::Both, "本人に関する記録の削除", "a pupil's records were deleted"),
    ("records", "correct", CallsFor::Director, "記録の訂正", "records were corrected"),
    ("records", "export", CallsFor::Director, "本人への記録の開示・移転", "records were handed to a data subject"),
    ("records", "keep", CallsFor::Director, "保存期間を超える記録の保持", "records are kept beyond their time"),
    ("records", "dispose", CallsFor::Director, "記録の廃棄", "records were disposed of"),
    ("keys", "destroy", CallsFor::Both, "鍵の廃棄", "keys were destroyed"),
    ("keys", "split", CallsFor::Director, "根鍵の分割", "the root key was dealt in shares"),
    ("keys", "recover", CallsFor::Both, "根鍵の復元", "the root key was recovered from shares"),
    ("prune", "", CallsFor::Director, "古いログの本文の整理", "the words of old leaves were removed"),
    ("people", "policy", CallsFor::Director, "休眠の基準の変更", "the policy on dormant people changed"),
    ("log-in", "locked", CallsFor::Director, "第二要素の連続失敗による停止", "a second factor was locked after wrong codes"),
    ("end", "", CallsFor::Director, "覚書の終了", "a memorandum was ended"),
    ("approval-used", "", CallsFor::Board, "二者承認を要する行為の実行", "an act that takes two people was done"),
];

/// The deviations among the leaves of a period. `documents` are all that was published, in their order.
pub(crate) fn deviations(period: &[&Record], documents: &[Document]) -> Vec<Deviation> {
    let published = Published::of(documents);
    let mut found = Vec::new();
    for record in period {
        for (kind, act, calls_for, ja, en) in CALLED {
            let acts = [record.text("act"), record.text("outcome")];
            if record.is(kind) && (act.is_empty() || acts.contains(&act)) {
                let what = named(record);
                found.push(Deviation { leaves: vec![record.index], calls_for, ja, en, what });
            }
        }
        found.extend(published.of_document(record));
    }
    found.extend(restricted_questions(period, &published));
    found.extend(denied(period));
    found.sort_by(|a, b| a.leaves.cmp(&b.leaves));
    found
}

/// Which things a leaf is about, in its own words.
fn named(record: &Record) -> String {
    let names = ["memorandum", "contract", "table", "cohort", "subject", "person"];
    let found: Vec<&str> =
        names.iter().map(|name| record.text(name)).filter(|text| !text.is_empty()).collect();
    found.join(" ")
}

/// The documents of a log, read.
pub(crate) struct Published {
    contracts: BTreeMap<u64, Contract>,
    rules: BTreeMap<u64, RuleSet>,
    memoranda: BTreeMap<u64, Memorandum>,
}

impl Published {
    pub(crate) fn of(documents: &[Document]) -> Published {
        let each = |document: &Document| (document.leaf, document.text.clone());
        let texts: Vec<(u64, String)> = documents.iter().map(each).collect();
        // A text that no longer reads is none; reading it is no review's business.
        fn read<T>(texts: &[(u64, String)], parse: impl Fn(&str) -> Option<T>) -> BTreeMap<u64, T> {
            texts.iter().filter_map(|(leaf, text)| Some((*leaf, parse(text)?))).collect()
        }
        Published {
            contracts: read(&texts, |text| datapackage::parse(text).ok()),
            rules: read(&texts, |text| RuleSet::parse(text).ok()),
            memoranda: read(&texts, |text| Memorandum::parse(text).ok()),
        }
    }

    /// The contract of that name as it was at a leaf.
    pub(crate) fn contract(&self, name: &str, leaf: u64) -> Option<&Contract> {
        self.contracts
            .range(..=leaf)
            .rev()
            .map(|(_, contract)| contract)
            .find(|contract| contract.name == name)
    }

    /// The rule set of that name as it was at a leaf.
    pub(crate) fn rules(&self, name: &str, leaf: u64) -> Option<&RuleSet> {
        self.rules.range(..=leaf).rev().map(|(_, rules)| rules).find(|rules| rules.name == name)
    }

    /// The memorandum of that id as it was at a leaf.
    pub(crate) fn memorandum(&self, id: &str, leaf: u64) -> Option<&Memorandum> {
        self.memoranda.range(..=leaf).rev().map(|(_, found)| found).find(|found| found.id == id)
    }

    /// What a document that was published or signed departs in from the one before.
    fn of_document(&self, record: &Record) -> Vec<Deviation> {
        let leaf = record.index;
        let deviation =
            |calls_for, ja, en, what: String| Deviation { leaves: vec![leaf], calls_for, ja, en, what };
        let mut found = Vec::new();
        let before = leaf.checked_sub(1);
        if let Some(rules) = self.rules.get(&leaf)
            && let Some(old) = before.and_then(|before| self.rules(&rules.name, before))
        {
            let weaker = rules.weaker_than(old);
            if !weaker.is_empty() {
                let what = format!("{}: {}", rules.name, weaker.join("; "));
                found.push(deviation(
                    CallsFor::Board,
                    "開示ルールの緩和",
                    "a weaker rule set was installed",
                    what,
                ));
            }
        }
        if let Some(contract) = self.contracts.get(&leaf)
            && let Some(old) = before.and_then(|before| self.contract(&contract.name, before))
            && let Some(cap) = old.pool_rho
            && contract.pool_rho.is_none_or(|pool| pool > cap)
        {
            let to = contract.pool_rho.map_or("no cap".to_owned(), |pool| pool.to_string());
            let what = format!("{}: {cap} → {to}", contract.name);
            found.push(deviation(CallsFor::Board, "プールの拡大", "the pool of a contract grew", what));
        }
        if let Some(memorandum) = self.memoranda.get(&leaf) {
            let contract = self.contract(&memorandum.contract, leaf);
            let items = contract.into_iter().flat_map(|contract| memorandum.tiers(contract));
            let restricted: Vec<String> = items
                .filter(|(.., tier)| *tier == Tier::Restricted)
                .map(|(table, column, _)| format!("{table}.{column}"))
                .collect();
            if !restricted.is_empty() {
                let what = format!("{}: {}", memorandum.id, restricted.join(", "));
                let (ja, en) = ("制限付き項目を含む覚書", "a memorandum with restricted items was signed");
                found.push(deviation(CallsFor::Board, ja, en, what));
            }
            if record.kind == LeafKind::Amendment
                && let Some(old) = before.and_then(|before| self.memorandum(&memorandum.id, before))
                && memorandum.allotment.rho > old.allotment.rho
            {
                let what = format!("{}: {} → {}", memorandum.id, old.allotment.rho, memorandum.allotment.rho);
                found.push(deviation(CallsFor::Director, "割当の引き上げ", "an allotment was raised", what));
            }
        }
        found
    }
}

/// Questions that read a restricted item, one deviation a memorandum.
fn restricted_questions(period: &[&Record], published: &Published) -> Vec<Deviation> {
    let mut by: BTreeMap<&str, (Vec<u64>, Vec<&str>)> = BTreeMap::new();
    for record in period.iter().filter(|record| record.kind == LeafKind::Question) {
        let Some(contract) = published.contract(record.text("contract"), record.index) else { continue };
        let tier = |item: &str| {
            let (table, column) = item.split_once('.')?;
            Some(contract.table(table)?.column(column)?.tier)
        };
        let restricted: Vec<&str> =
            record.texts("items").filter(|item| tier(item) == Some(Tier::Restricted)).collect();
        if !restricted.is_empty() {
            let (leaves, items) = by.entry(record.text("memorandum")).or_default();
            leaves.push(record.index);
            items.extend(restricted);
        }
    }
    let deviation = |(memorandum, (leaves, mut items)): (&str, (Vec<u64>, Vec<&str>))| {
        items.sort_unstable();
        items.dedup();
        let what = format!("{memorandum}: {}", items.join(", "));
        let (ja, en) = ("制限付き項目への質問", "restricted items were asked about");
        Deviation { leaves, calls_for: CallsFor::Board, ja, en, what }
    };
    by.into_iter().map(deviation).collect()
}

/// People who tried what they may not, again and again.
fn denied(period: &[&Record]) -> Option<Deviation> {
    let denied = period
        .iter()
        .filter(|record| record.kind == LeafKind::Refusal && record.text("rule") == "permission");
    let (leaves, mut acts): (Vec<u64>, Vec<&str>) =
        denied.map(|record| (record.index, record.text("act"))).unzip();
    acts.sort_unstable();
    acts.dedup();
    let (ja, en) = ("権限のない操作の繰り返し", "acts were tried again and again without permission");
    let what = acts.join(", ");
    (leaves.len() >= DENIED_LEAST).then_some(Deviation {
        leaves,
        calls_for: CallsFor::Director,
        ja,
        en,
        what,
    })
}
