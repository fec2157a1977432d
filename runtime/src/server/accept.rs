//! New connections, from every socket of a thread, and what to do when there is no room for them.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gatepost_core::report::Level;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::Shared;

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
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
}

/// A thread's listening sockets.
#[derive(Debug)]
pub(super) struct Acceptor {
    sockets: Vec<(usize, SocketAddr, TcpListener)>,
    /// Where to look first, one further each time: a busy door does not keep others shut.
    first: usize,
    paused_until: Option<Instant>,
    shared: Arc<Shared>,
}

impl Acceptor {
    /// For these sockets, each with its door and its address. To be called within a runtime.
    pub(super) fn new(
        sockets: Vec<(usize, SocketAddr, std::net::TcpListener)>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let sockets = sockets
            .into_iter()
            .map(|(door, address, socket)| Ok((door, address, TcpListener::from_std(socket)?)))
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
                Err((index, error)) => self.refuse(index, &error),
            }
        }
    }

    /// Accepts what is waiting already, and closes the sockets.
    pub(super) fn finish(self, mut begin: impl FnMut(Accepted)) {
        let Self { sockets, shared, .. } = self;
        for (door, address, socket) in sockets {
            // The reactor may not have heard yet of what is waiting; the kernel has.
            let Ok(socket) = socket.into_std() else { continue };
            while let Ok((stream, remote)) = socket.accept() {
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                let accepted = stream.and_then(|stream| welcome(stream, remote, address, door, &shared));
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
                accepted.and_then(|(stream, remote)| welcome(stream, remote, *address, *door, &self.shared));
            return Poll::Ready(accepted.map_err(|error| (index, error)));
        }
        Poll::Pending
    }

    /// Says why nothing was accepted, and sees to it that this is not said again at once.
    fn refuse(&mut self, index: usize, error: &io::Error) {
        let Some((door, _, _)) = self.sockets.get(index) else { return };
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
fn welcome(
    stream: TcpStream,
    remote: SocketAddr,
    address: SocketAddr,
    door: usize,
    shared: &Shared,
) -> io::Result<Accepted> {
    // A socket bound to one address needs no question.
    let (local, door) = match address.ip().is_unspecified() {
        true => {
            let local = stream.local_addr()?;
            (local, shared.door_at(local, door))
        }
        false => (address, door),
    };
    Ok(Accepted { door, stream, remote, local })
}
