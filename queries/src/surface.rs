//! SQL text → one SELECT. Every clause that the parser knows is named here: what is not used is refused,
//! so that nothing can be dropped silently on the way to a plan.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Distinct, Expr, FunctionArguments, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query,
    Select, SetExpr, SetOperator, SetQuantifier, Spanned, Statement, TableFactor, TimezoneInfo, TypedString,
    Visit, Visitor, WindowType,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::Catalog;
use crate::function;
use crate::qualified;
use crate::refusal::{Refusal, Rule, tokens};

/// Longest question, in bytes.
pub(crate) const MAX_LENGTH: usize = 20_000;
/// Deepest nesting that is parsed.
pub(crate) const MAX_DEPTH: usize = 40;
/// Longest chain of operators, as in `a + b + c + …`: each is an expression inside the next one.
///
/// The calls that a question of this depth takes fit on the stack of a thread, in a debug build too: a test asks.
pub(crate) const MAX_CHAIN: usize = 80;
/// Deepest nesting of `word(…)`. Where something inside does not parse, sqlparser reads `CAST(…)` once more as a
/// plain function, so that its time doubles with each that is nested.
pub(crate) const MAX_CALLS: usize = 12;
/// Most queries of a question, inside each other or side by side.
pub(crate) const MAX_QUERIES: usize = 24;
/// Most expressions of a question.
pub(crate) const MAX_EXPRESSIONS: usize = 2_000;

/// Parses one question and checks that it uses nothing but what can be said in the tree.
pub(crate) fn parse(sql: &str, catalog: &Catalog<'_>) -> Result<Statement, Refusal> {
    if sql.len() > MAX_LENGTH {
        return Err(Refusal::new(Rule::Limit, format!("a question is at most {MAX_LENGTH} bytes long")));
    }
    if nested_calls(sql) > MAX_CALLS {
        return Err(Refusal::new(Rule::Limit, format!("functions nest at most {MAX_CALLS} deep")));
    }
    let dialect = GenericDialect {};
    let mut statements = Parser::new(&dialect)
        .with_recursion_limit(MAX_DEPTH)
        .try_with_sql(sql)
        .and_then(|mut parser| {
            let statements = parser.parse_statements()?;
            // The parser stops at a word that could close a block around it. Nothing may be left unread.
            let rest = parser.peek_token();
            if rest.token == Token::EOF { Ok(statements) } else { parser.expected("the end", rest) }
        })
        .map_err(|error| match error {
            ParserError::RecursionLimitExceeded => {
                Refusal::new(Rule::Limit, format!("expressions nest at most {MAX_DEPTH} deep"))
            }
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => syntax(&message),
        })?;
    let (Some(mut statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(Refusal::new(Rule::OneStatement, "a question is exactly one SELECT statement"));
    };
    qualified::put_plainly(&mut statement, catalog);
    let Statement::Query(query) = &statement else {
        return Err(Refusal::new(
            Rule::OnlySelect,
            "only SELECT is a question; nothing can be changed, set or explained here",
        )
        .rewrite("use `--preview` to see what a question would cost and how accurate it would be"));
    };
    let mut walk = Walk { catalog, views: BTreeSet::new(), queries: 0, expressions: 0, depth: 0 };
    match query.visit(&mut walk) {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(statement),
    }
}

/// How deep words with brackets stand inside each other.
fn nested_calls(sql: &str) -> usize {
    let (mut open, mut after_word, mut depth, mut deepest) = (Vec::new(), false, 0, 0);
    for token in tokens(sql) {
        match token.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket | Token::LBrace => {
                open.push(after_word);
                depth += usize::from(after_word);
                deepest = deepest.max(depth);
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                depth -= usize::from(open.pop().unwrap_or(false));
            }
            _ => {}
        }
        after_word = matches!(token.token, Token::Word(_));
    }
    deepest
}

/// The parser's message, without the piece of SQL that it quotes: that may be somebody's number.
fn syntax(message: &str) -> Refusal {
    let place = message.rfind(" at Line: ").map(|at| &message[at + " at Line: ".len()..]);
    let mut refusal = Refusal::new(Rule::Syntax, "this is not SQL that can be read");
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((line, column)) = place.and_then(|place| place.split_once(", Column: "))
        && number(line)
        && number(column)
    {
        refusal.at = format!("line {line}, column {column}");
    }
    refusal
}

fn clause(name: &str) -> Refusal {
    Refusal::new(Rule::Clause, format!("{name} is not offered"))
}

fn check_query(query: &Query) -> Result<(), Refusal> {
    let Query {
        with,
        body,
        order_by: _,
        limit_clause: _,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    if with.as_ref().is_some_and(|with| with.recursive) {
        return Err(clause("WITH RECURSIVE"));
    }
    let views = with.iter().flat_map(|with| &with.cte_tables);
    if views.clone().any(|view| view.from.is_some() || view.materialized.is_some()) {
        return Err(clause("FROM or MATERIALIZED in WITH"));
    }
    let unused = [
        ("FETCH (write LIMIT)", fetch.is_some()),
        ("FOR UPDATE", !locks.is_empty()),
        ("FOR", for_clause.is_some()),
        ("SETTINGS", settings.is_some()),
        ("FORMAT", format_clause.is_some()),
        ("a pipe", !pipe_operators.is_empty()),
    ];
    if let Some((name, _)) = unused.iter().find(|(_, used)| *used) {
        return Err(clause(name));
    }
    check_body(body)
}

fn check_body(body: &SetExpr) -> Result<(), Refusal> {
    match body {
        SetExpr::Select(select) => check_select(select),
        // Visited on its own.
        SetExpr::Query(_) => Ok(()),
        SetExpr::SetOperation { op, set_quantifier, left, right } => {
            let refused = match (op, set_quantifier) {
                (SetOperator::Union, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None)
                | (
                    SetOperator::Intersect | SetOperator::Except,
                    SetQuantifier::Distinct | SetQuantifier::None,
                ) => None,
                (SetOperator::Intersect | SetOperator::Except, SetQuantifier::All) => {
                    Some(("INTERSECT ALL or EXCEPT ALL", "leave ALL out"))
                }
                _ => Some((
                    "this set operation",
                    "UNION [ALL], INTERSECT or EXCEPT, with columns in the same order",
                )),
            };
            if let Some((what, rewrite)) = refused {
                return Err(clause(what).location(left.span().end).rewrite(rewrite));
            }
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Values(_) => Err(clause("VALUES")),
        SetExpr::Table(_) => Err(Refusal::new(Rule::RowLevel, "rows of pupils are never shown")),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err(Refusal::new(Rule::OnlySelect, "only SELECT is a question"))
        }
    }
}

fn check_select(select: &Select) -> Result<(), Refusal> {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
    if matches!(distinct, Some(Distinct::On(_))) {
        return Err(clause("DISTINCT ON").rewrite(
            "number the rows of each pupil: ROW_NUMBER() OVER (PARTITION BY the pupil ORDER BY …) = 1",
        ));
    }
    let unused = [
        ("an optimizer hint", !optimizer_hints.is_empty()),
        ("a SELECT modifier", select_modifiers.is_some()),
        ("TOP (write LIMIT)", top.is_some()),
        ("EXCLUDE", exclude.is_some()),
        ("INTO", into.is_some()),
        ("LATERAL VIEW", !lateral_views.is_empty()),
        ("PREWHERE", prewhere.is_some()),
        ("CONNECT BY", !connect_by.is_empty()),
        ("CLUSTER BY", !cluster_by.is_empty()),
        ("DISTRIBUTE BY", !distribute_by.is_empty()),
        ("SORT BY", !sort_by.is_empty()),
        ("WINDOW", !named_window.is_empty()),
        ("QUALIFY", qualify.is_some()),
        ("AS VALUE or AS STRUCT", value_table_mode.is_some()),
    ];
    if let Some((name, _)) = unused.iter().find(|(_, used)| *used) {
        return Err(clause(name));
    }
    match group_by {
        GroupByExpr::All(_) => return Err(clause("GROUP BY ALL").rewrite("name the columns after GROUP BY")),
        GroupByExpr::Expressions(_, modifiers) if !modifiers.is_empty() => {
            return Err(clause("a GROUP BY modifier"));
        }
        GroupByExpr::Expressions(..) => {}
    }
    from.iter()
        .flat_map(|t| std::iter::once(&t.relation).chain(t.joins.iter().map(|j| &j.relation)))
        .try_for_each(check_factor)
}

fn check_factor(factor: &TableFactor) -> Result<(), Refusal> {
    match factor {
        TableFactor::Table {
            name: _,
            alias: _,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            let unused = [
                ("a table function", args.is_some()),
                ("a table hint", !with_hints.is_empty() || !index_hints.is_empty()),
                ("a table version", version.is_some()),
                ("WITH ORDINALITY", *with_ordinality),
                ("PARTITION", !partitions.is_empty()),
                ("a JSON path", json_path.is_some()),
                ("TABLESAMPLE", sample.is_some()),
            ];
            unused.iter().find(|(_, used)| *used).map_or(Ok(()), |(name, _)| Err(clause(name)))
        }
        TableFactor::NestedJoin { table_with_joins, alias: None } => {
            check_factor(&table_with_joins.relation)?;
            table_with_joins.joins.iter().try_for_each(|join| check_factor(&join.relation))
        }
        // The query is visited on its own.
        TableFactor::Derived { lateral: false, sample: None, .. } => Ok(()),
        TableFactor::Derived { .. } => Err(clause("LATERAL")),
        _ => Err(clause("this kind of table")),
    }
}

/// A name as far as a refusal repeats it: it may be as long as a question, and messages of some ports may not.
pub(crate) fn short(name: &str) -> String {
    const LONGEST: usize = 64;
    let cut = name.char_indices().nth(LONGEST).map(|(at, _)| &name[..at]);
    cut.map_or_else(|| name.to_owned(), |cut| format!("{cut}…"))
}

/// A name as SQL folds it.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// Table and function names, and forms of expression that must be refused where they stand.
struct Walk<'a> {
    catalog: &'a Catalog<'a>,
    /// Names after WITH.
    views: BTreeSet<String>,
    queries: usize,
    expressions: usize,
    depth: usize,
}

impl Visitor for Walk<'_> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        self.queries += 1;
        if self.queries > MAX_QUERIES {
            return ControlFlow::Break(Refusal::new(
                Rule::Limit,
                format!("a question has at most {MAX_QUERIES} queries inside each other or side by side"),
            ));
        }
        let views = query.with.iter().flat_map(|with| &with.cte_tables);
        self.views.extend(views.map(|view| folded(&view.alias.name)));
        match check_query(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(refusal) => ControlFlow::Break(refusal),
        }
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Refusal> {
        let view = match name.0.as_slice() {
            [part] => part.as_ident().is_some_and(|ident| self.views.contains(&folded(ident))),
            _ => false,
        };
        if view || self.catalog.knows(name) {
            return ControlFlow::Continue(());
        }
        // Quoted names are not repeated: a path or a person may stand there.
        let plain = |part: &ObjectNamePart| part.as_ident().is_some_and(|ident| ident.quote_style.is_none());
        let what = if name.0.iter().all(plain) {
            format!("table `{}`", short(&name.to_string()))
        } else {
            "this table".to_owned()
        };
        ControlFlow::Break(
            Refusal::new(Rule::Table, format!("{what} is not among the items of this memorandum"))
                .location(name.span().start)
                .rewrite(format!(
                    "tables that can be asked about: {}",
                    self.catalog.table_names().join(", ")
                )),
        )
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<Refusal> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        self.expressions += 1;
        self.depth += 1;
        let limit = |reason: String| ControlFlow::Break(Refusal::new(Rule::Limit, reason));
        if self.expressions > MAX_EXPRESSIONS {
            return limit(format!("a question has at most {MAX_EXPRESSIONS} expressions"));
        }
        if self.depth > MAX_CHAIN {
            return limit(format!(
                "at most {MAX_CHAIN} operators follow each other: write a long list with IN"
            ));
        }
        let refusal = match expr {
            Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                Refusal::new(Rule::Subquery, "ANY and ALL are not offered")
                    .location(expr.span().start)
                    .rewrite("IN (SELECT …), EXISTS, or a comparison with (SELECT MIN(x) …)")
            }
            // Planned as a type without a zone: the zone must not be dropped silently.
            Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. })
                if matches!(
                    data_type,
                    DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz)
                ) =>
            {
                Refusal::new(Rule::Expression, "a time with a zone is not offered")
                    .location(expr.span().start)
                    .rewrite("CAST(x AS TIMESTAMP)")
            }
            Expr::Function(call) => {
                let name = call.name.to_string().to_ascii_lowercase();
                let named_window = matches!(&call.over, Some(WindowType::NamedWindow(_)));
                let ordered = !call.within_group.is_empty() && !function::is_quantile(&name);
                if named_window
                    || ordered
                    || call.null_treatment.is_some()
                    || call.uses_odbc_syntax
                    || !matches!(call.parameters, FunctionArguments::None)
                {
                    clause("this form of function call").location(call.name.span().start)
                } else if function::is_known(&name) || (call.over.is_some() && function::is_window(&name)) {
                    // Of one pupil's rows some are offered that are not of all: lowering knows which these are.
                    return ControlFlow::Continue(());
                } else if let Some(rewrite) = function::refused_aggregate(&name) {
                    Refusal::new(Rule::Aggregate, format!("`{name}` is not offered"))
                        .location(call.name.span().start)
                        .rewrite(rewrite)
                } else {
                    let plain = |part: &ObjectNamePart| {
                        part.as_ident().is_some_and(|ident| ident.quote_style.is_none())
                    };
                    let plain = call.name.0.iter().all(plain);
                    let what = if plain { format!("`{}`", short(&name)) } else { "this function".to_owned() };
                    Refusal::new(Rule::Function, format!("{what} is not on the list of total functions"))
                        .location(call.name.span().start)
                        .rewrite(format!("functions that can be used: {}", function::names().join(", ")))
                }
            }
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_name_is_repeated_as_far_as_64_characters() {
        let long = "名".repeat(65);
        for (name, told) in [("results", "results".to_owned()), (&long[..64 * 3], "名".repeat(64))] {
            assert_eq!(short(name), told);
        }
        assert_eq!(short(&long), format!("{}…", "名".repeat(64)));
    }
}
