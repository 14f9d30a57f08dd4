//! The catalogue as Flight SQL tells it: a catalogue is a memorandum, a schema its data set, a table what the
//! memorandum lists of it. What a memorandum does not list is not there.

use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use gate::logins::Caller;
use gate::{ActError, Enclave};
use memoranda::{Column, Contract, Memorandum, Table};

/// A memorandum with its data set.
pub(super) struct Catalogue {
    pub(super) memorandum: Arc<Memorandum>,
    pub(super) contract: Arc<Contract>,
}

/// Every memorandum of a caller's that is in force.
pub(super) fn catalogues(enclave: &Enclave, caller: &Caller) -> Result<Vec<Catalogue>, ActError> {
    let mut found = Vec::new();
    for id in enclave.memoranda_of(caller)? {
        if let Some(memorandum) = enclave.memorandum_in_force(&id)?
            && let Some(contract) = enclave.contract(&memorandum.contract)?
        {
            found.push(Catalogue { memorandum, contract });
        }
    }
    found.sort_by(|a, b| a.memorandum.id.cmp(&b.memorandum.id));
    Ok(found)
}

impl Catalogue {
    /// Tables with the columns that the memorandum lists.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&Table, Schema)> {
        self.memorandum.items.iter().filter_map(|items| {
            let table = self.contract.table(&items.table)?;
            Some((table, self.schema(table)))
        })
    }

    fn schema(&self, table: &Table) -> Schema {
        let listed = table.columns.iter().filter(|column| self.memorandum.permits(&table.name, &column.name));
        let fields: Vec<Field> = listed
            .map(|column| {
                let metadata = [
                    ("ARROW:FLIGHT:SQL:TYPE_NAME", column.kind.name()),
                    ("ARROW:FLIGHT:SQL:REMARKS", column.title.en.as_str()),
                    ("title:ja", column.title.ja.as_str()),
                ];
                let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
                Field::new(&column.name, gate::data_type(column.kind), !column.required)
                    .with_metadata(metadata)
            })
            .collect();
        Schema::new(fields)
    }

    /// The listed column that a question means by these names. What stands before the last may be an alias: where it is
    /// no table of the memorandum's, any may be meant; none is, where they do not agree on a type.
    pub(super) fn column(&self, names: &[String]) -> Option<&Column> {
        let (name, before) = names.split_last()?;
        let listed = self.memorandum.items.iter();
        let tables: Vec<&Table> = listed.filter_map(|items| self.contract.table(&items.table)).collect();
        let named = before.last().filter(|table| tables.iter().any(|own| own.name == **table));
        let meant = tables.iter().filter(|table| named.is_none_or(|named| table.name == *named));
        let mut found = meant.filter_map(|table| {
            let listed =
                |column: &&Column| column.name == *name && self.memorandum.permits(&table.name, name);
            table.columns.iter().find(listed)
        });
        let first = found.next()?;
        found.all(|other| other.kind == first.kind).then_some(first)
    }

    /// The columns of a table's primary key, where the memorandum lists all of them.
    fn primary_key(&self, table: &Table) -> Option<Vec<String>> {
        let all = table.primary_key.iter().all(|column| self.memorandum.permits(&table.name, column));
        (all && !table.primary_key.is_empty()).then(|| table.primary_key.clone())
    }
}

/// Of `CommandGetPrimaryKeys` (FlightSql.proto).
pub(super) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// Which table is meant; what is left out means any.
pub(super) struct Named<'a> {
    pub(super) catalog: Option<&'a str>,
    pub(super) schema: Option<&'a str>,
    pub(super) table: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// Every table.
    pub(super) const ANY: Named<'static> = Named { catalog: None, schema: None, table: None };

    /// As a command names it.
    pub(super) fn table(
        catalog: &'a Option<String>,
        schema: &'a Option<String>,
        table: &'a str,
    ) -> Named<'a> {
        Named { catalog: catalog.as_deref(), schema: schema.as_deref(), table: Some(table) }
    }

    fn holds(&self, catalogue: &Catalogue, table: &str) -> bool {
        let is = |wanted: Option<&str>, name: &str| {
            wanted.is_none_or(|wanted| wanted.is_empty() || wanted == name)
        };
        is(self.catalog, &catalogue.memorandum.id)
            && is(self.schema, &catalogue.contract.name)
            && is(self.table, table)
    }
}

/// The primary keys of a table.
pub(super) fn primary_keys(
    catalogues: &[Catalogue],
    named: &Named<'_>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut rows: Vec<(&str, &str, &str, String, i32)> = Vec::new();
    for catalogue in catalogues {
        for (table, _) in catalogue.tables().filter(|(table, _)| named.holds(catalogue, &table.name)) {
            for (i, column) in catalogue.primary_key(table).unwrap_or_default().into_iter().enumerate() {
                let place = i32::try_from(i + 1).unwrap_or(i32::MAX);
                rows.push((&catalogue.memorandum.id, &catalogue.contract.name, &table.name, column, place));
            }
        }
    }
    RecordBatch::try_new(
        primary_keys_schema(),
        vec![
            Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| Some(row.2)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| Some(row.3.as_str())).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.4).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|_| None::<&str>).collect::<StringArray>()),
        ],
    )
}

/// Of `CommandGetImportedKeys` and its like (FlightSql.proto).
pub(super) fn foreign_keys_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

/// `NO ACTION` of JDBC's `DatabaseMetaData`.
const NO_ACTION: u8 = 3;

/// Foreign keys from tables that `from` names to tables that `to` names, where the memorandum lists all their columns.
pub(super) fn foreign_keys(
    catalogues: &[Catalogue],
    from: &Named<'_>,
    to: &Named<'_>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut rows: Vec<[&str; 6]> = Vec::new();
    let mut places = Vec::new();
    for catalogue in catalogues {
        for (table, _) in catalogue.tables().filter(|(table, _)| from.holds(catalogue, &table.name)) {
            for key in table.foreign_keys.iter().filter(|key| to.holds(catalogue, &key.table)) {
                let listed = |table: &str, columns: &[String]| {
                    columns.iter().all(|column| catalogue.memorandum.permits(table, column))
                };
                if !listed(&table.name, &key.columns) || !listed(&key.table, &key.references) {
                    continue;
                }
                for (i, (column, reference)) in key.columns.iter().zip(&key.references).enumerate() {
                    let (catalog, schema) = (&catalogue.memorandum.id, &catalogue.contract.name);
                    rows.push([catalog, schema, &key.table, reference, &table.name, column]);
                    places.push(i32::try_from(i + 1).unwrap_or(i32::MAX));
                }
            }
        }
    }
    let text = |i: usize| Arc::new(rows.iter().map(|row| Some(row[i])).collect::<StringArray>()) as _;
    let none = || Arc::new(rows.iter().map(|_| None::<&str>).collect::<StringArray>()) as _;
    let rule = || Arc::new(rows.iter().map(|_| NO_ACTION).collect::<UInt8Array>()) as _;
    RecordBatch::try_new(
        foreign_keys_schema(),
        vec![
            text(0),
            text(1),
            text(2),
            text(3),
            text(0),
            text(1),
            text(4),
            text(5),
            Arc::new(places.iter().copied().collect::<Int32Array>()),
            none(),
            none(),
            rule(),
            rule(),
        ],
    )
}
