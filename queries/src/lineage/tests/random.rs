//! Random relations over random rows: no pupil ever has more than the facts say, and no value is another.

use std::collections::{BTreeMap, BTreeSet};

use disclosure_rules::Value;
use memoranda::{Contract, Kind};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::bound::Bound;
use super::super::{Facts, bound, facts};
use super::tables::{Row, Tables, rows, values};
use super::{binary, contract, int, scan};
use crate::tree::{
    Binary, Expr, Field, Frame, JoinKind, Literal, OrderKey, PupilCall, PupilFunction, Rel, Unary,
    WindowCall, WindowFunction,
};

/// Numbers that decide everything, so that a counter-example shrinks.
struct Choices(std::vec::IntoIter<u32>);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.0.next().unwrap_or(0) as usize % n.max(1)
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn tables(choices: &mut Choices) -> Tables {
    let mut found = Tables::new();
    let int = |choices: &mut Choices, least: i64, most: i64| {
        Value::Int(least + choices.below((most - least + 1) as usize) as i64)
    };
    let word = |choices: &mut Choices, words: &[&str]| Value::Text(choices.of(words).to_owned());
    for pupil in 1..=2 {
        let mut add = |name: &'static str, row: Vec<Value>| {
            let row = [vec![Value::Int(pupil)], row].concat();
            found.entry(name).or_default().push((Some(pupil), row));
        };
        if choices.chance(80) {
            let sex = if choices.chance(20) { Value::Null } else { word(choices, &["f", "m"]) };
            add("pupils", vec![sex]);
        }
        let mut few = 0;
        for term in 1..=3 {
            for subject in ["art", "music"] {
                if few < 4 && choices.chance(60) {
                    few += 1;
                    let school = if choices.chance(20) { Value::Null } else { int(choices, 1, 4) };
                    let marks = if choices.chance(20) { Value::Null } else { int(choices, -2, 3) };
                    add("terms", vec![Value::Int(term), Value::Text(subject.to_owned()), school, marks]);
                }
            }
        }
        for _ in 0..choices.below(5) {
            let item = if choices.chance(20) { Value::Null } else { int(choices, 1, 3) };
            add("loans", vec![int(choices, 1, 9), item]);
        }
    }
    for code in 1..=4 {
        if choices.chance(80) {
            let district = if choices.chance(20) { Value::Null } else { int(choices, 1, 2) };
            found.entry("schools").or_default().push((None, vec![Value::Int(code), district]));
        }
    }
    for _ in 0..choices.below(4) {
        let row = vec![int(choices, 1, 4), int(choices, 0, 3)];
        found.entry("clubs").or_default().push((None, row));
    }
    for name in ["pupils", "terms", "loans", "schools", "clubs"] {
        found.entry(name).or_default();
    }
    found
}

fn numbered(fields: &[Field], wanted: impl Fn(&Field) -> bool) -> Vec<Expr> {
    let column = |(index, field): (usize, &Field)| Expr::Column(index, field.kind);
    fields.iter().enumerate().filter(|(_, field)| !field.unit && wanted(field)).map(column).collect()
}

/// A whole number over the columns.
fn number(choices: &mut Choices, fields: &[Field]) -> Expr {
    let columns = numbered(fields, |field| field.kind == Kind::Integer);
    if columns.is_empty() {
        return int(choices.below(3) as i64);
    }
    let column = choices.of(&columns);
    match choices.below(6) {
        0 => binary(Binary::Add, column, int(1)),
        1 => binary(Binary::Modulo, column, int(2)),
        2 => Expr::Case(
            vec![(condition(choices, fields), column)],
            choices.chance(50).then(|| Box::new(int(7))),
        ),
        _ => column,
    }
}

fn expression(choices: &mut Choices, fields: &[Field]) -> Expr {
    let columns = numbered(fields, |_| true);
    if columns.is_empty() || choices.chance(30) { number(choices, fields) } else { choices.of(&columns) }
}

fn condition(choices: &mut Choices, fields: &[Field]) -> Expr {
    let columns = numbered(fields, |field| field.kind == Kind::Integer);
    let column = if columns.is_empty() { int(1) } else { choices.of(&columns) };
    let constant = int(choices.below(5) as i64);
    let comparisons = [
        Binary::Equal,
        Binary::Equal,
        Binary::NotEqual,
        Binary::Less,
        Binary::LessEqual,
        Binary::Greater,
        Binary::GreaterEqual,
        Binary::IsDistinct,
        Binary::IsNotDistinct,
    ];
    let missing = |column| Expr::Unary(Unary::IsNull, Box::new(column));
    match choices.below(8) {
        0 => missing(column),
        1 => Expr::Unary(Unary::Not, Box::new(missing(column))),
        2 => Expr::In(Box::new(column), vec![Literal::Value(Value::Int(1)), Literal::Value(Value::Int(3))]),
        3 => {
            let op = choices.of(&comparisons);
            let other = if columns.is_empty() { constant } else { choices.of(&columns) };
            binary(op, column, other)
        }
        4 => {
            let op = choices.of(&[Binary::And, Binary::Or]);
            let other = binary(Binary::Less, column.clone(), int(3));
            binary(op, binary(Binary::GreaterEqual, column, constant), other)
        }
        5 => Expr::Unary(Unary::Not, Box::new(binary(Binary::Greater, column, constant))),
        _ => binary(choices.of(&comparisons), column, constant),
    }
}

fn relation(choices: &mut Choices, contract: &Contract, depth: usize) -> Rel {
    let name = choices.of(&["terms", "terms", "pupils", "loans"]);
    if depth == 0 {
        let mut hidden = scan(contract, name, &[]);
        if let Rel::Scan(scan) = &mut hidden {
            scan.columns.retain(|field| field.column != "born");
        }
        return hidden;
    }
    let input = relation(choices, contract, depth - 1);
    let fields = input.fields();
    let input = Box::new(input);
    match choices.below(9) {
        0 | 1 => Rel::Filter { predicate: condition(choices, &fields), input },
        2 | 3 => {
            let private = choices.chance(50);
            let right = if private {
                let depth = choices.below(depth);
                relation(choices, contract, depth)
            } else {
                scan(contract, choices.of(&["schools", "clubs"]), &[])
            };
            let kinds = [
                JoinKind::Inner,
                JoinKind::Left,
                JoinKind::Semi,
                JoinKind::Anti,
                JoinKind::Right,
                JoinKind::Full,
            ];
            let kind = choices.of(&kinds[..if private { 6 } else { 4 }]);
            let all = [fields, right.fields()].concat();
            let mut on = choices.chance(20).then(|| condition(choices, &all));
            let width = all.len() - right.fields().len();
            let (a, b) = (number(choices, &all[..width]), number(choices, &right.fields()));
            if choices.chance(80) {
                let equal = binary(Binary::Equal, a, b.renumber(&|index| index + width));
                on = Some(on.map_or(equal.clone(), |on| binary(Binary::And, equal, on)));
            }
            Rel::Join { left: input, right: Box::new(right), kind, on }
        }
        4 => {
            let columns = (0..=choices.below(3)).map(|_| expression(choices, &fields)).collect();
            Rel::Project { columns, input }
        }
        5 => {
            let keys = (0..choices.below(3)).map(|_| expression(choices, &fields)).collect();
            let functions =
                [PupilFunction::Count, PupilFunction::Sum, PupilFunction::Min, PupilFunction::Max];
            let call = |choices: &mut Choices| {
                let function = choices.of(&functions);
                let argument = number(choices, &fields);
                PupilCall {
                    function,
                    args: if function == PupilFunction::Count && choices.chance(50) {
                        vec![]
                    } else {
                        vec![argument]
                    },
                    distinct: choices.chance(20),
                    filter: choices.chance(20).then(|| condition(choices, &fields)),
                }
            };
            let calls = (0..=choices.below(2)).map(|_| call(choices)).map(|mut call| {
                call.distinct &= !call.args.is_empty();
                call
            });
            let calls = calls.collect();
            Rel::Group { keys, calls, input }
        }
        6 => {
            let functions = [
                WindowFunction::RowNumber,
                WindowFunction::RowNumber,
                WindowFunction::Lag,
                WindowFunction::Aggregate(PupilFunction::Sum),
                WindowFunction::Aggregate(PupilFunction::Count),
            ];
            let call = WindowCall {
                function: choices.of(&functions),
                args: vec![number(choices, &fields)],
                partition: (0..choices.below(2)).map(|_| expression(choices, &fields)).collect(),
                order: vec![OrderKey { by: number(choices, &fields), descending: false, nulls_first: true }],
                frame: choices.of(&[
                    Frame::Whole,
                    Frame::Rows(Some(1), Some(1)),
                    Frame::Rows(Some(-1), Some(2)),
                ]),
            };
            Rel::Window { calls: vec![call], input }
        }
        7 => Rel::Distinct(input),
        _ => {
            let other = relation(choices, contract, depth - 1);
            let pair = |choices: &mut Choices, rel: Rel| {
                let fields = rel.fields();
                let columns = vec![number(choices, &fields), number(choices, &fields)];
                Rel::Project { input: Box::new(rel), columns }
            };
            Rel::Union(vec![pair(choices, *input), pair(choices, other)])
        }
    }
}

/// The rows of each pupil.
fn by_pupil(rows: &[Row]) -> BTreeMap<Option<i64>, Vec<&Vec<Value>>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    rows.iter().for_each(|(pupil, row)| found.entry(*pupil).or_default().push(row));
    found
}

fn part(row: &[Value], columns: &BTreeSet<usize>) -> Vec<Value> {
    columns.iter().map(|index| row[*index].clone()).collect()
}

/// The relation without its columns' descriptions.
fn shape(rel: &Rel) -> String {
    let inputs: Vec<String> = rel.inputs().into_iter().map(shape).collect();
    let inputs = inputs.join(", ");
    match rel {
        Rel::Scan(scan) => scan.table.clone(),
        Rel::Filter { predicate, .. } => format!("({inputs}) where {predicate:?}"),
        Rel::Join { kind, on, .. } => format!("{kind:?}({inputs} on {on:?})"),
        Rel::Project { columns, .. } => format!("project({inputs}; {columns:?})"),
        Rel::Group { keys, calls, .. } => format!("group({inputs}; {keys:?}; {calls:?})"),
        Rel::Window { calls, .. } => format!("window({inputs}; {calls:?})"),
        Rel::Distinct(_) => format!("distinct({inputs})"),
        Rel::Union(_) | Rel::Values(..) => format!("union({inputs})"),
    }
}

/// The first fact that the rows contradict.
fn contradiction(facts: &Facts, rows: &[Row]) -> Option<String> {
    for row in rows.iter().map(|(_, row)| row) {
        for (value, field) in row.iter().zip(&facts.fields) {
            let fits = match value {
                Value::Null => field.nullable,
                value => {
                    let listed = field.unit || field.values.as_ref().is_none_or(|list| list.contains(value));
                    let within = match value {
                        Value::Int(i) => {
                            field.range.is_none_or(|(low, high)| (low..=high).contains(&(*i as f64)))
                        }
                        _ => true,
                    };
                    listed && within
                }
            };
            if !fits {
                return Some(format!("{value:?} is not of {field:?}"));
            }
        }
    }
    for rows in by_pupil(rows).values() {
        if facts.rows.is_some_and(|most| rows.len() as u64 > most) {
            return Some(format!("{} rows", rows.len()));
        }
        for key in &facts.keys {
            let mut agreeing: BTreeMap<_, u64> = BTreeMap::new();
            rows.iter().for_each(|row| *agreeing.entry(part(row, &key.columns)).or_default() += 1);
            if agreeing.values().any(|count| *count > key.rows) {
                return Some(format!("{agreeing:?} against {key:?}"));
            }
        }
        for (left, right) in &facts.determines {
            let mut fixed = BTreeMap::new();
            for row in rows {
                let value = part(row, right);
                if *fixed.entry(part(row, left)).or_insert(value.clone()) != value {
                    return Some(format!("{left:?} does not determine {right:?}"));
                }
            }
        }
        for (index, domain) in facts.domain.iter().enumerate() {
            let different: BTreeSet<_> = rows.iter().map(|row| &row[index]).collect();
            if domain.is_some_and(|domain| different.len() as u64 > domain) {
                return Some(format!("column {index} has {different:?}"));
            }
        }
    }
    None
}

/// A random question: a relation, group keys, and the rows that it has.
fn question(numbers: Vec<u32>, depth: usize) -> (Rel, Vec<Expr>, Vec<Row>) {
    let mut choices = Choices(numbers.into_iter());
    let rel = relation(&mut choices, &contract(), depth);
    let fields = rel.fields();
    let keys: Vec<Expr> = (0..choices.below(3)).map(|_| expression(&mut choices, &fields)).collect();
    let tables = tables(&mut choices);
    let all = rows(&rel, &tables);
    (rel, keys, all)
}

/// Per bound, what it says and the most that a pupil has.
fn against(found: &Bound, keys: &[Expr], fields: &[Field], all: &[Row]) -> [(Option<u64>, u64); 3] {
    let of_keys: Vec<_> = keys.iter().map(|key| values(key, fields, all)).collect();
    let mut groups: BTreeMap<Option<i64>, BTreeMap<Vec<Value>, u64>> = BTreeMap::new();
    for (i, (pupil, _)) in all.iter().enumerate() {
        let key = of_keys.iter().map(|key| key[i].clone()).collect();
        *groups.entry(*pupil).or_default().entry(key).or_default() += 1;
    }
    let most = |of: fn(&BTreeMap<Vec<Value>, u64>) -> u64| groups.values().map(of).max().unwrap_or(0);
    [
        (found.rows, most(|groups| groups.values().sum())),
        (found.rows_per_group, most(|groups| groups.values().copied().max().unwrap_or(0))),
        (found.groups, most(|groups| groups.len() as u64)),
    ]
}

fn check(numbers: Vec<u32>, depth: usize) -> Result<(), TestCaseError> {
    let (rel, keys, all) = question(numbers, depth);
    let facts = facts(&rel, &contract());
    let wrong = contradiction(&facts, &all);
    prop_assert!(wrong.is_none(), "{}: {}\n{all:?}", wrong.unwrap_or_default(), shape(&rel));
    // What the tree alone says of its columns holds as well.
    let loose = Facts { fields: rel.fields(), keys: vec![], determines: vec![], domain: vec![], rows: None };
    let wrong = contradiction(&loose, &all);
    prop_assert!(wrong.is_none(), "{}: {}\n{all:?}", wrong.unwrap_or_default(), shape(&rel));
    let found = bound(&facts, &keys);
    for (most, counted) in against(&found, &keys, &facts.fields, &all) {
        let kept = most.is_none_or(|most| counted <= most);
        prop_assert!(kept, "{counted} of {found:?}: {}\n{keys:?}\n{all:?}", shape(&rel));
    }
    Ok(())
}

/// With any bound lowered by one, the properties below would fail.
#[test]
fn every_bound_is_reached() {
    let mut runner = TestRunner::deterministic();
    let mut reached = [0; 3];
    for _ in 0..150 {
        let numbers = prop::collection::vec(any::<u32>(), 120).new_tree(&mut runner).unwrap().current();
        let (rel, keys, all) = question(numbers, 2);
        let facts = facts(&rel, &contract());
        let found = bound(&facts, &keys);
        for (reached, (most, counted)) in reached.iter_mut().zip(against(&found, &keys, &facts.fields, &all))
        {
            *reached += u32::from(counted > 1 && most == Some(counted));
        }
    }
    assert!(reached.iter().all(|times| *times > 0), "{reached:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn shallow_relations_keep_their_bounds(numbers in prop::collection::vec(any::<u32>(), 120)) {
        check(numbers, 2)?;
    }

    #[test]
    fn deep_relations_keep_their_bounds(numbers in prop::collection::vec(any::<u32>(), 200)) {
        check(numbers, 4)?;
    }
}
