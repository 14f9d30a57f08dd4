use super::*;

/// A table with one column of each kind of constraint, beside the pupil.
fn one_of_each() -> Contract {
    contract(json!([{
        "name": "t", "path": "t.csv", "title": "T", "enclave:unitKey": "id",
        "schema": { "fields": [
            { "name": "id", "type": "integer", "enclave:role": "unit" },
            { "name": "flag", "type": "boolean" },
            { "name": "whole", "type": "integer", "constraints": { "minimum": -5, "maximum": 10 } },
            { "name": "real", "type": "number", "constraints": { "minimum": -1, "maximum": 1 }, "enclave:step": 0.25 },
            { "name": "day", "type": "date", "constraints": { "minimum": "2024-04-01", "maximum": "2025-03-31" } },
            { "name": "time", "type": "datetime" },
            { "name": "month", "type": "yearmonth" },
            { "name": "code", "type": "string", "constraints": { "enum": ["K", "1"] } },
            { "name": "level", "type": "integer", "constraints": { "enum": [1, 2] } },
            { "name": "shape", "type": "string", "constraints": { "pattern": "[A-Z][0-9]+" } },
            { "name": "text", "type": "string", "constraints": { "minLength": 2, "maxLength": 3 } },
            { "name": "must", "type": "string", "constraints": { "required": true } },
            { "name": "once", "type": "string", "constraints": { "unique": true } },
        ] }
    }]))
}

#[test]
fn every_accepted_value_has_a_refused_neighbour() {
    // Column, accepted, refused, rule.
    let cases: &[(&str, &[&str], &[&str], &str)] = &[
        ("id", &["7", "7.0", " 7", "-7", "+7"], &["x", "7.5", "7.", "9223372036854775808", "７"], "type"),
        ("id", &["0"], &[""], "required"),
        ("flag", &["true", "False", "1", "0", "TRUE", ""], &["yes", "2", "tRUE"], "type"),
        ("whole", &["3", "3.0", "3.00", ""], &["3.1", "1e1", "three", "-"], "type"),
        ("whole", &["-5"], &["-6"], "minimum"),
        ("whole", &["10"], &["11"], "maximum"),
        ("real", &["0.5", "-0", "1e-3", " 1 "], &["NaN", "inf", "1e999", "0,5", "x"], "type"),
        ("real", &["-1"], &["-1.0001"], "minimum"),
        ("real", &["1.0"], &["1.0001"], "maximum"),
        ("day", &["2025-02-28", ""], &["2025-02-29", "2025/02/28", "2025-2-28", "20250228"], "type"),
        ("day", &["2024-04-01"], &["2024-03-31"], "minimum"),
        ("day", &["2025-03-31"], &["2025-04-01"], "maximum"),
        (
            "time",
            &["2025-02-28T08:30:00", "2025-02-28 08:30", "2025-02-28T08:30:00.123456"],
            &["2025-02-28T08:30:00Z", "2025-02-28T25:00:00", "2025-02-28"],
            "type",
        ),
        ("month", &["2025-02"], &["2025-13", "2025-2"], "pattern"),
        ("code", &["K", "1", ""], &["k", "2", "K "], "enum"),
        ("level", &["1", "2.0"], &["0", "3"], "enum"),
        ("shape", &["A1", "Z99"], &["a1", "A", "A1x", "xA1", "A1\nA1"], "pattern"),
        ("text", &["ab", "日本語"], &["a", "日"], "minLength"),
        ("text", &["abc"], &["abcd", "日本語語"], "maxLength"),
        ("must", &["x", " "], &[""], "required"),
    ];
    let contract = one_of_each();
    let names: Vec<&str> = contract.tables[0].columns.iter().map(|column| column.name.as_str()).collect();
    let file = |column: &str, value: &str| {
        let fields = names.iter().map(|name| match *name {
            name if name == column => format!("\"{value}\""),
            "id" => "1".to_owned(),
            "must" => "x".to_owned(),
            _ => String::new(),
        });
        // A right row first, so that the line is not the only possible one.
        let right = names.iter().map(|name| match *name {
            "id" | "must" => "2",
            _ => "",
        });
        let row = fields.collect::<Vec<_>>().join(",");
        format!("{}\n{}\n{row}\n", names.join(","), right.collect::<Vec<_>>().join(","))
    };
    let kit = Kit::new();
    for (column, accepted, refused, rule) in cases {
        for value in *accepted {
            kit.csv(&contract, &[("t", &file(column, value))])
                .unwrap_or_else(|e| panic!("{column} `{value}`: {e}"));
        }
        for value in *refused {
            let report = report(kit.csv(&contract, &[("t", &file(column, value))]));
            assert_eq!(report.total, 1, "{column} `{value}`: {report}");
            let mistake = &report.mistakes[0];
            assert_eq!(
                (mistake.line, mistake.column.as_deref(), mistake.rule),
                (3, Some(*column), *rule),
                "`{value}`"
            );
            assert!(mistake.file.ends_with("t.csv"));
        }
    }
}

#[test]
fn keys_and_bounds_are_found_over_the_whole_file() {
    let contract = marks();
    // What is added to three right lines, and what is wrong: line, rule.
    let cases: &[(&str, Option<(u64, &str)>)] = &[
        ("", None),
        ("1,a,3,5,\n", None),
        ("1,a,2,5,\n", Some((5, "primaryKey"))),
        ("1,a,3,5,\n1,a,4,5,\n", Some((6, "maxRowsPerUnit"))),
        ("3,a,2,5\n", Some((5, "fields"))),
        ("3,a,2,5,,\n", Some((5, "fields"))),
    ];
    for mut kit in [Kit::new(), Kit::tight()] {
        kit.budget.part = BUDGET.part;
        for (more, wrong) in cases {
            let text = format!("id,name,term,mark,note\n1,a,1,50,\n1,a,2,60,\n2,b,1,70,\n{more}");
            let result = kit.csv(&contract, &[("marks", &text)]);
            match wrong {
                None => assert!(result.is_ok(), "{more}"),
                Some((line, rule)) => {
                    let report = report(result);
                    assert_eq!(
                        (report.total, report.mistakes[0].line, report.mistakes[0].rule),
                        (1, *line, *rule)
                    );
                }
            }
        }
    }
}

#[test]
fn unique_and_public_keys_are_found_over_the_whole_file() {
    let contract = contract(json!([
        { "name": "p", "path": "p.csv", "title": "P", "enclave:public": true,
          "schema": { "primaryKey": "k", "fields": [
            { "name": "k", "type": "string" }, { "name": "u", "type": "integer", "constraints": { "unique": true } } ] } },
    ]));
    for kit in [Kit::new(), Kit::tight()] {
        let row = |i: u32| format!("k{i},{i}\n");
        let rows: String = (0..500).map(row).collect();
        kit.csv(&contract, &[("p", &format!("k,u\n{rows}x,\ny,\n"))]).unwrap();
        let same = report(kit.csv(&contract, &[("p", &format!("k,u\n{rows}k7,\nx,9\n"))]));
        let found: Vec<_> = same.mistakes.iter().map(|m| (m.line, m.column.as_deref(), m.rule)).collect();
        assert_eq!(found, [(502, None, "primaryKey"), (503, Some("u"), "unique")]);
        assert!(same.mistakes[0].message.contains("line 9"), "{same}");
    }
}

#[test]
fn the_first_hundred_mistakes_and_their_number() {
    let contract = marks();
    for kit in [Kit::new(), Kit::tight()] {
        let rows: String =
            (0..30_000).map(|i| format!("{i},n,1,{},\n", if i % 3 == 0 { "101" } else { "5" })).collect();
        let report = report(kit.csv(&contract, &[("marks", &format!("id,name,term,mark,note\n{rows}"))]));
        assert_eq!((report.total, report.mistakes.len()), (10_000, 100));
        let lines: Vec<u64> = report.mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, (0..100).map(|i| 2 + 3 * i).collect::<Vec<_>>());
        let text = report.to_string();
        assert!(text.starts_with("10000 mistakes; nothing was ingested\n"), "{text}");
        assert!(text.ends_with("\nand 9900 more"), "{text}");
        assert!(text.contains("marks.csv:2: column `mark`: above the maximum 100 (maximum)"), "{text}");
    }
}

#[test]
fn the_header_names_every_column_once() {
    let contract = marks();
    let cases: &[(&str, &str)] = &[
        ("id,name,term,mark\n", "the column `note` is missing"),
        ("id,name,term,mark,note,more\n", "column 6 is not in the contract"),
        ("id,name,term,mark,note,id\n", "column 6 has the name of an earlier one"),
        ("ID,name,term,mark,note\n", "column 1 is not in the contract"),
        ("", "the column `id` is missing"),
    ];
    let kit = Kit::new();
    for (header, message) in cases {
        let report = report(kit.csv(&contract, &[("marks", &format!("{header}1,Taro,1,5,\n"))]));
        assert!(
            report.mistakes.iter().any(|m| m.message == *message && m.rule == "header"),
            "{header}: {report}"
        );
        assert!(!report.to_string().contains("Taro"));
    }
    // In any order.
    kit.csv(&contract, &[("marks", "note,mark,term,name,id\nx,5,1,Taro,1\n")]).unwrap();
    assert_eq!(kit.texts(&contract, "marks", "note"), ["x"]);
}
