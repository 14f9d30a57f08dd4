//! A checker of CSV tables against their contract, as plain as can be: what ingest must agree with.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use memoranda::{Column, Contract, Kind, Table};

/// Every way in which the tables of `dir` break `contract`, as `table:line: column: rule`; and the rows per table.
pub(crate) fn check(contract: &Contract, dir: &Path) -> (Vec<String>, HashMap<String, usize>) {
    let mut broken = Vec::new();
    let mut rows = HashMap::new();
    let mut keys: HashMap<&str, HashSet<Vec<String>>> = HashMap::new();
    let ordered = contract
        .tables
        .iter()
        .filter(|t| !t.is_private())
        .chain(contract.tables.iter().filter(|t| t.is_private()));
    for table in ordered {
        let records = read(&dir.join(table.path.as_deref().unwrap()), table);
        rows.insert(table.name.clone(), records.len());
        let patterns: Vec<_> =
            table.columns.iter().map(|c| c.pattern.as_ref().map(|p| regex::Regex::new(p).unwrap())).collect();
        let mut seen = HashSet::new();
        let mut per_unit: HashMap<&str, u64> = HashMap::new();
        for (at, record) in records.iter().enumerate() {
            let line = at + 2;
            let mut fail =
                |column: &str, rule: &str| broken.push(format!("{}:{line}: {column}: {rule}", table.name));
            for ((column, pattern), value) in table.columns.iter().zip(&patterns).zip(record) {
                if let Err(rule) = check_value(column, pattern.as_ref(), value) {
                    fail(&column.name, rule);
                }
            }
            let key = values(table, record, &table.primary_key);
            if !table.primary_key.is_empty() && !seen.insert(key) {
                fail("primary key", "not unique");
            }
            for foreign in &table.foreign_keys {
                let there = keys.get(foreign.table.as_str());
                if !there.is_some_and(|there| there.contains(&values(table, record, &foreign.columns))) {
                    fail(&foreign.columns.join(","), "refers to nothing");
                }
            }
            if let (Some(unit), Some(most)) = (table.unit_column(), table.max_rows_per_unit) {
                let count = per_unit.entry(&record[position(table, unit)]).or_default();
                *count += 1;
                if *count > most.0 {
                    fail(unit, "too many rows");
                }
            }
        }
        keys.insert(&table.name, seen);
    }
    (broken, rows)
}

fn read(path: &Path, table: &Table) -> Vec<Vec<String>> {
    let mut csv = csv::Reader::from_path(path).unwrap();
    let header: Vec<_> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, table.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>(), "{}", table.name);
    csv.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn position(table: &Table, column: &str) -> usize {
    table.columns.iter().position(|c| c.name == column).unwrap()
}

fn values(table: &Table, record: &[String], columns: &[String]) -> Vec<String> {
    columns.iter().map(|column| record[position(table, column)].clone()).collect()
}

fn check_value(column: &Column, pattern: Option<&regex::Regex>, value: &str) -> Result<(), &'static str> {
    if value.is_empty() {
        return if column.required { Err("required") } else { Ok(()) };
    }
    let number = match column.kind {
        Kind::Integer => Some(value.parse::<i64>().map_err(|_| "not an integer")? as f64),
        Kind::Number => Some(value.parse::<f64>().map_err(|_| "not a number")?),
        Kind::Date => {
            let date = value.parse::<chrono::NaiveDate>().map_err(|_| "not a date")?;
            Some((date - chrono::NaiveDate::default()).num_days() as f64)
        }
        Kind::Boolean => {
            return if ["true", "false"].contains(&value) { Ok(()) } else { Err("not a boolean") };
        }
        Kind::Text | Kind::DateTime => None,
    };
    if number.is_some_and(|n| {
        column.minimum.is_some_and(|low| n < low) || column.maximum.is_some_and(|high| n > high)
    }) {
        return Err("out of range");
    }
    if column.codes.as_ref().is_some_and(|codes| codes.iter().all(|code| code.to_string() != value)) {
        return Err("not in the code list");
    }
    if pattern.is_some_and(|pattern| !pattern.is_match(value)) {
        return Err("pattern");
    }
    Ok(())
}
