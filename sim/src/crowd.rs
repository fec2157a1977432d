//! A world in which everybody comes at once: a few users with many clients, more than there may be at a time (`limit_conn`), who leave in
//! every way there is, and a backend that has its moods.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gatepost::drain::Drain;
use gatepost::driver::{Arrival, drive};
use gatepost::limit_conn::{Settings, ZONE_BYTES_MIN, Zones};
use gatepost::observe::Observer;
use gatepost_core::report::Notice;
use gatepost_core::{Client, ConnLimit, LimitKey, Policy, Protocol, Report, Seed, Target};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use crate::chance::Chance;
use crate::chop::Chop;
use crate::dialogue::Ear;
use crate::net::{SimNet, serve};
use crate::talk::Talk;

const PORT: u16 = 143;

const USERS: usize = 3;

/// How many sessions a user may have at a time.
const SESSIONS_MAX: u16 = 2;

/// How many come at their own times within [`RUSH`].
const VISITORS: usize = 60;
const RUSH: Duration = Duration::from_secs(40);

/// When every session of the rush is over: the longest stay, `timeout`, and every linger.
const CALM: Duration = Duration::from_secs(150);

/// The longest that a client stays.
const STAY_MILLIS_MAX: u64 = 6000;

/// What a login came to, as its client tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    In,
    Limited,
    /// The backend's or the network's trouble.
    Trouble,
}

/// What is seen of a world.
#[derive(Default)]
struct Seen {
    /// The sessions of each user that were let in and are not over.
    inside: RefCell<BTreeMap<Arc<[u8]>, u16>>,
    faults: RefCell<Vec<String>>,
    outcomes: RefCell<Vec<Outcome>>,
    limited: Cell<usize>,
    open_sessions: Cell<usize>,
}

impl Seen {
    fn fault(&self, text: String) {
        self.faults.borrow_mut().push(text);
    }

    fn enters(&self, user: &Arc<[u8]>) {
        let mut inside = self.inside.borrow_mut();
        let sessions = inside.entry(user.clone()).or_default();
        *sessions += 1;
        if *sessions > SESSIONS_MAX {
            let user = String::from_utf8_lossy(user);
            self.fault(format!("{sessions} sessions of {user} at {:?}", turmoil::elapsed()));
        }
    }

    fn leaves(&self, user: &Arc<[u8]>) {
        if let Some(sessions) = self.inside.borrow_mut().get_mut(user) {
            *sessions -= 1;
        }
    }
}

/// Lets the world of `seed` happen, and tells what was wrong with it.
///
/// # Errors
///
/// A party panicked, or the world did not come to its end.
pub fn faults(seed: u64) -> turmoil::Result<Vec<String>> {
    let chance = Chance::of(seed, "crowd", 0);
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
    sim.host("backend", move || {
        let number = Cell::new(0);
        serve(PORT, SimNet::new(seed), move |stream, _| {
            number.set(number.get() + 1);
            backend(stream, Chance::of(seed, "mood", number.get()))
        })
    });
    let policy = Arc::new(policy((sim.lookup("backend"), PORT).into()));
    let user = Settings { key: LimitKey::Login, bytes: ZONE_BYTES_MIN };
    let zones = Arc::new(Zones::new(&[("user".into(), user)].into(), &Zones::default())?);
    let house = seen.clone();
    sim.host("gatepost", move || {
        let (zones, seen, policy) = (zones.clone(), house.clone(), policy.clone());
        let (number, net) = (Cell::new(0), SimNet::new(seed));
        serve(PORT, net.clone(), move |stream, peer| {
            number.set(number.get() + 1);
            let client =
                Client { peer, listener: "0.0.0.0:143".into(), proxy_protocol: false, tls_first: false };
            let arrival = Arrival {
                stream,
                client,
                policy: policy.clone(),
                tls: None,
                backend_tls: None,
                auth_tls: None,
                upstreams: Arc::default(),
                auth_upstreams: Arc::default(),
                users: None,
                auth_pool: None,
                zones: zones.clone(),
                seed: Seed(Chance::of(seed, "session", number.get()).octets()),
                number: number.get(),
            };
            let (net, seen) = (net.clone(), seen.clone());
            async move {
                seen.open_sessions.set(seen.open_sessions.get() + 1);
                let user = Rc::default();
                drive(net, arrival, Witness(seen.clone(), Rc::clone(&user)), Drain::default()).await;
                if let Some(user) = user.take() {
                    seen.leaves(&user);
                }
                seen.open_sessions.set(seen.open_sessions.get() - 1);
                Ok(())
            }
        })
    });
    sim.client("clients", clients(seed, seen.clone()));
    sim.run()?;
    drop(sim);
    let mut faults = seen.faults.take();
    if seen.open_sessions.get() > 0 {
        faults.push(format!("{} sessions are left", seen.open_sessions.get()));
    }
    let outcomes = seen.outcomes.take();
    let told = outcomes.iter().filter(|outcome| **outcome == Outcome::Limited).count();
    if told > seen.limited.get() {
        faults.push(format!("{told} were told of a limit, and {} lines say so", seen.limited.get()));
    }
    // A crowd of which nobody was refused, or nobody let in, shows nothing.
    for wanted in [Outcome::In, Outcome::Limited] {
        if !outcomes.contains(&wanted) {
            faults.push(format!("of {} nobody was {wanted:?}", outcomes.len()));
        }
    }
    Ok(faults)
}

fn policy(backend: std::net::SocketAddr) -> Policy {
    let mut policy = Policy::new(Protocol::Imap, "gatepost", None);
    let connections = SESSIONS_MAX;
    let limit = ConnLimit { zone: "user".into(), key: LimitKey::Login, connections, early: false };
    policy.conn_limits.limits = vec![limit];
    policy.timeout = Duration::from_secs(10);
    policy.backend.idle_timeout = Duration::from_secs(20);
    policy.backend.pass = Some(Target::Address(backend.into()));
    policy
}

/// Counts the lines about limits, and notes whose session it is once it is let in.
struct Witness(Rc<Seen>, Rc<RefCell<Option<Arc<[u8]>>>>);

impl Observer for Witness {
    fn report(&self, report: &Report) {
        tracing::info!(level = report.level().name(), %report);
        let Self(seen, user) = self;
        match &report.notice {
            Notice::Limiting { .. } => seen.limited.set(seen.limited.get() + 1),
            Notice::LoggedIn => {
                if let Some(login) = &report.context.login {
                    seen.enters(login);
                    user.replace(Some(login.clone()));
                }
            }
            _ => {}
        }
    }
}

async fn clients(seed: u64, seen: Rc<Seen>) -> turmoil::Result {
    let mut visits = JoinSet::new();
    for number in 0..VISITORS {
        let (chance, seen) = (Chance::of(seed, "visitor", number as u64), seen.clone());
        visits.spawn_local(async move {
            sleep(Duration::from_millis(chance.below(RUSH.as_secs() * 1000))).await;
            let user = format!("user{}", number % USERS);
            let stay = Duration::from_millis(chance.below(STAY_MILLIS_MAX));
            let outcome = visit(&user, &chance, stay, chance.once_in(3)).await.unwrap_or(Outcome::Trouble);
            seen.outcomes.borrow_mut().push(outcome);
        });
    }
    all(visits).await;
    sleep(CALM.saturating_sub(turmoil::elapsed())).await;
    // However they left: every place is free again, and there are no more than before.
    let mut visits = JoinSet::new();
    for number in 0..USERS * usize::from(SESSIONS_MAX) {
        let (chance, seen) = (Chance::of(seed, "late visitor", number as u64), seen.clone());
        visits.spawn_local(async move {
            let user = format!("user{}", number % USERS);
            let outcome = visit(&user, &chance, Duration::from_secs(5), false).await;
            if !matches!(outcome, Ok(Outcome::In)) {
                seen.fault(format!("a place of {user} was not given up: {outcome:?}"));
            }
        });
    }
    all(visits).await;
    // Whoever hung up may still be being let go.
    sleep(Duration::from_secs(60)).await;
    Ok(())
}

async fn all(mut visits: JoinSet<()>) {
    while let Some(ended) = visits.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Logs in, stays, and leaves with a word or without. Who is `hasty` may leave at any moment.
async fn visit(user: &str, chance: &Chance, stay: Duration, hasty: bool) -> io::Result<Outcome> {
    let stream = TcpStream::connect(("gatepost", PORT)).await?;
    let mut talk = Talk::calling(Chop::new(stream, chance.clone()), Ear::default());
    let attempt = async {
        talk.line().await?;
        talk.say(format!("a LOGIN {user} hunter2\r\n")).await?;
        let reply = talk.line().await?.unwrap_or_default();
        if reply.starts_with(b"a OK") {
            sleep(stay).await;
            // The backend may have left before.
            let _ = talk.say("z LOGOUT\r\n").await;
            let _ = talk.line().await;
            return Ok(Outcome::In);
        }
        Ok(match reply.as_ref() {
            b"a NO [UNAVAILABLE] Too many connections" => Outcome::Limited,
            _ => Outcome::Trouble,
        })
    };
    match hasty {
        true => {
            timeout(Duration::from_millis(chance.below(1500)), attempt).await.unwrap_or(Ok(Outcome::Trouble))
        }
        false => attempt.await,
    }
}

/// What the backend does to whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Sound,
    HangsUp,
    Silent,
    Refuses,
    /// Lets them in, and hangs up on them.
    Drops,
}

const MOODS: [Mood; 8] = [
    Mood::Sound,
    Mood::Sound,
    Mood::Sound,
    Mood::Sound,
    Mood::HangsUp,
    Mood::Silent,
    Mood::Refuses,
    Mood::Drops,
];

/// Serves one connection, in any mood as long as the rush lasts.
async fn backend<S: AsyncRead + AsyncWrite + Unpin>(stream: S, chance: Chance) -> io::Result<()> {
    let mood = match turmoil::elapsed() < RUSH {
        true => chance.one_of(&MOODS, Mood::Sound),
        false => Mood::Sound,
    };
    let mut talk = Talk::answering(stream, Ear::default());
    // However the other side takes it.
    let _ = converse(&mut talk, mood, &chance).await;
    Ok(())
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<S>,
    mood: Mood,
    chance: &Chance,
) -> io::Result<()> {
    match mood {
        Mood::HangsUp => return Ok(()),
        Mood::Silent => return hear_out(talk).await,
        Mood::Sound | Mood::Refuses | Mood::Drops => {}
    }
    talk.say("* OK ready\r\n").await?;
    talk.line().await?;
    talk.say("+ go on\r\n").await?;
    talk.line().await?;
    talk.say("+ go on\r\n").await?;
    talk.line().await?;
    if mood == Mood::Refuses {
        return talk.say("a NO not today\r\n").await;
    }
    talk.say("a OK in\r\n").await?;
    if mood == Mood::Drops {
        sleep(Duration::from_millis(chance.below(STAY_MILLIS_MAX))).await;
        return Ok(());
    }
    // Somebody who logs out is let go.
    talk.line().await?;
    Ok(())
}

async fn hear_out<S: AsyncRead + AsyncWrite + Unpin>(talk: &mut Talk<S>) -> io::Result<()> {
    while talk.line().await?.is_some() {}
    Ok(())
}
