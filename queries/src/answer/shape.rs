//! What is known of a table before anything is released: its columns, what noise each carries, how many rows
//! there can be.

use std::collections::BTreeSet;

use disclosure_rules::measure::Guarantee;
use memoranda::Kind;

use super::join;
use crate::post::{Post, PostCall, PostFunction, PostWindow, PostWindowFunction, SetOperation};
use crate::tree::{Expr, Frame, JoinKind, OrderKey};

/// A stage, as post-processing sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageShape {
    /// Types of its keys.
    pub(crate) keys: Vec<Kind>,
    /// The number of each grouping set in SQL; `None` for a plain GROUP BY, which has no column with that
    /// number.
    pub(crate) grouping_ids: Option<Vec<i64>>,
    /// Types of its measures.
    pub(crate) measures: Vec<Kind>,
    /// Most groups that it can have.
    pub(crate) groups: u64,
    /// Which noise its measures carry.
    pub(crate) guarantee: Guarantee,
}

/// Measures, as (stage, measure).
pub(super) type Measures = BTreeSet<(usize, usize)>;

/// What a post-processing is given.
#[derive(Debug, Clone)]
pub(crate) struct Given<'a> {
    pub(super) stages: &'a [StageShape],
    /// The first column of each scalar subquery.
    pub(super) scalars: Vec<ColumnShape>,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ColumnShape {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The measures whose noise it carries; none for what is computed from keys.
    pub(super) measures: Measures,
    /// The noisy numbers that it stands for: an interval of several is made of theirs (see `sheet`).
    pub(super) quantities: BTreeSet<usize>,
    /// Whether the noise in different rows is independent.
    pub(super) independent: bool,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Shape {
    pub(super) columns: Vec<ColumnShape>,
    /// The measures whose noise chose which rows there are.
    pub(super) chosen: Measures,
    /// The measures whose noise ordered the rows.
    pub(super) ordered: Measures,
    /// Most rows.
    pub(super) rows: u64,
    /// Sets of columns of which no two rows have the same values.
    pub(super) unique: Vec<BTreeSet<usize>>,
}

impl<'a> Given<'a> {
    /// `scalars`: the scalar subqueries, each of which reads only those before it.
    pub(crate) fn new(stages: &'a [StageShape], scalars: &[Post]) -> Given<'a> {
        let mut given = Given { stages, scalars: Vec::new() };
        for (i, post) in scalars.iter().enumerate() {
            let first = given.shape(post).columns.into_iter().next();
            given.scalars.push(first.map_or_else(
                || exact(String::new(), Kind::Text),
                |column| ColumnShape { quantities: BTreeSet::from([i]), ..column },
            ));
        }
        given
    }

    /// The noise with the heavier tail, where stages differ.
    pub(super) fn guarantee(&self) -> Guarantee {
        let pure = self.stages.iter().any(|stage| stage.guarantee == Guarantee::Pure);
        if pure { Guarantee::Pure } else { Guarantee::Concentrated }
    }

    pub(super) fn shape(&self, post: &Post) -> Shape {
        // Numbers below are the scalars'.
        Shaper { given: self, next: self.scalars.len() }.shape(post)
    }

    /// What an expression over a table's columns carries. The name is left empty.
    pub(super) fn describe(&self, expr: &Expr, input: &Shape) -> ColumnShape {
        let mut found = exact(String::new(), expr.kind().unwrap_or(Kind::Text));
        let scalars = noisies(expr);
        let read = expr.columns().into_iter().filter_map(|index| input.columns.get(index));
        for column in read.chain(scalars.iter().filter_map(|scalar| self.scalars.get(*scalar))) {
            found.measures.extend(&column.measures);
            if !column.measures.is_empty() {
                found.quantities.extend(&column.quantities);
                found.independent &= column.independent;
            }
        }
        // All rows share a scalar.
        found.independent &= scalars.is_empty() || found.measures.is_empty();
        found
    }

    pub(super) fn is_noisy(&self, expr: &Expr, input: &Shape) -> bool {
        !self.describe(expr, input).measures.is_empty()
    }
}

/// The scalar subqueries that an expression reads.
pub(super) fn noisies(expr: &Expr) -> Vec<usize> {
    match expr {
        Expr::Noisy(scalar, _) => vec![*scalar],
        _ => expr.children().into_iter().flat_map(noisies).collect(),
    }
}

fn exact(name: String, kind: Kind) -> ColumnShape {
    ColumnShape { name, kind, measures: Measures::new(), quantities: BTreeSet::new(), independent: true }
}

struct Shaper<'a> {
    given: &'a Given<'a>,
    next: usize,
}

impl Shaper<'_> {
    fn quantity(&mut self) -> BTreeSet<usize> {
        self.next += 1;
        BTreeSet::from([self.next - 1])
    }

    fn shape(&mut self, post: &Post) -> Shape {
        match post {
            Post::OneRow => Shape { rows: 1, unique: vec![BTreeSet::new()], ..Shape::default() },
            Post::Stage(stage) => self.stage(*stage),
            Post::Keep { input, condition } => {
                let mut shape = self.shape(input);
                let by = self.given.describe(condition, &shape).measures;
                shape.chosen.extend(by);
                shape
            }
            Post::Columns { input, columns } => {
                let input = self.shape(input);
                let named = |(name, expr): &(String, Expr)| ColumnShape {
                    name: name.clone(),
                    ..self.computed(expr, &input)
                };
                let computed = columns.iter().map(named).collect();
                let exprs: Vec<&Expr> = columns.iter().map(|(_, expr)| expr).collect();
                Shape { columns: computed, unique: passed_on(&input.unique, &exprs), ..input }
            }
            Post::Order { input, by } => {
                let mut shape = self.shape(input);
                shape.ordered = self.noise_of_order(by, &shape);
                shape
            }
            Post::Limit { input, fetch, .. } => {
                let mut shape = self.shape(input);
                shape.rows = fetch.map_or(shape.rows, |fetch| shape.rows.min(fetch as u64));
                let by = shape.ordered.clone();
                shape.chosen.extend(by);
                shape
            }
            Post::Distinct(input) => distinct(self.shape(input)),
            Post::Set { operation, all, left, right } => {
                let (left, right) = (self.shape(left), self.shape(right));
                self.set(*operation, *all, left, right)
            }
            Post::Join { left, right, kind, on } => {
                let (left, right) = (self.shape(left), self.shape(right));
                self.join(left, right, *kind, on.as_ref())
            }
            Post::Group { input, keys, calls } => {
                let input = self.shape(input);
                self.group(&input, keys, calls)
            }
            Post::Window { input, calls } => {
                let mut shape = self.shape(input);
                let added: Vec<_> = calls.iter().map(|call| self.window(call, &shape)).collect();
                shape.columns.extend(added);
                shape
            }
        }
    }

    fn stage(&mut self, number: usize) -> Shape {
        let Some(stage) = self.given.stages.get(number) else { return Shape::default() };
        let set = stage.grouping_ids.is_some().then_some(Kind::Integer);
        let keys = stage.keys.iter().copied().chain(set);
        let mut columns: Vec<_> = keys.map(|kind| exact(String::new(), kind)).collect();
        let key: BTreeSet<usize> = (0..columns.len()).collect();
        for (i, kind) in stage.measures.iter().enumerate() {
            columns.push(ColumnShape {
                name: String::new(),
                kind: *kind,
                measures: Measures::from([(number, i)]),
                quantities: self.quantity(),
                // Totals are adjusted together with their parts.
                independent: stage.grouping_ids.as_ref().is_none_or(|ids| ids.len() <= 1),
            });
        }
        let rows = if key.is_empty() { 1 } else { stage.groups };
        Shape { columns, rows, unique: vec![key], ..Shape::default() }
    }

    /// A column of its own: what was put together of several noisy numbers is one from here on.
    fn computed(&mut self, expr: &Expr, input: &Shape) -> ColumnShape {
        let described = self.given.describe(expr, input);
        let several = described.quantities.len() > 1;
        ColumnShape { quantities: if several { self.quantity() } else { described.quantities }, ..described }
    }

    fn noise_of<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>, input: &Shape) -> Measures {
        exprs.into_iter().flat_map(|expr| self.given.describe(expr, input).measures).collect()
    }

    fn noise_of_order(&self, by: &[OrderKey], input: &Shape) -> Measures {
        self.noise_of(by.iter().map(|key| &key.by), input)
    }

    fn made(&mut self, kind: Kind, measures: Measures, independent: bool) -> ColumnShape {
        let quantities = if measures.is_empty() { BTreeSet::new() } else { self.quantity() };
        ColumnShape { name: String::new(), kind, measures, quantities, independent }
    }

    fn set(&mut self, operation: SetOperation, all: bool, left: Shape, right: Shape) -> Shape {
        let union = operation == SetOperation::Union;
        let mut columns = Vec::new();
        for (l, r) in left.columns.iter().zip(&right.columns) {
            let kind = if r.kind == Kind::Number && l.kind == Kind::Integer { r.kind } else { l.kind };
            if !union || (l.measures.is_empty() && r.measures.is_empty()) {
                columns.push(ColumnShape { kind, ..l.clone() });
                continue;
            }
            let either: BTreeSet<usize> = l.quantities.union(&r.quantities).copied().collect();
            columns.push(ColumnShape {
                name: l.name.clone(),
                kind,
                measures: l.measures.union(&r.measures).copied().collect(),
                quantities: if either.len() > 1 { self.quantity() } else { either },
                independent: false,
            });
        }
        let mut shape = Shape {
            columns,
            chosen: left.chosen.union(&right.chosen).copied().collect(),
            ordered: Measures::new(),
            rows: if union { left.rows.saturating_add(right.rows) } else { left.rows },
            unique: if union { vec![] } else { left.unique },
        };
        if !union {
            let compared = left.columns.iter().chain(&right.columns);
            shape.chosen.extend(compared.flat_map(|column| &column.measures));
        }
        if all { shape } else { distinct(shape) }
    }

    fn join(&mut self, left: Shape, right: Shape, kind: JoinKind, on: Option<&Expr>) -> Shape {
        let matching = join::Matching::new(on, &left, &right);
        let (left_once, right_once) = (matching.left_once, matching.right_once);
        let mut both = Shape {
            columns: [left.columns.clone(), right.columns.clone()].concat(),
            chosen: left.chosen.union(&right.chosen).copied().collect(),
            ..Shape::default()
        };
        let by = on.map(|on| self.given.describe(on, &both).measures).unwrap_or_default();
        both.chosen.extend(by);
        if matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            return Shape { chosen: both.chosen, ..left };
        }
        both.rows = matching.pairs;
        if matches!(kind, JoinKind::Left | JoinKind::Full) {
            both.rows = both.rows.saturating_add(left.rows);
        }
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            both.rows = both.rows.saturating_add(right.rows);
        }
        // A row that stands several times carries the same noise several times, as do two rows of one stage.
        let stages = |shape: &Shape| -> BTreeSet<usize> {
            shape.columns.iter().flat_map(|column| &column.measures).map(|(stage, _)| *stage).collect()
        };
        let apart = stages(&left).is_disjoint(&stages(&right));
        let width = left.columns.len();
        for (i, column) in both.columns.iter_mut().enumerate() {
            column.independent &= apart && if i < width { right_once } else { left_once };
        }
        let moved = |set: &BTreeSet<usize>| set.iter().map(|index| index + width).collect::<BTreeSet<_>>();
        if right_once && matches!(kind, JoinKind::Inner | JoinKind::Left) {
            both.unique.extend(left.unique.clone());
        }
        if left_once && matches!(kind, JoinKind::Inner | JoinKind::Right) {
            both.unique.extend(right.unique.iter().map(moved));
        }
        if both.unique.is_empty() && kind == JoinKind::Inner {
            let pairs = left.unique.first().zip(right.unique.first());
            both.unique.extend(pairs.map(|(l, r)| l.union(&moved(r)).copied().collect()));
        }
        both
    }

    fn group(&mut self, input: &Shape, keys: &[Expr], calls: &[PostCall]) -> Shape {
        let mut columns: Vec<_> = keys.iter().map(|key| self.computed(key, input)).collect();
        let by_noise = self.noise_of(keys, input);
        for call in calls {
            let mut measures = self.noise_of(&call.argument, input);
            let rows_apart = by_noise.is_empty()
                && call
                    .argument
                    .as_ref()
                    .is_none_or(|argument| self.given.describe(argument, input).independent);
            if call.function == PostFunction::Count {
                measures.extend(by_noise.union(&input.chosen));
            }
            columns.push(self.made(call.kind(), measures, rows_apart));
        }
        let mut chosen = input.chosen.clone();
        if keys.is_empty() {
            chosen.clear();
        }
        chosen.extend(by_noise);
        let rows = if keys.is_empty() { 1 } else { input.rows };
        Shape { columns, chosen, rows, unique: vec![(0..keys.len()).collect()], ..Shape::default() }
    }

    fn window(&mut self, call: &PostWindow, input: &Shape) -> ColumnShape {
        let mut measures = self.noise_of(call.args.iter().chain(&call.partition), input);
        let places = !matches!(call.function, PostWindowFunction::Aggregate(_)) || call.frame != Frame::Whole;
        if places {
            measures.extend(self.noise_of_order(&call.order, input));
        }
        if call.function == PostWindowFunction::Aggregate(PostFunction::Count) {
            measures.extend(&input.chosen);
        }
        self.made(call.kind(), measures, false)
    }
}

/// Where rows differ in noisy columns alone, noise decides how many are different.
fn distinct(mut shape: Shape) -> Shape {
    let exact = |index: &usize| shape.columns.get(*index).is_some_and(|column| column.measures.is_empty());
    if !shape.unique.iter().any(|set| set.iter().all(exact)) {
        let by: Measures = shape.columns.iter().flat_map(|column| &column.measures).copied().collect();
        shape.chosen.extend(by);
    }
    shape.unique.push((0..shape.columns.len()).collect());
    shape
}

/// The unique sets of which every column is passed on as it is.
fn passed_on(unique: &[BTreeSet<usize>], exprs: &[&Expr]) -> Vec<BTreeSet<usize>> {
    let place = |index: &usize| exprs.iter().position(|e| matches!(e, Expr::Column(i, _) if i == index));
    unique.iter().filter_map(|set| set.iter().map(place).collect()).collect()
}

impl PostCall {
    /// Type of the value.
    pub(super) fn kind(&self) -> Kind {
        self.function.kind(self.argument.as_ref())
    }
}

impl PostFunction {
    fn kind(self, argument: Option<&Expr>) -> Kind {
        let own = argument.and_then(Expr::kind);
        match self {
            PostFunction::Count => Kind::Integer,
            PostFunction::Avg => Kind::Number,
            PostFunction::Sum => own.unwrap_or(Kind::Number),
            PostFunction::Min | PostFunction::Max => own.unwrap_or(Kind::Text),
        }
    }
}

impl PostWindow {
    /// Type of the value.
    pub(super) fn kind(&self) -> Kind {
        match self.function {
            PostWindowFunction::RowNumber
            | PostWindowFunction::Rank
            | PostWindowFunction::DenseRank
            | PostWindowFunction::Ntile => Kind::Integer,
            PostWindowFunction::PercentRank | PostWindowFunction::CumeDist => Kind::Number,
            PostWindowFunction::Lag
            | PostWindowFunction::Lead
            | PostWindowFunction::FirstValue
            | PostWindowFunction::LastValue => self.args.first().and_then(Expr::kind).unwrap_or(Kind::Text),
            PostWindowFunction::Aggregate(function) => function.kind(self.args.first()),
        }
    }
}
