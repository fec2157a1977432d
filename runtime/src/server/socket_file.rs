//! The files of UNIX sockets, and which of them are ours to remove.
//!
//! A path says little: the file that was there may have been removed, and another have been made there by a process that
//! serves now. Hence a file is known by its device, its number, and the moment it was made, for a number is given out again
//! once nobody has the old socket any more.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::Arc;
use std::time::SystemTime;

use socket2::{Domain, SockAddr, Socket, Type};

/// The file of a UNIX socket as it was when it was bound or taken over.
#[derive(Clone, Debug)]
pub(super) struct SocketFile {
    path: Arc<str>,
    identity: Identity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
    /// Where the file system keeps it.
    made: Option<SystemTime>,
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        Self { device: file.dev(), number: file.ino(), made: file.created().ok() }
    }
}

impl SocketFile {
    /// What is at `path` now.
    ///
    /// # Errors
    ///
    /// Nothing is, or it cannot be looked at.
    pub(super) fn at(path: &Arc<str>) -> io::Result<Self> {
        let identity = Identity::of(&fs::symlink_metadata(&**path)?);
        Ok(Self { path: path.clone(), identity })
    }

    /// What is at `path`, if that is a socket on which nobody listens: whoever made it was killed.
    ///
    /// Somebody who listens sees a client come and go, hence this is to be asked once. It does not wait: where no more
    /// clients may queue, there is somebody for whom they do.
    pub(super) fn stale(path: &Arc<str>) -> Option<Self> {
        let file = fs::symlink_metadata(&**path).ok().filter(|file| file.file_type().is_socket())?;
        let visitor = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None).ok()?;
        let outcome = visitor.connect(&SockAddr::unix(&**path).ok()?);
        let refused = outcome.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        refused.then(|| Self { path: path.clone(), identity: Identity::of(&file) })
    }

    /// Removes the file, unless another has taken its place: nobody is to connect there any more.
    pub(super) fn remove(&self) {
        if fs::symlink_metadata(&*self.path).is_ok_and(|file| Identity::of(&file) == self.identity) {
            // Whoever has removed it already has done no harm.
            let _ = fs::remove_file(&*self.path);
        }
    }
}

/// A file that is removed again unless that for which it was made comes about.
#[derive(Debug, Default)]
pub(super) struct Made(Option<SocketFile>);

impl Made {
    /// It is needed: somebody else looks after it from now on.
    pub(super) fn keep(mut self) -> Option<SocketFile> {
        self.0.take()
    }
}

impl From<Option<SocketFile>> for Made {
    fn from(file: Option<SocketFile>) -> Self {
        Self(file)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.0.iter().for_each(SocketFile::remove);
    }
}

/// Several of them.
#[derive(Debug)]
pub(crate) struct SocketFiles(pub(super) Vec<SocketFile>);

impl SocketFiles {
    /// Removes each, unless another has taken its place.
    pub(crate) fn remove(&self) {
        self.0.iter().for_each(SocketFile::remove);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn path(name: &str) -> Arc<str> {
        let path = std::env::temp_dir().join(format!("gatepost-file-{}-{name}", std::process::id()));
        path.to_str().expect("text").into()
    }

    #[test]
    fn a_file_that_has_taken_the_place_of_ours_stays() {
        let path = path("successor");
        let first = UnixListener::bind(&*path).expect("a socket");
        let ours = SocketFile::at(&path).expect("a file");
        fs::remove_file(&*path).expect("removed");
        // The number of the file may be given out again now.
        drop(first);
        let _second = UnixListener::bind(&*path).expect("a socket");
        ours.remove();
        assert!(fs::exists(&*path).expect("seen"), "the successor's file was removed");
        SocketFile::at(&path).expect("a file").remove();
        assert!(!fs::exists(&*path).expect("seen"));
    }

    #[test]
    fn what_was_made_in_vain_is_removed_and_what_is_needed_stays() {
        let path = path("made");
        let make = || {
            drop(UnixListener::bind(&*path).expect("a socket"));
            Made::from(Some(SocketFile::at(&path).expect("a file")))
        };
        drop(make());
        assert!(!fs::exists(&*path).expect("seen"));
        let kept = make().keep().expect("a file");
        assert!(fs::exists(&*path).expect("seen"));
        SocketFiles(vec![kept]).remove();
        assert!(!fs::exists(&*path).expect("seen"));
    }

    #[test]
    fn who_has_no_time_for_one_more_client_is_alive_and_that_is_told_at_once() {
        let path = path("busy");
        let address = SockAddr::unix(&*path).expect("an address");
        let socket = || Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).expect("a socket");
        let busy = socket();
        busy.bind(&address).expect("a socket");
        busy.listen(0).expect("listening");
        let mut clients = vec![socket()];
        while clients[clients.len() - 1].connect(&address).is_ok() {
            clients.push(socket());
        }
        assert!(SocketFile::stale(&path).is_none());
        drop(busy);
        let stale = SocketFile::stale(&path).expect("nobody listens any more");
        stale.remove();
        assert!(SocketFile::stale(&path).is_none() && !fs::exists(&*path).expect("seen"));
        fs::write(&*path, "a letter").expect("a file");
        assert!(SocketFile::stale(&path).is_none());
        fs::remove_file(&*path).expect("removed");
    }
}
