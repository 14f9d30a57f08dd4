//! What the facts say, and that small invented tables never have more.
#![allow(clippy::unwrap_used, clippy::panic)]

mod random;
mod tables;

use disclosure_rules::Value;
use disclosure_rules::value::Day;
use memoranda::{Contract, Kind, Role, datapackage};

use super::bound::Bound;
use super::{bound, facts};
use crate::fields::derived;
use crate::function::Function;
use crate::tree::{
    Binary, Expr, Field, Frame, JoinKind, Literal, OrderKey, PupilCall, PupilFunction, Rel, Scan, WindowCall,
    WindowFunction,
};

/// Two private tables with keys, one without, and two public ones.
const CONTRACT: &str = r#"{ "name": "lineage", "version": "1.0.0", "enclave:unit": "pupil", "resources": [
  { "name": "pupils", "enclave:unitKey": "pupil", "schema": { "primaryKey": ["pupil"], "fields": [
      { "name": "pupil", "type": "integer", "enclave:role": "unit", "constraints": { "required": true } },
      { "name": "sex", "type": "string", "constraints": { "enum": ["f", "m"] } },
      { "name": "born", "type": "date",
        "constraints": { "required": true, "minimum": "2015-04-01", "maximum": "2016-03-31" } } ] } },
  { "name": "terms", "enclave:unitKey": "pupil", "enclave:maxRowsPerUnit": 4,
    "schema": { "primaryKey": ["pupil", "term", "subject"], "fields": [
      { "name": "pupil", "type": "integer", "enclave:role": "unit", "constraints": { "required": true } },
      { "name": "term", "type": "integer", "constraints": { "required": true, "minimum": 1, "maximum": 3 } },
      { "name": "subject", "type": "string", "constraints": { "required": true, "enum": ["art", "music"] } },
      { "name": "school", "type": "integer", "constraints": { "minimum": 1, "maximum": 4 } },
      { "name": "marks", "type": "integer", "constraints": { "minimum": -2, "maximum": 5000 } } ] } },
  { "name": "loans", "enclave:unitKey": "pupil", "schema": { "fields": [
      { "name": "pupil", "type": "integer", "enclave:role": "unit", "constraints": { "required": true } },
      { "name": "day", "type": "integer", "constraints": { "required": true } },
      { "name": "item", "type": "integer", "constraints": { "minimum": 1, "maximum": 3 } } ] } },
  { "name": "schools", "enclave:public": true, "schema": { "primaryKey": ["code"], "fields": [
      { "name": "code", "type": "integer", "constraints": { "required": true, "minimum": 1, "maximum": 4 } },
      { "name": "district", "type": "integer", "constraints": { "minimum": 1, "maximum": 2 } } ] } },
  { "name": "clubs", "enclave:public": true, "schema": { "fields": [
      { "name": "at", "type": "integer", "constraints": { "required": true, "minimum": 1, "maximum": 4 } },
      { "name": "size", "type": "integer" } ] } } ] }"#;

fn contract() -> Contract {
    datapackage::parse(CONTRACT).unwrap()
}

/// A table with these columns (all, if none is named).
fn scan(contract: &Contract, name: &str, columns: &[&str]) -> Rel {
    let table = contract.table(name).unwrap();
    let listed = |column: &&memoranda::Column| columns.is_empty() || columns.contains(&column.name.as_str());
    let field = |column: &memoranda::Column| Field {
        table: name.to_owned(),
        column: column.name.clone(),
        scan: 0,
        origins: [(name.to_owned(), column.name.clone())].into(),
        kind: column.kind,
        nullable: !column.required,
        unit: column.role == Role::Unit,
        range: column.range(),
        values: column.public_values(),
        references: None,
        step: column.step,
    };
    let columns = table.columns.iter().filter(listed).map(field).collect();
    Rel::Scan(Scan { table: name.to_owned(), public: !table.is_private(), columns, missing_row: false })
}

fn int(value: i64) -> Expr {
    Expr::Literal(Literal::Value(Value::Int(value)))
}

fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

/// A column by its name; of two, the first.
fn column(rel: &Rel, name: &str) -> Expr {
    let fields = rel.fields();
    let index = fields.iter().position(|field| field.column == name).unwrap();
    Expr::Column(index, fields[index].kind)
}

fn filter(rel: Rel, predicate: Expr) -> Rel {
    Rel::Filter { input: Box::new(rel), predicate }
}

fn equal_columns(left: Rel, right: Rel, kind: JoinKind, on: &[(&str, &str)]) -> Rel {
    let width = left.fields().len();
    let equal = |(a, b): &(&str, &str)| {
        binary(Binary::Equal, column(&left, a), column(&right, b).renumber(&|index| index + width))
    };
    let on = on.iter().map(equal).reduce(|a, b| binary(Binary::And, a, b));
    Rel::Join { left: Box::new(left), right: Box::new(right), kind, on }
}

fn per_pupil(input: Rel, keys: &[&str], calls: Vec<PupilCall>) -> Rel {
    let keys = keys.iter().map(|name| column(&input, name)).collect();
    Rel::Group { input: Box::new(input), keys, calls }
}

fn call(function: PupilFunction, args: Vec<Expr>) -> PupilCall {
    PupilCall { function, args, distinct: false, filter: None }
}

fn bound_of(rel: &Rel, keys: &[Expr]) -> Bound {
    bound(&facts(rel, &contract()), keys)
}

/// Rows, rows per group and groups of one pupil.
#[track_caller]
fn check(rel: &Rel, keys: &[Expr], [rows, per_group, groups]: [Option<u64>; 3]) {
    let found = bound_of(rel, keys);
    assert_eq!(
        [found.rows, found.rows_per_group, found.groups],
        [rows, per_group, groups],
        "{:?}",
        found.why
    );
}

#[test]
fn primary_keys_and_declared_rows_bound_a_table() {
    let contract = contract();
    let terms = scan(&contract, "terms", &[]);
    check(&terms, &[], [Some(4), Some(4), Some(1)]);
    check(&terms, &[column(&terms, "term")], [Some(4), Some(2), Some(3)]);
    check(&terms, &[column(&terms, "term"), column(&terms, "subject")], [Some(4), Some(1), Some(4)]);
    check(&terms, &[column(&terms, "pupil")], [Some(4), Some(4), Some(1)]);
    let pupils = scan(&contract, "pupils", &[]);
    check(&pupils, &[column(&pupils, "sex")], [Some(1), Some(1), Some(1)]);
    // The neighbour without key and declaration.
    let loans = scan(&contract, "loans", &[]);
    check(&loans, &[], [None, None, Some(1)]);
    check(&loans, &[column(&loans, "item")], [None, None, Some(4)]);
    check(&loans, &[column(&loans, "day")], [None, None, None]);
}

#[test]
fn a_key_that_the_memorandum_hides_counts_all_the_same() {
    let contract = contract();
    let terms = scan(&contract, "terms", &["pupil", "term", "school"]);
    check(&terms, &[column(&terms, "term")], [Some(4), Some(2), Some(3)]);
    let fixed = filter(terms.clone(), binary(Binary::Equal, column(&terms, "term"), int(1)));
    check(&fixed, &[], [Some(2), Some(2), Some(1)]);
}

#[test]
fn conditions_narrow_what_they_read() {
    let contract = contract();
    let terms = scan(&contract, "terms", &[]);
    let term = column(&terms, "term");
    let late = filter(terms.clone(), binary(Binary::Greater, term.clone(), int(2)));
    check(&late, &[], [Some(2), Some(2), Some(1)]);
    let either = filter(terms.clone(), Expr::In(Box::new(term), vec![Literal::Value(Value::Int(3))]));
    check(&either, &[column(&either, "subject")], [Some(2), Some(1), Some(2)]);
    // The same school each term: as many groups as there are schools left.
    let school = filter(terms.clone(), binary(Binary::Less, column(&terms, "school"), int(3)));
    check(&school, &[column(&school, "school")], [Some(4), Some(4), Some(2)]);
    let marks = filter(terms.clone(), binary(Binary::GreaterEqual, column(&terms, "marks"), int(4990)));
    let field = &marks.fields()[4];
    assert_eq!((field.range, field.nullable), (Some((4990.0, 5000.0)), false));
    assert_eq!(field.values.as_ref().map(Vec::len), Some(11));
}

#[test]
fn a_public_key_that_the_condition_fixes_adds_no_rows() {
    let contract = contract();
    let terms = || scan(&contract, "terms", &[]);
    let schools = scan(&contract, "schools", &[]);
    for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Semi] {
        let joined = equal_columns(terms(), schools.clone(), kind, &[("school", "code")]);
        check(&joined, &[], [Some(4), Some(4), Some(1)]);
    }
    // The neighbour without the key: every school, of which there are four.
    let crossed = equal_columns(terms(), schools, JoinKind::Inner, &[]);
    check(&crossed, &[], [Some(16), Some(16), Some(1)]);
    let clubs = equal_columns(terms(), scan(&contract, "clubs", &[]), JoinKind::Inner, &[("school", "at")]);
    check(&clubs, &[], [None, None, Some(1)]);
}

#[test]
fn private_sides_meet_pupil_by_pupil() {
    let contract = contract();
    let (terms, pupils) = (scan(&contract, "terms", &[]), scan(&contract, "pupils", &[]));
    let joined = equal_columns(terms.clone(), pupils.clone(), JoinKind::Inner, &[("pupil", "pupil")]);
    check(&joined, &[column(&joined, "sex")], [Some(4), Some(4), Some(1)]);
    check(&joined, &[column(&joined, "sex"), column(&joined, "term")], [Some(4), Some(2), Some(3)]);
    let same = equal_columns(terms.clone(), terms.clone(), JoinKind::Inner, &[("term", "term")]);
    check(&same, &[], [Some(8), Some(8), Some(1)]);
    let pairs = equal_columns(terms.clone(), terms.clone(), JoinKind::Inner, &[]);
    check(&pairs, &[], [Some(16), Some(16), Some(1)]);
    // The sex is missing beside a term that no pupil's row matches, and the same otherwise.
    let male = filter(pupils.clone(), binary(Binary::Equal, column(&pupils, "sex"), text("m")));
    let left = equal_columns(terms.clone(), male.clone(), JoinKind::Left, &[]);
    check(&left, &[column(&left, "sex")], [Some(4), Some(4), Some(1)]);
    let full = equal_columns(terms, male, JoinKind::Full, &[]);
    check(&full, &[column(&full, "sex")], [Some(5), Some(5), Some(2)]);
}

fn text(value: &str) -> Expr {
    Expr::Literal(Literal::Value(Value::Text(value.to_owned())))
}

#[test]
fn a_subquery_grouped_by_the_pupil_has_one_row_per_key() {
    let contract = contract();
    let terms = scan(&contract, "terms", &[]);
    let marks = column(&terms, "marks");
    let calls = vec![
        call(PupilFunction::Count, vec![]),
        call(PupilFunction::Sum, vec![marks.clone()]),
        call(PupilFunction::VarPop, vec![marks]),
    ];
    let each = per_pupil(terms.clone(), &["pupil", "term"], calls.clone());
    check(&each, &[], [Some(3), Some(3), Some(1)]);
    check(&each, &[column(&each, "term")], [Some(3), Some(1), Some(3)]);
    let fields = each.fields_under(&contract);
    assert_eq!((fields[2].range, fields[2].nullable), (Some((1.0, 2.0)), false));
    assert_eq!((fields[3].range, fields[3].nullable), (Some((-4.0, 10_000.0)), true));
    assert_eq!(fields[4].range, Some((0.0, 5002.0 * 5002.0 / 4.0)));
    // What the tree alone says has no upper end.
    assert_eq!(each.fields()[2].range, Some((1.0, f64::INFINITY)));
    // Keys that are known again: a count has two values.
    assert_eq!(fields[2].values, Some(vec![Value::Int(1), Value::Int(2)]));
    let whole = per_pupil(terms, &["pupil"], calls);
    check(&whole, &[Expr::Column(1, Kind::Integer)], [Some(1), Some(1), Some(1)]);
    // Without any bound on the rows, the groups still have one.
    let loans = per_pupil(scan(&contract, "loans", &[]), &["pupil", "item"], vec![]);
    check(&loans, &[], [Some(4), Some(4), Some(1)]);
}

#[test]
fn the_first_row_of_a_partition_is_one_row() {
    let contract = contract();
    let loans = scan(&contract, "loans", &[]);
    let numbered = |partition: Vec<Expr>| Rel::Window {
        calls: vec![WindowCall {
            function: WindowFunction::RowNumber,
            args: vec![],
            partition,
            order: vec![OrderKey { by: column(&loans, "day"), descending: false, nulls_first: false }],
            frame: Frame::Whole,
        }],
        input: Box::new(loans.clone()),
    };
    let first = |rel: Rel| filter(rel, binary(Binary::Equal, Expr::Column(3, Kind::Integer), int(1)));
    check(&first(numbered(vec![])), &[], [Some(1), Some(1), Some(1)]);
    check(&first(numbered(vec![column(&loans, "item")])), &[], [Some(4), Some(4), Some(1)]);
    let top = filter(numbered(vec![]), binary(Binary::LessEqual, Expr::Column(3, Kind::Integer), int(2)));
    check(&top, &[], [Some(2), Some(2), Some(1)]);
    check(&numbered(vec![]), &[], [None, None, Some(1)]);
}

#[test]
fn a_key_that_is_an_expression_has_the_values_it_can_have() {
    let contract = contract();
    let pupils = scan(&contract, "pupils", &[]);
    let terms = scan(&contract, "terms", &[]);
    let late = Expr::Case(
        vec![(binary(Binary::Greater, column(&terms, "term"), int(1)), text("late"))],
        Some(Box::new(text("early"))),
    );
    check(&terms, std::slice::from_ref(&late), [Some(4), Some(4), Some(2)]);
    let field = derived(&late, &terms.fields());
    assert_eq!(field.values, Some(vec![Value::Text("early".to_owned()), Value::Text("late".to_owned())]));
    assert!(!field.nullable && field.origins.contains(&("terms".to_owned(), "term".to_owned())));
    // Every day of the range is tried.
    let month = Expr::Call(Function::DatePart, vec![text("month"), column(&pupils, "born")]);
    let field = derived(&month, &pupils.fields());
    assert_eq!(field.values.map(|values| values.len()), Some(12));
    let year = Expr::Call(Function::DatePart, vec![text("year"), column(&pupils, "born")]);
    assert_eq!(derived(&year, &pupils.fields()).values, Some(vec![Value::Int(2015), Value::Int(2016)]));
    let start = Expr::Call(Function::DateTrunc, vec![text("quarter"), column(&pupils, "born")]);
    let quarter = Expr::Cast(Box::new(start), Kind::Date);
    assert_eq!(derived(&quarter, &pupils.fields()).values.map(|values| values.len()), Some(4));
}

#[test]
fn ranges_hold_where_numbers_wrap_and_where_values_are_missing() {
    let contract = contract();
    let terms = scan(&contract, "terms", &[]);
    let fields = terms.fields();
    let (term, marks) = (column(&terms, "term"), column(&terms, "marks"));
    let sum = derived(&binary(Binary::Add, term.clone(), marks.clone()), &fields);
    assert_eq!((sum.range, sum.nullable), (Some((-1.0, 5003.0)), true));
    let huge = binary(Binary::Multiply, marks.clone(), int(1 << 62));
    assert_eq!(derived(&huge, &fields).range, None);
    let tried = binary(Binary::Multiply, term.clone(), int(1 << 62));
    assert_eq!(derived(&tried, &fields).range, Some((i64::MIN as f64, (1_i64 << 62) as f64)));
    let known = binary(Binary::IsDistinct, marks.clone(), int(1));
    assert!(!derived(&known, &fields).nullable);
    let divided = binary(Binary::Divide, term, marks);
    assert!(derived(&divided, &fields).nullable);
}

#[test]
fn a_condition_lists_the_values_of_a_column_that_the_contract_does_not() {
    let contract = contract();
    let loans = scan(&contract, "loans", &[]);
    let day = column(&loans, "day");
    assert_eq!(loans.fields()[1].values, None);
    let list = [3, 5].map(|day| Literal::Value(Value::Int(day))).to_vec();
    let some = filter(loans.clone(), Expr::In(Box::new(day.clone()), list));
    assert_eq!(some.fields()[1].values, Some(vec![Value::Int(3), Value::Int(5)]));
    check(&some, &[column(&some, "day")], [None, None, Some(2)]);
    // A date of birth from one month, in days since 1970-01-01.
    let pupils = scan(&contract, "pupils", &[]);
    let first = Expr::Literal(Literal::Value(Value::Date(Day::parse("2016-03-01").unwrap())));
    let march = filter(pupils.clone(), binary(Binary::LessEqual, first, column(&pupils, "born")));
    assert_eq!(march.fields()[2].range, Some((16_861.0, 16_891.0)));
}

#[test]
fn reasons_are_given_in_words() {
    let contract = contract();
    let terms = scan(&contract, "terms", &[]);
    let joined = equal_columns(terms, scan(&contract, "pupils", &[]), JoinKind::Inner, &[("pupil", "pupil")]);
    let one = filter(joined.clone(), binary(Binary::Equal, column(&joined, "subject"), text("art")));
    let why = bound_of(&one, &[column(&one, "sex"), column(&one, "term")]).why;
    assert_eq!(
        why,
        [
            "at most 3 rows per pupil: primary key (pupil, term, subject) of `terms`; primary key (pupil) of \
             `pupils`; `term` has 3 values",
            "at most 1 row per pupil and group: primary key (pupil, term, subject) of `terms`; primary key \
             (pupil) of `pupils`",
        ]
    );
    assert_eq!(
        bound_of(&one, &[column(&one, "sex")]).why[1],
        "`sex` is the same in all rows of a pupil: 1 group"
    );
}
