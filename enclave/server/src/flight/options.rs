//! What a question is asked with: options of the session, over them headers of the call, over them a comment in the SQL.
//!
//! `SELECT … -- enclave: memorandum=m rho=0.02` · `/* enclave: within=10 confidence=0.9 */` · header `enclave-rho: 0.02`
//! · session option `rho`.

use std::collections::BTreeMap;

use gate::{Options, Price, Request, parameters};
use tonic::metadata::MetadataMap;

/// Every option, as `docs/clients.md` lists them.
pub(super) const KNOWN: [&str; 12] = [
    "memorandum",
    "purpose",
    "rho",
    "epsilon",
    "within",
    "confidence",
    "rows_per_unit",
    "groups_per_unit",
    "justification",
    "fresh",
    "preview",
    "catalog",
];

/// What tools call the data set. It is an option of a session alone, and says nothing: a memorandum has one.
pub(super) const SCHEMA: &str = "schema";

/// The longest value that a session keeps, in characters; and the longest reason for the board.
const VALUE_MAX: usize = 1_000;
const JUSTIFICATION_MAX: usize = 4_000;

/// Options by name.
pub(super) type Named = BTreeMap<String, String>;

/// Takes one option in, if there is such a one. Without a value, it takes that one away.
pub(super) fn set(options: &mut Named, name: &str, value: &str) -> Result<(), String> {
    const PRICES: [&str; 3] = ["rho", "epsilon", "within"];
    let name = plain(name);
    if !KNOWN.contains(&name.as_str()) {
        return Err(format!("there is no option `{}`; options are {}", short(&name), KNOWN.join(", ")));
    }
    if value.is_empty() {
        options.remove(&name);
        return Ok(());
    }
    // A price takes the place of another price.
    if PRICES.contains(&name.as_str()) {
        options.retain(|key, _| !PRICES.contains(&key.as_str()));
    }
    options.insert(name, value.to_owned());
    Ok(())
}

/// An option's name as it is kept.
pub(super) fn plain(name: &str) -> String {
    let name = name.trim().to_lowercase().replace('-', "_");
    let name = name.strip_prefix("enclave_").or(name.strip_prefix("enclave.")).unwrap_or(&name);
    // What tools call it.
    let name = if name == "catalog" { "memorandum" } else { name };
    name.to_owned()
}

/// What somebody sent, as far as it is told back.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 64;
    let cut = text.char_indices().nth(LONGEST).map(|(at, _)| &text[..at]);
    cut.map_or_else(|| text.to_owned(), |cut| format!("{cut}…"))
}

/// Why an option of a session is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSet {
    /// There is no such option.
    Name,
    /// It does not take this value.
    Value,
}

/// Takes in one option of a session, if it has a meaning; `schemas` are the data sets that it may name.
pub(super) fn set_kept(
    options: &mut Named,
    name: &str,
    value: &str,
    schemas: &[String],
) -> Result<(), NotSet> {
    let longest = if plain(name) == "justification" { JUSTIFICATION_MAX } else { VALUE_MAX };
    if value.chars().count() > longest {
        return Err(NotSet::Value);
    }
    if plain(name) == SCHEMA {
        if value.is_empty() {
            options.remove(SCHEMA);
        } else if schemas.iter().any(|schema| schema == value) {
            options.insert(SCHEMA.to_owned(), value.to_owned());
        } else {
            return Err(NotSet::Value);
        }
        return Ok(());
    }
    let mut alone = Named::new();
    set(&mut alone, name, value).map_err(|_| NotSet::Name)?;
    request(String::new(), &alone, &[""]).map_err(|_| NotSet::Value)?;
    set(options, name, value).map_err(|_| NotSet::Name)
}

/// Options in headers that begin with `enclave-`.
pub(super) fn of_headers(options: &mut Named, headers: &MetadataMap) -> Result<(), String> {
    for entry in headers.iter() {
        if let tonic::metadata::KeyAndValueRef::Ascii(name, value) = entry
            && let Some(name) = name.as_str().strip_prefix("enclave-")
        {
            let text = value.to_str();
            let value = text.map_err(|_| format!("the header `enclave-{}` is not text", short(name)))?;
            set(options, name, value)?;
        }
    }
    Ok(())
}

/// Options in comments. The SQL goes on as it is: a comment says nothing in it.
pub(super) fn of_comments(options: &mut Named, sql: &str) -> Result<(), String> {
    for comment in parameters::comments(sql) {
        let Some(list) = comment.trim().strip_prefix("enclave:") else { continue };
        for part in words(list)? {
            let (name, value) = part.split_once('=').unwrap_or((part.as_str(), "true"));
            set(options, name, value)?;
        }
    }
    Ok(())
}

/// `name=value` by spaces; a value in double quotes may hold spaces.
fn words(list: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in list.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    if quoted {
        return Err("a quote in the options is not closed".to_owned());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    Ok(words)
}

/// A question with these options.
pub(super) fn request(sql: String, options: &Named, memoranda: &[&str]) -> Result<Request, String> {
    let text = |name: &str| options.get(name).cloned();
    let number = |name: &str| -> Result<Option<f64>, String> {
        let parse = |value: &String| value.parse().map_err(|_| format!("the option `{name}` is a number"));
        options.get(name).map(parse).transpose()
    };
    let whole = |name: &str| -> Result<Option<u64>, String> {
        let parse = |value: &String| {
            let number = value.parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| format!("the option `{name}` is a whole number of at least 1"))
        };
        options.get(name).map(parse).transpose()
    };
    let flag = |name: &str| match options.get(name).map(String::as_str) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(format!("the option `{name}` is true or false")),
    };
    let price = Price::of(number("rho")?, number("epsilon")?, number("within")?)?;
    let confidence = gate::request::confidence(number("confidence")?)?;
    let memorandum = match (text("memorandum"), memoranda) {
        (Some(named), _) => named,
        (None, [only]) => (*only).to_owned(),
        (None, _) => {
            return Err("say which memorandum: `-- enclave: memorandum=ID` in the SQL, the header \
                        `enclave-memorandum`, or the catalogue"
                .to_owned());
        }
    };
    Ok(Request {
        memorandum,
        person: None,
        purpose: text("purpose"),
        sql,
        price,
        confidence,
        options: Options {
            rows_per_unit: whole("rows_per_unit")?,
            groups_per_unit: whole("groups_per_unit")?,
        },
        justification: text("justification"),
        fresh: flag("fresh")?,
        preview: flag("preview")?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(sql: &str) -> Result<Named, String> {
        let mut options = Named::new();
        of_comments(&mut options, sql).map(|()| options)
    }

    #[test]
    fn comments_set_options() {
        let options =
            read("SELECT 1 -- enclave: rho=0.02 memorandum=m\n/* enclave: purpose=\"a b\" fresh */").unwrap();
        let expected = [("fresh", "true"), ("memorandum", "m"), ("purpose", "a b"), ("rho", "0.02")];
        assert_eq!(options, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(read("SELECT '-- enclave: rho=1', \"/* enclave: rho=1 */\" - - 1").unwrap(), Named::new());
        assert_eq!(read("SELECT E'\\'' -- enclave: rho=1").unwrap().len(), 1);
        assert_eq!(read("SELECT $$-- enclave: rho=1$$").unwrap(), Named::new());
        assert_eq!(read("3 /* a */* 2 /* enclave: rho=1 */").unwrap().len(), 1);
        assert_eq!(read("SELECT 1 -- other: rho=1").unwrap(), Named::new());
        assert_eq!(read("-- enclave: rho=1 within=10").unwrap().len(), 1, "the later price counts");
    }

    #[test]
    fn an_empty_value_takes_that_option_away() {
        let options = |sql| read(sql).unwrap().into_keys().collect::<Vec<_>>().join(" ");
        assert_eq!(options("-- enclave: rho=1 within="), "rho", "and no other price");
        assert_eq!(options("-- enclave: rho=1 rho="), "");
        assert_eq!(options("-- enclave: purpose=a fresh purpose=\"\""), "fresh");
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(read("-- enclave: roh=1").unwrap_err().contains("`roh`"));
        assert!(read("-- enclave: purpose=\"a").is_err());
        assert!(read("-- enclave: schema=star").is_err());
        let long = read(&format!("-- enclave: {}=1", "長".repeat(10_000))).unwrap_err();
        assert!(long.contains("長…`") && long.len() < 500, "{long}");
    }

    #[test]
    fn a_session_keeps_what_has_a_meaning() {
        let mut kept = Named::new();
        let mut set = |name: &str, value: &str| set_kept(&mut kept, name, value, &["star".to_owned()]);
        for (name, value) in [("rho", "abc"), ("within", "-1"), ("fresh", "perhaps"), ("schema", "other")] {
            assert_eq!(set(name, value), Err(NotSet::Value), "{name}={value}");
        }
        assert_eq!(set("roh", "1"), Err(NotSet::Name));
        assert_eq!(set("purpose", &"x".repeat(VALUE_MAX + 1)), Err(NotSet::Value));
        assert_eq!(set("justification", &"理".repeat(JUSTIFICATION_MAX + 1)), Err(NotSet::Value));
        for (name, value) in
            [("rho", "0.1"), ("Schema", "star"), ("catalog", "m"), ("justification", "why"), ("rho", "0.2")]
        {
            assert_eq!(set(name, value), Ok(()), "{name}={value}");
        }
        assert_eq!(set("justification", ""), Ok(()));
        let expected = [("memorandum", "m"), ("rho", "0.2"), ("schema", "star")];
        assert_eq!(kept, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn a_question_has_its_options() {
        let options = read("-- enclave: epsilon=0.5 confidence=0.9 rows_per_unit=3 preview").unwrap();
        let asked = request("q".to_owned(), &options, &["m"]).unwrap();
        assert_eq!((asked.memorandum.as_str(), asked.preview, asked.confidence), ("m", true, Some(0.9)));
        assert_eq!(asked.options.rows_per_unit, Some(3));
        assert!(request("q".to_owned(), &Named::new(), &["m", "n"]).is_err());
        for wrong in ["rho=x", "rho=-1", "within=0", "confidence=2", "rows_per_unit=0", "fresh=perhaps"] {
            assert!(
                request("q".to_owned(), &read(&format!("-- enclave: {wrong}")).unwrap(), &["m"]).is_err(),
                "{wrong}"
            );
        }
    }
}
