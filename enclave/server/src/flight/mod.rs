//! The Flight SQL port: the same questions, people and refusals, for ADBC, JDBC and the tools that stand on them.
//!
//! What a client fetches is always behind a ticket of ours: 128 random bits, good once, for a minute, for the log-in
//! that it was given to.

mod catalogue;
mod entry;
mod info;
mod options;
mod port;
mod service;
mod session;
mod tickets;
mod values;

use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::{BoxError, Router};
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::metrics::Ended;
use port::Port;

/// Everything that the Flight port serves. How many calls there are at once is bounded around it.
pub(crate) fn router(app: &App) -> Router {
    let longest = app.config.limits.body_kib * 1024;
    // Messages come uncompressed: none can unfold into more than it is.
    let service = FlightServiceServer::new(Port::new(app.clone()))
        .max_decoding_message_size(longest)
        .max_encoding_message_size(usize::MAX);
    Routes::new(service)
        .into_axum_router()
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(app.clone(), noted))
        .layer(from_fn_with_state(app.clone(), arriving))
}

/// A call has to arrive whole in one stretch of time, however often a piece of it comes.
async fn arriving(State(app): State<App>, request: Request, next: Next) -> Response {
    let until = Instant::now() + Duration::from_secs(app.config.limits.request_seconds);
    next.run(request.map(|body| in_time(body, until))).await
}

/// A body that ends in a refusal where the rest of it comes after this moment.
fn in_time(body: Body, until: Instant) -> Body {
    let pieces =
        stream::unfold(Some(body.into_data_stream()), move |pieces: Option<BodyDataStream>| async move {
            let mut pieces = pieces?;
            match timeout_at(until, pieces.next()).await {
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
                Ok(Some(Err(error))) => Some((Err(BoxError::from(error)), None)),
                Ok(None) => None,
                Err(_) => {
                    Some((Err(Status::deadline_exceeded("the call took too long to arrive").into()), None))
                }
            }
        });
    Body::from_stream(pieces)
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

/// Bytes of a message of a status as it is sent, at most. Clients take 8 KiB of headers, and read anything longer as
/// another failure.
const MESSAGE_MAX: usize = 4_096;

/// With what arrow-flight and tonic begin what they say of messages that do not read; none of our own words do.
const UNREAD: [&str; 7] = [
    "ParseError(",
    "DecodeError",
    "Unable to ",
    "Unhandled Error",
    "failed to decode Protobuf message",
    "protocol error: ",
    "Unexpected EOF",
];

/// Puts what they say in our own words, as a mistake of the caller's; and cuts what is too long for clients to read.
fn plainly(response: &mut Response) {
    let Some(told) = Status::from_header_map(response.headers()) else { return };
    let theirs = [Code::InvalidArgument, Code::Unimplemented, Code::Internal].contains(&told.code())
        && UNREAD.iter().any(|words| told.message().starts_with(words));
    let status = if theirs {
        service::unread()
    } else if let Some(cut) = cut(told.message()) {
        Status::new(told.code(), cut)
    } else {
        return;
    };
    // It is printable: what is not is written as its code.
    let _ = status.add_header(response.headers_mut());
}

/// As much of a message as may be sent, where that is not all. What is no letter, digit or plain sign is sent as three bytes.
fn cut(message: &str) -> Option<String> {
    let mut left = MESSAGE_MAX;
    let end = message.char_indices().find(|(_, c)| {
        let plain = c.is_ascii_alphanumeric() || (c.is_ascii_punctuation() && !"\"#%<>`?{}".contains(*c));
        let length = if plain { 1 } else { 3 * c.len_utf8() };
        let fits = length <= left;
        left = left.saturating_sub(length);
        !fits
    });
    end.map(|(end, _)| format!("{}…", &message[..end]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::to_bytes;
    use axum::response::IntoResponse;
    use bytes::Bytes;

    use super::*;

    fn told(status: &Status) -> (Code, String, usize) {
        let mut response = ().into_response();
        status.add_header(response.headers_mut()).unwrap();
        plainly(&mut response);
        let told = Status::from_header_map(response.headers()).unwrap();
        let length = response.headers().get("grpc-message").unwrap().len();
        (told.code(), told.message().to_owned(), length)
    }

    #[test]
    fn words_of_the_library_are_put_plainly_and_ours_stay() {
        let ours = service::unread().message().to_owned();
        for (code, theirs) in [
            (Code::Internal, "ParseError(\"x\")"),
            (Code::InvalidArgument, "DecodeError { inner: Inner }"),
            (Code::InvalidArgument, "Unable to unpack ActionCreatePreparedStatementRequest."),
            (Code::Internal, "failed to decode Protobuf message: invalid varint"),
        ] {
            let (code, message, _) = told(&Status::new(code, theirs));
            assert_eq!((code, message), (Code::InvalidArgument, ours.clone()), "{theirs}");
        }
        let refusal = "refused (table) at line 1, column 22: table `ParseError` is not among the items";
        let (_, message, _) = told(&Status::invalid_argument(refusal));
        assert_eq!(message, refusal);
    }

    #[test]
    fn a_message_is_as_long_as_clients_read() {
        for letter in ["x", " ", "長"] {
            let (code, message, length) = told(&Status::resource_exhausted(letter.repeat(20_000)));
            assert_eq!(code, Code::ResourceExhausted);
            assert!(message.starts_with(letter) && message.ends_with('…'));
            assert!((MESSAGE_MAX - 16..MESSAGE_MAX + 16).contains(&length), "{length}");
            let fits = letter.repeat(MESSAGE_MAX / 10);
            assert_eq!(told(&Status::resource_exhausted(fits.clone())).1, fits);
        }
    }

    #[tokio::test]
    async fn a_body_that_comes_in_drops_ends_in_time() {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok::<_, Status>(Bytes::from_static(b"x")), ()))
        });
        let begun = Instant::now();
        let body = in_time(Body::from_stream(drops), begun + Duration::from_millis(100));
        let error = to_bytes(body, usize::MAX).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(Status::from_error(error.into()).code(), Code::DeadlineExceeded);
        let body = in_time(Body::from("all of it"), Instant::now() + Duration::from_secs(60));
        assert_eq!(to_bytes(body, usize::MAX).await.unwrap(), "all of it");
    }
}
