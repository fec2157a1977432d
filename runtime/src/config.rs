//! The configuration: from the text of an `nginx.conf` to what the process runs on.
//!
//! ```text
//! source -> lex -> tree -> lower (by the table in schema) -> Config
//! files     words  blocks  types                             or a Diagnostic for everything that is wrong
//! ```

mod diagnostic;
mod lex;
mod listener;
mod log_format;
mod lower;
mod process;
mod schema;
mod source;
mod surroundings;
mod syslog;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost_core::Policy;
use gatepost_core::report::Level;

pub use self::diagnostic::{Diagnostic, Excerpt, Place, Severity};
pub use self::listener::{Keepalive, Listener};
#[cfg(test)]
pub(crate) use self::log_format::parse as parse_log_format;
pub use self::log_format::{Escape, LogFormat, Piece, Variable};
pub use self::process::{Affinity, Process, User};
pub use self::surroundings::{Memory, Surroundings, System};
pub use self::syslog::{Severity as SyslogSeverity, Syslog};
use self::{
    diagnostic::Complaints,
    lower::{Ground, Zones},
    source::Sources,
    tree::Rules,
};
use crate::limit_conn;
use crate::pid_file::PidFile;
use crate::resolve;
use crate::tls;
use crate::upstream::Upstreams;
use crate::users::Users;

/// Blocks that belong to other modules of nginx; the same file often serves them.
const OTHER_MODULES: &[&str] = &["http", "stream"];

/// How to read a configuration.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The folder that the main file and the logs are taken from, if they are named by relative paths (`-p`).
    pub prefix: &'a Path,
    /// Directives that come before those of the file (`-g`); complaints about them say `in command line`.
    pub directives: &'a [u8],
    /// Where lines go for which no `error_log` is in force (`-e`); standard error if this says nothing.
    pub error_log: Option<&'a LogSink>,
    /// The machine that is asked for files, addresses and certificates.
    pub surroundings: &'a dyn Surroundings,
}

impl<'a> Options<'a> {
    /// Nothing but what has to be known.
    #[must_use]
    pub const fn new(prefix: &'a Path, surroundings: &'a dyn Surroundings) -> Self {
        Self { prefix, directives: b"", error_log: None, surroundings }
    }
}

/// A configuration that can be run.
#[derive(Debug)]
pub struct Loaded {
    /// What it comes to.
    pub config: Config,
    /// What there is to say about it nevertheless, in nginx's order.
    pub warnings: Vec<Diagnostic>,
    /// The files that were read, in the order of reading, each once, and what they hold.
    pub files: Vec<(PathBuf, Arc<[u8]>)>,
}

/// Reads the configuration at `path` and whatever it names: included files, host names, certificates.
///
/// # Errors
///
/// Everything that is wrong, warnings included, in the order in which nginx would have come upon it.
pub fn load(path: &Path, options: &Options<'_>) -> Result<Loaded, Vec<Diagnostic>> {
    let Options { prefix, directives, error_log, surroundings } = *options;
    let path = prefix.join(path);
    let (mut sources, mut complaints) = (Sources::default(), Complaints::default());
    let rules = Rules { surroundings, skipped: OTHER_MODULES, global: directives };
    let tree = tree::read(&path, rules, &mut sources, &mut complaints);
    let zones = Zones::default();
    let folder = path.parent().unwrap_or(prefix);
    let ground = Ground { surroundings, prefix, folder, error_log, zones: &zones, upstream_names: &[] };
    let config = lower::lower(&tree, ground, &mut complaints);
    let told = complaints.told(&sources);
    match config {
        Some(config) => Ok(Loaded { config, warnings: told, files: sources.into_files() }),
        None => Err(told),
    }
}

/// Everything a process needs to know, every name resolved and every file read.
#[derive(Debug)]
pub struct Config {
    /// `worker_processes`: how many threads serve clients.
    pub worker_processes: NonZeroUsize,
    /// What is asked of the processes.
    pub process: Process,
    /// `pid`: the file with the number of the process.
    pub pid: Pid,
    /// `error_log` of the main level: for lines that belong to no server.
    pub logs: Arc<[LogTarget]>,
    /// Every `limit_conn_zone`, by name.
    pub zones: BTreeMap<Arc<str>, limit_conn::Settings>,
    /// The `server {}` blocks of `mail {}`, in order.
    pub servers: Vec<Server>,
}

/// `pid`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pid {
    /// Nothing is said about it. A process in the foreground, which whoever started it knows, then writes none; who looks
    /// for a process looks at [`crate::pid_file::DEFAULT`].
    #[default]
    Unsaid,
    /// `off`: none.
    Off,
    /// This one.
    File(PidFile),
}

/// One `server {}`.
#[derive(Debug)]
pub struct Server {
    /// What it asks of a session.
    pub policy: Arc<Policy>,
    /// Its certificates and the rest of TLS; present if any listener has `ssl` or `starttls` is not off.
    pub tls: Option<tls::Acceptor>,
    /// How to be a client of backends that speak TLS (`proxy_ssl` and what belongs to it).
    pub backend_tls: Option<Arc<rustls::ClientConfig>>,
    /// How to be a client of auth servers that speak TLS (`auth_http_ssl_*`); present if there are any.
    pub auth_tls: Option<Arc<rustls::ClientConfig>>,
    /// Every `upstream {}` of `mail {}`, as this server's protocol sees it. Servers of one protocol share them.
    pub upstreams: Arc<Upstreams>,
    /// The same as groups of auth servers. All servers share them.
    pub auth_upstreams: Arc<Upstreams>,
    /// `auth_users`: who answers in place of the auth server, if one does.
    pub users: Option<Arc<Users>>,
    /// `resolver`: whom to ask for the names of backends, and of SMTP clients.
    pub resolver: Option<resolve::Settings>,
    /// Its `error_log`s, inherited ones included.
    pub logs: Arc<[LogTarget]>,
    /// Its `access_log`s, inherited ones included.
    pub access_logs: Arc<[AccessTarget]>,
    /// Its `listen`s, names expanded to addresses.
    pub listeners: Vec<Listener>,
}

/// The wildcard of the same family and port, whose socket hears of connections to `address` too.
pub(crate) fn unspecified(address: SocketAddr) -> SocketAddr {
    let wildcard = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(wildcard, address.port())
}

/// One `error_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// Where the lines go.
    pub sink: LogSink,
    /// Lines of this level and more severe ones are written.
    pub level: Level,
    /// `rate=`: how many lines a second, give or take a burst. freenginx limits to 1000 unless told otherwise, nginx does
    /// not; a line that is not there cannot be looked for, so without a word there is no limit.
    pub rate: Option<NonZeroU32>,
}

impl LogTarget {
    /// Without a limit.
    #[must_use]
    pub const fn new(sink: LogSink, level: Level) -> Self {
        Self { sink, level, rate: None }
    }
}

/// One `access_log`: a line for each session, at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTarget {
    /// Where the lines go.
    pub sink: LogSink,
    /// What they are made of.
    pub format: Arc<LogFormat>,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
    /// A syslog server.
    Syslog(Syslog),
}
