use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float32Array, Float64Array, Int16Array, Int64Array, LargeStringArray,
    StringArray,
};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;

use super::*;

const HEADER: &str = "id,name,term,mark,note\n";

fn sjis(text: &str) -> Vec<u8> {
    encoding_rs::SHIFT_JIS.encode(text).0.into_owned()
}

#[test]
fn text_comes_in_two_encodings() {
    let contract = marks();
    let text = format!("{HEADER}1,山田,1,50,ｱｲｳ\n2,高橋,1,60,\"表、\n能\"\n3,a,1,1,髙①～\n");
    let long =
        format!("{text}{}", (0..45_000).map(|i| format!("{i},花子,9,1,長い注記\n")).collect::<String>());
    for text in [&text, &long] {
        let expected = {
            let kit = Kit::new();
            kit.csv(&contract, &[("marks", text)]).unwrap();
            kit.texts(&contract, "marks", "note")
        };
        assert!(expected.contains(&"表、\n能".to_owned()));
        for bytes in
            [format!("\u{FEFF}{text}").into_bytes(), sjis(text), text.replace('\n', "\r\n").into_bytes()]
        {
            let kit = Kit::new();
            let path = kit.file("marks.csv", &bytes);
            kit.ingest(&contract, &[Input { table: "marks".to_owned(), path }]).unwrap();
            let found: Vec<String> =
                kit.texts(&contract, "marks", "note").iter().map(|text| text.replace('\r', "")).collect();
            assert!(found == expected);
        }
    }
}

#[test]
fn a_byte_that_is_no_text_is_located() {
    let contract = marks();
    let rows: String = (0..200).map(|i| format!("{i},山田,1,50,注記\n")).collect();
    for encode in [|text: &str| text.as_bytes().to_vec(), sjis as fn(&str) -> Vec<u8>] {
        for stray in [0xFF_u8, 0x80] {
            let mut bytes = encode(&format!("{HEADER}{rows}"));
            bytes.extend(b"300,a,1,50,x");
            bytes.push(stray);
            bytes.extend(b"\n");
            bytes.extend(encode("301,山田,1,50,注記\n"));
            let kit = Kit::new();
            let path = kit.file("marks.csv", &bytes);
            let result = kit.ingest(&contract, &[Input { table: "marks".to_owned(), path }]);
            if stray == 0x80 && result.is_ok() {
                // Shift_JIS on the web gives 0x80 a meaning.
                continue;
            }
            let report = report(result);
            assert_eq!(report.total, 1, "{report}");
            let mistake = &report.mistakes[0];
            assert_eq!(
                (mistake.line, mistake.column.as_deref(), mistake.rule),
                (202, Some("note"), "encoding")
            );
        }
    }
}

#[test]
fn a_quote_left_open_is_found_in_bounded_memory() {
    let kit = Kit::new();
    let rows = "2,a,1,50,x\n".repeat(2_500_000);
    let report = report(kit.csv(&marks(), &[("marks", &format!("{HEADER}1,a,1,50,\"open\n{rows}"))]));
    let mistake = &report.mistakes[0];
    assert_eq!((mistake.line, mistake.rule), (2, "fields"), "{report}");
}

fn parquet(kit: &Kit, name: &str, columns: Vec<(&str, ArrayRef)>) -> Input {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let path = kit.folder.path().join(name);
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    Input { table: "marks".to_owned(), path }
}

fn columns(terms: Vec<i16>, marks: Vec<Option<f64>>) -> Vec<(&'static str, ArrayRef)> {
    let notes: DictionaryArray<Int32Type> = vec![Some("x"), None, Some("y")].into_iter().collect();
    vec![
        ("note", Arc::new(notes)),
        ("mark", Arc::new(Float64Array::from(marks))),
        ("term", Arc::new(Int16Array::from(terms))),
        ("name", Arc::new(LargeStringArray::from(vec!["a", "b", "c"]))),
        ("id", Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0]))),
    ]
}

#[test]
fn parquet_gives_the_rows_that_csv_gives() {
    let (contract, kit) = (marks(), Kit::new());
    kit.csv(&contract, &[("marks", &format!("{HEADER}1,a,1,50.5,x\n2,b,1,,\n3,c,2,100,y\n"))]).unwrap();
    let expected = kit.rows(&contract, "marks");
    // By extension, and by its first bytes.
    for name in ["marks.PARQUET", "delivery"] {
        let input = parquet(&kit, name, columns(vec![1, 1, 2], vec![Some(50.5), None, Some(100.0)]));
        kit.ingest(&contract, &[input]).unwrap();
        assert_eq!(kit.rows(&contract, "marks"), expected);
    }
}

#[test]
fn parquet_is_checked_like_csv() {
    let (contract, kit) = (marks(), Kit::new());
    let input = parquet(&kit, "m.parquet", columns(vec![1, 0, 2], vec![Some(50.5), None, Some(f64::NAN)]));
    let mistakes = report(kit.ingest(&contract, &[input])).mistakes;
    let found: Vec<_> = mistakes.iter().map(|m| (m.line, m.column.as_deref().unwrap(), m.rule)).collect();
    assert_eq!(found, [(2, "term", "minimum"), (3, "mark", "type")]);

    let mut wrong = columns(vec![1, 1, 2], vec![None, None, None]);
    wrong[0].1 = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let mistakes = report(kit.ingest(&contract, &[parquet(&kit, "m.parquet", wrong)])).mistakes;
    assert_eq!((mistakes[0].column.as_deref(), mistakes[0].rule), (Some("note"), "type"));

    let missing = columns(vec![1, 1, 2], vec![None, None, None]).split_off(1);
    assert_eq!(
        report(kit.ingest(&contract, &[parquet(&kit, "m.parquet", missing)])).mistakes[0].rule,
        "header"
    );

    // Numbers written as text are read as in a CSV file.
    let mut text = columns(vec![1, 1, 2], vec![None, None, None]);
    text[1].1 = Arc::new(StringArray::from(vec![Some("7.5"), Some(""), None]));
    kit.ingest(&contract, &[parquet(&kit, "m.parquet", text)]).unwrap();

    let path = kit.file("broken.parquet", b"PAR1 and no more");
    let broken = kit.ingest(&contract, &[Input { table: "marks".to_owned(), path }]);
    assert!(matches!(broken, Err(IngestError::Unreadable { .. })));
}
