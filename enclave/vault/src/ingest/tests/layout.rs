use std::collections::HashMap;

use arrow::array::FixedSizeBinaryArray;
use arrow::datatypes::{DataType, Int64Type, UInt32Type};

use super::*;

/// Pupils in a mixed order, with one to three rows each.
fn many(pupils: u64) -> (String, HashMap<u64, Vec<i64>>) {
    let mut text = "id,name,term,mark,note\n".to_owned();
    let mut terms: HashMap<u64, Vec<i64>> = HashMap::new();
    for term in 1..=3 {
        for i in 0..pupils {
            let pupil = (i * 7919) % pupils;
            if pupil % 3 + 1 >= term {
                // The order of lines inside a pupil is not the order of terms.
                let term = 4 - term as i64;
                text += &format!("{pupil},name {pupil},{term},{},note {pupil}\n", pupil % 101);
                terms.entry(pupil).or_default().push(term);
            }
        }
    }
    (text, terms)
}

#[test]
fn rows_lie_ordered_by_pupil_and_line_in_parts_of_one_range() {
    let contract = marks();
    let (text, terms) = many(1000);
    for (kit, partitions) in [(Kit::new(), 1), (Kit::tight(), 32)] {
        kit.csv(&contract, &[("marks", &text)]).unwrap();
        let snapshot = kit.snapshot(&contract);
        assert_eq!(snapshot.partitions, partitions);
        let table = snapshot.table("marks").unwrap();
        assert_eq!((table.parts.len() as u32, table.rows), (partitions, 1999));
        let stored: Vec<_> =
            table.schema.fields().iter().map(|f| (f.name().as_str(), f.is_nullable())).collect();
        assert_eq!(
            stored,
            [("__unit", false), ("__row", false), ("term", false), ("mark", true), ("note", true)]
        );
        assert_eq!(table.schema.field(0).data_type(), &DataType::FixedSizeBinary(16));

        let mut last: Option<[u8; 16]> = None;
        for (number, part) in table.parts.iter().enumerate() {
            let rows = kit.read(part).unwrap();
            assert_eq!((rows.num_rows() as u64, rows.schema()), (part.rows, table.schema.clone()));
            let units = rows.column(0).as_fixed_size_binary();
            let numbers = rows.column(1).as_primitive::<UInt32Type>();
            for row in 0..rows.num_rows() {
                let unit: [u8; 16] = units.value(row).try_into().unwrap();
                assert_eq!(u32::from(unit[0]) * partitions / 256, number as u32);
                let expected = if last == Some(unit) { numbers.value(row - 1) + 1 } else { 0 };
                assert_eq!(numbers.value(row), expected);
                assert!(last <= Some(unit));
                last = Some(unit);
            }
        }

        let rows = kit.rows(&contract, "marks");
        let mut found: HashMap<[u8; 16], Vec<i64>> = HashMap::new();
        let terms_found = rows.column_by_name("term").unwrap().as_primitive::<Int64Type>();
        for (row, unit) in rows.column(0).as_fixed_size_binary().iter().enumerate() {
            found.entry(unit.unwrap().try_into().unwrap()).or_default().push(terms_found.value(row));
        }
        for (pupil, terms) in &terms {
            let pseudonym = kit.vault.keys.pseudonym("school", pupil.to_string().as_bytes());
            assert_eq!(found.get(&pseudonym), Some(terms), "in the order of lines");
        }
        assert_eq!(found.len(), terms.len());
    }
}

#[test]
fn a_tight_budget_changes_nothing_but_the_parts() {
    let contract = marks();
    let (text, _) = many(700);
    let mut kit = Kit::new();
    kit.csv(&contract, &[("marks", &text)]).unwrap();
    let expected = kit.rows(&contract, "marks");
    kit.budget = Kit::tight().budget;
    kit.csv(&contract, &[("marks", &text)]).unwrap();
    assert_eq!(kit.rows(&contract, "marks"), expected);
}

#[test]
fn no_rows_are_a_table_too() {
    let (contract, kit) = (marks(), Kit::tight());
    let ingested = kit.csv(&contract, &[("marks", "id,name,term,mark,note\n")]).unwrap();
    assert_eq!(ingested.tables, [("marks".to_owned(), 0)]);
    assert_eq!(kit.rows(&contract, "marks").num_rows(), 0);
}

#[test]
fn a_new_snapshot_comes_into_force_and_the_old_one_stays_readable() {
    let (contract, kit) = (marks(), Kit::new());
    assert!(kit.vault.snapshot("school").unwrap().is_none());
    assert!(kit.vault.snapshot("../home").unwrap().is_none());
    let first = kit.csv(&contract, &[("marks", "id,name,term,mark,note\n1,a,1,5,old\n")]).unwrap();
    let old = kit.snapshot(&contract);
    assert_eq!((&old.id, &old.manifest_sha256), (&first.snapshot_id, &first.manifest_sha256));
    let second = kit.csv(&contract, &[("marks", "id,name,term,mark,note\n1,a,1,5,new\n")]).unwrap();
    assert_ne!(first.snapshot_id, second.snapshot_id);
    assert_eq!(kit.texts(&contract, "marks", "note"), ["new"]);
    let part = kit.read(&old.table("marks").unwrap().parts[0]).unwrap();
    assert_eq!(part.column_by_name("note").unwrap().as_string::<i32>().value(0), "old");
    assert_eq!(kit.vault.check(&contract).unwrap().files, 2);
}

#[test]
fn what_is_refused_or_killed_leaves_the_old_snapshot_and_is_cleaned_up() {
    let (contract, kit) = (marks(), Kit::new());
    let good = "id,name,term,mark,note\n1,a,1,5,old\n";
    let first = kit.csv(&contract, &[("marks", good)]).unwrap();
    let before = files_under(&kit.home());
    report(kit.csv(&contract, &[("marks", "id,name,term,mark,note\n1,a,1,500,new\n")]));
    assert_eq!(files_under(&kit.home()), before);

    // As after SIGKILL: before there is a manifest, and while it is written.
    let store = kit.home().join("store/school");
    let leftover = store.join("snapshots/20200101T000000Z-0badf00d/marks");
    fs::create_dir_all(&leftover).unwrap();
    fs::write(leftover.join("part-00000.parquet"), b"x").unwrap();
    fs::create_dir_all(kit.home().join("identity/school/20200101T000000Z-0badf00d")).unwrap();
    fs::write(store.join("manifests/00000002.new"), b"half").unwrap();
    assert_eq!(Vault::open(&kit.home()).unwrap().snapshot("school").unwrap().unwrap().id, first.snapshot_id);
    let second = kit.csv(&contract, &[("marks", good)]).unwrap();
    assert_eq!(kit.snapshot(&contract).id, second.snapshot_id);
    let mut snapshots = vec![first.snapshot_id, second.snapshot_id];
    snapshots.sort();
    assert_eq!(crate::durable::names_in(&store.join("snapshots")).unwrap(), snapshots);
    assert_eq!(crate::durable::names_in(&kit.home().join("identity/school")).unwrap(), snapshots);
    assert_eq!(crate::durable::names_in(&store).unwrap(), ["manifests", "snapshots"]);
    assert_eq!(crate::durable::names_in(&store.join("manifests")).unwrap(), ["00000001", "00000002"]);
}

#[test]
fn one_ingest_at_a_time() {
    let (contract, kit) = (marks(), Kit::new());
    let lock = staging::lock(&kit.vault.home, "school").unwrap();
    let good = [("marks", "id,name,term,mark,note\n1,a,1,5,\n")];
    assert!(matches!(kit.csv(&contract, &good), Err(IngestError::Busy(_))));
    drop(lock);
    kit.csv(&contract, &good).unwrap();
}

#[test]
fn identity_files_say_who_is_who_under_another_key() {
    let (contract, kit) = (marks(), Kit::new());
    kit.csv(&contract, &[("marks", "id,name,term,mark,note\n17,Hanako,1,5,\n17,Hana,2,5,\n18,Taro,1,5,\n")])
        .unwrap();
    let snapshot = kit.snapshot(&contract);
    let [identity] = snapshot.table("marks").unwrap().identity.as_slice() else { panic!("one file") };
    assert!(identity.path.starts_with("identity/"));
    let rows = read_with(&keys::identities(&kit.home()).unwrap(), identity).unwrap();
    let (units, ids) = (rows.column(0).as_fixed_size_binary(), rows.column_by_name("id").unwrap());
    let names = rows.column_by_name("name").unwrap().as_string::<i32>();
    let ids = ids.as_primitive::<Int64Type>();
    assert_eq!(rows.num_rows(), 3);
    let pseudonym = |units: &FixedSizeBinaryArray, row| -> [u8; 16] { units.value(row).try_into().unwrap() };
    for row in 0..3 {
        let expected = kit.vault.keys.pseudonym("school", ids.value(row).to_string().as_bytes());
        assert_eq!(pseudonym(units, row), expected);
        assert_eq!(names.value(row).starts_with('H'), ids.value(row) == 17);
    }
    assert!(kit.read(identity).unwrap_err().contains("is not in the keyring"));
    assert!(identity.decryption_properties().is_err());
}
