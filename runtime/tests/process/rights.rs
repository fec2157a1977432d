//! Who the worker is, and what it may do. As root only; as anybody else these say so and pass.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::process::Signal;

use crate::load::Load;
use crate::peers::Peers;
use crate::reload::{certificate, put, said};
use crate::served::{Folder, Served, eventually, free, is_root, status};

#[test]
fn the_worker_is_nobody_and_can_nothing_and_keys_of_root_s_work_after_a_reload_too() {
    if !is_root() {
        return println!("skipped: only root can become nobody");
    }
    let peers = Peers::start();
    let (folder, first) = (Folder::new(), certificate());
    let only_root = |folder: &Folder| {
        fs::set_permissions(folder.path("mail.key"), Permissions::from_mode(0o600)).unwrap();
    };
    put(&first, &folder);
    only_root(&folder);
    let main = "user nobody nogroup; worker_rlimit_nofile 2000; worker_priority 3; env MAIL=1; env PATH;";
    let said = said(&peers, &folder, 2, main);
    let served = Served::start_in(folder, free(), &said, |program, file| {
        let mut command = std::process::Command::new(program);
        command.arg("-c").arg(file).env("SECRET", "x").env_remove("TZ");
        command
    });
    served.await_line("notice", "start worker process ");
    served.wait_until_it_answers();
    let check = |worker| {
        let says = |name| status(worker, name).unwrap();
        assert_eq!(
            (says("Uid").as_str(), says("Gid").as_str()),
            ("65534 65534 65534 65534", "65534 65534 65534 65534")
        );
        assert!(["", "65534"].contains(&says("Groups").as_str()), "{}", says("Groups"));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(says(set), "0000000000000000", "{set}");
        }
        assert_eq!(says("NoNewPrivs"), "1");
        let number = worker.as_raw_nonzero();
        let limits = fs::read_to_string(format!("/proc/{number}/limits")).unwrap();
        let limit = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(limit("Max open files"), "2000");
        assert_eq!(limit("Max core file size"), "0");
        // Who cannot be dumped belongs to root, as far as its memory goes.
        assert_eq!(fs::metadata(format!("/proc/{number}/mem")).unwrap().uid(), 0);
        let text = fs::read_to_string(format!("/proc/{number}/stat")).unwrap();
        let nice = text.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().to_owned();
        assert_eq!(nice, "3");
    };
    let worker = served.workers()[0];
    check(worker);
    assert_eq!(status(served.master(), "Uid").unwrap(), "0 0 0 0");
    assert_eq!(served.count("Landlock"), 0, "where there is one, it says nothing of it");
    // In a folder that only root may look into; the worker goes on in what its master has opened.
    fs::set_permissions(&served.folder.0, Permissions::from_mode(0o700)).unwrap();
    fs::rename(served.folder.path("error.log"), served.folder.path("error.log.1")).unwrap();
    served.signal(Signal::USR1);
    let written = |name: &str| fs::read_to_string(served.folder.path(name)).unwrap_or_default();
    let own = format!(" {}#0: ", worker.as_raw_nonzero());
    eventually("the worker is told", || written("error.log.1").contains(&format!("{own}reopening logs")));
    let second = certificate();
    put(&second, &served.folder);
    only_root(&served.folder);
    served.signal(Signal::HUP);
    // The old one says goodbye in the new log.
    eventually("it goes on there", || written("error.log").contains(&own));
    eventually("another worker", || served.workers().last().is_some_and(|&other| other != worker));
    check(*served.workers().last().unwrap());
    let load = Load::start(served.address, served.secure);
    eventually("the new certificate is shown", || load.last_shown(&second.shown).is_some());
    assert_eq!(load.last_shown(&first.shown), None);
    load.end();
}
