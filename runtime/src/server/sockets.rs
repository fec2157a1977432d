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

use super::socket_file::{SocketFile, SocketFiles};

/// Listening sockets by the addresses they are bound to.
#[derive(Clone, Debug, Default)]
pub struct Sockets(BTreeMap<Address, Held>);

/// What is held of one address.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) sockets: Vec<Arc<Socket>>,
    /// That of a UNIX socket, if it is ours to remove.
    pub(super) file: Option<SocketFile>,
}

/// Who has opened the sockets that a process was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The binary that this one replaces. It leaves the files of its UNIX sockets to us.
    Predecessor,
    /// A service manager, whose files are its own business: it may start us again with the same socket.
    ServiceManager,
}

impl Sockets {
    /// Those bound to `address`.
    pub(super) fn at(&self, address: &Address) -> Option<&Held> {
        self.0.get(address)
    }

    /// Adds one, by where it says it is bound.
    ///
    /// # Errors
    ///
    /// It is not bound to anything that can be listened on.
    pub(crate) fn add(&mut self, socket: Socket, origin: Origin) -> io::Result<()> {
        let address = socket.local_addr()?;
        let path = || address.as_pathname()?.to_str().map(|path| Address::Unix(path.into()));
        let address = address.as_socket().map(Address::Inet).or_else(path);
        let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let file = match (&address, origin) {
            (Address::Unix(path), Origin::Predecessor) => SocketFile::at(path).ok(),
            _ => None,
        };
        let held = self.0.entry(address).or_default();
        held.sockets.push(Arc::new(socket));
        held.file = file;
        Ok(())
    }

    /// The files of UNIX sockets that are not among `kept`.
    pub(crate) fn files_beside(&self, kept: &Self) -> SocketFiles {
        let others = self.0.iter().filter(|(address, _)| kept.at(address).is_none());
        SocketFiles(others.filter_map(|(_, held)| held.file.clone()).collect())
    }

    /// Every one of them, in the order of their addresses.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.values().flat_map(|held| &held.sockets).map(|socket| socket.as_fd())
    }
}

impl FromIterator<(Address, Held)> for Sockets {
    fn from_iter<I: IntoIterator<Item = (Address, Held)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}
