//! `docs/sql.md` tells the truth: every example is accepted or refused as it says, with the rewrite that it prints, and
//! its tables list what there is.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use memoranda::{Contract, Role, datapackage};
use queries::{Options, Rule, Totality, verify, vocabulary};
use support::Setting;

const PAGE: &str = include_str!("../../docs/sql.md");
const CITY: &str = include_str!("../../datasets-synthetic/formats/city/datapackage.json");
const STAR: &str = include_str!("../../datasets-synthetic/formats/star/datapackage.json");

/// An example of the page.
struct Example {
    /// The word after `refused`.
    refused: Option<&'static str>,
    contract: &'static str,
    sql: String,
    /// The paragraph under it, if it says what to write instead.
    instead: Option<String>,
}

fn examples() -> Vec<Example> {
    let mut lines = PAGE.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```") else { continue };
        let words: Vec<&str> = words.split(' ').collect();
        let sql: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let (refused, contract) = match words.as_slice() {
            ["sql", "accepted", contract] => (None, *contract),
            ["sql", "refused", rule, contract] => (Some(*rule), *contract),
            other => panic!("a block of {other:?}"),
        };
        let mut instead = None;
        if lines.next_if(|line| line.is_empty()).is_some() {
            let paragraph: Vec<&str> = std::iter::from_fn(|| {
                lines.next_if(|line| {
                    line.starts_with("Instead: ") || (line.starts_with("  ") && !line.is_empty())
                })
            })
            .collect();
            instead = paragraph
                .iter()
                .map(|line| line.trim_start())
                .collect::<Vec<_>>()
                .join(" ")
                .strip_prefix("Instead: ")
                .map(str::to_owned);
        }
        found.push(Example { refused, contract, sql: sql.join("\n"), instead });
    }
    found
}

/// The standard rules, and a memorandum of every attribute.
fn setting(contract: &str) -> Setting {
    let text = if contract == "city" { CITY } else { STAR };
    let parsed: Contract = datapackage::parse(text).unwrap();
    let items = parsed.tables.iter().map(|table| {
        let attributes = table.columns.iter().filter(|column| column.role == Role::Attribute);
        let columns: Vec<&str> = attributes.map(|column| column.name.as_str()).collect();
        format!("{{ table = \"{}\", columns = {columns:?} }}", table.name)
    });
    let items: Vec<String> = items.collect();
    let memorandum = format!(
        "id = \"m\"\ncontract = \"{contract}\"\ntitle = {{ en = \"m\" }}\ninstitution = \"m\"\npurpose = {{ en = \"m\" }}\n\
         use_case = \"m\"\nvalid = {{ from = 2026-04-01, until = 2027-03-31 }}\nrules = \"standard\"\n\
         people = [{{ id = \"r1\", name = \"R\", role = \"researcher\" }}]\nitems = [{}]\n\
         [allotment]\nrho = 1.0\ndelta = 1e-6\ndefault_rho = 0.01\n",
        items.join(", ")
    );
    Setting::new(text, &memorandum)
}

#[test]
fn every_example_is_accepted_or_refused_as_the_page_says() {
    let settings = BTreeMap::from(["city", "star"].map(|contract| (contract, setting(contract))));
    let examples = examples();
    let count =
        |refused: bool| examples.iter().filter(|example| example.refused.is_some() == refused).count();
    assert!(count(false) >= 30 && count(true) >= 30, "{} accepted, {} refused", count(false), count(true));
    let mut wrong = Vec::new();
    for Example { refused, contract, sql, instead } in &examples {
        let Setting { contract, memorandum, rules } = &settings[contract];
        let found = verify(sql, contract, memorandum, rules, &Options::default());
        let told = found.as_ref().err().map(|refusal| (refusal.rule.name(), refusal.rewrite.as_deref()));
        let said = refused.map(|rule| (rule, instead.as_deref()));
        if told != said {
            let found = found.err().map_or("accepted".to_owned(), |refusal| refusal.to_string());
            wrong.push(format!("{sql}\n{found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_shows_every_rule_about_sql() {
    let shown: Vec<&str> = examples().iter().filter_map(|example| example.refused).collect();
    for rule in [
        Rule::OneStatement,
        Rule::OnlySelect,
        Rule::PupilColumn,
        Rule::RowLevel,
        Rule::Function,
        Rule::Aggregate,
        Rule::Expression,
        Rule::Clause,
        Rule::Subquery,
        Rule::Window,
        Rule::PrivateJoin,
        Rule::Join,
        Rule::PublicOnly,
        Rule::Range,
        Rule::Contribution,
    ] {
        assert!(shown.contains(&rule.name()), "`{}`", rule.name());
    }
}

/// The rows of the table under a heading, as cells.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The words between backticks.
fn names(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_lists_every_name_and_limit() {
    let vocabulary = vocabulary();
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    let functions = table("Functions").iter().map(|row| format!("{:?} {}", names(row[0]), row[2])).collect();
    let known = vocabulary.functions.iter().map(|(names, totality)| {
        let total = match totality {
            Totality::Already => "always",
            Totality::Rewritten => "guarded",
            Totality::ConstantArguments => "constants",
        };
        format!("{names:?} {total}")
    });
    assert_eq!(sorted(functions), sorted(known.collect()));
    let owned = |names: &[&str]| sorted(names.iter().map(|name| (*name).to_owned()).collect());
    let aggregates: Vec<&str> = table("Aggregates").iter().flat_map(|row| names(row[0])).collect();
    assert_eq!(owned(&aggregates), owned(&vocabulary.aggregates));
    let windows = PAGE.split("\nWindow functions: ").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(owned(&names(windows)), owned(&vocabulary.windows));
    let limits: Vec<(&str, u64)> =
        table("Limits").iter().map(|row| (row[0], row[1].parse().unwrap())).collect();
    assert_eq!(limits, vocabulary.limits);
}
