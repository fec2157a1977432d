//! A syslog server, as `error_log` and `access_log` name one: config.md 9.

use gatepost_core::Address;
use gatepost_core::report::Level;

/// The names of the facilities, by their numbers (RFC 3164 section 4.1.1).
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp",
    "ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// Where datagrams go and what stands before the text in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// The server: UDP, or a UNIX datagram socket.
    pub server: Address,
    /// `facility=`, from 0 to 23; `local7` unless said otherwise.
    pub facility: u8,
    /// `severity=`; of no consequence for an `error_log`, whose lines have their own.
    pub severity: Severity,
    /// `tag=`, at most 32 letters, digits and underscores.
    pub tag: Box<str>,
    /// The name of this machine; none with `nohostname`.
    pub host: Option<Box<str>>,
}

impl Syslog {
    /// The number of a facility.
    pub(super) fn facility(name: &str) -> Option<u8> {
        FACILITIES.iter().zip(0..).find(|(each, _)| **each == name).map(|(_, number)| number)
    }

    /// What stands in angle brackets before a message of `severity`.
    pub(crate) const fn priority(&self, severity: Severity) -> u8 {
        self.facility * 8 + severity.0
    }
}

/// How much a message matters, from 0 (`emerg`) to 7 (`debug`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Severity(u8);

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        Self(match level {
            Level::Emerg => 0,
            Level::Alert => 1,
            Level::Crit => 2,
            Level::Error => 3,
            Level::Warn => 4,
            Level::Notice => 5,
            Level::Info => 6,
            Level::Debug => 7,
        })
    }
}
