//! When the session of a connection began. One that is resumed keeps its time, so that `ssl_session_timeout` ends it
//! however often the client comes back.
//!
//! Under TLS 1.2 a client that resumes is given a new ticket, for the same master secret (RFC 5077 section 3.3). Were that
//! one as good as new, no session would ever end, and what was said under a secret of long ago could be read by whoever
//! gets hold of today's key. Under TLS 1.3 each ticket has a secret of its own, and is new (RFC 8446 section 4.6.1). There a
//! client that came with one is given one, and others as many as `NumTickets` says, as by OpenSSL.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::server::{ProducesTickets, StoresServerSessions};

use super::sessions::Cache;
use super::tickets::Tickets;

/// A ticket may be from so far ahead, in seconds: of another machine whose clock differs, under the same key files.
const AHEAD_MAX: u64 = 60;

/// Whether what began then is good now: less than `lifetime` old, and from no clock that was wrong. All in seconds.
pub(super) const fn is_good(began: u64, now: u64, lifetime: u64) -> bool {
    now.saturating_sub(began) < lifetime && began.saturating_sub(now) <= AHEAD_MAX
}

/// The session that was found for a connection, if there was one.
#[derive(Debug, Default)]
struct Begun(Mutex<Option<Found>>);

#[derive(Clone, Copy, Debug)]
struct Found {
    /// A digest of the session's secret.
    secret: [u8; 32],
    /// In seconds since the epoch.
    began: u64,
}

impl Begun {
    fn found(&self, state: &[u8], began: u64) {
        let found = Found { secret: secret_of(state), began };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    /// Whether one was found.
    fn is_there(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// When the session of this state began, if it is the one that was found. A session that was found is not always
    /// resumed: another one may have begun instead.
    fn of(&self, state: &[u8]) -> Option<u64> {
        let found = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        (found.secret == secret_of(state)).then_some(found.began)
    }
}

/// A digest of what makes a session: version, suite and secret. rustls writes before them whether there is a name, and the
/// name; what it writes behind them differs from one ticket of a session to the next.
fn secret_of(state: &[u8]) -> [u8; 32] {
    let secret = || {
        let (&named, behind) = state.split_first()?;
        let behind = if named == 0 { behind } else { behind.get(1 + usize::from(*behind.first()?)..)? };
        behind.get(..5 + usize::from(*behind.get(4)?))
    };
    let mut octets = [0; 32];
    // States without one are all the same session: rather one too few is taken for new.
    octets.copy_from_slice(digest(&SHA256, secret().unwrap_or_default()).as_ref());
    octets
}

/// What a server resumes sessions from. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Means {
    pub(super) tickets: Option<Arc<Tickets>>,
    pub(super) cache: Option<Arc<Cache>>,
}

impl Means {
    pub(super) const fn are_none(&self) -> bool {
        self.tickets.is_none() && self.cache.is_none()
    }

    /// Makes `config`, which is for one connection, resume sessions from them.
    pub(super) fn put_into(&self, config: &mut ServerConfig) {
        let begun = Arc::<Begun>::default();
        if let Some(tickets) = self.tickets.clone() {
            let given = AtomicBool::default();
            config.ticketer = Arc::new(OneTicketer { tickets, begun: begun.clone(), given });
        }
        if let Some(cache) = self.cache.clone() {
            config.session_storage = Arc::new(OneCache { cache, begun, given: AtomicBool::default() });
        }
    }
}

/// A server's tickets, for one connection.
#[derive(Debug)]
struct OneTicketer {
    tickets: Arc<Tickets>,
    begun: Arc<Begun>,
    /// Whether the client was given a ticket.
    given: AtomicBool,
}

impl ProducesTickets for OneTicketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        // One that has come with a ticket has as many as before.
        if self.given.swap(true, Ordering::Relaxed) && self.begun.is_there() {
            return None;
        }
        self.tickets.seal(plain, self.begun.of(plain))
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (plain, began) = self.tickets.open(ticket)?;
        self.begun.found(&plain, began);
        Some(plain)
    }
}

/// A server's cache, for one connection.
#[derive(Debug)]
struct OneCache {
    cache: Arc<Cache>,
    begun: Arc<Begun>,
    /// Whether the client was given something to come back with.
    given: AtomicBool,
}

impl OneCache {
    fn found(&self, found: Option<(Vec<u8>, u64)>) -> Option<Vec<u8>> {
        let (state, began) = found?;
        self.begun.found(&state, began);
        Some(state)
    }
}

impl StoresServerSessions for OneCache {
    fn put(&self, id: Vec<u8>, state: Vec<u8>) -> bool {
        if self.given.swap(true, Ordering::Relaxed) && self.begun.is_there() {
            return false;
        }
        let began = self.begun.of(&state);
        self.cache.put(&id, state, began)
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.found(self.cache.get(id))
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.found(self.cache.take(id))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As rustls writes it: perhaps a name, version, suite and secret, then the rest.
    fn state(name: &str, secret: u8, rest: u8) -> Vec<u8> {
        let mut state = if name.is_empty() { vec![0] } else { vec![1, name.len() as u8] };
        state.extend(name.bytes().chain([3, 3, 0xc0, 0x30, 48]));
        state.extend([secret; 48]);
        state.extend([rest; 20]);
        state
    }

    #[test]
    fn a_session_is_known_by_its_secret() {
        let begun = Begun::default();
        assert_eq!(begun.of(&state("mail.example", 1, 1)), None);
        begun.found(&state("mail.example", 1, 1), 1000);
        for same in [state("mail.example", 1, 2), state("", 1, 2)] {
            assert_eq!(begun.of(&same), Some(1000));
        }
        for other in [state("mail.example", 2, 1), state("", 2, 1)] {
            assert_eq!(begun.of(&other), None);
        }
    }

    /// Whatever rustls may come to write.
    #[test]
    fn a_state_that_makes_no_sense_is_none_of_a_new_session() {
        let begun = Begun::default();
        begun.found(b"", 1000);
        for odd in [&b""[..], &[1], &[1, 200, 1], &[0, 3, 3, 0, 0], &[0, 3, 3, 0, 0, 48, 1]] {
            assert_eq!(begun.of(odd), Some(1000), "{odd:?}");
        }
    }

    #[test]
    fn what_is_from_far_ahead_is_not_good() {
        let good = |now| is_good(1000, now, 300);
        assert_eq!([939, 940, 1000, 1299, 1300].map(good), [false, true, true, true, false]);
    }
}
