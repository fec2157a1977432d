//! Real programs as peers: found or skipped by name, started in a directory of their own, stopped by process id.
//!
//! Nothing here relies on a service that somebody else started. Every child runs in its own process group on
//! ports of the loopback interface, and is gone when its [`Child`] is dropped, also by a panic.

mod auth_server;
mod certificate;
mod child;
mod client;
pub mod dovecot;
mod gatepost;
mod mail_server;
mod maildir;
mod name_server;
pub mod postfix;
mod proxy;
mod scratch;
mod talk;

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use auth_server::{Answer, AuthServer, Request};
pub use certificate::{Certificate, ClientAuthority};
pub use child::Child;
pub use client::{Outcome, curl, curl_with_input, run, run_command, run_with_input};
pub use dovecot::Dovecot;
pub use gatepost::gatepost_binary;
pub use mail_server::MailServer;
pub use name_server::NameServer;
pub use postfix::Postfix;
pub use proxy::{Proxy, Which};
pub use scratch::{Scratch, scratch_directory};
pub use talk::{Ends, Talk};

/// How long a peer may take to do what it does in a moment on an idle machine. Tests share two cores with builds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Why a test cannot run here: a program is missing, or a right. Prints as `skipped: dovecot is not installed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip(String);

impl Skip {
    /// A skip for this reason: `dovecot is not installed`, `postfix needs root`.
    pub fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: {}", self.0)
    }
}

impl std::error::Error for Skip {}

/// Looks for `program` in `PATH` and where Debian keeps what only root calls.
///
/// # Errors
///
/// A [`Skip`] that names the program.
pub fn require(program: &str) -> Result<PathBuf, Skip> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fixed = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(fixed)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Skip(format!("{program} is not installed")))
}

/// Finds each of `programs`, or the first reason to skip.
///
/// # Errors
///
/// As [`require`].
pub fn require_all(programs: &[&str]) -> Result<(), Skip> {
    programs.iter().try_for_each(|program| require(program).map(drop))
}

/// Asks for root's rights on behalf of `program`.
///
/// # Errors
///
/// A [`Skip`] that names the program.
pub fn require_root(program: &str) -> Result<(), Skip> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Skip(format!("{program} needs root"))),
    }
}

/// Unwraps what a test requires. A test that may not run says so on standard error, past the test harness that would
/// keep it to itself, and gets `None`.
///
/// # Panics
///
/// If `CI` is `true` in the environment: there a skipped test is a failed one.
pub fn unless_skipped<T>(required: Result<T, Skip>) -> Option<T> {
    match required {
        Ok(found) => Some(found),
        Err(skip) => {
            #[expect(clippy::panic, reason = "called by tests, which fail by panicking")]
            if std::env::var_os("CI").is_some_and(|value| value == "true") {
                panic!("{skip}, but CI=true requires it");
            }
            let thread = thread::current();
            let _ = writeln!(io::stderr(), "{}: {skip}", thread.name().unwrap_or("test"));
            None
        }
    }
}

/// A TCP port of 127.0.0.1 that nobody listens on: below the range from which the kernel draws the ports of outgoing
/// connections, so that none of these can take it before its listener does, and never the same twice in a process.
///
/// # Panics
///
/// If 12,000 ports in a row are taken.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side begin at different places.
    let start = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    let start = u16::try_from(start).unwrap_or_default();
    let port = (0..COUNT)
        .map(|_| FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    #[expect(clippy::expect_used, reason = "called by tests, which fail by panicking")]
    port.expect("a free port")
}

/// A free port of 127.0.0.1 as an address. See [`free_port`].
///
/// # Panics
///
/// As [`free_port`].
pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// Waits until something accepts connections at `address`.
///
/// # Errors
///
/// The last refusal, if that is not so `within` this time.
pub fn wait_until_listening(address: SocketAddr, within: Duration) -> io::Result<()> {
    let mut last = None;
    let accepted = eventually(within, || match TcpStream::connect_timeout(&address, within) {
        Ok(_) => true,
        Err(error) => {
            last = Some(error);
            false
        }
    });
    match (accepted, last) {
        (true, _) => Ok(()),
        (false, Some(error)) => Err(io::Error::new(error.kind(), format!("{address}: {error}"))),
        (false, None) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Looks again and again until `true_at_last` is, at most for `within`; tells whether it was.
pub fn eventually(within: Duration, mut true_at_last: impl FnMut() -> bool) -> bool {
    let until = now() + within;
    loop {
        if true_at_last() {
            return true;
        }
        if now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "real programs take real time, and this is where it is bounded"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let skip = require("no-such-mail-server").unwrap_err();
        assert_eq!(skip.to_string(), "skipped: no-such-mail-server is not installed");
    }

    #[test]
    fn a_port_is_given_once_and_can_be_listened_on() {
        let (one, other) = (free_port(), free_port());
        assert_ne!(one, other);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, one)).unwrap();
        wait_until_listening(listener.local_addr().unwrap(), PATIENCE).unwrap();
    }

    #[test]
    fn waiting_for_nobody_ends() {
        let error = wait_until_listening(free_address(), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
