//! What operators hear: nginx's log lines, word for word, as data (logging.md, decision 28).
//!
//! A [`Report`] prints as everything of a line from the message on. Time, level, process and connection number
//! belong to whoever writes the log. Text that came from a peer is escaped (divergences S4) and no report holds octets
//! of a command that can carry a password (S5).

mod auth_fault;
mod escaped;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::event::{ResolveError, SystemError, VerifyError};
use crate::limits::LIMIT_KEY_BYTES_MAX;
use crate::policy::{LimitKey, Mechanism};
use crate::sasl;
use crate::wire::Address;

pub use auth_fault::AuthFault;
use escaped::{Escaped, Quoted};

/// One line of the log: what happened, and in which circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub notice: Notice,
    /// In which circumstances.
    pub context: Context,
}

impl Report {
    /// How much it matters; `error_log` filters by this.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.notice.level()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { notice, context } = self;
        if let Notice::Connected { remote } = notice {
            return write!(f, "client {remote} connected to {}", context.listener);
        }
        notice.fmt(f)?;
        match (notice, context.activity) {
            (Notice::LoggedIn | Notice::RelayDone | Notice::AccessForbidden, _) | (_, None) => {}
            (_, Some(activity)) => write!(f, " while {activity}")?,
        }
        context.fmt(f)
    }
}

/// The severities of `error_log`, least severe first, as nginx spells them in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only of use to whoever reads the code beside it.
    Debug,
    /// Something a client did, or that went as it should.
    Info,
    /// The life of the process.
    Notice,
    /// Worth a look.
    Warn,
    /// A login that could not be served, though the client did nothing wrong.
    Error,
    /// Something the operator has to mend.
    Crit,
    /// We are broken.
    Alert,
    /// We cannot go on.
    Emerg,
}

impl Level {
    /// `debug`, `info`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Crit => "crit",
            Self::Alert => "alert",
            Self::Emerg => "emerg",
        }
    }
}

/// What stands behind every message of a session: who, where, on whose behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// What the session was doing (` while …`).
    pub activity: Option<Activity>,
    /// The client.
    pub client: Address,
    /// Whether STARTTLS was accepted (` using starttls`); not said of a listener with `ssl`.
    pub starttls: bool,
    /// The listener's address in canonical form: `0.0.0.0:143`, `[::]:993`, `unix:/path`.
    pub listener: Arc<str>,
    /// Whose mailbox, once a name was heard.
    pub login: Option<Arc<[u8]>>,
    /// The backend, once one was chosen.
    pub upstream: Option<Address>,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", client: {}", self.client.host())?;
        if self.starttls {
            f.write_str(" using starttls")?;
        }
        write!(f, ", server: {}", self.listener)?;
        if let Some(login) = &self.login {
            write!(f, ", login: {}", Quoted(login))?;
        }
        match &self.upstream {
            None => Ok(()),
            // nginx writes address and port as the auth server gave them, hence no brackets.
            Some(Address::Inet(at)) => write!(f, ", upstream: {}:{}", at.ip(), at.port()),
            Some(unix) => write!(f, ", upstream: {unix}"),
        }
    }
}

/// What a session was doing; the last one that was begun (logging.md section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the text below says what each is")]
pub enum Activity {
    ReadingProxyHeader,
    SslHandshaking,
    SendingGreeting,
    ResolvingAddress,
    ResolvingName,
    GreetingDelay,
    StartTls,
    Auth,
    HttpAuth,
    ConnectingToUpstream,
    UpstreamHandshake,
    ReadingUpstream,
    SendingStartTls,
    SendingCapability,
    SendingLogin,
    SendingUser,
    SendingPassword,
    SendingHelo,
    SendingXclient,
    SendingClientHelo,
    SendingAuth,
    SendingMail,
    SendingRcpt,
    ProxyingReadingClient,
    ProxyingSendingUpstream,
    ProxyingReadingUpstream,
    ProxyingSendingClient,
    Proxying,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadingProxyHeader => "reading PROXY protocol",
            Self::SslHandshaking => "SSL handshaking",
            Self::SendingGreeting => "sending client greeting line",
            Self::ResolvingAddress => "in resolving client address",
            Self::ResolvingName => "in resolving client hostname",
            Self::GreetingDelay => "in delay pipelining state",
            Self::StartTls => "in starttls state",
            Self::Auth => "in auth state",
            Self::HttpAuth => "in http auth state",
            Self::ConnectingToUpstream => "connecting to upstream",
            Self::UpstreamHandshake => "SSL handshaking to upstream",
            Self::SendingStartTls => "sending STARTTLS to upstream",
            Self::SendingCapability => "sending CAPABILITY to upstream",
            Self::ReadingUpstream => "reading response from upstream",
            Self::SendingLogin => "sending LOGIN command to upstream",
            Self::SendingUser => "sending user name to upstream",
            Self::SendingPassword => "sending password to upstream",
            Self::SendingHelo => "sending HELO/EHLO to upstream",
            Self::SendingXclient => "sending XCLIENT to upstream",
            Self::SendingClientHelo => "sending client HELO/EHLO to upstream",
            Self::SendingAuth => "sending AUTH to upstream",
            Self::SendingMail => "sending MAIL FROM to upstream",
            Self::SendingRcpt => "sending RCPT TO to upstream",
            Self::ProxyingReadingClient => "proxying and reading from client",
            Self::ProxyingSendingUpstream => "proxying and sending to upstream",
            Self::ProxyingReadingUpstream => "proxying and reading from upstream",
            Self::ProxyingSendingClient => "proxying and sending to client",
            Self::Proxying => "proxying",
        })
    }
}

/// What happened (logging.md section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A client came. The only line without a context behind it.
    Connected {
        /// The TCP peer, with its port.
        remote: Address,
    },
    /// The relay begins.
    LoggedIn,
    /// The relay ended because both sides were done.
    RelayDone,
    /// The client ran out of time.
    ClientTimedOut,
    /// The client hung up while something was under way for it.
    ClientClosed,
    /// The client's connection failed.
    ClientFailed(SystemError),
    /// The process is ending and took this session with it, at once or after `worker_shutdown_timeout`.
    ShutDown,
    /// A command longer than its buffer. Never its arguments (S5).
    CommandTooLong {
        /// Its first word, as far as that is one.
        word: Vec<u8>,
        /// How many octets of it count: no more than its bound, so that the line is the same however they came.
        octets: usize,
    },
    /// `max_errors`.
    TooManyInvalidCommands,
    /// `max_commands`.
    TooManyCommands,
    /// Another protocol's first words.
    ForeignProtocol(ForeignProtocol),
    /// Octets came behind STARTTLS before the handshake (decision 8).
    DataBehindStartTls,
    /// A SASL line that is not base64.
    InvalidBase64(Mechanism),
    /// A SASL response without, or with an impossible, user name.
    InvalidLogin(Mechanism),
    /// A SASL response without, or with an impossible, password.
    InvalidPassword(Mechanism),
    /// A SASL response without, or with an impossible, token.
    InvalidToken(Mechanism),
    /// An OAUTHBEARER response that says it is for another host or port (RFC 7628 section 3.2); empty where it does not say,
    /// or says what none can be and may be a secret in the wrong place.
    MeantForAnother {
        /// The host as sent.
        host: Vec<u8>,
        /// The port as sent.
        port: Vec<u8>,
    },
    /// A CRAM-MD5 response whose digest is not 32 hexadecimal digits.
    InvalidDigest,
    /// SMTP MAIL without a login. The line, CR and LF as `_`.
    MailRejected(Vec<u8>),
    /// A client that spoke before `smtp_greeting_delay` was over.
    RejectedBeforeGreeting {
        /// Its first word, as far as that is one.
        word: Vec<u8>,
    },
    /// The auth server said no. The line for fail2ban.
    LoginFailed {
        /// `Auth-Status` as the auth server sent it.
        text: Vec<u8>,
    },
    /// `Auth-Error-Code` does not fit the protocol's grammar and was left out (decision 2).
    InvalidErrorCode {
        /// The auth server's address.
        server: Address,
        /// The code as sent.
        code: Vec<u8>,
    },
    /// `limit_conn`: there is no place for this session.
    Limiting {
        /// The zone in which there is none.
        zone: Arc<str>,
        /// Whether the session goes on all the same (`limit_conn_dry_run`).
        dry_run: bool,
        /// `limit_conn_log_level`.
        level: Level,
    },
    /// A zone of `limit_conn_zone` has no memory for another key.
    LimitNoMemory {
        /// Its name.
        zone: Arc<str>,
        /// Whether the session goes on all the same (`limit_conn_dry_run`).
        dry_run: bool,
    },
    /// The session is not counted in a zone, for what it would be counted by is longer than
    /// [`LIMIT_KEY_BYTES_MAX`].
    LimitKeyTooLong {
        /// What that zone counts by.
        key: LimitKey,
        /// What that is in this session, if it may be shown.
        value: Option<Vec<u8>>,
    },
    /// The auth server could not be reached, or its connection failed.
    AuthFailed(SystemError),
    /// `auth_http_timeout`.
    AuthTimedOut {
        /// The auth server's address.
        server: Address,
    },
    /// TLS with the auth server could not be agreed on.
    AuthHandshakeFailed {
        /// The auth server's address.
        server: Address,
        /// The TLS library's reason.
        reason: Arc<str>,
    },
    /// TLS with the auth server broke after the handshake.
    AuthTlsFailed {
        /// The auth server's address.
        server: Address,
        /// The TLS library's reason.
        reason: Arc<str>,
    },
    /// The auth server's answer made no sense.
    AuthAnswer {
        /// The auth server's address.
        server: Address,
        /// What was wrong with it.
        fault: AuthFault,
    },
    /// `timeout` passed before the backend had logged the user in.
    UpstreamTimedOut,
    /// Every server of an `upstream {}` was tried, or is down or full.
    NoLiveUpstreams {
        /// The group's name.
        name: Arc<str>,
    },
    /// The auth server named a backend, and `proxy_pass` another, which counts.
    AuthServerIgnored,
    /// The backend could not be reached, or its connection failed.
    UpstreamFailed(SystemError),
    /// The backend hung up during the login.
    UpstreamClosed,
    /// The backend answered something that does not go on from here.
    UpstreamRefused {
        /// Its reply.
        reply: Vec<u8>,
        /// Whether the client was shown it, which makes it the client's affair.
        passed_on: bool,
    },
    /// The backend's reply is longer than `proxy_buffer`.
    UpstreamTooLong {
        /// As much of it as came.
        reply: Vec<u8>,
    },
    /// What the client gave cannot be put as its mechanism puts a token (`proxy_oauth`).
    TokenUnfit,
    /// `proxy_smtp_auth` without a password to give.
    NoPassword,
    /// The client's address has no name to be found.
    AddressUnresolved {
        /// The address.
        address: IpAddr,
        /// Why not.
        error: ResolveError,
    },
    /// The client's name has no addresses to be found.
    NameUnresolved {
        /// The name.
        name: Arc<str>,
        /// Why not.
        error: ResolveError,
    },
    /// The client's address has a name that no host can have.
    InvalidHostName {
        /// The address.
        address: IpAddr,
        /// The name.
        name: Vec<u8>,
    },
    /// A backend is to be spoken to under TLS, and our configuration has not got what that takes. Nobody is connected.
    UpstreamTlsImpossible(TlsLack),
    /// The TLS handshake with the backend did not succeed.
    UpstreamHandshakeFailed {
        /// The TLS library's reason.
        reason: Arc<str>,
    },
    /// TLS with the backend broke after the handshake.
    UpstreamTlsFailed {
        /// The TLS library's reason.
        reason: Arc<str>,
    },
    /// The backend sent octets between agreeing to STARTTLS and the handshake (divergences S3).
    UpstreamDataBehindStartTls,
    /// What should be a PROXY header is none; its first line as far as it came.
    ProxyHeaderBroken(Vec<u8>),
    /// A PROXY header of an unknown version.
    ProxyHeaderVersion(u8),
    /// A PROXY header longer than any.
    ProxyHeaderTooLarge,
    /// The client's address is one that `deny` names.
    AccessForbidden,
    /// The client's certificate does not verify.
    CertificateInvalid(VerifyError),
    /// The client showed no certificate where one is required.
    CertificateMissing,
    /// The TLS handshake did not succeed.
    HandshakeFailed {
        /// The TLS library's reason.
        reason: Arc<str>,
    },
    /// The client went away during the TLS handshake.
    HandshakeClosed,
    /// TLS broke after the handshake.
    TlsFailed {
        /// The TLS library's reason.
        reason: Arc<str>,
    },
}

/// What TLS to a backend takes and a configuration may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsLack {
    /// Nothing is said of `proxy_ssl`, and the auth server wants TLS (`Auth-Server-TLS`).
    Unconfigured,
    /// A backend on a UNIX socket has no address that its certificate could be for, and there is no `proxy_ssl_name`.
    Name,
}

impl fmt::Display for TlsLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unconfigured => "TLS to backends is not configured: \"proxy_ssl\" is missing",
            Self::Name => {
                "TLS to a backend on a UNIX socket is not configured: \"proxy_ssl_name\" is missing"
            }
        })
    }
}

impl Notice {
    /// nginx's level for it.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::DataBehindStartTls | Self::InvalidErrorCode { .. } => Level::Warn,
            Self::AuthAnswer { fault, .. } => fault.level(),
            Self::Limiting { level, .. } => *level,
            Self::LimitNoMemory { .. } => Level::Crit,
            Self::UpstreamRefused { passed_on, .. } => match passed_on {
                true => Level::Info,
                false => Level::Error,
            },
            Self::AuthFailed(_)
            | Self::AuthTimedOut { .. }
            | Self::AuthHandshakeFailed { .. }
            | Self::AuthTlsFailed { .. }
            | Self::NoLiveUpstreams { .. }
            | Self::LimitKeyTooLong { .. }
            | Self::UpstreamFailed(_)
            | Self::UpstreamClosed
            | Self::UpstreamTooLong { .. }
            | Self::NoPassword
            | Self::AddressUnresolved { .. }
            | Self::NameUnresolved { .. }
            | Self::InvalidHostName { .. }
            | Self::UpstreamTlsImpossible(_)
            | Self::UpstreamHandshakeFailed { .. }
            | Self::UpstreamTlsFailed { .. }
            | Self::UpstreamDataBehindStartTls
            | Self::ProxyHeaderBroken(_)
            | Self::ProxyHeaderVersion(_)
            | Self::ProxyHeaderTooLarge
            | Self::AccessForbidden => Level::Error,
            _ => Level::Info,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { remote } => write!(f, "client {remote} connected"),
            Self::LoggedIn => f.write_str("client logged in"),
            Self::RelayDone => f.write_str("proxied session done"),
            Self::ClientTimedOut => f.write_str("client timed out (110: Connection timed out)"),
            Self::ClientClosed => f.write_str("client closed connection"),
            Self::ClientFailed(error) | Self::AuthFailed(error) | Self::UpstreamFailed(error) => error.fmt(f),
            Self::ShutDown => f.write_str("shutdown timeout"),
            Self::CommandTooLong { word, octets } => {
                write!(f, "client sent too long command \"{} ...\" ({octets} octets)", Escaped(word))
            }
            Self::TooManyInvalidCommands => f.write_str("client sent too many invalid commands"),
            Self::TooManyCommands => f.write_str("client sent too many commands"),
            Self::ForeignProtocol(which) => write!(f, "client sent {which}"),
            Self::DataBehindStartTls => f.write_str("client sent data behind STARTTLS"),
            Self::InvalidBase64(mechanism) => {
                write!(f, "client sent invalid base64 encoding in AUTH {} command", sasl::name(*mechanism))
            }
            Self::InvalidLogin(mechanism) => {
                write!(f, "client sent invalid login in AUTH {} command", sasl::name(*mechanism))
            }
            Self::InvalidPassword(mechanism) => {
                write!(f, "client sent invalid password in AUTH {} command", sasl::name(*mechanism))
            }
            Self::InvalidToken(mechanism) => {
                write!(f, "client sent invalid token in AUTH {} command", sasl::name(*mechanism))
            }
            Self::MeantForAnother { host, port } => {
                write!(
                    f,
                    "client meant host {} port {} in AUTH OAUTHBEARER command",
                    Quoted(host),
                    Quoted(port)
                )
            }
            Self::InvalidDigest => f.write_str("client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command"),
            Self::MailRejected(line) => write!(f, "client was rejected: {}", Quoted(line)),
            Self::RejectedBeforeGreeting { word } => {
                write!(f, "client was rejected before greeting: \"{} ...\"", Escaped(word))
            }
            Self::LoginFailed { text } => write!(f, "client login failed: {}", Quoted(text)),
            Self::InvalidErrorCode { server, code } => {
                write!(f, "auth http server {server} sent invalid error code:{}", Quoted(code))
            }
            Self::AuthTimedOut { server } => {
                write!(f, "auth http server {server} timed out (110: Connection timed out)")
            }
            Self::AuthHandshakeFailed { server, reason } => {
                let reason = Escaped(reason.as_bytes());
                write!(f, "auth http server {server}: SSL_do_handshake() failed (SSL: {reason})")
            }
            Self::AuthTlsFailed { server, reason } => {
                let reason = Escaped(reason.as_bytes());
                write!(f, "auth http server {server}: SSL_read() failed (SSL: {reason})")
            }
            Self::AuthAnswer { server, fault } => write!(f, "auth http server {server} {fault}"),
            Self::UpstreamTimedOut => f.write_str("upstream timed out (110: Connection timed out)"),
            Self::NoLiveUpstreams { name } => {
                write!(f, "no live upstreams in {}", Quoted(name.as_bytes()))
            }
            Self::Limiting { zone, dry_run, level: _ } => {
                let dry_run = if *dry_run { ", dry run," } else { "" };
                write!(f, "limiting connections{dry_run} by zone {}", Quoted(zone.as_bytes()))
            }
            Self::LimitNoMemory { zone, dry_run } => {
                let dry_run = if *dry_run { ", dry run," } else { "" };
                write!(f, "no memory{dry_run} in limit_conn_zone {}", Quoted(zone.as_bytes()))
            }
            Self::LimitKeyTooLong { key, value } => {
                write!(f, "the value of the \"{key}\" key is more than {LIMIT_KEY_BYTES_MAX} bytes")?;
                value.as_ref().map_or(Ok(()), |value| write!(f, ": {}", Quoted(value)))
            }
            Self::AuthServerIgnored => f.write_str("auth server address ignored, \"proxy_pass\" is set"),
            Self::UpstreamClosed => f.write_str("upstream prematurely closed connection"),
            Self::UpstreamRefused { reply, .. } => {
                write!(f, "upstream sent invalid response: {}", Quoted(reply))
            }
            Self::UpstreamTooLong { reply } => {
                write!(f, "upstream sent too long response line: {}", Quoted(reply))
            }
            Self::TokenUnfit => f.write_str("client sent a token that does not fit into its mechanism"),
            Self::NoPassword => f.write_str("no password available"),
            Self::AddressUnresolved { address, error } => {
                write!(f, "{address} could not be resolved {error}")
            }
            Self::NameUnresolved { name, error } => {
                write!(f, "{} could not be resolved {error}", Quoted(name.as_bytes()))
            }
            Self::InvalidHostName { address, name } => {
                write!(f, "{address} resolved to invalid host name {}", Quoted(name))
            }
            Self::UpstreamTlsImpossible(lack) => lack.fmt(f),
            Self::UpstreamHandshakeFailed { reason } => {
                write!(f, "SSL_do_handshake() failed (SSL: {})", Escaped(reason.as_bytes()))
            }
            Self::UpstreamDataBehindStartTls => f.write_str("upstream sent data behind STARTTLS"),
            Self::ProxyHeaderBroken(line) => write!(f, "broken header: {}", Quoted(line)),
            Self::ProxyHeaderVersion(version) => write!(f, "unknown PROXY protocol version: {version}"),
            Self::ProxyHeaderTooLarge => f.write_str("header is too large"),
            Self::AccessForbidden => f.write_str("access forbidden by rule"),
            Self::CertificateInvalid(error) => write!(f, "client SSL certificate verify error: {error}"),
            Self::CertificateMissing => f.write_str("client sent no required SSL certificate"),
            Self::HandshakeFailed { reason } => {
                write!(f, "SSL_do_handshake() failed (SSL: {})", Escaped(reason.as_bytes()))
            }
            Self::HandshakeClosed => f.write_str("peer closed connection in SSL handshake"),
            Self::UpstreamTlsFailed { reason } | Self::TlsFailed { reason } => {
                write!(f, "SSL_read() failed (SSL: {})", Escaped(reason.as_bytes()))
            }
        }
    }
}

/// A protocol that has no business on a mail port (decision 16; the ALPACA paper).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignProtocol {
    /// An HTTP request line.
    Http,
    /// A TLS ClientHello on a port that begins in plaintext.
    Tls,
}

impl fmt::Display for ForeignProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "an HTTP request",
            Self::Tls => "a TLS handshake to a plaintext port",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_nginxs_level() {
        let server = || Address::Unix("/run/auth".into());
        let answer = |fault| Notice::AuthAnswer { server: server(), fault };
        let refused = |passed_on| Notice::UpstreamRefused { reply: Vec::new(), passed_on };
        for (notice, level) in [
            (Notice::LoggedIn, Level::Info),
            (refused(true), Level::Info),
            (Notice::DataBehindStartTls, Level::Warn),
            (Notice::InvalidErrorCode { server: server(), code: Vec::new() }, Level::Warn),
            (answer(AuthFault::OddStatus(404)), Level::Warn),
            (answer(AuthFault::InvalidSaslError), Level::Warn),
            (answer(AuthFault::LongWait(601)), Level::Warn),
            (answer(AuthFault::Closed), Level::Error),
            (refused(false), Level::Error),
            (Notice::UpstreamClosed, Level::Error),
        ] {
            assert_eq!(notice.level(), level, "{notice:?}");
        }
    }
}
