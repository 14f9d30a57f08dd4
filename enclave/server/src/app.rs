//! [`App`]: what every request shares.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chrono::TimeDelta;
use gate::Enclave;
use gate::logins::{Caller, EntryError, SessionLimits};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::Config;
use crate::door::Door;
use crate::http::{Built, Ceremonies, Oidc};
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::pace::Pace;

/// How many passwords are checked at once.
const PASSWORDS: usize = 4;
/// Several times what the check of a password takes.
const STEP: Duration = Duration::from_secs(1);

/// Shared by all requests of both ports.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// See [`App`].
pub struct Shared {
    /// The enclave itself.
    pub enclave: Enclave,
    /// How it is served.
    pub config: Config,
    /// The way to `ask`.
    pub door: Door,
    /// Questions that answer later, and keys of those that were asked.
    pub jobs: Jobs,
    /// Requests by log-in, and attempts to log in by address.
    pub pace: Pace,
    /// Counts for Prometheus.
    pub metrics: Metrics,
    /// The public register.
    pub(crate) register: Built,
    /// Log-ins at identity providers that are under way.
    pub(crate) oidc: Oidc,
    /// Passkeys that are about to be enrolled or shown.
    pub(crate) ceremonies: Ceremonies,
    /// Passwords that are checked at once: each takes 64 MiB.
    entering: Semaphore,
    /// Whether the signal to stop has come.
    pub(crate) stopping: AtomicBool,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Ready to serve.
    pub fn new(enclave: Enclave, config: Config) -> App {
        let enclave = enclave.from_elsewhere();
        App(Arc::new(Shared {
            door: Door::new(enclave.clone(), config.limits.clone()),
            jobs: Jobs::default(),
            pace: Pace::new(&config.limits),
            metrics: Metrics::default(),
            register: Built::default(),
            oidc: Oidc::default(),
            ceremonies: Ceremonies::new(&config),
            entering: Semaphore::new(PASSWORDS),
            stopping: AtomicBool::new(false),
            enclave,
            config,
        }))
    }

    /// How long sessions last.
    pub fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            idle: TimeDelta::minutes(i64::from(self.config.sessions.idle_minutes)),
            absolute: TimeDelta::hours(i64::from(self.config.sessions.absolute_hours)),
        }
    }

    /// The page where an invitation is taken up.
    pub fn join_link(&self, secret: &str) -> String {
        join_link(&self.config, secret)
    }

    /// Whoever shows this bearer token.
    pub async fn caller(&self, bearer: String) -> Result<Caller, EntryError> {
        let limits = self.session_limits();
        self.blocking(move |enclave| enclave.caller(&bearer, limits)).await
    }

    /// Runs what waits for the ledger's disk where it may block. A panic becomes one of the caller.
    pub async fn blocking<T: Send + 'static>(&self, body: impl FnOnce(&Enclave) -> T + Send + 'static) -> T {
        let enclave = self.enclave.clone();
        match tokio::task::spawn_blocking(move || body(&enclave)).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The same for what checks or sets a password, a few at once. Who is not let in is told so at a whole second after
    /// it was asked for: what was done for a name that is there, and not for others, is not seen.
    pub async fn entering<T: Send + 'static, E: Send + 'static>(
        &self,
        body: impl FnOnce(&Enclave) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let entered = {
            // It is never closed.
            let _place = self.entering.acquire().await;
            self.blocking(body).await
        };
        if entered.is_err() {
            tokio::time::sleep_until(begun + gate::ask::on_grid(begun.elapsed(), STEP)).await;
        }
        entered
    }

    /// The same, as one of the caller's people, or as nobody.
    pub async fn acting<T: Send + 'static>(
        &self,
        person: Option<&str>,
        body: impl FnOnce(&Enclave) -> T + Send + 'static,
    ) -> T {
        // No id that could be registered; and who is not registered is not let in as the founder.
        let person = person.unwrap_or_default().to_owned();
        self.blocking(move |enclave| body(&enclave.clone().acting_as(Some(person)))).await
    }
}

/// The page where an invitation, or the set-up, is taken up.
pub fn join_link(config: &Config, secret: &str) -> String {
    link(config, &format!("/join/{secret}"))
}

/// A page of this server, as people reach it.
pub(crate) fn link(config: &Config, path: &str) -> String {
    let scheme = if config.tls.plain { "http" } else { "https" };
    let own = format!("{scheme}://{}", config.http);
    format!("{}{path}", config.public_url.as_deref().unwrap_or(&own).trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chrono::Utc;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn few_passwords_are_checked_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let enclave = Enclave::create(&dir.path().join("home"), Utc::now).unwrap();
        let app = App::new(enclave, Config::default());
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let checks = (0..3 * PASSWORDS).map(|_| {
            let (app, now, most) = (app.clone(), now.clone(), most.clone());
            tokio::spawn(async move {
                let check = move |_: &Enclave| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(50));
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok::<(), EntryError>(())
                };
                app.entering(check).await
            })
        });
        for check in checks.collect::<Vec<_>>() {
            check.await.unwrap().unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), PASSWORDS);
    }
}
