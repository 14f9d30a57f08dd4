//! The closed vocabulary: what this tree cannot say is not evaluated. DataFusion's plans are lowered to it, and
//! fresh plans are emitted from it.

use disclosure_rules::Value;
use memoranda::Kind;

use crate::function::Function;

/// A relation. Its columns are numbered from 0; a join's are its left side's, then its right side's.
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
    /// Pairs of rows for which the condition is true.
    Join {
        /// Left side.
        left: Box<Rel>,
        /// Right side.
        right: Box<Rel>,
        /// Which side keeps its unmatched rows.
        kind: JoinKind,
        /// Over the columns of both sides; `None` pairs all rows.
        on: Option<Expr>,
    },
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
}

/// A column of a relation, with what the contract says of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Table of the contract.
    pub table: String,
    /// Column of the contract.
    pub column: String,
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
    /// The columns.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Rel::Scan(scan) => scan.columns.clone(),
            Rel::Values(field, _) => vec![field.as_ref().clone()],
            Rel::Filter { input, .. } => input.fields(),
            Rel::Join { left, right, kind, .. } => {
                let nullable = |fields: Vec<Field>, made: bool| {
                    fields.into_iter().map(move |field| Field { nullable: field.nullable || made, ..field })
                };
                nullable(left.fields(), *kind == JoinKind::Right)
                    .chain(nullable(right.fields(), *kind == JoinKind::Left))
                    .collect()
            }
        }
    }

    /// The tables, in the order of their columns.
    pub fn scans(&self) -> Vec<&Scan> {
        match self {
            Rel::Scan(scan) => vec![scan],
            Rel::Values(..) => vec![],
            Rel::Filter { input, .. } => input.scans(),
            Rel::Join { left, right, .. } => [left.scans(), right.scans()].concat(),
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
            Expr::Column(_, kind) | Expr::Cast(_, kind) => Some(*kind),
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
            Expr::Column(..) | Expr::Literal(_) => vec![],
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

    /// The conjuncts of a condition.
    pub(crate) fn conjuncts(&self) -> Vec<&Expr> {
        match self {
            Expr::Binary(Binary::And, left, right) => [left.conjuncts(), right.conjuncts()].concat(),
            other => vec![other],
        }
    }
}
