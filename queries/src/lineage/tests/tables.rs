//! Relations over tiny tables, worked out row by row.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use disclosure_rules::Value;

use crate::emit::scalar;
use crate::finite;
use crate::tree::{Expr, Field, Frame, JoinKind, PupilFunction, Rel, WindowFunction};

/// A row and its pupil; `None` where it is public.
pub(super) type Row = (Option<i64>, Vec<Value>);
/// Rows by table.
pub(super) type Tables = BTreeMap<&'static str, Vec<Row>>;

/// The values of an expression over rows.
pub(super) fn values(expr: &Expr, fields: &[Field], rows: &[Row]) -> Vec<Value> {
    let column = |(index, field): (usize, &Field)| -> Vec<ScalarValue> {
        rows.iter().map(|(_, row)| scalar(&row[index], field.kind).unwrap()).collect()
    };
    let columns: Vec<_> = fields.iter().enumerate().map(column).collect();
    let array = finite::evaluate(expr, fields, &columns, rows.len()).unwrap();
    (0..rows.len())
        .map(|i| finite::value(&ScalarValue::try_from_array(&array, i).unwrap()).unwrap())
        .collect()
}

fn holds(expr: Option<&Expr>, fields: &[Field], rows: &[Row]) -> Vec<bool> {
    match expr {
        None => vec![true; rows.len()],
        Some(expr) => {
            values(expr, fields, rows).into_iter().map(|value| value == Value::Bool(true)).collect()
        }
    }
}

pub(super) fn rows(rel: &Rel, tables: &Tables) -> Vec<Row> {
    match rel {
        Rel::Scan(scan) => tables[scan.table.as_str()].clone(),
        Rel::Values(_, values) => values.iter().map(|value| (None, vec![value.clone()])).collect(),
        Rel::Filter { input, predicate } => {
            let all = rows(input, tables);
            let kept = holds(Some(predicate), &input.fields(), &all);
            all.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(row, _)| row).collect()
        }
        Rel::Project { input, columns } => {
            let all = rows(input, tables);
            let columns: Vec<_> = columns.iter().map(|expr| values(expr, &input.fields(), &all)).collect();
            let row = |i: usize| columns.iter().map(|column| column[i].clone()).collect();
            all.iter().enumerate().map(|(i, (pupil, _))| (*pupil, row(i))).collect()
        }
        Rel::Distinct(input) => {
            let mut all = rows(input, tables);
            all.sort();
            all.dedup();
            all
        }
        Rel::Union(inputs) => inputs.iter().flat_map(|input| rows(input, tables)).collect(),
        Rel::Join { left, right, kind, on } => join(left, right, *kind, on.as_ref(), tables),
        Rel::Group { input, keys, calls } => {
            let all = rows(input, tables);
            let fields = input.fields();
            let keys: Vec<_> = keys.iter().map(|key| values(key, &fields, &all)).collect();
            let mut groups: BTreeMap<Row, Vec<usize>> = BTreeMap::new();
            for (i, (pupil, _)) in all.iter().enumerate() {
                groups.entry((*pupil, keys.iter().map(|key| key[i].clone()).collect())).or_default().push(i);
            }
            let calls: Vec<_> = calls
                .iter()
                .map(|call| {
                    let args = call.args.first().map(|argument| values(argument, &fields, &all));
                    let seen = holds(call.filter.as_ref(), &fields, &all);
                    (call, args, seen)
                })
                .collect();
            let row = |((pupil, key), members): (Row, Vec<usize>)| {
                let call = |(call, args, seen): &(&crate::tree::PupilCall, Option<Vec<Value>>, Vec<bool>)| {
                    let members = members.iter().filter(|i| seen[**i]);
                    let mut of: Vec<Value> = members
                        .map(|i| args.as_ref().map_or(Value::Int(0), |args| args[*i].clone()))
                        .collect();
                    if call.distinct {
                        of.sort();
                        of.dedup();
                    }
                    aggregate(call.function, of)
                };
                (pupil, key.into_iter().chain(calls.iter().map(call)).collect())
            };
            groups.into_iter().map(row).collect()
        }
        Rel::Window { input, calls } => {
            let all = rows(input, tables);
            let fields = input.fields();
            let mut found = all.clone();
            for call in calls {
                let partition: Vec<_> = call.partition.iter().map(|key| values(key, &fields, &all)).collect();
                let order = values(&call.order[0].by, &fields, &all);
                let argument = call.args.first().map(|argument| values(argument, &fields, &all));
                let mut parts: BTreeMap<Row, Vec<usize>> = BTreeMap::new();
                for (i, (pupil, _)) in all.iter().enumerate() {
                    let key = partition.iter().map(|key| key[i].clone()).collect();
                    parts.entry((*pupil, key)).or_default().push(i);
                }
                for mut part in parts.into_values() {
                    part.sort_by_key(|i| order[*i].clone());
                    let of =
                        |i: usize| argument.as_ref().map_or(Value::Int(0), |values| values[part[i]].clone());
                    for place in 0..part.len() {
                        let value = match call.function {
                            WindowFunction::RowNumber => Value::Int(place as i64 + 1),
                            WindowFunction::Lag => place.checked_sub(1).map_or(Value::Null, of),
                            WindowFunction::Aggregate(function) => {
                                let (first, last) = match call.frame {
                                    Frame::Rows(Some(before), Some(after)) => {
                                        (place as i64 - before, place as i64 + after)
                                    }
                                    _ => (0, part.len() as i64),
                                };
                                let seen = (0..part.len()).filter(|i| (first..=last).contains(&(*i as i64)));
                                aggregate(function, seen.map(of).collect())
                            }
                            other => panic!("{other:?} is not worked out here"),
                        };
                        found[part[place]].1.push(value);
                    }
                }
            }
            found
        }
    }
}

fn join(left: &Rel, right: &Rel, kind: JoinKind, on: Option<&Expr>, tables: &Tables) -> Vec<Row> {
    let (a, b) = (rows(left, tables), rows(right, tables));
    let fields = [left.fields(), right.fields()].concat();
    let nothing = |rel: &Rel| vec![Value::Null; rel.fields().len()];
    let (mut pairs, mut places) = (Vec::new(), Vec::new());
    for (i, (of_a, x)) in a.iter().enumerate() {
        for (j, (of_b, y)) in b.iter().enumerate() {
            if of_a.is_none() || of_b.is_none() || of_a == of_b {
                pairs.push((of_a.or(*of_b), [x.clone(), y.clone()].concat()));
                places.push((i, j));
            }
        }
    }
    let matched = holds(on, &fields, &pairs);
    let places: Vec<_> =
        places.into_iter().zip(&matched).filter(|(_, m)| **m).map(|(place, _)| place).collect();
    let in_a = |i: usize| places.iter().any(|place| place.0 == i);
    let in_b = |j: usize| places.iter().any(|place| place.1 == j);
    let some = |keep: bool| {
        let rows = a.iter().enumerate().filter(move |(i, _)| in_a(*i) == keep);
        rows.map(|(_, row)| row.clone()).collect::<Vec<_>>()
    };
    match kind {
        JoinKind::Semi => return some(true),
        JoinKind::Anti => return some(false),
        _ => {}
    }
    let mut found: Vec<Row> =
        pairs.into_iter().zip(matched).filter(|(_, m)| *m).map(|(row, _)| row).collect();
    if matches!(kind, JoinKind::Left | JoinKind::Full) {
        found.extend(some(false).into_iter().map(|(pupil, x)| (pupil, [x, nothing(right)].concat())));
    }
    if matches!(kind, JoinKind::Right | JoinKind::Full) {
        let alone = b.iter().enumerate().filter(|(j, _)| !in_b(*j));
        found.extend(alone.map(|(_, (pupil, y))| (*pupil, [nothing(left), y.clone()].concat())));
    }
    found
}

fn aggregate(function: PupilFunction, of: Vec<Value>) -> Value {
    let present: Vec<i64> = of
        .iter()
        .filter_map(|value| match value {
            Value::Int(i) => Some(*i),
            Value::Null => None,
            _ => Some(0),
        })
        .collect();
    let ints = present.iter().copied();
    match function {
        PupilFunction::Count => Value::Int(present.len() as i64),
        PupilFunction::Sum if !present.is_empty() => Value::Int(ints.sum()),
        PupilFunction::Min => ints.min().map_or(Value::Null, Value::Int),
        PupilFunction::Max => ints.max().map_or(Value::Null, Value::Int),
        PupilFunction::Sum => Value::Null,
        other => panic!("{other:?} is not worked out here"),
    }
}
