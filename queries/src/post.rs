//! Post-processing: what the SQL does with releases. Sees noisy values and public keys only, so that nothing here costs
//! privacy.

use crate::tree::{Expr, JoinKind, OrderKey};

/// A table computed from releases.
#[derive(Debug, Clone, PartialEq)]
pub enum Post {
    /// One row without columns: SELECT without FROM.
    OneRow,
    /// The groups of a stage: its keys, the number of the grouping set where there are several, then its measures.
    Stage(usize),
    /// Rows for which the condition is true: HAVING, and WHERE around a subquery.
    Keep {
        /// What is read.
        input: Box<Post>,
        /// Over its columns.
        condition: Expr,
    },
    /// Named expressions over the input's columns.
    Columns {
        /// What is read.
        input: Box<Post>,
        /// Names and expressions.
        columns: Vec<(String, Expr)>,
    },
    /// ORDER BY.
    Order {
        /// What is read.
        input: Box<Post>,
        /// Over its columns.
        by: Vec<OrderKey>,
    },
    /// LIMIT and OFFSET.
    Limit {
        /// What is read.
        input: Box<Post>,
        /// Rows left out first.
        skip: usize,
        /// Rows kept.
        fetch: Option<usize>,
    },
    /// Different rows.
    Distinct(Box<Post>),
    /// UNION, INTERSECT, EXCEPT. Columns are the left side's.
    Set {
        /// Which.
        operation: SetOperation,
        /// ALL: repeated rows stay.
        all: bool,
        /// Left side.
        left: Box<Post>,
        /// Right side.
        right: Box<Post>,
    },
    /// A join of two released tables. Columns are the left side's, then the right side's.
    Join {
        /// Left side.
        left: Box<Post>,
        /// Right side.
        right: Box<Post>,
        /// Which side keeps its unmatched rows; semi and anti give the left side's columns only.
        kind: JoinKind,
        /// Over the columns of both sides.
        on: Option<Expr>,
    },
    /// Aggregates of noisy values: keys, then calls.
    Group {
        /// What is read.
        input: Box<Post>,
        /// Over its columns.
        keys: Vec<Expr>,
        /// Aggregates.
        calls: Vec<PostCall>,
    },
    /// The input's columns, then one per window function.
    Window {
        /// What is read.
        input: Box<Post>,
        /// Window functions.
        calls: Vec<PostWindow>,
    },
}

/// Set operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SetOperation {
    Union,
    Intersect,
    Except,
}

/// An aggregate of noisy values.
#[derive(Debug, Clone, PartialEq)]
pub struct PostCall {
    /// What is computed.
    pub function: PostFunction,
    /// Argument; `None` for COUNT(*).
    pub argument: Option<Expr>,
    /// DISTINCT.
    pub distinct: bool,
}

/// Aggregates of noisy values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PostFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

/// A window function over released rows.
#[derive(Debug, Clone, PartialEq)]
pub struct PostWindow {
    /// What is computed.
    pub function: PostWindowFunction,
    /// Arguments.
    pub args: Vec<Expr>,
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// ORDER BY.
    pub order: Vec<OrderKey>,
    /// Rows that an aggregate sees.
    pub frame: crate::tree::Frame,
}

/// Window functions over released rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PostWindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    Aggregate(PostFunction),
}

impl Post {
    /// What it reads, in order.
    pub fn inputs(&self) -> Vec<&Post> {
        match self {
            Post::OneRow | Post::Stage(_) => vec![],
            Post::Keep { input, .. }
            | Post::Columns { input, .. }
            | Post::Order { input, .. }
            | Post::Limit { input, .. }
            | Post::Distinct(input)
            | Post::Group { input, .. }
            | Post::Window { input, .. } => vec![input],
            Post::Set { left, right, .. } | Post::Join { left, right, .. } => vec![left, right],
        }
    }
}
