//! Counts of sessions (`limit_conn_zone`), which all threads share, and all processes: those of the configuration before have sessions
//! that are not over, and which count.
//!
//! ```text
//!   driver --admit--> Zones: a turn, one for all --> Zone: a file in memory, which the master made before it forked
//!          <-Place--                                  who counts how often, by process
//! ```
//!
//! A file and not memory that is mapped: what is written there at once is there whole or not at all, however its writer ends, and it
//! takes no unsafe code. A place costs four calls of the system and as much again when it is given up, some microseconds in all, once a
//! login; that is also why one turn is enough for all zones. A process that dies gives up what it has by the master's hand.

mod turn;
mod zone;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use gatepost_core::{Claim, LimitKey, NoPlace};
use rustix::process::Pid;

use self::turn::Turn;
use self::zone::{NoRoom, Zone};

/// The smallest zone there may be, in bytes, as nginx has it: eight pages.
pub const ZONE_BYTES_MIN: u64 = 8 * 4096;

/// One `limit_conn_zone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What it counts by.
    pub key: LimitKey,
    /// How much memory it may take.
    pub bytes: u64,
}

/// Why a zone cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A reload would have it count by something else, while there are sessions that it counts.
    #[error(
        "limit_conn_zone \"{name}\" uses the \"{key}\" key while previously it used the \"{previous}\" key"
    )]
    OtherKey {
        /// Its name.
        name: Arc<str>,
        /// By what it would count.
        key: LimitKey,
        /// By what it counts.
        previous: LimitKey,
    },
    /// The system has no memory for it.
    #[error("limit_conn_zone \"{name}\" cannot have {bytes} bytes of memory: {source}")]
    Memory {
        /// Its name.
        name: Arc<str>,
        /// How much it was to have.
        bytes: u64,
        /// Why not.
        source: io::Error,
    },
}

/// The zones of a configuration, by name.
#[derive(Debug, Default)]
pub struct Zones {
    zones: BTreeMap<Arc<str>, Arc<Zone>>,
    /// There is one as soon as there is a zone.
    turn: Option<Arc<Turn>>,
}

impl Zones {
    /// The zones that `settings` ask for. What is the same `before` goes on counting; a zone of another size begins anew.
    ///
    /// To be called before other processes or threads are made that are to count in them.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn new(settings: &BTreeMap<Arc<str>, Settings>, before: &Self) -> Result<Self, Error> {
        let (mut zones, mut turn) = (BTreeMap::new(), before.turn.clone());
        for (name, Settings { key, bytes }) in settings {
            let known = before.zones.get(name);
            if let Some(known) = known.filter(|known| known.key() != key) {
                let previous = known.key().clone();
                return Err(Error::OtherKey { name: name.clone(), key: key.clone(), previous });
            }
            let zone = match known.filter(|known| known.bytes() == *bytes) {
                Some(known) => known.clone(),
                None => {
                    let made = make(key, *bytes, &mut turn);
                    let failed = |source| Error::Memory { name: name.clone(), bytes: *bytes, source };
                    Arc::new(made.map_err(failed)?)
                }
            };
            zones.insert(name.clone(), zone);
        }
        Ok(Self { zones, turn })
    }

    /// How many descriptors they take: one each, and one for their turn.
    pub(crate) fn descriptors(&self) -> usize {
        self.zones.len() + usize::from(self.turn.is_some())
    }

    /// Takes a place for each of `claims`, all or none.
    ///
    /// # Errors
    ///
    /// The first zone that has none.
    pub fn admit(&self, claims: &[Claim]) -> Result<Vec<Place>, NoPlace> {
        let mut places = Vec::with_capacity(claims.len());
        for Claim { zone: name, key, connections, early } in claims {
            // Every zone that a policy names is there; one that is not could count nobody.
            let zone = self.zones.get(name).ok_or_else(|| NoPlace::NoMemory(name.clone()))?;
            let at = zone.take(key.expose(), u32::from(*connections)).map_err(|why| match why {
                NoRoom::Full => NoPlace::Full(name.clone()),
                NoRoom::NoMemory => NoPlace::NoMemory(name.clone()),
            })?;
            places.push(Place { zone: zone.clone(), at, early: *early });
        }
        Ok(places)
    }

    /// Gives up every place of a process that has ended, however it did.
    pub(crate) fn forget(&self, process: Pid) {
        for zone in self.zones.values() {
            zone.forget(process);
        }
    }
}

/// A new zone, and the turn that it needs if there is none yet.
fn make(key: &LimitKey, bytes: u64, turn: &mut Option<Arc<Turn>>) -> io::Result<Zone> {
    let turn = match turn {
        Some(turn) => turn.clone(),
        None => turn.insert(Arc::new(Turn::new()?)).clone(),
    };
    Zone::new(key.clone(), bytes, turn)
}

/// A session's place in a zone; given up when it is dropped.
#[derive(Debug)]
pub struct Place {
    zone: Arc<Zone>,
    at: u64,
    early: bool,
}

impl Place {
    /// Whether it is the connection's, and not that of a login.
    pub(crate) const fn is_early(&self) -> bool {
        self.early
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.zone.give_up(self.at);
    }
}

#[cfg(test)]
mod tests;
