//! How many clients there may be at once: as many as `worker_connections` says, and no more than descriptors suffice for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gatepost_core::report::Level;

/// What a client takes: its own, and one for the auth server or the backend, which are never connected at the same time.
const DESCRIPTORS_OF_CLIENT: usize = 2;

/// What each thread takes: to wait, to watch sessions that are parked, to be woken, to ask the DNS, to turn a client away.
const DESCRIPTORS_OF_THREAD: usize = 7;

/// What the process takes: standard streams, logs, signals.
const DESCRIPTORS_OF_PROCESS: usize = 12;

/// Places for clients, of all threads together.
#[derive(Debug)]
pub(super) struct Room {
    /// `worker_connections`.
    connections: usize,
    threads: usize,
    /// Listening sockets, and what sessions are counted in.
    shared: usize,
    /// Connections that may wait in each thread for the next question to an auth server.
    waiting: usize,
    taken: AtomicUsize,
    /// `RLIMIT_NOFILE`, once it is known.
    descriptors: AtomicUsize,
}

impl Room {
    /// For so many clients of each thread, where all threads together have so many descriptors open from the beginning.
    pub(super) const fn new(connections: usize, threads: usize, shared: usize) -> Self {
        let (taken, descriptors) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Self { connections, threads, shared, waiting: 0, taken, descriptors }
    }

    /// The same where so many connections of each thread belong to no client (`auth_http_keepalive`).
    pub(super) fn beside(self, waiting: usize) -> Self {
        Self { waiting, ..self }
    }

    /// So many descriptors may be open.
    pub(super) fn set_descriptors(&self, limit: usize) {
        self.descriptors.store(limit, Ordering::Relaxed);
    }

    /// How many clients `worker_connections` lets in. nginx counts for each of its processes; here they are threads.
    const fn wanted(&self) -> usize {
        self.connections.saturating_mul(self.threads)
    }

    /// How many descriptors suffice for all of them.
    pub(super) const fn descriptors_wanted(&self) -> usize {
        self.wanted().saturating_mul(DESCRIPTORS_OF_CLIENT).saturating_add(self.descriptors_for_us())
    }

    const fn descriptors_for_us(&self) -> usize {
        DESCRIPTORS_OF_PROCESS
            .saturating_add(self.shared)
            .saturating_add(DESCRIPTORS_OF_THREAD.saturating_add(self.waiting).saturating_mul(self.threads))
    }

    /// A place, if there is one left.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) fn take(self: &Arc<Self>) -> Result<Place, Full> {
        let descriptors = self.descriptors.load(Ordering::Relaxed);
        let possible = descriptors.saturating_sub(self.descriptors_for_us()) / DESCRIPTORS_OF_CLIENT;
        // Given back when dropped, also if it was one too many.
        let place = Place(self.clone());
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        match taken < self.wanted() {
            false => Err(Full::Connections(self.connections)),
            true if taken < possible => Ok(place),
            true => Err(Full::Descriptors { limit: descriptors, possible }),
        }
    }
}

/// A client's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Room>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// `worker_connections` are taken; this many each thread may have.
    Connections(usize),
    /// One more client could have no backend.
    Descriptors {
        /// `RLIMIT_NOFILE`.
        limit: usize,
        /// For how many clients that suffices.
        possible: usize,
    },
}

impl Full {
    /// How much it matters.
    pub(super) const fn level(self) -> Level {
        match self {
            Self::Connections(_) => Level::Alert,
            Self::Descriptors { .. } => Level::Crit,
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections(connections) => write!(f, "{connections} worker_connections are not enough"),
            Self::Descriptors { limit, possible } => {
                write!(f, "open file resource limit {limit} is not enough for more than {possible} clients")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_so_are_those_that_were_too_many() {
        let room = Arc::new(Room::new(2, 2, 1));
        let mut places: Vec<_> = (0..4).map(|_| room.take().expect("a place")).collect();
        for _ in 0..10 {
            let full = room.take().expect_err("all are taken");
            assert_eq!(full.to_string(), "2 worker_connections are not enough");
        }
        places.pop();
        places.push(room.take().expect("a place again"));
        assert!(room.take().is_err());
    }

    #[test]
    fn no_client_is_let_in_who_could_have_no_backend() {
        let room = Arc::new(Room::new(512, 2, 2));
        assert_eq!(room.descriptors_wanted(), 2 * 1024 + 12 + 2 + 14);
        assert_eq!(Room::new(512, 2, 2).beside(16).descriptors_wanted(), 2 * 1024 + 12 + 2 + 14 + 2 * 16);
        room.set_descriptors(64);
        let places: Vec<_> = std::iter::from_fn(|| room.take().ok()).collect();
        assert_eq!(places.len(), (64 - 28) / 2);
        let full = room.take().expect_err("descriptors are short");
        assert_eq!(full.to_string(), "open file resource limit 64 is not enough for more than 18 clients");
        room.set_descriptors(0);
        drop(places);
        assert!(room.take().is_err());
    }
}
