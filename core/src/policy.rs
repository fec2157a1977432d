//! What a `server {}` block asks of a session, typed. Texts are already checked by whoever made the policy:
//! nothing in here holds CR, LF or NUL.

mod access;
mod limits;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::action::{Group, Guest, Target};
use crate::limits::RESOLVE_TIMEOUT;

pub use self::access::{Access, Peers, Verdict};
pub use self::limits::{ConnLimit, ConnLimits, LimitKey, Rate};

/// The mail protocol of a listener (`protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// IMAP4rev1, RFC 3501.
    Imap,
    /// POP3, RFC 1939.
    Pop3,
    /// SMTP and message submission, RFC 5321 and RFC 6409.
    Smtp,
}

impl Protocol {
    /// All that there are, built or not.
    pub const ALL: [Self; 3] = [Self::Imap, Self::Pop3, Self::Smtp];

    /// Whether this build speaks it: its cargo feature is on.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Imap => cfg!(feature = "imap"),
            Self::Pop3 => cfg!(feature = "pop3"),
            Self::Smtp => cfg!(feature = "smtp"),
        }
    }

    /// The word of `protocol`, of `Auth-Protocol`, and of ALPN: `imap`, `pop3`, `smtp`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Smtp => "smtp",
        }
    }
}

/// `starttls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartTls {
    /// Not offered.
    #[default]
    Off,
    /// Offered.
    On,
    /// Offered, and nothing secret is taken without TLS.
    Only,
}

/// `proxy_ssl`: whether the way to a backend is under TLS. Never a credential before it is up (decision 26).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackendTls {
    /// In clear.
    #[default]
    Off,
    /// From the first octet.
    On,
    /// By the protocol's own command, without which there is no login.
    StartTls,
}

/// What a backend is told of the client before its protocol begins (`proxy_protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Nothing.
    #[default]
    Off,
    /// A PROXY header of version 1.
    V1,
    /// A PROXY header of version 2.
    V2,
}

/// `ssl_verify_client`. The handshake goes on whatever the certificate; what it leads to is said in the mail protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyClient {
    /// No certificate is asked for.
    #[default]
    Off,
    /// One must be shown, and verify.
    On,
    /// One that is shown must verify.
    Optional,
    /// One that is shown need not lead to a known authority.
    OptionalNoCa,
}

/// How a client may prove who it is: the words of `imap_auth`, `pop3_auth` and `smtp_auth`. The order here is the
/// order in which capability lists name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// SASL PLAIN, RFC 4616.
    Plain,
    /// SASL LOGIN, draft-murchison-sasl-login-00.
    Login,
    /// SASL CRAM-MD5, RFC 2195.
    CramMd5,
    /// SASL EXTERNAL, RFC 4422 appendix A: the client certificate speaks.
    External,
    /// SASL XOAUTH2, Google's and Microsoft's forerunner of OAUTHBEARER.
    XOauth2,
    /// SASL OAUTHBEARER, RFC 7628.
    OauthBearer,
    /// POP3's own APOP, RFC 1939 section 7: a command rather than a SASL mechanism, chosen in the same list.
    Apop,
}

/// A set of mechanisms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mechanisms(u8);

impl Mechanisms {
    /// None at all.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// This set and `mechanism`.
    #[must_use]
    pub const fn with(self, mechanism: Mechanism) -> Self {
        Self(self.0 | 1 << mechanism as u8)
    }

    /// Whether `mechanism` is in the set.
    #[must_use]
    pub const fn has(self, mechanism: Mechanism) -> bool {
        self.0 & 1 << mechanism as u8 != 0
    }
}

/// What one `server {}` asks for. Shared by its sessions and never changed; a reload makes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `protocol`.
    pub protocol: Protocol,
    /// `server_name`.
    pub server_name: Box<str>,
    /// `starttls`.
    pub starttls: StartTls,
    /// `ssl_verify_client`.
    pub verify_client: VerifyClient,
    /// `set_real_ip_from`: whose PROXY headers are believed.
    pub real_ip_from: Vec<Peers>,
    /// `allow` and `deny`, in their order.
    pub access: Access,
    /// `limit_conn` and what belongs to it.
    pub conn_limits: ConnLimits,
    /// `limit_rate` and `limit_rate_after`. The driver's business.
    pub rate: Rate,
    /// `timeout`: from the greeting to the command that authenticates, and again for the backend's login.
    pub timeout: Duration,
    /// `smtp_greeting_delay`.
    pub greeting_delay: Duration,
    /// `resolver_timeout`, if there is a `resolver` to ask for SMTP clients' names.
    pub resolver_timeout: Option<Duration>,
    /// `max_errors`: the malformed command at which a session ends, at least 1.
    pub errors_max: u32,
    /// `max_commands`: how many well-formed commands may precede a login.
    pub commands_max: u32,
    /// `imap_client_buffer`, `pop3_client_buffer` or `smtp_client_buffer`: the longest command, in octets with its
    /// line end. SASL lines have a limit of their own.
    pub client_buffer_bytes: usize,
    /// `imap_capabilities`, `pop3_capabilities` or `smtp_capabilities`.
    pub capabilities: Vec<Box<str>>,
    /// `imap_auth`, `pop3_auth` or `smtp_auth`.
    pub mechanisms: Mechanisms,
    /// `auth_strict`: whether the mechanisms that are not listed are refused, all of them. Otherwise PLAIN, LOGIN and the
    /// protocols' own ways to give a password are taken unlisted, as by nginx.
    pub auth_strict: bool,
    /// `plaintext_auth`: whether a client that is not on this machine may log in without TLS.
    pub plaintext_auth: bool,
    /// Whether `smtp_auth` has the word `none`: mail is taken without a login.
    pub unauthenticated: bool,
    /// `lingering_close` and what belongs to it. The driver's business.
    pub lingering: Lingering,
    /// `auth_http` and what belongs to it. None: the backend that `proxy_pass` names decides about logins.
    pub auth: Option<AuthServer>,
    /// What to do with the backend.
    pub backend: Backend,
    /// Every `upstream {}` there is: its name, and how many servers it has. The auth server may name them.
    pub upstreams: Arc<BTreeMap<Arc<str>, usize>>,
}

/// How a client is taken leave of. A socket that is closed with unread octets sends RST, which takes away what the client had not read
/// yet; so once it was sent its last, the client is read on for a while and what it sends thrown away (divergences D49).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lingering {
    /// `lingering_close`: whether that is done at all.
    pub close: bool,
    /// `lingering_time`: for how long in all; and how long one side of a relay may be silent once the other has ended.
    pub time: Duration,
    /// `lingering_timeout`: for how long if the client sends nothing.
    pub silence: Duration,
}

impl Default for Lingering {
    fn default() -> Self {
        Self { close: true, time: Duration::from_secs(30), silence: Duration::from_secs(5) }
    }
}

/// The HTTP server that decides about logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthServer {
    /// `auth_http`: where it is asked, in this order, until somebody answers (divergences D2). Never empty.
    pub urls: Vec<AuthUrl>,
    /// `auth_http_timeout`: from connecting to the end of the answer's headers, whatever the number of servers.
    pub timeout: Duration,
    /// `auth_http_keepalive`: how many connections to an address wait for the next question, in each thread. None if 0, and requests
    /// are HTTP/1.0 then; otherwise they are HTTP/1.1 (decision 27). The driver's business but for that.
    pub keepalive: usize,
    /// `auth_http_pass_client_cert`.
    pub pass_client_cert: bool,
    /// `auth_http_header`: names and values, in this order.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// One URL of `auth_http`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthUrl {
    /// Whether TLS comes before the request.
    pub scheme: Scheme,
    /// Where to connect to.
    pub target: Target,
    /// What the `Host` header says: the host as written, without a port.
    pub host: Arc<str>,
    /// The request target, as written.
    pub uri: Arc<str>,
}

/// How an auth server is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// In clear.
    #[default]
    Http,
    /// Under TLS from the first octet (divergences D1).
    Https {
        /// The name that its certificate has to be for: `auth_http_ssl_name`, or the host. None: the name that the server was
        /// chosen by, or the address it is reached at.
        name: Option<Arc<str>>,
    },
}

/// How to log in at the backend and what of it to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `proxy_pass`: which it is, whatever the auth server says.
    pub pass: Option<Target>,
    /// `proxy_connect_timeout`: how long a server may take to connect. Where another may take its place, it must have
    /// greeted by then too, and does not have longer than [`CONNECT_TIMEOUT`](crate::limits::CONNECT_TIMEOUT) if this is none.
    pub connect_timeout: Option<Duration>,
    /// `resolver_timeout`: how long the DNS may take for the name of a backend.
    pub resolve_timeout: Duration,
    /// `proxy_buffer`: the longest reply during the login, in octets.
    pub buffer_bytes: usize,
    /// `proxy_timeout`: how long a relay may be silent. The driver's business.
    pub idle_timeout: Duration,
    /// `so_keepalive`: whether a silent backend is asked if it is still there. The driver's business.
    pub keepalive: bool,
    /// `proxy_pass_error_message`: whether a client sees the backend's own refusal.
    pub pass_error_message: bool,
    /// `proxy_ssl`; the auth server may say otherwise for a user (`Auth-Server-TLS`).
    pub tls: BackendTls,
    /// Whether the driver has what TLS to backends takes: anything is said of `proxy_ssl`. Where not, nobody who needs TLS is connected.
    pub tls_configured: bool,
    /// `proxy_ssl_name`: the name that a backend's certificate has to be for. None: the address it is reached at.
    pub tls_name: Option<Box<str>>,
    /// `proxy_protocol`.
    pub proxy_header: ProxyHeader,
    /// `xclient`: whether an SMTP backend is told who the client is.
    pub xclient: bool,
    /// `proxy_smtp_auth`: whether to log in at an SMTP backend.
    pub smtp_auth: bool,
    /// `proxy_oauth`: whether a token goes to the backend as one, by the client's mechanism; otherwise it goes where passwords do.
    pub oauth: bool,
    /// `proxy_pipelining`: whether what the mail protocol waits for between the steps of a login is only waited for where the backend does
    /// not say that it need not be: IMAP's literals (RFC 7888), and SMTP's MAIL and RCPT (RFC 2920).
    pub pipelining: bool,
}

impl Policy {
    /// nginx's defaults for `protocol`.
    #[must_use]
    pub fn new(protocol: Protocol, server_name: &str, auth: impl Into<Option<AuthServer>>) -> Self {
        let plain = Mechanisms::none().with(Mechanism::Plain);
        let (capabilities, mechanisms): (&[&str], _) = match protocol {
            Protocol::Imap => (&["IMAP4", "IMAP4rev1", "UIDPLUS"], plain),
            Protocol::Pop3 => (&["TOP", "USER", "UIDL"], plain),
            Protocol::Smtp => (&[], plain.with(Mechanism::Login)),
        };
        Self {
            protocol,
            server_name: server_name.into(),
            starttls: StartTls::Off,
            verify_client: VerifyClient::Off,
            real_ip_from: Vec::new(),
            access: Access::default(),
            conn_limits: ConnLimits::default(),
            rate: Rate::default(),
            timeout: Duration::from_secs(60),
            greeting_delay: Duration::ZERO,
            resolver_timeout: None,
            errors_max: 5,
            commands_max: 1000,
            client_buffer_bytes: 4096,
            capabilities: capabilities.iter().map(|&word| word.into()).collect(),
            mechanisms,
            auth_strict: false,
            plaintext_auth: true,
            unauthenticated: false,
            lingering: Lingering::default(),
            auth: auth.into(),
            backend: Backend::default(),
            upstreams: Arc::default(),
        }
    }

    /// The `upstream {}` of this name.
    pub(crate) fn upstream(&self, name: &str) -> Option<Target> {
        let (name, &servers) = self.upstreams.get_key_value(name)?;
        Some(Target::Group(Group { name: name.clone(), servers, guest: Guest::default() }))
    }
}

impl AuthUrl {
    /// `/` at `target`, in clear.
    #[must_use]
    pub fn new(target: Target, host: &str) -> Self {
        Self { scheme: Scheme::Http, target, host: host.into(), uri: "/".into() }
    }
}

impl AuthServer {
    /// The server at `target`, with nginx's defaults: in clear, request target `/`, 60 seconds, no headers.
    #[must_use]
    pub fn new(target: Target, host: &str) -> Self {
        Self::at(Vec::from([AuthUrl::new(target, host)]))
    }

    /// The server at these URLs, with nginx's other defaults.
    #[must_use]
    pub const fn at(urls: Vec<AuthUrl>) -> Self {
        let timeout = Duration::from_secs(60);
        Self { urls, timeout, keepalive: 0, pass_client_cert: false, headers: Vec::new() }
    }
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            pass: None,
            connect_timeout: None,
            resolve_timeout: RESOLVE_TIMEOUT,
            buffer_bytes: 4096,
            idle_timeout: Duration::from_secs(24 * 60 * 60),
            keepalive: false,
            pass_error_message: false,
            tls: BackendTls::Off,
            tls_configured: false,
            tls_name: None,
            proxy_header: ProxyHeader::Off,
            xclient: true,
            smtp_auth: false,
            oauth: false,
            pipelining: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mechanism_is_in_a_set_however_often_it_was_put_there() {
        let set = Mechanisms::none().with(Mechanism::Plain).with(Mechanism::Apop).with(Mechanism::Plain);
        assert!(set.has(Mechanism::Plain) && set.has(Mechanism::Apop));
        assert!(!set.has(Mechanism::Login) && !set.has(Mechanism::CramMd5));
    }

    #[test]
    fn a_protocol_is_built_by_the_feature_of_its_name() {
        let built = Protocol::ALL.map(Protocol::is_built);
        assert_eq!(built, [cfg!(feature = "imap"), cfg!(feature = "pop3"), cfg!(feature = "smtp")]);
    }
}
