//! What fewer policies ask for still, and clients and surroundings that few have: for lists of events, which can go any way.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{
    Address, AuthUrl, Group, Guest, Peer, Peers, Place, Policy, Scheme, Target, TlsFacts, Verdict,
    VerifyClient, Wire,
};

use crate::setting::address;

/// The bits of three octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rarities {
    /// Auth servers are spoken to under TLS.
    https: bool,
    /// There are two URLs of auth servers; the first has a server that nobody knows, and two others.
    several: bool,
    /// The first URL is that of a group.
    grouped: bool,
    pub(crate) dry_run: bool,
    pub(crate) crowd: Crowd,
    /// What the DNS says of a client is no host name.
    pub(crate) odd_name: bool,
    /// The DNS says nothing.
    pub(crate) deaf_dns: bool,
    verify: Option<VerifyClient>,
    /// No certificate is shown.
    bare: bool,
    /// TLS has much to tell of.
    talkative: bool,
    /// The auth server is told of certificates, and a word of the operator's.
    pass_cert: bool,
    tls_unconfigured: bool,
    client: Kind,
    pass: Pass,
    /// Codes are promised, as POP3 does (RFC 2449, RFC 3206).
    capable: bool,
    no_plaintext: bool,
    strict: bool,
    hurried: bool,
    /// XCLIENT is not spoken, and backends' certificates are for a name.
    discreet: bool,
    /// Groups have nobody left.
    deserted: bool,
}

/// What becomes of whoever asks for a place before the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowd {
    /// There is one.
    None,
    Full,
    NoMemory,
    /// Nobody answers, behind the login neither; in a dry run, only behind the login.
    Uncounted,
}

/// How a client comes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V4,
    V6,
    Unix,
    Mapped,
}

/// `proxy_pass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Nothing of its own.
    Unsaid,
    /// One that nobody knows, and two others.
    AnyOf,
    Group,
    Unix,
}

/// The name of the `upstream {}` that there always is.
const GROUP: &str = "stores";

impl Rarities {
    /// None of them if all are 0.
    pub(crate) const fn of([first, second, third]: [u8; 3]) -> Self {
        Self {
            https: first & 1 != 0,
            several: first & 2 != 0,
            grouped: first & 4 != 0,
            dry_run: first & 8 != 0,
            crowd: match first >> 4 & 3 {
                0 => Crowd::None,
                1 => Crowd::Full,
                2 => Crowd::NoMemory,
                _ => Crowd::Uncounted,
            },
            odd_name: first & 64 != 0,
            deaf_dns: first & 128 != 0,
            verify: match second & 3 {
                0 => None,
                1 => Some(VerifyClient::Optional),
                2 => Some(VerifyClient::OptionalNoCa),
                _ => Some(VerifyClient::On),
            },
            bare: second & 4 != 0,
            talkative: second & 8 != 0,
            pass_cert: second & 16 != 0,
            tls_unconfigured: second & 32 != 0,
            client: match second >> 6 {
                0 => Kind::V4,
                1 => Kind::V6,
                2 => Kind::Unix,
                _ => Kind::Mapped,
            },
            pass: match third & 3 {
                0 => Pass::Unsaid,
                1 => Pass::AnyOf,
                2 => Pass::Group,
                _ => Pass::Unix,
            },
            capable: third & 4 != 0,
            no_plaintext: third & 8 != 0,
            strict: third & 16 != 0,
            hurried: third & 32 != 0,
            discreet: third & 64 != 0,
            deserted: third & 128 != 0,
        }
    }

    pub(crate) fn apply(self, policy: &mut Policy) {
        let group = || Target::Group(Group { name: GROUP.into(), servers: 2, guest: Guest::default() });
        policy.upstreams = Arc::new([(GROUP.into(), 2)].into());
        policy.conn_limits.dry_run = self.dry_run;
        policy.auth_strict = self.strict;
        policy.plaintext_auth = !self.no_plaintext;
        policy.verify_client = self.verify.unwrap_or(policy.verify_client);
        policy.backend.tls_configured = !self.tls_unconfigured;
        policy.backend.xclient = !self.discreet;
        policy.backend.tls_name = self.discreet.then(|| "stores.test".into());
        policy.backend.connect_timeout = self.hurried.then_some(Duration::from_secs(1));
        match self.pass {
            Pass::Unsaid => {}
            Pass::AnyOf => policy.backend.pass = Some(some_of(3, 143)),
            Pass::Group => policy.backend.pass = Some(group()),
            Pass::Unix => policy.backend.pass = Some(Target::Address(Address::Unix("/run/store".into()))),
        }
        if self.capable {
            policy.capabilities.extend(["RESP-CODES", "AUTH-RESP-CODE"].map(Box::<str>::from));
        }
        if self.client == Kind::V6 && !policy.access.0.is_empty() {
            let network = Peers::Network(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).into(), 32);
            policy.access.0.insert(0, (Verdict::Deny, network));
        }
        let Some(auth) = &mut policy.auth else { return };
        auth.pass_client_cert = self.pass_cert;
        if self.pass_cert {
            auth.headers.push(("X-Auth-Key".into(), "sesame".into()));
        }
        if self.several {
            let target = some_of(4, 9000);
            auth.urls.insert(0, AuthUrl { uri: "/auth".into(), ..AuthUrl::new(target, "auth.test") });
        }
        if let (true, Some(first)) = (self.grouped, auth.urls.first_mut()) {
            first.target = group();
        }
        for url in auth.urls.iter_mut().filter(|_| self.https) {
            url.scheme = Scheme::Https { name: self.discreet.then(|| "auth.test".into()) };
        }
    }

    /// Both ends of the client's connection.
    pub(crate) fn client(self) -> Peer {
        let inet = |ip: Ipv6Addr, port: u16| Address::from(SocketAddr::from((ip, port)));
        let (remote, local) = match self.client {
            Kind::V4 => (address(7, 50_000).into(), address(1, 143).into()),
            Kind::V6 => {
                let ip = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
                (inet(ip(7), 50_000), inet(ip(1), 143))
            }
            Kind::Unix => (Address::Unix("".into()), Address::Unix("/run/mail".into())),
            Kind::Mapped => {
                let ip = |last| Ipv4Addr::new(127, 0, 0, last).to_ipv6_mapped();
                (inet(ip(7), 50_000), inet(ip(1), 143))
            }
        };
        Peer { remote, local }
    }

    /// What TLS says, with these.
    pub(crate) fn told_of(self, mut facts: TlsFacts) -> TlsFacts {
        if self.talkative {
            facts.server_name = Some("mx.test".into());
            facts.alpn = Some("imap".into());
            facts.resumed = facts.certificate.as_ref().is_some_and(|shown| shown.verdict.is_ok());
            facts.server_signature = Some("RSA-SHA256");
            facts.server_key = Some("RSA2048".into());
        }
        if self.bare {
            facts.certificate = None;
        }
        facts
    }

    /// Who is in a group of so many servers.
    pub(crate) fn members(self, wire: Wire, servers: usize) -> VecDeque<Place> {
        let port = if wire == Wire::Auth { 9000 } else { 143 };
        let one = |last| Place::At(address(last, port).into());
        (11..).take(if self.deserted { 0 } else { servers }).map(one).collect()
    }
}

/// A server that nobody knows, and two others.
fn some_of(last: u8, port: u16) -> Target {
    let there = |last| Place::At(address(last, port).into());
    Target::AnyOf(Arc::new([Place::Named("nobody.test".into(), port), there(last), there(last + 1)]))
}
