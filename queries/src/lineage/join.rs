//! What is known of a join. Of two sides with pupils, rows of one pupil meet; a public side meets all pupils.

use super::dependencies::{Agreeing, Columns, Determines};
use super::{Facts, Key, least};
use crate::fields;
use crate::tree::{Expr, Field, JoinKind};

pub(super) fn join(left: &Facts, right: &Facts, kind: JoinKind, on: Option<&Expr>) -> Facts {
    if kind == JoinKind::Anti {
        return left.clone();
    }
    let width = left.fields.len();
    let of_left: Columns = (0..width).collect();
    let of_right: Columns = (width..width + right.fields.len()).collect();
    let pairs = pairs(left, right, on);
    if kind == JoinKind::Semi {
        // Every row that is left is the left side of some pair.
        let mut found = pairs.select(&of_left.into_iter().collect::<Vec<_>>());
        found.keys.extend(left.keys.iter().cloned());
        return found;
    }
    let keeps_left = matches!(kind, JoinKind::Left | JoinKind::Full);
    let keeps_right = matches!(kind, JoinKind::Right | JoinKind::Full);

    let mut found = Facts::new(fields::joined(&left.fields, &right.fields, &pairs.fields, kind));
    let own = left.domain.iter().zip(std::iter::repeat((keeps_left, keeps_right)));
    let own = own.chain(right.domain.iter().zip(std::iter::repeat((keeps_right, keeps_left))));
    for (index, (own, (kept, optional))) in own.enumerate() {
        let values = if kept { *own } else { pairs.domain[index] };
        let values = values.map(|values| values.saturating_add(u64::from(optional)));
        found.domain[index] = least(found.domain[index], values);
    }

    // Whether some column is never missing in the rows of its side: a row of the other side alone differs.
    let solid = |columns: &Columns| {
        columns.iter().any(|index| {
            let kept = if *index < width { keeps_left } else { keeps_right };
            let own = if *index < width { &left.fields[*index] } else { &right.fields[*index - width] };
            !(if kept { own } else { &pairs.fields[*index] }).nullable
        })
    };
    let on_columns: Columns = on.map(Expr::columns).unwrap_or_default().into_iter().collect();
    let sides = [
        (&left.determines, 0, keeps_right, keeps_left, &of_left, &of_right),
        (&right.determines, width, keeps_left, keeps_right, &of_right, &of_left),
    ];
    for (determines, shift, optional, kept, own, other) in sides {
        let shifted = shifted(determines, shift);
        found.determines.extend(shifted.into_iter().filter(|(left, _)| !optional || solid(left)));
        // What the condition reads of a kept row decides whether it has a match, and with it what they fix.
        let read: Columns = on_columns.intersection(own).copied().collect();
        if kept && !optional {
            let fixed = pairs.closure(&read).intersection(other).copied().collect();
            found.determines.push((read, fixed));
        }
    }
    if kind == JoinKind::Inner {
        found.determines.extend(pairs.determines.iter().cloned());
    }

    let (matches_left, matches_right) =
        (matches(&pairs, right, width, &of_left), matches(&pairs, left, 0, &of_right));
    let times = |side: &Facts, shift: usize, matches: &Option<Agreeing>| -> Vec<Key> {
        let Some(matches) = matches else { return vec![] };
        let key = |key: &Key| {
            let rows = key.rows.checked_mul(matches.rows)?;
            let why = key.why.iter().chain(&matches.why).cloned().collect();
            Some(Key { rows, why, ..shifted_key(key, shift) })
        };
        side.keys.iter().filter_map(key).collect()
    };
    for a in &left.keys {
        for b in right.keys.iter().map(|key| shifted_key(key, width)) {
            let Some(mut rows) = a.rows.checked_mul(b.rows) else { continue };
            if kind == JoinKind::Full && !(solid(&a.columns) && solid(&b.columns)) {
                rows = rows.saturating_add(a.rows).saturating_add(b.rows);
            }
            let why = a.why.iter().chain(&b.why).cloned().collect();
            found.keys.push(Key { columns: &a.columns | &b.columns, rows, why });
        }
    }
    match kind {
        JoinKind::Full => {
            let all = |side: &Facts, matches: &Option<Agreeing>, other: &Facts| {
                side.rows?.checked_mul(matches.as_ref()?.rows)?.checked_add(other.rows?)
            };
            let rows = least(all(left, &matches_left, right), all(right, &matches_right, left));
            let why = left.why_rows().into_iter().chain(right.why_rows()).collect();
            found.keys.extend(rows.map(|rows| Key { columns: Columns::new(), rows, why }));
        }
        _ => {
            if !keeps_right {
                found.keys.extend(times(left, 0, &matches_left));
            }
            if !keeps_left {
                found.keys.extend(times(right, width, &matches_right));
            }
        }
    }
    found
}

/// The pairs for which the condition is true; their keys are left to the caller.
fn pairs(left: &Facts, right: &Facts, on: Option<&Expr>) -> Facts {
    let width = left.fields.len();
    let fields: Vec<Field> = left.fields.iter().chain(&right.fields).cloned().collect();
    let mut pairs = Facts::new(fields);
    pairs.domain = left.domain.iter().chain(&right.domain).copied().collect();
    pairs.determines = left.determines.clone();
    pairs.determines.extend(shifted(&right.determines, width));
    if let Some(on) = on {
        pairs.assume(on);
    }
    pairs
}

/// The most rows of the other side that match one row of a side, whose columns are `own`; at least 1.
fn matches(pairs: &Facts, other: &Facts, shift: usize, own: &Columns) -> Option<Agreeing> {
    let keys = other.keys.iter().map(|key| shifted_key(key, shift)).collect();
    Facts { keys, ..pairs.clone() }.agreeing(own)
}

fn shifted(determines: &[(Columns, Columns)], shift: usize) -> Determines {
    let shifted = |columns: &Columns| columns.iter().map(|index| index + shift).collect();
    determines.iter().map(|(left, right)| (shifted(left), shifted(right))).collect()
}

fn shifted_key(key: &Key, shift: usize) -> Key {
    Key { columns: key.columns.iter().map(|index| index + shift).collect(), ..key.clone() }
}
