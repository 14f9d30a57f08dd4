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

/// Options by name.
pub(super) type Named = BTreeMap<String, String>;

/// Takes one option in, if there is such a one.
pub(super) fn set(options: &mut Named, name: &str, value: &str) -> Result<(), String> {
    let name = name.trim().to_lowercase().replace('-', "_");
    let name = name.strip_prefix("enclave_").or(name.strip_prefix("enclave.")).unwrap_or(&name);
    // What tools call it.
    let name = if name == "catalog" { "memorandum" } else { name };
    if !KNOWN.contains(&name) {
        return Err(format!("there is no option `{name}`; options are {}", KNOWN.join(", ")));
    }
    // A price takes the place of another price.
    if ["rho", "epsilon", "within"].contains(&name) {
        options.retain(|key, _| !["rho", "epsilon", "within"].contains(&key.as_str()));
    }
    if value.is_empty() {
        options.remove(name);
    } else {
        options.insert(name.to_owned(), value.to_owned());
    }
    Ok(())
}

/// Options in headers that begin with `enclave-`.
pub(super) fn of_headers(options: &mut Named, headers: &MetadataMap) -> Result<(), String> {
    for entry in headers.iter() {
        if let tonic::metadata::KeyAndValueRef::Ascii(name, value) = entry
            && let Some(name) = name.as_str().strip_prefix("enclave-")
        {
            let value = value.to_str().map_err(|_| format!("the header `enclave-{name}` is not text"))?;
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
    fn unknown_options_are_refused() {
        assert!(read("-- enclave: roh=1").unwrap_err().contains("`roh`"));
        assert!(read("-- enclave: purpose=\"a").is_err());
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
