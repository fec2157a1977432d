//! Moments, as told by whoever has a clock. The core has none.

use core::time::Duration;

/// A moment, in whole milliseconds since the Unix epoch: a challenge's salt prints seconds of it
/// (RFC 1939 section 7), so it cannot be counted from an arbitrary start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The moment `span` later, or the last one there is.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long it is from here until `later`; zero if that has passed.
    #[must_use]
    pub const fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

/// When a session wants to be woken with `Event::Deadline`, and what it is waiting for until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The moment.
    pub at: Instant,
    /// What will not have happened by then.
    pub waiting_for: WaitingFor,
}

/// What a session waits for; there is no phase in which it waits for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingFor {
    /// The connection itself, and its PROXY header.
    ProxyHeader,
    /// The client's TLS handshake.
    Handshake,
    /// The DNS (`resolver_timeout`).
    Name,
    /// The end of `smtp_greeting_delay`.
    GreetingDelay,
    /// A command, or the next line of a SASL exchange (`timeout`).
    Client,
    /// The auth server's answer (`auth_http_timeout`).
    Auth,
    /// Whoever counts sessions (`limit_conn`).
    Admission,
    /// The end of an `Auth-Wait`.
    Penalty,
    /// The backend's connection and login (`timeout`).
    Backend,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_milliseconds_and_in_whole_seconds() {
        let moment = Instant::from_unix_millis(1_767_225_600_999);
        assert_eq!((moment.unix_millis(), moment.unix_seconds()), (1_767_225_600_999, 1_767_225_600));
    }

    #[test]
    fn time_stops_at_its_end_and_does_not_run_backwards() {
        let (last, first) = (Instant::from_unix_millis(u64::MAX), Instant::from_unix_millis(0));
        assert_eq!(last.after(Duration::from_millis(1)), last);
        assert_eq!(first.after(Duration::MAX), last);
        assert_eq!((last.until(first), first.until(last)), (Duration::ZERO, Duration::from_millis(u64::MAX)));
    }
}
