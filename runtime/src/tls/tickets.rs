//! Session tickets (RFC 5077; RFC 8446 section 4.6.1): the state of a session, sealed, kept by the client.
//!
//! A ticket is bound to the server it is from: to its certificates, and to what it asks of clients. Elsewhere it is worth
//! nothing, though the keys be the same. It also holds when it was made, so that `ssl_session_timeout` is kept however
//! long its key lives.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;
use rustls::time_provider::TimeProvider;
use zeroize::Zeroizing;

/// How long a ticket is good for at most, whatever `ssl_session_timeout` says. RFC 8446 section 4.6.1 allows seven days;
/// whoever gets hold of a key can read what was said under its tickets' TLS 1.2 sessions.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a ticket is good for at most.
#[must_use]
pub const fn ticket_lifetime_max() -> Duration {
    LIFETIME_MAX
}

/// How long new tickets are sealed under the same key.
const EPOCH: Duration = Duration::from_secs(6 * 60 * 60);
/// How many keys are kept: so many that every ticket can be opened for as long as it is good.
const EPOCHS_KEPT: u64 = LIFETIME_MAX.as_secs() / EPOCH.as_secs() + 1;

/// Which key a ticket is sealed under.
const NAME_BYTES: usize = 16;
/// From which a key for one ticket is made: so large that it never comes twice, which a nonce of 12 octets might under a
/// key that is kept in a file for years.
const SALT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// When a ticket was made, in seconds since the epoch.
const TIME_BYTES: usize = 8;
/// The largest ticket that is looked at: as large as a ticket can be told (RFC 8446 section 4.6.1).
const TICKET_BYTES_MAX: usize = 65_535;

/// The keys of a process that has none in files. They change by themselves, each made from the one before, which is
/// forgotten once its tickets are worth nothing; so every copy (a worker's, from before it was forked off) comes to the
/// same keys at the same time without another word, and none tells what came before. Clones are the same keys.
#[derive(Clone)]
pub struct TicketKeys(Arc<Mutex<Chain>>);

struct Chain {
    /// From which the newest key and the next link are made.
    link: Zeroizing<[u8; 32]>,
    /// When the newest key came into use, in seconds since the epoch.
    since: u64,
    /// Oldest first.
    keys: Vec<Key>,
}

/// One key.
#[derive(Clone)]
struct Key {
    name: [u8; NAME_BYTES],
    secret: Arc<Prk>,
}

/// There is no randomness to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers for session ticket keys")]
pub struct NoRandomness;

impl TicketKeys {
    /// New ones, of which the first is in use as of `now`.
    ///
    /// # Errors
    ///
    /// The system has no randomness.
    pub fn random(now: Duration) -> Result<Self, NoRandomness> {
        let mut link = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *link).map_err(|_| NoRandomness)?;
        let first = Key::derived(&*link).ok_or(NoRandomness)?;
        Ok(Self(Arc::new(Mutex::new(Chain { link, since: now.as_secs(), keys: vec![first] }))))
    }

    /// Those of this process, made when they are first asked for. A master that forks asks before it does, and all its
    /// workers have the same.
    ///
    /// # Errors
    ///
    /// The system has no randomness.
    pub fn of_the_process(now: Duration) -> Result<Self, NoRandomness> {
        static KEYS: OnceLock<TicketKeys> = OnceLock::new();
        if let Some(keys) = KEYS.get() {
            return Ok(keys.clone());
        }
        let made = Self::random(now)?;
        Ok(KEYS.get_or_init(|| made).clone())
    }

    /// Forgets what is no longer of use at `now`. Done by itself whenever a key is used; a process that uses none (a
    /// master) does it from time to time.
    pub fn advance(&self, now: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).advance(now.as_secs());
    }

    fn newest(&self, now: u64) -> Option<Key> {
        let mut chain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chain.advance(now);
        chain.keys.last().cloned()
    }

    fn named(&self, name: &[u8], now: u64) -> Option<Key> {
        let mut chain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chain.advance(now);
        chain.keys.iter().find(|key| key.name == name).cloned()
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys([secret])")
    }
}

impl Chain {
    /// A clock that goes back changes nothing.
    fn advance(&mut self, now: u64) {
        let epochs = now.saturating_sub(self.since) / EPOCH.as_secs();
        // After so long a sleep not one of the keys is of use, and which link is next is all one: other copies that
        // slept as long come to the same, for the number of links is the same for all.
        for _ in 0..epochs {
            let Some(next) =
                derive(&Prk::new_less_safe(HKDF_SHA256, &*self.link), &[b"gatepost next ticket key"])
            else {
                return;
            };
            let Some(key) = Key::derived(&*next) else { return };
            self.link = next;
            self.since += EPOCH.as_secs();
            self.keys.push(key);
            let surplus = self.keys.len().saturating_sub(EPOCHS_KEPT as usize);
            self.keys.drain(..surplus);
        }
    }
}

impl Key {
    /// A key of `ssl_session_ticket_key`: 16 octets that name it and 32 or 64 of secret, as nginx has them. What is made of
    /// them is not what nginx makes, for it keeps another state of a session.
    fn of_file(octets: &[u8]) -> Option<Self> {
        let (name, secret) = octets.split_first_chunk::<NAME_BYTES>()?;
        let secret = Salt::new(HKDF_SHA256, b"gatepost ticket key file").extract(secret);
        Some(Self { name: *name, secret: Arc::new(secret) })
    }

    fn derived(link: &[u8]) -> Option<Self> {
        let secret = Salt::new(HKDF_SHA256, b"gatepost ticket key").extract(link);
        let named = derive(&secret, &[b"name"])?;
        let (name, _) = named.split_first_chunk::<NAME_BYTES>()?;
        Some(Self { name: *name, secret: Arc::new(secret) })
    }

    fn for_one(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let octets = derive(&self.secret, &[b"ticket", salt])?;
        UnboundKey::new(&AES_256_GCM, &*octets).ok().map(LessSafeKey::new)
    }
}

/// 32 octets.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

fn derive(secret: &Prk, info: &[&[u8]]) -> Option<Zeroizing<[u8; 32]>> {
    let mut octets = Zeroizing::new([0; 32]);
    secret.expand(info, Length).and_then(|output| output.fill(&mut *octets)).ok()?;
    Some(octets)
}

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

    fn newest(&self, now: u64) -> Option<Key> {
        match &self.keys {
            Keys::Files(keys) => keys.first().cloned(),
            Keys::Memory(keys) => keys.newest(now),
        }
    }

    fn named(&self, name: &[u8], now: u64) -> Option<Key> {
        match &self.keys {
            Keys::Files(keys) => keys.iter().find(|key| key.name == name).cloned(),
            Keys::Memory(keys) => keys.named(name, now),
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

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now = self.now()?;
        let key = self.newest(now)?;
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).ok()?;
        let mut sealed = Vec::with_capacity(TIME_BYTES + plain.len() + TAG_BYTES);
        sealed.extend_from_slice(&now.to_be_bytes());
        sealed.extend_from_slice(plain);
        // The key is for this ticket only, so it needs no nonce of its own.
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        key.for_one(&salt)?.seal_in_place_append_tag(nonce, Aad::from(self.context), &mut sealed).ok()?;
        let ticket = [&key.name[..], &salt, &sealed].concat();
        (ticket.len() <= TICKET_BYTES_MAX).then_some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let now = self.now()?;
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (salt, sealed) = rest.split_first_chunk::<SALT_BYTES>()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let opened = self
            .named(name, now)?
            .for_one(salt)?
            .open_in_place(nonce, Aad::from(self.context), &mut sealed)
            .ok()?;
        let (made, plain) = opened.split_first_chunk::<TIME_BYTES>()?;
        let age = now.saturating_sub(u64::from_be_bytes(*made));
        (age < self.lifetime.as_secs()).then(|| plain.to_vec())
    }
}

#[cfg(test)]
mod tests;
