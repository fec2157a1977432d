//! What the clients are told to do, a line of JSON each, and what they say when it is done.

use serde::{Deserialize, Serialize};

use crate::door::Door;

/// Which way a relay carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    /// From the backend to the client.
    Down,
    Up,
}

/// Work for the clients.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Logs in `count` times, `at_once` at a time, each asking the backend who it is, and leaves.
    LogIn { door: Door, count: u32, at_once: u32 },
    /// Logs in until `count` sessions are held.
    Hold { door: Door, count: u32 },
    /// As [`Job::Hold`], but never gets as far as a login: an octet a second.
    Dribble { door: Door, count: u32 },
    /// Lets go of every session that is held; those that logged in say goodbye.
    Release,
    /// Carries `octets` over each of `streams` sessions at once.
    Relay { door: Door, way: Way, octets: u64, streams: u32 },
    /// Sends `count` messages of 64 octets, `per_second` of them, and waits for each to come back. Straight to the backend
    /// if `direct`.
    Echo { door: Door, direct: bool, count: u32, per_second: u32 },
}

/// A job that is done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    /// How long one login or one echo took, the middle one of all, in microseconds.
    pub(crate) median_us: f64,
    /// TLS handshakes that resumed a session.
    pub(crate) resumed: u32,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
}

/// Where a server of ours listens, said when it does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) ports: [u16; 3],
}
