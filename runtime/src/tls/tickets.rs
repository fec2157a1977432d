//! Session tickets (RFC 5077; RFC 8446 section 4.6.1): the state of a session, sealed, kept by the client.
//!
//! A ticket is bound to the server it is from: to its certificates, and to what it asks of clients. Elsewhere it is worth
//! nothing, though the keys be the same. It also holds when the session began, so that `ssl_session_timeout` is kept
//! however long its key lives, and however often the session is resumed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{Aad, Nonce};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rustls::time_provider::TimeProvider;
use zeroize::Zeroizing;

mod keys;

use super::begun::is_good;
use keys::{Key, NAME_BYTES};
pub use keys::{NoRandomness, TicketKeys};

/// How long a ticket is good for at most, whatever `ssl_session_timeout` says. RFC 8446 section 4.6.1 allows seven days;
/// whoever gets hold of a key can read what was said under its tickets' TLS 1.2 sessions.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a ticket is good for at most.
#[must_use]
pub const fn ticket_lifetime_max() -> Duration {
    LIFETIME_MAX
}

/// From which a key for one ticket is made: so large that it never comes twice, which a nonce of 12 octets might under a
/// key that is kept in a file for years.
const SALT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// When a session began, in seconds since the epoch.
const TIME_BYTES: usize = 8;
/// The largest ticket that is looked at: as large as a ticket can be told (RFC 8446 section 4.6.1).
const TICKET_BYTES_MAX: usize = 65_535;

/// Where a server's keys are.
#[derive(Clone)]
enum Keys {
    /// In files: the first seals, all open.
    Files(Vec<Key>),
    Memory(TicketKeys),
}

/// The tickets of one server.
pub(super) struct Tickets {
    keys: Keys,
    /// What they are bound to.
    context: [u8; 32],
    lifetime: Duration,
    time: Arc<dyn TimeProvider>,
}

impl Tickets {
    /// Under the keys in memory.
    pub(super) fn new(
        keys: TicketKeys,
        context: [u8; 32],
        lifetime: Duration,
        time: Arc<dyn TimeProvider>,
    ) -> Self {
        Self { keys: Keys::Memory(keys), context, lifetime: lifetime.min(LIFETIME_MAX), time }
    }

    /// Under those in files, each of 48 or 80 octets; `None` if one is not.
    pub(super) fn of_files<'a>(
        files: impl IntoIterator<Item = &'a [u8]>,
        context: [u8; 32],
        lifetime: Duration,
        time: Arc<dyn TimeProvider>,
    ) -> Option<Self> {
        let keys = files.into_iter().map(|octets| match octets.len() {
            48 | 80 => Key::of_file(octets),
            _ => None,
        });
        let keys = Keys::Files(keys.collect::<Option<_>>()?);
        Some(Self { keys, context, lifetime: lifetime.min(LIFETIME_MAX), time })
    }

    /// How long they are good, in seconds.
    pub(super) fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    /// A ticket for the state of a session, which began at that time, in seconds since the epoch, or just now; `None` if
    /// there is no chance, no time, or too much of it.
    pub(super) fn seal(&self, plain: &[u8], began: Option<u64>) -> Option<Vec<u8>> {
        let now = self.now()?;
        let key = self.newest()?;
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).ok()?;
        let mut sealed = Vec::with_capacity(TIME_BYTES + plain.len() + TAG_BYTES);
        sealed.extend_from_slice(&began.unwrap_or(now).to_be_bytes());
        sealed.extend_from_slice(plain);
        // The key is for this ticket only, so it needs no nonce of its own.
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        key.for_one(&salt)?.seal_in_place_append_tag(nonce, Aad::from(self.context), &mut sealed).ok()?;
        let ticket = [&key.name[..], &salt, &sealed].concat();
        (ticket.len() <= TICKET_BYTES_MAX).then_some(ticket)
    }

    /// The state of a session, and when that began; `None` if the ticket is none of ours, or no longer good.
    pub(super) fn open(&self, ticket: &[u8]) -> Option<(Vec<u8>, u64)> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (salt, sealed) = rest.split_first_chunk::<SALT_BYTES>()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let opened = self
            .named(name)?
            .for_one(salt)?
            .open_in_place(nonce, Aad::from(self.context), &mut sealed)
            .ok()?;
        let (began, plain) = opened.split_first_chunk::<TIME_BYTES>()?;
        let began = u64::from_be_bytes(*began);
        is_good(began, self.now()?, self.lifetime.as_secs()).then(|| (plain.to_vec(), began))
    }

    fn newest(&self) -> Option<Key> {
        match &self.keys {
            Keys::Files(keys) => keys.first().cloned(),
            Keys::Memory(keys) => keys.newest(),
        }
    }

    fn named(&self, name: &[u8]) -> Option<Key> {
        match &self.keys {
            Keys::Files(keys) => keys.iter().find(|key| key.name == name).cloned(),
            Keys::Memory(keys) => keys.named(name),
        }
    }

    fn now(&self) -> Option<u64> {
        self.time.current_time().map(|now| now.as_secs())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
