//! The functions of the vocabulary. Each is total: it has a value, or NULL, for every row that there can be.

use std::sync::Arc;

use datafusion::functions_aggregate::{average, count, sum};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use memoranda::Kind;

use crate::tree::{Expr, Literal};
use disclosure_rules::Value;

/// A total scalar function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Function {
    Abs,
    Ceil,
    Coalesce,
    Concat,
    DatePart,
    DateTrunc,
    Exp,
    Floor,
    Greatest,
    Least,
    Left,
    Length,
    Ln,
    Lower,
    NullIf,
    Power,
    Right,
    Round,
    Sign,
    Sqrt,
    StartsWith,
    Substr,
    Trim,
    Upper,
}

/// How a function is made total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Totality {
    /// DataFusion's has a value for every argument.
    Already,
    /// Arguments are guarded or converted first: see `emit`.
    Rewritten,
    /// Total as long as the named arguments are constants in range, which lowering checks.
    ConstantArguments,
}

/// SQL names, function, totality. The names are DataFusion's and their aliases.
const TABLE: &[(&[&str], Function, Totality)] = &[
    (&["abs"], Function::Abs, Totality::Rewritten),
    (&["ceil"], Function::Ceil, Totality::Already),
    (&["coalesce"], Function::Coalesce, Totality::Already),
    (&["concat"], Function::Concat, Totality::Already),
    (&["date_part", "datepart", "extract"], Function::DatePart, Totality::ConstantArguments),
    (&["date_trunc", "datetrunc"], Function::DateTrunc, Totality::ConstantArguments),
    (&["exp"], Function::Exp, Totality::Already),
    (&["floor"], Function::Floor, Totality::Already),
    (&["greatest"], Function::Greatest, Totality::Already),
    (&["least"], Function::Least, Totality::Already),
    (&["left"], Function::Left, Totality::ConstantArguments),
    (&["character_length", "char_length", "length"], Function::Length, Totality::Already),
    (&["ln"], Function::Ln, Totality::Rewritten),
    (&["lower"], Function::Lower, Totality::Already),
    (&["nullif"], Function::NullIf, Totality::Already),
    (&["power", "pow"], Function::Power, Totality::Rewritten),
    (&["right"], Function::Right, Totality::ConstantArguments),
    (&["round"], Function::Round, Totality::ConstantArguments),
    (&["signum"], Function::Sign, Totality::Already),
    (&["sqrt"], Function::Sqrt, Totality::Rewritten),
    (&["starts_with"], Function::StartsWith, Totality::Already),
    (&["substr", "substring"], Function::Substr, Totality::ConstantArguments),
    (&["btrim", "trim"], Function::Trim, Totality::Already),
    (&["upper"], Function::Upper, Totality::Already),
];

const AGGREGATES: &[&str] = &["avg", "count", "mean", "sum"];

/// Aggregates that researchers ask for and that are not offered, each with a way round.
pub(crate) fn refused_aggregate(name: &str) -> Option<&'static str> {
    Some(match name {
        "min" | "max" => {
            "count pupils by band: SELECT CASE WHEN x < 400 THEN 'low' ELSE 'high' END, COUNT(*) … GROUP BY 1"
        }
        "median" | "approx_median" | "percentile_cont" | "approx_percentile_cont" | "quantile_cont" => {
            "count pupils by band and read the middle off: SELECT CAST(FLOOR(x / 10) AS BIGINT), COUNT(*) … GROUP BY 1"
        }
        "var" | "var_samp" | "var_pop" | "variance" | "stddev" | "stddev_samp" | "stddev_pop" => {
            "AVG(x * x) - AVG(x) * AVG(x), over x shifted to its middle"
        }
        "corr" | "covar_pop" | "covar_samp" | "regr_slope" | "regr_intercept" | "regr_r2" => {
            "ask AVG(y) by bands of x, or AVG(x), AVG(y) and AVG(x * y)"
        }
        "bool_and" | "bool_or" => "AVG(CASE WHEN condition THEN 1 ELSE 0 END)",
        "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value" => {
            "rows of pupils are never shown: COUNT(*) … GROUP BY"
        }
        "approx_distinct" => "COUNT(DISTINCT …) of the pupil's column",
        _ => return None,
    })
}

impl Function {
    fn entry(self) -> &'static (&'static [&'static str], Function, Totality) {
        TABLE.iter().find(|entry| entry.1 == self).unwrap_or(&TABLE[0])
    }

    /// DataFusion's name.
    pub fn name(self) -> &'static str {
        self.entry().0[0]
    }

    /// How it is made total.
    pub fn totality(self) -> Totality {
        self.entry().2
    }

    /// Type of the value.
    pub(crate) fn kind(self, args: &[Expr]) -> Option<Kind> {
        Some(match self {
            Function::Ceil | Function::Exp | Function::Floor | Function::Ln | Function::Power => Kind::Number,
            Function::Round | Function::Sign | Function::Sqrt => Kind::Number,
            Function::DatePart | Function::Length => Kind::Integer,
            Function::StartsWith => Kind::Boolean,
            Function::Concat | Function::Left | Function::Lower | Function::Right => Kind::Text,
            Function::Substr | Function::Trim | Function::Upper => Kind::Text,
            Function::DateTrunc => Kind::DateTime,
            Function::Abs | Function::Coalesce | Function::Greatest | Function::Least | Function::NullIf => {
                let kinds = || args.iter().filter_map(Expr::kind);
                return if kinds().any(|kind| kind == Kind::Number) {
                    Some(Kind::Number)
                } else {
                    kinds().next()
                };
            }
        })
    }

    /// Why these arguments would not be total.
    pub(crate) fn misuse(self, args: &[Expr]) -> Option<&'static str> {
        let integer = |i: usize| match args.get(i) {
            Some(Expr::Literal(Literal::Value(Value::Int(n)))) => Some(*n),
            _ => None,
        };
        let word = |i: usize| match args.get(i) {
            Some(Expr::Literal(Literal::Value(Value::Text(word)))) => Some(word.to_ascii_lowercase()),
            _ => None,
        };
        match self {
            Function::DatePart => {
                let parts = ["year", "quarter", "month", "week", "day", "doy", "dow"];
                let known = word(0).is_some_and(|word| parts.contains(&word.as_str()));
                (!known).then_some("the part must be one of year, quarter, month, week, day, doy, dow")
            }
            Function::DateTrunc => {
                let parts = ["year", "quarter", "month", "week", "day"];
                let known = word(0).is_some_and(|word| parts.contains(&word.as_str()));
                (!known).then_some("the granularity must be one of year, quarter, month, week, day")
            }
            Function::Left | Function::Right => {
                let fits = args.len() == 2 && integer(1).is_some_and(|n| (0..=1000).contains(&n));
                (!fits).then_some("the length must be a constant from 0 to 1000")
            }
            Function::Substr => {
                let fits = (2..=3).contains(&args.len())
                    && (1..args.len()).all(|i| integer(i).is_some_and(|n| (0..=1000).contains(&n)));
                (!fits).then_some("start and length must be constants from 0 to 1000")
            }
            Function::Round => {
                let fits =
                    args.len() == 1 || (args.len() == 2 && integer(1).is_some_and(|n| (-9..=9).contains(&n)));
                (!fits).then_some("the number of digits must be a constant from -9 to 9")
            }
            _ => None,
        }
    }
}

/// The function of that SQL name.
pub(crate) fn find(name: &str) -> Option<Function> {
    TABLE.iter().find(|entry| entry.0.contains(&name)).map(|entry| entry.1)
}

pub(crate) fn is_known(name: &str) -> bool {
    AGGREGATES.contains(&name) || find(name).is_some()
}

/// SQL names of all functions and aggregates.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> =
        TABLE.iter().flat_map(|entry| entry.0.iter().copied()).chain(AGGREGATES.iter().copied()).collect();
    names.sort_unstable();
    names
}

/// DataFusion's implementation of a function of the vocabulary.
pub(crate) fn scalar_udf(name: &str) -> Option<Arc<ScalarUDF>> {
    find(name)?;
    static ALL: std::sync::LazyLock<Vec<Arc<ScalarUDF>>> =
        std::sync::LazyLock::new(datafusion::functions::all_default_functions);
    ALL.iter().find(|udf| udf.name() == name || udf.aliases().iter().any(|alias| alias == name)).cloned()
}

pub(crate) fn aggregate_udf(name: &str) -> Option<Arc<AggregateUDF>> {
    Some(match name {
        "count" => count::count_udaf(),
        "sum" => sum::sum_udaf(),
        "avg" | "mean" => average::avg_udaf(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_an_engine_function_and_every_function_has_a_name() {
        for name in names() {
            assert!(
                aggregate_udf(name).is_some()
                    || scalar_udf(name).is_some()
                    || name == "extract"
                    || name == "substring",
                "`{name}`"
            );
        }
        for (names, function, totality) in TABLE {
            assert_eq!((function.name(), function.totality()), (names[0], *totality));
        }
    }

    #[test]
    fn functions_that_can_fail_are_not_on_the_list() {
        for name in [
            "to_date",
            "to_timestamp",
            "repeat",
            "lpad",
            "chr",
            "factorial",
            "arrow_cast",
            "random",
            "now",
            "regexp_match",
        ] {
            assert!(!is_known(name), "`{name}`");
        }
    }
}
