//! [`PrivatePlan`]: a question that was verified. The vault evaluates nothing else.

use disclosure_rules::measure::{Ask, Automatic, Component, Grouping, Guarantee, Measure, Terms};
use disclosure_rules::rules::SmallCells;
use disclosure_rules::split;
use disclosure_rules::{Delta, PlanDigest, Release, Rho};
use memoranda::Kind;
use sha2::{Digest, Sha256};

use crate::answer::{self, Answer, Column, StageShape};
use crate::bounds;
use crate::post::Post;
use crate::tree::{Expr, Literal, Rel};

/// Evidence that a question is inside the closed vocabulary, under its memorandum, with bounds. Made only by
/// [`crate::verify`].
///
/// ```compile_fail
/// let forged = queries::PrivatePlan { parts: unimplemented!() };
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PrivatePlan {
    parts: Parts,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    pub(crate) contract: String,
    pub(crate) rules: String,
    pub(crate) stages: Vec<Stage>,
    pub(crate) scalars: Vec<Post>,
    pub(crate) answer: Post,
    /// Names of the answer's columns.
    pub(crate) names: Vec<String>,
    /// Types of the answer's columns.
    pub(crate) kinds: Vec<Kind>,
    /// Why the board decides on it first.
    pub(crate) concerns: Vec<Concern>,
}

/// A principle of the rule set that leaves a question to the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Its identifier.
    pub principle: String,
    /// Why, in both languages.
    pub reason: String,
}

/// One private GROUP BY: released by one mechanism. Made only by [`crate::verify`].
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    pub(crate) source: Rel,
    pub(crate) keys: Vec<Expr>,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) components: Vec<Component>,
    pub(crate) measures: Vec<MeasureColumn>,
    pub(crate) pupils: Option<usize>,
    pub(crate) groupings: Vec<Grouping>,
    /// What GROUPING(…) reads, per grouping; `None` for a plain GROUP BY.
    pub(crate) grouping_ids: Option<Vec<i64>>,
    pub(crate) key_source: KeySource,
    pub(crate) automatic: Option<Automatic>,
    pub(crate) guarantee: Guarantee,
    pub(crate) max_groups: u64,
    /// Why these bounds, in words.
    pub(crate) why: Vec<String>,
}

/// Where group keys come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KeySource {
    /// No GROUP BY, or only by constants: one group, always there.
    Single,
    /// From public tables and listed values.
    Public { domain: Rel, keys: Vec<Expr> },
    /// From the pupils' rows.
    Unknown,
}

/// A measure and the name of its aggregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeasureColumn {
    /// How it is read off the components.
    pub measure: Measure,
    /// `count`, `sum`, `avg`, …
    pub name: &'static str,
}

/// How many questions with unknown keys a memorandum's δ for thresholds pays for.
const THRESHOLDS_PER_DELTA: f64 = 100.0;

impl PrivatePlan {
    pub(crate) fn new(parts: Parts) -> PrivatePlan {
        PrivatePlan { parts }
    }

    /// SHA-256 of the canonical question: trees, bounds, post-processing, contract and rule-set versions, and the
    /// price. White space, letter case and aliases of the SQL do not matter.
    pub fn digest(&self, rho: Rho) -> PlanDigest {
        let mut parts = self.parts.clone();
        parts.names.clear();
        parts.concerns.clear();
        without_names(&mut parts.answer);
        parts.scalars.iter_mut().for_each(without_names);
        let canonical = format!("question v2\n{parts:?}\nrho_micro={}", rho.micro());
        PlanDigest(Sha256::digest(canonical.as_bytes()).into())
    }

    /// What the releases of this plan for `rho` in all are made of, one per stage: scales, thresholds, prices. `delta`
    /// is what the memorandum has for thresholds in all. `None` where the price is less than a millionth per stage.
    ///
    /// The price is split so that the sum of squared relative errors over all stages is least: each stage gets a share
    /// in proportion to its [`Terms::weight`], of ε where losses are pure.
    pub fn terms(&self, rho: Rho, delta: Delta, small_cells: SmallCells) -> Option<Vec<Terms>> {
        let digest = self.digest(rho);
        let ask = |stage: &Stage, number: usize, rho: Rho| {
            let text = format!("stage v1\n{digest}\n{number}");
            stage.ask(PlanDigest(Sha256::digest(text.as_bytes()).into()), rho, delta, small_cells)
        };
        let asks = self.stages().iter().enumerate().map(|(number, stage)| ask(stage, number, rho));
        let weights: Vec<f64> = asks.map(|ask| Terms::weight(&ask)).collect();
        let prices = match self.guarantee() {
            Guarantee::Concentrated => concentrated_prices(rho, &weights)?,
            Guarantee::Pure => pure_prices(rho, &weights)?,
        };
        let stages = self.stages().iter().zip(prices).enumerate();
        Some(stages.map(|(number, (stage, rho))| Terms::new(ask(stage, number, rho))).collect())
    }

    /// What is promised of the answer: the same of every stage.
    pub fn guarantee(&self) -> Guarantee {
        self.stages().first().map_or(Guarantee::Concentrated, |stage| stage.guarantee)
    }

    /// Why the board decides on it before it runs; empty where it need not.
    pub fn concerns(&self) -> &[Concern] {
        &self.parts.concerns
    }

    /// The stages, in the order in which they are released.
    pub fn stages(&self) -> &[Stage] {
        &self.parts.stages
    }

    /// The columns of the answer, known before anything is asked.
    pub fn answer_columns(&self) -> Vec<Column> {
        let shapes = self.shapes();
        let columns = answer::columns(&self.parts.answer, &shapes, &self.parts.scalars);
        let named = columns.into_iter().zip(&self.parts.names).zip(&self.parts.kinds);
        named.map(|((column, name), kind)| Column { name: name.clone(), kind: *kind, ..column }).collect()
    }

    /// Applies the SQL's own post-processing to the releases of all stages.
    pub fn answer(&self, releases: &[Release]) -> Answer {
        let shapes = self.shapes();
        let rows = answer::rows(&self.parts.answer, &shapes, &self.parts.scalars, releases);
        Answer { columns: self.answer_columns(), rows }
    }

    /// The noisy values of the scalar subqueries that the stages released so far determine, as constants; NULL for the
    /// others.
    pub fn bindings(&self, releases: &[Release]) -> Vec<Literal> {
        answer::bindings(&self.shapes(), &self.parts.scalars, releases)
    }

    /// What is done with the releases.
    pub(crate) fn post(&self) -> &Post {
        &self.parts.answer
    }

    fn shapes(&self) -> Vec<StageShape> {
        self.stages().iter().map(Stage::shape).collect()
    }

    /// Tables and columns that the question reads, as `table.column`, sorted.
    pub fn items(&self) -> Vec<String> {
        let mut items: Vec<String> = self
            .stages()
            .iter()
            .flat_map(|stage| {
                let fields = stage.source.fields();
                let exprs = stage.keys.iter().chain(&stage.arguments);
                let own: bounds::Columns = exprs.flat_map(|expr| bounds::origins(expr, &fields)).collect();
                own.into_iter().chain(bounds::used(&stage.source))
            })
            .map(|(table, column)| format!("{table}.{column}"))
            .collect();
        items.sort();
        items.dedup();
        items
    }
}

impl Stage {
    fn ask(&self, plan: PlanDigest, rho: Rho, delta: Delta, small_cells: SmallCells) -> Ask {
        Ask {
            plan,
            components: self.components.clone(),
            measures: self.measures.iter().map(|column| column.measure).collect(),
            groupings: self.groupings.clone(),
            pupils: self.pupils,
            threshold_delta: Delta::new(delta.get() / THRESHOLDS_PER_DELTA).unwrap_or(delta),
            occupied_only: self.measures.is_empty(),
            automatic: self.automatic,
            small_cells,
            guarantee: self.guarantee,
            rho,
        }
    }

    pub(crate) fn shape(&self) -> StageShape {
        StageShape {
            keys: self.keys.iter().map(|key| key.kind().unwrap_or(Kind::Text)).collect(),
            grouping_ids: self.grouping_ids.clone(),
            measures: self
                .measures
                .iter()
                .map(|column| if column.measure.integer { Kind::Integer } else { Kind::Number })
                .collect(),
            groups: match self.key_source {
                KeySource::Single => self.groupings.len() as u64,
                KeySource::Public { ref domain, .. } => {
                    let most = listed(domain).map_or(self.max_groups, |listed| listed.min(self.max_groups));
                    most.saturating_mul(self.groupings.len() as u64)
                }
                KeySource::Unknown => self.max_groups.saturating_mul(self.groupings.len() as u64),
            },
            guarantee: self.guarantee,
        }
    }

    /// The relation that is aggregated.
    pub fn source(&self) -> &Rel {
        &self.source
    }

    /// Group keys over the source's columns.
    pub fn keys(&self) -> &[Expr] {
        &self.keys
    }

    /// Arguments of aggregates over the source's columns.
    pub fn arguments(&self) -> &[Expr] {
        &self.arguments
    }

    /// What is added up per group.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The measures, in the order of the SQL's aggregates.
    pub fn measures(&self) -> &[MeasureColumn] {
        &self.measures
    }

    /// The grouping sets, the finest first, each with what one pupil can change in it.
    pub fn groupings(&self) -> &[Grouping] {
        &self.groupings
    }

    /// Set where nothing bounds a pupil's rows: the bound is then found privately.
    pub fn automatic(&self) -> Option<&Automatic> {
        self.automatic.as_ref()
    }

    /// Why these bounds, in words.
    pub fn why(&self) -> &[String] {
        &self.why
    }

    /// Whether keys come from the pupils' rows.
    pub fn has_unknown_keys(&self) -> bool {
        self.key_source == KeySource::Unknown
    }

    /// A relation over public tables and listed values, and the keys over its columns; `None` where keys are
    /// unknown or there are none.
    pub fn key_domain(&self) -> Option<(&Rel, &[Expr])> {
        match &self.key_source {
            KeySource::Public { domain, keys } => Some((domain, keys)),
            KeySource::Single | KeySource::Unknown => None,
        }
    }

    /// Most groups that an answer may have.
    pub fn max_groups(&self) -> u64 {
        self.max_groups
    }
}

/// Prices in proportion to the weights, each of at least a millionth.
fn concentrated_prices(rho: Rho, weights: &[f64]) -> Option<Vec<Rho>> {
    let stages = weights.len() as u64;
    let spare = rho.micro().checked_sub(stages)?;
    if stages == 1 {
        return Some(vec![rho]);
    }
    let price = |share: f64| Rho::from_micro(1 + (spare as f64 * share * (1.0 - 1e-12)) as u64).ok();
    shares(weights).map(price).collect()
}

/// The same where the prices add up as ε = √(2ρ).
fn pure_prices(rho: Rho, weights: &[f64]) -> Option<Vec<Rho>> {
    if weights.len() == 1 {
        return (rho != Rho::ZERO).then(|| vec![rho]);
    }
    // The share of ε that is worth a millionth of ρ, or a little more.
    let least = (1.0 + 1e-6) / (rho.micro() as f64).sqrt();
    let spare = 1.0 - least * weights.len() as f64;
    let shares: Vec<f64> = shares(weights).map(|share| least + spare * share).collect();
    (spare >= 0.0).then(|| split::prices(rho, Guarantee::Pure, &shares))
}

/// Shares of a price, summing to 1.
fn shares(weights: &[f64]) -> impl Iterator<Item = f64> {
    let (whole, even) = (weights.iter().sum::<f64>(), 1.0 / weights.len() as f64);
    let known = whole > 0.0 && whole.is_finite();
    weights.iter().map(move |weight| if known { weight / whole } else { even })
}

/// How many rows a relation of listed values has at most; `None` where a table is read.
fn listed(rel: &Rel) -> Option<u64> {
    match rel {
        Rel::Values(_, values) => Some(values.len() as u64),
        Rel::Filter { input, .. } => listed(input),
        Rel::Join { left, right, .. } => Some(listed(left)?.saturating_mul(listed(right)?)),
        _ => None,
    }
}

/// Takes the names of columns, which are the asker's own words.
fn without_names(post: &mut Post) {
    match post {
        Post::OneRow | Post::Stage(_) => {}
        Post::Columns { input, columns } => {
            columns.iter_mut().for_each(|(name, _)| name.clear());
            without_names(input);
        }
        Post::Keep { input, .. }
        | Post::Order { input, .. }
        | Post::Limit { input, .. }
        | Post::Distinct(input)
        | Post::Group { input, .. }
        | Post::Window { input, .. } => without_names(input),
        Post::Set { left, right, .. } | Post::Join { left, right, .. } => {
            without_names(left);
            without_names(right);
        }
    }
}
