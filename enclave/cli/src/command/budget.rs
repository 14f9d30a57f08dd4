//! `enclave budget`

use std::path::Path;

use chrono::{DateTime, Utc};
use gate::{Account, Action, Enclave};
use ledger::{DocumentKind, Entry, Forecast, LeafKind, forecast};
use memoranda::Memorandum;
use serde_json::{Value, json};

use crate::args::{Budget, ListFormat};
use crate::command::open_for;
use crate::outcome::{Done, Outcome, put};

pub(crate) fn run(home: &Path, args: &Budget) -> Done {
    let enclave = open_for(home, Action::ReadBudget)?;
    let mut accounts = Vec::new();
    let mut contracts = Vec::new();
    let mut memoranda = Vec::new();
    for document in enclave.ledger().documents(DocumentKind::Memorandum)? {
        let wanted = args.memorandum.as_ref().is_none_or(|id| *id == document.name);
        // Versions of one memorandum have one account.
        let listed = accounts.iter().any(|(_, id, _)| *id == document.name);
        let (true, Some(memorandum)) = (wanted && !listed, enclave.memorandum(&document.name)?) else {
            continue;
        };
        if let Some(account) = enclave.ledger().account(&memorandum.id)? {
            accounts.push(("memorandum", memorandum.id.clone(), account));
        }
        if !contracts.contains(&memorandum.contract) {
            contracts.push(memorandum.contract.clone());
        }
        memoranda.push(memorandum);
    }
    if let (true, Some(id)) = (accounts.is_empty(), &args.memorandum) {
        return Err(Outcome::Invalid(format!(
            "there is no memorandum `{id}`; `enclave memorandum list` shows them"
        )));
    }
    for contract in contracts {
        if let Some(pool) = enclave.ledger().pool(&contract)? {
            accounts.push(("pool", contract, pool));
        }
    }
    if let (true, Some(memorandum)) = (args.statement, memoranda.first()) {
        let statement = Statement::of(&enclave, memorandum)?;
        return match args.format {
            ListFormat::Json => {
                let objects: Vec<Value> =
                    accounts.iter().map(|(kind, name, account)| account_json(kind, name, account)).collect();
                let mut json = statement.json();
                json["accounts"] = objects.into();
                put(format!("{}\n", serde_json::to_string_pretty(&json).unwrap_or_default()).as_bytes())
            }
            ListFormat::Table => {
                let lines: String =
                    accounts.iter().map(|(kind, name, account)| line(kind, name, account)).collect();
                put((lines + &statement.text()).as_bytes())
            }
        };
    }
    let text = match args.format {
        ListFormat::Json => {
            let objects: Vec<_> =
                accounts.iter().map(|(kind, name, account)| account_json(kind, name, account)).collect();
            format!("{}\n", serde_json::to_string_pretty(&objects).unwrap_or_default())
        }
        ListFormat::Table => accounts.iter().map(|(kind, name, account)| line(kind, name, account)).collect(),
    };
    put(text.as_bytes())
}

/// An account as JSON.
pub(crate) fn account_json(kind: &str, name: &str, account: &Account) -> Value {
    let mut object = json!({
        "account": kind,
        "name": name,
        "allotment": account.allotment.map(|rho| json!({ "rho": rho })),
        "charged": { "rho": account.charged },
        "balance": account.balance().map(|rho| json!({ "rho": rho })),
    });
    if let Some(pure) = account.pure {
        object["allotment"]["epsilon"] = json!(pure.allotment);
        object["charged"]["epsilon"] = json!(pure.charged);
        object["balance"]["epsilon"] = json!(pure.balance());
    }
    object
}

/// An account in one line.
pub(crate) fn line(kind: &str, name: &str, account: &Account) -> String {
    if let Some(pure) = account.pure {
        let (balance, rho) = (pure.balance(), account.charged);
        return format!(
            "{kind} {name}: allotment epsilon {} (pure), charged {} (rho {rho} of the pool), balance {balance}\n",
            pure.allotment, pure.charged
        );
    }
    let of = |rho: Option<gate::Rho>| rho.map_or("no cap".to_owned(), |rho| rho.to_string());
    format!(
        "{kind} {name}: allotment rho {}, charged {}, balance {}\n",
        of(account.allotment),
        account.charged,
        of(account.balance())
    )
}

/// Every charge of a memorandum, the most that one question may cost, and how long the balance lasts.
struct Statement {
    entries: Vec<Entry>,
    /// By tier, where the rule set says something.
    largest_prices: Vec<(&'static str, gate::Rho)>,
    forecast: Option<Forecast>,
    until: String,
}

impl Statement {
    fn of(enclave: &Enclave, memorandum: &Memorandum) -> Result<Statement, Outcome> {
        let entries = enclave.ledger().statement(&memorandum.id)?;
        let rules = enclave.rules(&memorandum.rules)?;
        let mut largest_prices = Vec::new();
        for rules in rules.iter() {
            for (tier, sensitive, restricted) in
                [("standard", false, false), ("sensitive", true, false), ("restricted", false, true)]
            {
                let rho = rules.for_tiers(sensitive, restricted).0.limits.max_rho_per_release;
                if largest_prices.last().is_none_or(|(_, before)| *before != rho) {
                    largest_prices.push((tier, rho));
                }
            }
        }
        let forecast = entries
            .first()
            .zip(entries.last())
            .map(|(first, last)| forecast(&last.account, first.at, Utc::now()));
        Ok(Statement { entries, largest_prices, forecast, until: memorandum.until.to_string() })
    }

    fn json(&self) -> Value {
        let entry = |entry: &Entry| {
            let epsilon = entry.account.pure.map(|pure| pure.balance());
            json!({
                "leaf": entry.leaf,
                "date": entry.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                "kind": entry.kind.as_str(),
                "question": entry.question,
                "person": entry.person,
                "price": { "rho": entry.rho },
                "balance": { "rho": entry.account.balance(), "epsilon": epsilon },
                "release": entry.release,
            })
        };
        let prices: Vec<Value> =
            self.largest_prices.iter().map(|(tier, rho)| json!({ "tier": tier, "rho": rho })).collect();
        json!({
            "statement": self.entries.iter().map(entry).collect::<Vec<_>>(),
            "largest_prices": prices,
            "forecast": self.forecast.map(|forecast| json!({
                "per_day": forecast.per_day,
                "runs_out": forecast.runs_out.map(day),
                "memorandum_until": self.until,
            })),
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (tier, rho) in &self.largest_prices {
            let items = if *tier == "standard" { String::new() } else { format!(" with {tier} items") };
            text += &format!("one question{items} costs at most rho {rho}\n");
        }
        text += "date\tleaf\tquestion\tprice\tbalance\treleased\n";
        for entry in &self.entries {
            let balance = match entry.account.pure {
                Some(pure) => format!("epsilon {}", pure.balance()),
                None => entry.account.balance().map_or("no cap".to_owned(), |rho| format!("rho {rho}")),
            };
            // Twelve digits tell the questions of a memorandum apart.
            let question = entry
                .question
                .as_deref()
                .map_or(entry.kind.as_str(), |digest| digest.get(..19).unwrap_or(digest));
            let price =
                if entry.kind == LeafKind::Question { format!("rho {}", entry.rho) } else { String::new() };
            let released = match (entry.kind, entry.release) {
                (LeafKind::Question, Some(leaf)) => leaf.to_string(),
                (LeafKind::Question, None) => "never".to_owned(),
                _ => String::new(),
            };
            let date = entry.at.format("%Y-%m-%d %H:%M:%S");
            text += &format!("{date}\t{}\t{question}\t{price}\t{balance}\t{released}\n", entry.leaf);
        }
        text + &self.pace()
    }

    fn pace(&self) -> String {
        let Some(forecast) = self.forecast else { return String::new() };
        let unit =
            if self.entries.iter().any(|entry| entry.account.pure.is_some()) { "epsilon" } else { "rho" };
        match forecast.runs_out {
            _ if forecast.per_day == 0.0 => "nothing was charged yet\n".to_owned(),
            None => format!("at {unit} {:.6} a day the balance outlasts the memorandum\n", forecast.per_day),
            Some(end) => format!(
                "at {unit} {:.6} a day the balance lasts until {}; the memorandum ends {}\n",
                forecast.per_day,
                day(end),
                self.until
            ),
        }
    }
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}
