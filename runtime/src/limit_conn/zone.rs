//! One zone: a table of keys and how many sessions each has, in a file in memory of a size that never changes.
//!
//! A record is what a key comes to under a secret of the zone's, whose it is, and how many: `digest 16, process 4, sessions 4`. One
//! without sessions is free. A key has a record of its own for each process that has sessions of it, so that a process that died can be
//! told from those that live. Records lie in pages; a key's are in one of the two that its digest names, wherever there was room
//! first, so that a zone is nearly full before it refuses a key.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use gatepost_core::LimitKey;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, getpid};

use super::turn::{Held, Turn};

const PAGE_BYTES: usize = 4096;
const DIGEST_BYTES: usize = 16;
const RECORD_BYTES: usize = DIGEST_BYTES + 8;

/// What there is instead of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// As many sessions of the key as there may be.
    Full,
    /// No room for another key, or no memory at all.
    NoMemory,
}

#[derive(Debug)]
pub(super) struct Zone {
    key: LimitKey,
    bytes: u64,
    pages: u64,
    table: File,
    /// Nobody can choose a key that shares another's digest, or crowds a page.
    secret: hmac::Key,
    turn: Arc<Turn>,
}

/// A record, as it is in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    digest: [u8; DIGEST_BYTES],
    process: u32,
    sessions: u32,
}

impl Record {
    /// The record of these octets, if they are one that is in use.
    fn read(octets: &[u8]) -> Option<Self> {
        let (digest, rest) = octets.split_first_chunk()?;
        let (process, rest) = rest.split_first_chunk()?;
        let (sessions, _) = rest.split_first_chunk()?;
        let (process, sessions) = (u32::from_ne_bytes(*process), u32::from_ne_bytes(*sessions));
        (sessions > 0).then_some(Self { digest: *digest, process, sessions })
    }

    fn octets(self) -> [u8; RECORD_BYTES] {
        let mut octets = [0; RECORD_BYTES];
        let fields = self.digest.into_iter();
        let fields = fields.chain(self.process.to_ne_bytes()).chain(self.sessions.to_ne_bytes());
        octets.iter_mut().zip(fields).for_each(|(octet, field)| *octet = field);
        octets
    }
}

impl Zone {
    /// An empty zone. Its memory is taken as it is used.
    pub(super) fn new(key: LimitKey, bytes: u64, turn: Arc<Turn>) -> io::Result<Self> {
        let pages = (bytes / PAGE_BYTES as u64).max(1);
        // Not its own name, which may be longer than the system allows.
        let table = File::from(memfd_create("gatepost limit_conn_zone", MemfdFlags::CLOEXEC)?);
        table.set_len(pages * PAGE_BYTES as u64)?;
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let secret = secret.map_err(|_| io::Error::other("no randomness"))?;
        Ok(Self { key, bytes, pages, table, secret, turn })
    }

    /// What it counts by.
    pub(super) const fn key(&self) -> &LimitKey {
        &self.key
    }

    /// How large it was asked to be.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a place for a session of `key`, of which there may be `most`; tells where.
    pub(super) fn take(&self, key: &[u8], most: u32) -> Result<u64, NoRoom> {
        let _turn = self.turn()?;
        self.take_now(key, most)
    }

    fn take_now(&self, key: &[u8], most: u32) -> Result<u64, NoRoom> {
        let (digest, process) = (self.digest(key), me());
        let (mut sessions, mut own, mut free) = (0u32, None, None);
        for page in self.pages_of(&digest).into_iter().flatten() {
            for (at, record) in self.records(page).map_err(|_| NoRoom::NoMemory)? {
                match record {
                    None => free = free.or(Some(at)),
                    Some(record) if record.digest == digest => {
                        sessions = sessions.saturating_add(record.sessions);
                        if record.process == process {
                            own = Some((at, record));
                        }
                    }
                    Some(_) => {}
                }
            }
        }
        if sessions >= most {
            return Err(NoRoom::Full);
        }
        let (at, record) = match (own, free) {
            (Some((at, record)), _) => (at, Record { sessions: record.sessions + 1, ..record }),
            (None, Some(at)) => (at, Record { digest, process, sessions: 1 }),
            (None, None) => return Err(NoRoom::NoMemory),
        };
        self.write(at, record).map_err(|_| NoRoom::NoMemory)?;
        Ok(at)
    }

    /// Gives up a place that this process has taken there.
    pub(super) fn give_up(&self, at: u64) {
        // Without a turn it is still this process's record, which no other process writes.
        let _turn = self.turn();
        let mut octets = [0; RECORD_BYTES];
        let read = self.table.read_exact_at(&mut octets, at);
        if let (Ok(()), Some(record)) = (read, Record::read(&octets)) {
            let _ = self.write(at, Record { sessions: record.sessions - 1, ..record });
        }
    }

    /// Gives up every place of `process`, which is no more. A turn for each page: logins need not wait for the whole of a large zone.
    pub(super) fn forget(&self, process: Pid) {
        let gone = number(process);
        for page in 0..self.pages {
            let Ok(_turn) = self.turn() else { return };
            for (at, record) in self.records(page).into_iter().flatten() {
                if let Some(record) = record.filter(|record| record.process == gone) {
                    let _ = self.write(at, Record { sessions: 0, ..record });
                }
            }
        }
    }

    fn turn(&self) -> Result<Held<'_>, NoRoom> {
        self.turn.take().map_err(|_| NoRoom::NoMemory)
    }

    fn digest(&self, key: &[u8]) -> [u8; DIGEST_BYTES] {
        let tag = hmac::sign(&self.secret, key);
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// The one or two pages in which a key may be.
    fn pages_of(&self, digest: &[u8; DIGEST_BYTES]) -> [Option<u64>; 2] {
        let page = |half: Option<&[u8; 8]>| half.map(|half| u64::from_ne_bytes(*half) % self.pages);
        let (first, second) = (page(digest.first_chunk()), page(digest.last_chunk()));
        [first, second.filter(|_| first != second)]
    }

    /// The records of a page, each with its place in the file; those that are free are none.
    fn records(&self, page: u64) -> io::Result<impl Iterator<Item = (u64, Option<Record>)> + use<>> {
        let mut octets = Box::new([0; PAGE_BYTES]);
        let begin = page * PAGE_BYTES as u64;
        self.table.read_exact_at(&mut *octets, begin)?;
        Ok((0..PAGE_BYTES / RECORD_BYTES).map(move |index| {
            let from = index * RECORD_BYTES;
            let record = octets.get(from..from + RECORD_BYTES).and_then(Record::read);
            (begin + from as u64, record)
        }))
    }

    /// In one piece, which lies in one page: whoever reads it finds all of it or nothing.
    fn write(&self, at: u64, record: Record) -> io::Result<()> {
        self.table.write_all_at(&record.octets(), at)
    }

    /// How many sessions of `key` there are, of all processes.
    #[cfg(test)]
    pub(super) fn sessions(&self, key: &[u8]) -> u32 {
        let digest = self.digest(key);
        let pages = self.pages_of(&digest).into_iter().flatten();
        let records = pages.flat_map(|page| self.records(page).expect("a page"));
        records
            .filter_map(|(_, record)| record)
            .filter(|record| record.digest == digest)
            .map(|record| record.sessions)
            .sum()
    }

    /// How many records are in use.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        (0..self.pages)
            .flat_map(|page| self.records(page).expect("a page"))
            .filter(|(_, record)| record.is_some())
            .count()
    }

    /// One that is another process's as well.
    #[cfg(test)]
    pub(super) fn of(table: File, turn: Turn) -> io::Result<Self> {
        let bytes = table.metadata()?.len();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, b"all know it");
        Ok(Self {
            key: LimitKey::Login,
            bytes,
            pages: bytes / PAGE_BYTES as u64,
            table,
            secret,
            turn: Arc::new(turn),
        })
    }

    /// Where its records are, and what is locked by whoever changes them.
    #[cfg(test)]
    pub(super) fn files(&self) -> [&File; 2] {
        [&self.table, self.turn.file()]
    }

    /// Takes a place as another process would.
    #[cfg(test)]
    pub(super) fn take_as(&self, process: Pid, key: &[u8]) {
        let at = self.take(key, u32::MAX).expect("a place");
        let record = Record { digest: self.digest(key), process: number(process), sessions: 1 };
        self.write(at, record).expect("a record");
    }
}

/// This process, which may have been forked since the zone was made.
fn me() -> u32 {
    number(getpid())
}

fn number(process: Pid) -> u32 {
    process.as_raw_nonzero().get().unsigned_abs()
}
