//! `enclave serve`

use std::path::Path;

use gate::Enclave;
use server::{Config, ConfigError};

use crate::args::serve::Serve;
use crate::command::{open, runtime};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Serve) -> Done {
    if args.openapi {
        let document = serde_json::to_string_pretty(&server::openapi()).unwrap_or_default();
        return put(format!("{document}\n").as_bytes());
    }
    let config = config(args)?;
    serve(home, open(home)?, config)
}

/// Flags lie over the environment, which lies over the file.
fn config(args: &Serve) -> Result<Config, Outcome> {
    let mut settings = args.settings.clone();
    settings.extend(args.http.map(|address| format!("http={address}")));
    settings.extend(args.flight.map(|address| format!("flight={address}")));
    settings.extend(args.plain.then(|| "tls.plain=true".to_owned()));
    let read = Config::read(args.config.as_deref(), std::env::vars(), &settings);
    read.map_err(|error: ConfigError| Outcome::Invalid(error.to_string()))
}

/// Serves until the signal to stop.
pub(crate) fn serve(home: &Path, enclave: Enclave, config: Config) -> Done {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let invalid = |error: server::ServeError| Outcome::Invalid(error.to_string());
        let serving = server::bind(home, enclave, config).map_err(invalid)?;
        let config = serving.config();
        let (http, flight) = if config.tls.plain { ("http", "grpc") } else { ("https", "grpc+tls") };
        say(&format!("serving {http}://{} and {flight}://{}; stop with Ctrl-C", config.http, config.flight));
        if !config.tls.plain && config.tls.certificate.is_none() {
            let certificate = server::tls::own_certificate(home);
            say(&format!("clients trust the certificate in `{}`", certificate.display()));
        }
        serving.run().await.map_err(|error| Outcome::Internal(error.to_string()))
    });
    // A question that still runs has had its time: what it was charged is on record.
    runtime.shutdown_background();
    done
}
