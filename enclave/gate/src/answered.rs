//! [`Answered`]: what a researcher is told, in the form of DESIGN section 7. Holds noisy values and public
//! metadata only.

use disclosure_rules::account::{Loss, PureEpsilon};
use disclosure_rules::measure::{Aggregate, Guarantee, Quantity, Terms};
use disclosure_rules::release::Hidden;
use disclosure_rules::{Cost, Delta, Rho, Value};
use ledger::Receipt;
use memoranda::Kind;
use queries::answer::Datum;
use queries::plan::MeasureColumn;
use queries::{Answer, PrivatePlan};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::price;

/// An answer, or what an answer would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answered {
    /// Id of the memorandum.
    pub memorandum: String,
    /// Digest of the canonical question with its price.
    pub question: String,
    /// Digest of the recorded answer; absent in a preview.
    pub release: Option<String>,
    /// Whether the answer was on record already.
    pub replayed: bool,
    /// Whether nothing was asked yet.
    pub preview: bool,
    /// What was charged now; in a preview, what would be.
    pub charged: Charged,
    /// What is left.
    pub balance: Balance,
    /// What bounds one pupil's effect on each result inside the question; in a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Vec<Bounds>>,
    /// The principles that leave it to the board; in a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<Vec<String>>,
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows, one cell per column; an object by name in JSON.
    #[serde(skip)]
    pub rows: Vec<Vec<Cell>>,
    /// Where the release is in the disclosure log; absent in a preview.
    pub log: Option<LogPlace>,
    /// What shows that offline; absent in a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// A privacy loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Charged {
    /// ρ; under a pure memorandum, what the pool counts.
    pub rho: Rho,
    /// ε at `delta`.
    pub epsilon: f64,
    /// The memorandum's δ; 0 where it is pure.
    pub delta: f64,
    /// δ used by the threshold for unknown keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_delta: Option<f64>,
}

impl Charged {
    /// The same at no charge.
    pub(crate) fn nothing(self) -> Charged {
        Charged { rho: Rho::ZERO, epsilon: 0.0, threshold_delta: None, ..self }
    }
}

/// What is left of the memorandum's allotment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Balance {
    /// ρ; under a pure memorandum, of `epsilon` at once.
    pub rho: Rho,
    /// ε, under a pure memorandum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<PureEpsilon>,
}

/// What bounds one pupil's effect on the answer, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bounds {
    /// Its share of the price.
    pub rho: Rho,
    /// Rows of one pupil that count; absent where nothing bounds them.
    pub rows_per_unit: Option<u64>,
    /// Of those, in one group.
    pub rows_per_group: Option<u64>,
    /// Groups that one pupil counts in.
    pub groups_per_unit: Option<u64>,
    /// Number of groups, where it is public.
    pub groups: Option<usize>,
    /// How likely a cell is hidden, by its number of pupils.
    pub hidden_chances: Vec<(u64, f64)>,
    /// The same in words, with what would lower the noise.
    pub explanation: String,
}

/// Where a release is in the disclosure log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    /// Number of the leaf.
    pub index: u64,
    /// Root of the tree with that leaf, in hexadecimal.
    pub root: String,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name or alias.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean`, `date`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `key` or `measure`.
    pub role: String,
    /// `count`, `sum`, `avg`, …; `expression` where it is computed from several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<String>,
    /// The noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// Scale of the noise, in the unit of the count or sum it was added to: a Gaussian's standard deviation, a
    /// Laplace's mean magnitude.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// What one pupil can change, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<Sensitivity>,
    /// Range that one row's contribution was clamped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clipped: Option<(f64, f64)>,
    /// Half-width to expect of the 95% interval; in a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_width: Option<f64>,
    /// The number of pupils in a cell that `half_width` is stated for, where it depends on that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_width_for_pupils: Option<f64>,
    /// Noisy number of pupils below which a cell is hidden; in a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_below: Option<i64>,
}

/// Sensitivities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// Over all groups, Euclidean.
    pub l2: f64,
    /// Sum over all groups, where the noise follows from it: under a pure memorandum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l1: Option<f64>,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A noisy number; an end of `None` is infinite.
    Noisy {
        /// The value.
        value: Number,
        /// Lower end of the 95% interval.
        low: Option<Number>,
        /// Upper end of the 95% interval.
        high: Option<Number>,
    },
    /// Not shown.
    Hidden {
        /// Why.
        hidden: Hidden,
    },
    /// A number computed from keys.
    Number(Number),
    /// A key.
    Key(Value),
}

/// A number that is written without a point where it is whole by type.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// Whole.
    Integer(i64),
    /// Any.
    Float(f64),
}

impl Number {
    fn of(value: f64, kind: Kind) -> Number {
        if kind == Kind::Integer { Number::Integer(value.round() as i64) } else { Number::Float(value) }
    }

    /// As a float.
    pub fn get(self) -> f64 {
        match self {
            Number::Integer(i) => i as f64,
            Number::Float(f) => f,
        }
    }
}

/// What is recorded of an answer, and told again when the same is asked again. Its columns have no names: those
/// are the asker's words, which may be anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Recorded {
    pub(crate) fn new(plan: &PrivatePlan, terms: &[Terms], answer: Answer) -> Recorded {
        let kinds: Vec<Kind> = answer.columns.iter().map(|column| column.kind).collect();
        let cell = |(datum, kind): (Datum, &Kind)| match datum {
            Datum::Key(value) => Cell::Key(value),
            Datum::Plain(value) => Cell::Number(Number::of(value, *kind)),
            Datum::Hidden(hidden) => Cell::Hidden { hidden },
            Datum::Noisy { value, low, high } => {
                // Ends are widened to whole numbers where the value is one by type.
                let end = |end: f64, whole: fn(f64) -> f64| {
                    end.is_finite()
                        .then(|| Number::of(if *kind == Kind::Integer { whole(end) } else { end }, *kind))
                };
                Cell::Noisy {
                    value: Number::of(value, *kind),
                    low: end(low, f64::floor),
                    high: end(high, f64::ceil),
                }
            }
        };
        let rows =
            answer.rows.into_iter().map(|row| row.into_iter().zip(&kinds).map(cell).collect()).collect();
        let mut columns = columns(plan, terms, None);
        columns.iter_mut().for_each(|column| column.name.clear());
        Recorded { columns, rows }
    }

    /// The columns, named as the question at hand names them.
    pub(crate) fn named(&self, plan: &PrivatePlan) -> Vec<Column> {
        let names = plan.answer_columns().into_iter().map(|column| column.name);
        self.columns.iter().zip(names).map(|(column, name)| Column { name, ..column.clone() }).collect()
    }
}

/// The columns of an answer, known before anything is asked; in a preview, with half-widths at this confidence.
pub(crate) fn columns(plan: &PrivatePlan, terms: &[Terms], preview: Option<f64>) -> Vec<Column> {
    let describe = |column: queries::answer::Column| {
        let kind = column.kind.name().to_owned();
        let mut told = Column {
            name: column.name,
            kind,
            role: if column.measures.is_empty() { "key" } else { "measure" }.to_owned(),
            aggregate: None,
            mechanism: None,
            scale: None,
            sensitivity: None,
            clipped: None,
            half_width: None,
            half_width_for_pupils: None,
            hidden_below: None,
        };
        if !column.measures.is_empty() {
            told.mechanism = Some(mechanism(plan.guarantee()).to_owned());
            told.aggregate = Some("expression".to_owned());
        }
        if let [(stage, measure)] = column.measures.as_slice() {
            describe_measure(&mut told, plan.stages()[*stage].measures()[*measure], &terms[*stage], preview);
        }
        told
    };
    plan.answer_columns().into_iter().map(describe).collect()
}

fn describe_measure(told: &mut Column, column: MeasureColumn, terms: &Terms, preview: Option<f64>) {
    let (noisy, unit) = match column.measure.aggregate {
        Aggregate::Count(count) => (count, 1.0),
        Aggregate::Sum { sum, .. } | Aggregate::Mean { sum, .. } => (sum, terms.lattice(sum).step),
        Aggregate::Spread { squares, .. } => (squares, 1.0),
        Aggregate::Association { xy, .. } => (xy, 1.0),
        Aggregate::Quantile { distribution, .. } => (distribution, 1.0),
    };
    let component = terms.components[noisy];
    told.aggregate = Some(column.name.to_owned());
    if matches!(column.measure.aggregate, Aggregate::Quantile { .. }) {
        let of_ranks = match terms.guarantee {
            Guarantee::Concentrated => "exponential, over ranks",
            Guarantee::Pure => "permute-and-flip, over ranks",
        };
        told.mechanism = Some(of_ranks.to_owned());
    } else if terms.automatic.is_some() {
        told.mechanism = Some(format!("race to the top, {}", mechanism(terms.guarantee)));
    } else {
        let contribution = &terms.groupings[0].contribution;
        told.scale = Some(significant(terms.scales[0][noisy] * unit));
        let pure = terms.guarantee == Guarantee::Pure;
        told.sensitivity = Some(Sensitivity {
            l2: significant((component.l2_squared(contribution) as f64).sqrt() * unit),
            l1: pure.then(|| significant(component.l1(contribution) as f64 * unit)),
        });
    }
    told.clipped = Some(match component.quantity {
        Quantity::Sum(lattice) | Quantity::Distribution(lattice) => (lattice.low, lattice.high),
        Quantity::Product { x, .. } => (x.low, x.high),
        Quantity::Rows | Quantity::Pupils | Quantity::Distinct => (0.0, 1.0),
    });
    if let Some(confidence) = preview {
        let pupils = price::reference_pupils(column.measure.aggregate);
        // Where a bound is still to be found, so is the noise.
        if terms.automatic.is_none() {
            told.half_width = Some(significant(price::half_width(terms, &column.measure, confidence)));
            told.half_width_for_pupils = pupils;
        }
        told.hidden_below = Some(terms.cell_threshold(0, column.measure.pupils));
    }
}

/// Six significant digits: enough for a reader, and stable.
fn significant(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// The noise on counts and sums.
pub(crate) fn mechanism(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::Concentrated => "discrete gaussian",
        Guarantee::Pure => "discrete laplace",
    }
}

/// A loss, with the ε for which the release, threshold and all, is (ε, δ)-DP at the memorandum's δ; where it is pure,
/// ε-DP.
pub(crate) fn charged(loss: Loss, delta: Delta) -> Charged {
    let Cost { rho, threshold_delta } = loss.cost();
    if let Some(epsilon) = loss.epsilon() {
        return Charged { rho, epsilon: epsilon.get(), delta: 0.0, threshold_delta: None };
    }
    let rest = Delta::new(delta.get() - threshold_delta).unwrap_or(delta);
    Charged {
        rho,
        epsilon: significant(rho.epsilon(rest).get()),
        delta: delta.get(),
        threshold_delta: (threshold_delta > 0.0).then_some(threshold_delta),
    }
}

/// Rows as JSON objects by column name.
pub(crate) struct Rows<'a>(pub(crate) &'a Answered);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Row<'a>(&'a [Column], &'a [Cell]);
        impl Serialize for Row<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(self.0.len()))?;
                for (column, cell) in self.0.iter().zip(self.1) {
                    map.serialize_entry(&column.name, cell)?;
                }
                map.end()
            }
        }
        serializer.collect_seq(self.0.rows.iter().map(|row| Row(&self.0.columns, row)))
    }
}
