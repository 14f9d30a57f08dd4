//! [`Metrics`] for Prometheus. Only what a request is, and how it ended, is counted: nothing here moves with a row. In
//! particular there are no times of evaluation and no sizes of answers.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What a request was, and how it ended.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Ended {
    /// `http` or `flight`.
    pub port: &'static str,
    /// The route or method, as the program names it; never a part of the address.
    pub route: String,
    /// Status code, or gRPC code.
    pub status: u16,
}

/// How questions ended.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    /// `answered`, `replayed`, `previewed`, `refused`, `waiting`, `exhausted`, `busy`, `cancelled`, `failed`.
    pub outcome: &'static str,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests by port, route and status.
    pub requests: Family<Ended, Counter>,
    /// Questions by outcome.
    pub questions: Family<Outcome, Counter>,
}

impl Metrics {
    /// The text that Prometheus reads.
    pub fn text(&self, running: usize, waiting: usize) -> String {
        let mut registry = Registry::with_prefix("enclave");
        registry.register("requests", "Requests by port, route and status", self.requests.clone());
        registry.register("questions", "Questions by outcome", self.questions.clone());
        let gauge = |value: usize| {
            let gauge = Gauge::<i64>::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            gauge
        };
        registry.register("questions_running", "Questions that run", gauge(running));
        registry.register("questions_waiting", "Questions that wait", gauge(waiting));
        let mut text = String::new();
        // A String takes all that is written to it.
        let _ = encode(&mut text, &registry);
        text
    }

    /// Counts one question.
    pub fn question(&self, outcome: &'static str) {
        self.questions.get_or_create(&Outcome { outcome }).inc();
    }
}
