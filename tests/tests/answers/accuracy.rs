//! The question of the first agreement, asked anew 200 times: intervals cover, and small classes come out ahead.

use datasets_synthetic::STAR_CONTRACT;
use gate::answered::Cell;
use tests::{Datum, Home, Paper, Plain, priced, star};

const QUESTION: &str =
    "SELECT cltype, COUNT(*) AS n, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY cltype";
const RUNS: usize = 200;

#[test]
fn exact_numbers_lie_in_their_intervals_and_small_classes_ahead() {
    let (contract, files) = star();
    let home = Home::bare(STAR_CONTRACT, &files);
    home.sign(&Paper { rules: "standard", rho: 10.0, ..Paper::all("m", &contract) });
    let mut exact = Plain::new(&contract, &files).ask(QUESTION).unwrap();
    exact.sort_by_key(|row| format!("{row:?}"));
    assert!(exact.len() == 3 && exact[2][0] == Datum::Text("small".to_owned()));
    // An interval of exactly 95% covers fewer than 180 of 200 times once in a thousand: a second try is allowed.
    let first = shortfall(&home, &exact);
    assert!(first.is_none() || shortfall(&home, &exact).is_none(), "{first:?}");
}

/// What was covered, or came out ahead, too seldom.
fn shortfall(home: &Home, exact: &[Vec<Datum>]) -> Option<String> {
    let (mut covered, mut ahead) = ([[0; 2]; 3], 0);
    for _ in 0..RUNS {
        let mut rows = home.ask(&priced(QUESTION, 0.02)).unwrap().rows;
        rows.sort_by_key(|row| format!("{:?}", row[0]));
        for (i, (row, exact)) in rows.iter().zip(exact).enumerate() {
            for measure in 0..2 {
                let (_, low, high) = noisy(&row[measure + 1]);
                let Datum::Number(exact) = exact[measure + 1] else {
                    panic!("a count and a mean are numbers")
                };
                covered[i][measure] += usize::from((low..=high).contains(&exact));
            }
        }
        // In the order of their names: reg, reg+A, small.
        ahead += usize::from(noisy(&rows[2][2]).0 > noisy(&rows[0][2]).0);
    }
    let enough = covered.iter().flatten().all(|&times| times >= RUNS * 9 / 10) && ahead >= RUNS * 19 / 20;
    (!enough).then(|| format!("covered {covered:?}, small ahead {ahead}, of {RUNS}"))
}

fn noisy(cell: &Cell) -> (f64, f64, f64) {
    match cell {
        Cell::Noisy { value, low: Some(low), high: Some(high) } => (value.get(), low.get(), high.get()),
        other => panic!("no number with an interval: {other:?}"),
    }
}
