//! The transcript format: the types a `.ron` file is read into.
//!
//! A step either makes a party do something or says what a party observes next. Strings are [`Octets`], line ends
//! are written. In expectations and in the auth server's headers `${client.ip}`, `${client.port}`, `${listen.ip}`,
//! `${listen.port}`, `${backend.ip}`, `${backend.port}`, `${auth.port}`, `${certificate.sha1}`,
//! `${certificate.sha256}`, `${certificate.pem}` (of the client's, as `Auth-SSL-Cert` has it) and whatever [`SeesSave`] saved
//! stand for their values; `$${` is a literal `${`. The passwords in transcripts are `hunter2` wherever the octets of a
//! password are not themselves the point.

mod check;
mod library;
mod lookup;
mod part;
mod proxy;
mod recorded;
mod sessions;
mod tls;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::octets::Octets;

pub use library::{Library, LoadError};
pub use lookup::{Lookup, LookupAnswer, LookupFailure, LookupQuestion};
pub use part::{Part, Variables, base64_of, expand};
pub use proxy::{Checksum, ProxyV2};
pub use recorded::Recorded;
pub use sessions::{sessions, sessions_folder};
pub use tls::{BackendTls, ClientCertificate, TlsResult, TlsTry};

/// One dialogue between a client, the proxy, the auth server and a backend.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// The file's name without `.ron`; unique.
    pub id: String,
    /// What the file claims.
    pub title: String,
    /// The requirements of `rows.ron` it proves.
    pub rows: Vec<String>,
    /// Free words for selection: `imap`, `literal`, `security`, `nginx-bug`, …
    #[serde(default)]
    pub tags: Vec<String>,
    /// The real client whose session this is, if it is one.
    #[serde(default)]
    pub recorded: Option<Recorded>,
    /// The `server {}` block it needs.
    pub config: Config,
    /// Who can play it.
    pub runners: Vec<Runner>,
    /// What happens.
    pub script: Vec<Step>,
    /// Where a runner does something else on purpose.
    #[serde(default)]
    pub differs: Vec<Differs>,
}

/// The `server {}` block of a transcript. Beyond it every runner provides `server_name mx.test`, a certificate
/// for that name and `auth_http`. Of `resolver` the core takes only that there is one; the answers are steps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `protocol`.
    pub protocol: Protocol,
    /// Where TLS comes in.
    #[serde(default)]
    pub tls: Tls,
    /// More parameters of `listen`: `proxy_protocol`.
    #[serde(default)]
    pub listen: Vec<String>,
    /// More directives, in nginx's syntax, without `;`.
    #[serde(default)]
    pub directives: Vec<String>,
    /// If it is not empty, there is an `upstream backends {}` with so many servers, all of them at the backend's address, and this
    /// behind it: `weight=2`, or nothing.
    #[serde(default)]
    pub upstream: Vec<String>,
    /// Whether there is an auth server at all.
    #[serde(default = "yes")]
    pub auth_http: bool,
    /// How often `auth_http` names the URL of the auth server: where it fails, it is asked once more under the next.
    #[serde(default = "once")]
    pub auth_urls: usize,
}

const fn once() -> usize {
    1
}

const fn yes() -> bool {
    true
}

/// The mail protocol of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Imap,
    Pop3,
    Smtp,
}

/// Where TLS comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Tls {
    /// Nowhere: `starttls off`.
    #[default]
    Off,
    /// `starttls on`.
    StartTls,
    /// `starttls only`.
    Only,
    /// `listen … ssl`.
    Implicit,
}

/// Who can play a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Runner {
    /// `gatepost_core::Session`, without I/O.
    Core,
    /// The `gatepost` program.
    Binary,
    /// nginx with its mail module.
    Nginx,
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "core",
            Self::Binary => "binary",
            Self::Nginx => "nginx",
        })
    }
}

/// One thing a party does, or one thing it observes next.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub enum Step {
    /// Begins a named block that ends at the next mark or with the script.
    Mark(String),

    /// A client connects, the previous one being done unless it is to stay.
    Open(Open),
    /// The client sends.
    Client(Octets),
    /// The client sends what these parts come to.
    ClientExpr(Vec<Part>),
    /// The client receives exactly this next.
    Sees(Octets),
    /// The client receives as many lines as this glob has next, and they match it.
    SeesLike(Octets),
    /// The client receives exactly what these parts come to next.
    SeesExpr(Vec<Part>),
    /// The client receives any number of lines, then one that matches this glob.
    SeesUntil(Octets),
    /// As `SeesLike`, and what the stars stand for is kept.
    SeesSave(SeesSave),
    /// The values saved under these names are all different.
    Distinct(Vec<String>),
    /// The client shakes hands.
    ClientTls(TlsTry),
    /// The client half-closes.
    ClientFin,
    /// The client resets.
    ClientReset,
    /// The proxy ends the client's connection with FIN, behind `close_notify` under TLS.
    ProxyFin,
    /// The proxy ends the client's connection, in whatever way.
    ProxyGone,

    /// The auth server is connected to and gets a request with these headers.
    AuthGets(AuthGets),
    /// The auth server is connected to and gets exactly this request.
    AuthGetsExactly(Octets),
    /// The auth server is connected to and gets exactly the request that these parts come to.
    AuthGetsExpr(Vec<Part>),
    /// The auth server gets exactly this request on the connection that it was asked by before.
    AuthGetsAgain(Octets),
    /// The auth server answers and closes.
    AuthSays(AuthSays),
    /// The auth server sends just these octets and keeps the connection.
    AuthSaysExactly(Octets),
    /// The auth server sends just what these parts come to and keeps the connection.
    AuthSaysExpr(Vec<Part>),
    /// The auth server fails: `Refused` instead of being asked, the others instead of answering.
    AuthFails(Failure),

    /// The proxy connects to the backend the auth server named.
    BackendOpens,
    /// The backend fails: `Refused` and `Timeout` instead of opening, `Eof` then or later.
    BackendFails(Failure),
    /// The backend receives exactly this next.
    BackendGets(Octets),
    /// The backend receives as many lines as this glob has next, and they match it.
    BackendGetsLike(Octets),
    /// The backend receives exactly what these parts come to next.
    BackendGetsExpr(Vec<Part>),
    /// The backend sends.
    BackendSays(Octets),
    /// The proxy asks the backend for TLS, and this comes of it. On sockets the backend's certificate is for `mx.test`, and
    /// trusted.
    BackendTls(BackendTls),
    /// The backend half-closes.
    BackendFin,
    /// The backend sees the proxy's FIN.
    BackendSeesFin,

    /// The proxy asks the DNS, and is answered or left waiting.
    Resolver(Lookup),

    /// So many milliseconds pass; the next steps say what happened.
    Wait(u64),
    /// So many milliseconds pass and nothing happens.
    Quiet(u64),
    /// What the operator does.
    Operator(Signal),
    /// From the last mark up to here this has not happened.
    Never(Vec<Incident>),
    /// From the last mark up to here the log got a line that matches this glob.
    Logs(Octets),
}

/// A client's connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Open {
    /// Where the client comes from, `ADDRESS:PORT`. For the core alone; sockets come from loopback.
    pub from: Option<String>,
    /// Whether the previous client stays, of which nothing more is heard then, nor of its backend.
    pub besides: bool,
}

/// Lines whose stars are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeesSave {
    /// The glob.
    pub like: Octets,
    /// A name for each of its stars, in order.
    pub save: Vec<String>,
    /// Whether what the stars stand for is base64, and its decoding is to be kept.
    #[serde(default)]
    pub base64: bool,
}

/// What of a request to the auth server matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthGets {
    /// Headers that are present, with these values (globs).
    pub has: BTreeMap<String, Octets>,
    /// Headers that are absent.
    pub hasnt: Vec<String>,
}

/// What the auth server answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSays {
    /// The HTTP status.
    #[serde(default = "two_hundred")]
    pub status: u16,
    /// Names and values, in this order.
    #[serde(default)]
    pub headers: Vec<(String, Octets)>,
    /// Whether `Auth-Status: OK` and the address of the backend come before them.
    #[serde(default)]
    pub ok: bool,
}

fn two_hundred() -> u16 {
    200
}

/// How a server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Failure {
    /// It does not accept the connection.
    Refused,
    /// It says nothing any more.
    Timeout,
    /// It closes.
    Eof,
}

/// What the operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Signal {
    /// Asks the process to end. For the core alone: to a process it is a matter of signals.
    Drain,
}

/// Something that can be said not to have happened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum Incident {
    /// The auth server was asked.
    AuthRequest,
    /// The backend was connected to.
    BackendConnect,
    /// The client received something.
    BytesToClient,
    /// The log got a line that matches this glob.
    Log(Octets),
}

/// Where one runner does something else on purpose.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differs {
    /// Which.
    pub runner: Runner,
    /// In which versions: `<1.29.2`, `>=1.22 <1.27.3`; all if absent.
    #[serde(default)]
    pub version: Option<String>,
    /// The block whose steps are replaced.
    pub block: String,
    /// What they are replaced with.
    pub instead: Vec<Step>,
    /// Whether the script ends with the block.
    #[serde(default)]
    pub stop: bool,
    /// The keys of `divergences.ron` that explain it.
    pub why: Vec<String>,
}

impl Transcript {
    /// By what a runner with a real clock divides every duration: 20, or 1 where whole seconds are the smallest unit
    /// (`Auth-Wait`) or where no time passes at all.
    #[must_use]
    pub fn haste(&self) -> u32 {
        let passes = |step: &Step| matches!(step, Step::Wait(_) | Step::Quiet(_));
        let in_seconds = |step: &Step| match step {
            Step::AuthSays(says) => {
                says.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("auth-wait"))
            }
            _ => false,
        };
        match self.steps().any(passes) && !self.steps().any(in_seconds) {
            true => 20,
            false => 1,
        }
    }

    /// Every step of the file, those of the differences included.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.script.iter().chain(self.differs.iter().flat_map(|differs| &differs.instead))
    }
}
