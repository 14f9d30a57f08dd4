//! [`Pace`]: how often somebody may ask something of the server, and how much of it at once. Buckets of governor, which
//! forget who is quiet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Limits;

/// By log-in and by client.
pub struct Pace {
    requests: DefaultKeyedRateLimiter<String>,
    log_ins: DefaultKeyedRateLimiter<Client>,
    /// Requests under way at the HTTP port.
    pub http: Places,
    /// Calls under way at the Flight port.
    pub flight: Places,
}

/// Keys after which those that are quiet are let go.
const KEYS: usize = 10_000;
/// The part of the places that one client may take. A university's researchers may all come from one address.
const SHARE: usize = 2;

/// Come back after so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften(pub u64);

impl Pace {
    /// By these limits.
    pub fn new(limits: &Limits) -> Pace {
        let per_minute = |n: u32| Quota::per_minute(NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        let places = || Places::new(limits.requests, limits.requests.div_ceil(SHARE));
        Pace {
            requests: RateLimiter::keyed(per_minute(limits.requests_per_minute)),
            log_ins: RateLimiter::keyed(per_minute(limits.log_ins_per_minute)),
            http: places(),
            flight: places(),
        }
    }

    /// One more request of a log-in.
    pub fn request(&self, login: &str) -> Result<(), TooOften> {
        check(&self.requests, &login.to_owned())
    }

    /// One more attempt from an address.
    pub fn log_in(&self, address: IpAddr) -> Result<(), TooOften> {
        check(&self.log_ins, &Client::at(address))
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

/// Whoever has an address. Who has one of IPv6 has its whole /64, and is one client in all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Client(IpAddr);

/// The bits of an IPv6 address that tell clients apart.
const NETWORK: u128 = !0 << 64;

impl Client {
    fn at(address: IpAddr) -> Client {
        match address.to_canonical() {
            IpAddr::V6(address) => Client(Ipv6Addr::from_bits(address.to_bits() & NETWORK).into()),
            v4 => Client(v4),
        }
    }
}

/// Places side by side, and how many of them each client has.
#[derive(Clone)]
pub struct Places(Arc<Room>);

struct Room {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by: HashMap<Client, usize>,
}

/// A place, until it is dropped.
pub struct Place {
    room: Arc<Room>,
    client: Client,
}

impl Places {
    /// So many for all together, and for each client.
    pub fn new(all: usize, each: usize) -> Places {
        Places(Arc::new(Room { all, each, taken: Mutex::default() }))
    }

    /// A place for whoever comes from an address; `None` where they have their part already, or none is left.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let (room, client) = (self.0.clone(), Client::at(address));
        let mut taken = room.taken();
        let own = taken.by.get(&client).copied().unwrap_or(0);
        if taken.all >= room.all || own >= room.each {
            return None;
        }
        taken.all += 1;
        taken.by.insert(client, own + 1);
        drop(taken);
        Some(Place { room, client })
    }
}

impl Room {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.all -= 1;
        if let Entry::Occupied(mut own) = taken.by.entry(self.client) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_network() {
        let client = |address: &str| Client::at(address.parse().unwrap());
        for (a, b, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ] {
            assert_eq!(client(a) == client(b), same, "{a} {b}");
        }
    }

    #[test]
    fn another_address_of_the_network_is_no_new_attempt() {
        let pace = Pace::new(&Limits { log_ins_per_minute: 3, ..Limits::default() });
        let tried = |address: &str| pace.log_in(address.parse().unwrap()).is_ok();
        let own: Vec<bool> = (1..6).map(|n| tried(&format!("2001:db8::{n}"))).collect();
        assert_eq!(own, [true, true, true, false, false]);
        assert!(tried("2001:db8:0:1::1"));
    }

    #[test]
    fn nobody_takes_the_places_of_others() {
        let places = Places::new(3, 2);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("2001:db8::1");
        let second = take("2001:db8::2");
        assert!(first.is_some() && second.is_some());
        assert!(take("2001:db8::3").is_none(), "its part is taken");
        let other = take("192.0.2.1");
        assert!(other.is_some());
        assert!(take("192.0.2.2").is_none(), "all are taken");
        drop(first);
        assert!(take("2001:db8::3").is_some());
        drop((second, other));
        let taken = places.0.taken();
        assert_eq!((taken.all, taken.by.len()), (0, 0), "nothing is kept of who has gone");
    }
}
