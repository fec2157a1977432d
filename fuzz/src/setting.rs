//! How a session under test is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gatepost_core::{
    AuthServer, AuthUrl, ConnLimit, LimitKey, Mechanism, Mechanisms, Peers, Policy, Protocol, StartTls,
    Target,
};

use crate::extras::Extras;
use crate::rarities::Rarities;

/// What its policy asks for, and how its client comes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) protocol: Protocol,
    pub(crate) starttls: StartTls,
    /// Whether `smtp_auth` has the word `none`.
    pub(crate) unauthenticated: bool,
    /// Whether clients come through a balancer (`listen … proxy_protocol`), which is believed.
    pub(crate) proxy_protocol: bool,
    /// Whether connections to the auth server are kept.
    pub(crate) keepalive: bool,
    /// What else a policy may ask for.
    pub(crate) extras: Extras,
    /// What few ask for.
    pub(crate) rarities: Rarities,
}

impl Setting {
    /// The simplest there is.
    pub(crate) const fn plain(protocol: Protocol) -> Self {
        let (unauthenticated, proxy_protocol, keepalive) = (false, false, false);
        let (extras, rarities) = (Extras::of(0, 0), Rarities::of([0; 3]));
        Self {
            protocol,
            starttls: StartTls::Off,
            unauthenticated,
            proxy_protocol,
            keepalive,
            extras,
            rarities,
        }
    }
}

/// The policy of such a session.
pub(crate) fn policy(setting: Setting) -> Policy {
    let target = Target::Address(address(2, 9000).into());
    let mut auth = AuthServer::at(vec![AuthUrl { uri: "/auth".into(), ..AuthUrl::new(target, "127.0.0.2") }]);
    auth.keepalive = usize::from(setting.keepalive);
    let mut policy = Policy::new(setting.protocol, "mx.test", auth);
    policy.starttls = setting.starttls;
    policy.backend.tls_configured = true;
    policy.unauthenticated = setting.unauthenticated;
    policy.real_ip_from = vec![Peers::All];
    policy.mechanisms = [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5, Mechanism::Apop]
        .into_iter()
        .filter(|&mechanism| mechanism != Mechanism::Apop || setting.protocol == Protocol::Pop3)
        .fold(Mechanisms::none(), Mechanisms::with);
    // Small, so that their edges are within a fuzzer's reach.
    policy.client_buffer_bytes = 256;
    policy.commands_max = 50;
    let limit = |zone: &str, key, early| ConnLimit { zone: zone.into(), key, connections: 1, early };
    policy.conn_limits.limits = vec![
        limit("address", LimitKey::Address, true),
        limit("user", LimitKey::Login, false),
        limit("plan", LimitKey::Header("x_plan".into()), false),
    ];
    policy.timeout = Duration::from_secs(5);
    setting.extras.apply(&mut policy);
    setting.rarities.apply(&mut policy);
    policy
}

/// An address of 127.0.0.0/8.
pub(crate) fn address(last: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), port).into()
}
