//! The Flight SQL port: the same questions, people and refusals, for ADBC, JDBC and the tools that stand on them.
//!
//! What a client fetches is always behind a ticket of ours: 128 random bits, good once, for a minute, for the log-in
//! that it was given to.

mod catalogue;
mod entry;
mod options;
mod service;
mod tickets;
mod values;

use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tonic::service::Routes;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::app::App;
use crate::metrics::Ended;
use service::Service;

/// Everything that the Flight port serves.
pub(crate) fn router(app: &App) -> Router {
    let longest = app.config.limits.body_kib * 1024;
    // Messages come uncompressed: none can unfold into more than it is.
    let service = FlightServiceServer::new(Service::new(app.clone()))
        .max_decoding_message_size(longest)
        .max_encoding_message_size(usize::MAX);
    Routes::new(service)
        .into_axum_router()
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(app.clone(), noted))
        .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(app.config.limits.request_seconds)))
        .layer(tower::limit::GlobalConcurrencyLimitLayer::new(app.config.limits.requests))
}

const METHODS: [&str; 10] = [
    "Handshake",
    "ListFlights",
    "GetFlightInfo",
    "PollFlightInfo",
    "GetSchema",
    "DoGet",
    "DoPut",
    "DoExchange",
    "DoAction",
    "ListActions",
];

/// Counts each call, and writes one line of it.
async fn noted(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.uri().path().strip_prefix("/arrow.flight.protocol.FlightService/");
    let method = METHODS.into_iter().find(|known| method == Some(known)).unwrap_or("-");
    let mut response = next.run(request).await;
    plainly(&mut response);
    // A call that is refused at once has its status in the headers; else it is told at the end.
    let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok());
    let status: u16 = code.unwrap_or(0);
    let ended = Ended { port: "flight", route: method.to_owned(), status };
    app.metrics.requests.get_or_create(&ended).inc();
    tracing::info!(method, status, "call");
    response
}

/// Puts what arrow-flight says of messages that do not read in our own words, as a mistake of the caller's.
fn plainly(response: &mut Response) {
    let headers = response.headers_mut();
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, message) = (told("grpc-status"), told("grpc-message"));
    let unread = ["ParseError", "DecodeError", "Unable%20to", "Unhandled%20Error"];
    if ["3", "12", "13"].contains(&status) && unread.iter().any(|words| message.contains(words)) {
        let words = HeaderValue::from_static("the%20message%20does%20not%20read%20as%20Flight%20SQL");
        headers.insert("grpc-status", HeaderValue::from_static("3"));
        headers.insert("grpc-message", words);
    }
}
