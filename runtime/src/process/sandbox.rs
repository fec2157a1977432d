//! What a worker may still reach of the file system, where the kernel has Landlock: the folders of its logs, in which it
//! may make files and write to them, when logs are opened anew. Everything else it has been given by its master.

use std::path::{Path, PathBuf};

use gatepost_core::report::Level;
use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};

use crate::observe::Log;

/// What is asked for at most; an older kernel grants what it knows of it.
const WANTED: ABI = ABI::V6;

/// Confines this process, which must not have other threads yet, and says in `log` how far that went. That it did not
/// go far is no reason not to serve.
pub(super) fn confine<'a>(logs: impl Iterator<Item = &'a Path>, log: &Log) {
    match restrict(logs) {
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

fn restrict<'a>(logs: impl Iterator<Item = &'a Path>) -> Result<RulesetStatus, RulesetError> {
    // Connections go wherever the auth server says. Nobody but the master opens listeners, and no signal leaves.
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::Signal)?
        .create()?;
    for folder in folders(logs) {
        // A folder that is gone holds no log that could be opened.
        let Ok(folder) = PathFd::new(folder) else { continue };
        ruleset = ruleset.add_rule(PathBeneath::new(folder, AccessFs::MakeReg | AccessFs::WriteFile))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// The folders of these files, each once.
fn folders<'a>(files: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut folders: Vec<_> = files
        .filter_map(Path::parent)
        .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .map(Path::to_owned)
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, OpenOptions};
    use std::io::ErrorKind;
    use std::net::TcpListener;

    #[test]
    fn folders_are_named_once_and_a_bare_name_lies_here() {
        let files = ["/var/log/a", "b", "/var/log/c"].map(Path::new);
        assert_eq!(folders(files.into_iter()), [Path::new("/var/log"), Path::new(".")]);
    }

    /// Landlock holds for the thread that asks for it and those it starts, so a test can try it on one of its own.
    #[test]
    fn who_is_confined_writes_logs_and_reads_and_opens_nothing_else() {
        let folder = std::env::temp_dir().join(format!("gatepost-sandbox-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let log = folder.join("error.log");
        let outside = std::env::temp_dir().join(format!("gatepost-outside-{}", std::process::id()));
        let told = std::thread::scope(|scope| {
            let confined = scope.spawn(|| {
                let status = restrict([log.as_path()].into_iter()).expect("a ruleset");
                if status == RulesetStatus::NotEnforced {
                    return false;
                }
                let append = |path: &Path| OpenOptions::new().append(true).create(true).open(path);
                append(&log).expect("a log may be made");
                append(&log).expect("and written to");
                let refused = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
                assert!(File::open(&log).is_err_and(refused));
                assert!(File::open("/etc/passwd").is_err_and(refused));
                assert!(append(&outside).is_err_and(refused));
                if status == RulesetStatus::FullyEnforced {
                    assert!(TcpListener::bind("127.0.0.1:0").is_err_and(refused));
                }
                true
            });
            confined.join().expect("what is claimed holds")
        });
        let _ = fs::remove_dir_all(&folder);
        if !told {
            println!("skipped: this kernel has no Landlock");
        }
    }
}
