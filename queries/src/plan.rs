//! [`PrivatePlan`]: a question that was verified. The vault evaluates nothing else.

use disclosure_rules::measure::{Component, KeyThreshold, Measure, Terms};
use disclosure_rules::rules::SmallCells;
use disclosure_rules::sensitivity::Contribution;
use disclosure_rules::{Delta, PlanDigest, Rho};
use memoranda::Kind;
use sha2::{Digest, Sha256};

pub use crate::lower::{OrderKey, Step};
use crate::tree::{Expr, Rel};

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
    pub(crate) source: Rel,
    pub(crate) keys: Vec<Expr>,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) components: Vec<Component>,
    pub(crate) measures: Vec<MeasureColumn>,
    pub(crate) pupils: Option<usize>,
    pub(crate) contribution: Contribution,
    pub(crate) key_source: KeySource,
    pub(crate) steps: Vec<Step>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) max_groups: u64,
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

    /// SHA-256 of the canonical question: tree, bounds, steps, contract and rule-set versions, and the price.
    /// White space, letter case and aliases of the SQL do not matter.
    pub fn digest(&self, rho: Rho) -> PlanDigest {
        let mut parts = self.parts.clone();
        for step in &mut parts.steps {
            if let Step::Columns(columns) = step {
                columns.iter_mut().for_each(|(name, _)| name.clear());
            }
        }
        let canonical = format!("question v1\n{parts:?}\nrho_micro={}", rho.micro());
        PlanDigest(Sha256::digest(canonical.as_bytes()).into())
    }

    /// What a release of this plan for `rho` is made of: scales, thresholds, price. `delta` is what the memorandum
    /// has for thresholds in all.
    pub fn terms(&self, rho: Rho, delta: Delta, small_cells: SmallCells) -> Terms {
        let share = Delta::new(delta.get() / THRESHOLDS_PER_DELTA).unwrap_or(delta);
        Terms::new(
            self.digest(rho),
            self.parts.contribution,
            self.parts.components.clone(),
            self.parts.measures.iter().map(|column| column.measure).collect(),
            self.parts.pupils.map(|pupils| KeyThreshold { pupils, delta: share }),
            small_cells,
            rho,
        )
    }

    /// The relation that is aggregated.
    pub fn source(&self) -> &Rel {
        &self.parts.source
    }

    /// Group keys over the source's columns.
    pub fn keys(&self) -> &[Expr] {
        &self.parts.keys
    }

    /// Arguments of aggregates over the source's columns.
    pub fn arguments(&self) -> &[Expr] {
        &self.parts.arguments
    }

    /// Integers that are added up per group.
    pub fn components(&self) -> &[Component] {
        &self.parts.components
    }

    /// The measures, in the order of the SQL's aggregates.
    pub fn measures(&self) -> &[MeasureColumn] {
        &self.parts.measures
    }

    /// What one pupil can change.
    pub fn contribution(&self) -> Contribution {
        self.parts.contribution
    }

    /// Whether keys come from the pupils' rows.
    pub fn has_unknown_keys(&self) -> bool {
        self.parts.key_source == KeySource::Unknown
    }

    /// A relation over public tables and listed values, and the keys over its columns; `None` where keys are
    /// unknown or there are none.
    pub fn key_domain(&self) -> Option<(&Rel, &[Expr])> {
        match &self.parts.key_source {
            KeySource::Public { domain, keys } => Some((domain, keys)),
            KeySource::Single | KeySource::Unknown => None,
        }
    }

    /// Most groups that an answer may have.
    pub fn max_groups(&self) -> u64 {
        self.parts.max_groups
    }

    /// Post-processing, in order.
    pub fn steps(&self) -> &[Step] {
        &self.parts.steps
    }

    /// Types of the answer's columns.
    pub fn kinds(&self) -> &[Kind] {
        &self.parts.kinds
    }

    /// Tables and columns that the question reads, as `table.column`, sorted.
    pub fn items(&self) -> Vec<String> {
        let fields = self.parts.source.fields();
        let conditions = crate::bounds::mentioned(&self.parts.source);
        let exprs = self.parts.keys.iter().chain(&self.parts.arguments).chain(&conditions);
        let mut items: Vec<String> = exprs
            .flat_map(Expr::columns)
            .filter_map(|index| fields.get(index))
            .map(|field| format!("{}.{}", field.table, field.column))
            .collect();
        items.sort();
        items.dedup();
        items
    }
}
