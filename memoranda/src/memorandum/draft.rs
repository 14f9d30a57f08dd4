//! The template of a memorandum, filled from its contract.

use std::fmt::Write;

use chrono::{Days, Months, NaiveDate};

use crate::contract::{Contract, Role, Table, Tier};

/// A memorandum (TOML) to be filled in: every item that the contract offers, with its title and tier. Texts are left
/// empty, so that a check names each that is missing; items of the tier `restricted` are commented out, since they
/// need the board. `today` begins the term of one year.
pub fn draft(contract: &Contract, id: &str, today: NaiveDate) -> String {
    let until = today.checked_add_months(Months::new(12)).and_then(|day| day.checked_sub_days(Days::new(1)));
    let until = until.unwrap_or(today);
    let mut text = format!(
        "# 覚書の下書き · A draft memorandum about `{name}` {version}: {title}\n\
         # Fill in what is empty, delete what is not needed, then `enclave memorandum check FILE`.\n\
         id = {id}\n\
         version = 1                     # an amendment has the same id and a higher version\n\
         contract = {quoted_name}\n\
         title = {{ en = \"\", ja = \"\" }}\n\
         institution = \"\"\n\
         # 利用目的: what the institution wants to learn, and what it will be used for.\n\
         purpose = {{ en = \"\", ja = \"\" }}\n\
         # Short names of what questions may be asked for: one, or a list. Each question names one of them.\n\
         use_case = \"\"\n\
         valid = {{ from = {today}, until = {until} }}\n\
         rules = \"standard\"\n\
         # 分析主体: who asks. Each id is used as `--as ID`.\n\
         people = [\n    {{ id = \"r1\", name = \"\", role = \"researcher\" }},\n]\n\
         \n\
         [allotment]\n\
         rho = 0.1                       # in all; start low: it can be raised, and what was told cannot be taken back\n\
         delta = 1e-6                    # below one in the number of pupils\n\
         default_rho = 0.01              # charge of a question that names none\n\
         \n\
         # 必要最小限: keep only the items that the purpose needs. The column that names the {unit} is implied.\n",
        name = contract.name,
        version = contract.version,
        title = line(&contract.title.en),
        id = quoted(id),
        quoted_name = quoted(&contract.name),
        unit = line(&contract.unit),
    );
    for table in &contract.tables {
        // A String takes all that is written to it.
        let _ = items(&mut text, table);
    }
    text
}

fn items(text: &mut String, table: &Table) -> std::fmt::Result {
    let public = if table.is_private() { "" } else { " (public)" };
    writeln!(text, "\n[[items]]   # {}{public}", titles(&table.title.en, &table.title.ja))?;
    writeln!(text, "table = {}\ncolumns = [", quoted(&table.name))?;
    for column in table.columns.iter().filter(|column| column.role == Role::Attribute) {
        let out = if column.tier == Tier::Restricted { "# " } else { "" };
        let tier = match column.tier {
            Tier::Standard => String::new(),
            Tier::Sensitive => " · sensitive 要配慮".to_owned(),
            Tier::Restricted => " · restricted: a steward and a member of the board sign".to_owned(),
        };
        let title = titles(&column.title.en, &column.title.ja);
        let entry = format!("{out}{},", quoted(&column.name));
        writeln!(text, "    {entry:<20} # {title}{tier}")?;
    }
    writeln!(text, "]")
}

fn titles(en: &str, ja: &str) -> String {
    match (en.is_empty(), ja.is_empty()) {
        (_, true) => line(en),
        (true, false) => line(ja),
        (false, false) => format!("{} · {}", line(en), line(ja)),
    }
}

/// On one line: it stands in a comment.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
