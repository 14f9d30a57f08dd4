//! Parameters of prepared statements: put into the SQL as constants, which are then checked like any others; and what they
//! may be, before they are there, by what they stand beside.

use disclosure_rules::Value;
use memoranda::{Column, Kind};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

/// A value for a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// NULL.
    Null,
    /// true or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(String),
    /// A date, as ISO 8601.
    Date(String),
    /// A date with a time of day, without a zone, such as `2026-04-01 12:00:00.5`.
    DateTime(String),
}

/// What a parameter stands beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// A column, as SQL reads its name; before it what says where it is.
    Column(Vec<String>),
    /// A number of rows.
    Count,
}

/// Values that a statement takes at most.
pub const COUNT_MAX: usize = 1_000;

/// Bytes of a statement with its values: what a question may have.
pub const LENGTH_MAX: usize = 20_000;

/// Why parameters and statement do not go together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParameterError {
    /// The SQL is not made of tokens.
    #[error("the statement does not read as SQL")]
    Sql,
    /// Too few or too many values.
    #[error("the statement has {0} parameters, and {1} values were bound")]
    Count(usize, usize),
    /// Neither `?` nor `$1`.
    #[error("parameters are written `?`, or `$1`, `$2`, …")]
    Form,
    /// Before or after its values are put in.
    #[error("a question is at most {LENGTH_MAX} bytes long, with its values")]
    Long,
    /// SQL reads what stands in such a comment, and does not say where it stands.
    #[error(
        "a statement with parameters has no comment that begins with `/*!`: write what is in it without one"
    )]
    Hint,
    /// NaN or infinite.
    #[error("a number that is bound is finite")]
    NotFinite,
}

/// How many values a statement takes.
pub fn count(sql: &str) -> Result<usize, ParameterError> {
    let mut next = 0;
    let mut most = 0;
    for token in tokens(sql)? {
        if let Token::Placeholder(name) = token.token {
            most = most.max(place(&name, &mut next)? + 1);
        }
    }
    if most > 0 && sql.contains("/*!") {
        return Err(ParameterError::Hint);
    }
    Ok(most)
}

impl Parameter {
    /// Bytes of what is kept of it beside its own place.
    pub fn length(&self) -> usize {
        match self {
            Parameter::Text(text) | Parameter::Date(text) | Parameter::DateTime(text) => text.len(),
            _ => 0,
        }
    }

    /// A value that a column may have, by its contract alone.
    pub fn sample(column: &Column) -> Parameter {
        if let Some(code) = column.codes.iter().flatten().next() {
            return match code {
                Value::Null => Parameter::Null,
                Value::Bool(value) => Parameter::Boolean(*value),
                Value::Int(value) => Parameter::Integer(*value),
                Value::Text(text) => Parameter::Text(text.clone()),
                Value::Date(day) => Parameter::Date(day.to_string()),
            };
        }
        let ends = (column.minimum, column.maximum);
        let middle = match ends {
            (Some(least), Some(most)) => f64::midpoint(least, most),
            (least, most) => least.or(most).unwrap_or(1.0),
        };
        match column.kind {
            Kind::Boolean => Parameter::Boolean(true),
            Kind::Integer => Parameter::Integer(middle as i64),
            Kind::Number => Parameter::Number(middle),
            Kind::Text => Parameter::Text(String::new()),
            Kind::Date => Parameter::Date("2000-01-01".to_owned()),
            Kind::DateTime => Parameter::DateTime("2000-01-01 00:00:00".to_owned()),
        }
    }
}

/// What each value of a statement stands beside: `x = ?`, `? < x`, `x BETWEEN ? AND ?`, `x IN (?, …)`, `x LIKE ?`,
/// `x / ?`, `COUNT(…) > ?`, `LIMIT ?`; of other forms nothing is known.
pub fn beside(sql: &str) -> Vec<Option<Beside>> {
    let tokens: Vec<Token> = tokens(sql).unwrap_or_default().into_iter().map(|token| token.token).collect();
    let tokens: Vec<Token> =
        tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let (mut next, mut found) = (0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        let Token::Placeholder(name) = token else { continue };
        let Ok(place) = place(name, &mut next) else { continue };
        if found.len() <= place {
            found.resize(place + 1, None);
        }
        if found[place].is_none() {
            found[place] = left_of(&tokens[..at]).or_else(|| right_of(&tokens[at + 1..]));
        }
    }
    found
}

/// What a value that comes next is compared with.
fn left_of(before: &[Token]) -> Option<Beside> {
    let (last, rest) = before.split_last()?;
    match keyword(last) {
        Keyword::LIMIT | Keyword::OFFSET => return Some(Beside::Count),
        Keyword::LIKE | Keyword::ILIKE | Keyword::BETWEEN => return operand_before(positive(rest)),
        Keyword::AND => {
            let (_low, rest) = rest.split_last()?;
            let (between, rest) = rest.split_last()?;
            return (keyword(between) == Keyword::BETWEEN).then(|| operand_before(positive(rest)))?;
        }
        _ => {}
    }
    if is_operator(last) {
        return operand_before(rest);
    }
    // A place in a list of constants.
    let list = before.iter().rposition(|token| !is_listed(token))?;
    let (open, rest) = before[..=list].split_last()?;
    let (word, rest) = rest.split_last()?;
    (*open == Token::LParen && keyword(word) == Keyword::IN).then(|| operand_before(positive(rest)))?
}

/// What a value that came before is compared with.
fn right_of(after: &[Token]) -> Option<Beside> {
    let (operator, rest) = after.split_first()?;
    if !is_operator(operator) {
        return None;
    }
    let mut names = vec![name(rest.first()?)?];
    let mut rest = &rest[1..];
    while let [Token::Period, next, ..] = rest {
        names.push(name(next)?);
        rest = &rest[2..];
    }
    match rest.first() {
        Some(Token::LParen) => (names == ["count"]).then_some(Beside::Count),
        _ => Some(Beside::Column(names)),
    }
}

/// The operand that these tokens end with.
fn operand_before(tokens: &[Token]) -> Option<Beside> {
    let (last, mut rest) = tokens.split_last()?;
    if *last == Token::RParen {
        let mut open = 1;
        while open > 0 {
            let (token, before) = rest.split_last()?;
            open += i32::from(*token == Token::RParen) - i32::from(*token == Token::LParen);
            rest = before;
        }
        return (name(rest.last()?)? == "count").then_some(Beside::Count);
    }
    let mut names = vec![name(last)?];
    while let [before @ .., first, Token::Period] = rest {
        names.insert(0, name(first)?);
        rest = before;
    }
    Some(Beside::Column(names))
}

/// Without a NOT at the end.
fn positive(tokens: &[Token]) -> &[Token] {
    match tokens.split_last() {
        Some((last, rest)) if keyword(last) == Keyword::NOT => rest,
        _ => tokens,
    }
}

fn is_operator(token: &Token) -> bool {
    use Token::{Div, Eq, Gt, GtEq, Lt, LtEq, Minus, Mod, Mul, Neq, Plus};
    matches!(token, Eq | Neq | Lt | LtEq | Gt | GtEq | Plus | Minus | Mul | Div | Mod)
}

fn is_listed(token: &Token) -> bool {
    use Token::{Comma, Minus, Number, Placeholder, SingleQuotedString};
    matches!(token, Comma | Minus | Number(..) | Placeholder(_) | SingleQuotedString(_))
}

fn keyword(token: &Token) -> Keyword {
    if let Token::Word(word) = token { word.keyword } else { Keyword::NoKeyword }
}

/// A word as SQL folds it.
fn name(token: &Token) -> Option<String> {
    let Token::Word(word) = token else { return None };
    Some(if word.quote_style.is_some() { word.value.clone() } else { word.value.to_ascii_lowercase() })
}

/// The statement with its values in place, each between spaces; the rest as it was written.
pub fn bind(sql: &str, values: &[Parameter]) -> Result<String, ParameterError> {
    let wanted = count(sql)?;
    if wanted != values.len() {
        return Err(ParameterError::Count(wanted, values.len()));
    }
    let starts = line_starts(sql);
    let at = |location: Location| byte_at(sql, &starts, location).ok_or(ParameterError::Sql);
    let (mut next, mut bound, mut copied) = (0, String::new(), 0);
    for token in tokens(sql)? {
        if let Token::Placeholder(name) = &token.token {
            bound += sql.get(copied..at(token.span.start)?).ok_or(ParameterError::Sql)?;
            bound += &format!(" {} ", literal(&values[place(name, &mut next)?])?);
            copied = at(token.span.end)?;
        }
        if bound.len() > LENGTH_MAX {
            return Err(ParameterError::Long);
        }
    }
    bound += sql.get(copied..).ok_or(ParameterError::Sql)?;
    if bound.len() > LENGTH_MAX { Err(ParameterError::Long) } else { Ok(bound) }
}

/// The inside of each comment, as SQL reads them; none where it does not read.
pub fn comments(sql: &str) -> Vec<String> {
    let inside = |token: TokenWithSpan| match token.token {
        Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => Some(comment),
        Token::Whitespace(Whitespace::MultiLineComment(comment)) => Some(comment),
        _ => None,
    };
    tokens(sql).unwrap_or_default().into_iter().filter_map(inside).collect()
}

fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, ParameterError> {
    Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().map_err(|_| ParameterError::Sql)
}

/// Where lines begin, in bytes.
fn line_starts(sql: &str) -> Vec<usize> {
    std::iter::once(0).chain(sql.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// Lines and columns are counted from 1, columns in characters.
fn byte_at(sql: &str, starts: &[usize], location: Location) -> Option<usize> {
    let line = *starts.get(usize::try_from(location.line).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(location.column).ok()?.checked_sub(1)?;
    let rest = sql.get(line..)?;
    let inside = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(column)?;
    Some(line + inside)
}

/// Which value a placeholder takes, counted from 0.
fn place(name: &str, next: &mut usize) -> Result<usize, ParameterError> {
    if name == "?" {
        *next += 1;
        return Ok(*next - 1);
    }
    let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
    number.and_then(|number| number.checked_sub(1)).filter(|i| *i < COUNT_MAX).ok_or(ParameterError::Form)
}

fn literal(value: &Parameter) -> Result<String, ParameterError> {
    Ok(match value {
        Parameter::Null => "NULL".to_owned(),
        Parameter::Boolean(value) => value.to_string(),
        Parameter::Integer(value) => format!("({value})"),
        Parameter::Number(value) if value.is_finite() => format!("({value:?})"),
        Parameter::Number(_) => return Err(ParameterError::NotFinite),
        Parameter::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Parameter::Date(date) => format!("DATE '{}'", date.replace('\'', "''")),
        Parameter::DateTime(time) => format!("TIMESTAMP '{}'", time.replace('\'', "''")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_come_as_constants() {
        use Parameter::*;
        for (sql, values, bound) in [
            ("SELECT 1 -- ?\n", vec![], "SELECT 1 -- ?\n"),
            ("a = ? AND b = '?'", vec![Text("o'k; --".into())], "a =  'o''k; --'  AND b = '?'"),
            ("a > $2 OR \"$1\" < $1", vec![Integer(-1), Number(0.5)], "a >  (0.5)  OR \"$1\" <  (-1) "),
            (
                "a BETWEEN ? AND ?",
                vec![Date("2026-04-01".into()), Null],
                "a BETWEEN  DATE '2026-04-01'  AND  NULL ",
            ),
            ("a = 'it''s' AND b = ?", vec![Boolean(true)], "a = 'it''s' AND b =  true "),
            ("E'\\' OR 1=1 -- '", vec![], "E'\\' OR 1=1 -- '"),
            ("あ = ?\n OR い = ?", vec![Text("う".into()), Null], "あ =  'う' \n OR い =  NULL "),
            ("'a'?", vec![Text("b".into())], "'a' 'b' "),
            ("a < ?", vec![DateTime("2026-04-01 12:00:00".into())], "a <  TIMESTAMP '2026-04-01 12:00:00' "),
        ] {
            assert_eq!(bind(sql, &values).unwrap(), bound, "{sql}");
        }
    }

    #[test]
    fn a_value_is_known_by_what_it_stands_beside() {
        for (sql, expected) in [
            ("gr = ?", "gr"),
            ("gr <> ? AND ? >= math", "gr math"),
            ("r.Math > $1 AND star.results.\"gr\" = $2", "r.math star.results.gr"),
            ("? < m.r.math", "m.r.math"),
            ("math BETWEEN ? AND ? AND gr = ?", "math math gr"),
            ("math NOT BETWEEN 300 AND ? AND sx LIKE ?", "math sx"),
            ("gr IN ('K', ?, ?) OR gr NOT IN (?)", "gr gr gr"),
            ("AVG(math / ?) > 0 HAVING COUNT(*) > ? LIMIT ? OFFSET ?", "math # # #"),
            ("COUNT(DISTINCT (id)) >= ? OR ? < COUNT(*)", "# #"),
            ("gr = $2 AND math > $1 AND $1 = x", "math gr"),
            // Of these nothing is known.
            ("?", "-"),
            ("ABS(math) = ? OR ? = ABS(math)", "- -"),
            ("width_bucket(math, ?, 700, ?)", "- -"),
            ("CASE WHEN ? THEN 1 END AND (?)", "- -"),
            ("'gr = ?' -- gr = ?", ""),
            ("gr = ', ?", ""),
        ] {
            let told = beside(sql).into_iter().map(|found| match found {
                Some(Beside::Column(names)) => names.join("."),
                Some(Beside::Count) => "#".to_owned(),
                None => "-".to_owned(),
            });
            assert_eq!(told.collect::<Vec<_>>().join(" "), expected, "{sql}");
        }
        let many = format!("gr IN ({}?)", "?, ".repeat(COUNT_MAX));
        assert!(beside(&many).iter().all(Option::is_some));
    }

    #[test]
    fn a_sample_is_a_value_of_the_contract() {
        let text = include_str!("../../../datasets-synthetic/formats/star/datapackage.json");
        let contract = memoranda::datapackage::parse(text).unwrap();
        let sample = |name: &str| Parameter::sample(contract.table("results").unwrap().column(name).unwrap());
        assert_eq!(sample("gr"), Parameter::Text("K".to_owned()));
        assert!(matches!(sample("math"), Parameter::Number(score) if (300.0..800.0).contains(&score)));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert_eq!(bind("a = ?", &[]), Err(ParameterError::Count(1, 0)));
        assert_eq!(bind("a = $0", &[Parameter::Null]), Err(ParameterError::Form));
        assert_eq!(bind("a = ?", &[Parameter::Number(f64::NAN)]), Err(ParameterError::NotFinite));
        assert_eq!(count("a = 'open"), Err(ParameterError::Sql));
        assert_eq!(bind("/*! a = ? */ OR b = ?", &[Parameter::Null]), Err(ParameterError::Hint));
        assert_eq!(bind("/*! a = 1 */", &[]).as_deref(), Ok("/*! a = 1 */"));
        let many = "$1,".repeat(100);
        assert_eq!(bind(&many, &[Parameter::Text("x".repeat(1_000))]), Err(ParameterError::Long));
    }
}
