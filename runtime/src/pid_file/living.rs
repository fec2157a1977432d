//! Whether the process whose number a pid file holds is one that serves.
//!
//! A number is given out again, and one who lets sessions end needs the file no more: its successor may have it. Hence a
//! process counts only if it goes by the name of a server of this kind and listens on something. Who may not see what it
//! listens on, for want of its rights, goes by the name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::process::Pid;

/// The name by which `process` goes, if it serves in place of this one.
pub(super) fn serving(process: Pid) -> Option<String> {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let name = name_of(&folder)?;
    let ours = name_of(Path::new("/proc/self"));
    let counts = ours.as_ref() == Some(&name) || matches!(name.as_str(), "nginx" | "gatepost");
    (counts && listens(&folder)).then_some(name)
}

fn name_of(folder: &Path) -> Option<String> {
    let name = fs::read_to_string(folder.join("comm")).ok()?;
    Some(name.trim_end_matches('\n').to_owned())
}

/// Whether one of its descriptors is a socket that listens, as the system's tables show them (proc(5), `/proc/net/tcp`
/// and `/proc/net/unix`); or may be, as far as it may be seen.
fn listens(folder: &Path) -> bool {
    let descriptors = match fs::read_dir(folder.join("fd")) {
        Ok(descriptors) => descriptors,
        Err(error) => return error.kind() == io::ErrorKind::PermissionDenied,
    };
    let number = |path: PathBuf| Some(path.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    let all = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok().and_then(number));
    let sockets: BTreeSet<String> = all.collect();
    // The columns of state and number, and what the state of one who listens is.
    [("tcp", 3, 9, "0A"), ("tcp6", 3, 9, "0A"), ("unix", 3, 6, "00010000")].into_iter().any(
        |(table, state, number, listening)| {
            let table = fs::read(folder.join("net").join(table)).unwrap_or_default();
            String::from_utf8_lossy(&table).lines().any(|line| {
                let column = |index| line.split_ascii_whitespace().nth(index);
                column(state) == Some(listening)
                    && column(number).is_some_and(|number| sockets.contains(number))
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};

    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn who_goes_by_our_name_and_listens_serves_and_nobody_else() {
        let _listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let name = name_of(Path::new("/proc/self"));
        assert!(name.is_some());
        assert_eq!(serving(rustix::process::getpid()), name);
        let sleeper = Command::new("/bin/sleep").arg("60").stdin(Stdio::null()).spawn();
        let mut sleeper = Sleeper(sleeper.expect("a process"));
        let process = Pid::from_child(&sleeper.0);
        assert!(!listens(Path::new(&format!("/proc/{process}"))));
        assert_eq!(serving(process), None);
        sleeper.0.kill().expect("killed");
        sleeper.0.wait().expect("ended");
        assert_eq!(serving(process), None);
    }
}
