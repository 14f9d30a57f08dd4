//! What a new version may change.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use memoranda::compatibility::{VersionRefusal, check_version, incompatibilities};
use serde_json::{Value, json};
use support::contract;

#[track_caller]
fn check(edits: &[(&str, Value)], expected: &[&str]) {
    assert_eq!(incompatibilities(&contract(&[]), &contract(edits)), expected, "{edits:?}");
}

#[test]
fn what_breaks_nothing() {
    let score = "/resources/1/schema/fields/5";
    check(&[], &[]);
    check(&[("/title", json!("Another title"))], &[]);
    check(&[("/enclave:poolRho", json!(4))], &[]);
    check(&[("/resources/1/schema/fields/-", json!({ "name": "height", "type": "number" }))], &[]);
    check(&[("/resources/3/schema/fields/1/constraints/enum", json!([1, 2, 3, 4]))], &[]);
    check(&[(&format!("{score}/constraints/maximum"), json!(200))], &[]);
    check(&[(&format!("{score}/enclave:tier"), json!("restricted"))], &[]);
    check(&[(&format!("{score}/enclave:tags"), json!(["achievement", "new"]))], &[]);
    check(&[("/resources/1/schema/fields/2/constraints", Value::Null)], &[]);
    check(&[("/resources/1/enclave:maxRowsPerUnit", json!(2))], &[]);
    check(&[("/resources/1/enclave:retentionYears", json!(4))], &[]);
    let table = json!({ "name": "rooms", "enclave:public": true,
        "schema": { "fields": [{ "name": "room", "type": "string", "constraints": { "required": true } }] } });
    check(&[("/resources/-", table)], &[]);
}

#[test]
fn what_breaks_a_promise() {
    let score = "/resources/1/schema/fields/5";
    check(&[("/resources/3", Value::Null)], &["table `notes` is removed"]);
    check(&[(score, Value::Null)], &["column `score` of `pupils` is removed"]);
    check(&[("/enclave:poolRho", json!(6))], &["the pool is raised, which weakens protection"]);
    check(&[("/enclave:poolRho", Value::Null)], &["the pool is raised, which weakens protection"]);
    check(
        &[("/resources/3/schema/fields/2/type", json!("string"))],
        &["`urgent` of `notes` changes from boolean to text"],
    );
    check(
        &[(&format!("{score}/enclave:role"), json!("identifier"))],
        &["`score` of `pupils` changes its role from attribute to identifier"],
    );
    check(
        &[("/resources/3/schema/fields/1/constraints/enum", json!([1, 4]))],
        &["`topic` of `notes` loses the codes `2`, `3`"],
    );
    check(
        &[("/resources/3/schema/fields/1/constraints", Value::Null)],
        &["`topic` of `notes` no longer has public values to group by"],
    );
    check(
        &[("/resources/3/schema/fields/0/constraints", json!({ "required": true, "enum": [1] }))],
        &["`visit` of `notes` newly takes only listed codes"],
    );
    check(
        &[(&format!("{score}/constraints/maximum"), json!(99))],
        &["`score` of `pupils` has a narrower range"],
    );
    check(
        &[(&format!("{score}/constraints/minimum"), json!(1))],
        &["`score` of `pupils` has a narrower range"],
    );
    check(
        &[(&format!("{score}/constraints/maximum"), Value::Null)],
        &["`score` of `pupils` no longer has a range"],
    );
    check(
        &[(&format!("{score}/constraints/required"), json!(true))],
        &["`score` of `pupils` becomes required"],
    );
    check(&[(&format!("{score}/constraints/unique"), json!(true))], &["`score` of `pupils` becomes unique"]);
    check(
        &[(&format!("{score}/enclave:step"), json!(1))],
        &["`score` of `pupils` changes its step from 0.5 to 1"],
    );
    check(
        &[(&format!("{score}/enclave:tier"), Value::Null)],
        &["`score` of `pupils` falls from sensitive to standard, which weakens protection"],
    );
    check(
        &[(&format!("{score}/enclave:tags"), json!(["new"]))],
        &["`score` of `pupils` loses the tags `achievement`, which weakens protection"],
    );
    check(
        &[("/resources/1/schema/fields/2/constraints/maxLength", json!(13))],
        &["`school` of `pupils` has narrower lengths"],
    );
    check(
        &[("/resources/1/schema/fields/2/constraints/pattern", json!("B.*"))],
        &["`school` of `pupils` has a different pattern"],
    );
    let height = json!({ "name": "height", "type": "number", "constraints": { "required": true } });
    check(&[("/resources/1/schema/fields/-", height)], &["column `height` of `pupils` is new and required"]);
    check(
        &[("/resources/2/enclave:maxRowsPerUnit", json!(3))],
        &["`visits` newly allows at most 3 rows per pupil"],
    );
    check(
        &[("/resources/1/enclave:maxRowsPerUnit", Value::Null)],
        &["`pupils` no longer bounds the rows per pupil"],
    );
    check(
        &[("/resources/1/enclave:retentionYears", json!(6))],
        &["`pupils` is kept for longer, which weakens protection"],
    );
    check(
        &[
            ("/resources/0/schema/primaryKey", json!(["code", "opened"])),
            ("/resources/1/schema/foreignKeys", Value::Null),
        ],
        &[
            "the primary key of `schools` changes from `code` to `code`, `opened`",
            "`opened` of `schools` becomes required",
            "the foreign key `school` of `pupils` to `schools` is removed or changed",
        ],
    );
    check(
        &[
            ("/resources/3/enclave:unitKey", json!("topic")),
            ("/resources/3/schema/fields/1/enclave:role", json!("unit")),
        ],
        &[
            "table `notes` changes from the pupil of `visits` to the pupil's column `topic`",
            "`topic` of `notes` changes its role from attribute to unit",
            "`topic` of `notes` becomes required",
        ],
    );
    check(
        &[
            ("/resources/2/schema/fields/-", json!({ "name": "previous", "type": "integer" })),
            (
                "/resources/2/schema/foreignKeys/-",
                json!({ "fields": "previous", "reference": { "fields": "visit" } }),
            ),
        ],
        &[],
    );
}

#[test]
fn fewer_rows_per_pupil_is_a_break() {
    let old = contract(&[("/resources/1/enclave:maxRowsPerUnit", json!(4))]);
    let new = contract(&[("/resources/1/enclave:maxRowsPerUnit", json!(3))]);
    assert_eq!(incompatibilities(&old, &new), ["`pupils` allows fewer rows per pupil: 3 instead of 4"]);
    assert!(incompatibilities(&new, &old).is_empty());
}

#[test]
fn a_new_reference_of_old_columns_is_a_break() {
    let key = json!({ "fields": "topic", "reference": { "resource": "pages", "fields": "page" } });
    let pages = json!({ "name": "pages", "enclave:public": true, "schema": { "primaryKey": "page",
        "fields": [{ "name": "page", "type": "integer" }] } });
    let edits = [("/resources/-", pages), ("/resources/3/schema/foreignKeys/-", key)];
    check(&edits, &["`topic` of `notes` must newly refer to `pages`"]);
}

#[test]
fn a_version_is_later_and_a_break_is_major() {
    let version = |version: &str| ("/version", json!(version));
    let wider = ("/resources/3/schema/fields/1/constraints/enum", json!([1, 2, 3, 4]));
    let narrower = ("/resources/3/schema/fields/1/constraints/enum", json!([1]));
    let cases = [
        ("1.0.1", &wider, true),
        ("1.1.0", &wider, true),
        ("2.0.0", &wider, true),
        ("1.0.0", &wider, false),
        ("1.0.0+again", &wider, false),
        ("1.0.0-beta", &wider, false),
        ("0.9.0", &wider, false),
        ("1.0.1", &narrower, false),
        ("1.9.0", &narrower, false),
        ("2.0.0-beta", &narrower, true),
        ("2.0.0", &narrower, true),
        ("0.1.0", &narrower, false),
    ];
    for (new, edit, accepted) in cases {
        let result = check_version(&contract(&[]), &contract(&[version(new), edit.clone()]));
        assert_eq!(result.is_ok(), accepted, "{new}: {result:?}");
    }
    let refusal = check_version(&contract(&[]), &contract(&[version("1.1.0"), narrower])).unwrap_err();
    assert!(matches!(&refusal, VersionRefusal::Incompatible { reasons, .. } if reasons.len() == 1));
    assert_eq!(
        refusal.to_string(),
        "version `1.1.0` is incompatible with `1.0.0` and needs a new major version: `topic` of `notes` loses the codes `2`, `3`"
    );
    let refusal = check_version(&contract(&[]), &contract(&[version("0.9.0")])).unwrap_err();
    assert_eq!(refusal.to_string(), "version `0.9.0` is not later than `1.0.0`, which is published");
}
