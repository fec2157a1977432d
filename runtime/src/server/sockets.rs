//! The listening sockets that outlive a configuration.
//!
//! A connection that the kernel has completed waits in the queue of one socket. Where a group of sockets shares a port, the
//! kernel has chosen one of them by the connection's addresses, and nobody but who has that very socket can accept it: once
//! the last descriptor of it is closed, the connection is reset. (Of 200 connections waiting in a group of two, 100 are
//! lost when one is closed.) Hence:
//!
//! - The master never closes a socket of an address that is still listened on. Every worker inherits all of them, so that
//!   there is no moment without somebody who accepts from each: the new worker accepts before the old one stops.
//! - If `worker_processes` grows, sockets are added to the group: connections that are already waiting stay where they are,
//!   and handshakes under way end at the socket where they began.
//! - If it shrinks, the sockets stay, and a thread serves several. What would be saved by closing some is a few hundred
//!   octets; it could be done without loss only if nothing arrived meanwhile.
//! - A port that is no longer listened on is closed when the last worker that knew it has stopped accepting, having accepted
//!   what was waiting there.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Listening sockets by the addresses they are bound to.
#[derive(Clone, Debug, Default)]
pub struct Sockets(BTreeMap<SocketAddr, Vec<Arc<TcpListener>>>);

impl Sockets {
    /// Those bound to `address`.
    pub(super) fn at(&self, address: SocketAddr) -> &[Arc<TcpListener>] {
        self.0.get(&address).map_or(&[], Vec::as_slice)
    }

    /// Adds one, by where it says it is bound.
    ///
    /// # Errors
    ///
    /// It is not bound.
    pub(crate) fn add(&mut self, socket: TcpListener) -> io::Result<()> {
        let address = socket.local_addr()?;
        self.0.entry(address).or_default().push(Arc::new(socket));
        Ok(())
    }

    /// Every one of them, in the order of their addresses.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.values().flatten().map(|socket| socket.as_fd())
    }
}

impl FromIterator<(SocketAddr, Vec<Arc<TcpListener>>)> for Sockets {
    fn from_iter<I: IntoIterator<Item = (SocketAddr, Vec<Arc<TcpListener>>)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

/// The socket itself, where this process has no other use for it; else another descriptor of the same.
pub(super) fn unshared(socket: Arc<TcpListener>) -> io::Result<TcpListener> {
    Arc::try_unwrap(socket).or_else(|shared| shared.try_clone())
}
