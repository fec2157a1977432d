//! What is played, how much of it, and what Gatepost has to reach.

use std::net::Ipv4Addr;

use crate::door::{Door, Key, Protocol, Security};
use crate::job::Way;
use crate::measure::Figure;

/// One thing that both sides do.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) work: Work,
    /// What Gatepost must not exceed: times the peer's figure, or the figure itself where that is a ratio already.
    pub(crate) goals: Vec<(Figure, f64)>,
    /// Gatepost's own directives, which its peer does not get.
    pub(crate) opt_in: &'static str,
}

/// What there is to do.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Logins, each verified and ended: the processor's time of one.
    LogIn { door: Door, count: u32, at_once: u32 },
    /// Logins one after the other: how long one takes.
    LoneLogIn { door: Door, count: u32 },
    /// Octets carried on each of `streams` sessions: the processor's time of a GiB.
    Relay { door: Door, way: Way, octets: u64, streams: u32 },
    /// Small messages to the backend and back: how much later they come, and the processor's time of one.
    Echo { door: Door, count: u32, per_second: u32 },
    /// Sessions that are logged in and silent: memory with each of `held`, and when all have left.
    Idle { door: Door, held: Vec<u32> },
    /// Clients that send an octet a second and never get as far as a login.
    Slow { door: Door, count: u32, seconds: u32 },
    /// Logins while many sessions are held, against the same while few are.
    Crowd { door: Door, few: u32, many: u32, logins: u32 },
}

const MIB: u64 = 1024 * 1024;
const AT_ONCE: u32 = 64;

fn scenario(name: &str, work: Work, goals: &[(Figure, f64)]) -> Scenario {
    Scenario { name: name.to_owned(), work, goals: goals.to_vec(), opt_in: "" }
}

/// Every scenario, for a proxy at `host`; in its `quick` form a little of the same, and no goals.
pub(crate) fn all(host: Ipv4Addr, quick: bool) -> Vec<Scenario> {
    let few = |full: u32| if quick { full.div_ceil(16) } else { full };
    let imap = Door::plain(host, Protocol::Imap);
    let tls = Door::tls(host);
    let mut all = Vec::new();

    let logins = [
        ("imap", imap, 8000, Some(0.95)),
        ("pop3", Door::plain(host, Protocol::Pop3), 8000, Some(0.95)),
        ("smtp", Door::plain(host, Protocol::Smtp), 8000, Some(0.95)),
        ("smtp_auth none", Door::plain(host, Protocol::SmtpNone), 8000, Some(0.95)),
        ("imap, TLS 1.3, ECDSA", tls, 3200, Some(0.50)),
        ("imap, STARTTLS", Door { security: Security::StartTls, ..tls }, 3200, Some(0.50)),
        ("imap, TLS 1.3, RSA", Door { key: Key::Rsa, ..tls }, 1600, Some(0.75)),
        ("imap, TLS 1.3, resumed", Door { resumes: true, ..tls }, 3200, Some(0.58)),
        ("imap, TLS 1.2", Door { only_tls12: true, ..tls }, 3200, None),
    ];
    for (name, door, count, goal) in logins {
        let goals: Vec<_> = goal.map(|goal| (Figure::CpuOfLogin, goal)).into_iter().collect();
        let work = Work::LogIn { door, count: few(count), at_once: AT_ONCE };
        all.push(scenario(&format!("login: {name}"), work, &goals));
    }
    all.push(Scenario {
        opt_in: "  auth_http_keepalive 64;\n  proxy_pipelining on;\n",
        ..scenario(
            "login: imap, auth connection kept, one step",
            Work::LogIn { door: imap, count: few(8000), at_once: AT_ONCE },
            &[(Figure::CpuOfLogin, 0.72)],
        )
    });
    all.push(scenario(
        "lone login: imap, TLS 1.3",
        Work::LoneLogIn { door: tls, count: few(48) },
        &[(Figure::TimeOfLogin, 0.03)],
    ));

    let relays = [
        ("plaintext, down", imap, Way::Down, 1024, 0.40),
        ("plaintext, up", imap, Way::Up, 1024, 0.55),
        ("TLS, down", tls, Way::Down, 512, 0.55),
        ("TLS, up", tls, Way::Up, 512, 0.70),
    ];
    for (name, door, way, mib, goal) in relays {
        const STREAMS: u32 = 4;
        let octets = u64::from(few(mib)) * MIB / u64::from(STREAMS);
        let work = Work::Relay { door, way, octets, streams: STREAMS };
        all.push(scenario(&format!("relay: {name}"), work, &[(Figure::CpuOfGib, goal)]));
    }
    for (name, door) in [("plaintext", imap), ("TLS", tls)] {
        all.push(scenario(
            &format!("echo: {name}"),
            Work::Echo { door, count: few(8000), per_second: 1000 },
            &[(Figure::AddedDelay, 1.05), (Figure::CpuOfEcho, 1.0)],
        ));
    }
    for (name, door, added, whole) in [("plaintext", imap, 0.15, 0.25), ("TLS", tls, 0.40, 0.42)] {
        let held = vec![few(2000), few(5000), few(9000)];
        let mut goals = vec![(Figure::AfterLeaving, 1.5)];
        goals.extend(held.iter().map(|&count| (Figure::BytesOfIdle(count), added)));
        goals.extend(held.get(1).map(|&count| (Figure::TreeOfIdle(count), whole)));
        all.push(scenario(&format!("idle: {name}"), Work::Idle { door, held }, &goals));
    }
    all.push(scenario(
        "slow clients",
        Work::Slow { door: imap, count: few(5000), seconds: few(10) },
        &[(Figure::BytesOfSlow, 0.5), (Figure::CpuOfSlow, 1.0)],
    ));
    all.push(scenario(
        "crowd",
        Work::Crowd { door: imap, few: few(500), many: few(9000), logins: few(4000) },
        &[(Figure::CrowdedLogin, 1.2)],
    ));
    // So little work says nothing about goals.
    if quick {
        all.iter_mut().for_each(|scenario| scenario.goals.clear());
    }
    all
}
