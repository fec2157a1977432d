//! One seed, one world: clients, Gatepost's driver, two auth servers and two backends on turmoil's network, and what goes wrong there.

mod weather;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use gatepost::driver::prepare_thread;
use gatepost_core::{BackendTls, Protocol};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use self::weather::{Moods, Weather};
use crate::auth_server::{self, AuthServer, Request, User};
use crate::backend::counter::{Counter, Entry};
use crate::backend::literals::Literals;
use crate::cast::{Cast, Door, Errand, Home, PASSWORD, Visitor};
use crate::chance::Chance;
use crate::chop::Chop;
use crate::client::rogue::{Heard, Mischief, Rogue};
use crate::client::{self, Caller, Security, Seen};
use crate::crypto;
use crate::dialogue::Ear;
use crate::house::{AUTH_TIMEOUT, Book, Entrance, House, Surroundings, TIMEOUT, group_name};
use crate::net::{SimNet, serve};
use crate::plan::Plan;
use crate::post_office::{Attempt, Letter, PostOffice};
use crate::slow::Slow;

/// When a world begins, in seconds since the Unix epoch: within the validity of the fixture, and some round moment.
const BEGINS_AT_SECONDS: u64 = 1_800_000_000;

/// How long a world may last, by its own clock.
const LASTS_MAX: Duration = Duration::from_secs(400);

/// The step in which its clock goes on.
const TICK: Duration = Duration::from_millis(5);

/// How many segments may be under way in one direction of a connection. More than anybody sends at once: a FIN that finds no room is never
/// delivered by turmoil.
const SEGMENTS_MAX: usize = 8192;

/// How long a client waits before it gives up: longer than anything that Gatepost may take for a login.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long after the last client's leave the last session may end.
const QUIET_AFTER_MAX: Duration = Duration::from_secs(2 * TIMEOUT.as_secs() + AUTH_TIMEOUT.as_secs() + 20);

/// The hosts of the auth servers.
pub const AUTH_SERVERS: [&str; 2] = ["auth0", "auth1"];

/// The hosts of the backends; each speaks all protocols.
pub const BACKENDS: [&str; 2] = ["north", "south"];

const AUTH_PORT: u16 = 80;

/// The listeners of Gatepost; a backend listens at the first port of each as well, and at others for those who come otherwise.
const ENTRANCES: [Entrance; 3] = [
    Entrance { protocol: Protocol::Imap, clear_port: 143, tls_port: 993 },
    Entrance { protocol: Protocol::Pop3, clear_port: 110, tls_port: 995 },
    Entrance { protocol: Protocol::Smtp, clear_port: 587, tls_port: 465 },
];

/// What became of a world.
#[derive(Debug)]
pub struct Story {
    /// What it began with.
    pub plan: Plan,
    /// How each visitor fared, by its place in the cast.
    pub visits: BTreeMap<usize, Fared>,
    /// What each rogue heard, likewise, and where it came from.
    pub rogues: BTreeMap<usize, (IpAddr, Heard)>,
    /// What is known of every session, by its number.
    pub books: BTreeMap<u64, Book>,
    /// How many sessions and how many of their streams were still there when the world had been quiet for a while.
    pub left: (usize, usize),
    /// What the auth servers were asked, in order.
    pub requests: Vec<Request>,
    /// What was wrong with questions that were none.
    pub malformed: Vec<&'static str>,
    /// What each backend has of it.
    pub backends: Vec<Backstage>,
}

/// A backend's side of the story.
#[derive(Debug)]
pub struct Backstage {
    /// Whoever said who they are.
    pub attempts: Vec<Attempt>,
    /// Whatever was handed in.
    pub letters: Vec<Letter>,
    /// What was heard of every connection.
    pub entries: Vec<Entry>,
}

/// How a visitor fared.
#[derive(Debug)]
pub struct Fared {
    /// The address it came from.
    pub from: IpAddr,
    /// When it connected, by the world's clock.
    pub came: Duration,
    /// When it was gone.
    pub went: Duration,
    /// What it saw.
    pub seen: Seen,
    /// What it stumbled over in the end, if anything.
    pub stumbled: Option<String>,
}

impl Story {
    /// The number of the session of a visitor.
    #[must_use]
    pub const fn session_of_visitor(number: usize) -> u64 {
        number as u64 + 1
    }

    /// The number of the session of a rogue.
    #[must_use]
    pub const fn session_of_rogue(number: usize) -> u64 {
        number as u64 + 101
    }

    /// When it was over for the last visitor.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.visits.values().map(|fared| fared.went).max().unwrap_or_default()
    }
}

/// Lets a world happen.
///
/// # Errors
///
/// A party panicked, a server of the cast failed, or the world did not come to its end.
pub fn play(plan: &Plan) -> turmoil::Result<Story> {
    // Or it would be weighed with the first session of all.
    prepare_thread();
    let (seed, terms, cast) = (plan.seed, plan.terms, &plan.cast);
    let chance = Chance::of(seed, "world", 0);
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(chance.below(u64::MAX))
        .epoch(std::time::UNIX_EPOCH + Duration::from_secs(BEGINS_AT_SECONDS))
        .simulation_duration(LASTS_MAX)
        .tick_duration(TICK)
        .min_message_latency(if terms.even { terms.latency_max } else { Duration::from_millis(1) })
        .max_message_latency(terms.latency_max)
        .tcp_capacity(SEGMENTS_MAX);
    if !terms.even {
        builder.enable_random_order();
    }
    let mut sim = builder.build();

    // Every name is looked up in the same order whoever is left out, so that all have the addresses they have in the whole story.
    let auths = AUTH_SERVERS.map(|name| sim.lookup(name));
    let backends = BACKENDS.map(|name| sim.lookup(name));
    let gatepost = sim.lookup("gatepost");
    let visitors: Vec<IpAddr> =
        (0..cast.visitors.len()).map(|number| sim.lookup(format!("client{number}"))).collect();
    let rogues: Vec<IpAddr> =
        (0..cast.rogues.len()).map(|number| sim.lookup(format!("rogue{number}"))).collect();
    let of_visitors =
        visitors.iter().enumerate().map(|(number, &ip)| (ip, Story::session_of_visitor(number)));
    let of_rogues = rogues.iter().enumerate().map(|(number, &ip)| (ip, Story::session_of_rogue(number)));
    let surroundings = Surroundings {
        terms,
        entrances: ENTRANCES.to_vec(),
        auth_servers: auths.iter().map(|&ip| SocketAddr::new(ip, AUTH_PORT)).collect(),
        backends: backends.to_vec(),
        numbers: of_visitors.chain(of_rogues).collect(),
    };

    let moods = Rc::new(RefCell::new(Moods::default()));
    let (users, refusal) = (users(cast, &backends), cast.refusal.clone());
    let auth_server = match terms.keepalive {
        0 => AuthServer::new(users, Vec::new(), refusal),
        _ => AuthServer::keeping(users, Vec::new(), refusal, Chance::of(seed, "auth manners", 0)),
    };
    for (at, name) in AUTH_SERVERS.into_iter().enumerate() {
        open_auth_server(&mut sim, seed, name, at, &auth_server, &moods);
    }
    let mut counters = Vec::new();
    for (at, name) in BACKENDS.into_iter().enumerate() {
        counters.push(open_backend(&mut sim, plan, name, at, &moods)?);
    }
    let house = House::new(seed, surroundings)?;
    sim.host("gatepost", {
        let house = house.clone();
        move || house.clone().open()
    });
    debug_assert_eq!(sim.lookup("gatepost"), gatepost);

    let people = Rc::new(People::default());
    for (number, &from) in visitors.iter().enumerate() {
        // Whoever is left out is there all the same, and does nothing: the network is the same.
        let visitor = plan.visitors().find(|(known, _)| *known == number).map(|(_, visitor)| visitor.clone());
        let caller = visitor.as_ref().map(|visitor| caller(seed, number, visitor, cast)).transpose()?;
        let people = people.clone();
        sim.client(format!("client{number}"), async move {
            if let (Some(visitor), Some(caller)) = (visitor, caller) {
                people.visit(seed, number, from, &visitor, &caller).await;
            }
            Ok(())
        });
    }
    for (number, &from) in rogues.iter().enumerate() {
        let rogue = plan.rogues().find(|(known, _)| *known == number).map(|(_, rogue)| rogue.clone());
        let tls = crypto::client(rogue.as_ref().map_or(Protocol::Imap, |rogue| rogue.protocol), &{
            Chance::of(seed, "rogue tls", number as u64)
        })?;
        let login = rogue.as_ref().and_then(|rogue| cast.residents.get(rogue.resident));
        let login = (login.map(|resident| resident.login.clone()).unwrap_or_default(), PASSWORD.to_owned());
        let people = people.clone();
        sim.client(format!("rogue{number}"), async move {
            if let Some(crate::cast::Rogue { protocol, door, mischief, delay, .. }) = rogue {
                let rogue = Rogue { protocol, door, mischief, login, tls };
                people.suffer(seed, number, from, &rogue, delay).await;
            }
            Ok(())
        });
    }
    let awaited = plan.visitors().count() + plan.rogues().count();
    let (left, watched, at_home) = (Rc::new(Cell::new((0, 0))), house.clone(), people.clone());
    let found = left.clone();
    sim.client("watcher", async move {
        while at_home.gone.get() < awaited {
            sleep(Duration::from_millis(50)).await;
        }
        let _ = timeout(QUIET_AFTER_MAX, async {
            while watched.open_sessions() > 0 {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        watched.close_pool();
        sleep(Duration::from_millis(50)).await;
        found.set((watched.open_sessions(), watched.open_streams()));
        Ok(())
    });

    let mut weather = Weather::new(plan, &house, &moods);
    loop {
        weather.change(&mut sim);
        if sim.step()? {
            break;
        }
    }
    drop(sim);
    Ok(Story {
        visits: people.visits.take(),
        rogues: people.rogues.take(),
        books: house.books(),
        left: left.get(),
        requests: auth_server.requests(),
        malformed: auth_server.malformed(),
        backends: counters.iter().map(Backstage::of).collect(),
        plan: plan.clone(),
    })
}

impl Backstage {
    fn of(counter: &Counter) -> Self {
        Self {
            attempts: counter.office.attempts(),
            letters: counter.office.letters(),
            entries: counter.book.borrow().clone(),
        }
    }
}

/// What the auth server knows of everybody.
fn users(cast: &Cast, backends: &[IpAddr]) -> BTreeMap<String, User> {
    let elsewhere = |theirs: &str, ours: &str| (theirs != ours).then(|| theirs.to_owned());
    let user = |resident: &crate::cast::Resident| {
        let homes = ENTRANCES.map(|Entrance { protocol, clear_port, tls_port }| {
            let tls = match resident.tls {
                BackendTls::Off => None,
                BackendTls::On => Some("on"),
                BackendTls::StartTls => Some("starttls"),
            };
            let home = match resident.home {
                Home::At(at) => auth_server::Home {
                    server: backends.get(at).map(ToString::to_string).unwrap_or_default(),
                    port: Some(Counter::port(resident.tls, clear_port, tls_port)),
                    tls,
                },
                Home::Everywhere => {
                    auth_server::Home { server: group_name(protocol, resident.tls), port: None, tls }
                }
            };
            (protocol, home)
        });
        User {
            password: PASSWORD.to_owned(),
            backend_login: elsewhere(&resident.backend_login, &resident.login),
            backend_password: elsewhere(&resident.backend_password, PASSWORD),
            homes: homes.to_vec(),
        }
    };
    cast.residents.iter().map(|resident| (resident.login.clone(), user(resident))).collect()
}

fn open_auth_server(
    sim: &mut turmoil::Sim<'_>,
    seed: u64,
    name: &str,
    at: usize,
    server: &AuthServer,
    moods: &Rc<RefCell<Moods>>,
) {
    let (server, moods) = (server.clone(), moods.clone());
    let connections = Rc::new(Cell::new(0));
    sim.host(name, move || {
        let (server, moods, connections) = (server.clone(), moods.clone(), connections.clone());
        serve(AUTH_PORT, SimNet::new(seed), move |stream, _| {
            let (server, moods, mood) = (server.clone(), moods.clone(), moods.borrow().auth(at));
            let chance = Chance::of(seed, name_of_auth(at), connections.replace(connections.get() + 1));
            async move {
                // Whoever is cut off in the middle is not told apart here.
                if let Ok(Some(stream)) = mood.answer(stream, &chance).await {
                    let _ = server.serve_at(|| moods.borrow().auth(at).pace(), stream, Ear::default()).await;
                }
                Ok(())
            }
        })
    });
}

const fn name_of_auth(at: usize) -> &'static str {
    if at == 0 { "auth mood 0" } else { "auth mood 1" }
}

/// Opens all counters of a backend, and hands back one of them for its books, which all of them share.
fn open_backend(
    sim: &mut turmoil::Sim<'_>,
    plan: &Plan,
    name: &'static str,
    at: usize,
    moods: &Rc<RefCell<Moods>>,
) -> turmoil::Result<Counter> {
    let seed = plan.seed;
    let office = PostOffice::default().taking(Literals::of(seed, at));
    for resident in plan.cast.residents.iter().filter(|resident| resident.home.is_at(at)) {
        office.open(&resident.backend_login, &resident.backend_password, resident.mail.iter().cloned());
    }
    let mut counters = Vec::new();
    let book = Rc::default();
    for Entrance { protocol, clear_port, tls_port } in ENTRANCES {
        let chance = Chance::of(seed, name, u64::from(tls_port));
        let server = crypto::server(protocol, &chance)?;
        for tls in [BackendTls::Off, BackendTls::StartTls, BackendTls::On] {
            let counter = Counter {
                protocol,
                tls,
                proxy_header: plan.terms.proxy_header,
                server: server.clone(),
                office: office.clone(),
                book: Rc::clone(&book),
            };
            counters.push((Counter::port(tls, clear_port, tls_port), counter));
        }
    }
    let shown = counters.iter().map(|(_, counter)| counter.clone()).next();
    let (moods, connections) = (moods.clone(), Rc::new(Cell::new(0)));
    sim.host(name, move || {
        let (counters, moods, connections) = (counters.clone(), moods.clone(), connections.clone());
        let net = SimNet::new(seed);
        async move {
            let mut listeners = tokio::task::JoinSet::new();
            for (port, counter) in counters {
                let (moods, connections) = (moods.clone(), connections.clone());
                listeners.spawn_local(serve(port, net.clone(), move |stream, _| {
                    let (counter, mood) = (counter.clone(), moods.borrow().backend(at));
                    let chance = Chance::of(seed, name, 100_000 + connections.replace(connections.get() + 1));
                    async move {
                        counter.serve(stream, mood, &chance).await;
                        Ok(())
                    }
                }));
            }
            match listeners.join_next().await {
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(ended) => ended?,
                None => Ok(()),
            }
        }
    });
    shown.ok_or_else(|| "a backend without a counter".into())
}

/// Everybody who comes from outside, and what became of them.
#[derive(Default)]
struct People {
    visits: RefCell<BTreeMap<usize, Fared>>,
    rogues: RefCell<BTreeMap<usize, (IpAddr, Heard)>>,
    gone: Cell<usize>,
}

impl People {
    /// One client's part in the world.
    async fn visit(&self, seed: u64, number: usize, from: IpAddr, visitor: &Visitor, caller: &Caller) {
        sleep(visitor.delay).await;
        let came = turmoil::sim_elapsed().unwrap_or_default();
        tracing::info!("client{number} comes by {:?} for {:?}", visitor.door, visitor.errand.protocol());
        let mut seen = Seen::default();
        let patience = visitor.leaves_after.unwrap_or(PATIENCE);
        let stumbled = match timeout(patience, visit(seed, number, caller, visitor, &mut seen)).await {
            Ok(Ok(())) => None,
            Ok(Err(stumbled)) => Some(stumbled),
            Err(_) => Some("has lost its patience".to_owned()),
        };
        tracing::info!("client{number} goes: {}", stumbled.as_deref().unwrap_or("all done"));
        let went = turmoil::sim_elapsed().unwrap_or_default();
        self.visits.borrow_mut().insert(number, Fared { from, came, went, seen, stumbled });
        self.gone.set(self.gone.get() + 1);
    }

    /// One rogue's.
    async fn suffer(&self, seed: u64, number: usize, from: IpAddr, rogue: &Rogue, delay: Duration) {
        sleep(delay).await;
        tracing::info!(
            "rogue{number} comes by {:?} for {:?}: {:?}",
            rogue.door,
            rogue.protocol,
            rogue.mischief
        );
        let mut heard = Heard::default();
        if let Ok(Ok(stream)) =
            timeout(PATIENCE, TcpStream::connect(("gatepost", port(rogue.protocol, rogue.door)))).await
        {
            let chance = Chance::of(seed, "rogue", number as u64);
            // What is smuggled has to come in one breath, or it comes too late.
            if rogue.mischief == Mischief::Smuggle {
                rogue.visit(stream, &chance, PATIENCE, &mut heard).await;
            } else {
                let stream = Chop::new(stream, Chance::of(seed, "rogue stream", number as u64));
                rogue.visit(stream, &chance, PATIENCE, &mut heard).await;
            }
        }
        tracing::info!("rogue{number} goes");
        self.rogues.borrow_mut().insert(number, (from, heard));
        self.gone.set(self.gone.get() + 1);
    }
}

/// Gatepost's port for this door.
fn port(protocol: Protocol, door: Door) -> u16 {
    let entrance = ENTRANCES.iter().find(|known| known.protocol == protocol);
    entrance.map_or(0, |entrance| match door {
        Door::Implicit => entrance.tls_port,
        Door::Clear | Door::StartTls => entrance.clear_port,
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
        asks_first: visitor.asks_first,
        pipelined: visitor.pipelined,
        half_closes: visitor.half_closes,
    })
}

async fn visit(
    seed: u64,
    number: usize,
    caller: &Caller,
    visitor: &Visitor,
    seen: &mut Seen,
) -> Result<(), String> {
    let port = port(visitor.errand.protocol(), visitor.door);
    let stream = TcpStream::connect(("gatepost", port)).await.map_err(|error| error.to_string())?;
    let stream = Chop::new(stream, Chance::of(seed, "client stream", number as u64));
    let stream = Slow::new(stream, visitor.thinks);
    let ear = Ear::default();
    match &visitor.errand {
        Errand::Imap(how) => client::imap::visit_and_tell(stream, caller, *how, ear, seen).await,
        Errand::Pop3(how) => client::pop3::visit_and_tell(stream, caller, *how, ear, seen).await,
        Errand::Smtp(how, letter) => {
            client::smtp::visit_and_tell(stream, caller, *how, letter, ear, seen).await
        }
    }
    .map_err(|error| error.to_string())
}
