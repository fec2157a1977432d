//! What a worker may still reach, where the kernel has Landlock: to read what the system's resolver reads, and no other
//! file, for all else that it needs has been opened by its master; no listener, and no process but itself. Connections go
//! wherever the auth server says.

use gatepost_core::report::Level;
use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, path_beneath_rules,
};

use crate::observe::Log;

/// What is asked for at most; an older kernel grants what it knows of it.
const WANTED: ABI = ABI::V6;

/// Where the system's resolver finds its configuration, `hosts` and modules. Folders, for their files are replaced rather
/// than written to. Without them it would ask whoever is on this machine at port 53. What of `/etc` is secret is root's.
const RESOLVER: [&str; 8] = [
    "/etc",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// Confines this process, which must not have other threads yet, and says in `log` how far that went. That it did not
/// go far is no reason not to serve.
pub(super) fn confine(log: &Log) {
    match restrict() {
        Ok(RulesetStatus::FullyEnforced) => {}
        Ok(RulesetStatus::PartiallyEnforced) => {
            log.line(Level::Notice, None, "this kernel's Landlock confines the worker in part only");
        }
        Ok(RulesetStatus::NotEnforced) => {
            log.line(Level::Notice, None, "this kernel has no Landlock: the worker is not confined by it");
        }
        Err(error) => {
            log.line(Level::Warn, None, format_args!("Landlock does not confine the worker: {error}"));
        }
    }
}

fn restrict() -> Result<RulesetStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::Signal)?
        .create()?
        // What of them is not there needs no rule.
        .add_rules(path_beneath_rules(RESOLVER, AccessFs::ReadFile | AccessFs::ReadDir))?;
    Ok(ruleset.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, OpenOptions};
    use std::io::{ErrorKind, Write};
    use std::net::{TcpListener, ToSocketAddrs};

    /// Landlock holds for the thread that asks for it and those it starts, so a test can try it on one of its own.
    #[test]
    fn who_is_confined_keeps_what_is_open_and_opens_nothing_but_what_names_are_looked_up_with() {
        let path = std::env::temp_dir().join(format!("gatepost-sandbox-{}", std::process::id()));
        let append = || OpenOptions::new().append(true).create(true).open(&path);
        let mut log = append().expect("a file");
        let confined = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let status = restrict().expect("a ruleset");
                if status == RulesetStatus::NotEnforced {
                    return false;
                }
                log.write_all(b"still\n").expect("what is open stays open");
                let refused = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
                assert!(append().is_err_and(refused));
                assert!(File::open("/proc/self/environ").is_err_and(refused));
                assert!(OpenOptions::new().append(true).open("/etc/hosts").is_err_and(refused));
                File::open("/etc/hosts").expect("what the resolver reads");
                assert!(("localhost", 0).to_socket_addrs().is_ok_and(|mut found| found.next().is_some()));
                if status == RulesetStatus::FullyEnforced {
                    assert!(TcpListener::bind("127.0.0.1:0").is_err_and(refused));
                }
                true
            });
            thread.join().expect("what is claimed holds")
        });
        let _ = fs::remove_file(&path);
        if !confined {
            println!("skipped: this kernel has no Landlock");
        }
    }
}
