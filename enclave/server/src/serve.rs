//! [`bind`]: both ports, until the signal to stop.

mod arrival;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use gate::Enclave;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tonic::Status;

use crate::app::App;
use crate::config::{Config, LogFormat};
use crate::http::address::ClientAddress;
use crate::pace::Places;
use crate::tls::{self, TlsError};
use crate::{flight, http};
use arrival::Arrivals;

/// Why the enclave is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// A certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// While serving.
    #[error("cannot go on serving: {0}")]
    Io(#[from] io::Error),
}

/// Bytes of a request's headers at most.
const HEADERS_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Connections of one client at once, to both ports together. A university's researchers may all come from one address.
const CONNECTIONS_MAX: usize = 1024;

/// Two ports that are taken.
pub struct Serving {
    app: App,
    http: TcpListener,
    flight: TcpListener,
    http_tls: Option<RustlsConfig>,
    flight_tls: Option<RustlsConfig>,
}

/// Takes both ports, with their certificates, so that a mistake shows before anything is served.
pub fn bind(home: &Path, enclave: Enclave, mut config: Config) -> Result<Serving, ServeError> {
    let listen = |address: SocketAddr| -> Result<(TcpListener, SocketAddr), ServeError> {
        let failed = |error| ServeError::Bind(address, error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let taken = listener.local_addr().map_err(failed)?;
        Ok((listener, taken))
    };
    let http_tls = tls::server(home, &config, &["h2", "http/1.1"])?;
    let flight_tls = tls::server(home, &config, &["h2"])?;
    let (http, address) = listen(config.http)?;
    config.http = address;
    let (flight, address) = listen(config.flight)?;
    config.flight = address;
    Ok(Serving { app: App::new(enclave, config), http, flight, http_tls, flight_tls })
}

impl Serving {
    /// The configuration, with the ports that the system chose.
    pub fn config(&self) -> &Config {
        &self.app.config
    }

    /// Serves until SIGTERM or SIGINT. Then no question begins any more; those that run may end, for as long as the
    /// configuration says from the signal on.
    pub async fn run(self) -> Result<(), ServeError> {
        let Serving { app, http, flight, http_tls, flight_tls } = self;
        lines(&app.config);
        let patience = Duration::from_secs(app.config.limits.shutdown_seconds);
        let within = Duration::from_secs(app.config.limits.request_seconds);
        let places = (!app.config.behind_proxy).then(|| Places::new(usize::MAX, CONNECTIONS_MAX));
        let handles = [Handle::new(), Handle::new()];
        let (stop, stopping) = (handles.clone(), app.clone());
        let stopped = tokio::spawn(async move {
            stop_signal().await;
            let signalled = Instant::now();
            stopping.stopping.store(true, Ordering::Relaxed);
            stopping.door.close();
            tracing::info!("stopping");
            stop.iter().for_each(|handle| handle.graceful_shutdown(Some(patience)));
            signalled
        });
        let [http_handle, flight_handle] = handles;
        let calls = flight::router(&app).layer(from_fn_with_state(app.clone(), placed));
        tokio::try_join!(
            port(http, http_tls, http_handle, within, places.clone(), http::router(app.clone())),
            port(flight, flight_tls, flight_handle, within, places, calls),
        )?;
        // Questions that nobody waits for at a port: jobs, and calls that were broken off.
        if let Ok(signalled) = stopped.await {
            while app.door.running() > 0 && signalled.elapsed() < patience {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}

/// Lets a call on while there is a place for its client, as the HTTP port does with requests.
async fn placed(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    request: Request,
    next: Next,
) -> Response {
    let Some(_place) = app.pace.flight.take(address) else {
        let busy = "too many calls are under way, from here or from all: call again in a moment";
        return Status::unavailable(busy).into_http::<Body>();
    };
    next.run(request).await
}

/// Serves one port, with or without TLS. A client has the time `within` for its first request and for the headers of each.
async fn port(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
    within: Duration,
    places: Option<Places>,
    router: Router,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    match tls {
        Some(tls) => {
            let inner = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
            let acceptor = Arrivals { inner, within, places };
            let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle);
            bound(server.http_builder(), within);
            server.serve(service).await
        }
        None => {
            let acceptor = Arrivals { inner: NoDelayAcceptor::new(), within, places };
            let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle);
            bound(server.http_builder(), within);
            server.serve(service).await
        }
    }
}

/// How long a client may take, and how much it may hold open.
fn bound(builder: &mut Builder<TokioExecutor>, within: Duration) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(within).max_buf_size(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(within)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_MAX as u32);
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => terminated.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

/// Lines of the process, to standard error.
fn lines(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::new(format!("off,server={}", config.log.level.name()));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // A second server in one process writes as the first does.
    let _ = match config.log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
