//! Listening sockets that pass from one program to the next: from a service manager, or from a binary to the one that
//! replaces it.
//!
//! Between binaries they are named as nginx names them, in its variable, so that one may replace the other without a
//! connection lost.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;

use super::raw;
use crate::server::{Origin, Sockets};

/// Where a binary names the sockets for its successor: numbers, each with a semicolon behind it.
const VARIABLE: &str = "NGINX";

/// What this process was started with.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(super) sockets: Sockets,
    /// Whether it replaces another binary, which still runs.
    pub(super) from_predecessor: bool,
}

impl Inherited {
    /// Takes all that the environment names. A number under which there is no listening socket does not count: others may
    /// have set these variables for a process that was started in between.
    ///
    /// To be called once, before this process has opened anything by itself.
    #[must_use]
    pub fn take() -> Self {
        let named = std::env::var_os(VARIABLE);
        let from_predecessor = named.is_some();
        let left = numbers(named.as_deref()).into_iter().map(|number| (number, Origin::Predecessor));
        let passed = sd_notify::listen_fds().into_iter().flatten();
        let passed = passed.map(|number| (number, Origin::ServiceManager));
        let mut sockets = Sockets::default();
        for (number, origin) in left.chain(passed) {
            if let Some(socket) = raw::adopt(number) {
                // Without an address it is of no use.
                let _ = sockets.add(socket, origin);
            }
        }
        Self { sockets, from_predecessor }
    }
}

fn numbers(named: Option<&OsStr>) -> Vec<RawFd> {
    let text = named.map(OsStr::to_string_lossy).unwrap_or_default();
    text.split([';', ':']).filter_map(|number| number.parse().ok()).collect()
}

/// How this program was started, to start its successor alike.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// To be called early: the path of a binary that has been replaced cannot be asked for.
    pub(super) fn this() -> Self {
        let arguments: Vec<_> = std::env::args_os().collect();
        // As it was called, so that a link that leads elsewhere by now is followed; a bare name was found by the PATH.
        let called = arguments.first().map(PathBuf::from).filter(|path| path.components().count() > 1);
        let path = called.or_else(|| std::env::current_exe().ok()).unwrap_or_default();
        Self { path, arguments }
    }

    /// Where the successor is looked for.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts what is there now, with all of `sockets`.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(super) fn start(&self, sockets: &Sockets) -> io::Result<Pid> {
        let named: String = sockets.descriptors().map(|socket| format!("{};", socket.as_raw_fd())).collect();
        let mut command = Command::new(&self.path);
        if let Some(name) = self.arguments.first() {
            command.arg0(name);
        }
        command.args(self.arguments.iter().skip(1));
        command
            .env(VARIABLE, named)
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES");
        let mark = |flags| sockets.descriptors().try_for_each(|socket| fcntl_setfd(socket, flags));
        // There is no other thread that could start anything meanwhile and pass them on unawares.
        mark(FdFlags::empty())?;
        let started = command.spawn();
        mark(FdFlags::CLOEXEC)?;
        let id = started?.id();
        i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no process"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_nginx_writes_them() {
        let read = |text: &str| numbers(Some(OsStr::new(text)));
        assert_eq!(read("6;7;12;"), [6, 7, 12]);
        assert_eq!(read("6:7"), [6, 7]);
        assert_eq!(read("x;;-;99999999999;4"), [4]);
        assert_eq!(numbers(None), [0; 0]);
    }
}
