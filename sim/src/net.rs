//! turmoil's network as the driver's: every stream in pieces, every moment the world's.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use gatepost::net::Net;
use gatepost_core::{Address, Answer, Instant, Peer, Question, ResolveError, Wire};
use tokio::task::{JoinError, JoinSet};
use turmoil::net::{TcpListener, TcpStream};

use crate::chance::Chance;
use crate::chop::Chop;
use crate::jam::{Jam, Jammed};
use crate::weigh::off_the_scales;

/// Linux's ECONNREFUSED. turmoil tells only the kind of an error, and log lines have the number in them.
const CONNECTION_REFUSED: i32 = 111;

/// A stream of this world.
pub type SimStream = Chop<Jammed<TcpStream>>;

/// The network as one host of the world of `seed` sees it.
#[derive(Clone, Debug)]
pub struct SimNet {
    seed: u64,
    /// Whose streams they are.
    party: &'static str,
    streams: Rc<Cell<u64>>,
    jam: Jam,
    clock_ahead: Rc<Cell<Duration>>,
}

impl SimNet {
    /// A host with no streams yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            party: "dialed",
            streams: Rc::default(),
            jam: Jam::default(),
            clock_ahead: Rc::default(),
        }
    }

    /// A host that may suffer from `jam`, and whose clock is ahead of the world's by `clock_ahead`.
    #[must_use]
    pub fn with(self, jam: Jam, clock_ahead: Rc<Cell<Duration>>) -> Self {
        Self { jam, clock_ahead, ..self }
    }

    /// The network as one session of that number sees it: how its streams are cut has nothing to do with how many others there are.
    #[must_use]
    pub fn of_session(&self, number: u64) -> Self {
        Self { party: "session dialed", streams: Rc::new(Cell::new(number << 16)), ..self.clone() }
    }

    /// Puts a stream this host has accepted under the same treatment as those it opens. How it is cut depends on whose it is, and not
    /// on how many there are.
    ///
    /// # Errors
    ///
    /// The stream is closed already.
    pub fn accept(&self, stream: TcpStream) -> io::Result<(SimStream, Peer)> {
        let remote = stream.peer_addr()?;
        let number = match remote.ip() {
            IpAddr::V4(ip) => u64::from(ip.to_bits()) << 16 | u64::from(remote.port()),
            IpAddr::V6(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.take(stream, Chance::of(self.seed, "accepted", number))
    }

    fn take(&self, stream: TcpStream, chance: Chance) -> io::Result<(SimStream, Peer)> {
        let remote = stream.peer_addr()?;
        let peer = Peer { remote: remote.into(), local: stream.local_addr()?.into() };
        Ok((Chop::new(self.jam.take(stream, remote.ip()), chance), peer))
    }
}

impl Net for SimNet {
    type Stream = SimStream;

    fn connect(
        &self,
        _: Wire,
        address: &Address,
    ) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + 'static {
        let (net, address) = (self.clone(), address.clone());
        async move {
            let Address::Inet(address) = address else { return Err(io::ErrorKind::Unsupported.into()) };
            // What the made-up network has to remember of it is not the session's.
            let mut connecting = Box::pin(TcpStream::connect(address));
            let connected = poll_fn(|cx| off_the_scales(|| connecting.as_mut().poll(cx))).await;
            let stream = connected.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => io::Error::from_raw_os_error(CONNECTION_REFUSED),
                _ => error,
            })?;
            let number = net.streams.replace(net.streams.get() + 1);
            net.take(stream, Chance::of(net.seed, net.party, number))
        }
    }

    /// Nobody in this world has a name.
    fn resolve(&self, question: Question) -> impl Future<Output = Answer> + 'static {
        std::future::ready(match question {
            Question::NameOf(_) => Answer::Name(Err(ResolveError::NotFound)),
            Question::AddressesOf(..) => Answer::Addresses(Err(ResolveError::NotFound)),
        })
    }

    fn now(&self) -> Instant {
        let since_epoch = turmoil::since_epoch().unwrap_or_default() + self.clock_ahead.get();
        Instant::from_unix_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Accepts at `port` for ever, a task for each connection. A task that panics takes the world with it; so does one that fails.
///
/// # Errors
///
/// The network's, and the first task's.
pub async fn serve<F>(port: u16, net: SimNet, mut task: impl FnMut(SimStream, Peer) -> F) -> turmoil::Result
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(ended) = tasks.join_next() => unharmed(ended).map_err(|error| {
                io::Error::new(error.kind(), format!("at port {port}: {error}"))
            })?,
            accepted = listener.accept() => {
                let (stream, peer) = net.accept(accepted?.0)?;
                tasks.spawn_local(task(stream, peer));
            }
        }
    }
}

/// What a task came to. tokio keeps a task's panic to itself, so it is raised again here.
fn unharmed(ended: Result<io::Result<()>, JoinError>) -> io::Result<()> {
    match ended {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(cancelled) => Err(io::Error::other(cancelled)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connect() -> turmoil::Result {
        let _stream = TcpStream::connect(("host", 1)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    #[test]
    fn a_panic_in_a_task_is_not_lost() {
        let mut sim = turmoil::Builder::new().build();
        sim.host("host", || serve(1, SimNet::new(1), async |_, _| panic!("in a task")));
        sim.client("client", connect());
        let error = sim.run().unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    }

    #[test]
    fn a_tasks_failure_is_not_lost() {
        let mut sim = turmoil::Builder::new().build();
        sim.host("host", || serve(1, SimNet::new(1), async |_, _| Err(io::Error::other("of a task"))));
        sim.client("client", connect());
        assert_eq!(sim.run().unwrap_err().to_string(), "at port 1: of a task");
    }

    #[test]
    fn nobody_listening_is_connection_refused_as_linux_says_it() {
        let mut sim = turmoil::Builder::new().build();
        sim.host("host", std::future::pending::<turmoil::Result>);
        sim.client("client", async {
            let address = Address::Inet((turmoil::lookup("host"), 1).into());
            let error = SimNet::new(1).connect(Wire::Backend, &address).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(CONNECTION_REFUSED));
            Ok(())
        });
        sim.run().unwrap();
    }
}
