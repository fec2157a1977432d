//! The network and the clock behind one trait: the kernel's in production, a made-up one in simulation.

use std::future::Future;
use std::io;

use gatepost_core::{Address, Answer, Instant, Peer, Question, Wire};
use tokio::io::{AsyncRead, AsyncWrite};

mod kernel;

pub use kernel::{Kernel, Parked, Socket, wall_clock};
pub(crate) use kernel::{boot_clock, even_clock};

/// A stream that may be a socket of the kernel's, which can hand octets to another one without us.
pub trait AsSocket {
    /// The socket, if there is one and its octets are those of this stream, neither more nor others.
    fn as_socket(&self) -> Option<&Socket> {
        None
    }

    /// The socket beneath, whatever lies between, if there is one. It is not to be read or written from here.
    fn beneath(&mut self) -> Option<&mut Socket> {
        None
    }

    /// Whether beneath it octets went out, since this was last asked, that the stream had taken before. A stream that takes none but
    /// those that go out has nothing to tell.
    fn has_sent(&mut self) -> bool {
        false
    }
}

impl AsSocket for Socket {
    fn as_socket(&self) -> Option<&Socket> {
        Some(self)
    }

    fn beneath(&mut self) -> Option<&mut Socket> {
        Some(self)
    }
}

/// One that is no socket.
#[cfg(test)]
impl AsSocket for tokio::io::DuplexStream {}

/// What the driver needs of the world beneath it. Production and simulation differ by this type parameter.
pub trait Net: Clone + 'static {
    /// A connected byte stream.
    type Stream: AsyncRead + AsyncWrite + AsSocket + Unpin + 'static;

    /// Connects `wire` to `address`; tells both ends' addresses, its own only where somebody might look at it: traces do, sessions
    /// have no use for it.
    ///
    /// # Errors
    ///
    /// The system's own, with `raw_os_error` where there is one: it ends up in the log.
    fn connect(
        &self,
        wire: Wire,
        address: &Address,
    ) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + 'static;

    /// Asks the DNS. For the names of addresses only where the policy has a `resolver_timeout`; for those of backends without one too.
    /// Whoever asks bounds the wait.
    fn resolve(&self, question: Question) -> impl Future<Output = Answer> + 'static;

    /// The present moment.
    fn now(&self) -> Instant;
}
