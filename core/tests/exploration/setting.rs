//! Where a session takes place: everything in a policy that changes its ways, and how much its peers have to say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{
    Address, AuthServer, BackendTls, Client, Instant, Mechanism, Mechanisms, Peer, Policy, Protocol,
    StartTls, Target,
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

/// One of the settings to explore.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) protocol: Protocol,
    pub(crate) door: Door,
    pub(crate) starttls: StartTls,
    pub(crate) backend_tls: BackendTls,
    pub(crate) decides: Decides,
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
            ])
    }

    /// All that the settings of STARTTLS, of the backend's TLS and of who decides can be together, and behind the other doors those that
    /// differ most; one word more from each than it takes to get in.
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
                                all.push(Self { client_words: setting.client_words + 1, ..setting });
                            }
                        }
                    }
                }
            }
        }
        all.into_iter()
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
        let auth = AuthServer::new(Target::Address(address("127.0.0.1:9000")), "127.0.0.1");
        let mut policy = Policy::new(self.protocol, "mx.test", auth);
        policy.starttls = self.starttls;
        policy.mechanisms = [Mechanism::Plain, Mechanism::Login, Mechanism::XOauth2]
            .into_iter()
            .fold(policy.mechanisms, Mechanisms::with);
        (policy.backend.tls, policy.backend.tls_configured) = (self.backend_tls, true);
        policy.backend.smtp_auth = true;
        policy.unauthenticated = self.protocol == Protocol::Smtp;
        // Where STARTTLS is on, errors made in clear count on (decision 19), which is not what is looked for.
        policy.errors_max = if self.starttls == StartTls::Off { 2 } else { 100 };
        if self.protocol == Protocol::Smtp {
            policy.resolver_timeout = (self.door == Door::ProxyHeader).then_some(Duration::from_secs(30));
            policy.greeting_delay = Duration::from_secs(if self.door == Door::Tls { 5 } else { 0 });
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

pub(crate) fn address(text: &str) -> Address {
    text.parse::<SocketAddr>().unwrap().into()
}

pub(crate) fn peer(remote: &str) -> Peer {
    Peer { remote: address(remote), local: address("198.51.100.1:143") }
}
