//! One seed, one world: clients, Gatepost's driver, an auth server and three backends on turmoil's network.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use gatepost_core::{Protocol, Report};
use turmoil::net::TcpStream;

use crate::auth_server::{AuthServer, Request, User};
use crate::backend;
use crate::cast::{Cast, Door, Errand, PASSWORD, Visitor};
use crate::chance::Chance;
use crate::chop::Chop;
use crate::client::{self, Caller, Security, Seen};
use crate::crypto;
use crate::dialogue::Ear;
use crate::house::{Entrance, House};
use crate::net::{SimNet, serve};
use crate::post_office::{PostOffice, Visit};

/// When a world begins, in seconds since the Unix epoch: within the validity of the fixture, and some round moment.
const BEGINS_AT_SECONDS: u64 = 1_800_000_000;

/// How long a world may last, by its own clock. Its slowest visitor needs a few seconds and an `Auth-Wait`.
const LASTS_MAX: Duration = Duration::from_secs(300);

/// How long after the last visitor's leave the last session may end: more than any linger of the driver.
const QUIET_AFTER_MAX: Duration = Duration::from_secs(90);

/// Each protocol with its backend's name and the ports of the two listeners; the backend listens on the first as well.
const ENTRANCES: [(&str, Entrance); 3] = [
    ("imap", Entrance { protocol: Protocol::Imap, clear_port: 143, tls_port: 993 }),
    ("pop3", Entrance { protocol: Protocol::Pop3, clear_port: 110, tls_port: 995 }),
    ("smtp", Entrance { protocol: Protocol::Smtp, clear_port: 587, tls_port: 465 }),
];

/// What became of a world.
#[derive(Debug)]
pub struct Story {
    /// Who was in it.
    pub cast: Cast,
    /// How each visitor fared, by its place in the cast.
    pub visits: BTreeMap<usize, Fared>,
    /// Every report of every session, by the session's number.
    pub reports: BTreeMap<u64, Vec<Report>>,
    /// How many sessions were still there when the world had been quiet for a while.
    pub sessions_left: usize,
    /// What the auth server was asked.
    pub requests: Vec<Request>,
    /// By how many connections.
    pub connections: usize,
    /// Whom the backends let in.
    pub admitted: Vec<Visit>,
    /// The backends' mail, and what was handed in.
    pub office: PostOffice,
}

/// How a visitor fared.
#[derive(Debug)]
pub struct Fared {
    /// The address it came from.
    pub from: IpAddr,
    /// How long it took from connecting to the end.
    pub took: Duration,
    /// What it saw, or stumbled over.
    pub seen: Result<Seen, String>,
}

/// Lets the world of `seed` happen.
///
/// # Errors
///
/// A party panicked, a server of the cast failed, or the world did not come to its end.
pub fn run(seed: u64) -> turmoil::Result<Story> {
    play(seed, Cast::of(seed))
}

/// The same with people of one's own choosing.
///
/// # Errors
///
/// As [`run`].
pub fn play(seed: u64, cast: Cast) -> turmoil::Result<Story> {
    let chance = Chance::of(seed, "world", 0);
    let latency_max = chance.one_of(&[2, 20, 80], 20);
    let mut sim = turmoil::Builder::new()
        .rng_seed(chance.below(u64::MAX))
        .enable_random_order()
        .epoch(std::time::UNIX_EPOCH + Duration::from_secs(BEGINS_AT_SECONDS))
        .simulation_duration(LASTS_MAX)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(latency_max))
        .tcp_capacity(256) // segments; also the accept backlog
        .build();

    let office = PostOffice::default();
    let mut users = BTreeMap::new();
    for resident in &cast.residents {
        office.open(&resident.backend_login, &resident.backend_password, resident.mail.iter().cloned());
        let elsewhere = |theirs: &str, ours: &str| (theirs != ours).then(|| theirs.to_owned());
        let user = User {
            password: PASSWORD.to_owned(),
            backend_login: elsewhere(&resident.backend_login, &resident.login),
            backend_password: elsewhere(&resident.backend_password, PASSWORD),
        };
        users.insert(resident.login.clone(), user);
    }
    let backends = ENTRANCES.map(|(name, Entrance { protocol, clear_port, .. })| {
        (protocol, SocketAddr::new(sim.lookup(name), clear_port))
    });
    let refusal = cast.refusal.clone();
    let auth_server = match cast.keepalive {
        0 => AuthServer::new(users, backends.to_vec(), refusal),
        _ => AuthServer::keeping(users, backends.to_vec(), refusal, Chance::of(seed, "auth manners", 0)),
    };
    let auth_address = SocketAddr::new(sim.lookup("auth"), 80);

    let asked = auth_server.clone();
    sim.host("auth", move || {
        let (net, server) = (SimNet::new(seed), asked.clone());
        serve(80, net, move |stream, _| {
            let server = server.clone();
            async move { server.serve(stream, Ear::default()).await }
        })
    });
    for (name, Entrance { protocol, clear_port, .. }) in ENTRANCES {
        let office = office.clone();
        sim.host(name, move || {
            let (net, office) = (SimNet::new(seed), office.clone());
            serve(clear_port, net, move |stream, _| {
                let office = office.clone();
                async move {
                    match protocol {
                        Protocol::Imap => backend::imap::serve(stream, &office, Ear::default()).await,
                        Protocol::Pop3 => backend::pop3::serve(stream, &office, Ear::default()).await,
                        Protocol::Smtp => backend::smtp::serve(stream, &office, Ear::default()).await,
                    }
                }
            })
        });
    }
    let entrances = ENTRANCES.map(|(_, entrance)| entrance);
    let house = House::new(seed, auth_address, cast.keepalive, &entrances)?;
    sim.host("gatepost", {
        let house = house.clone();
        move || house.clone().open()
    });
    let visits = Rc::new(RefCell::new(BTreeMap::new()));
    for (number, visitor) in cast.visitors.iter().enumerate() {
        let name = format!("client{number}");
        let from = sim.lookup(name.as_str());
        let delay = visitor.delay;
        let visiting = visit(seed, number, caller(seed, number, visitor, &cast)?, visitor.clone());
        let visits = visits.clone();
        sim.client(name, async move {
            tokio::time::sleep(delay).await;
            let begun = turmoil::elapsed();
            let seen = visiting.await;
            visits.borrow_mut().insert(number, Fared { from, took: turmoil::elapsed() - begun, seen });
            Ok(())
        });
    }

    sim.run()?;
    let quiet_by = sim.elapsed() + QUIET_AFTER_MAX;
    while house.open_sessions() > 0 && sim.elapsed() < quiet_by {
        sim.step()?;
    }
    drop(sim);
    Ok(Story {
        visits: visits.take(),
        reports: house.reports(),
        sessions_left: house.open_sessions(),
        requests: auth_server.requests(),
        connections: auth_server.connections(),
        admitted: office.visits(),
        office,
        cast,
    })
}

fn caller(seed: u64, number: usize, visitor: &Visitor, cast: &Cast) -> turmoil::Result<Caller> {
    let tls = crypto::client(visitor.errand.protocol(), &Chance::of(seed, "client tls", number as u64))?;
    Ok(Caller {
        login: cast.resident(visitor).map(|resident| resident.login.clone()).unwrap_or_default(),
        passwords: visitor.passwords.clone(),
        security: match visitor.door {
            Door::Clear => Security::Clear,
            Door::StartTls => Security::StartTls(tls),
            Door::Implicit => Security::Implicit(tls),
        },
        pipelined: visitor.pipelined,
        half_closes: visitor.half_closes,
    })
}

/// One client's part in the world.
async fn visit(seed: u64, number: usize, caller: Caller, visitor: Visitor) -> Result<Seen, String> {
    let protocol = visitor.errand.protocol();
    let entrance = ENTRANCES.iter().map(|(_, entrance)| entrance).find(|known| known.protocol == protocol);
    let port = match visitor.door {
        Door::Implicit => entrance.map(|entrance| entrance.tls_port),
        Door::Clear | Door::StartTls => entrance.map(|entrance| entrance.clear_port),
    };
    let port = port.ok_or("no such entrance")?;
    let stream = TcpStream::connect(("gatepost", port)).await.map_err(|error| error.to_string())?;
    let stream = Chop::new(stream, Chance::of(seed, "client stream", number as u64));
    let ear = Ear::default();
    match &visitor.errand {
        Errand::Imap(how) => client::imap::visit(stream, &caller, *how, ear).await,
        Errand::Pop3(how) => client::pop3::visit(stream, &caller, *how, ear).await,
        Errand::Smtp(how, letter) => client::smtp::visit(stream, &caller, *how, letter, ear).await,
    }
    .map_err(|error| error.to_string())
}
