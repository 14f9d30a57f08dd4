//! Joins of released tables: by equality where the condition has one, then by the rest of it.

use std::collections::{BTreeMap, BTreeSet};

use super::Datum;
use super::NULL;
use super::number::{Identity, truth};
use super::shape::Shape;
use super::sheet::Sheet;
use super::table::{Input, Table};
use crate::tree::{Binary, Expr, JoinKind};

/// How the rows of two tables find each other.
pub(super) struct Matching<'e> {
    /// What must be equal: over the left side's columns, over the right side's; and whether NULL equals NULL.
    equal: Vec<(Expr, Expr, bool)>,
    /// Conditions over the columns of both.
    rest: Vec<&'e Expr>,
    /// No row of the right side has two matches.
    pub(super) left_once: bool,
    /// No row of the left side has two matches.
    pub(super) right_once: bool,
    /// Most pairs.
    pub(super) pairs: u64,
}

impl<'e> Matching<'e> {
    pub(super) fn new(on: Option<&'e Expr>, left: &Shape, right: &Shape) -> Matching<'e> {
        let width = left.columns.len();
        let (mut equal, mut rest) = (Vec::new(), Vec::new());
        for conjunct in on.map(Expr::conjuncts).unwrap_or_default() {
            match equality(conjunct, width) {
                Some(found) => equal.push(found),
                None => rest.push(conjunct),
            }
        }
        let bare = |expr: &Expr| if let Expr::Column(index, _) = expr { Some(*index) } else { None };
        // A column that must be a constant tells two rows no more apart than one that must be equal.
        let constant = rest.iter().filter_map(|conjunct| match conjunct {
            Expr::Binary(Binary::Equal, column, value) if matches!(**value, Expr::Literal(_)) => bare(column),
            _ => None,
        });
        let (on_left, on_right): (BTreeSet<usize>, BTreeSet<usize>) =
            constant.partition(|index| *index < width);
        let lefts = equal.iter().filter_map(|(l, ..)| bare(l)).chain(on_left).collect();
        let rights = equal.iter().filter_map(|(_, r, _)| bare(r));
        let rights = rights.chain(on_right.into_iter().map(|index| index - width)).collect();
        let once = |shape: &Shape, fixed: &BTreeSet<usize>| {
            shape.rows <= 1 || shape.unique.iter().any(|set| set.is_subset(fixed))
        };
        let (left_once, right_once) = (once(left, &lefts), once(right, &rights));
        let pairs = match (left_once, right_once) {
            (true, true) => left.rows.min(right.rows),
            (true, false) => right.rows,
            (false, true) => left.rows,
            (false, false) => left.rows.saturating_mul(right.rows),
        };
        Matching { equal, rest, left_once, right_once, pairs }
    }
}

/// An equality between something of the left side and something of the right.
fn equality(conjunct: &Expr, width: usize) -> Option<(Expr, Expr, bool)> {
    let Expr::Binary(op @ (Binary::Equal | Binary::IsNotDistinct), a, b) = conjunct else { return None };
    let is_left = |expr: &Expr| expr.columns().last().is_some_and(|last| *last < width);
    let is_right = |expr: &Expr| expr.columns().first().is_some_and(|first| *first >= width);
    let (l, r) = match (a, b) {
        (a, b) if is_left(a) && is_right(b) => (a, b),
        (a, b) if is_left(b) && is_right(a) => (b, a),
        _ => return None,
    };
    Some((l.as_ref().clone(), r.renumber(&|index| index - width), *op == Binary::IsNotDistinct))
}

/// The join.
pub(super) fn join(
    left: Table,
    right: Table,
    kind: JoinKind,
    on: Option<&Expr>,
    input: &Input<'_>,
) -> Vec<Vec<Datum>> {
    let matching = Matching::new(on, &left.shape, &right.shape);
    let pairs = pairs(&matching, &left, &right, input);
    let mut matched = [vec![false; left.rows.len()], vec![false; right.rows.len()]];
    for (l, r) in &pairs {
        matched[0][*l] = true;
        matched[1][*r] = true;
    }
    let [in_left, in_right] = matched;
    if matches!(kind, JoinKind::Semi | JoinKind::Anti) {
        let wanted = kind == JoinKind::Semi;
        return left
            .rows
            .into_iter()
            .zip(in_left)
            .filter(|(_, m)| *m == wanted)
            .map(|(row, _)| row)
            .collect();
    }
    let both = |l: &[Datum], r: &[Datum]| [l, r].concat();
    let nothing = |shape: &Shape| vec![NULL; shape.columns.len()];
    let mut rows = Vec::new();
    let mut next = pairs.into_iter().peekable();
    for (l, row) in left.rows.iter().enumerate() {
        while let Some((_, r)) = next.next_if(|pair| pair.0 == l) {
            rows.push(both(row, &right.rows[r]));
        }
        if !in_left[l] && matches!(kind, JoinKind::Left | JoinKind::Full) {
            rows.push(both(row, &nothing(&right.shape)));
        }
    }
    if matches!(kind, JoinKind::Right | JoinKind::Full) {
        let unmatched = right.rows.iter().zip(in_right).filter(|(_, matched)| !matched);
        rows.extend(unmatched.map(|(row, _)| both(&nothing(&left.shape), row)));
    }
    rows
}

/// The pairs of rows for which the condition is true, ascending.
fn pairs(matching: &Matching<'_>, left: &Table, right: &Table, input: &Input<'_>) -> Vec<(usize, usize)> {
    let keys = |table: &Table, of: fn(&(Expr, Expr, bool)) -> &Expr| -> Vec<Option<Vec<Identity>>> {
        let sheet = Sheet::new(&table.shape, &table.rows, input);
        let columns: Vec<Vec<Datum>> = matching.equal.iter().map(|equal| sheet.evaluate(of(equal))).collect();
        let key = |row: usize| {
            let identities = columns.iter().zip(&matching.equal).map(|(column, equal)| {
                let identity = Identity::of(&column[row]);
                let matches = identity.is_comparable() || (equal.2 && identity == Identity::Null);
                matches.then_some(identity)
            });
            identities.collect()
        };
        (0..table.rows.len()).map(key).collect()
    };
    let mut places: BTreeMap<Vec<Identity>, Vec<usize>> = BTreeMap::new();
    for (row, key) in keys(right, |equal| &equal.1).into_iter().enumerate() {
        if let Some(key) = key {
            places.entry(key).or_default().push(row);
        }
    }
    let candidates = keys(left, |equal| &equal.0).into_iter().enumerate().flat_map(|(l, key)| {
        let found = key.and_then(|key| places.get(&key)).map(Vec::as_slice).unwrap_or_default();
        found.iter().map(move |r| (l, *r))
    });
    let mut pairs: Vec<(usize, usize)> = candidates.collect();
    if matching.rest.is_empty() {
        return pairs;
    }
    let shape = Shape {
        columns: [left.shape.columns.clone(), right.shape.columns.clone()].concat(),
        ..Shape::default()
    };
    let rows: Vec<Vec<Datum>> =
        pairs.iter().map(|(l, r)| [left.rows[*l].as_slice(), right.rows[*r].as_slice()].concat()).collect();
    let sheet = Sheet::new(&shape, &rows, input);
    let verdicts: Vec<Vec<Datum>> = matching.rest.iter().map(|condition| sheet.evaluate(condition)).collect();
    let mut row = 0..rows.len();
    pairs.retain(|_| {
        let holds = |row: usize| verdicts.iter().all(|verdict| truth(&verdict[row]) == Some(true));
        row.next().is_some_and(holds)
    });
    pairs
}
