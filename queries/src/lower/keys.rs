//! GROUP BY: keys and grouping sets.

use datafusion::logical_expr as df;
use memoranda::Kind;

use super::expr::Scope;
use super::{Lowering, Sets};
use crate::function::Function;
use crate::refusal::{Refusal, Rule};
use crate::tree::Expr;

/// Most keys of grouping sets: CUBE has two to the power of them.
pub(crate) const MOST_KEYS: usize = 6;

impl Lowering<'_> {
    /// The keys of a GROUP BY, and its grouping sets. Of repeated sets one is kept, as SQL's answer would repeat it.
    pub(super) fn keys(&self, exprs: &[df::Expr], scope: &Scope<'_>) -> Result<(Vec<Expr>, Sets), Refusal> {
        let key = |key: &df::Expr| {
            let key = scope.lower(key)?;
            // A day or longer that DataFusion writes as a time of day.
            let truncated = matches!(&key, Expr::Call(Function::DateTrunc | Function::DateBin, _));
            Ok(if truncated { Expr::Cast(Box::new(key), Kind::Date) } else { key })
        };
        let [df::Expr::GroupingSet(sets)] = exprs else {
            if exprs.iter().any(|expr| matches!(expr, df::Expr::GroupingSet(_))) {
                return Err(Refusal::new(
                    Rule::Clause,
                    "grouping sets beside other keys are not offered: write all of them inside",
                )
                .rewrite("GROUPING SETS ((a, b), (a))"));
            }
            return Ok((exprs.iter().map(key).collect::<Result<_, _>>()?, Sets::Plain));
        };
        let distinct = sets.distinct_expr();
        if distinct.len() > MOST_KEYS {
            return Err(Refusal::new(Rule::Limit, format!("grouping sets have at most {MOST_KEYS} keys")));
        }
        let of = |set: &[&df::Expr]| distinct.iter().map(|key| set.contains(key)).collect::<Vec<bool>>();
        let mut found: Vec<Vec<bool>> = match sets {
            df::GroupingSet::Rollup(exprs) => {
                (0..=exprs.len()).rev().map(|n| of(&exprs.iter().take(n).collect::<Vec<_>>())).collect()
            }
            df::GroupingSet::Cube(exprs) => (0..1_usize << exprs.len())
                .map(|absent| {
                    let present = exprs.iter().enumerate().filter(|(i, _)| absent >> i & 1 == 0);
                    of(&present.map(|(_, expr)| expr).collect::<Vec<_>>())
                })
                .collect(),
            df::GroupingSet::GroupingSets(sets) => {
                sets.iter().map(|set| of(&set.iter().collect::<Vec<_>>())).collect()
            }
        };
        let count = found.len();
        // The finest first.
        found.sort_by_key(|set| {
            (std::cmp::Reverse(set.iter().filter(|used| **used).count()), std::cmp::Reverse(set.clone()))
        });
        found.dedup();
        if found.len() < count {
            return Err(
                Refusal::new(Rule::Clause, "a grouping set stands there twice").rewrite("name it once")
            );
        }
        let keys = distinct.into_iter().map(key).collect::<Result<_, _>>()?;
        Ok((keys, Sets::Several(found)))
    }
}
