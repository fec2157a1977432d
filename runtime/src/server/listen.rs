//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::config::Listener;
use crate::system_error::system_error;

/// How often a port is tried that someone else still holds, and the pause between, as nginx does: a predecessor may be
/// on its way out.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// A listener that cannot be opened, in nginx's words: `bind() to 0.0.0.0:25 failed (13: Permission denied)`.
#[derive(Debug, thiserror::Error)]
#[error("{call} {address} failed ({code}: {text})", code = told(.source).code, text = told(.source).text)]
pub struct BindError {
    /// What failed: `bind() to`, `listen() to`, `socket()`.
    pub call: &'static str,
    /// The address as the configuration says it.
    pub address: String,
    /// Why.
    pub source: io::Error,
}

fn told(error: &io::Error) -> gatepost_core::SystemError {
    system_error("", error)
}

/// A listener's sockets: a `SO_REUSEPORT` group with at least one for each thread.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<Arc<TcpListener>>,
}

impl Bound {
    /// Opens `listener` for that many threads. Those of `held` stay what they are: connections may be waiting in any of
    /// them.
    pub(super) fn open(
        listener: &Listener,
        threads: NonZeroUsize,
        held: &[Arc<TcpListener>],
    ) -> Result<Self, BindError> {
        let mut sockets = held.to_vec();
        for socket in held {
            // As nginx does; how many may wait can be changed at any time.
            SockRef::from(&**socket)
                .listen(listener.backlog)
                .map_err(|error| failed("listen() to", listener, error))?;
        }
        if sockets.is_empty() {
            sockets.push(Arc::new(listen(bind_patiently(listener)?, listener)?));
        }
        let address = sockets.first().map(|first| first.local_addr()).transpose();
        let address = address.map_err(|error| failed("getsockname()", listener, error))?;
        let address = address.unwrap_or(listener.address);
        if sockets.len() < threads.get() {
            for socket in &sockets {
                // Only now: with the option set from the start, a second process could share the port unnoticed.
                SockRef::from(&**socket)
                    .set_reuse_port(true)
                    .map_err(|error| failed("setsockopt(SO_REUSEPORT)", listener, error))?;
            }
        }
        while sockets.len() < threads.get() {
            sockets.push(Arc::new(listen(bind(listener, address, true)?, listener)?));
        }
        Ok(Self { address, sockets })
    }
}

/// Whether `listener` could be opened. A port that is held is no fault here: a running predecessor most likely has it.
pub(super) fn try_out(listener: &Listener) -> Result<(), BindError> {
    match bind(listener, listener.address, false) {
        Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => Ok(()),
        outcome => outcome.map(drop),
    }
}

fn bind_patiently(listener: &Listener) -> Result<Socket, BindError> {
    let mut tries = 1;
    loop {
        match bind(listener, listener.address, false) {
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse && tries < TRIES => {
                tries += 1;
                thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn bind(listener: &Listener, address: SocketAddr, share: bool) -> Result<Socket, BindError> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))
            .map_err(|error| failed("socket()", listener, error))?;
    socket.set_reuse_address(true).map_err(|error| failed("setsockopt(SO_REUSEADDR)", listener, error))?;
    socket.set_reuse_port(share).map_err(|error| failed("setsockopt(SO_REUSEPORT)", listener, error))?;
    if address.is_ipv6() {
        socket
            .set_only_v6(listener.ipv6_only)
            .map_err(|error| failed("setsockopt(IPV6_V6ONLY)", listener, error))?;
    }
    // Accepted sockets inherit it: one system call a listener instead of one a connection.
    socket.set_tcp_nodelay(true).map_err(|error| failed("setsockopt(TCP_NODELAY)", listener, error))?;
    socket.bind(&address.into()).map_err(|error| failed("bind() to", listener, error))?;
    Ok(socket)
}

fn listen(socket: Socket, listener: &Listener) -> Result<TcpListener, BindError> {
    socket.listen(listener.backlog).map_err(|error| failed("listen() to", listener, error))?;
    Ok(socket.into())
}

fn failed(call: &'static str, listener: &Listener, source: io::Error) -> BindError {
    BindError { call, address: listener.text.to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn listener(address: SocketAddr) -> Listener {
        Listener {
            address,
            text: address.to_string().into(),
            tls_first: false,
            proxy_protocol: false,
            backlog: 511,
            ipv6_only: true,
        }
    }

    #[test]
    fn a_port_that_another_group_holds_is_refused() {
        let two = NonZeroUsize::new(2).expect("two");
        let held = Bound::open(&listener(([127, 0, 0, 1], 0).into()), two, &[]).expect("a free port");
        assert_eq!(held.sockets.len(), 2);
        let error = Bound::open(&listener(held.address), two, &[]).expect_err("the port is held");
        assert_eq!(
            error.to_string(),
            format!("bind() to {} failed (98: Address already in use)", held.address)
        );
    }

    #[test]
    fn an_address_that_is_not_ours_is_told_in_nginx_words() {
        let address = "192.0.2.1:143".parse().expect("an address");
        let error = Bound::open(&listener(address), NonZeroUsize::MIN, &[]).expect_err("not ours");
        assert_eq!(error.to_string(), "bind() to 192.0.2.1:143 failed (99: Cannot assign requested address)");
    }
    /// Where the connections of ten clients wait, by the socket.
    fn waiting(sockets: &[Arc<TcpListener>], address: SocketAddr) -> (Vec<TcpStream>, usize) {
        let clients: Vec<_> =
            (0..10).map(|_| TcpStream::connect(address).expect("a place to wait")).collect();
        let accepted = sockets.iter().map(|socket| std::iter::from_fn(|| socket.accept().ok()).count());
        let accepted = accepted.sum();
        (clients, accepted)
    }

    #[test]
    fn a_group_grows_with_the_threads_and_never_shrinks() {
        let threads = |number| NonZeroUsize::new(number).expect("threads");
        let one = Bound::open(&listener(([127, 0, 0, 1], 0).into()), threads(1), &[]).expect("a free port");
        let at = listener(one.address);
        let early: Vec<_> =
            (0..10).map(|_| TcpStream::connect(one.address).expect("a place to wait")).collect();
        let three = Bound::open(&at, threads(3), &one.sockets).expect("more sockets on the same port");
        assert_eq!((three.sockets.len(), three.address), (3, one.address));
        assert!(Arc::ptr_eq(&three.sockets[0], &one.sockets[0]));
        drop(one);
        let two = Bound::open(&at, threads(2), &three.sockets).expect("the same sockets");
        drop(three);
        assert_eq!(two.sockets.len(), 3);
        let (late, accepted) = waiting(&two.sockets, two.address);
        assert_eq!(accepted, early.len() + late.len());
    }
}
