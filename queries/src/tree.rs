//! The closed vocabulary: what this tree cannot say is not evaluated. DataFusion's plans are lowered to it, and
//! fresh plans are emitted from it.

use std::collections::BTreeSet;

use disclosure_rules::Value;
use memoranda::Kind;

use crate::function::Function;

/// A relation. Its columns are numbered from 0; a join's are its left side's, then its right side's.
///
/// Rows are of pupils where a private table is read, else public. Every row of pupils carries its pupil, also where no
/// column names it: nothing here mixes the rows of two pupils.
#[derive(Debug, Clone, PartialEq)]
pub enum Rel {
    /// A table of the contract.
    Scan(Scan),
    /// The values that the contract lists for one column, as a relation of that column.
    Values(Box<Field>, Vec<Value>),
    /// Rows for which the predicate is true.
    Filter {
        /// What is filtered.
        input: Box<Rel>,
        /// Over the input's columns.
        predicate: Expr,
    },
    /// Pairs of rows for which the condition is true; of two sides with pupils, those of one pupil.
    Join {
        /// Left side.
        left: Box<Rel>,
        /// Right side.
        right: Box<Rel>,
        /// Which side keeps its unmatched rows.
        kind: JoinKind,
        /// Over the columns of both sides; `None` pairs all rows (of one pupil).
        on: Option<Expr>,
    },
    /// Expressions over the input's columns, as columns. A column that names the pupil is passed on as it is.
    Project {
        /// What is read.
        input: Box<Rel>,
        /// Over the input's columns.
        columns: Vec<Expr>,
    },
    /// One row per pupil and combination of keys: the keys, then the calls. `keys` may hold the pupil's own column.
    Group {
        /// Rows of pupils.
        input: Box<Rel>,
        /// Over the input's columns.
        keys: Vec<Expr>,
        /// Aggregates over each pupil's rows.
        calls: Vec<PupilCall>,
    },
    /// The input's columns, then one per window function over the pupil's own rows.
    Window {
        /// Rows of pupils.
        input: Box<Rel>,
        /// Window functions.
        calls: Vec<WindowCall>,
    },
    /// Different rows; of pupils, within each pupil.
    Distinct(Box<Rel>),
    /// All rows of several relations of the same types.
    Union(Vec<Rel>),
}

/// A table and its visible columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Table of the contract.
    pub table: String,
    /// Whether its rows belong to no pupil.
    pub public: bool,
    /// Its visible columns.
    pub columns: Vec<Field>,
    /// Whether a row of NULLs is added: where a domain of keys needs "missing" as well.
    pub missing_row: bool,
}

/// Kinds of join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// Matches only.
    Inner,
    /// Also unmatched rows of the left side.
    Left,
    /// Also unmatched rows of the right side.
    Right,
    /// Also unmatched rows of both sides.
    Full,
    /// Rows of the left side that have a match; its columns only.
    Semi,
    /// Rows of the left side that have none; its columns only.
    Anti,
}

/// An aggregate over the rows of one pupil. Not a release: it is one more column of a row of pupils.
#[derive(Debug, Clone, PartialEq)]
pub struct PupilCall {
    /// What is computed.
    pub function: PupilFunction,
    /// Arguments; none for COUNT(*).
    pub args: Vec<Expr>,
    /// DISTINCT.
    pub distinct: bool,
    /// FILTER (WHERE …).
    pub filter: Option<Expr>,
}

/// Aggregates over one pupil's rows. All are total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PupilFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
    Median,
    BoolAnd,
    BoolOr,
}

/// A window function over one pupil's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowCall {
    /// What is computed.
    pub function: WindowFunction,
    /// Arguments.
    pub args: Vec<Expr>,
    /// PARTITION BY, beside the pupil.
    pub partition: Vec<Expr>,
    /// ORDER BY.
    pub order: Vec<OrderKey>,
    /// Rows that an aggregate sees.
    pub frame: Frame,
}

/// Window functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    Aggregate(PupilFunction),
}

/// The rows of a window that an aggregate sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// All rows of the partition.
    Whole,
    /// From the first row to the current one and its peers (SQL's default with ORDER BY).
    RangeToCurrent,
    /// From so many rows before to so many after; `None` is unbounded, negative counts look the other way.
    Rows(Option<i64>, Option<i64>),
}

/// One expression of ORDER BY.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderKey {
    /// Over the columns so far.
    pub by: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST.
    pub nulls_first: bool,
}

/// A column of a relation, with what is known of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Table of the contract; empty where the column is computed.
    pub table: String,
    /// Column of the contract; empty where the column is computed.
    pub column: String,
    /// Number of the scan it comes from as it is: tells two readings of one table apart.
    pub scan: usize,
    /// The columns of the contract that its value comes from, as (table, column).
    pub origins: BTreeSet<(String, String)>,
    /// Type.
    pub kind: Kind,
    /// Whether values may be missing.
    pub nullable: bool,
    /// Names the pupil.
    pub unit: bool,
    /// Least and greatest value.
    pub range: Option<(f64, f64)>,
    /// All values, where the contract lists them.
    pub values: Option<Vec<Value>>,
    /// The public table and column whose values these are, by foreign key.
    pub references: Option<(String, String)>,
    /// Distance of the lattice for sums.
    pub step: Option<f64>,
}

/// An expression over numbered columns.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A column, and its type.
    Column(usize, Kind),
    /// A constant.
    Literal(Literal),
    /// An operator of one operand.
    Unary(Unary, Box<Expr>),
    /// An operator of two operands.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// The value of the first branch whose condition is true.
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    /// A conversion; NULL where the value has none.
    Cast(Box<Expr>, Kind),
    /// Whether the value is among constants.
    In(Box<Expr>, Vec<Literal>),
    /// Whether text matches a constant pattern.
    Like {
        /// The text.
        text: Box<Expr>,
        /// With `%` and `_`.
        pattern: String,
        /// ILIKE.
        ignore_case: bool,
    },
    /// A total function.
    Call(Function, Vec<Expr>),
    /// The noisy value of a scalar subquery, by number: a constant once it has been released.
    Noisy(usize, Kind),
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// NULL, boolean, integer, date or text.
    Value(Value),
    /// A finite float.
    Float(f64),
    /// Microseconds since 1970-01-01T00:00.
    DateTime(i64),
}

/// Operators of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// NOT
    Not,
    /// -x
    Negate,
    /// IS NULL
    IsNull,
    /// IS TRUE
    IsTrue,
    /// IS FALSE
    IsFalse,
}

/// Operators of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    IsDistinct,
    IsNotDistinct,
    Concat,
}

impl Rel {
    /// The tables, in the order in which they are read.
    pub fn scans(&self) -> Vec<&Scan> {
        match self {
            Rel::Scan(scan) => vec![scan],
            _ => self.inputs().into_iter().flat_map(Rel::scans).collect(),
        }
    }

    /// The relations it reads, in order.
    pub fn inputs(&self) -> Vec<&Rel> {
        match self {
            Rel::Scan(_) | Rel::Values(..) => vec![],
            Rel::Filter { input, .. }
            | Rel::Project { input, .. }
            | Rel::Group { input, .. }
            | Rel::Window { input, .. }
            | Rel::Distinct(input) => vec![input],
            Rel::Join { left, right, .. } => vec![left, right],
            Rel::Union(inputs) => inputs.iter().collect(),
        }
    }

    /// Whether its rows belong to pupils.
    pub fn is_private(&self) -> bool {
        match self {
            Rel::Scan(scan) => !scan.public,
            Rel::Join { left, kind: JoinKind::Semi | JoinKind::Anti, .. } => left.is_private(),
            _ => self.inputs().into_iter().any(Rel::is_private),
        }
    }

    /// The expressions that stand in this node itself, over its inputs' columns.
    pub fn expressions(&self) -> Vec<&Expr> {
        match self {
            Rel::Scan(_) | Rel::Values(..) | Rel::Distinct(_) | Rel::Union(_) => vec![],
            Rel::Filter { predicate, .. } => vec![predicate],
            Rel::Join { on, .. } => on.iter().collect(),
            Rel::Project { columns, .. } => columns.iter().collect(),
            Rel::Group { keys, calls, .. } => {
                let parts = calls.iter().flat_map(|call| call.args.iter().chain(&call.filter));
                keys.iter().chain(parts).collect()
            }
            Rel::Window { calls, .. } => calls
                .iter()
                .flat_map(|call| {
                    let order = call.order.iter().map(|key| &key.by);
                    call.args.iter().chain(&call.partition).chain(order)
                })
                .collect(),
        }
    }
}

impl Expr {
    /// TRUE.
    pub(crate) fn truth() -> Expr {
        Expr::Literal(Literal::Value(Value::Bool(true)))
    }

    /// Type of the value; `None` for NULL.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Expr::Column(_, kind) | Expr::Cast(_, kind) | Expr::Noisy(_, kind) => Some(*kind),
            Expr::Literal(Literal::Float(_)) => Some(Kind::Number),
            Expr::Literal(Literal::DateTime(_)) => Some(Kind::DateTime),
            Expr::Literal(Literal::Value(value)) => match value {
                Value::Null => None,
                Value::Bool(_) => Some(Kind::Boolean),
                Value::Int(_) => Some(Kind::Integer),
                Value::Date(_) => Some(Kind::Date),
                Value::Text(_) => Some(Kind::Text),
            },
            Expr::Unary(Unary::Negate, operand) => operand.kind(),
            Expr::Unary(..) | Expr::In(..) | Expr::Like { .. } => Some(Kind::Boolean),
            Expr::Binary(op, left, right) => match op {
                Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Modulo => {
                    let float = left.kind() == Some(Kind::Number) || right.kind() == Some(Kind::Number);
                    Some(if float { Kind::Number } else { Kind::Integer })
                }
                Binary::Concat => Some(Kind::Text),
                _ => Some(Kind::Boolean),
            },
            Expr::Case(branches, otherwise) => {
                branches.iter().map(|(_, value)| value).chain(otherwise.as_deref()).find_map(Expr::kind)
            }
            Expr::Call(function, args) => function.kind(args),
        }
    }

    /// The operands, in order.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Column(..) | Expr::Literal(_) | Expr::Noisy(..) => vec![],
            Expr::Unary(_, operand) | Expr::Cast(operand, _) | Expr::In(operand, _) => vec![operand],
            Expr::Like { text, .. } => vec![text],
            Expr::Binary(_, left, right) => vec![left, right],
            Expr::Case(branches, otherwise) => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
            }
            Expr::Call(_, args) => args.iter().collect(),
        }
    }

    /// The numbers of the columns it reads, in ascending order.
    pub fn columns(&self) -> Vec<usize> {
        let mut found = Vec::new();
        self.collect_columns(&mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn collect_columns(&self, found: &mut Vec<usize>) {
        if let Expr::Column(index, _) = self {
            found.push(*index);
        }
        self.children().into_iter().for_each(|child| child.collect_columns(found));
    }

    /// The same over other column numbers.
    pub(crate) fn renumber(&self, number: &impl Fn(usize) -> usize) -> Expr {
        let again = |expr: &Expr| Box::new(expr.renumber(number));
        match self {
            Expr::Column(index, kind) => Expr::Column(number(*index), *kind),
            Expr::Literal(literal) => Expr::Literal(literal.clone()),
            Expr::Noisy(scalar, kind) => Expr::Noisy(*scalar, *kind),
            Expr::Unary(op, operand) => Expr::Unary(*op, again(operand)),
            Expr::Binary(op, left, right) => Expr::Binary(*op, again(left), again(right)),
            Expr::Case(branches, otherwise) => Expr::Case(
                branches.iter().map(|(when, then)| (when.renumber(number), then.renumber(number))).collect(),
                otherwise.as_deref().map(again),
            ),
            Expr::Cast(operand, kind) => Expr::Cast(again(operand), *kind),
            Expr::In(operand, list) => Expr::In(again(operand), list.clone()),
            Expr::Like { text, pattern, ignore_case } => {
                Expr::Like { text: again(text), pattern: pattern.clone(), ignore_case: *ignore_case }
            }
            Expr::Call(function, args) => {
                Expr::Call(*function, args.iter().map(|arg| arg.renumber(number)).collect())
            }
        }
    }

    /// How many expressions it becomes once emitted, about: some operators are spelled out as several copies of
    /// their operands, which nested would grow without bound.
    pub(crate) fn size(&self) -> u64 {
        let copies = |index: usize| match (self, index) {
            (Expr::Binary(Binary::Divide | Binary::Modulo, ..), 0) if self.kind() == Some(Kind::Integer) => 2,
            (Expr::Binary(Binary::Divide | Binary::Modulo, ..), 1) => 4,
            (Expr::Cast(operand, _), _) if matches!(operand.kind(), Some(Kind::Date | Kind::DateTime)) => 3,
            (Expr::Call(Function::DateTrunc, _), _) => 9,
            (Expr::Call(Function::Abs, _), _) => 3,
            // DataFusion turns COALESCE and NULLIF to CASE, and its planning of a function inside a function inside …
            // takes twice as long for each.
            (Expr::Call(..), _) => 2,
            _ => 1_u64,
        };
        let operands = self.children().into_iter().enumerate();
        operands.fold(1, |size: u64, (i, child)| size.saturating_add(child.size().saturating_mul(copies(i))))
    }

    /// Whether it reads a noisy value.
    pub(crate) fn is_noisy(&self) -> bool {
        matches!(self, Expr::Noisy(..)) || self.children().into_iter().any(Expr::is_noisy)
    }

    /// The conjuncts of a condition.
    pub(crate) fn conjuncts(&self) -> Vec<&Expr> {
        match self {
            Expr::Binary(Binary::And, left, right) => [left.conjuncts(), right.conjuncts()].concat(),
            other => vec![other],
        }
    }
}
