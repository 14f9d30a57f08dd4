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
    /// What holds beside that for items of the tier `sensitive`.
    pub sensitive: TierRules,
    /// What holds beside that for items of the tier `restricted`.
    pub restricted: TierRules,
    /// How the board decides.
    pub board: Board,
    /// 基本的な方針: what needs the board, whatever the allotment.
    pub principles: Vec<Principle>,
}

/// What a question about items of a tier has to keep beside the rest. What is left out adds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TierRules {
    /// The most that one release may cost.
    pub max_rho_per_release: Option<Rho>,
    /// Cells of fewer pupils are small.
    pub min_units: Option<Units>,
    /// The person gave the second factor at most so many minutes ago.
    pub second_factor_minutes: Option<u64>,
    /// The board sees each question before it runs, and so many members approve it; 0 for none.
    pub votes: u32,
}

/// How the board decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Board {
    /// How many members have to approve what a principle leaves to them.
    pub votes: u32,
    /// For how many days an approval can be used, and a question waits.
    pub approval_days: u32,
}

impl Default for Board {
    fn default() -> Board {
        Board { votes: 1, approval_days: 30 }
    }
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
    /// Wall time of one question, all its stages together.
    pub timeout_seconds: u64,
    /// Memory of one evaluation.
    pub memory_mib: u64,
    /// The most rows of one pupil (or the most that they add up to) that a bound which is found privately can allow.
    pub largest_contribution: u64,
    /// Milliseconds between the moments at which a server lets answers out, so that how long one took says less of what
    /// was read; 0 for at once.
    pub time_grid_ms: u64,
}

/// A combination of columns that the board wants to see first, or never. At least one of the two lists says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principle {
    /// Such as `no-ranking`.
    pub id: String,
    /// Names or tags of columns that a question groups by, or chooses rows by; any question where it is empty.
    pub groups_by: Vec<String>,
    /// Names or tags of columns that a question uses: that it measures, or by which it breaks down or chooses what it
    /// counts. Any question where it is empty.
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

impl RuleSet {
    /// What holds for a question about items of these tiers: the strictest of all.
    pub fn for_tiers(&self, sensitive: bool, restricted: bool) -> (RuleSet, TierRules) {
        let (mut rules, mut all) = (self.clone(), TierRules::default());
        let tiers = [(sensitive, self.sensitive), (restricted, self.restricted)];
        for (_, tier) in tiers.into_iter().filter(|(applies, _)| *applies) {
            let limits = &mut rules.limits;
            limits.max_rho_per_release = limits
                .max_rho_per_release
                .min(tier.max_rho_per_release.unwrap_or(limits.max_rho_per_release));
            let min_units = &mut rules.small_cells.min_units;
            *min_units = (*min_units).max(tier.min_units.unwrap_or(*min_units));
            all.votes = all.votes.max(tier.votes);
            all.second_factor_minutes =
                all.second_factor_minutes.into_iter().chain(tier.second_factor_minutes).min();
        }
        (rules, all)
    }
}

impl Principle {
    /// Why, in both languages.
    pub fn reason(&self) -> String {
        let ja = if self.reason_ja.is_empty() { String::new() } else { format!(" · {}", self.reason_ja) };
        format!("{}{ja}", self.reason_en)
    }

    /// Whether a question matches: it groups by a column of `groups_by` and uses a column of `measures`. Both
    /// arguments hold the names of the question's columns and all their tags. Names match in any case, as in SQL.
    ///
    /// `groups_by = ["school"]`, `measures = ["achievement"]` matches a mean of `math`, tagged `achievement`, for
    /// each `school`, and a count for each `school` and `level`; it does not match a count for each `school`.
    pub fn matches(&self, grouping: &[&str], used: &[&str]) -> bool {
        let among = |wanted: &[String], given: &[&str]| wanted.is_empty() || any(wanted, given);
        among(&self.groups_by, grouping) && among(&self.measures, used)
    }
}

fn any(wanted: &[String], given: &[&str]) -> bool {
    given.iter().any(|given| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(given)))
}

fn read(root: &Node<'_>, reader: &mut Reader) -> Option<RuleSet> {
    reader.only(root, &["name", "version", "small_cells", "limits", "tiers", "board", "principles"]);
    let name = reader.member(root, "name").and_then(|name| reader.identifier(&name));
    let version = reader.member(root, "version").and_then(|version| {
        let text = reader.text(&version)?;
        let read = semver::Version::parse(&text);
        read.map_err(|_| reader.mistake(&version.at, format!("`{text}` is not a version such as `1.0.0`")))
            .ok()
    });
    let small_cells = reader.table(root, "small_cells").and_then(|node| small_cells(&node, reader));
    let limits = reader.table(root, "limits").and_then(|node| limits(&node, reader));
    let (sensitive, restricted) = root.get("tiers").map(|node| tiers(&node, reader)).unwrap_or_default();
    let board = root.get("board").map(|node| board(&node, reader)).unwrap_or_default();
    let principles = root.get("principles").map(|node| principles(&node, reader)).unwrap_or_default();
    let (small_cells, limits) = (small_cells?, limits?);
    Some(RuleSet {
        name: name?,
        version: version?,
        small_cells,
        limits,
        sensitive,
        restricted,
        board,
        principles,
    })
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

/// Milliseconds of the grid where the file says none.
const TIME_GRID_MS: u64 = 100;

fn limits(node: &Node<'_>, reader: &mut Reader) -> Option<Limits> {
    let known = [
        "max_rho_per_release",
        "max_groups",
        "timeout_seconds",
        "memory_mib",
        "largest_contribution",
        "time_grid_ms",
    ];
    reader.only(node, &known);
    let max_rho = reader.member(node, "max_rho_per_release").and_then(|rho| max_rho(&rho, reader));
    let mut whole = |key, range| reader.member(node, key).and_then(|node| reader.whole(&node, range));
    let max_groups = whole("max_groups", 1..=10_000_000);
    let timeout_seconds = whole("timeout_seconds", 1..=86_400);
    let memory_mib = whole("memory_mib", 16..=1_048_576);
    let largest_contribution = match node.get("largest_contribution") {
        Some(given) => reader.whole(&given, 1..=1_000_000_000),
        None => Some(1_000_000),
    };
    let time_grid_ms = match node.get("time_grid_ms") {
        Some(given) => reader.whole(&given, 0..=10_000),
        None => Some(TIME_GRID_MS),
    };
    Some(Limits {
        max_rho_per_release: max_rho?,
        max_groups: max_groups?,
        timeout_seconds: timeout_seconds?,
        memory_mib: memory_mib?,
        largest_contribution: largest_contribution?,
        time_grid_ms: time_grid_ms?,
    })
}

fn tiers(node: &Node<'_>, reader: &mut Reader) -> (TierRules, TierRules) {
    reader.only(node, &["sensitive", "restricted"]);
    let mut of = |key| node.get(key).map(|tier| tier_rules(&tier, reader)).unwrap_or_default();
    (of("sensitive"), of("restricted"))
}

fn tier_rules(node: &Node<'_>, reader: &mut Reader) -> TierRules {
    reader.only(node, &["max_rho_per_release", "min_units", "second_factor_minutes", "votes"]);
    let mut whole = |key, range| node.get(key).and_then(|given: Node<'_>| reader.whole(&given, range));
    let min_units = whole("min_units", 1..=1_000_000).map(Units);
    let second_factor_minutes = whole("second_factor_minutes", 1..=1440);
    let votes = whole("votes", 0..=9).unwrap_or(0) as u32;
    let max_rho_per_release = node.get("max_rho_per_release").and_then(|rho| max_rho(&rho, reader));
    TierRules { max_rho_per_release, min_units, second_factor_minutes, votes }
}

fn board(node: &Node<'_>, reader: &mut Reader) -> Board {
    reader.only(node, &["votes", "approval_days"]);
    let mut whole = |key, most| node.get(key).and_then(|given: Node<'_>| reader.whole(&given, 1..=most));
    let standard = Board::default();
    Board {
        votes: whole("votes", 9).map_or(standard.votes, |votes| votes as u32),
        approval_days: whole("approval_days", 366).map_or(standard.approval_days, |days| days as u32),
    }
}

fn max_rho(node: &Node<'_>, reader: &mut Reader) -> Option<Rho> {
    let limit = number_of(node.value).and_then(|number| Rho::at_most(number).ok());
    reader.expect(limit.filter(|limit| *limit > Rho::ZERO), node, "a number of at least a millionth")
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
    let mut words = |key| node.get(key).map_or(Some(Vec::new()), |words| reader.words(&words));
    let (groups_by, measures) = (words("groups_by"), words("measures"));
    if node.get("groups_by").is_none() && node.get("measures").is_none() {
        reader.mistake(&node.at, "`groups_by` or `measures` says which questions are meant");
    }
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
