//! Gatepost's host in the made-up world: the production driver behind a few listeners.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use gatepost::drain::Drain;
use gatepost::driver::{Arrival, drive};
use gatepost::observe::{Ending, Observer};
use gatepost::pool::Pool;
use gatepost::tls::Acceptor;
use gatepost_core::{
    AuthServer, Client, Mechanism, Mechanisms, Policy, Protocol, Report, Seed, StartTls, Target,
};
use rustls::ServerConfig;
use tokio::task::{JoinSet, spawn_local};
use turmoil::net::TcpStream;

use crate::chance::Chance;
use crate::chop::Chop;
use crate::crypto;
use crate::net::{SimNet, serve};

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

/// The host. Clones are one and the same.
#[derive(Clone)]
pub struct House {
    seed: u64,
    servers: Rc<[Server]>,
    /// How many connections to the auth server wait for the next question.
    keepalive: usize,
    sessions: Rc<Cell<u64>>,
    open_sessions: Rc<Cell<usize>>,
    reports: Rc<RefCell<BTreeMap<u64, Vec<Report>>>>,
}

/// What the configuration's `server {}` comes to in production.
struct Server {
    entrance: Entrance,
    policy: Arc<Policy>,
    tls: Arc<ServerConfig>,
}

impl House {
    /// A host with `entrances` whose logins are decided at `auth_server`, to which so many connections are kept.
    ///
    /// # Errors
    ///
    /// The TLS library's, should it not like the fixture.
    pub fn new(
        seed: u64,
        auth_server: SocketAddr,
        keepalive: usize,
        entrances: &[Entrance],
    ) -> Result<Self, rustls::Error> {
        let server = |&entrance: &Entrance| {
            let chance = Chance::of(seed, "gatepost tls", u64::from(entrance.tls_port));
            Ok(Server {
                entrance,
                policy: Arc::new(policy(entrance.protocol, auth_server, keepalive)),
                tls: crypto::server(entrance.protocol, &chance)?,
            })
        };
        Ok(Self {
            seed,
            servers: entrances.iter().map(server).collect::<Result<_, rustls::Error>>()?,
            keepalive,
            sessions: Rc::default(),
            open_sessions: Rc::default(),
            reports: Rc::default(),
        })
    }

    /// How many sessions have begun and not ended.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.open_sessions.get()
    }

    /// Every report of every session so far, by the session's number.
    #[must_use]
    pub fn reports(&self) -> BTreeMap<u64, Vec<Report>> {
        self.reports.borrow().clone()
    }

    /// Listens and serves for ever.
    ///
    /// # Errors
    ///
    /// The network's. A session's panic is raised again here.
    pub async fn open(self) -> turmoil::Result {
        let net = SimNet::new(self.seed);
        let pool = (self.keepalive > 0).then(|| Pool::new(self.keepalive));
        if let Some(pool) = &pool {
            spawn_local(pool.clone().tend());
        }
        let mut listeners = JoinSet::new();
        for Server { entrance, policy, tls } in self.servers.iter() {
            for (port, tls_first) in [(entrance.clear_port, false), (entrance.tls_port, true)] {
                let (house, policy, tls, net) = (self.clone(), policy.clone(), tls.clone(), net.clone());
                let pool = pool.clone();
                let text: Arc<str> = format!("0.0.0.0:{port}").into();
                listeners.spawn_local(serve(port, net.clone(), move |stream, peer| {
                    let client = Client { peer, listener: text.clone(), proxy_protocol: false, tls_first };
                    let tls = tls.clone().into();
                    house.clone().session(net.clone(), stream, client, policy.clone(), tls, pool.clone())
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
        self,
        net: SimNet,
        stream: Chop<TcpStream>,
        client: Client,
        policy: Arc<Policy>,
        tls: Acceptor,
        auth_pool: Option<Pool<Chop<TcpStream>>>,
    ) -> impl Future<Output = io::Result<()>> {
        let number = self.sessions.get() + 1;
        self.sessions.set(number);
        let seed = Seed(Chance::of(self.seed, "session", number).octets());
        let ended = Rc::new(Cell::new(0u32));
        let witness = Witness { number, reports: self.reports, ended: ended.clone() };
        let arrival = Arrival {
            stream,
            client,
            policy,
            tls: Some(tls),
            backend_tls: None,
            auth_tls: None,
            upstreams: Arc::default(),
            auth_upstreams: Arc::default(),
            users: None,
            auth_pool,
            seed,
            number,
        };
        let open = self.open_sessions;
        open.set(open.get() + 1);
        async move {
            drive(net, arrival, witness, Drain::default()).await;
            assert_eq!(ended.get(), 1, "a session's end is told once");
            open.set(open.get() - 1);
            Ok(())
        }
    }
}

/// Keeps every report, and tells it in the trace.
struct Witness {
    number: u64,
    reports: Rc<RefCell<BTreeMap<u64, Vec<Report>>>>,
    /// How often the end was told.
    ended: Rc<Cell<u32>>,
}

impl Observer for Witness {
    fn report(&self, report: &Report) {
        assert_eq!(self.ended.get(), 0, "nothing is reported behind the end");
        tracing::info!(number = self.number, level = report.level().name(), %report);
        self.reports.borrow_mut().entry(self.number).or_default().push(report.clone());
    }

    fn awaits_ending(&self) -> bool {
        true
    }

    fn ended(&self, ending: &Ending) {
        let Ending { facts, tally, .. } = ending;
        tracing::info!(number = self.number, ?tally, login = ?facts.login, "ended");
        self.ended.set(self.ended.get() + 1);
    }
}

fn policy(protocol: Protocol, auth_server: SocketAddr, keepalive: usize) -> Policy {
    let mechanisms =
        Mechanisms::none().with(Mechanism::Plain).with(Mechanism::Login).with(Mechanism::CramMd5);
    let auth = AuthServer { keepalive, ..AuthServer::new(Target::Address(auth_server.into()), "auth") };
    Policy {
        starttls: StartTls::On,
        mechanisms: match protocol {
            Protocol::Pop3 => mechanisms.with(Mechanism::Apop),
            Protocol::Imap | Protocol::Smtp => mechanisms,
        },
        ..Policy::new(protocol, "gatepost", auth)
    }
}
