//! Where a transcript comes from that nobody wrote: the real client whose session it is, and how to have it once more.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::octets::Octets;

/// A real client, and how it was called. In `command` and in `files` these stand for what differs from run to run: `${port}`
/// is where the proxy is, on 127.0.0.1; `${certificate}` is a file with the certificate to trust, which is for `localhost`,
/// `127.0.0.1` and `mx.test`; `${home}` is an empty directory with `files` in it; `${scripts}` is where the scripts are
/// that the tests drive Python's libraries with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The client's name.
    pub client: String,
    /// What it said its version was; the recorder puts it in.
    #[serde(default)]
    pub version: String,
    /// Who made the program that ran: a package, a site.
    pub origin: String,
    /// The mail server behind the proxy, if the session came that far; the recorder puts it in.
    #[serde(default)]
    pub server: String,
    /// When, as `2026-11-21`; the recorder puts it in.
    #[serde(default)]
    pub day: String,
    /// Program and arguments; nothing for a client that somebody works by hand.
    pub command: Vec<String>,
    /// Names and texts of what the client finds in its home.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// What it reads from its standard input.
    #[serde(default)]
    pub input: Octets,
    /// The exit code with which it ends.
    #[serde(default)]
    pub code: i32,
    /// How many seconds the auth server has a client wait that it refuses; 0 ends the session.
    #[serde(default)]
    pub auth_wait: u32,
    /// Whether it wants a terminal.
    #[serde(default)]
    pub terminal: bool,
}
