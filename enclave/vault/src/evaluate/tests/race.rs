//! Totals under many truncation thresholds at once.

use super::*;
use crate::evaluate::bounds::Pupil;
use crate::evaluate::rows::Rows;

const THRESHOLDS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

fn additive() -> Vec<Component> {
    vec![
        component(Quantity::Pupils, None, None),
        component(Quantity::Rows, None, None),
        component(Quantity::Pupils, Some(0), None),
        component(Quantity::Rows, Some(0), Some(1)),
        component(Quantity::Sum(HOURS), Some(0), None),
    ]
}

fn race(keys: &[bool]) -> Sums {
    sums(additive(), vec![grouping(keys, PLENTY, PLENTY, PLENTY)], Some(THRESHOLDS.to_vec()))
}

#[test]
fn without_keys_each_pupils_share_is_cut_at_each_threshold() {
    let sums = race(&[false, false]);
    let totals = totals(&sums, &secret(), &pupils());
    let [(key, totals)] = totals[0].as_slice() else { panic!("one group") };
    assert_eq!(*key, [Value::Null, Value::Null]);
    for (component, total) in sums.components.iter().zip(totals) {
        let share = |visits: &[Visit]| {
            let sum: i64 = visits.iter().filter_map(|visit| adds(component, visit)).sum();
            if component.quantity == Quantity::Pupils { sum.min(1) } else { sum }
        };
        let cut = |most: u64| pupils().iter().map(|(_, visits)| share(visits).min(most as i64)).sum::<i64>();
        assert_eq!(truncated(total), THRESHOLDS.map(cut), "{component:?}");
    }
}

/// Of each pupil the rows that rank first, as many as the threshold says, added up by the definition.
#[test]
fn with_keys_each_threshold_keeps_that_many_rows_of_a_pupil() {
    let (sums, secret) = (race(&[true, true]), secret());
    let raced = totals(&sums, &secret, &pupils());
    let plain = Sums { thresholds: None, ..sums.clone() };
    for (j, most) in THRESHOLDS.into_iter().enumerate() {
        let kept: Pupils =
            pupils().into_iter().map(|(unit, visits)| (unit, first(&secret, unit, &visits, most))).collect();
        let expected: BTreeMap<_, _> = by_definition(&plain, &kept).remove(0).into_iter().collect();
        for (key, totals) in &raced[0] {
            let at: Vec<i64> = totals.iter().map(|total| truncated(total)[j]).collect();
            let expected =
                expected.get(key).map_or(vec![0; at.len()], |totals| totals.iter().map(number).collect());
            assert_eq!(at, expected, "{key:?} at {most}");
        }
    }
    // The last threshold cuts nothing.
    let all = by_definition(&plain, &pupils());
    let last = |(key, totals): &ExactGroup| {
        (key.clone(), totals.iter().map(|total| Total::Number(*truncated(total).last().unwrap())).collect())
    };
    assert!(raced[0].iter().map(last).collect::<Vec<_>>() == all[0]);
}

/// The visits that rank first.
fn first(secret: &Secret, unit: u8, visits: &[Visit], most: u64) -> Vec<Visit> {
    let mut places = Vec::new();
    let mut marks = Vec::new();
    let mut rows = Rows::of(additive().len());
    for visit in visits {
        let key = key(visit, &[true, true]);
        let place = places.iter().position(|place| *place == key).unwrap_or_else(|| {
            marks.push(crate::evaluate::numbering::mark_of(&key));
            places.push(key);
            places.len() - 1
        });
        rows.keys.push(place);
        for (component, column) in additive().iter().zip(&mut rows.adds) {
            column.push(adds(component, visit).unwrap_or(0));
        }
    }
    let of: Vec<_> = additive().into_iter().map(crate::evaluate::rows::Adds::new).collect();
    let ranked = Pupil::new(secret, &[unit; 16], &rows, &marks, &of).ranked(0..visits.len());
    ranked.into_iter().take(most as usize).map(|row| visits[row]).collect()
}

#[test]
fn a_threshold_bounds_what_a_pupil_adds() {
    let secret = secret();
    let (keyed, whole) = (race(&[true, true]), race(&[false, false]));
    let mut reached = 0;
    for (sums, by_row) in [(&keyed, true), (&whole, false)] {
        for pupil in alone(sums, &secret) {
            let groups = merged(sums, [pupil]).remove(0);
            for (of, component) in sums.components.iter().enumerate() {
                let most = if by_row { component.row_bound() as i64 } else { 1 };
                for (j, threshold) in THRESHOLDS.iter().enumerate() {
                    let sum: i64 = groups.iter().map(|(_, totals)| truncated(&totals[of])[j]).sum();
                    assert!(sum <= most * *threshold as i64, "{component:?} at {threshold}");
                    reached += usize::from(sum == most * *threshold as i64);
                    let counted = groups.iter().map(|(_, totals)| truncated(&totals[of])[j]).max();
                    assert!(component.quantity != Quantity::Pupils || counted <= Some(1));
                }
            }
        }
    }
    // Control: some pupils add as much as they may.
    assert!(reached > 20);
}

#[test]
fn declared_bounds_of_groups_hold_under_every_threshold() {
    let groupings = vec![grouping(&[true, true], PLENTY, 1, 2)];
    let sums = Sums { groupings, ..race(&[true, true]) };
    for pupil in alone(&sums, &secret()) {
        let groups = merged(&sums, [pupil]).remove(0);
        let rows = |(_, totals): &ExactGroup| *truncated(&totals[1]).last().unwrap();
        assert!(groups.iter().map(rows).sum::<i64>() <= 2);
        assert!(groups.iter().all(|group| rows(group) <= 1));
    }
}

#[test]
fn nothing_depends_on_order_batches_parts_or_other_pupils() {
    let secret = secret();
    for keys in [[true, true], [false, true], [false, false]] {
        let sums = race(&keys);
        let expected = totals(&sums, &secret, &pupils());
        assert!(merged(&sums, alone(&sums, &secret)) == expected, "other pupils");
        for permuted in permuted() {
            assert!(totals(&sums, &secret, &permuted) == expected, "order");
        }
        for size in [1, 3, 41] {
            assert!(part(&sums, &secret, &pupils(), size).into_groups() == expected, "batches of {size}");
        }
    }
}

#[test]
fn what_cannot_be_truncated_is_refused() {
    let new = |sums: &Sums| Contributions::new(sums, secret(), memory(1 << 20)).is_ok();
    let one = |quantity| Sums { components: vec![component(quantity, Some(0), None)], ..race(&[true, true]) };
    assert!(new(&one(Quantity::Sum(HOURS))));
    assert!(!new(&one(Quantity::Distinct)));
    assert!(!new(&one(Quantity::Distribution(HOURS))));
    let groupings = rollup(|_| Contribution::new(1, 1, 1));
    assert!(!new(&Sums { groupings, ..race(&[true, true]) }));
}
