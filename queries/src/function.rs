//! The functions of the vocabulary. Each is total: it has a value, or NULL, for every row that there can be.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::not_impl_err;
use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::functions_window::all_default_window_functions;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, PartitionEvaluator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, WindowUDF, WindowUDFImpl,
};
use memoranda::Kind;

use crate::tree::{Expr, Literal};
use disclosure_rules::Value;

/// Planned under this name, and lowered to CASE.
const WIDTH_BUCKET: &str = "width_bucket";
/// Largest compiled pattern, in bytes; the engine's own limit is more.
const REGEX_SIZE: usize = 1 << 20;

/// A total scalar function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Function {
    Abs,
    Ceil,
    Coalesce,
    Cbrt,
    Concat,
    Contains,
    DateBin,
    DatePart,
    DateTrunc,
    EndsWith,
    Exp,
    Floor,
    Greatest,
    Least,
    Left,
    Length,
    Ln,
    Log10,
    Log2,
    Lower,
    LTrim,
    NullIf,
    Power,
    RegexpLike,
    Replace,
    Right,
    Round,
    RTrim,
    Sign,
    Sqrt,
    StartsWith,
    Strpos,
    Substr,
    Trim,
    Trunc,
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
    (&["cbrt"], Function::Cbrt, Totality::Already),
    (&["ceil"], Function::Ceil, Totality::Already),
    (&["coalesce", "nvl", "ifnull"], Function::Coalesce, Totality::Already),
    (&["concat"], Function::Concat, Totality::Already),
    (&["contains"], Function::Contains, Totality::Already),
    (&["date_bin"], Function::DateBin, Totality::ConstantArguments),
    (&["date_part", "datepart", "extract"], Function::DatePart, Totality::ConstantArguments),
    (&["date_trunc", "datetrunc"], Function::DateTrunc, Totality::ConstantArguments),
    (&["ends_with"], Function::EndsWith, Totality::Already),
    (&["exp"], Function::Exp, Totality::Already),
    (&["floor"], Function::Floor, Totality::Already),
    (&["greatest"], Function::Greatest, Totality::Already),
    (&["least"], Function::Least, Totality::Already),
    (&["left"], Function::Left, Totality::ConstantArguments),
    (&["character_length", "char_length", "length"], Function::Length, Totality::Already),
    (&["ln"], Function::Ln, Totality::Rewritten),
    (&["log10"], Function::Log10, Totality::Rewritten),
    (&["log2"], Function::Log2, Totality::Rewritten),
    (&["ltrim"], Function::LTrim, Totality::Already),
    (&["lower"], Function::Lower, Totality::Already),
    (&["nullif"], Function::NullIf, Totality::Already),
    (&["power", "pow"], Function::Power, Totality::Rewritten),
    (&["regexp_like"], Function::RegexpLike, Totality::ConstantArguments),
    (&["replace"], Function::Replace, Totality::ConstantArguments),
    (&["right"], Function::Right, Totality::ConstantArguments),
    (&["round"], Function::Round, Totality::ConstantArguments),
    (&["rtrim"], Function::RTrim, Totality::Already),
    (&["signum"], Function::Sign, Totality::Already),
    (&["sqrt"], Function::Sqrt, Totality::Rewritten),
    (&["starts_with"], Function::StartsWith, Totality::Already),
    (&["strpos", "instr", "position"], Function::Strpos, Totality::Already),
    (&["substr", "substring"], Function::Substr, Totality::ConstantArguments),
    (&["btrim", "trim"], Function::Trim, Totality::Already),
    (&["trunc"], Function::Trunc, Totality::Already),
    (&["upper"], Function::Upper, Totality::Already),
];

/// Aggregates, by DataFusion's names and aliases, and SQL's own where DataFusion has none.
pub(crate) const AGGREGATES: &[&str] = &[
    "approx_median",
    "approx_percentile_cont",
    "avg",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar",
    "covar_pop",
    "covar_samp",
    "grouping",
    "max",
    "mean",
    "median",
    "min",
    "percentile_cont",
    "quantile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "sum",
    "var",
    "var_pop",
    "var_population",
    "var_samp",
    "var_sample",
    "variance",
];

/// Window functions.
pub(crate) const WINDOWS: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// Aggregates that researchers ask for and that are not offered, each with a way round.
pub(crate) fn refused_aggregate(name: &str) -> Option<&'static str> {
    Some(match name {
        "bool_and" | "bool_or" => {
            "AVG(CASE WHEN condition THEN 1 ELSE 0 END), or BOOL_OR in a subquery grouped by the pupil"
        }
        "regr_sxx" | "regr_syy" | "regr_sxy" => "VAR_POP(x) * COUNT(x), or COVAR_POP(y, x) * COUNT(x)",
        "mode" => "COUNT(*) … GROUP BY the value ORDER BY 2 DESC LIMIT 1",
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
            Function::Cbrt | Function::Log10 | Function::Log2 | Function::Trunc => Kind::Number,
            Function::Round | Function::Sign | Function::Sqrt => Kind::Number,
            Function::DatePart | Function::Length | Function::Strpos => Kind::Integer,
            Function::Contains | Function::EndsWith | Function::RegexpLike | Function::StartsWith => {
                Kind::Boolean
            }
            Function::Concat | Function::Left | Function::Lower | Function::Right => Kind::Text,
            Function::LTrim | Function::Replace | Function::RTrim => Kind::Text,
            Function::Substr | Function::Trim | Function::Upper => Kind::Text,
            Function::DateBin | Function::DateTrunc => Kind::DateTime,
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
            Function::Replace => {
                let text = |i: usize| word(i).is_some_and(|word| word.len() <= 100);
                let fits =
                    args.len() == 3 && text(1) && text(2) && word(1).is_some_and(|word| !word.is_empty());
                (!fits).then_some("what is replaced, and by what, must be constants of at most 100 bytes")
            }
            Function::RegexpLike => {
                let pattern = match args.get(1) {
                    Some(Expr::Literal(Literal::Value(Value::Text(pattern)))) => pattern.as_str(),
                    _ => return Some("the pattern must be a constant"),
                };
                let built = regex::RegexBuilder::new(pattern).size_limit(REGEX_SIZE).build();
                let fits = args.len() == 2 && pattern.len() <= 500 && built.is_ok();
                (!fits).then_some("the pattern must be a valid regular expression of at most 500 bytes and modest size, without flags")
            }
            Function::Trunc => (args.len() != 1).then_some("it takes one argument"),
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
    AGGREGATES.contains(&name) || find(name).is_some() || name == WIDTH_BUCKET
}

/// Whether the name is of a window function, or of an aggregate that may stand over a window.
pub(crate) fn is_window(name: &str) -> bool {
    WINDOWS.contains(&name) || AGGREGATES.contains(&name)
}

/// Whether WITHIN GROUP (ORDER BY …) may follow.
pub(crate) fn is_quantile(name: &str) -> bool {
    matches!(name, "percentile_cont" | "quantile_cont" | "approx_percentile_cont")
}

/// SQL names of each scalar function, with how it is made total.
pub(crate) fn scalar_functions() -> Vec<(Vec<&'static str>, Totality)> {
    let bands = (vec![WIDTH_BUCKET], Totality::ConstantArguments);
    TABLE.iter().map(|(names, _, totality)| (names.to_vec(), *totality)).chain([bands]).collect()
}

/// SQL names of all functions and aggregates.
pub(crate) fn names() -> Vec<&'static str> {
    let functions = TABLE.iter().flat_map(|entry| entry.0.iter().copied());
    let mut names: Vec<_> = functions
        .chain(AGGREGATES.iter().copied())
        .chain(WINDOWS.iter().copied())
        .chain([WIDTH_BUCKET])
        .collect();
    names.sort_unstable();
    names
}

/// DataFusion's implementation of a function of the vocabulary.
pub(crate) fn scalar_udf(name: &str) -> Option<Arc<ScalarUDF>> {
    if name == WIDTH_BUCKET {
        let signature = Signature::any(4, Volatility::Immutable);
        return Some(Arc::new(ScalarUDF::from(WidthBucket(signature))));
    }
    find(name)?;
    static ALL: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(datafusion::functions::all_default_functions);
    ALL.iter().find(|udf| udf.name() == name || udf.aliases().iter().any(|alias| alias == name)).cloned()
}

/// DataFusion's implementation of an aggregate of the vocabulary.
pub(crate) fn aggregate_udf(name: &str) -> Option<Arc<AggregateUDF>> {
    if !AGGREGATES.contains(&name) {
        return None;
    }
    static ALL: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(all_default_aggregate_functions);
    let name = if name == "variance" { "var_samp" } else { name };
    ALL.iter().find(|udf| udf.name() == name || udf.aliases().iter().any(|alias| alias == name)).cloned()
}

/// DataFusion's implementation of a window function of the vocabulary.
pub(crate) fn window_udf(name: &str) -> Option<Arc<WindowUDF>> {
    if !WINDOWS.contains(&name) {
        return None;
    }
    static ALL: LazyLock<Vec<Arc<WindowUDF>>> = LazyLock::new(all_default_window_functions);
    ALL.iter().find(|udf| udf.name() == name).cloned()
}

/// A window function as questions are planned. The engine's ranks have no sign, and numbers without one compare with
/// constants as decimals, which the vocabulary does not have.
pub(crate) fn planned_window(name: &str) -> Option<Arc<WindowUDF>> {
    let engine = window_udf(name)?;
    let rank = matches!(name, "row_number" | "rank" | "dense_rank" | "ntile");
    Some(if rank { Arc::new(WindowUDF::from(Rank(engine))) } else { engine })
}

/// A rank as a whole number with a sign. It is planned, and never called.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Rank(Arc<WindowUDF>);

impl WindowUDFImpl for Rank {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> datafusion::common::Result<Box<dyn PartitionEvaluator>> {
        self.0.partition_evaluator_factory(args)
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> datafusion::common::Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Int64, false)))
    }
}

/// SQL's `width_bucket`, which DataFusion lacks: planned under this name, and lowered to CASE. It is never called.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WidthBucket(Signature);

impl ScalarUDFImpl for WidthBucket {
    fn name(&self) -> &str {
        WIDTH_BUCKET
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _arguments: &[DataType]) -> datafusion::common::Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> datafusion::common::Result<ColumnarValue> {
        not_impl_err!("width_bucket is lowered")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_an_engine_function_and_every_function_has_a_name() {
        for name in names() {
            assert!(
                aggregate_udf(name).is_some()
                    || window_udf(name).is_some()
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
