//! [`verify`]: the one door from SQL to a [`PrivatePlan`].

use datafusion::optimizer::Analyzer;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use disclosure_rules::RuleSet;
use disclosure_rules::measure::{Automatic, Grouping, Guarantee, Quantity};
use disclosure_rules::sensitivity::Contribution;
use memoranda::{Contract, Kind, Memorandum};

use crate::answer;
use crate::catalog::Catalog;
use crate::key_source::key_source;
use crate::lineage;
use crate::lower::{self, Block, Sets, names, output_kinds};
use crate::measured::{Measured, measured};
use crate::plan::{Concern, KeySource, Parts, PrivatePlan, Stage};
use crate::principles;
use crate::refusal::{self, Refusal, Rule};
use crate::surface::{self, short};
use crate::tree::Expr;

/// What a request asks for beside its SQL and its price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Rows of one pupil that count; the rest is left out.
    pub rows_per_unit: Option<u64>,
    /// Groups that one pupil counts in; the rest is left out.
    pub groups_per_unit: Option<u64>,
}

/// Most releases of one question.
pub(crate) const MAX_STAGES: usize = 12;

/// Turns a question into a plan whose sensitivity is known, or says why not. Reads no rows.
///
/// ```text
/// text → SELECT → DataFusion's plan → closed trees → lineage and bounds → components and measures
/// ```
pub fn verify(
    sql: &str,
    contract: &Contract,
    memorandum: &Memorandum,
    rules: &RuleSet,
    options: &Options,
) -> Result<PrivatePlan, Refusal> {
    let catalog = Catalog::new(contract, memorandum);
    let statement = surface::parse(sql, &catalog)?;
    let parser = ParserOptions {
        map_string_types_to_utf8view: false,
        // VARCHAR(3) would be planned as VARCHAR: the length must not be dropped silently.
        support_varchar_with_length: false,
        collect_spans: true,
        ..ParserOptions::new()
    };
    let planned = SqlToRel::new_with_options(&catalog, parser)
        .sql_statement_to_plan(statement)
        .map_err(|error| unplannable(&error, sql, &catalog))?;
    // Reconciling types puts back the names that the SQL gave its tables.
    let names = names(&planned);
    // Before types are reconciled, so that the pupil's column is refused by name and not for its type.
    let untyped = lower::question(&planned, &catalog, contract, sql);
    if let Err(refusal) = &untyped
        && refusal.rule == Rule::PupilColumn
    {
        return Err(refusal.clone());
    }
    let typed = Analyzer::new()
        .execute_and_check(planned, datafusion::sql::planner::ContextProvider::options(&catalog), |_, _| {})
        .map_err(|error| untyped.err().unwrap_or_else(|| unplannable(&error, sql, &catalog)))?;
    let question = lower::question(&typed, &catalog, contract, sql)?;
    let kinds = output_kinds(&typed).ok_or_else(|| {
        Refusal::new(Rule::Expression, "a column of the answer has a type that is not offered")
    })?;
    if question.blocks.len() > MAX_STAGES {
        return Err(Refusal::new(
            Rule::Limit,
            format!("one question has at most {MAX_STAGES} results inside it"),
        )
        .rewrite("ask in parts"));
    }
    let mut concerns: Vec<Concern> = Vec::new();
    for block in &question.blocks {
        for concern in principles::concerns(block, contract, rules)? {
            if !concerns.contains(&concern) {
                concerns.push(concern);
            }
        }
    }
    let guarantee = memorandum.allotment.guarantee();
    let stages = question
        .blocks
        .into_iter()
        .map(|block| stage(block, contract, rules, options, guarantee))
        .collect::<Result<Vec<_>, _>>()?;
    let shapes: Vec<_> = stages.iter().map(Stage::shape).collect();
    answer::check(&question.answer, &shapes, &question.scalars)?;
    Ok(PrivatePlan::new(Parts {
        contract: format!("{}@{}", contract.name, contract.version),
        rules: format!("{}@{}", rules.name, rules.version),
        stages,
        scalars: question.scalars,
        answer: question.answer,
        names,
        kinds,
        concerns,
    }))
}

/// Bounds, keys and measures of one block.
fn stage(
    block: Block,
    contract: &Contract,
    rules: &RuleSet,
    options: &Options,
    guarantee: Guarantee,
) -> Result<Stage, Refusal> {
    check_keys(&block)?;
    let key_source = key_source(&block, contract, rules.limits.max_groups)?;
    let unknown = key_source == KeySource::Unknown;
    if unknown && guarantee == Guarantee::Pure {
        return Err(unlisted_keys());
    }
    let Bounded { groupings, why, unbounded } = bounded(&block, contract, options, unknown);
    let one_row = groupings.iter().all(|grouping| grouping.contribution.rows_per_group == 1);
    let Measured { arguments, components, measures, pupils } =
        measured(&block, contract, one_row, unknown, unbounded.is_some())?;
    // Pupils are counted once in a group, however many rows they have.
    let only_pupils = components.iter().all(|component| component.quantity == Quantity::Pupils);
    let automatic = match unbounded {
        Some(_) if only_pupils && block.keys.is_empty() => None,
        Some(table) => {
            let simple = components
                .iter()
                .all(|c| matches!(c.quantity, Quantity::Pupils | Quantity::Rows | Quantity::Sum(_)));
            if !simple || block.sets != Sets::Plain {
                return Err(unbounded_rows(&table));
            }
            Some(Automatic { largest: rules.limits.largest_contribution })
        }
        None => None,
    };
    let grouping_ids = match &block.sets {
        Sets::Plain => None,
        Sets::Several(sets) => Some(sets.iter().map(|set| grouping_id(set)).collect()),
    };
    Ok(Stage {
        source: block.source,
        keys: block.keys,
        arguments,
        components,
        measures,
        pupils,
        groupings,
        grouping_ids,
        key_source,
        automatic,
        guarantee,
        max_groups: rules.limits.max_groups,
        why,
    })
}

/// The number that DataFusion gives a grouping set: a bit for each key that is not grouped by, the last key's lowest.
fn grouping_id(set: &[bool]) -> i64 {
    set.iter().fold(0, |id, used| id * 2 + i64::from(!used))
}

struct Bounded {
    groupings: Vec<Grouping>,
    why: Vec<String>,
    /// The table of whose rows neither contract nor request says how many a pupil has.
    unbounded: Option<String>,
}

/// What one pupil can change in each grouping set: as the facts of the contract justify, tightened by what the request
/// asks for.
fn bounded(block: &Block, contract: &Contract, options: &Options, unknown: bool) -> Bounded {
    /// No row is left out for being one too many.
    const NO_BOUND: u64 = 1 << 40;
    let facts = lineage::facts(&block.source, contract);
    let whole = vec![vec![true; block.keys.len()]];
    let sets = match &block.sets {
        Sets::Plain => &whole,
        Sets::Several(sets) => sets,
    };
    let mut found = Bounded { groupings: vec![], why: vec![], unbounded: None };
    for set in sets {
        let used = block.keys.iter().zip(set).filter(|(_, used)| **used);
        let keys: Vec<Expr> = used.map(|(key, _)| key.clone()).collect();
        let bound = lineage::bound(&facts, &keys);
        let rows = bound.rows.into_iter().chain(options.rows_per_unit).min();
        if rows.is_none() {
            let mut private = block.source.scans().into_iter().filter(|scan| !scan.public);
            found.unbounded = private.next().map(|scan| scan.table.clone());
        }
        let rows = rows.unwrap_or(NO_BOUND);
        let per_group = bound.rows_per_group.unwrap_or(rows);
        let groups = if keys.is_empty() { 1 } else { bound.groups.unwrap_or(rows) };
        let groups = options.groups_per_unit.map_or(groups, |asked| groups.min(asked));
        for words in bound.why {
            if !found.why.contains(&words) {
                found.why.push(words);
            }
        }
        found.groupings.push(Grouping {
            keys: set.clone(),
            contribution: Contribution::new(rows, per_group, groups),
            unknown_keys: unknown && !keys.is_empty(),
        });
    }
    found
}

/// Such a key appears once enough pupils share it: there is a chance, δ, that one pupil's does.
fn unlisted_keys() -> Refusal {
    Refusal::new(
        Rule::Memorandum,
        "the memorandum is pure, without a delta: group keys that neither contract nor question lists need one",
    )
    .rewrite("list the keys: WHERE x IN ('a', 'b') GROUP BY x")
}

pub(crate) fn unbounded_rows(table: &str) -> Refusal {
    Refusal::new(
        Rule::Contribution,
        format!(
            "neither the contract nor the request bounds the rows that one pupil can have in `{table}`, and for this \
             aggregate no bound can be found privately"
        ),
    )
    .rewrite("name a bound: `--rows-per-unit N`; rows beyond it are left out")
}

/// A planning error as a refusal. Its own words quote pieces of the SQL, so only names are kept.
fn unplannable(error: &datafusion::common::DataFusionError, sql: &str, catalog: &Catalog<'_>) -> Refusal {
    use datafusion::common::{DataFusionError, SchemaError};
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => {
                let plain = refusal::is_plain(sql, &field.name);
                let name = short(&field.name);
                let what = if plain { format!("column `{name}`") } else { "this column".to_owned() };
                Refusal::new(Rule::Column, format!("{what} is not among the items of this memorandum"))
                    .rewrite(format!(
                        "columns that can be asked about: {}",
                        catalog.column_names().join(", ")
                    ))
                    .place(sql, field)
            }
            SchemaError::AmbiguousReference { field } => {
                let plain = refusal::is_plain(sql, &field.name);
                let name = short(&field.name);
                let column = if plain { format!("column `{name}`") } else { "a column".to_owned() };
                let reason = format!("{column} is in more than one table: put the table's name before it");
                Refusal::new(Rule::Column, reason).place(sql, field)
            }
            _ => Refusal::new(
                Rule::Column,
                "two columns of the question have the same name: give one an alias",
            ),
        },
        DataFusionError::Plan(message) if message.contains("unique expression names") => {
            Refusal::new(Rule::Column, "two columns of the question have the same name: give one an alias")
        }
        DataFusionError::Plan(message) if message.contains("GROUP BY") || message.contains("group by") => {
            Refusal::new(
                Rule::RowLevel,
                "rows of pupils are never shown: every column must be in GROUP BY or inside an aggregate",
            )
            .rewrite("SELECT key, COUNT(*) FROM … GROUP BY key")
        }
        _ => Refusal::new(
            Rule::Expression,
            "the types or the form of an expression do not fit: check arguments and comparisons",
        ),
    }
}

fn check_keys(block: &Block) -> Result<(), Refusal> {
    for key in &block.keys {
        if key.columns().is_empty() {
            return Err(
                Refusal::new(Rule::Expression, "a constant is no key").rewrite("leave it out of GROUP BY")
            );
        }
        match key.kind() {
            Some(Kind::Number) => {
                return Err(Refusal::new(
                    Rule::Expression,
                    "groups by a number with decimals are as many as its values",
                )
                .rewrite("CAST(FLOOR(x / 10) AS BIGINT)"));
            }
            Some(Kind::DateTime) => {
                return Err(Refusal::new(
                    Rule::Expression,
                    "groups by a time of day are as many as its values",
                )
                .rewrite("CAST(x AS DATE)"));
            }
            None => return Err(Refusal::new(Rule::Expression, "NULL is no key")),
            Some(_) => {}
        }
    }
    Ok(())
}
