//! [`RuleSet`] (開示ルール): the versioned small-cell rule, limits and principles that a memorandum names.

use crate::loss::{Rho, Units};

/// A rule set (DESIGN section 6). Built only by [`RuleSet::parse`], so that its numbers are in range.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    /// Such as `standard`.
    pub name: String,
    /// Semantic version.
    pub version: semver::Version,
    /// When a cell is too small to show.
    pub small_cells: SmallCells,
    /// What one question may cost and use.
    pub limits: Limits,
    /// 基本的な方針: what needs the board, whatever the allotment.
    pub principles: Vec<Principle>,
}

/// A cell of fewer than `min_units` pupils is shown with probability at most `1 - assurance`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmallCells {
    /// Cells of fewer pupils are small.
    pub min_units: Units,
    /// Above 0.5, below 1.
    pub assurance: f64,
}

/// Limits of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most that one release may cost.
    pub max_rho_per_release: Rho,
    /// The most group keys that one answer may have.
    pub max_groups: u64,
    /// Wall time of one evaluation.
    pub timeout_seconds: u64,
    /// Memory of one evaluation.
    pub memory_mib: u64,
    /// The most rows of one pupil (or the most that they add up to) that a bound which is found privately can allow.
    pub largest_contribution: u64,
}

/// A combination of columns that the board wants to see first, or never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principle {
    /// Such as `no-ranking`.
    pub id: String,
    /// Names or tags of columns that a question groups by.
    pub groups_by: Vec<String>,
    /// Names or tags of columns that a question measures.
    pub measures: Vec<String>,
    /// What follows.
    pub then: Then,
    /// Why, in English.
    pub reason_en: String,
    /// Why, in Japanese; empty where the file gives none.
    pub reason_ja: String,
}

/// What follows when a principle matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The board decides.
    Escalate,
    /// Refused.
    Refuse,
}

impl RuleSet {
    /// The text of the rule set that every enclave starts with.
    pub const STANDARD: &str = include_str!("../rules/standard.toml");

    /// Reads a rule set. Unknown keys are mistakes; every mistake is reported, each with the place where it is,
    /// as in "`/limits/max_groups`: must be …".
    pub fn parse(toml: &str) -> Result<RuleSet, Vec<String>> {
        let root = match toml.parse::<toml::Table>() {
            Ok(table) => toml::Value::Table(table),
            Err(error) => return Err(vec![format!("not TOML: {}{}", error.message(), place(toml, &error))]),
        };
        let mut reader = Reader::default();
        let rules = read(&Node { value: &root, at: String::new() }, &mut reader);
        match rules {
            Some(rules) if reader.mistakes.is_empty() => Ok(rules),
            _ => Err(reader.mistakes),
        }
    }

    /// The rule set that every enclave starts with.
    pub fn standard() -> RuleSet {
        #[expect(clippy::expect_used, reason = "the text is part of the program, and a test reads it")]
        RuleSet::parse(RuleSet::STANDARD).expect("the standard rule set is valid")
    }
}

impl Principle {
    /// Whether a question matches: it groups by a column of `groups_by` and measures a column of `measures`.
    /// Both arguments hold the names of the question's columns and all their tags. Names match in any case, as in
    /// SQL.
    ///
    /// `groups_by = ["school"]`, `measures = ["achievement"]` matches a mean of `math`, tagged `achievement`, for
    /// each `school`; it does not match a count for each `school`.
    pub fn matches(&self, grouping: &[&str], measured: &[&str]) -> bool {
        any(&self.groups_by, grouping) && any(&self.measures, measured)
    }
}

fn any(wanted: &[String], given: &[&str]) -> bool {
    given.iter().any(|given| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(given)))
}

fn read(root: &Node<'_>, reader: &mut Reader) -> Option<RuleSet> {
    reader.only(root, &["name", "version", "small_cells", "limits", "principles"]);
    let name = reader.member(root, "name").and_then(|name| reader.identifier(&name));
    let version = reader.member(root, "version").and_then(|version| {
        let text = reader.text(&version)?;
        let read = semver::Version::parse(&text);
        read.map_err(|_| reader.mistake(&version.at, format!("`{text}` is not a version such as `1.0.0`")))
            .ok()
    });
    let small_cells = reader.table(root, "small_cells").and_then(|node| small_cells(&node, reader));
    let limits = reader.table(root, "limits").and_then(|node| limits(&node, reader));
    let principles = root.get("principles").map(|node| principles(&node, reader)).unwrap_or_default();
    Some(RuleSet { name: name?, version: version?, small_cells: small_cells?, limits: limits?, principles })
}

fn small_cells(node: &Node<'_>, reader: &mut Reader) -> Option<SmallCells> {
    reader.only(node, &["min_units", "assurance"]);
    let min_units = reader.member(node, "min_units").and_then(|units| reader.whole(&units, 1..=1_000_000));
    let assurance = reader.member(node, "assurance").and_then(|assurance| {
        let number = number_of(assurance.value).filter(|number| *number > 0.5 && *number < 1.0);
        reader.expect(number, &assurance, "a number above 0.5 and below 1")
    });
    Some(SmallCells { min_units: Units(min_units?), assurance: assurance? })
}

fn limits(node: &Node<'_>, reader: &mut Reader) -> Option<Limits> {
    let known =
        ["max_rho_per_release", "max_groups", "timeout_seconds", "memory_mib", "largest_contribution"];
    reader.only(node, &known);
    let max_rho = reader.member(node, "max_rho_per_release").and_then(|rho| {
        let limit = number_of(rho.value).and_then(|number| Rho::at_most(number).ok());
        reader.expect(limit.filter(|limit| *limit > Rho::ZERO), &rho, "a number of at least a millionth")
    });
    let mut whole = |key, range| reader.member(node, key).and_then(|node| reader.whole(&node, range));
    let max_groups = whole("max_groups", 1..=10_000_000);
    let timeout_seconds = whole("timeout_seconds", 1..=86_400);
    let memory_mib = whole("memory_mib", 16..=1_048_576);
    let largest_contribution = match node.get("largest_contribution") {
        Some(given) => reader.whole(&given, 1..=1_000_000_000),
        None => Some(1_000_000),
    };
    Some(Limits {
        max_rho_per_release: max_rho?,
        max_groups: max_groups?,
        timeout_seconds: timeout_seconds?,
        memory_mib: memory_mib?,
        largest_contribution: largest_contribution?,
    })
}

fn principles(node: &Node<'_>, reader: &mut Reader) -> Vec<Principle> {
    let Some(elements) = reader.array(node) else { return Vec::new() };
    let mut principles: Vec<Principle> = Vec::new();
    for element in elements {
        let Some(principle) = principle(&element, reader) else { continue };
        if principles.iter().any(|other| other.id == principle.id) {
            reader.mistake(&format!("{}/id", element.at), format!("`{}` appears twice", principle.id));
        }
        principles.push(principle);
    }
    principles
}

fn principle(node: &Node<'_>, reader: &mut Reader) -> Option<Principle> {
    reader.only(node, &["id", "groups_by", "measures", "then", "reason"]);
    let id = reader.member(node, "id").and_then(|id| reader.identifier(&id));
    let groups_by = reader.member(node, "groups_by").and_then(|words| reader.words(&words));
    let measures = reader.member(node, "measures").and_then(|words| reader.words(&words));
    let then = reader.member(node, "then").and_then(|then| match reader.text(&then)?.as_str() {
        "escalate" => Some(Then::Escalate),
        "refuse" => Some(Then::Refuse),
        other => {
            reader.mistake(&then.at, format!("`{other}` is not `escalate` or `refuse`"));
            None
        }
    });
    let reason = reader.table(node, "reason").and_then(|reason| {
        reader.only(&reason, &["en", "ja"]);
        let en = reader.member(&reason, "en").and_then(|en| reader.text(&en));
        let ja = reason.get("ja").map(|ja| reader.text(&ja).unwrap_or_default());
        Some((en?, ja.unwrap_or_default()))
    });
    let (reason_en, reason_ja) = reason?;
    Some(Principle { id: id?, groups_by: groups_by?, measures: measures?, then: then?, reason_en, reason_ja })
}

/// A value and the JSON pointer (RFC 6901) to it. No key here has a `~` or `/`, unless it is unknown.
struct Node<'a> {
    value: &'a toml::Value,
    at: String,
}

impl<'a> Node<'a> {
    fn get(&self, key: &str) -> Option<Node<'a>> {
        self.value.get(key).map(|value| Node { value, at: pointer(&self.at, key) })
    }
}

fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn place(toml: &str, error: &toml::de::Error) -> String {
    error.span().and_then(|span| toml.get(..span.start)).map_or(String::new(), |before| {
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!(" at line {} column {column}", before.matches('\n').count() + 1)
    })
}

fn number_of(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// Mistakes so far. Each reading function gives `None` after it has noted one.
#[derive(Default)]
struct Reader {
    mistakes: Vec<String>,
}

impl Reader {
    fn mistake(&mut self, at: &str, message: impl std::fmt::Display) {
        self.mistakes.push(if at.is_empty() { message.to_string() } else { format!("`{at}`: {message}") });
    }

    fn expect<T>(&mut self, value: Option<T>, node: &Node<'_>, what: &str) -> Option<T> {
        if value.is_none() {
            self.mistake(&node.at, format!("must be {what}"));
        }
        value
    }

    fn member<'a>(&mut self, node: &Node<'a>, key: &str) -> Option<Node<'a>> {
        let member = node.get(key);
        if member.is_none() && node.value.is_table() {
            self.mistake(&node.at, format!("`{key}` is missing"));
        }
        member
    }

    fn only(&mut self, node: &Node<'_>, known: &[&str]) {
        let Some(table) = node.value.as_table() else { return self.mistake(&node.at, "must be a table") };
        for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
            let known = known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
            self.mistake(&pointer(&node.at, key), format!("unknown key `{key}`; known here: {known}"));
        }
    }

    fn table<'a>(&mut self, node: &Node<'a>, key: &str) -> Option<Node<'a>> {
        let member = self.member(node, key)?;
        let is_table = member.value.is_table().then_some(());
        self.expect(is_table, &member, "a table").map(|()| member)
    }

    fn array<'a>(&mut self, node: &Node<'a>) -> Option<Vec<Node<'a>>> {
        let array = self.expect(node.value.as_array(), node, "an array")?;
        let elements = array.iter().enumerate();
        Some(elements.map(|(index, value)| Node { value, at: format!("{}/{index}", node.at) }).collect())
    }

    fn text(&mut self, node: &Node<'_>) -> Option<String> {
        let text = node.value.as_str().filter(|text| !text.trim().is_empty());
        self.expect(text.map(str::to_owned), node, "text that is not empty")
    }

    /// A short name without spaces: it stands in commands and logs.
    fn identifier(&mut self, node: &Node<'_>) -> Option<String> {
        let text = self.text(node)?;
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let plain = plain && text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        self.expect(plain.then_some(text), node, "up to 64 letters, digits, `-`, `_`, `.`")
    }

    /// Different texts, at least one.
    fn words(&mut self, node: &Node<'_>) -> Option<Vec<String>> {
        let elements = self.array(node)?;
        if elements.is_empty() {
            self.mistake(&node.at, "must not be empty");
            return None;
        }
        elements.iter().map(|element| self.text(element)).collect()
    }

    fn whole(&mut self, node: &Node<'_>, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let whole = node.value.as_integer().and_then(|whole| u64::try_from(whole).ok());
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        self.expect(whole.filter(|whole| range.contains(whole)), node, &what)
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
