//! Totals within bounds.

use arrow::array::new_null_array;
use arrow::datatypes::Schema;

use super::*;

/// Groupings with bounds that bind, or not.
fn cases() -> Vec<Vec<Grouping>> {
    let all = Contribution::new(PLENTY, PLENTY, PLENTY);
    let mut cases = vec![
        vec![grouping(&[true, true], PLENTY, PLENTY, PLENTY)],
        rollup(|_| all),
        // Sets without a finest one.
        vec![
            grouping(&[true, false], PLENTY, PLENTY, PLENTY),
            grouping(&[false, true], PLENTY, PLENTY, PLENTY),
        ],
    ];
    for (rows, per_group, groups) in
        [(5, 5, 5), (5, 2, 3), (1, 1, 1), (8, 8, 1), (100, 1, 100), (100, 100, 2)]
    {
        cases.push(vec![grouping(&[true, true], rows, per_group, groups)]);
        cases.push(rollup(|_| Contribution::new(rows, per_group, groups)));
        cases.push(rollup(|i| if i == 0 { all } else { Contribution::new(rows, per_group, groups) }));
    }
    cases
}

#[test]
fn totals_are_those_of_the_definition() {
    for groupings in cases().into_iter().take(3) {
        let sums = sums(components(), groupings, None);
        assert!(
            totals(&sums, &secret(), &pupils()) == by_definition(&sums, &pupils()),
            "{:?}",
            sums.groupings
        );
    }
}

#[test]
fn one_group_without_keys_takes_all_rows() {
    let sums = Sums { keys: 0, ..sums(components(), vec![grouping(&[], PLENTY, PLENTY, 1)], None) };
    let mut contributions = contributions(&sums, &secret());
    for batch in batches(&pupils(), 9) {
        contributions.add(&batch.project(&[0, 3, 4, 5]).unwrap()).unwrap();
    }
    assert!(contributions.finish().unwrap().into_groups() == by_definition(&sums, &pupils()));
}

#[test]
fn totals_do_not_depend_on_how_rows_are_cut_into_batches_and_parts() {
    let secret = secret();
    for groupings in cases() {
        let sums = sums(components(), groupings, None);
        let whole = totals(&sums, &secret, &pupils());
        for size in [1, 2, 3, 7, 40, 41] {
            assert!(part(&sums, &secret, &pupils(), size).into_groups() == whole, "batches of {size}");
        }
        for cut in 0..=pupils().len() {
            let (a, b) = (&pupils()[..cut], &pupils()[cut..]);
            let parts =
                [part(&sums, &secret, b, 5), part(&sums, &secret, a, 5), part(&sums, &secret, &[], 5)];
            assert!(merged(&sums, parts) == whole, "parts cut at {cut}");
        }
    }
}

#[test]
fn totals_do_not_depend_on_the_order_of_a_pupils_rows() {
    let secret = secret();
    for groupings in cases() {
        let sums = sums(components(), groupings, None);
        let whole = totals(&sums, &secret, &pupils());
        for permuted in permuted() {
            assert!(totals(&sums, &secret, &permuted) == whole, "{:?}", sums.groupings);
        }
    }
}

/// Regression: an engine in the field let a pupil contribute more once another had gone.
#[test]
fn what_a_pupil_adds_is_the_same_whoever_else_is_there() {
    let secret = secret();
    for groupings in cases() {
        let sums = sums(components(), groupings, None);
        assert!(
            merged(&sums, alone(&sums, &secret)) == totals(&sums, &secret, &pupils()),
            "{:?}",
            sums.groupings
        );
    }
}

#[test]
fn a_pupil_adds_no_more_than_the_bounds() {
    let secret = secret();
    let open = sums(components(), rollup(|_| Contribution::new(PLENTY, PLENTY, PLENTY)), None);
    let unbounded = changes(&open, &secret);
    let mut exceeded = 0;
    for groupings in cases().into_iter().skip(3) {
        let sums = sums(components(), groupings, None);
        let bounded = changes(&sums, &secret);
        for (g, grouping) in sums.groupings.iter().enumerate() {
            for (c, component) in sums.components.iter().enumerate() {
                let most = component.l2_squared(&grouping.contribution);
                assert!(bounded.iter().all(|pupil| pupil[g][c] <= most), "{component:?} {grouping:?}");
                // Control: without the bounds, some pupil adds more.
                exceeded += unbounded.iter().filter(|pupil| pupil[g][c] > most).count();
            }
        }
    }
    assert!(exceeded > 100);
}

/// Per pupil, grouping and component, the sum over the groups of the squares of what the pupil adds.
fn changes(sums: &Sums, secret: &Arc<Secret>) -> Vec<Vec<Vec<u128>>> {
    let square = |total: &Total| match total {
        Total::Number(number) => u128::from(number.unsigned_abs()).pow(2),
        Total::Distribution(rows) => u128::from(rows.iter().map(|(_, n)| n).sum::<u64>()).pow(2),
        Total::Truncated(_) => panic!("not truncated"),
    };
    let of_grouping = |groups: &Vec<ExactGroup>| {
        let component = |c: usize| groups.iter().map(|(_, totals)| square(&totals[c])).sum();
        (0..sums.components.len()).map(component).collect()
    };
    let of_pupil = |pupil| merged(sums, [pupil]).iter().map(of_grouping).collect();
    alone(sums, secret).into_iter().map(of_pupil).collect()
}

/// A pupil fills what the bounds leave: bounding costs no more than it must.
#[test]
fn bounds_are_used_up() {
    let sums =
        sums(vec![component(Quantity::Rows, None, None)], vec![grouping(&[true, true], 6, 2, 4)], None);
    let places = ["pool", "gym", "hall", "field"].into_iter().cycle().take(12);
    let visit = |place| Visit { place, day: None, hours: None, guests: None, tag: None };
    let kept = totals(&sums, &secret(), &[(1, places.map(visit).collect())]);
    let mut rows: Vec<i64> = kept[0].iter().map(|(_, totals)| number(&totals[0])).collect();
    rows.retain(|rows| *rows > 0);
    rows.sort_unstable();
    assert!(rows == [1, 1, 2, 2] || rows == [2, 2, 2], "{rows:?}");
}

#[test]
fn what_is_kept_of_an_over_contributing_pupil_changes_with_the_secret() {
    let sums = sums(components(), vec![grouping(&[true, true], 3, 3, 2)], None);
    let first = totals(&sums, &secret(), &pupils());
    assert!((0..50).any(|_| totals(&sums, &secret(), &pupils()) != first));
}

#[test]
fn values_are_clamped_and_what_is_no_number_is_missing() {
    let visit = |hours| Visit { place: "gym", day: None, hours, guests: None, tag: None };
    let pupils = [
        (1, vec![visit(Some(7.4)), visit(Some(1e9)), visit(Some(-5.0))]),
        (2, vec![visit(None), visit(Some(f64::NAN)), visit(Some(f64::INFINITY))]),
    ];
    let components = vec![
        component(Quantity::Pupils, None, None),
        component(Quantity::Pupils, Some(0), None),
        component(Quantity::Rows, Some(0), None),
        component(Quantity::Sum(HOURS), Some(0), None),
        component(Quantity::Distinct, Some(0), None),
    ];
    let sums = sums(components, vec![grouping(&[true, true], PLENTY, PLENTY, PLENTY)], None);
    let totals = totals(&sums, &secret(), &pupils);
    let [(_, totals)] = totals[0].as_slice() else { panic!("one group") };
    assert_eq!(totals.iter().map(number).collect::<Vec<_>>(), [2, 1, 3, 17, 3]);
}

#[test]
fn rows_of_no_pupil_and_pupils_out_of_order_are_refused() {
    let sums = sums(components(), vec![grouping(&[true, true], PLENTY, PLENTY, PLENTY)], None);
    let row = visits(0, 1)[0];
    let add = |units: &[u8]| {
        let rows: Vec<_> = units.iter().map(|unit| ([*unit; 16], row)).collect();
        contributions(&sums, &secret()).add(&batch(&rows))
    };
    assert!(add(&[1, 2, 2, 3]).is_ok());
    assert!(add(&[1, 3, 2]).is_err());
    assert!(add(&[1, 2, 1]).is_err());
    let named = batch(&[([1; 16], row)]);
    let mut columns = named.columns().to_vec();
    columns[0] = new_null_array(columns[0].data_type(), 1);
    let schema = named.schema();
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let unnamed = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    assert!(contributions(&sums, &secret()).add(&unnamed).is_err());
}

#[test]
fn groups_and_memory_are_limited() {
    let groupings = || vec![grouping(&[true, true], PLENTY, PLENTY, PLENTY)];
    let few = |max_groups| Sums { max_groups, ..sums(components(), groupings(), None) };
    let batches = batches(&pupils(), 1000);
    let groups = by_definition(&few(0), &pupils())[0].len() as u64;
    assert!(contributions(&few(groups), &secret()).add(&batches[0]).is_ok());
    assert!(contributions(&few(groups - 1), &secret()).add(&batches[0]).is_err());
    let within = |bytes| Contributions::new(&few(groups), secret(), memory(bytes)).unwrap().add(&batches[0]);
    assert!(within(1 << 20).is_ok());
    assert!(within(1 << 10).is_err());
}
