//! Numbers, conditions and keys over the columns of a relation; many have no value for some row.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::schema::Kind;
use super::source::{Column, one_in, pick};

/// A number; of the columns alone where `depth` is 0.
pub(crate) fn number(dice: &mut ChaCha8Rng, columns: &[Column], depth: u32) -> String {
    let numbers: Vec<&Column> = columns.iter().filter(|column| column.is_number()).collect();
    if depth == 0 {
        return match numbers.is_empty() {
            true => counted(dice, columns),
            false => pick(dice, &numbers).name.clone(),
        };
    }
    let a = number(dice, columns, depth - 1);
    let b = number(dice, columns, depth - 1);
    match dice.random_range(0..24) {
        0..6 => a,
        6 => format!("({a} + {b})"),
        7 => format!("({a} - {b})"),
        8 => format!("({a} * {b})"),
        9 => format!("({a} / {b})"),
        10 => format!("({a} % 3)"),
        11 => format!("(-{a})"),
        12 => format!("ABS({a})"),
        13 => format!("CASE WHEN {} THEN {a} ELSE {b} END", condition(dice, columns, 0)),
        14 => format!("COALESCE({a}, 2)"),
        15 => format!("LN({a} - {a})"),
        16 => format!("EXP(1000 * {a})"),
        17 => format!("SQRT({a} - 2)"),
        18 => format!("(1 / ({a} - {a}))"),
        19 => format!("POWER({a}, 2)"),
        20 => format!("ROUND({a} / 7.0, 1)"),
        21 => format!("NULLIF({a}, 1)"),
        22 => counted(dice, columns),
        _ => format!("CAST({a} AS DOUBLE)"),
    }
}

/// A number of something that is not one.
fn counted(dice: &mut ChaCha8Rng, columns: &[Column]) -> String {
    if columns.is_empty() {
        return "1".to_owned();
    }
    let column = pick(dice, columns);
    match column.kind {
        Kind::Number(_) => column.name.clone(),
        Kind::Text(..) if one_in(dice, 2) => format!("CAST({} AS BIGINT)", column.name),
        Kind::Text(..) => format!("LENGTH({})", column.name),
        Kind::Flag => format!("CASE WHEN {} THEN 1 ELSE 0 END", column.name),
        Kind::Day => format!("date_part('month', {})", column.name),
    }
}

/// A number that is bounded whatever the rows are.
pub(crate) fn bounded(dice: &mut ChaCha8Rng, columns: &[Column]) -> String {
    let (depth, wide) = (dice.random_range(0..3), one_in(dice, 2));
    let number = number(dice, columns, depth);
    if wide {
        format!("GREATEST(LEAST({number}, 100), -50)")
    } else {
        format!("GREATEST(LEAST({number}, 4), 1)")
    }
}

pub(crate) fn condition(dice: &mut ChaCha8Rng, columns: &[Column], depth: u32) -> String {
    if columns.is_empty() {
        return "1 = 1".to_owned();
    }
    if depth > 0 {
        let a = condition(dice, columns, depth - 1);
        match dice.random_range(0..6) {
            0 => return format!("({a} AND {})", condition(dice, columns, depth - 1)),
            1 => return format!("({a} OR {})", condition(dice, columns, depth - 1)),
            2 => return format!("NOT ({a})"),
            3 => return format!("{} > {}", number(dice, columns, depth), number(dice, columns, depth - 1)),
            _ => return a,
        }
    }
    let Column { name, kind } = pick(dice, columns);
    match *kind {
        Kind::Number(_) => match dice.random_range(0..4) {
            0 => format!("{name} > 2"),
            1 => format!("{name} BETWEEN 1 AND 2025"),
            2 => format!("{name} IN (1, 2, 9, 2025)"),
            _ => format!("{name} IS NOT NULL"),
        },
        Kind::Text([a, b], _) => match dice.random_range(0..4) {
            0 => format!("{name} = '{a}'"),
            1 => format!("{name} IN ('{a}', '{b}')"),
            2 => format!("{name} LIKE '%{b}'"),
            _ => format!("{name} IS NULL"),
        },
        Kind::Flag => name.clone(),
        Kind::Day => format!("{name} >= '2012-04-02'"),
    }
}

/// A key with few values.
pub(crate) fn key(dice: &mut ChaCha8Rng, columns: &[Column]) -> String {
    let plain: Vec<&Column> = columns.iter().filter(|column| column.makes_keys()).collect();
    let column = (!plain.is_empty()).then(|| *pick(dice, &plain));
    match (dice.random_range(0..8), column) {
        (0..5, Some(column)) => column.name.clone(),
        (5, Some(column)) if matches!(column.kind, Kind::Text(..)) => {
            format!("COALESCE(UPPER({}), 'none')", column.name)
        }
        (5, Some(column)) if column.is_number() => format!("{} % 3", column.name),
        (6, _) => format!("CASE WHEN {} THEN 'yes' ELSE 'no' END", condition(dice, columns, 1)),
        _ => format!("{} IS NULL", number(dice, columns, 1)),
    }
}
