//! Whole questions, each made from a seed, and what is left of one that is shrunk.

use gate::Options;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::expression::{bounded, condition, key, number};
use super::schema::Schema;
use super::source::{Source, Sources, one_in, pick};

/// One or two columns of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    pub(crate) columns: Vec<String>,
    /// The second is the mean of what the first counts.
    pub(crate) mean: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Outer {
    None,
    Mean,
    Filter,
    Union,
    Scalar(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Question {
    source: Source,
    with: bool,
    filters: Vec<String>,
    keys: Vec<String>,
    /// What stands before the keys in GROUP BY: nothing, ROLLUP, CUBE or GROUPING SETS.
    grouping: &'static str,
    pub(crate) measures: Vec<Measure>,
    windows: Vec<String>,
    having: Option<String>,
    limit: Option<u32>,
    outer: Outer,
    pub(crate) options: Options,
}

impl Question {
    pub(crate) fn new(schema: &Schema, seed: u64) -> Question {
        let dice = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut sources = Sources::new(schema);
        let depth = dice.random_range(0..3);
        let source = sources.any(dice, depth);
        let mut filters = Vec::new();
        for _ in 0..dice.random_range(0..3) {
            filters.push(match dice.random_range(0..6) {
                0 => within(dice, &mut sources, &source),
                1 => compared(dice, &mut sources, &source),
                _ => condition(dice, &source.columns, 1),
            });
        }
        let mut keys: Vec<String> =
            (0..*pick(dice, &[0, 1, 1, 2])).map(|_| key(dice, &source.columns)).collect();
        keys.dedup();
        let grouping = if keys.is_empty() || !one_in(dice, 5) {
            ""
        } else {
            *pick(dice, &["ROLLUP", "CUBE", "GROUPING SETS"])
        };
        let measures = measures(dice, &source);
        let windows = match dice.random_range(0..8) {
            0 => vec!["RANK() OVER (ORDER BY COUNT(*) DESC)".to_owned()],
            1 => vec!["COUNT(*) * 1.0 / SUM(COUNT(*)) OVER ()".to_owned()],
            _ => vec![],
        };
        let outer = match dice.random_range(0..16) {
            0 => Outer::Mean,
            1 => Outer::Filter,
            2 => Outer::Union,
            3 => {
                let table = *pick(dice, schema.tables);
                Outer::Scalar(format!("(SELECT COUNT(*) FROM {})", table.name))
            }
            _ => Outer::None,
        };
        let bounds = [source.rows, source.rows + 3, 40];
        let options = if schema.bounded || one_in(dice, 8) {
            Options::default()
        } else {
            let groups = one_in(dice, 3).then(|| *pick(dice, &bounds));
            Options { rows_per_unit: Some(*pick(dice, &bounds)), groups_per_unit: groups }
        };
        Question {
            with: one_in(dice, 8),
            having: one_in(dice, 8).then(|| "COUNT(*) > 3".to_owned()),
            limit: one_in(dice, 10).then(|| dice.random_range(1..5)),
            source,
            filters,
            keys,
            grouping,
            measures,
            windows,
            outer,
            options,
        }
    }

    /// Whether every row of the finest grouping is shown, so that sums of changes can be compared with the bounds.
    pub(crate) fn shows_every_group(&self) -> bool {
        self.having.is_none() && self.limit.is_none() && matches!(self.outer, Outer::None | Outer::Scalar(_))
    }

    /// Whether no row of an ordinary pupil is left out, so that nothing is drawn but noise.
    pub(crate) fn draws_nothing(&self) -> bool {
        let enough = |bound: Option<u64>| bound.is_none_or(|bound| bound >= 40);
        enough(self.options.rows_per_unit) && enough(self.options.groups_per_unit)
    }

    pub(crate) fn sql(&self) -> String {
        let mut list: Vec<String> = Vec::new();
        let keys = self.keys.iter().enumerate();
        list.extend(keys.clone().map(|(i, key)| format!("{key} AS k{i}")));
        if !self.grouping.is_empty() {
            list.extend(keys.map(|(i, key)| format!("GROUPING({key}) AS g{i}")));
        }
        let columns = self.measures.iter().flat_map(|measure| &measure.columns).enumerate();
        list.extend(columns.map(|(i, column)| format!("{column} AS m{i}")));
        list.extend(self.windows.iter().enumerate().map(|(i, window)| format!("{window} AS w{i}")));
        if let Outer::Scalar(scalar) = &self.outer {
            list.push(format!("COUNT(*) * 1.0 / {scalar} AS of_all"));
        }
        let (with, from) = match self.source.sql.strip_prefix('(').and_then(|rest| rest.rsplit_once(") AS "))
        {
            Some((body, alias)) if self.with && !body.contains(") AS t") => {
                (format!("WITH source AS ({body}) "), format!("source AS {alias}"))
            }
            _ => (String::new(), self.source.sql.clone()),
        };
        let mut sql = format!("SELECT {} FROM {from}", list.join(", "));
        if !self.filters.is_empty() {
            sql += &format!(" WHERE {}", self.filters.join(" AND "));
        }
        let keys = self.keys.join(", ");
        match self.grouping {
            "" if self.keys.is_empty() => {}
            "" => sql += &format!(" GROUP BY {keys}"),
            "GROUPING SETS" => sql += &format!(" GROUP BY GROUPING SETS (({keys}), ())"),
            rollup => sql += &format!(" GROUP BY {rollup} ({keys})"),
        }
        if let Some(having) = &self.having {
            sql += &format!(" HAVING {having}");
        }
        if let Some(limit) = self.limit {
            sql += &format!(" ORDER BY m0 DESC LIMIT {limit}");
        }
        match self.outer {
            Outer::None | Outer::Scalar(_) => with + &sql,
            Outer::Mean => format!("{with}SELECT AVG(q.m0) AS a, COUNT(*) AS c FROM ({sql}) AS q"),
            Outer::Filter => format!("{with}SELECT * FROM ({sql}) AS q WHERE q.m0 > 2"),
            Outer::Union => {
                format!("{with}SELECT m0 FROM ({sql}) AS q UNION ALL SELECT m0 + 1 AS m0 FROM ({sql}) AS r")
            }
        }
    }

    /// The same with one thing less.
    pub(crate) fn smaller(&self) -> Vec<Question> {
        let mut all: Vec<Question> = Vec::new();
        let mut add = |change: &dyn Fn(&mut Question)| {
            let mut smaller = self.clone();
            change(&mut smaller);
            all.push(smaller);
        };
        add(&|q| q.outer = Outer::None);
        add(&|q| q.with = false);
        add(&|q| q.limit = None);
        add(&|q| q.having = None);
        add(&|q| q.windows.clear());
        add(&|q| q.grouping = "");
        add(&|q| q.options.groups_per_unit = None);
        (0..self.filters.len()).for_each(|i| add(&|q| drop(q.filters.remove(i))));
        (0..self.keys.len()).for_each(|i| add(&|q| drop(q.keys.remove(i))));
        if self.measures.len() > 1 {
            (0..self.measures.len()).for_each(|i| add(&|q| drop(q.measures.remove(i))));
        }
        self.source.simpler.iter().for_each(|simpler| add(&|q| q.source = simpler.clone()));
        all.retain(|smaller| smaller.sql() != self.sql() || smaller.options != self.options);
        all
    }
}

/// Pupils of whom there is a row in another table.
fn within(dice: &mut ChaCha8Rng, sources: &mut Sources<'_>, source: &Source) -> String {
    let other = sources.table(pick(dice, sources.schema.tables));
    let condition = condition(dice, &other.columns, 1);
    let (pupil, sql) = (&source.pupil, &other.sql);
    match dice.random_range(0..3) {
        0 => format!("{pupil} IN (SELECT {} FROM {sql} WHERE {condition})", other.pupil),
        1 => format!("EXISTS (SELECT 1 FROM {sql} WHERE {} = {pupil} AND {condition})", other.pupil),
        _ => format!("NOT EXISTS (SELECT 1 FROM {sql} WHERE {} = {pupil} AND {condition})", other.pupil),
    }
}

/// Rows above the mean of all.
fn compared(dice: &mut ChaCha8Rng, sources: &mut Sources<'_>, source: &Source) -> String {
    let other = sources.table(pick(dice, sources.schema.tables));
    let of = bounded(dice, &other.columns);
    format!("{} >= (SELECT AVG({of}) FROM {})", number(dice, &source.columns, 0), other.sql)
}

/// Either sums and counts, which are compared with their bounds as they are, or means and what else is read off sums
/// around the middle of a range. Together they would share a lattice.
fn measures(dice: &mut ChaCha8Rng, source: &Source) -> Vec<Measure> {
    let sums = one_in(dice, 2);
    let mut all = vec![Measure { columns: vec!["COUNT(*)".to_owned()], mean: false }];
    for _ in 0..dice.random_range(0..3) {
        let filter = if one_in(dice, 5) {
            format!(" FILTER (WHERE {})", condition(dice, &source.columns, 1))
        } else {
            String::new()
        };
        let of = bounded(dice, &source.columns);
        let one = |call: String| Measure { columns: vec![call + &filter], mean: false };
        let choice = dice.random_range(0..8);
        all.push(match (sums, choice) {
            (true, 0..4) => one(format!("SUM({of})")),
            (true, 4) => one(format!("COUNT(DISTINCT {})", source.pupil)),
            (true, 5) => one(format!("COUNT(DISTINCT {of})")),
            (true, _) => one(format!("COUNT({of})")),
            (false, 0..4) => Measure {
                columns: vec![format!("COUNT({of}){filter}"), format!("AVG({of}){filter}")],
                mean: true,
            },
            (false, 4) => {
                let name = *pick(dice, &["VAR_POP", "STDDEV_SAMP", "VAR_SAMP", "STDDEV_POP"]);
                one(format!("{name}({of})"))
            }
            (false, 5) => {
                let name = *pick(dice, &["CORR", "COVAR_POP", "REGR_SLOPE", "REGR_R2", "REGR_INTERCEPT"]);
                one(format!("{name}({of}, {})", bounded(dice, &source.columns)))
            }
            (false, 6) => {
                let name = *pick(dice, &["MEDIAN", "MIN", "MAX"]);
                one(format!("{name}({of})"))
            }
            (false, _) => one(format!("PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY {of})")),
        });
    }
    all
}
