//! Where a session takes place: everything in a policy that changes its ways, and how much its peers have to say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{
    Address, AuthServer, AuthUrl, BackendTls, Client, ConnLimit, Instant, LimitKey, Mechanism, Mechanisms,
    Peer, Policy, Protocol, Scheme, StartTls, Target,
};

use crate::doctored::Mistake;

pub(crate) const NOW: Instant = Instant::from_unix_millis(1_767_225_600_000);

/// What comes before the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Plain,
    /// A PROXY header; of SMTP clients the name is looked up too.
    ProxyHeader,
    /// TLS; SMTP clients are kept waiting for the greeting too.
    Tls,
}

/// Who decides about logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decides {
    AuthServer,
    Backend,
}

/// Whether sessions are counted, and when (`limit_conn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Never,
    /// Before the greeting.
    Early,
    /// By the user, once it is known who that is.
    Login,
}

/// One of the settings to explore.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) protocol: Protocol,
    pub(crate) door: Door,
    pub(crate) starttls: StartTls,
    pub(crate) backend_tls: BackendTls,
    pub(crate) decides: Decides,
    /// Whether what a backend offers to take at once is sent at once.
    pub(crate) pipelining: bool,
    /// Whether connections to the auth server are kept for other sessions.
    pub(crate) kept: bool,
    /// Whether the auth server is asked under TLS.
    pub(crate) https: bool,
    pub(crate) counted: Counted,
    /// How many words the client says at most.
    pub(crate) client_words: u8,
    /// How many words the auth server says at most to one request.
    pub(crate) auth_words: u8,
    /// How many words the backends say at most.
    pub(crate) backend_words: u8,
    /// What is wrong with the session, if anything is.
    pub(crate) mistake: Option<Mistake>,
}

impl Setting {
    /// The simplest there is, with as many words as it takes to get in.
    pub(crate) const fn plain(protocol: Protocol) -> Self {
        Self {
            protocol,
            door: Door::Plain,
            starttls: StartTls::Off,
            backend_tls: BackendTls::Off,
            decides: Decides::AuthServer,
            pipelining: false,
            kept: false,
            https: false,
            counted: Counted::Never,
            client_words: 1,
            auth_words: 1,
            backend_words: match protocol {
                Protocol::Imap => 4,
                Protocol::Pop3 => 3,
                Protocol::Smtp => 5,
            },
            mistake: None,
        }
    }

    /// Few words, and of the settings those that differ most.
    pub(crate) fn slice() -> impl Iterator<Item = Self> {
        Protocol::ALL
            .into_iter()
            .flat_map(|protocol| {
                let plain = Self::plain(protocol);
                let starttls = Self { starttls: StartTls::Only, backend_tls: BackendTls::StartTls, ..plain };
                let header = Self { door: Door::ProxyHeader, decides: Decides::Backend, ..plain };
                [plain, starttls.with_words_for_tls(), Self { client_words: 2, ..header }]
            })
            .chain([
                Self { door: Door::Tls, ..Self::plain(Protocol::Smtp) },
                Self { door: Door::Tls, client_words: 2, backend_words: 0, ..Self::plain(Protocol::Pop3) },
                Self { kept: true, auth_words: 2, ..Self::plain(Protocol::Imap) },
                Self { kept: true, https: true, ..Self::plain(Protocol::Smtp) },
                Self { counted: Counted::Login, ..Self::plain(Protocol::Imap) },
                Self { counted: Counted::Early, door: Door::Tls, ..Self::plain(Protocol::Smtp) },
            ])
            .chain(Self::in_one_step(0))
    }

    /// All that the settings of STARTTLS, of the backend's TLS and of who decides can be together, and behind the other doors those that
    /// differ most; two words more from the client than it takes to get in, of which a PROXY header is one. Then logins in one step, all
    /// ways to ask an auth server, and to count.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let mut all = Vec::new();
        for protocol in Protocol::ALL {
            for door in [Door::Plain, Door::ProxyHeader, Door::Tls] {
                for starttls in [StartTls::Off, StartTls::On, StartTls::Only] {
                    for backend_tls in [BackendTls::Off, BackendTls::On, BackendTls::StartTls] {
                        for decides in [Decides::AuthServer, Decides::Backend] {
                            let differs = starttls != StartTls::On && backend_tls == BackendTls::Off;
                            if door == Door::Plain || differs {
                                let plain = Self::plain(protocol);
                                let setting = Self { door, starttls, backend_tls, decides, ..plain }
                                    .with_words_for_tls();
                                all.push(Self { client_words: setting.client_words + 2, ..setting });
                            }
                        }
                    }
                }
            }
        }
        all.extend(Self::in_one_step(1));
        for protocol in Protocol::ALL {
            let plain = Self { client_words: 3, ..Self::plain(protocol) };
            all.extend([
                Self { https: true, ..plain },
                Self { kept: true, auth_words: 2, ..plain },
                Self { kept: true, https: true, ..plain },
                Self { counted: Counted::Early, ..plain },
                Self { counted: Counted::Early, door: Door::ProxyHeader, ..plain },
                Self { counted: Counted::Early, door: Door::Tls, ..plain },
                Self { counted: Counted::Login, ..plain },
                Self { counted: Counted::Login, decides: Decides::Backend, ..plain },
            ]);
        }
        all.into_iter()
    }

    /// Where there is something to be told at once: to IMAP backends a name and a password, to SMTP backends an envelope. With `spare`
    /// words from the client and the backend each, and backends without TLS and, if there are any, with STARTTLS.
    fn in_one_step(spare: u8) -> impl Iterator<Item = Self> {
        [Protocol::Imap, Protocol::Smtp].into_iter().flat_map(move |protocol| {
            let plain = Self { pipelining: true, ..Self::plain(protocol) };
            let enough = match protocol {
                // The greeting, and that it is in.
                Protocol::Imap | Protocol::Pop3 => Self { backend_words: 2, ..plain },
                // An envelope takes two commands, and a reply more than a login.
                Protocol::Smtp => Self { client_words: 2, backend_words: plain.backend_words + 1, ..plain },
            };
            let client_words = enough.client_words + spare;
            let one_step = Self { client_words, backend_words: enough.backend_words + spare, ..enough };
            // Under TLS IMAP backends are asked again what they offer.
            let asked = u8::from(protocol == Protocol::Imap);
            let starttls = Self { backend_tls: BackendTls::StartTls, ..one_step }.with_words_for_tls();
            let starttls = Self { backend_words: starttls.backend_words + asked, ..starttls };
            [one_step, starttls].into_iter().take(if spare > 0 { 2 } else { 1 })
        })
    }

    /// What it has in common with others, in words: the protocol, and where it begins, or what is special about it.
    pub(crate) fn group(self) -> String {
        let what = match self {
            Self { pipelining: true, .. } => "login in one step",
            Self { kept: true, .. } => "auth connections kept",
            Self { https: true, .. } => "auth server under TLS",
            Self { counted: Counted::Early | Counted::Login, .. } => "sessions counted",
            Self { door: Door::Plain, .. } => "plain",
            Self { door: Door::ProxyHeader, .. } => "PROXY header first",
            Self { door: Door::Tls, .. } => "TLS first",
        };
        format!("{}, {what}", self.protocol.name())
    }

    /// With the words more that STARTTLS takes, on either leg.
    pub(crate) const fn with_words_for_tls(self) -> Self {
        let client_words = match self.starttls {
            StartTls::Off => self.client_words,
            StartTls::On | StartTls::Only => self.client_words + 1,
        };
        let more = match (self.backend_tls, self.protocol) {
            (BackendTls::StartTls, Protocol::Smtp) => 2,
            (BackendTls::StartTls, _) => 1,
            _ => 0,
        };
        Self { client_words, backend_words: self.backend_words + more, ..self }
    }

    pub(crate) fn policy(self) -> Policy {
        let scheme = if self.https { Scheme::Https { name: None } } else { Scheme::Http };
        let url = AuthUrl::new(Target::Address(address("127.0.0.1:9000")), "127.0.0.1");
        let auth = AuthServer::at(vec![AuthUrl { scheme, ..url }]);
        let auth = AuthServer { keepalive: usize::from(self.kept), ..auth };
        let mut policy = Policy::new(self.protocol, "mx.test", auth);
        policy.starttls = self.starttls;
        policy.mechanisms = [Mechanism::Plain, Mechanism::Login, Mechanism::XOauth2]
            .into_iter()
            .fold(policy.mechanisms, Mechanisms::with);
        (policy.backend.tls, policy.backend.tls_configured) = (self.backend_tls, true);
        policy.backend.smtp_auth = true;
        policy.backend.pipelining = self.pipelining;
        // Who has no name is not counted by it.
        policy.unauthenticated = self.protocol == Protocol::Smtp && self.counted != Counted::Login;
        // Where STARTTLS is on, errors made in clear count on (decision 19), which is not what is looked for.
        policy.errors_max = if self.starttls == StartTls::Off { 2 } else { 100 };
        if self.protocol == Protocol::Pop3 {
            // Else nothing tells a wrong password from trouble of our own.
            policy.capabilities.extend(["RESP-CODES", "AUTH-RESP-CODE"].map(Into::into));
        }
        if self.protocol == Protocol::Smtp {
            policy.resolver_timeout = (self.door == Door::ProxyHeader).then_some(Duration::from_secs(30));
            policy.greeting_delay = Duration::from_secs(if self.door == Door::Tls { 5 } else { 0 });
        }
        if self.counted != Counted::Never {
            let early = self.counted == Counted::Early;
            let key = if early { LimitKey::Address } else { LimitKey::Login };
            policy.conn_limits.limits = vec![ConnLimit { zone: ZONE.into(), key, connections: 1, early }];
        }
        if self.decides == Decides::Backend {
            policy.auth = None;
            policy.backend.pass =
                Some(Target::AnyOf(PLACES.map(|place| address(place).into()).into_iter().collect()));
        }
        policy
    }

    pub(crate) fn client(self) -> Client {
        Client {
            peer: peer("192.0.2.7:40000"),
            listener: Arc::from("198.51.100.1:143"),
            proxy_protocol: self.door == Door::ProxyHeader,
            tls_first: self.door == Door::Tls,
        }
    }
}

/// Where backends are.
pub(crate) const PLACES: [&str; 2] = ["198.51.100.2:143", "198.51.100.3:143"];

/// Where sessions are counted, if they are.
pub(crate) const ZONE: &str = "zone";

pub(crate) fn address(text: &str) -> Address {
    text.parse::<SocketAddr>().unwrap().into()
}

pub(crate) fn peer(remote: &str) -> Peer {
    Peer { remote: address(remote), local: address("198.51.100.1:143") }
}
