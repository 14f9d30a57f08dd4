//! What an answer looks like, for the OpenAPI document. `gate::encode::json` writes it; a test compares.
#![expect(dead_code, reason = "these describe what the gate writes")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// An answer, or what an answer would be.
#[derive(ToSchema)]
pub(crate) struct Answer {
    /// Id of the memorandum.
    memorandum: String,
    /// Digest of the canonical question with its price.
    question: String,
    /// Digest of the recorded answer; null in a preview.
    release: Option<String>,
    /// Whether the answer was on record already.
    replayed: bool,
    /// Whether nothing was asked yet.
    preview: bool,
    /// What was charged now; in a preview, what would be.
    charged: Charged,
    /// What is left.
    balance: Balance,
    /// What bounds one pupil's effect on each result inside the question; in a preview.
    #[schema(value_type = Option<Vec<Object>>, nullable = false)]
    bounds: Option<Vec<()>>,
    /// The principles that leave it to the board; in a preview.
    #[schema(nullable = false)]
    board: Option<Vec<String>>,
    /// Columns.
    #[schema(value_type = Vec<Object>)]
    columns: Vec<()>,
    /// Rows by name of the column: keys as they are, measures as `{ value, low, high }` or `{ hidden }`.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<BTreeMap<String, ()>>,
    /// Where the release is in the disclosure log; null in a preview.
    log: Option<Place>,
    /// What shows that offline.
    #[schema(value_type = Option<Object>, nullable = false)]
    receipt: Option<()>,
}

/// A privacy loss.
#[derive(ToSchema)]
struct Charged {
    /// ρ.
    rho: f64,
    /// ε at `delta`.
    epsilon: f64,
    /// The memorandum's δ.
    delta: f64,
    /// δ used by the threshold for unknown keys.
    #[schema(nullable = false)]
    threshold_delta: Option<f64>,
}

/// What is left of the allotment.
#[derive(ToSchema)]
struct Balance {
    /// ρ.
    rho: f64,
    /// ε, under a pure memorandum.
    #[schema(nullable = false)]
    epsilon: Option<f64>,
}

/// A place in the log.
#[derive(ToSchema)]
struct Place {
    /// Number of the leaf.
    index: u64,
    /// Root of the tree with that leaf, in hexadecimal.
    root: String,
}
