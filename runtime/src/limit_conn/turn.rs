//! Whose turn it is to count: one thread of one process at a time.

use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, MemfdFlags, fcntl_lock, memfd_create};
use rustix::io::Errno;

/// A lock between threads, and one between processes that is let go of when its holder dies. The kernel would take a thread that waits
/// for one zone while another holds another for a deadlock; with one turn for all of them there is nothing it could mistake.
#[derive(Debug)]
pub(super) struct Turn {
    threads: Mutex<()>,
    /// Nothing is in it; it is there to be locked. Its lock belongs to a process, and is lost with any of its descriptors:
    /// there is just this one.
    processes: File,
}

impl Turn {
    pub(super) fn new() -> io::Result<Self> {
        let file = memfd_create("gatepost limit_conn", MemfdFlags::CLOEXEC)?;
        Ok(Self { threads: Mutex::new(()), processes: file.into() })
    }

    /// One that is another process's as well.
    #[cfg(test)]
    pub(super) fn of(file: File) -> Self {
        Self { threads: Mutex::new(()), processes: file }
    }

    /// What is locked.
    #[cfg(test)]
    pub(super) const fn file(&self) -> &File {
        &self.processes
    }

    /// Waits for its turn, which others have for a few microseconds each.
    ///
    /// # Errors
    ///
    /// The system's, which is short of locks.
    pub(super) fn take(&self) -> io::Result<Held<'_>> {
        // It guards nothing of this process's that a panic could leave half done.
        let thread = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match fcntl_lock(&self.processes, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Held { turn: self, _thread: thread }),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The turn; over when it is dropped.
pub(super) struct Held<'a> {
    turn: &'a Turn,
    /// Let go of last: another thread of this process must not find the lock still its own.
    _thread: MutexGuard<'a, ()>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // There is no reason for which it could fail.
        let _ = fcntl_lock(&self.turn.processes, FlockOperation::Unlock);
    }
}
