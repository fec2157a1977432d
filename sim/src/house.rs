//! Gatepost's host in the made-up world: the production driver behind a few listeners, with a configuration that can be read again, and
//! a process that can die.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gatepost::drain::Drain;
use gatepost::driver::{Arrival, drive};
use gatepost::observe::{Ending, Observer};
use gatepost::pool::Pool;
use gatepost::upstream::{Member, Rule, Settings, Upstream, Upstreams};
use gatepost_core::report::Notice;
use gatepost_core::{
    AuthServer, BackendTls, Client, Group, Guest, Lingering, Mechanism, Mechanisms, Policy, Protocol, Report,
    Seed, Server as Upserver, Target,
};
use rustls::{ClientConfig, ServerConfig};
use tokio::task::{JoinSet, spawn_local};

use crate::backend::counter::Counter;
use crate::chance::Chance;
use crate::crypto;
use crate::fault::FAIL_TIMEOUT;
use crate::jam::Jam;
use crate::net::{SimNet, SimStream, serve};
use crate::plan::Terms;
use crate::weigh::{Weighed, off_the_scales};

/// `timeout`.
pub const TIMEOUT: Duration = Duration::from_secs(8);

/// `auth_http_timeout`.
pub const AUTH_TIMEOUT: Duration = Duration::from_secs(4);

/// `proxy_connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// `proxy_timeout`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(6);

/// `lingering_time` and `lingering_timeout`.
pub const LINGERING: Lingering =
    Lingering { close: true, time: Duration::from_secs(3), silence: Duration::from_secs(1) };

/// The two listeners of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Entrance {
    /// What is spoken there.
    pub protocol: Protocol,
    /// The port that begins in plaintext.
    pub clear_port: u16,
    /// The port that begins with TLS.
    pub tls_port: u16,
}

/// What Gatepost is surrounded by.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// How it is configured.
    pub terms: Terms,
    /// Its listeners.
    pub entrances: Vec<Entrance>,
    /// Where the auth servers are.
    pub auth_servers: Vec<SocketAddr>,
    /// Where the backends are; their ports are those of the entrances.
    pub backends: Vec<IpAddr>,
    /// The numbers that the sessions of clients get, by their addresses. Nobody comes twice.
    pub numbers: BTreeMap<IpAddr, u64>,
}

/// The name of the group of backends of this protocol, reached in this way, as the auth server names it.
#[must_use]
pub fn group_name(protocol: Protocol, tls: BackendTls) -> String {
    let way = match tls {
        BackendTls::Off => "clear",
        BackendTls::On => "tls",
        BackendTls::StartTls => "starttls",
    };
    format!("{}-{way}", protocol.name())
}

/// The host. Clones are one and the same.
#[derive(Clone)]
pub struct House(Rc<State>);

struct State {
    seed: u64,
    surroundings: Surroundings,
    jam: Jam,
    clock_ahead: Rc<Cell<Duration>>,
    generation: RefCell<Rc<Generation>>,
    backend_tls: Arc<ClientConfig>,
    acceptors: BTreeMap<u16, Arc<ServerConfig>>,
    books: RefCell<BTreeMap<u64, Book>>,
    has_opened: Cell<bool>,
}

/// One reading of the configuration.
struct Generation {
    number: usize,
    policies: BTreeMap<Protocol, Arc<Policy>>,
    upstreams: Arc<Upstreams>,
    auth_upstreams: Arc<Upstreams>,
    /// The connections to auth servers that are kept, once there are any.
    pool: OnceCell<Option<Pool<SimStream>>>,
    drain: Drain,
}

impl Generation {
    /// The pool, which is tended from its first use on. To be called on the host.
    fn pool(&self, most: usize) -> Option<Pool<SimStream>> {
        let make = || {
            let pool = (most > 0).then(|| Pool::new(most));
            pool.iter().for_each(|pool| drop(spawn_local(pool.clone().tend())));
            pool
        };
        self.pool.get_or_init(make).clone()
    }

    fn close_pool(&self) {
        self.pool.get().into_iter().flatten().for_each(Pool::close);
    }
}

/// What is known of a session.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Which reading of the configuration it began with.
    pub generation: usize,
    /// Every report, in order.
    pub reports: Vec<Report>,
    /// Each end that was told, with the time that the session had lasted.
    pub endings: Vec<Duration>,
    /// The most octets of memory it held before its relay began.
    pub octets_max: i64,
    /// Whether its relay began.
    pub has_logged_in: bool,
    /// How many logins the auth server was asked about, as the end told.
    pub attempts: u32,
    /// How many octets the backend had said, likewise.
    pub from_backend: u64,
    /// Its task is done.
    pub is_over: bool,
    /// Its task was cut, for the process died.
    pub is_cut: bool,
}

impl House {
    /// A host in these surroundings.
    ///
    /// # Errors
    ///
    /// The TLS library's, should it not like the fixture.
    pub fn new(seed: u64, surroundings: Surroundings) -> Result<Self, rustls::Error> {
        let acceptor = |entrance: &Entrance| {
            let chance = Chance::of(seed, "gatepost tls", u64::from(entrance.tls_port));
            Ok((entrance.clear_port, crypto::server(entrance.protocol, &chance)?))
        };
        let acceptors = surroundings.entrances.iter().map(acceptor).collect::<Result<_, rustls::Error>>()?;
        Ok(Self(Rc::new(State {
            seed,
            generation: RefCell::new(Rc::new(Generation::new(0, &surroundings))),
            surroundings,
            jam: Jam::default(),
            clock_ahead: Rc::default(),
            backend_tls: crypto::towards_backends(&Chance::of(seed, "backend tls", 0))?,
            acceptors,
            books: RefCell::default(),
            has_opened: Cell::new(false),
        })))
    }

    /// What is known of every session so far, by its number.
    #[must_use]
    pub fn books(&self) -> BTreeMap<u64, Book> {
        self.0.books.borrow().clone()
    }

    /// How many sessions have begun and not ended.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.0.books.borrow().values().filter(|book| !book.is_over).count()
    }

    /// How many streams there are.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.0.jam.streams()
    }

    /// What makes its buffers full.
    #[must_use]
    pub fn jam(&self) -> &Jam {
        &self.0.jam
    }

    /// Its clock jumps ahead.
    pub fn jump(&self, ahead: Duration) {
        self.0.clock_ahead.set(self.0.clock_ahead.get() + ahead);
    }

    /// Lets go of the connections to auth servers that wait for another question.
    pub fn close_pool(&self) {
        self.0.generation.borrow().close_pool();
    }

    /// Reads the configuration again. Hands back the word that ends the sessions that were there.
    #[must_use]
    pub fn reload(&self) -> Drain {
        let old = self.0.generation.borrow().clone();
        old.close_pool();
        let next = Generation::new(old.number + 1, &self.0.surroundings);
        *self.0.generation.borrow_mut() = Rc::new(next);
        old.drain.clone()
    }

    /// Listens and serves for ever. Once more, after the process has died: with nothing of before.
    ///
    /// # Errors
    ///
    /// The network's. A session's panic is raised again here.
    pub async fn open(self) -> turmoil::Result {
        if self.0.has_opened.replace(true) {
            drop(self.reload());
        }
        let net = SimNet::new(self.0.seed).with(self.0.jam.clone(), self.0.clock_ahead.clone());
        let mut listeners = JoinSet::new();
        for entrance in self.0.surroundings.entrances.clone() {
            for (port, tls_first) in [(entrance.clear_port, false), (entrance.tls_port, true)] {
                let (house, net) = (self.clone(), net.clone());
                let text: Arc<str> = format!("0.0.0.0:{port}").into();
                listeners.spawn_local(serve(port, net.clone(), move |stream, peer| {
                    let client = Client { peer, listener: text.clone(), proxy_protocol: false, tls_first };
                    house.session(&net, stream, client, entrance)
                }));
            }
        }
        match listeners.join_next().await {
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(ended) => ended?,
            None => Ok(()),
        }
    }

    fn session(
        &self,
        net: &SimNet,
        stream: SimStream,
        client: Client,
        entrance: Entrance,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        let state = &self.0;
        let generation = state.generation.borrow().clone();
        let known = client.peer.remote.ip().and_then(|ip| state.surroundings.numbers.get(&ip).copied());
        let number = known.unwrap_or_default();
        let policy = generation.policies.get(&entrance.protocol).cloned();
        let arrival = policy.map(|policy| Arrival {
            stream,
            client,
            policy,
            tls: state.acceptors.get(&entrance.clear_port).cloned().map(Into::into),
            backend_tls: Some(state.backend_tls.clone()),
            auth_tls: None,
            upstreams: generation.upstreams.clone(),
            auth_upstreams: generation.auth_upstreams.clone(),
            users: None,
            auth_pool: generation.pool(state.surroundings.terms.keepalive),
            zones: Arc::default(),
            seed: Seed(Chance::of(state.seed, "session", number).octets()),
            number,
        });
        let open = Open { house: self.clone(), number };
        let book = Book { generation: generation.number, ..Book::default() };
        let before = state.books.borrow_mut().insert(number, book);
        let (net, witness) = (net.of_session(number), Witness { house: self.clone(), number });
        let drain = generation.drain.clone();
        async move {
            let mut open = Some(open);
            if before.is_some() {
                return Err(io::Error::other(format!("session {number} began twice")));
            }
            if let Some(arrival) = arrival {
                let house = witness.house.clone();
                let weighed = move |octets| {
                    if let Some(book) = house.0.books.borrow_mut().get_mut(&number)
                        && !book.has_logged_in
                    {
                        book.octets_max = book.octets_max.max(octets);
                    }
                };
                let session = async move { drive(net, arrival, witness, drain).await };
                Weighed::new(session, weighed).await;
            }
            if let Some(open) = open.take() {
                open.close();
            }
            Ok(())
        }
    }
}

/// A session's task, for as long as it is there.
struct Open {
    house: House,
    number: u64,
}

impl Open {
    /// The session came to its end by itself.
    fn close(self) {
        if let Some(book) = self.house.0.books.borrow_mut().get_mut(&self.number) {
            book.is_over = true;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(book) = self.house.0.books.borrow_mut().get_mut(&self.number)
            && !book.is_over
        {
            (book.is_over, book.is_cut) = (true, true);
        }
    }
}

/// Keeps every report, and tells it in the trace.
struct Witness {
    house: House,
    number: u64,
}

impl Observer for Witness {
    fn report(&self, report: &Report) {
        tracing::info!(level = report.level().name(), %report);
        if let Some(book) = self.house.0.books.borrow_mut().get_mut(&self.number) {
            book.has_logged_in |= matches!(report.notice, Notice::LoggedIn);
            off_the_scales(|| book.reports.push(report.clone()));
        }
    }

    fn awaits_ending(&self) -> bool {
        true
    }

    fn ended(&self, ending: &Ending) {
        let Ending { facts, tally, lasted } = ending;
        tracing::info!(?tally, login = ?facts.login.as_deref().map(String::from_utf8_lossy), ?lasted, "ended");
        if let Some(book) = self.house.0.books.borrow_mut().get_mut(&self.number) {
            book.endings.push(*lasted);
            book.attempts = facts.attempts;
            book.from_backend = tally.from_backend;
        }
    }
}

impl Generation {
    fn new(number: usize, surroundings: &Surroundings) -> Self {
        let Surroundings { terms, auth_servers, backends, .. } = surroundings;
        let mut upstreams = Upstreams::new();
        for &Entrance { protocol, clear_port, tls_port } in &surroundings.entrances {
            for tls in [BackendTls::Off, BackendTls::StartTls, BackendTls::On] {
                let port = Counter::port(tls, clear_port, tls_port);
                let servers = backends.iter().map(|&ip| SocketAddr::new(ip, port));
                upstreams.insert(group_name(protocol, tls).into(), group(terms.backend_rule, servers));
            }
        }
        let auth = group(terms.auth_rule, auth_servers.iter().copied());
        let policies = surroundings.entrances.iter().map(|entrance| {
            let policy = policy(entrance.protocol, number, surroundings, &upstreams);
            (entrance.protocol, Arc::new(policy))
        });
        Self {
            number,
            policies: policies.collect(),
            upstreams: Arc::new(upstreams),
            auth_upstreams: Arc::new(Upstreams::from([("auth".into(), auth)])),
            pool: OnceCell::new(),
            drain: Drain::default(),
        }
    }
}

fn group(rule: Rule, servers: impl Iterator<Item = SocketAddr>) -> Arc<Upstream> {
    let member = |address: SocketAddr| Member {
        fail_timeout: FAIL_TIMEOUT,
        ..Member::new(Upserver { address: address.into(), name: None })
    };
    Arc::new(Upstream::new(&Settings { rule, members: servers.map(member).collect() }))
}

/// `server_name`, which tells one reading of the configuration from another.
#[must_use]
pub fn server_name(generation: usize) -> String {
    format!("gatepost{generation}.example.org")
}

fn policy(
    protocol: Protocol,
    generation: usize,
    surroundings: &Surroundings,
    upstreams: &Upstreams,
) -> Policy {
    let Surroundings { terms, auth_servers, .. } = surroundings;
    let mechanisms =
        Mechanisms::none().with(Mechanism::Plain).with(Mechanism::Login).with(Mechanism::CramMd5);
    let auth = Group { name: "auth".into(), servers: auth_servers.len(), guest: Guest::default() };
    let auth = AuthServer {
        timeout: AUTH_TIMEOUT,
        keepalive: terms.keepalive,
        ..AuthServer::new(Target::Group(auth), "auth")
    };
    let mut policy = Policy::new(protocol, &server_name(generation), auth);
    policy.starttls = terms.starttls;
    policy.timeout = TIMEOUT;
    policy.lingering = LINGERING;
    policy.mechanisms = match protocol {
        Protocol::Pop3 => mechanisms.with(Mechanism::Apop),
        Protocol::Imap | Protocol::Smtp => mechanisms,
    };
    policy.upstreams =
        Arc::new(upstreams.iter().map(|(name, group)| (name.clone(), group.servers())).collect());
    policy.backend.connect_timeout = Some(CONNECT_TIMEOUT);
    policy.backend.idle_timeout = IDLE_TIMEOUT;
    policy.backend.proxy_header = terms.proxy_header;
    policy.backend.tls_configured = true;
    policy.backend.tls_name = Some(crypto::NAME.into());
    policy.backend.smtp_auth = terms.smtp_auth;
    policy.backend.pipelining = terms.pipelining;
    policy
}
