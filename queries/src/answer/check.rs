//! [`check`]: refuses what could not be computed on noisy values.

use disclosure_rules::Value;
use memoranda::Kind;

use super::join::Matching;
use super::number;
use super::shape::{Given, Shape, StageShape};
use crate::post::{Post, PostCall, PostFunction, PostWindow, PostWindowFunction, SetOperation};
use crate::refusal::{Refusal, Rule};
use crate::tree::{Binary, Expr, Frame, Literal};

/// Most pairs of rows that a join of released tables may make.
pub(crate) const MOST_PAIRS: u64 = 1_000_000;
/// How far a frame with two ends may reach.
pub(crate) const WIDEST_FRAME: i64 = 1000;

/// Refuses a post-processing, or a scalar subquery of it, that could not be computed on noisy values.
pub(crate) fn check(post: &Post, stages: &[StageShape], scalars: &[Post]) -> Result<(), Refusal> {
    let given = Given::new(stages, scalars);
    scalars.iter().chain([post]).try_for_each(|post| node(post, &given))
}

fn node(post: &Post, given: &Given<'_>) -> Result<(), Refusal> {
    post.inputs().into_iter().try_for_each(|input| node(input, given))?;
    match post {
        Post::OneRow | Post::Stage(_) | Post::Distinct(_) | Post::Limit { .. } => Ok(()),
        Post::Keep { input, condition } => computable(condition, &given.shape(input), given),
        Post::Columns { input, columns } => {
            let input = given.shape(input);
            columns.iter().try_for_each(|(_, expr)| storable(expr, &input, given))
        }
        Post::Order { input, by } => {
            let input = given.shape(input);
            by.iter().try_for_each(|key| computable(&key.by, &input, given))
        }
        Post::Set { operation, left, right, .. } => set(*operation, &given.shape(left), &given.shape(right)),
        Post::Join { left, right, on, .. } => {
            join(on.as_ref(), &given.shape(left), &given.shape(right), given)
        }
        Post::Group { input, keys, calls } => {
            let input = given.shape(input);
            keys.iter().try_for_each(|key| storable(key, &input, given))?;
            calls.iter().try_for_each(|c| call(c, &input, given))
        }
        Post::Window { input, calls } => {
            let input = given.shape(input);
            calls.iter().try_for_each(|call| window(call, &input, given))
        }
    }
}

fn set(operation: SetOperation, left: &Shape, right: &Shape) -> Result<(), Refusal> {
    let is_number = |kind: Kind| matches!(kind, Kind::Integer | Kind::Number);
    let columns = left.columns.iter().chain(&right.columns);
    let noisy = columns.filter(|column| is_number(column.kind)).any(|column| !column.measures.is_empty());
    if noisy && operation != SetOperation::Union {
        return Err(Refusal::new(
            Rule::Clause,
            "INTERSECT and EXCEPT compare whole rows, and two noisy numbers are equal by chance only",
        )
        .rewrite("compare keys: SELECT key FROM … INTERSECT SELECT key FROM …"));
    }
    Ok(())
}

fn join(on: Option<&Expr>, left: &Shape, right: &Shape, given: &Given<'_>) -> Result<(), Refusal> {
    if Matching::new(on, left, right).pairs > MOST_PAIRS {
        return Err(Refusal::new(
            Rule::Limit,
            format!("this join of grouped results could make more than {MOST_PAIRS} rows"),
        )
        .rewrite("join on all keys of one side: … ON a.key = b.key"));
    }
    let both = Shape { columns: [left.columns.clone(), right.columns.clone()].concat(), ..Shape::default() };
    on.map_or(Ok(()), |on| computable(on, &both, given))
}

fn call(call: &PostCall, input: &Shape, given: &Given<'_>) -> Result<(), Refusal> {
    let Some(argument) = &call.argument else { return Ok(()) };
    storable(argument, input, given)?;
    let orders = matches!(call.function, PostFunction::Min | PostFunction::Max);
    if call.distinct && !orders && given.is_noisy(argument, input) {
        return Err(Refusal::new(
            Rule::Aggregate,
            "DISTINCT of noisy values: each of them is different by its noise",
        )
        .rewrite("leave DISTINCT out"));
    }
    Ok(())
}

fn window(call: &PostWindow, input: &Shape, given: &Given<'_>) -> Result<(), Refusal> {
    let order = call.order.iter().map(|key| &key.by);
    call.partition.iter().chain(order).try_for_each(|expr| computable(expr, input, given))?;
    call.args.iter().try_for_each(|expr| storable(expr, input, given))?;
    let constant = |index: usize| match call.args.get(index) {
        Some(Expr::Literal(Literal::Value(Value::Int(n)))) => Some(*n),
        _ => None,
    };
    let misuse = match call.function {
        PostWindowFunction::Ntile if constant(0).is_none_or(|n| n < 1) => {
            Some(("NTILE takes a constant of at least 1", "NTILE(4) OVER (ORDER BY …)"))
        }
        PostWindowFunction::Lag | PostWindowFunction::Lead
            if call.args.len() > 1 && constant(1).is_none() =>
        {
            Some(("how far LAG and LEAD look is a constant", "LAG(x, 1) OVER (ORDER BY …)"))
        }
        PostWindowFunction::Aggregate(_) => match call.frame {
            Frame::Rows(Some(before), Some(after))
                if before.unsigned_abs().max(after.unsigned_abs()) > WIDEST_FRAME as u64 =>
            {
                Some(("a frame reaches at most 1000 rows either way", "ROWS UNBOUNDED PRECEDING"))
            }
            _ => None,
        },
        _ => None,
    };
    misuse.map_or(Ok(()), |(reason, rewrite)| Err(Refusal::new(Rule::Window, reason).rewrite(rewrite)))
}

/// An expression that becomes a column.
fn storable(expr: &Expr, input: &Shape, given: &Given<'_>) -> Result<(), Refusal> {
    if expr.kind() == Some(Kind::DateTime) {
        return Err(Refusal::new(Rule::Expression, "a time of day in the answer is not offered")
            .rewrite("CAST(x AS DATE)"));
    }
    computable(expr, input, given)
}

fn computable(expr: &Expr, input: &Shape, given: &Given<'_>) -> Result<(), Refusal> {
    if !given.is_noisy(expr, input) {
        return Ok(());
    }
    let offered = match expr {
        Expr::Binary(op, ..) => *op != Binary::Concat,
        Expr::Cast(_, to) => matches!(to, Kind::Integer | Kind::Number),
        Expr::Like { .. } => false,
        Expr::Call(function, _) => number::is_offered(*function),
        _ => true,
    };
    if !offered {
        return Err(Refusal::new(
            Rule::Expression,
            "this function or conversion of an aggregate is not offered",
        )
        .rewrite("ask for the aggregate itself and compute with the answer"));
    }
    expr.children().into_iter().try_for_each(|child| computable(child, input, given))
}
