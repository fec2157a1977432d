//! A world of backends that fall over and get up again: a group of them behind Gatepost's own driver, no auth server, and
//! clients that log in all the while.

mod stand_in;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gatepost::drain::Drain;
use gatepost::driver::{Arrival, drive};
use gatepost::observe::Observer;
use gatepost::upstream::{Key, Member, Rule, Settings, Upstream, Upstreams};
use gatepost_core::{Client, Group, Guest, Policy, Protocol, Report, Seed, Server, Target};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::sleep;
use turmoil::net::TcpStream;

use crate::chance::Chance;
use crate::chop::Chop;
use crate::dialogue::Ear;
use crate::net::{SimNet, serve};
use crate::talk::Talk;

pub use self::stand_in::Flaw;
use self::stand_in::StandIn;

const BACKENDS: [&str; 3] = ["backend0", "backend1", "backend2"];

const PORT: u16 = 143;

/// A port of the first backend's that nobody listens on: the group's fourth server, which always refuses.
const REFUSING_PORT: u16 = 144;

/// For how long backends change their moods.
const STORM: Duration = Duration::from_secs(60);

/// How long a mood lasts at least; at most twice that.
const MOOD: Duration = Duration::from_secs(4);

/// When everybody has been well for longer than `fail_timeout` and the last login of the storm is over.
const CALM: Duration = Duration::from_secs(110);

/// `timeout`, and what a login may take in all.
const BUDGET: Duration = Duration::from_secs(20);

/// What the network and the chopping of streams may add.
const SLACK: Duration = Duration::from_secs(3);

/// How long one server may take to connect and greet.
const CONNECT: Duration = Duration::from_secs(3);

const FAIL_TIMEOUT: Duration = Duration::from_secs(10);

/// How many come in the storm, and after it.
const VISITORS: [usize; 2] = [30, 16];

/// What a backend does to whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Lets everybody in.
    Sound,
    /// Accepts and hangs up.
    HangsUp,
    /// Accepts and says nothing.
    Silent,
    /// Says that it is too busy.
    Rude,
    /// Cannot be reached: packets are lost on the way.
    Lost,
    /// Greets, and says nothing more.
    Deaf,
    /// Greets, and hangs up in the middle of the login.
    Drops,
    /// Takes the password, and hangs up.
    Forgets,
}

/// What can go wrong before anything is said that only one backend may hear.
const EARLY: [Mood; 4] = [Mood::Sound, Mood::HangsUp, Mood::Silent, Mood::Rude];

const ALL: [Mood; 8] = [
    Mood::Sound,
    Mood::HangsUp,
    Mood::Silent,
    Mood::Rude,
    Mood::Lost,
    Mood::Deaf,
    Mood::Drops,
    Mood::Forgets,
];

/// How a login went.
#[derive(Clone, Debug)]
struct Outcome {
    storm: bool,
    took: Duration,
    reply: Result<String, String>,
}

/// What is seen of a world.
#[derive(Default)]
struct Seen {
    outcomes: RefCell<Vec<Outcome>>,
    /// Which backends heard each password.
    told: RefCell<BTreeMap<String, BTreeSet<usize>>>,
    /// Which backends let somebody in after the storm.
    used: RefCell<BTreeSet<String>>,
    reports: RefCell<Vec<String>>,
    open_sessions: Cell<usize>,
}

/// Who is in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Gatepost's own driver and core.
    Gatepost,
    /// Somebody else who does the same, but for this flaw.
    StandIn(Option<Flaw>),
}

/// Lets the world of `seed` happen, and tells what was wrong with it.
///
/// # Errors
///
/// A party panicked, or the world did not come to its end.
pub fn faults(seed: u64) -> turmoil::Result<Vec<String>> {
    faults_of(Proxy::Gatepost, seed)
}

/// The same with somebody else in the middle.
///
/// # Errors
///
/// As [`faults`].
pub fn faults_of(proxy: Proxy, seed: u64) -> turmoil::Result<Vec<String>> {
    let chance = Chance::of(seed, "outage", 0);
    // In every second world nothing goes wrong later than with a greeting, and one backend is always well: nobody has to be sent away.
    let mild = chance.once_in(2);
    let rules = [
        Rule::RoundRobin,
        Rule::LeastConn,
        Rule::IpHash,
        Rule::Random { two: true },
        Rule::Hash { key: Key::Login, consistent: true },
    ];
    let rule = chance.one_of(&rules, Rule::RoundRobin);
    let mut sim = turmoil::Builder::new()
        .rng_seed(chance.below(u64::MAX))
        .epoch(std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
        .simulation_duration(Duration::from_secs(400))
        .tick_duration(Duration::from_millis(5))
        .min_message_latency(Duration::from_millis(5))
        .max_message_latency(Duration::from_millis(40))
        .tcp_capacity(256)
        .build();
    let seen = Rc::new(Seen::default());
    let moods = Rc::new(RefCell::new([Mood::Sound; BACKENDS.len()]));
    for (index, name) in BACKENDS.into_iter().enumerate() {
        let (moods, seen) = (moods.clone(), seen.clone());
        sim.host(name, move || {
            let (moods, seen) = (moods.clone(), seen.clone());
            serve(PORT, SimNet::new(seed), move |stream, _| {
                let mood = moods.borrow().get(index).copied().unwrap_or(Mood::Sound);
                backend(stream, index, mood, seen.clone())
            })
        });
    }
    let upstreams = group(rule, &sim.lookup(BACKENDS[0]), &BACKENDS.map(|name| sim.lookup(name)));
    let house = seen.clone();
    sim.host("gatepost", move || {
        let (upstreams, seen) = (upstreams.clone(), house.clone());
        async move {
            match proxy {
                Proxy::Gatepost => gatepost(seed, upstreams, seen).await,
                Proxy::StandIn(flaw) => stand_in(flaw, seed, &upstreams, seen).await,
            }
        }
    });
    sim.client("weather", weather(chance, moods, mild));
    sim.client("clients", clients(seed, seen.clone()));
    sim.run()?;
    drop(sim);
    let mut faults = judge(&seen, mild);
    // The other rules may have no reason to send anybody there.
    let spreads = matches!(rule, Rule::RoundRobin | Rule::LeastConn);
    let used = seen.used.borrow();
    if spreads && used.len() < BACKENDS.len() {
        faults.push(format!("after the storm only these were used: {used:?}"));
    }
    Ok(faults)
}

/// Gatepost's driver, a session a client.
async fn gatepost(seed: u64, upstreams: Arc<Upstreams>, seen: Rc<Seen>) -> turmoil::Result {
    let (number, net) = (Cell::new(0), SimNet::new(seed));
    serve(PORT, net.clone(), move |stream, peer| {
        number.set(number.get() + 1);
        let client = Client { peer, listener: "0.0.0.0:143".into(), proxy_protocol: false, tls_first: false };
        let arrival = Arrival {
            stream,
            client,
            policy: Arc::new(policy()),
            tls: None,
            backend_tls: None,
            auth_tls: None,
            upstreams: upstreams.clone(),
            auth_upstreams: Arc::default(),
            users: None,
            auth_pool: None,
            zones: Arc::default(),
            seed: Seed(Chance::of(seed, "session", number.get()).octets()),
            number: number.get(),
        };
        let (net, seen) = (net.clone(), seen.clone());
        async move {
            seen.open_sessions.set(seen.open_sessions.get() + 1);
            drive(net, arrival, Witness(seen.clone()), Drain::default()).await;
            seen.open_sessions.set(seen.open_sessions.get() - 1);
            Ok(())
        }
    })
    .await
}

/// Somebody in its place.
async fn stand_in(flaw: Option<Flaw>, seed: u64, upstreams: &Upstreams, seen: Rc<Seen>) -> turmoil::Result {
    let Some(group) = upstreams.get("backends").cloned() else { return Ok(()) };
    let (number, net) = (Cell::new(0), SimNet::new(seed));
    let one_for_all = StandIn::new(flaw, net.clone(), group, seen);
    serve(PORT, net, move |stream, _| {
        number.set(number.get() + 1);
        let chance = Chance::of(seed, "session", number.get());
        one_for_all.clone().serve(stream, Seed(chance.octets()))
    })
    .await
}

fn group(rule: Rule, first: &std::net::IpAddr, all: &[std::net::IpAddr]) -> Arc<Upstreams> {
    let member = |address: SocketAddr| Member {
        fail_timeout: FAIL_TIMEOUT,
        ..Member::new(Server { address: address.into(), name: None })
    };
    let mut members: Vec<Member> = all.iter().map(|&ip| member((ip, PORT).into())).collect();
    members.push(member((*first, REFUSING_PORT).into()));
    Arc::new(Upstreams::from([("backends".into(), Arc::new(Upstream::new(&Settings { rule, members })))]))
}

fn policy() -> Policy {
    let mut policy = Policy::new(Protocol::Imap, "gatepost", None);
    let group = Group { name: "backends".into(), servers: BACKENDS.len() + 1, guest: Guest::default() };
    policy.timeout = BUDGET;
    policy.backend.pass = Some(Target::Group(group));
    policy.backend.connect_timeout = Some(CONNECT);
    policy
}

/// Keeps every report as its line.
struct Witness(Rc<Seen>);

impl Observer for Witness {
    fn report(&self, report: &Report) {
        tracing::info!(level = report.level().name(), %report);
        self.0.reports.borrow_mut().push(report.to_string());
    }
}

/// Changes moods until the storm is over.
async fn weather(chance: Chance, moods: Rc<RefCell<[Mood; BACKENDS.len()]>>, mild: bool) -> turmoil::Result {
    while turmoil::elapsed() < STORM {
        for (index, name) in BACKENDS.into_iter().enumerate() {
            let mood = match mild {
                true if index == 1 => Mood::Sound,
                true => chance.one_of(&EARLY, Mood::Sound),
                false => chance.one_of(&ALL, Mood::Sound),
            };
            turmoil::repair("gatepost", name);
            if mood == Mood::Lost {
                turmoil::partition("gatepost", name);
            }
            if let Some(place) = moods.borrow_mut().get_mut(index) {
                *place = mood;
            }
        }
        sleep(MOOD + Duration::from_millis(chance.below(4000))).await;
    }
    for name in BACKENDS {
        turmoil::repair("gatepost", name);
    }
    *moods.borrow_mut() = [Mood::Sound; BACKENDS.len()];
    Ok(())
}

async fn clients(seed: u64, seen: Rc<Seen>) -> turmoil::Result {
    let mut visits = JoinSet::new();
    let [in_storm, after] = VISITORS;
    for number in 0..in_storm + after {
        let chance = Chance::of(seed, "visitor", number as u64);
        let storm = number < in_storm;
        let delay = match storm {
            true => Duration::from_millis(chance.below(60_000)),
            // One after the other, so that each finds what the one before has learnt.
            false => CALM + Duration::from_millis(500 * (number - in_storm) as u64),
        };
        let seen = seen.clone();
        visits.spawn_local(async move {
            sleep(delay).await;
            let (took, reply) = visit(number, &chance).await;
            if let (false, Ok(reply)) = (storm, &reply) {
                seen.used.borrow_mut().insert(reply.clone());
            }
            seen.outcomes.borrow_mut().push(Outcome { storm, took, reply });
        });
    }
    while let Some(ended) = visits.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    // Whoever hung up may still be being let go.
    sleep(Duration::from_secs(95)).await;
    Ok(())
}

/// Logs in and out; tells how long the login took, and the reply to it.
async fn visit(number: usize, chance: &Chance) -> (Duration, Result<String, String>) {
    let attempt = async {
        let stream = TcpStream::connect(("gatepost", PORT)).await?;
        let mut talk = Talk::calling(Chop::new(stream, chance.clone()), Ear::default());
        talk.line().await?;
        let begun = turmoil::elapsed();
        talk.say(format!("a LOGIN user{number} {}\r\n", password(number))).await?;
        let reply = talk.line().await?.unwrap_or_default();
        let took = turmoil::elapsed() - begun;
        // In the storm the way to the backend may be lost behind the login, which is no concern of this story.
        let _ = talk.say("z LOGOUT\r\n").await;
        io::Result::Ok((took, String::from_utf8_lossy(&reply).into_owned()))
    };
    match attempt.await {
        Ok((took, reply)) => (took, Ok(reply)),
        Err(error) => (Duration::ZERO, Err(error.to_string())),
    }
}

fn password(number: usize) -> String {
    format!("hunter2-{number}")
}

/// Serves one connection in this mood.
async fn backend<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    index: usize,
    mood: Mood,
    seen: Rc<Seen>,
) -> io::Result<()> {
    let mut talk = Talk::answering(stream, Ear::default());
    // However the other side takes it.
    let _ = converse(&mut talk, index, mood, &seen).await;
    Ok(())
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<S>,
    index: usize,
    mood: Mood,
    seen: &Seen,
) -> io::Result<()> {
    match mood {
        Mood::HangsUp => return Ok(()),
        Mood::Silent => return hear_out(talk).await,
        Mood::Rude => return talk.say("* BYE too busy\r\n").await,
        Mood::Sound | Mood::Lost | Mood::Deaf | Mood::Drops | Mood::Forgets => {}
    }
    talk.say("* OK ready\r\n").await?;
    if mood == Mood::Deaf {
        return hear_out(talk).await;
    }
    talk.line().await?;
    talk.say("+ go on\r\n").await?;
    talk.line().await?;
    if mood == Mood::Drops {
        return Ok(());
    }
    talk.say("+ go on\r\n").await?;
    let password = talk.line().await?.unwrap_or_default();
    let password = String::from_utf8_lossy(&password).into_owned();
    seen.told.borrow_mut().entry(password).or_default().insert(index);
    if mood == Mood::Forgets {
        return Ok(());
    }
    talk.say(format!("a OK {index}\r\n")).await?;
    hear_out(talk).await
}

async fn hear_out<S: AsyncRead + AsyncWrite + Unpin>(talk: &mut Talk<S>) -> io::Result<()> {
    while talk.line().await?.is_some() {}
    Ok(())
}

/// What must be true whatever happened.
fn judge(seen: &Seen, mild: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let outcomes = seen.outcomes.borrow();
    for outcome in outcomes.iter() {
        let Outcome { storm, took, reply } = outcome;
        let well = match reply {
            Ok(reply) if reply.starts_with("a OK ") => true,
            Ok(reply) => !mild && *storm && reply.starts_with("a NO [UNAVAILABLE] "),
            Err(_) => false,
        };
        if !well || *took > BUDGET + SLACK {
            faults.push(format!("{outcome:?}"));
        }
    }
    if outcomes.len() != VISITORS.iter().sum::<usize>() {
        faults.push(format!("{} visitors came back", outcomes.len()));
    }
    for (password, backends) in seen.told.borrow().iter() {
        if backends.len() > 1 {
            faults.push(format!("{password} was told to {backends:?}"));
        }
    }
    if seen.reports.borrow().iter().any(|line| line.contains("hunter2")) {
        faults.push("the log has a password".to_owned());
    }
    if seen.open_sessions.get() > 0 {
        faults.push(format!("{} sessions are left", seen.open_sessions.get()));
    }
    faults
}
