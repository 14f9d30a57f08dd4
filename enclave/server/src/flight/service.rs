//! [`Service`]: Flight SQL (FlightSql.proto), of which questions and the catalogue are taken, and nothing that writes,
//! carries plans, or exchanges. Who calls is known already, to [`crate::flight::port`].

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, Command, CommandGetCatalogs, CommandGetCrossReference,
    CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys,
    CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, CommandStatementSubstraitPlan, CommandStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage,
    SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use gate::logins::{Caller, Scope};
use gate::parameters::{self, Beside, Parameter, ParameterError};
use gate::{Failure, encode};
use prost::Message;
use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::app::App;
use crate::door::NotAnswered;
use crate::flight::catalogue::{self, Catalogue, Named};
use crate::flight::entry::{self, fault};
use crate::flight::options::{self, NotSet, short};
use crate::flight::tickets::{Full, Given, Statement, TICKET};
use crate::flight::{info, session, values};
use crate::jobs::outcome;

/// The only type of tables that there is.
const TABLE: &str = "TABLE";
/// What Flight SQL sessions are known by.
const COOKIE: &str = "arrow_flight_session_id";
/// Bytes of a pattern that names of the catalogue are looked for with.
const PATTERN_MAX: usize = 1_000;

/// See the module.
#[derive(Clone)]
pub(super) struct Service {
    app: App,
    given: Arc<Given>,
}

type Fetched = Pin<Box<dyn Stream<Item = Result<arrow_flight::FlightData, Status>> + Send>>;
type Acted = Pin<Box<dyn Stream<Item = Result<arrow_flight::Result, Status>> + Send>>;

impl Service {
    /// A service of its own; in a runtime, which lets go what is old of what it gave out.
    pub(super) fn new(app: App) -> Service {
        let given: Arc<Given> = Arc::default();
        given.tidy(TICKET / 2);
        Service { app, given }
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }

    async fn catalogues(&self, caller: &Caller) -> Result<Vec<Catalogue>, Status> {
        if !caller.may(Scope::Read) && !caller.may(Scope::Preview) && !caller.may(Scope::Ask) {
            return Err(Status::permission_denied("this token does not let read"));
        }
        let caller = caller.clone();
        let found = self.app.blocking(move |enclave| catalogue::catalogues(enclave, &caller)).await;
        found.map_err(|error| fault(&error))
    }

    /// Options of the session that a call belongs to by its cookie.
    fn session<T>(&self, caller: &Caller, call: &Request<T>) -> options::Named {
        let kept = cookie(call)
            .and_then(|id| self.given.options.with(&id, &caller.login, |options| options.clone()));
        kept.unwrap_or_default()
    }

    /// A question with its options: of the session, the call, and the SQL.
    fn request<T>(&self, sql: &str, caller: &Caller, call: &Request<T>) -> Result<gate::Request, Status> {
        let mut named = self.session(caller, call);
        options::of_headers(&mut named, call.metadata())
            .and_then(|()| options::of_comments(&mut named, sql))
            .map_err(Status::invalid_argument)?;
        let memoranda: Vec<&str> = caller.memoranda().collect();
        options::request(sql.to_owned(), &named, &memoranda).map_err(Status::invalid_argument)
    }

    /// Asks or previews.
    async fn ask(&self, caller: &Caller, request: gate::Request) -> Result<gate::Answered, Status> {
        // A call that is broken off ends nothing: the question goes on, and its answer is on record.
        let (_keep, cancel) = watch::channel(false);
        let asked = self.app.door.ask(caller, request, Box::new(|_| ()), cancel).await;
        self.app.metrics.question(outcome(&asked));
        asked.map_err(|error| not_answered(&error))
    }

    /// The schema that an answer will have; what is refused is refused here, before anything is charged.
    async fn preview(&self, caller: &Caller, request: &gate::Request) -> Result<SchemaRef, Status> {
        let preview = gate::Request { preview: true, ..request.clone() };
        let answered = self.ask(caller, preview).await?;
        Ok(encode::described(&answered).map_err(|error| fault(&error))?.schema())
    }

    /// A prepared statement, with its values in place.
    fn prepared(&self, caller: &Caller, handle: &Bytes) -> Result<String, Status> {
        let statement =
            self.given.statements.with(&text(handle), &caller.login, |statement| statement.clone());
        let statement = statement.ok_or_else(no_statement)?;
        match parameters::bind(&statement.sql, &statement.values) {
            // What does not read as SQL is for the gate to refuse, as it does everywhere.
            Err(ParameterError::Sql) => Ok(statement.sql),
            bound => bound.map_err(|error| Status::invalid_argument(error.to_string())),
        }
    }

    /// What a question looks like whose values are yet to come, by the columns that they stand beside: the schema of
    /// its answer, where values of their types are asked about without a refusal, and that of the values.
    async fn guessed(
        &self,
        caller: &Caller,
        request: gate::Request,
        count: usize,
    ) -> Result<(Option<SchemaRef>, Schema), Status> {
        let catalogues = self.catalogues(caller).await?;
        let own = catalogues.iter().find(|catalogue| catalogue.memorandum.id == request.memorandum);
        let mut beside = parameters::beside(&request.sql);
        beside.resize(count, None);
        let (mut fields, mut samples) = (Vec::new(), Vec::new());
        for (i, beside) in beside.iter().enumerate() {
            let (kind, sample) = match beside {
                Some(Beside::Count) => (DataType::Int64, Parameter::Integer(1)),
                Some(Beside::Column(names)) => match own.and_then(|own| own.column(names)) {
                    Some(column) => (gate::data_type(column.kind), Parameter::sample(column)),
                    None => (DataType::Utf8, Parameter::Null),
                },
                None => (DataType::Utf8, Parameter::Null),
            };
            fields.push(Field::new(format!("${}", i + 1), kind, true));
            samples.push(sample);
        }
        let values = Schema::new(fields);
        let Ok(sql) = parameters::bind(&request.sql, &samples) else { return Ok((None, values)) };
        match self.preview(caller, &gate::Request { sql, ..request }).await {
            Ok(answer) => Ok((Some(answer), values)),
            // Of these values: others may be answered.
            Err(status) if status.code() == Code::InvalidArgument => Ok((None, values)),
            Err(status) => Err(status),
        }
    }

    /// The schema of what a command brings. Of a question it is a preview.
    pub(super) async fn schema(
        &self,
        command: Command,
        call: &Request<FlightDescriptor>,
    ) -> Result<SchemaRef, Status> {
        let caller = caller(call)?;
        let sql = match command {
            Command::CommandStatementQuery(query) => query.query,
            Command::CommandPreparedStatementQuery(query) => {
                self.prepared(&caller, &query.prepared_statement_handle)?
            }
            Command::CommandGetCatalogs(query) => return Ok(query.into_builder().schema()),
            Command::CommandGetDbSchemas(query) => return Ok(query.into_builder().schema()),
            Command::CommandGetTables(query) => return Ok(query.into_builder().schema()),
            Command::CommandGetTableTypes(query) => return Ok(query.into_builder().schema()),
            Command::CommandGetSqlInfo(_) => {
                return info::sql_info().map(|info| info.schema()).map_err(|error| fault(&error));
            }
            Command::CommandGetXdbcTypeInfo(_) => {
                return info::types().map(|types| types.schema()).map_err(|error| fault(&error));
            }
            Command::CommandGetPrimaryKeys(_) => return Ok(catalogue::primary_keys_schema()),
            Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_) => return Ok(catalogue::foreign_keys_schema()),
            _ => return Err(refused("this command")),
        };
        let asked = self.request(&sql, &caller, call)?;
        self.preview(&caller, &asked).await
    }

    /// Where to fetch a table, once. It is never refused for what was given before: it may be charged already.
    fn table_info(
        &self,
        caller: &Caller,
        batch: Result<RecordBatch, impl std::fmt::Display>,
        descriptor: FlightDescriptor,
    ) -> Result<Response<FlightInfo>, Status> {
        let batch = batch.map_err(|error| fault(&error))?;
        let (schema, rows) = (batch.schema(), batch.num_rows());
        let id = crate::random_id();
        let values = rows.saturating_mul(batch.num_columns());
        self.given.tickets.give(id.clone(), &caller.login, batch, values);
        let ticket = TicketStatementQuery { statement_handle: id.into_bytes().into() };
        let ticket = Ticket { ticket: ticket.as_any().encode_to_vec().into() };
        let info = FlightInfo::new()
            .try_with_schema(&schema)
            .map_err(|error| fault(&error))?
            .with_descriptor(descriptor)
            .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
            .with_total_records(i64::try_from(rows).unwrap_or(i64::MAX))
            .with_total_bytes(-1)
            .with_ordered(true);
        Ok(Response::new(info))
    }

    async fn question_info(
        &self,
        sql: &str,
        caller: &Caller,
        call: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        // Asked here and not when it is fetched: clients take what the schema says of the answer from here.
        let request = self.request(sql, caller, &call)?;
        let answered = self.ask(caller, request).await?;
        let batch = encode::described(&answered);
        self.table_info(caller, batch, call.into_inner())
    }

    fn fetched(batch: RecordBatch) -> Response<Fetched> {
        let stream = FlightDataEncoderBuilder::new()
            .with_schema(batch.schema())
            .build(futures::stream::iter([Ok(batch)]))
            .map_err(|error: FlightError| fault(&error));
        Response::new(Box::pin(stream))
    }
}

/// Who calls, as the port has found out.
fn caller<T>(call: &Request<T>) -> Result<Caller, Status> {
    let known = call.extensions().get::<Caller>().cloned();
    known.ok_or_else(|| fault(&"nobody was asked who calls"))
}

fn full(_: Full) -> Status {
    Status::unavailable("too many statements or sessions are open; close some")
}

/// A pattern of the catalogue, as long as it may be.
fn checked(pattern: Option<&str>) -> Result<(), Status> {
    if pattern.is_some_and(|pattern| pattern.len() > PATTERN_MAX) {
        return Err(Status::invalid_argument(format!("a pattern is at most {PATTERN_MAX} bytes long")));
    }
    Ok(())
}

/// What a catalogue is narrowed by, where nothing can be looked for with it.
fn no_filter(_: FlightError) -> Status {
    Status::invalid_argument("the filter does not read: write a name, with `%` and `_` for what is left open")
}

fn text(handle: &Bytes) -> String {
    String::from_utf8_lossy(handle).into_owned()
}

/// The same words as on every other port.
fn not_answered(error: &NotAnswered) -> Status {
    match error {
        NotAnswered::Failure(Failure::Refused(refusal)) => Status::invalid_argument(refusal.to_string()),
        NotAnswered::Failure(Failure::Waiting(waiting)) => Status::failed_precondition(waiting.to_string()),
        NotAnswered::Failure(Failure::Exhausted(exhausted)) => {
            Status::resource_exhausted(exhausted.to_string())
        }
        NotAnswered::Failure(failure) => fault(failure),
        NotAnswered::Busy => Status::unavailable(error.to_string()),
        NotAnswered::NotYours(message) => Status::permission_denied(message.clone()),
        NotAnswered::Cancelled => Status::cancelled(error.to_string()),
    }
}

pub(super) fn refused(what: &str) -> Status {
    Status::unimplemented(format!(
        "{what} is not taken here: the enclave answers SQL, and writes nothing for clients"
    ))
}

pub(super) fn unread() -> Status {
    Status::invalid_argument("the message does not read as Flight SQL")
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Service;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        let token = entry::handshake(&self.app, request.metadata(), request.extensions()).await?;
        let payload = HandshakeResponse { protocol_version: 0, payload: token.clone().into_bytes().into() };
        let stream: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(futures::stream::iter([Ok(payload)]));
        let mut response = Response::new(stream);
        let bearer = MetadataValue::try_from(format!("Bearer {token}")).map_err(|error| fault(&error))?;
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        self.question_info(&query.query, &caller, request).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let sql = self.prepared(&caller, &query.prepared_statement_handle)?;
        self.question_info(&sql, &caller, request).await
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Fetched>, Status> {
        let caller = caller(&request)?;
        if let Some(content) = self.given.tickets.take(&text(&ticket.statement_handle), &caller.login) {
            return Ok(Service::fetched(content));
        }
        // What was asked for, and charged, is not refused for coming too soon: that is counted where it was asked.
        entry::counted(&self.app, &caller)?;
        let words = "this ticket is not good: each is good once, for its owner, for a minute or until many newer ones \
                     come; ask again: an answer is on record";
        Err(Status::not_found(words))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let mut found = query.into_builder();
        for catalogue in self.catalogues(&caller).await? {
            found.append(&catalogue.memorandum.id);
        }
        self.table_info(&caller, found.build(), request.into_inner())
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        checked(query.db_schema_filter_pattern.as_deref())?;
        let mut found = query.into_builder();
        for catalogue in self.catalogues(&caller).await? {
            found.append(&catalogue.memorandum.id, &catalogue.contract.name);
        }
        let found = found.build().map_err(no_filter)?;
        self.table_info(&caller, Ok::<_, FlightError>(found), request.into_inner())
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        checked(query.db_schema_filter_pattern.as_deref())?;
        checked(query.table_name_filter_pattern.as_deref())?;
        let mut found = query.into_builder();
        for catalogue in &self.catalogues(&caller).await? {
            for (table, schema) in catalogue.tables() {
                let (catalog, of) = (&catalogue.memorandum.id, &catalogue.contract.name);
                found.append(catalog, of, &table.name, TABLE, &schema).map_err(|error| fault(&error))?;
            }
        }
        let found = found.build().map_err(no_filter)?;
        self.table_info(&caller, Ok::<_, FlightError>(found), request.into_inner())
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let mut found = query.into_builder();
        found.append(TABLE);
        self.table_info(&caller, found.build(), request.into_inner())
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let info = info::sql_info().map_err(|error| fault(&error))?;
        self.table_info(&caller, query.into_builder(&info).build(), request.into_inner())
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let named = Named::table(&query.catalog, &query.db_schema, &query.table);
        let found = catalogue::primary_keys(&self.catalogues(&caller).await?, &named);
        self.table_info(&caller, found, request.into_inner())
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let named = Named::table(&query.catalog, &query.db_schema, &query.table);
        let found = catalogue::foreign_keys(&self.catalogues(&caller).await?, &Named::ANY, &named);
        self.table_info(&caller, found, request.into_inner())
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let named = Named::table(&query.catalog, &query.db_schema, &query.table);
        let found = catalogue::foreign_keys(&self.catalogues(&caller).await?, &named, &Named::ANY);
        self.table_info(&caller, found, request.into_inner())
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let from = Named::table(&query.fk_catalog, &query.fk_db_schema, &query.fk_table);
        let to = Named::table(&query.pk_catalog, &query.pk_db_schema, &query.pk_table);
        let found = catalogue::foreign_keys(&self.catalogues(&caller).await?, &from, &to);
        self.table_info(&caller, found, request.into_inner())
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let types = info::types().map_err(|error| fault(&error))?;
        self.table_info(&caller, query.into_builder(&types).build(), request.into_inner())
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let caller = caller(&request)?;
        // What does not read as SQL is for the gate to refuse, as it does everywhere.
        let count = parameters::count(&query.query).unwrap_or(0);
        if count > parameters::COUNT_MAX {
            let most = parameters::COUNT_MAX;
            return Err(Status::invalid_argument(format!("a statement takes at most {most} values")));
        }
        if count > 0 && query.query.len() > parameters::LENGTH_MAX {
            return Err(Status::invalid_argument(ParameterError::Long.to_string()));
        }
        let asked = self.request(&query.query, &caller, &request)?;
        let (answer, values) = match count {
            0 => (Some(self.preview(&caller, &asked).await?), Schema::empty()),
            count => self.guessed(&caller, asked, count).await?,
        };
        let dataset_schema = answer.map_or_else(|| Ok(Bytes::new()), |answer| ipc(&answer))?;
        let parameter_schema = ipc(&values)?;
        let handle = crate::random_id();
        let statement = Statement { sql: query.query, values: vec![] };
        self.given.statements.put(handle.clone(), &caller.login, statement).map_err(full)?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into_bytes().into(),
            dataset_schema,
            parameter_schema,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let caller = caller(&request)?;
        self.given.statements.take(&text(&query.prepared_statement_handle), &caller.login);
        Ok(())
    }

    async fn do_put_statement_update(
        &self,
        _: CommandStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(refused("an update"))
    }

    async fn do_put_prepared_statement_update(
        &self,
        _: CommandPreparedStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(refused("an update"))
    }

    async fn do_put_statement_ingest(
        &self,
        _: CommandStatementIngest,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(refused("ingesting rows"))
    }

    async fn do_put_substrait_plan(
        &self,
        _: CommandStatementSubstraitPlan,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(refused("a Substrait plan"))
    }

    async fn do_put_fallback(
        &self,
        _: Request<PeekableFlightDataStream>,
        _: Any,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        Err(refused("DoPut of anything but the values of a prepared statement"))
    }

    async fn do_put_error_callback(
        &self,
        _: Request<PeekableFlightDataStream>,
        _: DoPutError,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        Err(unread())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let caller = caller(&request)?;
        let bound = values::read(request.into_inner()).await?;
        let handle = text(&query.prepared_statement_handle);
        self.given
            .statements
            .with(&handle, &caller.login, |statement| statement.values = bound)
            .ok_or_else(no_statement)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(query.prepared_statement_handle) })
    }

    async fn do_action_fallback(&self, request: Request<Action>) -> Result<Response<Acted>, Status> {
        let caller = caller(&request)?;
        let (cookie, mut options) = (cookie(&request), self.session(&caller, &request));
        let mut set_cookie = None;
        let action = request.into_inner();
        let body = match action.r#type.as_str() {
            "SetSessionOptions" => {
                let asked = session::SetRequest::decode(action.body).map_err(|_| unread())?;
                let mut schemas = Vec::new();
                if asked.options.keys().any(|name| options::plain(name) == options::SCHEMA) {
                    let own = self.catalogues(&caller).await?;
                    schemas.extend(own.iter().map(|catalogue| catalogue.contract.name.clone()));
                }
                let mut errors = HashMap::new();
                for (name, value) in asked.options {
                    let value = match options::set_kept(&mut options, &name, &value.text(), &schemas) {
                        Ok(()) => continue,
                        Err(NotSet::Name) => session::INVALID_NAME,
                        Err(NotSet::Value) => session::INVALID_VALUE,
                    };
                    errors.insert(name, session::Error { value });
                }
                let id = cookie.clone().unwrap_or_else(crate::random_id);
                self.given.options.put(id.clone(), &caller.login, options).map_err(full)?;
                set_cookie = Some(format!("{COOKIE}={id}; Secure; HttpOnly; SameSite=Strict"));
                session::SetResult { errors }.encode_to_vec()
            }
            "GetSessionOptions" => {
                let value = |text| session::Value { value: Some(session::OneOf::Text(text)) };
                // What tools call it.
                if let Some(memorandum) = options.get("memorandum").cloned() {
                    options.insert("catalog".to_owned(), memorandum);
                }
                let options = options.into_iter().map(|(name, text)| (name, value(text))).collect();
                session::GetResult { options }.encode_to_vec()
            }
            "CloseSession" => {
                if let Some(id) = cookie {
                    self.given.options.take(&id, &caller.login);
                }
                session::CloseResult { status: session::CLOSED }.encode_to_vec()
            }
            other => return Err(refused(&format!("the action `{}`", short(other)))),
        };
        let result = arrow_flight::Result { body: body.into() };
        let stream: Acted = Box::pin(futures::stream::iter([Ok(result)]));
        let mut response = Response::new(stream);
        if let Some(set_cookie) = set_cookie.and_then(|cookie| MetadataValue::try_from(cookie).ok()) {
            response.metadata_mut().insert("set-cookie", set_cookie);
        }
        Ok(response)
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

/// The session that a call says it belongs to.
fn cookie<T>(call: &Request<T>) -> Option<String> {
    let cookies = call.metadata().get_all("cookie").into_iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut own = pairs.filter(|(name, value)| *name == COOKIE && value.len() == 32);
    own.next().map(|(_, value)| value.to_owned())
}

fn no_statement() -> Status {
    Status::not_found("this prepared statement is closed, or not yours")
}

fn ipc(schema: &Schema) -> Result<Bytes, Status> {
    let options = arrow::ipc::writer::IpcWriteOptions::default();
    let message: IpcMessage = SchemaAsIpc::new(schema, &options)
        .try_into()
        .map_err(|error: arrow::error::ArrowError| fault(&error))?;
    Ok(message.0)
}
