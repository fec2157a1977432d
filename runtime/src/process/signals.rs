//! Signals, as nginx operators send them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use super::raw;
use crate::server::Running;

/// Every signal that nginx knows.
const KNOWN: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
    Signal::SIGALRM,
    Signal::SIGIO,
];

/// A signal that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// Which.
    pub(super) signal: Signal,
    /// From which process; 0 if the kernel has sent it.
    sender: u32,
}

impl Received {
    /// The line that tells of it: `signal 15 (SIGTERM) received from 4711, exiting`. `action` is what follows of it,
    /// with its comma.
    pub(super) fn told(self, action: &str) -> String {
        let (number, name) = (self.signal as i32, self.signal);
        match self.sender {
            0 => format!("signal {number} ({name}) received{action}"),
            sender => format!("signal {number} ({name}) received from {sender}{action}"),
        }
    }
}

/// The signals of this process. While it exists, and in what is forked meanwhile, none of them does anything by itself.
#[derive(Debug)]
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Takes them. To be called before there is any thread: those that exist would still be interrupted.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn take() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for &signal in KNOWN {
            set.add(signal);
        }
        set.thread_block()?;
        for &signal in KNOWN {
            raw::restore_default(signal)?;
        }
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// The next that has come, if one has.
    pub(super) fn next(&self) -> Option<Received> {
        loop {
            let told = self.0.read_signal().ok().flatten()?;
            let number = i32::try_from(told.ssi_signo).unwrap_or_default();
            if let Ok(signal) = Signal::try_from(number) {
                return Some(Received { signal, sender: told.ssi_pid });
            }
        }
    }

    /// Waits for the next, or for `other` to be readable, while any of these threads run and none of them has panicked.
    pub(super) fn next_while(&self, running: &[Running], other: Option<BorrowedFd<'_>>) -> Heard {
        loop {
            if let Some(received) = self.next() {
                return Heard::Signal(received);
            }
            let watch = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
            let mut watched: Vec<_> = other.map(watch).into_iter().collect();
            let going = running.iter().filter(|running| !running.has_ended());
            watched.extend(going.map(|running| watch(running.alive().as_fd())));
            let failed = running.iter().any(Running::has_failed);
            if failed || watched.len() == usize::from(other.is_some()) {
                return Heard::End;
            }
            watched.push(watch(self.as_fd()));
            // If it fails, all is looked at again.
            let _ = poll(&mut watched, None);
            if other.is_some() && watched.first().is_some_and(|other| !other.revents().is_empty()) {
                return Heard::Other;
            }
        }
    }
}

/// What ended a wait.
#[derive(Debug)]
pub(super) enum Heard {
    /// A signal.
    Signal(Received),
    /// What was waited for beside.
    Other,
    /// Every thread has ended, or one has panicked.
    End,
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
