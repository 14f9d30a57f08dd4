//! [`Pace`]: how often somebody may ask something of the server. Buckets of governor, which forget who is quiet.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Limits;

/// By log-in and by address.
pub struct Pace {
    requests: DefaultKeyedRateLimiter<String>,
    log_ins: DefaultKeyedRateLimiter<IpAddr>,
}

/// Keys after which those that are quiet are let go.
const KEYS: usize = 10_000;

/// Come back after so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften(pub u64);

impl Pace {
    /// By these limits.
    pub fn new(limits: &Limits) -> Pace {
        let per_minute = |n: u32| Quota::per_minute(NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        Pace {
            requests: RateLimiter::keyed(per_minute(limits.requests_per_minute)),
            log_ins: RateLimiter::keyed(per_minute(limits.log_ins_per_minute)),
        }
    }

    /// One more request of a log-in.
    pub fn request(&self, login: &str) -> Result<(), TooOften> {
        check(&self.requests, &login.to_owned())
    }

    /// One more attempt from an address.
    pub fn log_in(&self, address: IpAddr) -> Result<(), TooOften> {
        check(&self.log_ins, &address)
    }
}

fn check<K: std::hash::Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<(), TooOften> {
    if limiter.len() > KEYS {
        limiter.retain_recent();
    }
    limiter
        .check_key(key)
        .map_err(|not_until| TooOften(not_until.wait_time_from(DefaultClock::default().now()).as_secs() + 1))
}
