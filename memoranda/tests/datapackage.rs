//! Data Package v2 → contract: what is read, and every refused neighbour with its pointer.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use disclosure_rules::{Rows, Value};
use memoranda::{Kind, Lineage, Role, Tier, datapackage};
use serde_json::{Value as Json, json};
use support::{SCHOOL, contract, edited, mistakes};

#[test]
fn a_package_is_read_whole() {
    let contract = contract(&[]);
    assert_eq!((contract.name.as_str(), contract.unit.as_str()), ("school", "pupil"));
    assert_eq!(contract.title.ja, "学校");
    assert_eq!(contract.pool_rho.unwrap().micro(), 5_000_000);

    let lineages: Vec<&Lineage> = contract.tables.iter().map(|table| &table.lineage).collect();
    let column = Lineage::Column("pupil".to_owned());
    assert_eq!(lineages, [&Lineage::Public, &column, &column, &Lineage::Via("visits".to_owned())]);

    let schools = contract.table("schools").unwrap();
    assert_eq!(schools.primary_key, ["code"]);
    assert_eq!(schools.title.en, "schools", "the name stands in for a title");
    assert_eq!(schools.column("code").unwrap().pattern.as_deref(), Some("^(?:[A-F][0-9]{12})$"));
    assert_eq!(schools.column("opened").unwrap().kind, Kind::Integer);

    let pupils = contract.table("pupils").unwrap();
    assert_eq!((pupils.max_rows_per_unit, pupils.retention_years), (Some(Rows(1)), Some(5)));
    assert_eq!(pupils.path.as_deref(), Some("pupils.csv"));
    assert_eq!(pupils.foreign_key(&["school"]).unwrap().references, ["code"]);
    let unit = pupils.column("pupil").unwrap();
    assert!(unit.role == Role::Unit && unit.required, "key and unit columns are never missing");
    assert_eq!(pupils.column("name").unwrap().role, Role::Identifier);
    let born = pupils.column("born").unwrap();
    assert_eq!((born.kind, born.minimum, born.maximum), (Kind::Date, Some(14_336.0), Some(17_987.0)));
    let text = |code: &str| Value::Text(code.to_owned());
    assert_eq!(pupils.column("sex").unwrap().codes, Some(vec![text("M"), text("F")]));
    let score = pupils.column("score").unwrap();
    assert_eq!((score.minimum, score.maximum, score.step), (Some(0.0), Some(100.0), Some(0.5)));
    assert_eq!(
        (score.tier, &score.tags[..], score.required),
        (Tier::Sensitive, &["achievement".to_owned()][..], false)
    );

    let month = contract.table("visits").unwrap().column("month").unwrap();
    assert_eq!((month.kind, &month.codes), (Kind::Text, &Some(vec![text("2026-04"), text("2026-05")])));
    assert_eq!(month.pattern.as_deref(), Some("^(?:[0-9]{4}-(?:0[1-9]|1[0-2]))$"));
    let notes = contract.table("notes").unwrap();
    assert_eq!(notes.column("topic").unwrap().codes, Some(vec![Value::Int(1), Value::Int(2), Value::Int(3)]));
    assert_eq!(
        (notes.column("urgent").unwrap().kind, notes.column("at").unwrap().kind),
        (Kind::Boolean, Kind::DateTime)
    );
}

#[test]
fn what_is_also_accepted() {
    let field = |rest: Json| {
        let mut field = json!({ "name": "x" });
        field.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        vec![("/resources/1/schema/fields/-", field)]
    };
    let accepted: Vec<Vec<(&str, Json)>> = vec![
        vec![("/keywords", json!(["school"])), ("/resources/1/schema/fields/2/description", json!("…"))],
        vec![("/enclave:poolRho", Json::Null)],
        vec![
            ("/resources/1/enclave:maxRowsPerUnit", Json::Null),
            ("/resources/1/enclave:public", json!(false)),
        ],
        vec![("/resources/1/schema/foreignKeys/0/fields", json!(["school"]))],
        vec![("/resources/3/path", json!("more/notes.csv"))],
        // A table of pupils with no attribute at all.
        vec![(
            "/resources/-",
            json!({ "name": "present", "enclave:unitKey": "id",
            "schema": { "fields": [{ "name": "id", "type": "integer", "enclave:role": "unit" }] } }),
        )],
        // A pupil's sibling is an identifier that refers to pupils.
        vec![
            (
                "/resources/1/schema/fields/-",
                json!({ "name": "sibling", "type": "string", "enclave:role": "identifier" }),
            ),
            (
                "/resources/1/schema/foreignKeys/-",
                json!({ "fields": "sibling", "reference": { "resource": "", "fields": "pupil" } }),
            ),
        ],
        // A table whose rows refer to other rows of the same table; no resource says: itself.
        vec![
            ("/resources/2/schema/fields/-", json!({ "name": "previous", "type": "integer" })),
            (
                "/resources/2/schema/foreignKeys/-",
                json!({ "fields": "previous", "reference": { "fields": "visit" } }),
            ),
        ],
        field(json!({ "type": "integer", "constraints": { "minimum": 0, "maximum": 2147483648_u64 } })),
        field(
            json!({ "type": "integer", "constraints": { "minimum": 0, "maximum": 4294967296_u64 }, "enclave:step": 2 }),
        ),
        field(
            json!({ "type": "number", "constraints": { "minimum": -1.5, "maximum": -1.5 }, "enclave:step": 1 }),
        ),
        field(
            json!({ "type": "string", "constraints": { "minLength": 2, "maxLength": 2, "pattern": "[a-z]+", "enum": ["ab"] } }),
        ),
        field(json!({ "type": "date", "constraints": { "enum": ["2026-04-01"] } })),
        field(json!({ "type": "boolean", "constraints": { "enum": [true] } })),
        field(
            json!({ "type": "string", "format": "default", "constraints": { "enum": ["a", "b"] }, "categories": ["b", "a"] }),
        ),
        field(json!({ "type": "string", "enclave:tags": [], "enclave:tier": "restricted" })),
    ];
    for edits in accepted {
        contract(&edits);
    }
    datapackage::parse(&format!("\u{feff}{SCHOOL}")).unwrap();
}

#[test]
fn each_mistake_has_its_pointer() {
    let mut transcript = String::new();
    for edits in REFUSED {
        let edits = parse_edits(edits);
        let edits: Vec<(&str, Json)> =
            edits.iter().map(|(pointer, value)| (pointer.as_str(), value.clone())).collect();
        let found = mistakes(&edited(&edits));
        assert!(!found.is_empty(), "accepted: {edits:?}");
        for (pointer, value) in &edits {
            transcript.push_str(&format!("{pointer} = {value}\n"));
        }
        found.iter().for_each(|mistake| transcript.push_str(&format!("    {mistake}\n")));
    }
    insta::assert_snapshot!("refused", transcript);
}

fn parse_edits(edits: &str) -> Vec<(String, Json)> {
    let lines = edits.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (pointer, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
            (pointer.to_owned(), serde_json::from_str(value).unwrap_or_else(|e| panic!("{line}: {e}")))
        })
        .collect()
}

/// Edits of the good package: pointer and new value, one a line; null removes.
const REFUSED: &[&str] = &[
    // The package.
    "/name = null",
    r#"/name = "two words""#,
    r#"/name = 7"#,
    r#"/version = "1.0""#,
    "/version = null",
    r#"/title = """#,
    "/enclave:unit = null",
    "/enclave:poolRho = 0",
    r#"/enclave:poolRho = "5""#,
    "/enclave:poolRho = 0.0000001",
    "/enclave:poolrho = 5",
    r#"/enclave:tier = "sensitive""#,
    "/resources = null",
    "/resources = []",
    "/resources = {}",
    "/resources/0 = 1",
    // Names.
    r#"/resources/0/name = "Pupils""#,
    r#"/resources/3/name = "__notes""#,
    r#"/resources/3/name = "1st""#,
    r#"/resources/3/name = "学校""#,
    r#"/resources/3/name = "a23456789012345678901234567890123456789012345678901234567890abcd""#,
    "/resources/3/name = null",
    r#"/resources/1/schema/fields/5/name = "SEX""#,
    "/resources/1/schema/fields/4/name = null",
    // Resources.
    r#"/resources/3/path = "/etc/passwd""#,
    r#"/resources/3/path = "../notes.csv""#,
    r#"/resources/3/path = "https://example.org/notes.csv""#,
    r#"/resources/3/path = ["a.csv", "b.csv"]"#,
    r#"/resources/1/enclave:public = "yes""#,
    "/resources/1/enclave:maxRowsPerUnit = 0",
    "/resources/1/enclave:maxRowsPerUnit = 1.5",
    "/resources/1/enclave:maxRowPerUnit = 1",
    "/resources/1/enclave:retentionYears = 0",
    "/resources/1/enclave:retentionYears = 5000",
    r#"/resources/1/enclave:cohort = "height""#,
    r#"/resources/1/enclave:cohort = "sex""#,
    r#"/resources/0/enclave:cohort = "name""#,
    "/resources/1/schema = null",
    r#"/resources/1/schema = "schema.json""#,
    "/resources/3/schema/fields = null",
    "/resources/3/schema/fields = []",
    r#"/resources/3/schema/missingValues = ["", "NA"]"#,
    r#"/resources/3/schema/uniqueKeys = [["topic"]]"#,
    "/resources/3/schema/enclave:public = true",
    // Lineage.
    "/resources/1/enclave:unitKey = null",
    r#"/resources/1/enclave:unitKey = "student""#,
    r#"/resources/1/enclave:unitKey = "sex""#,
    r#"/resources/1/enclave:unitKey = "name""#,
    "/resources/1/enclave:unitKey = 1",
    r#"/resources/1/enclave:unitKey = {"through": "visits"}"#,
    "/resources/2/schema/fields/1/enclave:role = null",
    r#"/resources/2/schema/fields/0/enclave:role = "unit""#,
    "/resources/1/enclave:public = true",
    r#"/resources/0/enclave:unitKey = "code""#,
    r#"/resources/0/schema/fields/1/enclave:role = "identifier""#,
    r#"/resources/0/schema/fields/1/enclave:role = "unit""#,
    r#"/resources/3/enclave:unitKey = {"via": "visit"}"#,
    r#"/resources/3/enclave:unitKey = {"via": "schools"}"#,
    r#"/resources/3/enclave:unitKey = {"via": "pupils"}"#,
    r#"/resources/3/enclave:unitKey = {"via": "notes"}"#,
    "/resources/3/schema/fields/0/constraints = null",
    r#"/resources/3/schema/fields/1/enclave:role = "unit""#,
    r#"/resources/3/schema/foreignKeys/- = {"fields": "topic", "reference": {"resource": "visits", "fields": "visit"}}"#,
    r#"/resources/2/enclave:unitKey = {"via": "notes"}
       /resources/2/schema/fields/1/enclave:role = "identifier"
       /resources/2/schema/foreignKeys/0 = {"fields": "visit", "reference": {"resource": "notes", "fields": "visit"}}
       /resources/3/schema/primaryKey = "visit""#,
    r#"/resources/1/schema/fields/0/type = "date""#,
    // Keys.
    r#"/resources/1/schema/primaryKey = ["pupil", "term"]"#,
    r#"/resources/1/schema/primaryKey = ["pupil", "pupil"]"#,
    r#"/resources/1/schema/primaryKey = ["name"]"#,
    "/resources/1/schema/primaryKey = []",
    "/resources/1/schema/primaryKey = 1",
    r#"/resources/1/schema/foreignKeys/0/fields = "campus""#,
    "/resources/1/schema/foreignKeys/0/fields = null",
    "/resources/1/schema/foreignKeys/0/reference = null",
    r#"/resources/1/schema/foreignKeys/0/reference/resource = "school""#,
    r#"/resources/1/schema/foreignKeys/0/reference/fields = "opened""#,
    r#"/resources/1/schema/foreignKeys/0/fields = ["school", "sex"]"#,
    r#"/resources/1/schema/foreignKeys/0/fields = "born""#,
    r#"/resources/1/schema/foreignKeys/0/reference/resource = "notes""#,
    r#"/resources/1/schema/foreignKeys/- = {"fields": "school", "reference": {"resource": "schools", "fields": "code"}}"#,
    r#"/resources/0/schema/foreignKeys = [{"fields": "opened", "reference": {"resource": "visits", "fields": "visit"}}]"#,
    r#"/resources/1/schema/foreignKeys/- = {"fields": "sex", "reference": {"fields": "pupil"}}"#,
    r#"/resources/1/schema/foreignKeys/- = {"fields": "pupil", "reference": {"resource": "schools", "fields": "code"}}"#,
    "/resources/1/schema/foreignKeys = {}",
    // Fields.
    "/resources/1/schema/fields/4 = 1",
    r#"/resources/1/schema/fields/5/type = "float""#,
    "/resources/1/schema/fields/5/type = null",
    r#"/resources/1/schema/fields/5/format = "any""#,
    r#"/resources/3/schema/fields/2/trueValues = ["ja"]"#,
    r#"/resources/1/schema/fields/5/decimalChar = ",""#,
    r#"/resources/1/schema/fields/5/enclave:role = "attribute""#,
    r#"/resources/1/schema/fields/5/enclave:tier = "secret""#,
    r#"/resources/1/schema/fields/5/enclave:tags = "achievement""#,
    r#"/resources/1/schema/fields/5/enclave:tags = ["a", "a", ""]"#,
    r#"/resources/1/schema/fields/5/enclave:tag = ["a"]"#,
    r#"/resources/1/schema/fields/5/Enclave:Tier = "sensitive""#,
    "/resources/1/schema/fields/5/enclave:step = 0",
    "/resources/1/schema/fields/5/enclave:step = 101",
    r#"/resources/1/schema/fields/5/enclave:step = "1""#,
    "/resources/1/schema/fields/5/enclave:step = 0.00000001",
    "/resources/1/schema/fields/4/enclave:step = 1",
    r#"/resources/3/schema/fields/- = {"name": "n", "type": "integer", "enclave:step": 0.5}"#,
    r#"/resources/3/schema/fields/- = {"name": "n", "type": "integer", "constraints": {"minimum": 0, "maximum": 2147483649}}"#,
    // Constraints.
    "/resources/1/schema/fields/5/constraints = []",
    "/resources/1/schema/fields/5/constraints/minimum = 101",
    r#"/resources/1/schema/fields/5/constraints/minimum = "0""#,
    "/resources/1/schema/fields/5/constraints/exclusiveMinimum = 0",
    r#"/resources/1/schema/fields/5/constraints/requierd = true"#,
    r#"/resources/1/schema/fields/5/constraints/required = "true""#,
    "/resources/1/schema/fields/5/constraints/enum = [1]",
    "/resources/1/schema/fields/5/constraints/minLength = 1",
    r#"/resources/1/schema/fields/5/constraints/pattern = "[0-9]""#,
    r#"/resources/1/schema/fields/3/constraints/minimum = "2009-02-30""#,
    "/resources/1/schema/fields/3/constraints/minimum = 2009",
    r#"/resources/2/schema/fields/0/constraints = {"minimum": 0.5}"#,
    r#"/resources/2/schema/fields/0/constraints = {"minimum": -9007199254740994, "enclave:tier": "x"}"#,
    r#"/resources/3/schema/fields/3/constraints = {"minimum": "2026-04-01T00:00:00"}"#,
    r#"/resources/3/schema/fields/2/constraints = {"maximum": true}"#,
    r#"/resources/1/schema/fields/2/constraints = {"minLength": 3, "maxLength": 2}"#,
    r#"/resources/1/schema/fields/2/constraints = {"minLength": -1}"#,
    r#"/resources/1/schema/fields/2/constraints = {"pattern": "(a"}"#,
    r#"/resources/1/schema/fields/2/constraints = {"pattern": "a)|(b"}"#,
    r#"/resources/1/schema/fields/2/constraints = {"pattern": "(?=a)b"}"#,
    r#"/resources/1/schema/fields/2/constraints = {"pattern": "((a{99}){99}){99}"}"#,
    r#"/resources/2/schema/fields/2/constraints/pattern = ".*""#,
    // Codes.
    "/resources/3/schema/fields/1/constraints/enum = []",
    "/resources/3/schema/fields/1/constraints/enum = 1",
    r#"/resources/3/schema/fields/1/constraints/enum = [1, "2", 2.5, null]"#,
    "/resources/3/schema/fields/1/constraints/enum = [1, 2, 1]",
    r#"/resources/3/schema/fields/1/constraints/enum = [{"value": 1}]"#,
    r#"/resources/3/schema/fields/1/constraints = {"enum": [1, 9], "maximum": 3}"#,
    r#"/resources/2/schema/fields/2/constraints/enum = ["2026-13"]"#,
    r#"/resources/3/schema/fields/2/constraints = {"enum": ["true"]}"#,
    r#"/resources/1/schema/fields/4/categories = ["M", ""]"#,
    r#"/resources/1/schema/fields/4/categories = ["M", {"label": "female"}]"#,
    r#"/resources/1/schema/fields/4/constraints = {"enum": ["M", "F", "X"]}"#,
    r#"/resources/1/schema/fields/4/constraints = {"pattern": "M"}"#,
    // Many at once, in the order of the document.
    r#"/version = "one"
       /resources/0/schema/fields/0/type = "text"
       /resources/1/enclave:unitKey = "student"
       /resources/1/schema/foreignKeys/0/reference/resource = "campus"
       /resources/1/schema/fields/5/constraints/minimum = 200
       /resources/3/schema/fields/2/type = "bool""#,
];

#[test]
fn text_that_is_not_json_says_where() {
    let cases = [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        ("{\"name\": }", "not JSON: expected value at line 1 column 10"),
        ("{\"name\": \"a\",\n \"name\": \"b\"}", "not JSON: the key `name` appears twice at line 2 column 7"),
        ("[]", "must be an object"),
    ];
    for (json, expected) in cases {
        assert_eq!(mistakes(json), [expected], "{json}");
    }
}

#[test]
fn a_code_list_has_a_limit() {
    let codes = |count: u64| json!((0..count).collect::<Vec<u64>>());
    let field = "/resources/3/schema/fields/1/constraints/enum";
    contract(&[(field, codes(10_000))]);
    assert_eq!(
        mistakes(&edited(&[(field, codes(10_001))])),
        [format!("`{field}`: must list 1 to 10000 codes")]
    );
}

#[test]
fn pointers_escape_slashes_and_tildes() {
    let found = mistakes(&edited(&[("/enclave:a~1b~0c", json!(1))]));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("`/enclave:a~1b~0c`: unknown property `enclave:a/b~c`"), "{found:?}");
}

#[test]
fn a_nameless_column_hides_no_other_mistake_and_invents_none() {
    let edits = [
        ("/resources/1/schema/fields/5/name", Json::Null),
        ("/resources/1/schema/fields/5/type", json!("float")),
        ("/resources/1/enclave:unitKey", json!("student")),
    ];
    assert_eq!(
        mistakes(&edited(&edits)),
        [
            "`/resources/1/schema/fields/0/enclave:role`: the table has one unit column, `student`; make this one `identifier`",
            "`/resources/1/schema/fields/5`: `name` is missing",
            "`/resources/1/schema/fields/5/type`: unknown type `float`; use one of `string`, `integer`, `number`, `boolean`, `date`, `datetime`, `year`, `yearmonth`",
        ]
    );
}
