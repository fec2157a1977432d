//! A cache of sessions (`ssl_session_cache`), for clients that resume by an identifier: those of TLS 1.2 without tickets,
//! and any where `ssl_session_tickets` is off. Bounded in octets; the oldest sessions make room for new ones.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem::size_of;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::time_provider::TimeProvider;
use zeroize::Zeroizing;

use super::begun::is_good;

/// The largest session that is kept, as with nginx. What makes one large are certificates of the client's own choosing.
const SESSION_BYTES_MAX: usize = 4096;

/// The longest identifier (RFC 5246 section 7.4.1.2). A longer one is none of ours.
const ID_BYTES_MAX: usize = 32;

/// What keeping a session takes beside the session itself: its key twice, and the place in either collection.
const OVERHEAD_BYTES: usize = 2 * size_of::<Id>() + size_of::<Kept>() + 32;

/// The sessions of a zone, which several servers may share by its name. Clones are the same zone.
#[derive(Clone)]
pub struct Zone(Arc<Mutex<Sessions>>);

/// What a session is found by: the server it is from, and its identifier.
type Id = ([u8; 32], Vec<u8>);

struct Kept {
    /// When it began, in seconds since the epoch.
    since: u64,
    state: Zeroizing<Vec<u8>>,
}

struct Sessions {
    kept: BTreeMap<Id, Kept>,
    /// Oldest first. Those that were taken out meanwhile are passed over.
    order: VecDeque<(Id, u64)>,
    bytes: usize,
    bytes_max: usize,
    sessions_max: usize,
}

impl Zone {
    /// `shared:NAME:SIZE`: of so many octets.
    #[must_use]
    pub fn of_bytes(bytes_max: usize) -> Self {
        Self::new(bytes_max, usize::MAX)
    }

    /// `builtin:N`: of so many sessions.
    #[must_use]
    pub fn of_sessions(sessions_max: usize) -> Self {
        Self::new(usize::MAX, sessions_max)
    }

    fn new(bytes_max: usize, sessions_max: usize) -> Self {
        let (kept, order) = (BTreeMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Sessions { kept, order, bytes: 0, bytes_max, sessions_max })))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zone([secret])")
    }
}

impl Sessions {
    fn put(&mut self, id: Id, since: u64, state: Vec<u8>) {
        self.take(&id);
        self.bytes += cost(&id, &state);
        self.order.push_back((id.clone(), since));
        self.kept.insert(id, Kept { since, state: Zeroizing::new(state) });
        while self.bytes > self.bytes_max || self.kept.len() > self.sessions_max {
            let Some((id, since)) = self.order.pop_front() else { return };
            if self.kept.get(&id).is_some_and(|kept| kept.since == since) {
                self.take(&id);
            }
        }
        // Places of sessions that are gone take room too.
        if self.order.len() > 2 * self.kept.len() + 16 {
            let kept = &self.kept;
            self.order.retain(|(id, since)| kept.get(id).is_some_and(|kept| kept.since == *since));
        }
    }

    fn take(&mut self, id: &Id) -> Option<Kept> {
        let kept = self.kept.remove(id)?;
        self.bytes -= cost(id, &kept.state);
        Some(kept)
    }
}

fn cost((_, id): &Id, state: &[u8]) -> usize {
    OVERHEAD_BYTES + 2 * id.len() + state.len()
}

/// What one server has in a zone: sessions of its own only, as long as they are good.
pub(super) struct Cache {
    zone: Zone,
    /// What its sessions are bound to.
    context: [u8; 32],
    lifetime: Duration,
    time: Arc<dyn TimeProvider>,
}

impl Cache {
    pub(super) fn new(
        zone: Zone,
        context: [u8; 32],
        lifetime: Duration,
        time: Arc<dyn TimeProvider>,
    ) -> Self {
        Self { zone, context, lifetime, time }
    }

    fn with<T>(&self, id: &[u8], act: impl FnOnce(&mut Sessions, Id, u64) -> Option<T>) -> Option<T> {
        let now = self.time.current_time()?.as_secs();
        if id.len() > ID_BYTES_MAX {
            return None;
        }
        let mut sessions = self.zone.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut sessions, (self.context, id.to_vec()), now)
    }

    fn is_good(&self, kept: &Kept, now: u64) -> bool {
        is_good(kept.since, now, self.lifetime.as_secs())
    }

    /// Keeps a session that began at that time, in seconds since the epoch, or just now; tells whether it does.
    pub(super) fn put(&self, id: &[u8], state: Vec<u8>, began: Option<u64>) -> bool {
        let state = Zeroizing::new(state);
        if state.len() > SESSION_BYTES_MAX {
            return false;
        }
        self.with(id, |sessions, id, now| {
            sessions.put(id, began.unwrap_or(now), state.to_vec());
            Some(())
        })
        .is_some()
    }

    /// A session that stays, and when it began.
    pub(super) fn get(&self, id: &[u8]) -> Option<(Vec<u8>, u64)> {
        self.with(id, |sessions, id, now| {
            let kept = sessions.kept.get(&id)?;
            match self.is_good(kept, now) {
                true => Some((kept.state.to_vec(), kept.since)),
                false => {
                    sessions.take(&id);
                    None
                }
            }
        })
    }

    /// A session that is good once, and when it began.
    pub(super) fn take(&self, id: &[u8]) -> Option<(Vec<u8>, u64)> {
        self.with(id, |sessions, id, now| {
            let kept = sessions.take(&id).filter(|kept| self.is_good(kept, now))?;
            Some((kept.state.to_vec(), kept.since))
        })
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::UnixTime;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Clock(AtomicU64);

    impl TimeProvider for Clock {
        fn current_time(&self) -> Option<UnixTime> {
            Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
        }
    }

    fn cache(zone: &Zone, context: u8) -> (Cache, Arc<Clock>) {
        let clock = Arc::<Clock>::default();
        (Cache::new(zone.clone(), [context; 32], Duration::from_secs(300), clock.clone()), clock)
    }

    fn id(number: usize) -> Vec<u8> {
        format!("{number:032}").into_bytes()
    }

    #[test]
    fn a_zone_never_holds_more_than_its_size_and_forgets_the_oldest() {
        let zone = Zone::of_bytes(32 * 1024);
        let (cache, _) = cache(&zone, 1);
        for number in 0..1000 {
            assert!(cache.put(&id(number), vec![7; 1 + number % 1000], None));
            if number % 3 == 0 {
                cache.take(&id(number));
            }
            let sessions = zone.0.lock().expect("a lock");
            let counted: usize = sessions.kept.iter().map(|(id, kept)| cost(id, &kept.state)).sum();
            assert_eq!(sessions.bytes, counted);
            assert!(counted <= 32 * 1024 && sessions.order.len() <= 2 * sessions.kept.len() + 16);
        }
        assert!(cache.get(&id(0)).is_none() && cache.get(&id(998)).is_some());
        assert!(!cache.put(&id(1), vec![0; 4097], None), "too large to be kept");
        assert!(!cache.put(&[0; 33], vec![0], None));
    }

    #[test]
    fn a_number_of_sessions_is_a_bound_too() {
        let zone = Zone::of_sessions(2);
        let (cache, _) = cache(&zone, 1);
        for number in 0..3 {
            assert!(cache.put(&id(number), vec![1], None));
        }
        assert_eq!([0, 1, 2].map(|number| cache.get(&id(number)).is_some()), [false, true, true]);
    }

    /// CVE-2014-3616.
    #[test]
    fn a_session_is_known_where_it_is_from_only() {
        let zone = Zone::of_bytes(1 << 20);
        let ((one, _), (other, _)) = (cache(&zone, 1), cache(&zone, 2));
        assert!(one.put(&id(1), b"state".to_vec(), None));
        assert_eq!((other.get(&id(1)), other.take(&id(1))), (None, None));
        assert_eq!(one.get(&id(1)), Some((b"state".to_vec(), 0)));
        assert_eq!(one.take(&id(1)), Some((b"state".to_vec(), 0)));
        assert_eq!(one.take(&id(1)), None, "it is gone");
    }

    #[test]
    fn a_session_is_good_for_its_time() {
        let zone = Zone::of_bytes(1 << 20);
        let (cache, clock) = cache(&zone, 1);
        cache.put(&id(1), vec![1], None);
        cache.put(&id(2), vec![2], None);
        clock.0.store(299, Ordering::Relaxed);
        assert!(cache.get(&id(1)).is_some());
        clock.0.store(300, Ordering::Relaxed);
        assert_eq!((cache.get(&id(1)), cache.take(&id(2))), (None, None));
    }
}
