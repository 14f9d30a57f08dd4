//! A resource → a draft of its table, checked as far as one resource can be.

use std::collections::HashSet;

use disclosure_rules::Rows;
use serde_json::{Value, json};

use super::{enclave_properties, field, identifier, title, unsupported};
use crate::contract::{Column, Kind, Lineage, Role, Table};
use crate::reader::{Node, Reader, list};

/// A table whose references are not resolved yet, with the places to report them at.
pub(super) struct Draft {
    pub(super) table: Table,
    pub(super) is_public: bool,
    pub(super) at: String,
    /// Where each column of the table stands; as long as its columns.
    pub(super) columns_at: Vec<String>,
    /// Columns whose type could not be read: their kind says nothing.
    pub(super) untyped: HashSet<String>,
    /// `primaryKey` was there, but not valid.
    pub(super) has_bad_key: bool,
    /// Some field could not be read, so that a name which is not found may be that one.
    pub(super) has_unread: bool,
    pub(super) foreign_keys: Vec<ForeignKeyDraft>,
    /// `enclave:unitKey` of the form `{"via": table}`: where it stands. `None` also where it was not valid.
    pub(super) via_at: Option<String>,
}

/// A foreign key as written.
pub(super) struct ForeignKeyDraft {
    pub(super) at: String,
    pub(super) columns: Vec<String>,
    pub(super) resource: String,
    pub(super) references: Vec<String>,
}

impl Draft {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.table.column(name)
    }

    /// Whether a name that is not among the columns is surely wrong.
    pub(super) fn lacks(&self, name: &str) -> bool {
        !self.has_unread && self.column(name).is_none()
    }
}

/// All resources of the package.
pub(super) fn read_all(package: &Node<'_>, reader: &mut Reader) -> Vec<Draft> {
    let Some(resources) = reader.member(package, "resources") else { return Vec::new() };
    if !reader.array(&resources) {
        return Vec::new();
    }
    let elements = resources.elements();
    if elements.is_empty() {
        reader.mistake(&resources.at, "must not be empty");
    }
    let mut names = HashSet::new();
    let mut drafts = Vec::new();
    for element in elements {
        let Some(draft) = read(&element, reader) else { continue };
        if !draft.table.name.is_empty() && !names.insert(draft.table.name.to_ascii_lowercase()) {
            let message =
                format!("a table `{}` stands above; upper and lower case count alike", draft.table.name);
            reader.mistake(&format!("{}/name", draft.at), message);
        }
        if let (Some(_), Some(other)) =
            (&draft.table.cohort, drafts.iter().find(|other: &&Draft| other.table.cohort.is_some()))
        {
            let message = format!("the table `{}` tells the cohort already", other.table.name);
            reader.mistake(&format!("{}/enclave:cohort", draft.at), message);
        }
        drafts.push(draft);
    }
    drafts
}

const RESOURCE: &[&str] = &[
    "enclave:public",
    "enclave:unitKey",
    "enclave:maxRowsPerUnit",
    "enclave:retentionYears",
    "enclave:cohort",
];

fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Draft> {
    if !reader.object(node) {
        return None;
    }
    enclave_properties(node, RESOURCE, reader);
    // Without a name the table can still be checked; nothing refers to the empty name.
    let name = reader.member(node, "name").and_then(|name| identifier(&name, reader)).unwrap_or_default();
    let title = title(node, &name, reader);
    let path = node.get("path").and_then(|path| relative_path(&path, reader));
    let is_public = node.get("enclave:public").and_then(|public| reader.boolean(&public)).unwrap_or(false);
    let max_rows = node.get("enclave:maxRowsPerUnit").and_then(|rows| reader.whole(&rows, 1)).map(Rows);
    let retention = node.get("enclave:retentionYears").and_then(|years| retention_years(&years, reader));

    let mut draft = Draft {
        table: Table {
            name,
            path,
            title,
            lineage: Lineage::Public,
            max_rows_per_unit: max_rows,
            retention_years: retention,
            cohort: None,
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            columns: Vec::new(),
        },
        is_public,
        at: node.at.clone(),
        columns_at: Vec::new(),
        untyped: HashSet::new(),
        has_bad_key: false,
        has_unread: false,
        foreign_keys: Vec::new(),
        via_at: None,
    };
    match reader.member(node, "schema") {
        Some(schema) if reader.object(&schema) => read_schema(&schema, &mut draft, reader),
        _ => {
            draft.has_unread = true;
            draft.has_bad_key = true;
        }
    }
    read_lineage(node, &mut draft, reader);
    if let Some(cohort) = node.get("enclave:cohort") {
        read_cohort(&cohort, &mut draft, reader);
    }
    Some(draft)
}

fn relative_path(node: &Node<'_>, reader: &mut Reader) -> Option<String> {
    let path = reader.text(node)?;
    let climbs = path.split(['/', '\\']).any(|part| part == "..");
    if climbs || path.starts_with(['/', '\\']) || path.contains(':') {
        reader.mistake(&node.at, "must be a path relative to this file, without `..`");
        return None;
    }
    Some(path)
}

fn retention_years(node: &Node<'_>, reader: &mut Reader) -> Option<u32> {
    let years = reader.whole(node, 1)?;
    let years = u32::try_from(years).ok().filter(|years| *years <= 1_000);
    if years.is_none() {
        reader.mistake(&node.at, "must be at most 1000");
    }
    years
}

fn read_schema(schema: &Node<'_>, draft: &mut Draft, reader: &mut Reader) {
    enclave_properties(schema, &[], reader);
    unsupported(schema, &[("missingValues", json!([""])), ("uniqueKeys", Value::Null)], reader);
    read_fields(schema, draft, reader);
    if let Some(key) = schema.get("primaryKey") {
        read_primary_key(&key, draft, reader);
    }
    let Some(keys) = schema.get("foreignKeys") else { return };
    if reader.array(&keys) {
        draft.foreign_keys =
            keys.elements().iter().filter_map(|key| read_foreign_key(key, draft, reader)).collect();
    }
}

fn read_fields(schema: &Node<'_>, draft: &mut Draft, reader: &mut Reader) {
    let Some(fields) = reader.member(schema, "fields") else {
        draft.has_unread = true;
        return;
    };
    if !reader.array(&fields) {
        draft.has_unread = true;
        return;
    }
    let elements = fields.elements();
    if elements.is_empty() {
        reader.mistake(&fields.at, "must not be empty");
        draft.has_unread = true;
    }
    let mut names = HashSet::new();
    for element in elements {
        let Some(column) = field::read(&element, draft.is_public, reader) else {
            draft.has_unread = true;
            continue;
        };
        if !names.insert(column.column.name.to_ascii_lowercase()) {
            let message = format!("a column `{}` stands above; case does not count", column.column.name);
            reader.mistake(&format!("{}/name", element.at), message);
            continue;
        }
        if !column.has_kind {
            draft.untyped.insert(column.column.name.clone());
        }
        draft.table.columns.push(column.column);
        draft.columns_at.push(element.at);
    }
}

fn read_primary_key(node: &Node<'_>, draft: &mut Draft, reader: &mut Reader) {
    let Some(columns) = reader.texts(node) else {
        draft.has_bad_key = true;
        return;
    };
    for (index, name) in columns.iter().enumerate() {
        let at = if node.value.is_array() { format!("{}/{index}", node.at) } else { node.at.clone() };
        match draft.table.columns.iter_mut().find(|column| column.name == *name) {
            Some(column) if column.role == Role::Identifier => {
                reader.mistake(&at, format!("`{name}` is an identifier, which is kept apart from the table"));
                draft.has_bad_key = true;
            }
            Some(column) => column.required = true,
            None => {
                draft.has_bad_key = true;
                if !draft.has_unread {
                    reader.mistake(&at, format!("no column `{name}` in this table"));
                }
            }
        }
    }
    draft.table.primary_key = columns;
}

fn read_foreign_key(node: &Node<'_>, draft: &Draft, reader: &mut Reader) -> Option<ForeignKeyDraft> {
    if !reader.object(node) {
        return None;
    }
    enclave_properties(node, &[], reader);
    let columns = reader.member(node, "fields").and_then(|fields| reader.texts(&fields));
    let reference = reader.member(node, "reference")?;
    if !reader.object(&reference) {
        return None;
    }
    enclave_properties(&reference, &[], reader);
    let resource = match reference.get("resource") {
        Some(resource) if resource.value.as_str() == Some("") => draft.table.name.clone(),
        Some(resource) => reader.text(&resource)?,
        None => draft.table.name.clone(),
    };
    let references = reader.member(&reference, "fields").and_then(|fields| reader.texts(&fields));
    let (columns, references) = (columns?, references?);
    let unknown: Vec<&String> = columns.iter().filter(|name| draft.lacks(name)).collect();
    if !unknown.is_empty() {
        reader.mistake(&format!("{}/fields", node.at), format!("no column {} in this table", list(&unknown)));
    }
    let known = columns.iter().all(|name| draft.column(name).is_some());
    known.then(|| ForeignKeyDraft { at: node.at.clone(), columns, resource, references })
}

/// `enclave:unitKey`, checked against the roles of the columns.
fn read_lineage(node: &Node<'_>, draft: &mut Draft, reader: &mut Reader) {
    let key = node.get("enclave:unitKey");
    if draft.is_public {
        for only_private in ["enclave:unitKey", "enclave:maxRowsPerUnit"] {
            if let Some(member) = node.get(only_private) {
                reader
                    .mistake(&member.at, format!("a public table has no pupils: leave `{only_private}` out"));
            }
        }
        return refuse_roles(draft, &[Role::Unit, Role::Identifier], "a public table", reader);
    }
    let Some(key) = key else {
        return reader
            .mistake(&node.at, "`enclave:unitKey` is missing: a table is public or says whose its rows are");
    };
    match key.value {
        Value::String(_) => {
            if let Some(name) = reader.text(&key) {
                read_unit_column(&key, &name, draft, reader);
                draft.table.lineage = Lineage::Column(name);
            }
        }
        Value::Object(_) => {
            reader.only(&key, &["via"]);
            refuse_roles(
                draft,
                &[Role::Unit],
                "a table that reaches its pupil through another table",
                reader,
            );
            if let Some(via) = reader.member(&key, "via")
                && let Some(table) = reader.text(&via)
            {
                draft.table.lineage = Lineage::Via(table);
                draft.via_at = Some(via.at);
            }
        }
        _ => reader.mistake(&key.at, "must be the name of a column, or `{\"via\": table}`"),
    }
}

/// `enclave:cohort`: a column of dates of birth or of years, in a table that names the pupil.
fn read_cohort(node: &Node<'_>, draft: &mut Draft, reader: &mut Reader) {
    let Some(name) = reader.text(node) else { return };
    if draft.is_public || draft.via_at.is_some() {
        return reader.mistake(&node.at, "only a table that names the pupil tells its cohort");
    }
    match draft.column(&name) {
        None if draft.has_unread => {}
        None => reader.mistake(&node.at, format!("no column `{name}` in this table")),
        Some(column) if column.role == Role::Unit => {
            reader.mistake(&node.at, format!("`{name}` names the pupil, not its cohort"));
        }
        Some(column)
            if !matches!(column.kind, Kind::Date | Kind::Integer) && !draft.untyped.contains(&name) =>
        {
            reader.mistake(
                &node.at,
                format!("`{name}` must be a date of birth, or the year of leaving school"),
            );
        }
        Some(_) => draft.table.cohort = Some(name),
    }
}

fn read_unit_column(key: &Node<'_>, name: &str, draft: &mut Draft, reader: &mut Reader) {
    if draft.lacks(name) {
        reader.mistake(&key.at, format!("no column `{name}` in this table"));
    }
    let columns = draft.table.columns.iter_mut().zip(&draft.columns_at);
    for (column, at) in columns {
        if column.name == name {
            column.required = true;
            if column.role == Role::Attribute {
                reader.mistake(at, format!("`{name}` names the pupil: give it `\"enclave:role\": \"unit\"`"));
            } else if column.role == Role::Identifier {
                let message = format!("`{name}` names the pupil: its role must be `unit`, not `identifier`");
                reader.mistake(&format!("{at}/enclave:role"), message);
            }
        } else if column.role == Role::Unit {
            let message = format!("the table has one unit column, `{name}`; make this one `identifier`");
            reader.mistake(&format!("{at}/enclave:role"), message);
        }
    }
}

fn refuse_roles(draft: &Draft, roles: &[Role], place: &str, reader: &mut Reader) {
    for (column, at) in draft.table.columns.iter().zip(&draft.columns_at) {
        if roles.contains(&column.role) {
            let role = if column.role == Role::Unit { "unit" } else { "identifier" };
            reader.mistake(&format!("{at}/enclave:role"), format!("a column of {place} cannot be `{role}`"));
        }
    }
}
