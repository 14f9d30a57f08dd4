//! SQL as the log keeps it: without anything that could be a pupil's name or number. The log is for everybody, and
//! a researcher may have typed one into a question.

use std::collections::BTreeSet;

use disclosure_rules::Value;
use memoranda::Contract;

/// Longest text that is logged, in bytes.
const LONGEST: usize = 4_000;

/// Words of SQL that may stand in the log of a refused question.
const VOCABULARY: &str = "select from where group by having order limit offset as and or not in is null true false \
    between like ilike case when then else end cast try_cast join inner left right full outer cross on using union all except \
    intersect distinct with asc desc nulls first last filter over partition exists any some insert into values \
    update set delete create drop alter table view copy to explain analyze show describe fetch for rows only \
    grouping sets rollup cube window range extract interval date timestamp varchar bigint double boolean integer \
    count sum avg mean min max median var stddev corr abs ceil floor round coalesce nullif greatest least lower \
    upper substr substring trim length concat date_part date_trunc date_bin width_bucket sqrt ln exp power \
    variance var_pop var_samp stddev_pop stddev_samp covar_pop covar_samp regr_slope regr_intercept regr_r2 \
    percentile_cont approx_percentile_cont within row_number rank dense_rank ntile lag lead first_value last_value \
    rows preceding following unbounded current bool_and bool_or information_schema";

/// A question that ran: its words, numbers and signs, and those texts that are codes of the contract.
pub(crate) fn answered(sql: &str, contract: &Contract) -> String {
    let columns = contract.tables.iter().flat_map(|table| &table.columns);
    let codes: BTreeSet<&str> = columns
        .flat_map(|column| column.codes.iter().flatten())
        .filter_map(|code| if let Value::Text(text) = code { Some(text.as_str()) } else { None })
        .collect();
    mask(sql, &|_| true, &|text| codes.contains(text), true)
}

/// A question that was refused: words of SQL and names of the contract.
pub(crate) fn refused(sql: &str, contract: Option<&Contract>) -> String {
    let mut known: BTreeSet<String> = VOCABULARY.split_whitespace().map(str::to_owned).collect();
    for table in contract.iter().flat_map(|contract| &contract.tables) {
        known.insert(table.name.to_ascii_lowercase());
        known.extend(table.columns.iter().map(|column| column.name.to_ascii_lowercase()));
    }
    mask(sql, &|word| known.contains(&word.to_ascii_lowercase()), &|_| false, false)
}

fn mask(
    sql: &str,
    keep_word: &dyn Fn(&str) -> bool,
    keep_text: &dyn Fn(&str) -> bool,
    numbers: bool,
) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        if out.len() > LONGEST {
            out.push('…');
            break;
        }
        let length = token_length(rest, c);
        let (token, after) = rest.split_at(length);
        rest = after;
        let quoted = || token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
        let keep = match c {
            '\'' => keep_text(quoted()),
            c if c.is_ascii_digit() => numbers && token.bytes().all(|b| b.is_ascii_digit() || b == b'.'),
            c if c.is_ascii_alphabetic() || c == '_' => token.is_ascii() && keep_word(token),
            c => c.is_ascii_punctuation() && length == 1 && !matches!(c, '"' | '`' | '$' | '\\'),
        };
        if c.is_whitespace() || token.starts_with("--") || token.starts_with("/*") {
            out.push(' ');
        } else {
            out.push_str(if keep { token } else { "?" });
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Bytes of the token that starts with `c`: text or quoted name with its quotes, comment, word, number, or one sign.
fn token_length(text: &str, c: char) -> usize {
    let until =
        |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    match c {
        '\'' | '"' | '`' | '$' => until(c.encode_utf8(&mut [0; 4]), 1),
        '-' if text.starts_with("--") => until("\n", 2),
        '/' if text.starts_with("/*") => until("*/", 2),
        c if c.is_alphanumeric() || c == '_' => {
            let goes_on =
                |next: char| next.is_alphanumeric() || next == '_' || (next == '.' && c.is_ascii_digit());
            text.find(|next: char| !goes_on(next)).unwrap_or(text.len())
        }
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::{answered, refused};
    use memoranda::{Contract, datapackage};

    fn star() -> Contract {
        let text = include_str!("../../../datasets-synthetic/formats/star/datapackage.json");
        datapackage::parse(text).unwrap_or_else(|mistakes| unreachable!("{mistakes:?}"))
    }

    #[test]
    fn a_refused_question_keeps_nothing_that_could_name_a_pupil() {
        for (sql, logged) in [
            ("SELECT * FROM results WHERE id = 100017", "SELECT * FROM results WHERE id = ?"),
            ("SELECT 'x' FROM t WHERE name = '山田太郎' -- 山田", "SELECT ? FROM ? WHERE ? = ?"),
            ("SELECT 1e5, .5, 0x1F, P2024 /* P-2024 */ FROM results", "SELECT ?, .?, ?, ? FROM results"),
            ("SELECT \"山田\" FROM 生徒 WHERE id = Yamada", "SELECT ? FROM ? WHERE id = ?"),
            (
                "SELECT $$secret$$ FROM results WHERE math = 'unclosed",
                "SELECT ??? FROM results WHERE math = ?",
            ),
            ("SELECT COUNT(*)\nFROM results;", "SELECT COUNT(*) FROM results;"),
        ] {
            let found = refused(sql, Some(&star()));
            assert!(
                !found.contains("100017")
                    && !found.contains("2024")
                    && !found.to_lowercase().contains("yamada")
            );
            assert_eq!(found, logged, "{sql}");
        }
    }

    #[test]
    fn an_answered_question_keeps_codes_and_numbers() {
        let sql = "SELECT cltype, COUNT(*) AS n FROM results -- why\nWHERE gr = 'K' AND hdeg = '山田' AND math > 480.5";
        let logged = "SELECT cltype, COUNT(*) AS n FROM results WHERE gr = 'K' AND hdeg = ? AND math > 480.5";
        assert_eq!(answered(sql, &star()), logged);
    }
}
