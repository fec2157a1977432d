//! TCP connections of ours, made with no more system calls than it takes.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream as Connecting};

use gatepost_core::Wire;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_nodelay, set_tcp_quickack};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect as begin, ipproto, socket_with};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Connects `wire`. The other side is asked if it is still there, where that is wanted (`keepalive`).
///
/// # Errors
///
/// The system's.
pub(super) async fn connect(to: SocketAddr, keepalive: bool, wire: Wire) -> io::Result<TcpStream> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // Mail is a dialogue of small writes: Nagle's algorithm costs each of them a delayed acknowledgement.
    set_tcp_nodelay(&socket, true)?;
    if keepalive {
        set_socket_keepalive(&socket, true)?;
    }
    if wire == Wire::Auth {
        // We are the first to speak, and do so at once: the last step of TCP's handshake can go with that, rather than before it in
        // a segment of its own (tcp(7)). A backend speaks first, and must not be kept waiting for it. It is only a wish.
        let _ = set_tcp_quickack(&socket, false);
    }
    match begin(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from_std(Connecting::from(socket))?;
    poll_fn(|cx| stream.poll_write_ready(cx)).await?;
    // What went wrong is asked for only where the wait was told that something did.
    match stream.try_io(Interest::ERROR, || stream.take_error()) {
        Ok(Some(error)) => Err(error),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(stream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    #[tokio::test]
    async fn every_wire_connects_whoever_speaks_first() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = listener.local_addr().expect("its address");
        for wire in [Wire::Backend, Wire::Auth] {
            let stream = connect(to, false, wire).await.expect("connected");
            assert!(stream.nodelay().expect("an option"));
            stream.try_write(b"hello").expect("said");
            let accepted = timeout(Duration::from_secs(10), listener.accept()).await;
            let (accepted, _) = accepted.expect("in time").expect("accepted");
            accepted.readable().await.expect("readable");
            let mut heard = [0; 8];
            assert_eq!(accepted.try_read(&mut heard).expect("heard"), 5);
        }
    }

    /// It could be that the error is noticed when connecting begins, or later: on this machine and elsewhere.
    #[tokio::test]
    async fn nobody_there_is_told_by_the_systems_number() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(local).await else { continue };
            let to = listener.local_addr().expect("its address");
            drop(listener);
            for wire in [Wire::Backend, Wire::Auth] {
                let error = connect(to, true, wire).await.expect_err("nobody is there");
                assert_eq!(error.raw_os_error(), Some(111), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_even_begin_is_an_error_at_once() {
        // A link's own address, and no word of which link.
        let to = "[fe80::1]:143".parse().expect("an address");
        let error = connect(to, false, Wire::Backend).await.expect_err("no way there");
        assert!(error.raw_os_error().is_some(), "{error}");
    }
}
