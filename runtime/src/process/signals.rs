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

    /// Waits for the next, while any of these threads run; none once they have all ended.
    pub(super) fn next_while(&self, running: &[Running]) -> Option<Received> {
        loop {
            if let Some(received) = self.next() {
                return Some(received);
            }
            let going = running.iter().filter(|running| !running.has_ended());
            let mut watched: Vec<_> =
                going.map(|running| PollFd::new(running.alive(), PollFlags::IN)).collect();
            if watched.is_empty() {
                return None;
            }
            watched.push(PollFd::new(self, PollFlags::IN));
            // Whatever it says, both are looked at again.
            let _ = poll(&mut watched, None);
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
