//! [`Refusal`]: a typed "no", written for the researcher who gets it.

use std::fmt;

use datafusion::common::Column;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// Which rule a question breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The text is not SQL.
    Syntax,
    /// More or less than one statement.
    OneStatement,
    /// A statement that is not a question: DDL, DML, COPY, SET, EXPLAIN, …
    OnlySelect,
    /// A table that is not among the memorandum's items.
    Table,
    /// A column that is not among the memorandum's items.
    Column,
    /// The pupil's own column in any place but `COUNT(DISTINCT …)`.
    PupilColumn,
    /// Rows rather than aggregates.
    RowLevel,
    /// A function outside the list of total functions.
    Function,
    /// An aggregate that is not offered.
    Aggregate,
    /// An expression of a form or type that the vocabulary cannot say.
    Expression,
    /// A clause that the vocabulary cannot say.
    Clause,
    /// A query inside a query.
    Subquery,
    /// A window function.
    Window,
    /// A join of two private tables.
    PrivateJoin,
    /// A join of a kind that the vocabulary cannot say.
    Join,
    /// No private table at all.
    PublicOnly,
    /// A number without a finite range.
    Range,
    /// No bound on the rows of one pupil.
    Contribution,
    /// Price, size or depth over a limit of the rule set.
    Limit,
    /// A principle of the rule set refuses it.
    Principle,
    /// The second factor is asked for.
    SecondFactor,
    /// Not in force, not of the memorandum, or not permitted.
    Memorandum,
    /// The engine could not carry the question out.
    Engine,
}

impl Rule {
    /// The name in messages, JSON and the log.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Syntax => "syntax",
            Rule::OneStatement => "one-statement",
            Rule::OnlySelect => "only-select",
            Rule::Table => "table",
            Rule::Column => "column",
            Rule::PupilColumn => "pupil-column",
            Rule::RowLevel => "row-level",
            Rule::Function => "function",
            Rule::Aggregate => "aggregate",
            Rule::Expression => "expression",
            Rule::Clause => "clause",
            Rule::Subquery => "subquery",
            Rule::Window => "window",
            Rule::PrivateJoin => "private-join",
            Rule::Join => "join",
            Rule::PublicOnly => "public-only",
            Rule::Range => "range",
            Rule::Contribution => "contribution",
            Rule::Limit => "limit",
            Rule::Principle => "principle",
            Rule::SecondFactor => "second-factor",
            Rule::Memorandum => "memorandum",
            Rule::Engine => "engine",
        }
    }
}

/// Why a question is not answered. Depends on public metadata and the SQL only; holds no value of any row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// The place in the SQL, as in "line 1, column 8"; empty where the whole question is meant.
    pub at: String,
    /// Why, in one sentence.
    pub reason: String,
    /// A form that would pass, where there is one.
    pub rewrite: Option<String>,
}

impl Refusal {
    /// A refusal of the whole question.
    pub fn new(rule: Rule, reason: impl Into<String>) -> Refusal {
        Refusal { rule, at: String::new(), reason: reason.into(), rewrite: None }
    }

    /// The same with a form that would pass.
    pub fn rewrite(mut self, rewrite: impl Into<String>) -> Refusal {
        self.rewrite = Some(rewrite.into());
        self
    }

    pub(crate) fn location(mut self, location: Location) -> Refusal {
        if location.line > 0 {
            self.at = format!("line {}, column {}", location.line, location.column);
        }
        self
    }

    /// The same with the place where a column stands, where the planner kept it; else where its name first stands.
    pub(crate) fn place(self, sql: &str, column: &Column) -> Refusal {
        match column.spans().first() {
            Some(span) => self.location(Location { line: span.start.line, column: span.start.column }),
            None => self.near(sql, &column.name),
        }
    }

    /// The same with the place of the first token of the SQL that is `word`, where none is known yet.
    pub(crate) fn near(self, sql: &str, word: &str) -> Refusal {
        if !self.at.is_empty() {
            return self;
        }
        let is_word = |token: &Token| match token {
            Token::Word(w) => w.value.eq_ignore_ascii_case(word),
            other => other.to_string() == word,
        };
        match tokens(sql).into_iter().find(|token| is_word(&token.token)) {
            Some(token) => self.location(token.span.start),
            None => self,
        }
    }
}

/// The tokens of SQL; none where it has no tokens.
pub(crate) fn tokens(sql: &str) -> Vec<TokenWithSpan> {
    Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap_or_default()
}

/// Whether a name stands in the SQL as a plain word. Only then may a refusal repeat it: between quotes, SQL that
/// takes `"…"` for text may hold a person's name.
pub(crate) fn is_plain(sql: &str, name: &str) -> bool {
    tokens(sql).iter().any(|token| {
        matches!(&token.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(name))
    })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused ({})", self.rule.name())?;
        if !self.at.is_empty() {
            write!(f, " at {}", self.at)?;
        }
        write!(f, ": {}", self.reason)?;
        if let Some(rewrite) = &self.rewrite {
            write!(f, "\n  instead: {rewrite}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
