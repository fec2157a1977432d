//! What reading a configuration asks of the machine: files, names, certificates. A simulation answers otherwise.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost_core::SystemError;
use rustix::process::{Gid, Uid};

use super::Config;
use crate::server;
use crate::system_error::system_error;
use crate::tls;

/// The machine a configuration is read on. Every method's own answer is that of the real one, so that a made-up
/// machine says only what is different there.
pub trait Surroundings {
    /// The octets of a file, or the first `bytes_max` of them.
    ///
    /// # Errors
    ///
    /// The system's, naming `open()` or `read()`.
    fn read(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, SystemError> {
        let file = File::open(path).map_err(|error| system_error("open()", &error))?;
        // With room for all of it at once, so that what is secret is not left behind where there was not enough.
        let expected = file.metadata().map_or(0, |about| usize::try_from(about.len()).unwrap_or(usize::MAX));
        let mut octets = Vec::with_capacity(expected.saturating_add(1).min(bytes_max));
        match file.take(bytes_max as u64).read_to_end(&mut octets) {
            Ok(_) => Ok(octets),
            Err(error) => Err(system_error("read()", &error)),
        }
    }

    /// Whether everybody on the machine may read or write a file. Not, if that is not to be found out.
    fn is_open_to_others(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|about| about.permissions().mode() & 0o006 != 0)
    }

    /// The files that a shell pattern names, sorted. What may not be looked into names nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with the pattern.
    fn matching(&self, pattern: &str) -> Result<Vec<PathBuf>, &'static str> {
        let paths = glob::glob_with(pattern, PATTERN).map_err(|error| error.msg)?;
        Ok(paths.filter_map(Result::ok).collect())
    }

    /// The addresses of a host, as the system's resolver orders them; none if it is not found.
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        (host, 0).to_socket_addrs().map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default()
    }

    /// The machine's own name: the default of `server_name`.
    fn host_name(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// Whether connections can come over several paths at once (MPTCP): `listen … multipath`.
    fn has_multipath(&self) -> bool {
        server::has_multipath()
    }

    /// How many threads can run at once: `worker_processes auto`.
    fn cores(&self) -> NonZeroUsize {
        std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// Whether this process may become any user.
    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    /// The numbers of a user and of its own group, if there is one of that name.
    fn user(&self, name: &str) -> Option<(Uid, Gid)> {
        let user = nix::unistd::User::from_name(name).ok().flatten()?;
        Some((Uid::from_raw(user.uid.as_raw()), Gid::from_raw(user.gid.as_raw())))
    }

    /// The number of a group, if there is one of that name.
    fn group(&self, name: &str) -> Option<Gid> {
        let group = nix::unistd::Group::from_name(name).ok().flatten()?;
        Some(Gid::from_raw(group.gid.as_raw()))
    }

    /// Reads certificates and keys.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in nginx's words.
    fn tls(&self, settings: &tls::Settings) -> Result<tls::Acceptor, tls::Error> {
        tls::server_config(settings)
    }

    /// Reads what is needed to be a client of backends, or auth servers, that speak TLS.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in nginx's words.
    fn client_tls(&self, settings: &tls::ClientSettings) -> Result<Arc<rustls::ClientConfig>, tls::Error> {
        tls::client_config(settings)
    }

    /// Whether what `config` wants to open can be opened (`-t`).
    ///
    /// # Errors
    ///
    /// What cannot, and why.
    fn try_out(&self, config: &Config) -> Result<(), server::Error> {
        server::try_out(config)
    }
}

/// As glob(3), `*` passes over names with a leading dot and does not cross a slash.
const PATTERN: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The machine this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Surroundings for System {}

/// A machine whose configuration and hosts are in memory; certificates still come from real files.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    hosts: BTreeMap<String, Vec<IpAddr>>,
    root: bool,
    users: BTreeMap<String, u32>,
}

impl Memory {
    /// A machine with nothing on it, called `localhost`, with one core and no users, whose reader is not root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// The same with a host that can be resolved.
    #[must_use]
    pub fn host(mut self, name: &str, addresses: &[IpAddr]) -> Self {
        self.hosts.insert(name.to_owned(), addresses.to_vec());
        self
    }
}

impl Memory {
    /// The same, read by root.
    #[must_use]
    pub fn root(mut self) -> Self {
        self.root = true;
        self
    }

    /// The same with a user, and a group of the same name and number.
    #[must_use]
    pub fn user(mut self, name: &str, number: u32) -> Self {
        self.users.insert(name.to_owned(), number);
        self
    }
}

impl Surroundings for Memory {
    fn is_root(&self) -> bool {
        self.root
    }

    fn user(&self, name: &str) -> Option<(Uid, Gid)> {
        self.users.get(name).map(|&number| (Uid::from_raw(number), Gid::from_raw(number)))
    }

    fn group(&self, name: &str) -> Option<Gid> {
        self.users.get(name).map(|&number| Gid::from_raw(number))
    }

    fn try_out(&self, _: &Config) -> Result<(), server::Error> {
        Ok(())
    }

    fn read(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, SystemError> {
        match self.files.get(path) {
            Some(text) => Ok(text.iter().copied().take(bytes_max).collect()),
            None => Err(system_error("open()", &ErrorKind::NotFound.into())),
        }
    }

    fn is_open_to_others(&self, _: &Path) -> bool {
        false
    }

    fn matching(&self, pattern: &str) -> Result<Vec<PathBuf>, &'static str> {
        let pattern = glob::Pattern::new(pattern).map_err(|error| error.msg)?;
        Ok(self.files.keys().filter(|path| pattern.matches_path_with(path, PATTERN)).cloned().collect())
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        self.hosts.get(host).cloned().unwrap_or_default()
    }

    fn host_name(&self) -> String {
        "localhost".to_owned()
    }

    fn has_multipath(&self) -> bool {
        false
    }

    fn cores(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_told_in_the_systems_words() {
        let error = System.read(Path::new("/nonexistent/nginx.conf"), 10).unwrap_err();
        assert_eq!(error.to_string(), "open() failed (2: No such file or directory)");
        assert_eq!(Memory::new().read(Path::new("/a"), 10).unwrap_err(), error);
        let error = System.read(Path::new("/"), 10).unwrap_err();
        assert_eq!(error.to_string(), "read() failed (21: Is a directory)");
    }

    #[test]
    fn an_endless_file_is_read_in_part() {
        assert_eq!(System.read(Path::new("/dev/zero"), 10).unwrap(), [0; 10]);
    }

    #[test]
    fn a_pattern_passes_over_hidden_files_and_folders() {
        let machine = Memory::new().file("/etc/b.conf", "").file("/etc/a.conf", "").file("/etc/.c.conf", "");
        let machine = machine.file("/etc/d/e.conf", "");
        let found = machine.matching("/etc/*.conf").unwrap();
        assert_eq!(found, [Path::new("/etc/a.conf"), Path::new("/etc/b.conf")]);
        assert!(machine.matching("/etc/[").is_err());
    }

    #[test]
    fn the_real_machine_has_a_name_and_a_core() {
        assert!(!System.host_name().is_empty());
        assert!(System.cores().get() >= 1);
        assert!(System.resolve("no such host").is_empty());
    }
}
