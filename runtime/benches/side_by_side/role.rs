//! This program in its roles: the benchmark starts itself as the auth server, the backends and the clients, so that each
//! has a process, descriptors and a core's time of its own.

use std::env;
use std::future::Future;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::Outcome;
use crate::job::{Done, Job, Ports};

/// Descriptors a process of ours may have.
const DESCRIPTORS: u64 = 20_000;
/// Connections that may wait for a server of ours.
const BACKLOG: u32 = 4096;

/// Lets this process, and those it starts, have enough descriptors.
pub(crate) fn allow_many_descriptors() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= DESCRIPTORS) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|most| most.max(DESCRIPTORS));
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum })
        .map_err(|error| format!("{DESCRIPTORS} descriptors are needed: {error}").into())
}

// In a role.

/// Runs a role to its end.
pub(crate) fn on_one_thread(role: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, role)
}

/// A socket that listens on a port of its own, with room for a crowd.
pub(crate) fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(BACKLOG)
}

/// The first line of instructions.
pub(crate) fn instructions<T: DeserializeOwned>() -> Outcome<T> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// A later one; nothing at the end.
pub(crate) async fn next_instructions<T: DeserializeOwned + Send + 'static>() -> Outcome<Option<T>> {
    // Off the runtime's thread, for what is held meanwhile goes on.
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    })
    .await??;
    match line.is_empty() {
        true => Ok(None),
        false => Ok(Some(serde_json::from_str(&line)?)),
    }
}

/// Tells the benchmark something.
pub(crate) fn report(what: &impl Serialize) -> Outcome<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

/// Waits for the end of instructions, which comes also when the benchmark dies.
pub(crate) async fn until_told_to_end() -> Outcome<()> {
    let (told, mut end) = mpsc::channel::<()>(1);
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(told);
    });
    let _ = end.recv().await;
    Ok(())
}

/// A connection that went wrong is told of on standard error; whoever measures notices by its clients.
pub(crate) fn complain(who: &str, outcome: Outcome<()>) {
    if let Err(error) = outcome
        && error
            .downcast_ref::<io::Error>()
            .is_none_or(|error| error.kind() != io::ErrorKind::ConnectionReset)
    {
        eprintln!("side_by_side: {who}: {error}");
    }
}

// In the benchmark.

/// A process that plays a role. It ends with this.
struct Actor {
    child: Child,
    said_to: Option<ChildStdin>,
    hears: BufReader<ChildStdout>,
}

impl Actor {
    fn start(role: &str) -> Outcome<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (said_to, hears) = (child.stdin.take(), child.stdout.take());
        let hears = BufReader::new(hears.ok_or("a child without a standard output")?);
        Ok(Self { child, said_to, hears })
    }

    fn say(&mut self, what: &impl Serialize) -> Outcome<()> {
        let pipe = self.said_to.as_mut().ok_or("the actor has gone")?;
        writeln!(pipe, "{}", serde_json::to_string(what)?)?;
        Ok(pipe.flush()?)
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Outcome<T> {
        let mut line = String::new();
        match self.hears.read_line(&mut line)? {
            0 => Err("a process of ours ended".into()),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        drop(self.said_to.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everybody but the proxy.
pub(crate) struct Stage {
    clients: Actor,
    _backend: Actor,
    _auth_server: Actor,
    /// Where the auth server listens.
    pub(crate) auth_port: u16,
    /// Where the proxy is to listen: a loopback address for this benchmark alone, so that two of them do not meet each other's proxies.
    pub(crate) proxy_host: Ipv4Addr,
}

impl Stage {
    /// Starts everybody.
    pub(crate) fn set(proxy_host: Ipv4Addr) -> Outcome<Self> {
        let mut backend = Actor::start("backend")?;
        let backends: Ports = backend.hear()?;
        let mut auth_server = Actor::start("auth-server")?;
        auth_server.say(&backends)?;
        let Ports { ports: [auth_port, ..] } = auth_server.hear()?;
        let mut clients = Actor::start("clients")?;
        clients.say(&backends)?;
        Ok(Self { clients, _backend: backend, _auth_server: auth_server, auth_port, proxy_host })
    }

    /// Has the clients do a job, and waits until it is done.
    pub(crate) fn perform(&mut self, job: Job) -> Outcome<Done> {
        self.clients.say(&job)?;
        let done: Done = self.clients.hear()?;
        match done.failure {
            Some(failure) => Err(failure.into()),
            None => Ok(done),
        }
    }
}
