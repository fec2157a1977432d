//! The configuration: from the text of an `nginx.conf` to what the process runs on.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use gatepost_core::Policy;
use gatepost_core::report::Level;

/// Everything a process needs to know, every name resolved and every file read.
#[derive(Debug)]
pub struct Config {
    /// `worker_processes`: how many threads serve clients.
    pub worker_processes: NonZeroUsize,
    /// `error_log` of the main level: for lines that belong to no server.
    pub logs: Arc<[LogTarget]>,
    /// The `server {}` blocks of `mail {}`, in order.
    pub servers: Vec<Server>,
}

/// One `server {}`.
#[derive(Debug)]
pub struct Server {
    /// What it asks of a session.
    pub policy: Arc<Policy>,
    /// Its certificates and the rest of TLS; present if any listener has `ssl` or `starttls` is not off.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Its `error_log`s, inherited ones included.
    pub logs: Arc<[LogTarget]>,
    /// Its `listen`s, names expanded to addresses.
    pub listeners: Vec<Listener>,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// The same as a log line shows it: `0.0.0.0:143`, `[::]:993`.
    pub text: Arc<str>,
    /// `ssl`: TLS from the first octet.
    pub tls_first: bool,
    /// `backlog=`; nginx's default is 511.
    pub backlog: i32,
    /// `ipv6only=`; on unless said otherwise. Without meaning for IPv4.
    pub ipv6_only: bool,
}

/// One `error_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// Where the lines go.
    pub sink: LogSink,
    /// Lines of this level and more severe ones are written.
    pub level: Level,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}
