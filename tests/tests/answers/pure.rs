//! A memorandum that asks for pure differential privacy: Laplace noise, ε that adds up, and no key that nobody listed.

use disclosure_rules::Exhausted;
use gate::answered::Cell;
use gate::{Answered, Epsilon, Failure, Options, Price, Request, Rule};
use tests::club::{self, Visits};
use tests::{Home, Paper, priced, rho};

const PER_GROUP: usize = 60;
/// Kinds, places and minutes of 180 groups.
const GROUPS: usize = 3 * 3 * 20;
const QUESTION: &str = "SELECT kind, place, minutes, COUNT(*) AS n FROM visits \
                        WHERE minutes < 20 GROUP BY kind, place, minutes";
const TOTAL: &str = "SELECT COUNT(*) AS n FROM visits";

/// 60 pupils with a visit each in every group, under the pure memorandum `m` with this ε, and the plain one `plain`.
fn home(epsilon: f64) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let mut visits = Visits::default();
    for pupil in 0..GROUPS * PER_GROUP {
        let (kind, place) = (["a", "b", "c"][pupil % 3], ["hall", "pool", "yard"][pupil / 3 % 3]);
        let minutes = pupil / 9 % 20;
        visits.push(pupil, &format!("{kind},{place},{minutes},0,true,word,1,0.5,2025-01-01"));
    }
    let home = Home::bare(&club::contract(4e12), &visits.write(dir.path()));
    home.sign(&Paper::all("plain", &home.contract));
    let columns = ["kind", "place", "minutes", "word"];
    let memorandum = format!(
        "id = \"m\"\ncontract = \"club\"\ntitle = {{ en = \"Pure\" }}\ninstitution = \"Test\"\n\
         purpose = {{ en = \"Test\" }}\nuse_case = \"test\"\nvalid = {{ from = 2026-04-01, until = 2027-03-31 }}\n\
         rules = \"open\"\npeople = [{{ id = \"r1\", name = \"r1\", role = \"researcher\" }}]\n\
         items = [{{ table = \"visits\", columns = {columns:?} }}]\n\
         [allotment]\nguarantee = \"pure\"\nepsilon = {epsilon:?}\ndefault_epsilon = 0.25\n"
    );
    home.enclave.sign_memorandum(&memorandum).unwrap();
    home
}

/// A fresh question at a price in ε.
fn at(sql: &str, epsilon: f64) -> Request {
    let options = Options { rows_per_unit: Some(1), groups_per_unit: None };
    Request { price: Price::Epsilon(Epsilon::new(epsilon).unwrap()), options, ..priced(sql, 0.0) }
}

fn refusal(home: &Home, request: &Request) -> gate::Refusal {
    match home.ask(request) {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn left(answered: &Answered) -> f64 {
    answered.balance.epsilon.unwrap().get()
}

#[test]
fn epsilon_adds_up_and_the_pool_counts_half_its_square() {
    let home = home(3.0);
    let first = home.ask(&at(TOTAL, 1.0)).unwrap();
    assert_eq!((first.charged.epsilon, first.charged.rho, first.charged.delta), (1.0, rho(0.5), 0.0));
    assert_eq!(first.charged.threshold_delta, None);
    assert_eq!(left(&first), 2.0);
    let second = home.ask(&at(TOTAL, 1.0)).unwrap();
    assert_eq!((left(&second), second.balance.rho), (1.0, rho(0.5)));
    match home.ask(&at(TOTAL, 1.5)) {
        Err(Failure::Exhausted(Exhausted::Epsilon { price, balance })) => {
            assert_eq!((price.get(), balance.get()), (1.5, 1.0))
        }
        other => panic!("{other:?}"),
    }
    let ledger = home.enclave.ledger();
    assert_eq!(ledger.pool("club").unwrap().unwrap().charged, rho(1.0));
    assert_eq!(ledger.account("m").unwrap().unwrap().pure.unwrap().charged.get(), 2.0);
    let replayed = home.ask(&Request { fresh: false, ..at(TOTAL, 1.0) }).unwrap();
    assert!(replayed.replayed);
    assert_eq!((replayed.charged.epsilon, replayed.charged.rho, left(&replayed)), (0.0, rho(0.0), 1.0));
    // Results inside a question share its ε: what is charged is what was asked for.
    let inside = "SELECT COUNT(*) AS n FROM visits WHERE minutes < (SELECT AVG(minutes) FROM visits)";
    assert_eq!(left(&home.ask(&at(inside, 0.6)).unwrap()), 0.4);
    assert_eq!(left(&home.ask(&Request { price: Price::Default, ..at(TOTAL, 1.0) }).unwrap()), 0.15);
    assert_eq!(left(&home.ask(&at(TOTAL, 0.15)).unwrap()), 0.0);
    ledger.verify().unwrap();
}

#[test]
fn prices_are_in_epsilon() {
    let home = home(3.0);
    let in_rho = refusal(&home, &Request { price: Price::Rho(rho(0.02)), ..at(TOTAL, 1.0) });
    assert_eq!((in_rho.rule, in_rho.rewrite.as_deref()), (Rule::Limit, Some("--epsilon 0.2")));
    assert_eq!(refusal(&home, &at(TOTAL, 0.001)).rule, Rule::Limit, "less than a millionth of rho");
    assert_eq!(refusal(&home, &at(TOTAL, 1.5e6)).rewrite.as_deref(), Some("--epsilon 1414213.562373"));
    assert_eq!(refusal(&home, &at(TOTAL, 1e300)).rule, Rule::Limit);
    // The least ε for a width: a thousandth less is not enough.
    let within = |width| Request { price: Price::Within(width), preview: true, ..at(TOTAL, 1.0) };
    let told = home.ask(&within(10.0)).unwrap();
    let width = |answered: &Answered| answered.columns[0].half_width.unwrap();
    assert!(width(&told) <= 10.0 && left(&told) == 3.0, "{told:?}");
    let preview = |epsilon| home.ask(&Request { preview: true, ..at(TOTAL, epsilon) }).unwrap();
    assert_eq!(width(&preview(told.charged.epsilon)), width(&told));
    assert!(width(&preview(told.charged.epsilon * 0.99)) > 10.0);
}

#[test]
fn the_answer_says_what_its_noise_is() {
    let home = home(3.0);
    let preview = |sql: &str, options: Options| {
        home.ask(&Request { preview: true, options, ..at(sql, 0.5) }).unwrap().columns
    };
    let bounded = Options { rows_per_unit: Some(2), groups_per_unit: None };
    let column = &preview("SELECT kind, COUNT(*) AS n FROM visits GROUP BY kind", bounded)[1];
    assert_eq!(column.mechanism.as_deref(), Some("discrete laplace"));
    assert_eq!(column.sensitivity.unwrap().l1, Some(2.0));
    assert!(column.scale.unwrap() >= 4.0, "what one pupil changes in all, by epsilon");
    let quantile = &preview("SELECT MEDIAN(minutes) AS m FROM visits", bounded)[0];
    assert_eq!(quantile.mechanism.as_deref(), Some("permute-and-flip, over ranks"));
    let automatic = &preview(TOTAL, Options::default())[0];
    assert_eq!(automatic.mechanism.as_deref(), Some("race to the top, discrete laplace"));
    let asked = home.ask(&at(TOTAL, 0.5)).unwrap();
    let leaves = home.leaves(0);
    let (_, release) = leaves.iter().find(|(kind, _)| kind == "release").unwrap();
    assert!(release.contains("discrete laplace") && !asked.replayed, "{release}");
}

#[test]
fn keys_that_nobody_lists_are_refused() {
    let home = home(3.0);
    let sql = "SELECT word, COUNT(*) AS n FROM visits GROUP BY word";
    let unlisted = refusal(&home, &at(sql, 0.5));
    assert_eq!(unlisted.rule, Rule::Memorandum);
    assert!(unlisted.rewrite.unwrap().contains("WHERE x IN"));
    let listed = "SELECT word, COUNT(*) AS n FROM visits WHERE word IN ('word', 'none') GROUP BY word";
    assert!(home.ask(&at(listed, 0.5)).is_ok());
    // A promise with a δ answers it.
    assert!(home.ask(&Request { memorandum: "plain".to_owned(), ..at(sql, 0.5) }).is_ok());
}

#[test]
fn noise_is_laplace_and_intervals_cover() {
    const RUNS: usize = 30;
    let home = home(1e6);
    // Of mean magnitude 5; and Gaussian of the same variance.
    let scale = 5.0;
    let pure = at(QUESTION, 1.0 / scale);
    let gaussian = Request {
        memorandum: "plain".to_owned(),
        price: Price::Rho(rho(0.5 / (2.0 * scale * scale))),
        ..at(QUESTION, 1.0)
    };
    let (laplace, covered) = draws(&home, &pure, RUNS);
    assert!(distance(&laplace, scale) < 0.035, "{}", distance(&laplace, scale));
    let share = covered as f64 / laplace.len() as f64;
    assert!((0.935..0.985).contains(&share), "{share} of the intervals of 95% cover");
    let (gaussian, _) = draws(&home, &gaussian, RUNS);
    assert!(distance(&gaussian, scale) > 0.035, "the measure does not tell them apart");
}

/// The noise on every group in so many answers, and how many intervals hold the exact number.
fn draws(home: &Home, request: &Request, runs: usize) -> (Vec<i64>, usize) {
    let (mut draws, mut covered) = (Vec::new(), 0);
    for _ in 0..runs {
        for row in home.ask(request).unwrap().rows {
            // Keys that are missing have no pupils and are hidden.
            if let [_, _, _, Cell::Noisy { value, low: Some(low), high: Some(high) }] = row.as_slice()
                && value.get() > PER_GROUP as f64 / 2.0
            {
                let exact = PER_GROUP as f64;
                draws.push((value.get() - exact) as i64);
                covered += usize::from((low.get()..=high.get()).contains(&exact));
            }
        }
    }
    assert!(draws.len() > GROUPS * runs * 99 / 100, "{}", draws.len());
    (draws, covered)
}

/// Kolmogorov and Smirnov's distance from the discrete Laplace of this scale. 5,400 draws from it come as far as 0.035
/// about four times in a million; Gaussian noise of the same variance is 0.06 away.
fn distance(draws: &[i64], scale: f64) -> f64 {
    let alpha = (-1.0 / scale).exp();
    let at_most = |k: i64| {
        let tail = |k: i64| alpha.powi(k as i32) / (1.0 + alpha);
        if k >= 0 { 1.0 - tail(k + 1) } else { tail(-k) }
    };
    let share = |k: i64| draws.iter().filter(|draw| **draw <= k).count() as f64 / draws.len() as f64;
    (-30..=30).map(|k| (share(k) - at_most(k)).abs()).fold(0.0, f64::max)
}
