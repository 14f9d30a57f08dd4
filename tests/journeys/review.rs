//! What others see: the board reads its month and signs it off, the public gets a register, and both learn what all
//! releases tell together.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Desk, QUESTION, Told, files};

/// Small cells under `standard`: some groups have fewer than ten children in kindergarten.
const BY_GROUP: &str = "SELECT eth, COUNT(*) AS n FROM results WHERE gr = 'K' GROUP BY eth";

fn by<const N: usize>(desk: &Desk, person: &str, arguments: [&str; N]) -> Told {
    let all: Vec<&str> = ["--as", person].into_iter().chain(arguments).collect();
    desk.run_with(&all, "")
}

/// Star under `star-1`, with people of every role that matters here.
fn with_board() -> Desk {
    let desk = Desk::with_star();
    for (id, role) in [("b1", "board"), ("b2", "board"), ("s1", "steward")] {
        desk.run(["people", "add", id, "--name", "Some Body", "--role", role]);
    }
    desk
}

fn this_month(desk: &Desk) -> String {
    let review = by(desk, "b1", ["log", "review", "--format", "json"]).done().json();
    review["period"]["from"].as_str().unwrap()[..7].to_owned()
}

#[test]
fn a_month_is_reviewed_noted_and_signed_off() {
    let desk = with_board();
    for grade in ["K", "1", "2", "3"] {
        let sql = QUESTION.replace("'K'", &format!("'{grade}'"));
        desk.ask(["--as", "r1", &sql]).done();
    }
    desk.ask(["--as", "r1", QUESTION]).done();
    desk.ask(["--as", "r1", "--preview", "SELECT * FROM results"]).exits(3);
    desk.ask(["--as", "r1", "SELECT id FROM results WHERE id = 100017"]).exits(3);
    for grade in ["K", "1"] {
        let sql = format!("SELECT COUNT(*) AS n FROM results WHERE gr = '{grade}'");
        desk.ask(["--as", "r1", &sql]).done();
    }
    for more in ["sx = 'F'", "sx = 'F' AND schtype = 'rural'"] {
        let sql = format!("SELECT COUNT(*) AS n FROM results WHERE gr = 'K' AND {more}");
        desk.ask(["--as", "r1", &sql]).done();
    }
    let waiting = "SELECT sch, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY sch";
    desk.ask(["--as", "r1", waiting]).exits(5);

    by(&desk, "c9", ["log", "review"]).exits(3);
    by(&desk, "star-1/r1", ["log", "review"]).exits(3).says(["may not review the log"]);
    let month = this_month(&desk);
    let review = by(&desk, "b1", ["log", "review", "--month", &month, "--format", "json"]).done().json();
    let star = &review["memoranda"][0];
    assert_eq!((&star["id"], &star["asked"].as_array().unwrap().len()), (&"star-1".into(), &8));
    let purpose = &star["purposes"][0];
    assert_eq!(
        (&purpose["purpose"], &purpose["releases"], &purpose["replays"]),
        (&"class-size".into(), &8.into(), &1.into())
    );
    assert_eq!(star["charged_micro"].as_u64(), Some(80_000));
    let refused: u64 =
        review["refusals"].as_array().unwrap().iter().map(|rule| rule["refusals"].as_u64().unwrap()).sum();
    assert_eq!(refused, 3, "the pupil's column, and two acts: {}", review["refusals"]);
    assert_eq!(review["escalations"][0]["outcome"], "open");
    assert_eq!(review["first_uses"].as_array().unwrap().len(), 5, "{}", review["first_uses"]);
    assert_eq!(review["patterns"][0]["kind"], "narrowing", "{}", review["patterns"]);
    assert_eq!(review["patterns"][0]["leaves"].as_array().unwrap().len(), 3);

    by(&desk, "s1", ["log", "review", "note", "--month", &month, "--text", "x"]).exits(3);
    by(&desk, "b1", ["log", "review", "note", "--month", "soon", "--text", "x"])
        .exits(2)
        .says(["not a month"]);
    by(&desk, "b1", ["log", "review", "note", "--month", &month, "--text", "why <rural> girls?"]).done();
    let signed = by(&desk, "b2", ["log", "review", "sign", "--month", &month]).done().text();
    let text = by(&desk, "b1", ["log", "review"]).done().text();
    for part in ["b1  note: why <rural> girls?", "b2  sign: ", "no-ranking", "One group narrowed", "pools"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(signed.contains("signed off"), "{signed}");
    by(&desk, "b1", ["log", "review", "--format", "html", "--out", "month.html"]).done().says(["month.html"]);
    by(&desk, "b1", ["log", "review", "--format", "html", "--out", "month.html"]).exits(2);
    let page = fs::read_to_string(desk.path("month.html")).unwrap();
    for part in ["開示ログの点検", "why &lt;rural&gt; girls?", "<svg", "star-1", "@page"] {
        assert!(page.contains(part), "no {part:?}");
    }
    for part in ["<script", "http", "100017", "<rural>"] {
        assert!(!page.contains(part), "{part:?}");
    }
    by(&desk, "b1", ["log", "verify"]).done();
    // Another month has nothing of it.
    let empty =
        by(&desk, "b1", ["log", "review", "--from", "2021-01-01", "--to", "2021-01-31", "--format", "json"]);
    assert_eq!(empty.done().json()["memoranda"], Value::Array(vec![]), "nothing was signed yet");
}

/// Words of a text: runs of letters and digits.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// A page without its tags, its entities resolved.
fn visible(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<') {
        text += part.split_once('>').map_or(part, |(_, after)| after);
        text.push(' ');
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// What a register may say: the words of its own templates, and those of leaves, documents and released answers.
fn sayable(desk: &Desk, answers: &[Value]) -> BTreeSet<String> {
    let crates = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let gate = crates.join("enclave/gate/src");
    let roles = crates.join("memoranda/src/memorandum.rs");
    let shared = ["review/html.rs", "bilingual.rs"].map(|file| gate.join(file));
    let own = [roles, desk.path("star.json"), desk.path("star-1.toml")];
    let rules = crates.join("disclosure-rules/rules/standard.toml");
    by(desk, "s1", ["log", "export", "exported"]).done();
    let exported = ["checkpoint", "vkey"].map(|name| desk.path("exported").join(name));
    let files =
        files(&gate.join("register")).into_iter().chain(shared).chain(own).chain([rules]).chain(exported);
    let mut known: BTreeSet<String> =
        files.flat_map(|file| words(&fs::read_to_string(file).unwrap())).collect();
    let size = by(desk, "s1", ["log", "list"]).done().text().lines().count();
    // Numbers of leaves, and how many there are of something.
    known.extend((0..=size).map(|number| number.to_string()));
    for index in 0..size {
        let leaf = by(desk, "s1", ["log", "show", &index.to_string()]).done().json()["leaf"].clone();
        known.extend(words(&leaf.to_string()));
        // A moment is told as a day in Japan.
        let at = chrono::DateTime::parse_from_rfc3339(leaf["at"].as_str().unwrap()).unwrap();
        known.extend(words(&(at + chrono::Duration::hours(9)).format("%Y-%m-%d").to_string()));
        let millionths = leaf.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_micro"));
        let told = |micro: u64| words(&(micro as f64 / 1e6).to_string());
        known.extend(millionths.filter_map(|(_, value)| value.as_u64()).flat_map(told));
    }
    // Balances are sums of leaves, which `log verify` shows; ε follows from ρ.
    known.extend(words(&by(desk, "s1", ["budget", "--format", "json"]).done().text()));
    known.extend(answers.iter().flat_map(|answer| words(&answer.to_string())));
    known
}

/// Words of a page that nothing lets it say. Japanese runs words together: they have to be pieces of known ones.
fn foreign(page: &str, known: &BTreeSet<String>) -> Vec<String> {
    let pieces = |word: &str| {
        let chars: Vec<char> = word.chars().collect();
        let mut reached = vec![true];
        for end in 1..=chars.len() {
            let piece = |start: usize| {
                reached[start] && known.contains(&chars[start..end].iter().collect::<String>())
            };
            let found = (0..end).any(piece);
            reached.push(found);
        }
        reached[chars.len()]
    };
    words(&visible(page))
        .into_iter()
        .filter(|word| !known.contains(word) && (word.is_ascii() || !pieces(word)))
        .collect()
}

#[test]
fn the_register_says_what_the_log_says_and_nothing_else() {
    let desk = with_board();
    let answer =
        desk.run_with(&["ask", "-m", "star-1", "--as", "r1", "--format", "json", QUESTION], "").done().json();
    let groups = ["ask", "-m", "star-1", "--as", "r1", "--rho", "0.1", "--format", "json", BY_GROUP];
    let groups = desk.run_with(&groups, "").done().json();
    assert!(groups["rows"].to_string().contains("small cell"), "{groups}");
    desk.ask(["--as", "r1", "SELECT COUNT(*) FROM results WHERE hdeg = '山田太郎' OR id = 100017"]).exits(3);
    let typed = "SELECT COUNT(*) AS n FROM results WHERE hdeg = 'Yamada Taro'";
    let typed =
        desk.run_with(&["ask", "-m", "star-1", "--as", "r1", "--format", "json", typed], "").done().json();
    let by_school = "SELECT sch, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY sch";
    let asked = ["ask", "-m", "star-1", "--as", "r1", "--justification", "Yamada Taro asked", by_school];
    let waiting = desk.run_with(&asked, "").exits(5).err;
    let case = waiting.split("approval ").nth(1).unwrap().split_whitespace().next().unwrap();
    by(&desk, "b1", ["approvals", "vote", case, "reject", "--reason", "no league tables"]).done();

    by(&desk, "star-1/r1", ["register", "build", "site"]).exits(3);
    by(&desk, "s1", ["register", "build", "site"]).done();
    let site = |name: &str| -> Vec<(String, String)> {
        let folder = desk.path(name);
        let relative = |path: &Path| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        files(&folder).iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
    };
    let first = site("site");
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "decisions.html",
        "index.html",
        "memoranda/star-1.html",
        "register.json",
        "style.css",
        "verify.html",
    ];
    assert_eq!(names, expected);
    let page = |name: &str| &first.iter().find(|(found, _)| found == name).unwrap().1;
    let memorandum = page("memoranda/star-1.html");
    for part in [
        "Example University",
        "学級規模と学力",
        "SELECT cltype",
        "算数の尺度得点の平均",
        "hidden (few pupils)",
        "no league tables",
    ] {
        assert!(memorandum.contains(part), "no {part:?}");
    }
    let shown = answer["rows"][0]["n"]["value"].to_string();
    assert!(memorandum.contains(&shown), "no {shown}");
    assert!(page("decisions.html").contains("順位付け"), "the principle's own reason");

    // Nobody's name, no pupil, nothing typed into a question that could be one; and no word of its own.
    let known = sayable(&desk, &[answer, groups, typed]);
    for (name, text) in first.iter().filter(|(name, _)| name.ends_with(".html")) {
        for planted in ["Yamada", "Taro", "山田", "100017", "Some Body", "Researcher One"] {
            assert!(!text.contains(planted), "{planted} in {name}");
        }
        for part in ["<script", " src=", "http://", "@import"] {
            assert!(!text.contains(part), "{part} in {name}");
        }
        assert!(text.contains("<html lang=\"ja\">") && text.contains("<h1>"), "{name}");
        assert_eq!(text.matches("<table>").count(), text.matches("<caption>").count(), "{name}");
        assert_eq!(foreign(text, &known), Vec::<String>::new(), "{name}");
    }
    // The control: what no leaf, document or answer has is found, in both scripts, and numbers too.
    for other in ["Somewhere Institute", "別大学", "490817"] {
        let doctored = memorandum.replace("Example University", other);
        assert!(!foreign(&doctored, &known).is_empty(), "{other}");
    }

    // The same from the log alone: no records, no identities.
    assert!(desk.home().join("store").is_dir());
    for entry in fs::read_dir(desk.home()).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() && entry.file_name() != "keys" {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    by(&desk, "s1", ["register", "build", "again"]).done();
    assert_eq!(site("again"), first);
    by(&desk, "s1", ["register", "build", "site"]).done();
    assert_eq!(site("site"), first);
    fs::create_dir(desk.path("other")).unwrap();
    desk.write("other/notes.txt", "mine");
    by(&desk, "s1", ["register", "build", "other"]).exits(2).says(["neither empty nor a register"]);
    assert_eq!(fs::read_to_string(desk.path("other/notes.txt")).unwrap(), "mine");
}

#[test]
fn releases_together_confine_what_each_of_them_hides() {
    let desk = with_board();
    let hidden = |desk: &Desk| -> Vec<Value> {
        let found = by(desk, "b1", ["collusion", "star", "--format", "json"]).done().json();
        assert_eq!(found["not_compared"], Value::Array(vec![]), "{found}");
        found["hidden"].as_array().unwrap().clone()
    };
    assert!(hidden(&desk).is_empty());
    desk.ask(["--as", "r1", "--rho", "0.1", BY_GROUP]).done();
    let alone = hidden(&desk);
    assert!(!alone.is_empty(), "some group has fewer than ten children");
    assert!(alone.iter().all(|cell| cell["high"].is_null() && cell["flagged"] == false), "{alone:?}");
    // With the total, what the shown siblings leave is all that the hidden cells can have.
    let total = "SELECT COUNT(*) AS n FROM results WHERE gr = 'K'";
    let total =
        desk.run_with(&["ask", "-m", "star-1", "--as", "r1", "--rho", "0.1", "--format", "json", total], "");
    let total = total.done().json();
    let parts = desk
        .run_with(&["ask", "-m", "star-1", "--as", "r1", "--rho", "0.1", "--format", "json", BY_GROUP], "");
    let parts = parts.done().json();
    assert_eq!(parts["replayed"], true);
    let low = |cell: &Value| cell["low"].as_i64().map(|low| low.max(0));
    let shown: i64 = parts["rows"].as_array().unwrap().iter().filter_map(|row| low(&row["n"])).sum();
    let most = total["rows"][0]["n"]["high"].as_i64().unwrap() - shown;
    let together = hidden(&desk);
    assert_eq!(together.len(), alone.len());
    for cell in &together {
        if cell["widened"] == 1.0 {
            assert_eq!(cell["high"].as_i64(), Some(most), "{cell}");
        }
        assert!(!cell["high"].is_null() && cell["place"]["results.gr"] == "\"K\"", "{cell}");
    }
    let table = by(&desk, "b1", ["collusion", "star"]).done();
    assert!(table.text().contains("releases under star-1: 2"), "{}", table.text());
    by(&desk, "b1", ["collusion", "moon"]).exits(2).says(["no contract `moon`"]);
    by(&desk, "star-1/r1", ["collusion", "star"]).exits(3);
    // What cannot be set beside others is said to be so.
    let ordered = "SELECT eth, COUNT(*) AS n FROM results WHERE gr = 'K' GROUP BY ROLLUP(eth)";
    desk.ask(["--as", "r1", ordered]).done();
    let found = by(&desk, "b1", ["collusion", "star", "--format", "json"]).done().json();
    assert_eq!(found["not_compared"][0]["reason"], "grouping sets", "{}", found["not_compared"]);
}
