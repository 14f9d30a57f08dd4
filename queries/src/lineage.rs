//! Lineage: what is known of a relation's rows per pupil, derived through every operator from primary keys,
//! declared rows, conditions and functional dependencies. [`bound`] reads the sensitivity off it.

mod bound;
mod dependencies;
mod join;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use memoranda::{Contract, Table};

pub(crate) use bound::bound;
use dependencies::{Columns, Determines};

use crate::fields;
use crate::tree::{Binary, Expr, Field, Frame, PupilCall, Rel, Scan, Unary, WindowCall, WindowFunction};

/// Most keys that are kept of a relation.
const MAX_KEYS: usize = 8;

/// What is known of a relation. Column numbers are the relation's.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The columns.
    pub(crate) fields: Vec<Field>,
    /// Most rows of one pupil; of a public relation, of all rows.
    pub(crate) rows: Option<u64>,
    /// How many rows can agree on some columns.
    pub(crate) keys: Vec<Key>,
    /// Functional dependencies: within a pupil, the first columns fix the others. NULL counts as a value.
    pub(crate) determines: Vec<(BTreeSet<usize>, BTreeSet<usize>)>,
    /// Per column: most different values (NULL included) that one pupil's rows can have in it.
    pub(crate) domain: Vec<Option<u64>>,
}

/// Of the rows of one pupil (of a public relation: of all), at most `rows` agree on these columns. A key in
/// SQL's sense has one row; a declared bound on rows has no columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The columns.
    pub(crate) columns: BTreeSet<usize>,
    /// Rows that agree on them.
    pub(crate) rows: u64,
    /// Where that comes from, in plain words.
    pub(crate) why: Vec<String>,
}

/// The facts that contract and tree justify.
pub(crate) fn facts(rel: &Rel, contract: &Contract) -> Facts {
    derive(rel, Some(contract))
}

/// The facts that the tree justifies alone.
pub(crate) fn of_tree(rel: &Rel) -> Facts {
    derive(rel, None)
}

fn derive(rel: &Rel, contract: Option<&Contract>) -> Facts {
    let facts = |rel: &Rel| derive(rel, contract);
    let found = match rel {
        Rel::Scan(scan) => of_scan(scan, contract.and_then(|contract| contract.table(&scan.table))),
        Rel::Values(field, values) => {
            let of_list = |rows, columns: &[usize]| Key {
                columns: columns.iter().copied().collect(),
                rows,
                why: vec![format!("`{}` has {rows} values", field.column)],
            };
            let keys = vec![of_list(values.len() as u64, &[]), of_list(1, &[0])];
            Facts { keys, ..Facts::new(vec![field.as_ref().clone()]) }
        }
        Rel::Filter { input, predicate } => {
            let mut found = facts(input);
            found.assume(predicate);
            found
        }
        Rel::Join { left, right, kind, on } => join::join(&facts(left), &facts(right), *kind, on.as_ref()),
        Rel::Project { input, columns } => {
            let (found, places) = facts(input).with(columns);
            found.select(&places)
        }
        Rel::Group { input, keys, calls } => grouped(facts(input), keys, calls),
        Rel::Window { input, calls } => windowed(facts(input), calls),
        Rel::Distinct(input) => {
            let mut found = facts(input);
            let columns: Columns = (0..found.fields.len()).collect();
            found.keys.push(Key { columns, rows: 1, why: vec!["DISTINCT leaves different rows".to_owned()] });
            found
        }
        Rel::Union(inputs) => united(&inputs.iter().map(facts).collect::<Vec<_>>()),
    };
    found.tidy()
}

fn of_scan(scan: &Scan, table: Option<&Table>) -> Facts {
    let optional = |field: &Field| Field { nullable: field.nullable || scan.missing_row, ..field.clone() };
    let mut found = Facts::new(scan.columns.iter().map(optional).collect());
    let all: Columns = (0..scan.columns.len()).collect();
    let unit: Columns =
        all.iter().copied().filter(|index| !scan.public && scan.columns[*index].unit).collect();
    found.determines.push((Columns::new(), unit.clone()));
    let Some(table) = table else { return found };
    if let Some(rows) = table.max_rows_per_unit.filter(|_| !scan.public) {
        let why = format!("`{}` declares at most {} per pupil", table.name, counted(rows.0, "row"));
        found.keys.push(Key { columns: Columns::new(), rows: rows.0, why: vec![why] });
    }
    let primary = format!("primary key ({}) of `{}`", table.primary_key.join(", "), table.name);
    let primary = (table.primary_key.clone(), primary);
    let unique = table.columns.iter().filter(|column| column.unique && column.required);
    let unique = unique
        .map(|column| (vec![column.name.clone()], format!("`{}.{}` is unique", table.name, column.name)));
    for (names, why) in std::iter::once(primary).filter(|(names, _)| !names.is_empty()).chain(unique) {
        let mut key = Key { columns: Columns::new(), rows: 1, why: vec![why] };
        let place = |name: &String| scan.columns.iter().position(|field| field.column == *name);
        let hidden = |name: &String| table.column(name)?.public_values().map(|values| values.len() as u64);
        let known = names.iter().filter(|name| table.unit_column() != Some(name)).try_for_each(|name| {
            match place(name) {
                Some(index) => {
                    key.columns.insert(index);
                }
                // A part of the key that the memorandum does not list still has no more values than it has.
                None => {
                    let values = hidden(name)?;
                    key.rows = key.rows.checked_mul(values)?;
                    key.why.push(format!("`{name}` has {}", counted(values, "value")));
                }
            }
            Some(())
        });
        if known.is_some() {
            if key.rows == 1 {
                found.determines.push((key.columns.clone(), all.clone()));
            }
            found.keys.push(key);
        }
    }
    found
}

fn grouped(input: Facts, keys: &[Expr], calls: &[PupilCall]) -> Facts {
    let rows = bound(&input, keys).rows_per_group;
    let columns: Vec<Field> = calls.iter().map(|call| fields::called(call, &input.fields, rows)).collect();
    // There are no more groups than rows.
    let fewest = input.rows.map(|rows| Key { columns: Columns::new(), rows, why: input.why_rows() });
    let (found, places) = input.with(keys);
    // What rows agree on, fewer groups agree on.
    let mut found = found.select(&places);
    let keys: Columns = (0..found.fields.len()).collect();
    found.append(columns);
    found.determines.push((keys.clone(), (0..found.fields.len()).collect()));
    found.keys.extend(fewest);
    let why = "a query grouped by the pupil has one row per pupil and combination of its other keys";
    found.keys.push(Key { columns: keys, rows: 1, why: vec![why.to_owned()] });
    found
}

fn windowed(input: Facts, calls: &[WindowCall]) -> Facts {
    let rows = |call: &WindowCall| bound(&input, &call.partition).rows_per_group;
    let columns: Vec<Field> =
        calls.iter().map(|call| fields::windowed(call, &input.fields, rows(call))).collect();
    let mut found = input;
    let first = found.fields.len();
    found.append(columns);
    let all: Columns = (0..found.fields.len()).collect();
    let unique: Vec<Columns> =
        found.keys.iter().filter(|key| key.rows == 1).map(|key| key.columns.clone()).collect();
    found.determines.extend(unique.into_iter().map(|key| (key, all.clone())));
    for (call, index) in calls.iter().zip(first..) {
        let mut partition: Columns = call.partition.iter().flat_map(Expr::columns).collect();
        match call.function {
            // The whole partition gives the same value to all of its rows.
            WindowFunction::Aggregate(_) if call.frame == Frame::Whole => {
                found.determines.push((partition, Columns::from([index])));
            }
            WindowFunction::RowNumber => {
                partition.insert(index);
                found.determines.push((partition.clone(), all.clone()));
                let why = "ROW_NUMBER is different in every row of its partition".to_owned();
                found.keys.push(Key { columns: partition, rows: 1, why: vec![why] });
            }
            _ => {}
        }
    }
    found
}

fn united(inputs: &[Facts]) -> Facts {
    let columns: Vec<&[Field]> = inputs.iter().map(|input| input.fields.as_slice()).collect();
    let mut found = Facts::new(fields::united(&columns));
    let sum = |count: &dyn Fn(&Facts) -> Option<u64>| {
        inputs.iter().try_fold(0_u64, |all, input| all.checked_add(count(input)?))
    };
    if let Some(rows) = sum(&|input| input.rows) {
        let why = inputs.iter().flat_map(Facts::why_rows).collect();
        found.keys.push(Key { columns: Columns::new(), rows, why });
    }
    let fixed: Vec<Columns> = inputs.iter().map(|input| input.closure(&Columns::new())).collect();
    for index in 0..found.fields.len() {
        let values = sum(&|input| input.domain.get(index).copied().flatten());
        found.domain[index] = least(found.domain[index], values);
        // Every side names the same pupil.
        if found.fields[index].unit && fixed.iter().all(|fixed| fixed.contains(&index)) {
            found.determines.push((Columns::new(), Columns::from([index])));
        }
    }
    found
}

impl Facts {
    /// What the columns say alone.
    fn new(fields: Vec<Field>) -> Facts {
        let domain = fields.iter().map(fields::variety).collect();
        Facts { fields, rows: None, keys: vec![], determines: vec![], domain }
    }

    fn append(&mut self, fields: Vec<Field>) {
        self.domain.extend(fields.iter().map(fields::variety));
        self.fields.extend(fields);
    }

    /// What follows where the condition is true.
    fn assume(&mut self, predicate: &Expr) {
        let conditions = predicate.conjuncts();
        fields::narrow(&mut self.fields, &conditions);
        for condition in conditions {
            self.determines.extend(fixed_by(condition));
            let (Expr::In(column, _) | Expr::Binary(Binary::Equal, column, _)) = condition else { continue };
            let Expr::Column(index, _) = column.as_ref() else { continue };
            match condition {
                Expr::In(_, list) => {
                    self.domain[*index] = least(self.domain[*index], Some(list.len() as u64));
                }
                Expr::Binary(_, _, other) => {
                    let Expr::Column(other, _) = other.as_ref() else { continue };
                    let both = least(self.domain[*index], self.domain[*other]);
                    (self.domain[*index], self.domain[*other]) = (both, both);
                }
                _ => {}
            }
        }
        for (domain, field) in self.domain.iter_mut().zip(&self.fields) {
            *domain = least(*domain, fields::variety(field));
        }
    }

    /// With expressions as further columns; a bare column is itself. Gives their column numbers.
    fn with(mut self, exprs: &[Expr]) -> (Facts, Vec<usize>) {
        let width = self.fields.len();
        let mut places = Vec::with_capacity(exprs.len());
        for expr in exprs {
            if let Expr::Column(index, _) = expr {
                places.push(*index);
                continue;
            }
            let field = fields::derived(expr, &self.fields[..width]);
            let place = self.fields.len();
            self.append(vec![field]);
            self.determines.push((expr.columns().into_iter().collect(), Columns::from([place])));
            places.push(place);
        }
        (self, places)
    }

    /// Normal form: minimal keys without those that others imply, and what one value alone says.
    fn tidy(mut self) -> Facts {
        let single: Columns =
            (0..self.domain.len()).filter(|index| self.domain[*index].is_some_and(|n| n <= 1)).collect();
        self.determines.push((Columns::new(), single));
        self.determines = dependencies::merged(self.determines);
        let keys = std::mem::take(&mut self.keys);
        for mut key in keys {
            key.rows = key.rows.max(1);
            key.columns = dependencies::minimal(&key.columns, &self.determines);
            let implied = |other: &Key| other.columns.is_subset(&key.columns) && other.rows <= key.rows;
            if !self.keys.iter().any(implied) {
                self.keys.retain(|other| !(key.columns.is_subset(&other.columns) && key.rows <= other.rows));
                self.keys.push(key);
            }
        }
        self.keys.sort_by_key(|key| (key.columns.len(), key.rows));
        self.keys.truncate(MAX_KEYS);
        self.rows = self.agreeing(&Columns::new()).map(|agreeing| agreeing.rows);
        self
    }

    fn why_rows(&self) -> Vec<String> {
        self.agreeing(&Columns::new()).map(|agreeing| agreeing.why).unwrap_or_default()
    }
}

/// The dependencies of rows for which a condition is true: `a = b + 1` fixes `a` by `b`.
fn fixed_by(condition: &Expr) -> Determines {
    let fixes = |a: &Expr, b: &Expr| match a {
        Expr::Column(index, _) if !b.columns().contains(index) => {
            Some((b.columns().into_iter().collect(), Columns::from([*index])))
        }
        _ => None,
    };
    match condition {
        Expr::Binary(Binary::Equal | Binary::IsNotDistinct, a, b) => {
            [fixes(a, b), fixes(b, a)].into_iter().flatten().collect()
        }
        Expr::Unary(Unary::IsNull, operand) => fixes(operand, &Expr::truth()).into_iter().collect(),
        _ => vec![],
    }
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    [a, b].into_iter().flatten().min()
}

/// `1 row`, `2 rows`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
