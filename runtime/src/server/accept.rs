//! New connections, from every socket of a thread, and what to do when there is no room for them.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gatepost_core::Address;
use gatepost_core::report::Level;
use socket2::{SockAddr, SockRef};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use crate::net::Socket;

/// How long nothing is accepted after the system refused (`accept_mutex_delay`): what it lacks is not there again at
/// once, and an accept that fails forever would take all of a CPU.
const PAUSE: Duration = Duration::from_millis(500);

const TOO_MANY_IN_PROCESS: i32 = 24;
const TOO_MANY_IN_SYSTEM: i32 = 23;

/// A connection that came in.
#[derive(Debug)]
pub(super) struct Accepted {
    /// By which door.
    pub(super) door: usize,
    pub(super) stream: Socket,
    pub(super) remote: Address,
    pub(super) local: Address,
}

/// A listening socket.
#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    fn new(socket: socket2::Socket, address: &Address) -> io::Result<Self> {
        match address {
            Address::Inet(_) => TcpListener::from_std(socket.into()).map(Self::Tcp),
            Address::Unix(_) => UnixListener::from_std(socket.into()).map(Self::Unix),
        }
    }

    /// The same, without the reactor.
    fn into_plain(self) -> io::Result<socket2::Socket> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Into::into),
            Self::Unix(listener) => listener.into_std().map(Into::into),
        }
    }

    /// The next connection, and who it is: over a UNIX socket, nobody in particular.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Address)>> {
        Poll::Ready(Ok(match self {
            Self::Tcp(listener) => {
                let (stream, remote) = ready!(listener.poll_accept(cx))?;
                (Socket::Tcp(stream), remote.into())
            }
            Self::Unix(listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                (Socket::Unix(stream), Address::Unix("".into()))
            }
        }))
    }
}

/// A thread's listening sockets.
#[derive(Debug)]
pub(super) struct Acceptor {
    sockets: Vec<(usize, Address, Listening)>,
    /// Where to look first, one further each time: a busy door does not keep others shut.
    first: usize,
    paused_until: Option<Instant>,
    shared: Arc<Shared>,
}

impl Acceptor {
    /// For these sockets, each with its door and its address. To be called within a runtime.
    pub(super) fn new(
        sockets: Vec<(usize, Address, socket2::Socket)>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let sockets = sockets
            .into_iter()
            .map(|(door, address, socket)| {
                Listening::new(socket, &address).map(|socket| (door, address, socket))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { sockets, first: 0, paused_until: None, shared })
    }

    /// The next connection. Failures are logged and waited out in here. Cancel-safe.
    pub(super) async fn next(&mut self) -> Accepted {
        loop {
            if let Some(end) = self.paused_until {
                sleep_until(end).await;
                self.paused_until = None;
            }
            match poll_fn(|cx| self.poll_any(cx)).await {
                Ok(accepted) => return accepted,
                Err((door, error)) => self.refuse(door, &error),
            }
        }
    }

    /// Accepts what is waiting already, and closes the sockets.
    pub(super) fn finish(self, mut begin: impl FnMut(Accepted)) {
        let Self { sockets, shared, .. } = self;
        for (door, address, socket) in sockets {
            // The reactor may not have heard yet of what is waiting; the kernel has.
            let Ok(socket) = socket.into_plain() else { continue };
            while let Ok((stream, remote)) = socket.accept() {
                let stream = stream.set_nonblocking(true).and_then(|()| connected(stream, &remote));
                let accepted =
                    stream.and_then(|(stream, remote)| welcome(stream, remote, &address, door, &shared));
                accepted.into_iter().for_each(&mut begin);
            }
        }
    }

    /// The next connection; or the index of the socket that failed, and why.
    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted, (usize, io::Error)>> {
        for step in 0..self.sockets.len() {
            let index = (self.first + step) % self.sockets.len();
            let Some((door, address, socket)) = self.sockets.get(index) else { continue };
            let Poll::Ready(accepted) = socket.poll_accept(cx) else { continue };
            self.first = index + 1;
            let accepted =
                accepted.and_then(|(stream, remote)| welcome(stream, remote, address, *door, &self.shared));
            return Poll::Ready(accepted.map_err(|error| (index, error)));
        }
        Poll::Pending
    }

    /// Says why nothing was accepted, and sees to it that this is not said again at once.
    fn refuse(&mut self, index: usize, error: &io::Error) {
        let Some((door, ..)) = self.sockets.get(index) else { return };
        let Some(door) = self.shared.doors.get(*door) else { return };
        let (level, pause) = match (error.kind(), error.raw_os_error()) {
            // The client was gone before we came.
            (io::ErrorKind::ConnectionAborted, _) => (Level::Error, false),
            (_, Some(TOO_MANY_IN_PROCESS | TOO_MANY_IN_SYSTEM)) => (Level::Crit, true),
            _ => (Level::Alert, true),
        };
        let text = &*door.text;
        door.log.system(level, "accept4()", error, format_args!(" while accepting new connection on {text}"));
        self.paused_until = pause.then(|| Instant::now() + PAUSE);
    }
}

/// What is known of a connection that was accepted by the socket at `address`.
pub(super) fn welcome(
    stream: Socket,
    remote: Address,
    address: &Address,
    door: usize,
    shared: &Shared,
) -> io::Result<Accepted> {
    // A socket bound to one address needs no question.
    let (local, door) = match (address.ip(), &stream) {
        (Some(ip), Socket::Tcp(stream)) if ip.is_unspecified() => {
            let local = stream.local_addr()?;
            let meant = shared.door_at(local, door);
            if let Some(behind) = shared.doors.get(meant).filter(|_| meant != door) {
                // It has inherited what the wildcard's clients are asked. A client that is gone cannot be asked anything.
                let _ = SockRef::from(stream).set_keepalive(behind.keepalive);
            }
            (local.into(), meant)
        }
        _ => (address.clone(), door),
    };
    Ok(Accepted { door, stream, remote, local })
}

/// A connection that the reactor has not seen yet, and who it is.
fn connected(stream: socket2::Socket, remote: &SockAddr) -> io::Result<(Socket, Address)> {
    Ok(match remote.as_socket() {
        Some(remote) => (Socket::Tcp(TcpStream::from_std(stream.into())?), remote.into()),
        None => (Socket::Unix(UnixStream::from_std(stream.into())?), Address::Unix("".into())),
    })
}
