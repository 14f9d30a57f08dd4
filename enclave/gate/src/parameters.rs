//! Parameters of prepared statements: put into the SQL as constants, which are then checked like any others.

use sqlparser::dialect::GenericDialect;
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
}

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
    Ok(most)
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
    number.and_then(|number| number.checked_sub(1)).filter(|i| *i < 1_000).ok_or(ParameterError::Form)
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
        ] {
            assert_eq!(bind(sql, &values).unwrap(), bound, "{sql}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert_eq!(bind("a = ?", &[]), Err(ParameterError::Count(1, 0)));
        assert_eq!(bind("a = $0", &[Parameter::Null]), Err(ParameterError::Form));
        assert_eq!(bind("a = ?", &[Parameter::Number(f64::NAN)]), Err(ParameterError::NotFinite));
        assert_eq!(count("a = 'open"), Err(ParameterError::Sql));
        let many = "$1,".repeat(100);
        assert_eq!(bind(&many, &[Parameter::Text("x".repeat(1_000))]), Err(ParameterError::Long));
    }
}
