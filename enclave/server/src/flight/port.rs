//! [`Port`]: the methods of Flight (Flight.proto), in front of Flight SQL's. It finds out who calls, before anything of
//! theirs is read where that can be. What is served goes on to [`Service`]; all else is refused here, in the same words.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{Any, Command};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    PollInfo, SchemaAsIpc, SchemaResult, Ticket,
};
use gate::logins::Caller;
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use crate::app::App;
use crate::flight::entry::{self, fault};
use crate::flight::options::short;
use crate::flight::service::{Service, refused, unread};

/// See the module.
pub(super) struct Port(Service);

/// The actions that are served, and what each does.
const ACTIONS: [(&str, &str); 5] = [
    ("CreatePreparedStatement", "Prepares a statement: previews it, and says which values it takes."),
    ("ClosePreparedStatement", "Closes a prepared statement."),
    ("SetSessionOptions", "Sets options of the session, which all its questions are asked with."),
    ("GetSessionOptions", "Tells the options of the session."),
    ("CloseSession", "Ends the session and its options."),
];

impl Port {
    pub(super) fn new(app: App) -> Port {
        Port(Service::new(app))
    }

    /// The call, with whoever makes it; counted as one of theirs.
    async fn entered<T>(&self, mut call: Request<T>) -> Result<Request<T>, Status> {
        let caller = entry::caller(self.0.app(), call.metadata()).await?;
        call.extensions_mut().insert(caller);
        Ok(call)
    }

    /// Of what is not served, once it is known who calls.
    async fn not_served<T, R>(&self, call: Request<T>, what: &str) -> Result<R, Status> {
        self.entered(call).await?;
        Err(refused(what))
    }
}

/// A command of Flight SQL.
fn command(bytes: &[u8]) -> Result<Command, Status> {
    let any = Any::decode(bytes).map_err(|_| unread())?;
    Command::try_from(any).map_err(|_| unread())
}

#[tonic::async_trait]
impl FlightService for Port {
    type HandshakeStream = <Service as FlightService>::HandshakeStream;
    type ListFlightsStream = <Service as FlightService>::ListFlightsStream;
    type DoGetStream = <Service as FlightService>::DoGetStream;
    type DoPutStream = <Service as FlightService>::DoPutStream;
    type DoActionStream = <Service as FlightService>::DoActionStream;
    type ListActionsStream = <Service as FlightService>::ListActionsStream;
    type DoExchangeStream = <Service as FlightService>::DoExchangeStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        FlightService::handshake(&self.0, request).await
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.not_served(request, "ListFlights").await
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let request = self.entered(request).await?;
        match command(&request.get_ref().cmd)? {
            Command::CommandStatementQuery(_)
            | Command::CommandPreparedStatementQuery(_)
            | Command::CommandGetCatalogs(_)
            | Command::CommandGetDbSchemas(_)
            | Command::CommandGetTables(_)
            | Command::CommandGetTableTypes(_)
            | Command::CommandGetSqlInfo(_)
            | Command::CommandGetPrimaryKeys(_)
            | Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_)
            | Command::CommandGetXdbcTypeInfo(_) => FlightService::get_flight_info(&self.0, request).await,
            Command::CommandStatementSubstraitPlan(_) => Err(refused("a Substrait plan")),
            _ => Err(refused("GetFlightInfo of this command")),
        }
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        self.not_served(request, "PollFlightInfo").await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let request = self.entered(request).await?;
        let command = command(&request.get_ref().cmd)?;
        let schema = self.0.schema(command, &request).await?;
        let options = arrow::ipc::writer::IpcWriteOptions::default();
        let told: Result<SchemaResult, _> = SchemaAsIpc::new(&schema, &options).try_into();
        told.map(Response::new).map_err(|error: arrow::error::ArrowError| fault(&error))
    }

    async fn do_get(&self, mut request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        // What a good ticket is for was counted when it was given.
        let caller: Caller = entry::known(self.0.app(), request.metadata()).await?;
        if let Command::TicketStatementQuery(ticket) = command(&request.get_ref().ticket)? {
            request.extensions_mut().insert(caller);
            return self.0.do_get_statement(ticket, request).await;
        }
        entry::counted(self.0.app(), &caller)?;
        Err(refused("DoGet of anything but a ticket of GetFlightInfo"))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let request = self.entered(request).await?;
        FlightService::do_put(&self.0, request).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.not_served(request, "DoExchange").await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let request = self.entered(request).await?;
        let kind = &request.get_ref().r#type;
        if ACTIONS.iter().all(|(served, _)| served != kind) {
            return Err(refused(&format!("the action `{}`", short(kind))));
        }
        FlightService::do_action(&self.0, request).await
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        self.entered(request).await?;
        let action =
            |(kind, does): (&str, &str)| ActionType { r#type: kind.to_owned(), description: does.to_owned() };
        let actions = ACTIONS.map(|served| Ok::<_, Status>(action(served)));
        let stream: Self::ListActionsStream = Box::pin(futures::stream::iter(actions));
        Ok(Response::new(stream))
    }
}
