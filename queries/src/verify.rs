//! [`verify`]: the one door from SQL to a [`PrivatePlan`].

use datafusion::optimizer::Analyzer;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use disclosure_rules::RuleSet;
use disclosure_rules::measure::{Aggregate, Component, Lattice, Measure, Quantity};
use disclosure_rules::rules::Then;
use disclosure_rules::sensitivity::Contribution;
use memoranda::{Contract, Kind, Memorandum};

use crate::answer;
use crate::bounds;
use crate::catalog::Catalog;
use crate::lower::{Block, Lowering, What, output_kinds};
use crate::plan::{KeySource, MeasureColumn, Parts, PrivatePlan};
use crate::range;
use crate::refusal::{self, Refusal, Rule};
use crate::surface;
use crate::tree::{Expr, Field, Rel, Scan};

/// What a request asks for beside its SQL and its price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Rows of one pupil that count; the rest is left out.
    pub rows_per_unit: Option<u64>,
    /// Groups that one pupil counts in; the rest is left out.
    pub groups_per_unit: Option<u64>,
}

/// Turns a question into a plan whose sensitivity is known, or says why not. Reads no rows.
///
/// ```text
/// text → one plain SELECT → DataFusion's plan → closed tree → bounds → components and measures
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
    let lowering = Lowering { catalog: &catalog, contract, sql };
    // Before types are reconciled, so that the pupil's column is refused by name and not for its type.
    let named = lowering.block(&planned)?;
    let typed = Analyzer::new()
        .execute_and_check(planned, datafusion::sql::planner::ContextProvider::options(&catalog), |_, _| {})
        .map_err(|error| unplannable(&error, sql, &catalog))?;
    let kinds = output_kinds(&typed).ok_or_else(|| {
        Refusal::new(Rule::Expression, "a column of the answer has a type that is not offered")
    })?;
    let block = lowering.block(&typed)?.named_as(&named);
    check_keys(&block)?;
    answer::check(&block.steps, block.keys.len())?;
    check_principles(&block, contract, rules)?;
    let contribution = bounds::contribution(&block, contract, options)?;
    let key_source = key_source(&block, contract, rules.limits.max_groups)?;
    let measured = measured(&block, &contribution, key_source == KeySource::Unknown)?;
    Ok(PrivatePlan::new(Parts {
        contract: format!("{}@{}", contract.name, contract.version),
        rules: format!("{}@{}", rules.name, rules.version),
        source: block.source,
        keys: block.keys,
        arguments: measured.arguments,
        components: measured.components,
        measures: measured.measures,
        pupils: measured.pupils,
        contribution,
        key_source,
        steps: block.steps,
        kinds,
        max_groups: rules.limits.max_groups,
    }))
}

/// A planning error as a refusal. Its own words quote pieces of the SQL, so only names are kept.
fn unplannable(error: &datafusion::common::DataFusionError, sql: &str, catalog: &Catalog<'_>) -> Refusal {
    use datafusion::common::{DataFusionError, SchemaError};
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => {
                let plain = refusal::is_plain(sql, &field.name);
                let what = if plain { format!("column `{}`", field.name) } else { "this column".to_owned() };
                Refusal::new(Rule::Column, format!("{what} is not among the items of this memorandum"))
                    .rewrite(format!(
                        "columns that can be asked about: {}",
                        catalog.column_names().join(", ")
                    ))
                    .place(sql, field)
            }
            SchemaError::AmbiguousReference { field } => Refusal::new(
                Rule::Column,
                format!("column `{}` is in more than one table: put the table's name before it", field.name),
            )
            .place(sql, field),
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

/// Principles match names and tags of the columns behind keys and measures, whatever expression they stand in;
/// a condition on a column counts as grouping by it.
fn check_principles(block: &Block, contract: &Contract, rules: &RuleSet) -> Result<(), Refusal> {
    let fields = block.source.fields();
    let words = |exprs: &mut dyn Iterator<Item = &Expr>| -> Vec<String> {
        let columns = exprs.flat_map(Expr::columns).filter_map(|index| fields.get(index));
        let with_tags = |field: &Field| {
            let column = contract.table(&field.table).and_then(|table| table.column(&field.column));
            std::iter::once(field.column.clone()).chain(column.map(|c| c.tags.clone()).unwrap_or_default())
        };
        columns.flat_map(with_tags).collect()
    };
    let mentioned = bounds::mentioned(&block.source);
    // AVG(CASE WHEN school = 1 THEN level END) asks about a group as GROUP BY does.
    let arguments = block.calls.iter().filter_map(|call| call.argument.as_ref());
    let choosing = arguments.filter(|argument| argument.columns().len() > 1);
    let grouping = words(&mut block.keys.iter().chain(&mentioned).chain(choosing));
    let measured = words(&mut block.calls.iter().filter_map(|call| call.argument.as_ref()));
    let (grouping, measured): (Vec<&str>, Vec<&str>) =
        (grouping.iter().map(String::as_str).collect(), measured.iter().map(String::as_str).collect());
    match rules.principles.iter().find(|principle| principle.matches(&grouping, &measured)) {
        None => Ok(()),
        Some(principle) => {
            let (rule, what) = match principle.then {
                Then::Refuse => (Rule::Principle, "the rule set refuses this"),
                Then::Escalate => (Rule::Board, "the board decides on this before it runs"),
            };
            Err(Refusal::new(rule, format!("{what} (`{}`): {}", principle.id, principle.reason_en)))
        }
    }
}

/// Where the keys come from: a relation over public tables and listed values, or the pupils' rows.
fn key_source(block: &Block, contract: &Contract, max_groups: u64) -> Result<KeySource, Refusal> {
    if block.keys.is_empty() {
        return Ok(KeySource::Single);
    }
    let fields = block.source.fields();
    let mut domain: Option<Rel> = None;
    // Number of a source column → number of the domain's column.
    let mut place = vec![None; fields.len()];
    let mut width = 0;
    let mut listed = 1_u64;
    let needed: Vec<usize> = block.keys.iter().flat_map(Expr::columns).collect();
    let mut start = 0;
    let optional = bounds::optional(&block.source);
    for (scan, optional) in block.source.scans().into_iter().zip(optional) {
        let own = start..start + scan.columns.len();
        start = own.end;
        if !own.clone().any(|index| needed.contains(&index)) {
            continue;
        }
        if scan.public {
            own.clone().enumerate().for_each(|(i, index)| place[index] = Some(width + i));
            width += scan.columns.len();
            // An optional table is missing where nothing matches.
            join(&mut domain, Rel::Scan(Scan { missing_row: optional, ..scan.clone() }));
            continue;
        }
        for index in own.filter(|index| needed.contains(index)) {
            let field = &fields[index];
            let factor = match (&field.values, &field.references) {
                (Some(values), _) => {
                    let mut values = values.clone();
                    if field.nullable {
                        values.push(disclosure_rules::Value::Null);
                    }
                    listed = listed.saturating_mul(values.len() as u64);
                    Rel::Values(Box::new(field.clone()), values)
                }
                (None, Some((table, column))) => {
                    let column = Field { table: table.clone(), column: column.clone(), ..field.clone() };
                    Rel::Scan(Scan {
                        table: table.clone(),
                        public: true,
                        columns: vec![column],
                        missing_row: field.nullable,
                    })
                }
                (None, None) => return Ok(KeySource::Unknown),
            };
            place[index] = Some(width);
            width += 1;
            join(&mut domain, factor);
        }
    }
    if listed > max_groups {
        return Err(Refusal::new(Rule::Limit, format!("the keys have more than {max_groups} combinations")));
    }
    let Some(mut domain) = domain else { return Ok(KeySource::Unknown) };
    // Conditions that read nothing but the domain's columns narrow it.
    for condition in bounds::conditions(&block.source) {
        if !condition.columns().is_empty() && condition.columns().iter().all(|index| place[*index].is_some())
        {
            let predicate = condition.renumber(&|index| place[index].unwrap_or(0));
            domain = Rel::Filter { input: Box::new(domain), predicate };
        }
    }
    debug_assert_eq!(
        domain.scans().iter().filter(|s| contract.table(&s.table).is_none_or(|t| t.is_private())).count(),
        0
    );
    let keys = block.keys.iter().map(|key| key.renumber(&|index| place[index].unwrap_or(0))).collect();
    Ok(KeySource::Public { domain, keys })
}

fn join(domain: &mut Option<Rel>, factor: Rel) {
    *domain = Some(match domain.take() {
        None => factor,
        Some(left) => Rel::Join {
            left: Box::new(left),
            right: Box::new(factor),
            kind: crate::tree::JoinKind::Inner,
            on: None,
        },
    });
}

struct Measured {
    arguments: Vec<Expr>,
    components: Vec<Component>,
    measures: Vec<MeasureColumn>,
    /// The component that counts all pupils of a group, where keys are unknown.
    pupils: Option<usize>,
}

/// Components and measures of the aggregates. What two of them need is measured once.
fn measured(block: &Block, contribution: &Contribution, unknown_keys: bool) -> Result<Measured, Refusal> {
    let fields = block.source.fields();
    let mut found = Measured { arguments: vec![], components: vec![], measures: vec![], pupils: None };
    let one_row = contribution.rows_per_group == 1;
    if unknown_keys {
        found.pupils = Some(component(&mut found.components, Quantity::Pupils, None));
    }
    let means: Vec<&Expr> = block
        .calls
        .iter()
        .filter(|call| call.what == What::Mean)
        .filter_map(|call| call.argument.as_ref())
        .collect();
    for call in &block.calls {
        let argument = call.argument.as_ref();
        let present = argument
            .filter(|argument| range::nullable(argument, &fields))
            .map(|a| position(&mut found.arguments, a));
        let components = &mut found.components;
        // With one row per group, rows are pupils.
        let rows = if one_row { Quantity::Pupils } else { Quantity::Rows };
        let pupils = component(components, Quantity::Pupils, present);
        let lattice =
            |centred: bool| argument.map(|argument| lattice(argument, &fields, centred)).transpose();
        let summed = argument.map(|argument| position(&mut found.arguments, argument));
        let aggregate = match call.what {
            What::Pupils => Aggregate::Count(pupils),
            What::Rows => Aggregate::Count(component(components, rows, present)),
            What::Mean => {
                let lattice = lattice(true)?.ok_or_else(no_range)?;
                let count = component(components, rows, present);
                Aggregate::Mean { sum: component(components, Quantity::Sum(lattice), summed), count }
            }
            What::Sum => {
                let centred = argument.is_some_and(|argument| means.contains(&argument));
                let lattice = lattice(centred)?.ok_or_else(no_range)?;
                let count = centred.then(|| component(components, rows, present));
                Aggregate::Sum { sum: component(components, Quantity::Sum(lattice), summed), count }
            }
        };
        let integer = match call.what {
            What::Rows | What::Pupils => true,
            What::Mean => false,
            What::Sum => argument.and_then(Expr::kind) == Some(Kind::Integer),
        };
        found
            .measures
            .push(MeasureColumn { measure: Measure { aggregate, pupils, integer }, name: name(call.what) });
    }
    if found.measures.is_empty() {
        return Err(
            Refusal::new(Rule::Aggregate, "the question has keys but no aggregate").rewrite("add COUNT(*)")
        );
    }
    Ok(found)
}

fn name(what: What) -> &'static str {
    match what {
        What::Rows => "count",
        What::Pupils => "count distinct pupils",
        What::Sum => "sum",
        What::Mean => "avg",
    }
}

fn component(components: &mut Vec<Component>, quantity: Quantity, argument: Option<usize>) -> usize {
    let wanted = Component { quantity, argument };
    components.iter().position(|c| *c == wanted).unwrap_or_else(|| {
        components.push(wanted);
        components.len() - 1
    })
}

fn position(arguments: &mut Vec<Expr>, argument: &Expr) -> usize {
    arguments.iter().position(|a| a == argument).unwrap_or_else(|| {
        arguments.push(argument.clone());
        arguments.len() - 1
    })
}

fn no_range() -> Refusal {
    Refusal::new(Rule::Range, "the number has no finite range, so that one pupil's effect on it has no bound")
        .rewrite("give it one: GREATEST(LEAST(x, 100), 0)")
}

/// The lattice of an argument: the column's own step, 1 for whole numbers, else about a millionth of the range.
fn lattice(argument: &Expr, fields: &[Field], centred: bool) -> Result<Lattice, Refusal> {
    let (low, high) = range::of(argument, fields);
    let fits = low.is_finite() && high.is_finite() && low.abs().max(high.abs()) <= 1e15;
    if !fits {
        return Err(no_range());
    }
    let (low, high) = (low.min(high), high.max(low));
    let declared = match argument {
        Expr::Column(index, _) => fields[*index].step,
        _ => None,
    };
    let derived =
        || if high > low { 2f64.powi(((high - low) / 1_048_576.0).log2().floor() as i32) } else { 1.0 };
    let whole = argument.kind() != Some(Kind::Number);
    let on_grid = |step: &f64| ((low / step) - (low / step).round()).abs() < 1e-6;
    let step = declared.filter(on_grid).unwrap_or_else(|| if whole { 1.0 } else { derived() });
    Ok(if centred { Lattice::for_mean(low, high, step) } else { Lattice::for_sum(low, high, step) })
}
