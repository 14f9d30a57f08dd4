use arrow::array::Array;

use super::*;

/// Public schools; pupils; visits that name the pupil; notes on visits; remarks on notes.
fn school() -> Contract {
    let key = |fields: Value, resource: &str, there: Value| json!([{ "fields": fields, "reference": { "resource": resource, "fields": there } }]);
    contract(json!([
        { "name": "remarks", "path": "remarks.csv", "title": "R", "enclave:unitKey": { "via": "notes" },
          "schema": { "fields": [ { "name": "note", "type": "integer", "constraints": { "required": true } }, { "name": "word", "type": "string" } ],
                      "foreignKeys": key(json!("note"), "notes", json!("note")) } },
        { "name": "notes", "path": "notes.csv", "title": "N", "enclave:unitKey": { "via": "visits" },
          "schema": { "primaryKey": "note",
                      "fields": [ { "name": "note", "type": "integer" },
                                  { "name": "visit", "type": "string", "constraints": { "required": true } } ],
                      "foreignKeys": key(json!(["visit"]), "visits", json!(["visit"])) } },
        { "name": "visits", "path": "visits.csv", "title": "V", "enclave:unitKey": "pupil",
          "schema": { "primaryKey": "visit",
                      "fields": [ { "name": "visit", "type": "string" },
                                  { "name": "pupil", "type": "integer", "enclave:role": "unit" } ],
                      "foreignKeys": key(json!("pupil"), "pupils", json!("pupil")) } },
        { "name": "pupils", "path": "pupils.csv", "title": "P", "enclave:unitKey": "pupil",
          "schema": { "primaryKey": "pupil",
                      "fields": [ { "name": "pupil", "type": "integer", "enclave:role": "unit" },
                                  { "name": "school", "type": "string" } ],
                      "foreignKeys": key(json!("school"), "schools", json!("code")) } },
        { "name": "schools", "path": "schools.csv", "title": "S", "enclave:public": true,
          "schema": { "primaryKey": "code", "fields": [ { "name": "code", "type": "string" } ] } },
    ]))
}

const SCHOOLS: (&str, &str) = ("schools", "code\ns1\ns2\n");
const PUPILS: (&str, &str) = ("pupils", "pupil,school\n1,s1\n2,s2\n3,\n");
const VISITS: (&str, &str) = ("visits", "visit,pupil\nv1,1\nv2,1\nv3,3\n");
const NOTES: (&str, &str) = ("notes", "note,visit\n10,v1\n11,v3\n12,v3\n");
const REMARKS: (&str, &str) = ("remarks", "note,word\n10,one\n12,three\n11,three\n10,one\n");
const ALL: [(&str, &str); 5] = [REMARKS, NOTES, VISITS, PUPILS, SCHOOLS];

fn with(table: (&'static str, &'static str)) -> Vec<(&'static str, &'static str)> {
    ALL.iter().map(|original| if original.0 == table.0 { table } else { *original }).collect()
}

#[test]
fn pupils_are_found_through_references() {
    for kit in [Kit::new(), Kit::tight()] {
        let contract = school();
        kit.csv(&contract, &ALL).unwrap();
        for table in ["remarks", "notes"] {
            assert_eq!(kit.rows(&contract, table).schema().field(0).name(), "__unit");
        }
        let rows = kit.rows(&contract, "remarks");
        let words = rows.column_by_name("word").unwrap().as_string::<i32>();
        let units = rows.column(0).as_fixed_size_binary();
        for row in 0..units.len() {
            let pupil: &[u8] = if words.value(row) == "one" { b"1" } else { b"3" };
            assert_eq!(units.value(row), kit.vault.keys.pseudonym("school", pupil));
        }
        assert_eq!(units.len(), 4);
        assert!(kit.snapshot(&contract).table("notes").unwrap().identity.is_empty());
    }
}

#[test]
fn references_that_lead_nowhere_are_located() {
    // The table with a wrong line, and where: line, column, rule.
    #[expect(clippy::type_complexity, reason = "a table of cases")]
    let cases: &[((&str, &str), u64, Option<&str>, &str)] = &[
        (("pupils", "pupil,school\n1,s1\n2,s2\n3,s3\n"), 4, Some("school"), "foreignKey"),
        (("visits", "visit,pupil\nv1,1\nv3,3\nv4,4\n"), 4, Some("pupil"), "foreignKey"),
        (("notes", "note,visit\n10,v1\n11,v9\n12,v3\n"), 3, Some("visit"), "foreignKey"),
        (("remarks", "note,word\n10,one\n13,three\n"), 3, Some("note"), "foreignKey"),
        (("remarks", "note,word\n10,one\n,three\n"), 3, Some("note"), "required"),
        (("visits", "visit,pupil\nv1,1\nv3,3\nv1,2\n"), 4, None, "primaryKey"),
        (("pupils", "pupil,school\n1,s1\n2,s2\n3,\n1,s1\n"), 5, None, "primaryKey"),
    ];
    for kit in [Kit::new(), Kit::tight()] {
        for (table, line, column, rule) in cases {
            let report = report(kit.csv(&school(), &with(*table)));
            assert_eq!(report.total, 1, "{table:?}: {report}");
            let mistake = &report.mistakes[0];
            assert_eq!(
                (mistake.line, mistake.column.as_deref(), mistake.rule),
                (*line, *column, *rule),
                "{table:?}"
            );
            assert!(mistake.file.ends_with(&format!("{}.csv", table.0)));
        }
    }
}

#[test]
fn what_stays_must_still_find_what_is_new() {
    let contract = school();
    for kit in [Kit::new(), Kit::tight()] {
        let missing = kit.csv(&contract, &[SCHOOLS, VISITS]);
        assert!(matches!(missing, Err(IngestError::MissingTable { to, .. }) if to == "pupils"));
        kit.csv(&contract, &ALL).unwrap();

        // New tables against those that stay.
        kit.csv(&contract, &[REMARKS]).unwrap();
        kit.csv(&contract, &[("visits", "visit,pupil\nv3,3\nv2,2\nv1,1\n")]).unwrap();
        let report = report(kit.csv(&contract, &[("remarks", "note,word\n99,x\n")]));
        assert_eq!((report.mistakes[0].line, report.mistakes[0].rule), (2, "foreignKey"));
        kit.csv(&contract, &[PUPILS]).unwrap();
        kit.csv(&contract, &[("schools", "code\ns2\ns1\ns4\n")]).unwrap();
        assert_eq!(kit.rows(&contract, "remarks").num_rows(), 4);
        assert_eq!(kit.snapshot(&contract).tables.len(), 5);
        assert_eq!(kit.vault.check(&contract).unwrap().findings, []);

        // Those that stay against new ones: a missing school, pupil and visit, and a visit of another pupil.
        let cases: &[((&str, &str), &str)] = &[
            (("schools", "code\ns2\n"), "pupils"),
            (("pupils", "pupil,school\n1,s1\n2,s1\n"), "visits"),
            (("visits", "visit,pupil\nv1,1\nv2,1\n"), "notes"),
            (("visits", "visit,pupil\nv1,2\nv2,1\nv3,3\n"), "notes"),
            (("notes", "note,visit\n10,v1\n11,v3\n"), "remarks"),
        ];
        let before = kit.snapshot(&contract).id.clone();
        for (table, stays) in cases {
            match kit.csv(&contract, &[*table]) {
                Err(IngestError::Unsatisfied { table, .. }) => assert_eq!(&table, stays),
                other => panic!("{table:?}: {other:?}"),
            }
        }
        assert_eq!(kit.snapshot(&contract).id, before);
    }
}

#[test]
fn what_was_checked_against_another_definition_does_not_stay() {
    let (kit, contract) = (Kit::new(), school());
    kit.csv(&contract, &ALL).unwrap();
    let mut other = contract.clone();
    other.tables[0].title.en = "another title".to_owned();
    kit.csv(&other, &[SCHOOLS]).unwrap();
    other.tables[0].columns[1].max_length = Some(3);
    assert!(matches!(kit.csv(&other, &[SCHOOLS]), Err(IngestError::Outdated(table)) if table == "remarks"));
    kit.csv(&other, &[SCHOOLS, ("remarks", "note,word\n10,one\n")]).unwrap();
}

#[test]
fn inputs_name_tables_of_the_contract_once() {
    let (kit, contract) = (Kit::new(), school());
    assert!(matches!(kit.ingest(&contract, &[]), Err(IngestError::NothingGiven)));
    assert!(matches!(kit.csv(&contract, &[("x", "")]), Err(IngestError::UnknownTable { .. })));
    assert!(matches!(kit.csv(&contract, &[SCHOOLS, SCHOOLS]), Err(IngestError::GivenTwice(_))));
    let path = kit.folder.path().join("nowhere.csv");
    let missing = kit.ingest(&contract, &[Input { table: "schools".to_owned(), path }]);
    assert!(matches!(missing, Err(IngestError::File(_))));
}
