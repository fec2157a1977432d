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
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use gatepost_core::Address;
use socket2::Socket;

use super::listen;

/// Listening sockets by the addresses they are bound to.
#[derive(Clone, Debug, Default)]
pub struct Sockets(BTreeMap<Address, Vec<Arc<Socket>>>);

impl Sockets {
    /// Those bound to `address`.
    pub(super) fn at(&self, address: &Address) -> &[Arc<Socket>] {
        self.0.get(address).map_or(&[], Vec::as_slice)
    }

    /// Adds one, by where it says it is bound.
    ///
    /// # Errors
    ///
    /// It is not bound to anything that can be listened on.
    pub(crate) fn add(&mut self, socket: Socket) -> io::Result<()> {
        let address = socket.local_addr()?;
        let path = || address.as_pathname()?.to_str().map(|path| Address::Unix(path.into()));
        let address = address.as_socket().map(Address::Inet).or_else(path);
        let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
        self.0.entry(address).or_default().push(Arc::new(socket));
        Ok(())
    }

    /// Removes the files of UNIX sockets that are not among `kept`: nobody listens there any more.
    pub(crate) fn remove_files(&self, kept: &Self) {
        self.0.keys().filter(|address| kept.at(address).is_empty()).for_each(listen::remove);
    }

    /// Every one of them, in the order of their addresses.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.values().flatten().map(|socket| socket.as_fd())
    }
}

impl FromIterator<(Address, Vec<Arc<Socket>>)> for Sockets {
    fn from_iter<I: IntoIterator<Item = (Address, Vec<Arc<Socket>>)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}
