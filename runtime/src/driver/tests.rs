use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use gatepost_core::{
    Address, Answer, AuthServer, Instant as Moment, Peer, Place, Protocol, Question, Report, ResolveError,
    StartTls, Target,
};
use rustls::version::TLS13;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio_rustls::TlsConnector;

use super::*;
use crate::tls::fixture::{Fixture, NAME};

mod auth_kept;
mod auth_tls;
mod backend_tls;
mod dialogue;
mod endings;
mod limits;
mod tls;
mod upstream;
mod users;

/// 2026-11-20 12:00:00 UTC.
const EPOCH_MILLIS: u64 = 1_795_176_000_000;

const AUTH: &str = "192.0.2.1:80";
const BACKEND: &str = "192.0.2.2:143";
const CLIENT: &str = "198.51.100.7:40000";

type Doors = BTreeMap<String, mpsc::UnboundedSender<DuplexStream>>;

/// A network of pipes: whoever listens at an address gets the far ends.
#[derive(Clone)]
struct TestNet {
    doors: Rc<RefCell<Doors>>,
    begun: Instant,
    /// How many octets each stream holds.
    room: usize,
    /// Addresses that swallow packets.
    silent: Rc<RefCell<BTreeSet<String>>>,
    /// What the DNS knows: the name of whoever asks for it, and its address.
    host: Option<(&'static str, std::net::IpAddr)>,
}

impl TestNet {
    fn new(room: usize) -> Self {
        Self { doors: Rc::default(), begun: Instant::now(), room, silent: Rc::default(), host: None }
    }

    /// Everyone who connects to `address`.
    fn listen(&self, address: &str) -> mpsc::UnboundedReceiver<DuplexStream> {
        let (door, visitors) = mpsc::unbounded_channel();
        self.doors.borrow_mut().insert(address.into(), door);
        visitors
    }
}

impl Net for TestNet {
    type Stream = DuplexStream;

    fn connect(
        &self,
        _: Wire,
        address: &Address,
    ) -> impl Future<Output = io::Result<(DuplexStream, Peer)>> + 'static {
        let (near, far) = duplex(self.room);
        let door = self.doors.borrow().get(&address.to_string()).cloned();
        let peer = Peer { remote: address.clone(), local: inet("192.0.2.9:50000") };
        let silent = self.silent.borrow().contains(&address.to_string());
        async move {
            if silent {
                std::future::pending::<()>().await;
            }
            let door = door.ok_or(io::ErrorKind::ConnectionRefused)?;
            door.send(far).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok((near, peer))
        }
    }

    fn resolve(&self, question: Question) -> impl Future<Output = Answer> + 'static {
        let answer = match question {
            Question::NameOf(_) => {
                Answer::Name(self.host.map(|(name, _)| name.into()).ok_or(ResolveError::NotFound))
            }
            Question::AddressesOf(..) => {
                Answer::Addresses(self.host.map(|(_, address)| vec![address]).ok_or(ResolveError::NotFound))
            }
        };
        async move {
            // Any real answer takes a while.
            sleep(Duration::from_millis(20)).await;
            answer
        }
    }

    fn now(&self) -> Moment {
        Moment::from_unix_millis(EPOCH_MILLIS).after(self.begun.elapsed())
    }
}

/// Keeps what is reported, as the log would show it.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<String>>>);

impl Observer for Kept {
    fn report(&self, report: &Report) {
        self.0.borrow_mut().push(format!("{} {report}", report.level().name()));
    }

    fn alert(&self, trouble: &str) {
        self.0.borrow_mut().push(format!("alert {trouble}"));
    }
}

impl Kept {
    fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

/// A session under way.
struct Scene {
    client: DuplexStream,
    log: Kept,
    drain: Drain,
    session: JoinHandle<()>,
}

impl Scene {
    fn begin(net: &TestNet, policy: Policy, tls: Option<crate::tls::Acceptor>, tls_first: bool) -> Self {
        Self::begin_as(net, policy, |arrival| {
            arrival.tls = tls;
            arrival.client.tls_first = tls_first;
        })
    }

    /// A session that differs from the usual one.
    fn begin_as(net: &TestNet, policy: Policy, change: impl FnOnce(&mut Arrival<DuplexStream>)) -> Self {
        let log = Kept::default();
        Self { log: log.clone(), ..Self::observed(net, policy, log, change) }
    }

    /// The same with another observer.
    fn observed(
        net: &TestNet,
        policy: Policy,
        observer: impl Observer + 'static,
        change: impl FnOnce(&mut Arrival<DuplexStream>),
    ) -> Self {
        let (client, stream) = duplex(net.room);
        let (log, drain) = (Kept::default(), Drain::default());
        let mut arrival = arrival(stream, policy);
        change(&mut arrival);
        let session = drive(net.clone(), arrival, observer, drain.clone());
        let session = spawn_local(async { assert!(session.await.is_none(), "a made-up stream was parked") });
        Self { client, log, drain, session }
    }

    /// The session's end and what was logged; the client having gone or not.
    async fn ended(self) -> Vec<String> {
        let Self { client, log, session, .. } = self;
        drop(client);
        session.await.expect("no panic");
        log.lines()
    }
}

/// A client that has just come in, and the simplest of servers.
fn arrival<S>(stream: S, policy: Policy) -> Arrival<S> {
    Arrival {
        stream,
        client: Client {
            peer: Peer { remote: inet(CLIENT), local: inet("203.0.113.1:143") },
            listener: "0.0.0.0:143".into(),
            proxy_protocol: false,
            tls_first: false,
        },
        policy: Arc::new(policy),
        tls: None,
        backend_tls: None,
        auth_tls: None,
        upstreams: Arc::default(),
        auth_upstreams: Arc::default(),
        users: None,
        auth_pool: None,
        zones: Arc::default(),
        seed: Seed([7; 16]),
        number: 1,
    }
}

fn inet(text: &str) -> Address {
    Address::Inet(text.parse().expect("an address"))
}

fn policy(protocol: Protocol) -> Policy {
    let auth = AuthServer::new(Target::Address(inet(AUTH)), "auth.example");
    Policy::new(protocol, "mx.example", auth)
}

/// Says `words` and hears exactly `answer`.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, words: &str, answer: &str) {
    stream.write_all(words.as_bytes()).await.expect("said");
    stream.flush().await.expect("said");
    hear(stream, answer).await;
}

/// Hears exactly `words`.
async fn hear<S: AsyncRead + Unpin>(stream: &mut S, words: &str) {
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&heard), words);
}

/// Hears everything up to the end.
async fn hear_out<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.expect("an end");
    String::from_utf8(heard).expect("text")
}

/// An auth server for one question: tells what it was asked.
fn answer_once(
    mut visitors: mpsc::UnboundedReceiver<DuplexStream>,
    answer: &'static str,
) -> JoinHandle<String> {
    spawn_local(async move {
        let mut stream = visitors.recv().await.expect("a visitor");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.expect("a question"));
        }
        // The session may hang up as soon as it has read enough.
        let _ = stream.write_all(answer.as_bytes()).await;
        String::from_utf8(asked).expect("text")
    })
}

const GRANTED: &str =
    "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.2\r\nAuth-Port: 143\r\n\r\n";

/// Runs a story on one thread, in made-up time.
fn tell<F: Future>(story: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, story)
}
