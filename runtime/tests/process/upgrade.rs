//! USR2 and WINCH: another binary takes over.

use std::fs;
use std::sync::atomic::Ordering;

use rustix::process::{Pid, Signal, kill_process};

use crate::load::Load;
use crate::peers::Peers;
use crate::reload::start;
use crate::served::{Served, children, eventually, status};

fn named(served: &Served, name: &str) -> Option<Pid> {
    let number = fs::read_to_string(served.folder.path(name)).ok()?;
    number.trim().parse().ok().and_then(Pid::from_raw)
}

fn is_gone(process: Pid) -> bool {
    status(process, "State").is_none_or(|state| state.starts_with('Z'))
}

#[test]
fn another_binary_takes_over_and_nobody_notices() {
    let peers = Peers::start();
    let (mut served, _) = start(&peers, "daemon on;");
    // Whoever started it is free to go once it serves.
    assert!(served.ended_well());
    let old = named(&served, "gatepost.pid").unwrap();
    let load = Load::start(served.address, served.secure);
    kill_process(old, Signal::USR2).unwrap();
    eventually("the new one has the name", || {
        named(&served, "gatepost.pid").is_some_and(|process| process != old)
    });
    let new = named(&served, "gatepost.pid").unwrap();
    assert_eq!(named(&served, "gatepost.pid.oldbin"), Some(old));
    eventually("the new one has a worker", || !children(new).is_empty());
    load.await_logins(100);
    // Another change has to wait for the end of this one.
    kill_process(new, Signal::USR2).unwrap();
    served.await_line("notice", "ignoring: the old or the new binary has to end");
    kill_process(old, Signal::WINCH).unwrap();
    served.await_line("notice", "stop accepting connections");
    load.await_logins(100);
    load.nothing_broke();
    kill_process(old, Signal::QUIT).unwrap();
    eventually("the old name is gone, or its worker stays for those who stay", || {
        served.count("signal 3 (SIGQUIT) received") >= 2
    });
    load.await_logins(100);
    load.end();
    eventually("the old one has ended", || is_gone(old));
    assert_eq!(named(&served, "gatepost.pid"), Some(new));
    assert_eq!(named(&served, "gatepost.pid.oldbin"), None);
    std::net::TcpStream::connect(served.address).unwrap();
    kill_process(new, Signal::QUIT).unwrap();
    eventually("the new one has ended", || is_gone(new));
    assert_eq!(named(&served, "gatepost.pid"), None);
}

#[test]
fn a_binary_that_comes_to_nothing_gives_the_name_back_and_hup_brings_the_old_one_back() {
    let peers = Peers::start();
    let (mut served, _) = start(&peers, "daemon on;");
    assert!(served.ended_well());
    let old = named(&served, "gatepost.pid").unwrap();
    let load = Load::start(served.address, served.secure);
    kill_process(old, Signal::USR2).unwrap();
    eventually("the new one has the name", || {
        named(&served, "gatepost.pid").is_some_and(|process| process != old)
    });
    let new = named(&served, "gatepost.pid").unwrap();
    eventually("the new one has a worker", || !children(new).is_empty());
    load.await_logins(50);
    kill_process(old, Signal::WINCH).unwrap();
    served.await_line("notice", "stop accepting connections");
    load.await_logins(50);
    // It was not what was hoped for.
    let before = children(old);
    kill_process(old, Signal::HUP).unwrap();
    eventually("the old one serves again", || {
        children(old).iter().any(|worker| !before.contains(worker) && *worker != new)
    });
    load.await_logins(50);
    kill_process(new, Signal::QUIT).unwrap();
    eventually("the old one has its name again", || named(&served, "gatepost.pid") == Some(old));
    load.await_logins(50);
    let seen = load.end();
    assert!(seen.logins.load(Ordering::Relaxed) > 0);
    kill_process(old, Signal::TERM).unwrap();
    eventually("the old one has ended", || is_gone(old));
}
