//! The keys that tickets are sealed under: those of a process, which change by themselves, and those in files.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::LIFETIME_MAX;
use crate::net::boot_clock;

/// How long new tickets are sealed under the same key.
const EPOCH: Duration = Duration::from_secs(6 * 60 * 60);
/// How many keys are kept: so many that every ticket can be opened for as long as it is good.
pub(super) const EPOCHS_KEPT: u64 = LIFETIME_MAX.as_secs() / EPOCH.as_secs() + 1;

/// Which key a ticket is sealed under.
pub(super) const NAME_BYTES: usize = 16;

/// The keys of a process that has none in files. They change by themselves, each made from the one before, which is
/// forgotten once its tickets are worth nothing; so every copy (a worker's, from before it was forked off) comes to the
/// same keys at the same time without another word, and none tells what came before. Clones are the same keys.
#[derive(Clone)]
pub struct TicketKeys {
    pub(super) chain: Arc<Mutex<Chain>>,
    pub(super) clock: Clock,
}

/// The time since a moment that is the same for all copies. It never jumps, whoever sets the time of day: keys would not
/// change while that is behind what it was, and all at once if it went ahead by years.
pub(super) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

pub(super) struct Chain {
    /// From which the newest key and the next link are made.
    pub(super) link: Zeroizing<[u8; 32]>,
    /// When the newest key came into use, in seconds of the clock.
    pub(super) since: u64,
    /// Oldest first.
    pub(super) keys: Vec<Key>,
}

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) name: [u8; NAME_BYTES],
    secret: Arc<Prk>,
}

/// There is no randomness to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers for session ticket keys")]
pub struct NoRandomness;

impl TicketKeys {
    /// New ones, of which the first is in use from now on.
    ///
    /// # Errors
    ///
    /// The system has no randomness.
    pub(super) fn random(clock: Clock) -> Result<Self, NoRandomness> {
        let mut link = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *link).map_err(|_| NoRandomness)?;
        let first = Key::derived(&*link).ok_or(NoRandomness)?;
        let chain = Chain { link, since: clock().as_secs(), keys: vec![first] };
        Ok(Self { chain: Arc::new(Mutex::new(chain)), clock })
    }

    /// Those of this process, made when they are first asked for. A master that forks asks before it does, and all its
    /// workers have the same.
    ///
    /// # Errors
    ///
    /// The system has no randomness.
    pub fn of_the_process() -> Result<Self, NoRandomness> {
        static KEYS: OnceLock<TicketKeys> = OnceLock::new();
        if let Some(keys) = KEYS.get() {
            return Ok(keys.clone());
        }
        let made = Self::random(Arc::new(boot_clock))?;
        Ok(KEYS.get_or_init(|| made).clone())
    }

    /// Forgets what is no longer of use. Done by itself whenever a key is used; a process that uses none (a master) does it
    /// from time to time.
    pub fn advance(&self) {
        self.now(|_| ());
    }

    pub(super) fn newest(&self) -> Option<Key> {
        self.now(|keys| keys.last().cloned())
    }

    pub(super) fn named(&self, name: &[u8]) -> Option<Key> {
        self.now(|keys| keys.iter().find(|key| key.name == name).cloned())
    }

    /// What is to be had of the keys as they are now.
    fn now<T>(&self, get: impl FnOnce(&[Key]) -> T) -> T {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that nobody comes with an earlier time than whoever came before.
        chain.advance((self.clock)().as_secs());
        get(&chain.keys)
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys([secret])")
    }
}

impl Chain {
    /// One link for each epoch, though the system slept through it: all copies have to come to the same.
    fn advance(&mut self, now: u64) {
        let epochs = now.saturating_sub(self.since) / EPOCH.as_secs();
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
    pub(super) fn of_file(octets: &[u8]) -> Option<Self> {
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

    pub(super) fn for_one(&self, salt: &[u8]) -> Option<LessSafeKey> {
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
