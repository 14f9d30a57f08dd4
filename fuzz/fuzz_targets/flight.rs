//! Bytes as messages of Flight SQL, taken apart as the server does: what it reads of them before it asks who calls, and
//! whatever it makes of them afterwards.
//!
//! The first byte says what they are: `d` a descriptor (GetFlightInfo), `t` a ticket (DoGet), `a` an action (DoAction),
//! `s` the SQL alone. Values that are bound are not here: Arrow's reader may panic, and the server refuses where it does.
#![no_main]

use std::fmt::Display;
use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, Any, Command};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use gate::parameters::{self, Parameter, ParameterError};
use libfuzzer_sys::fuzz_target;
use memoranda::{Memorandum, datapackage};
use prost::Message;
use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

#[expect(dead_code, reason = "what asks the enclave is not asked here")]
#[path = "../../enclave/server/src/flight/catalogue.rs"]
mod catalogue;
#[path = "../../enclave/server/src/flight/info.rs"]
mod info;
#[expect(dead_code, reason = "headers are another door")]
#[path = "../../enclave/server/src/flight/options.rs"]
mod options;

use catalogue::{Catalogue, Named};

/// As many values as the server lets a statement take.
const PARAMETERS_MAX: usize = 1_000;

static CATALOGUES: LazyLock<Vec<Catalogue>> = LazyLock::new(|| {
    let papers = [
        (
            include_str!("../../datasets-synthetic/formats/city/datapackage.json"),
            include_str!("../../memoranda/examples/city-1.toml"),
        ),
        (
            include_str!("../../datasets-synthetic/formats/star/datapackage.json"),
            include_str!("../../memoranda/examples/star-1.toml"),
        ),
    ];
    let catalogue = |(contract, memorandum)| Catalogue {
        contract: datapackage::parse(contract).expect("a published contract").into(),
        memorandum: Memorandum::parse(memorandum).expect("an example").into(),
    };
    papers.map(catalogue).into()
});

fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [b'd', message @ ..] => descriptor(message),
        [b't', message @ ..] => ticket(message),
        [b'a', message @ ..] => action(message),
        [b's', text @ ..] => {
            if let Ok(text) = std::str::from_utf8(text) {
                sql(text);
            }
        }
        _ => {}
    }
});

/// A command in its wrapping.
fn command(bytes: &[u8]) -> Option<Command> {
    Command::try_from(Any::decode(bytes).ok()?).ok()
}

fn ticket(message: &[u8]) {
    let Ok(ticket) = Ticket::decode(message) else { return };
    if let Some(Command::TicketStatementQuery(ticket)) = command(&ticket.ticket) {
        let _ = String::from_utf8_lossy(&ticket.statement_handle);
    }
}

fn action(message: &[u8]) {
    let Ok(action) = Action::decode(message) else { return };
    let Ok(any) = Any::decode(&*action.body) else { return };
    if let Ok(Some(statement)) = any.unpack::<ActionCreatePreparedStatementRequest>() {
        sql(&statement.query);
    }
}

fn descriptor(message: &[u8]) {
    let Ok(descriptor) = FlightDescriptor::decode(message) else { return };
    let named = |catalog, schema, table| Named { catalog, schema, table };
    let any = named(None, None, None);
    match command(&descriptor.cmd) {
        Some(Command::CommandStatementQuery(query)) => sql(&query.query),
        Some(Command::CommandGetCatalogs(query)) => {
            let mut found = query.into_builder();
            CATALOGUES.iter().for_each(|catalogue| found.append(&catalogue.memorandum.id));
            told(found.build());
        }
        Some(Command::CommandGetDbSchemas(query)) => {
            let mut found = query.into_builder();
            CATALOGUES
                .iter()
                .for_each(|catalogue| found.append(&catalogue.memorandum.id, &catalogue.contract.name));
            told(found.build());
        }
        Some(Command::CommandGetTables(query)) => {
            let mut found = query.into_builder();
            for catalogue in &*CATALOGUES {
                let (catalog, of) = (&catalogue.memorandum.id, &catalogue.contract.name);
                for (table, schema) in catalogue.tables() {
                    let listed = |field: &str| catalogue.memorandum.permits(&table.name, field);
                    assert!(schema.fields().iter().all(|field| listed(field.name())));
                    found.append(catalog, of, &table.name, "TABLE", &schema).expect("a schema of ours");
                }
            }
            told(found.build());
        }
        Some(Command::CommandGetTableTypes(query)) => {
            let mut found = query.into_builder();
            found.append("TABLE");
            told(found.build());
        }
        Some(Command::CommandGetSqlInfo(query)) => {
            let info = info::sql_info().expect("what the server is");
            told(query.into_builder(&info).build());
        }
        Some(Command::CommandGetXdbcTypeInfo(query)) => {
            let types = info::types().expect("the types that columns have");
            told(query.into_builder(&types).build());
        }
        Some(Command::CommandGetPrimaryKeys(query)) => {
            let of = named(query.catalog.as_deref(), query.db_schema.as_deref(), Some(&query.table));
            told(catalogue::primary_keys(&CATALOGUES, &of));
        }
        Some(Command::CommandGetExportedKeys(query)) => {
            let to = named(query.catalog.as_deref(), query.db_schema.as_deref(), Some(&query.table));
            told(catalogue::foreign_keys(&CATALOGUES, &any, &to));
        }
        Some(Command::CommandGetImportedKeys(query)) => {
            let from = named(query.catalog.as_deref(), query.db_schema.as_deref(), Some(&query.table));
            told(catalogue::foreign_keys(&CATALOGUES, &from, &any));
        }
        Some(Command::CommandGetCrossReference(query)) => {
            let (catalog, schema) = (query.fk_catalog.as_deref(), query.fk_db_schema.as_deref());
            let from = named(catalog, schema, Some(&query.fk_table));
            let (catalog, schema) = (query.pk_catalog.as_deref(), query.pk_db_schema.as_deref());
            let to = named(catalog, schema, Some(&query.pk_table));
            told(catalogue::foreign_keys(&CATALOGUES, &from, &to));
        }
        _ => {}
    }
}

/// A table as it is told; that a pattern does not read is a status, and no panic.
fn told(batch: Result<RecordBatch, impl Display>) {
    if let Ok(batch) = batch {
        assert!(FlightInfo::new().try_with_schema(&batch.schema()).is_ok());
    }
}

/// A statement: its options, its values.
fn sql(sql: &str) {
    let read = |sql: &str| {
        let mut named = options::Named::new();
        options::of_comments(&mut named, sql).map(|()| named).ok()
    };
    let named = read(sql);
    if let Some(named) = &named {
        assert!(named.keys().all(|name| options::KNOWN.contains(&name.as_str())));
        if let Ok(request) = options::request(sql.to_owned(), named, &["m"]) {
            assert!(request.sql == sql && !request.memorandum.is_empty());
        }
    }
    let count = parameters::count(sql);
    let Some(tokens) = tokens(sql) else {
        assert_eq!(count, Err(ParameterError::Sql));
        return;
    };
    if sql.contains("/*!") {
        // SQL reads what stands in such a comment, other comments too, and does not say where: nothing is bound beside it.
        assert!(matches!(count, Ok(0) | Err(_)));
        return;
    }
    let is_comment = |token: &&Token| {
        use Whitespace::{MultiLineComment, SingleLineComment};
        matches!(token, Token::Whitespace(SingleLineComment { .. } | MultiLineComment(_)))
    };
    let comments: Vec<String> = tokens.iter().filter(is_comment).map(ToString::to_string).collect();
    assert_eq!(named, read(&comments.join("\n")), "options stand in comments, and nowhere else");
    let Ok(count) = count else { return };
    if count > PARAMETERS_MAX {
        return;
    }
    assert_eq!(
        parameters::bind(sql, &vec![Parameter::Null; count + 1]),
        Err(ParameterError::Count(count, count + 1))
    );
    for value in [
        Parameter::Null,
        Parameter::Boolean(true),
        Parameter::Integer(-1),
        Parameter::Number(0.5),
        Parameter::Text("it's; -- \\' ?".to_owned()),
        Parameter::Date("2026-04-01".to_owned()),
        Parameter::DateTime("2026-04-01 12:00:00".to_owned()),
    ] {
        constants(sql, &tokens, &vec![value; count]);
    }
}

/// What is bound comes as constants, whatever stands beside it; and the rest of the statement is as it was.
fn constants(sql: &str, before: &[Token], values: &[Parameter]) {
    let bound = match parameters::bind(sql, values) {
        Ok(bound) => bound,
        Err(error) => return assert_eq!(error, ParameterError::Long, "as many values as it takes"),
    };
    let constant = values.first().map(|value| {
        let alone = parameters::bind("?", std::slice::from_ref(value)).expect("one value");
        tokens(&alone).expect("a constant")
    });
    let spelt = |tokens: Vec<Token>| -> Vec<Token> {
        tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect()
    };
    let expected = before.iter().flat_map(|token| match token {
        Token::Placeholder(_) => constant.clone().unwrap_or_default(),
        other => vec![other.clone()],
    });
    let expected = spelt(expected.collect());
    assert_eq!(tokens(&bound).map(spelt), Some(expected), "`{bound}` is more than values in their places");
}

fn tokens(sql: &str) -> Option<Vec<Token>> {
    Tokenizer::new(&GenericDialect {}, sql).with_unescape(false).tokenize().ok()
}
