//! `auth_users`: the file that the README shows, and what a reload makes of a changed one.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::peers::Peers;
use crate::served::{Folder, Said, Served, eventually, free};

/// `hunter2`.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";

fn said(mail: &str) -> Said {
    Said { mail: format!("auth_users users; {mail}"), ..Said::default() }
}

/// Starts with these users.
fn start(users: &str, mail: &str) -> Served {
    let folder = Folder::new();
    folder.write("users", users);
    let served = Served::start_in(folder, free(), &said(mail), |program, file| {
        let mut command = std::process::Command::new(program);
        command.arg("-c").arg(file);
        command
    });
    served.await_line("notice", "start worker process ");
    served.wait_until_it_answers();
    served
}

/// What comes of a login: `+OK` and an echo, or the refusal.
fn log_in(served: &Served, name: &str, password: &str) -> String {
    let stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = BufReader::new(stream);
    let mut hear = |words: &str| {
        stream.get_mut().write_all(words.as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        line
    };
    hear("");
    hear(&format!("USER {name}\r\n"));
    let answer = hear(&format!("PASS {password}\r\n"));
    match answer.starts_with("+OK") {
        true => hear("echo\r\n"),
        false => answer,
    }
}

const REFUSED: &str = "-ERR Invalid login or password\r\n";

#[test]
fn the_file_that_the_readme_shows_lets_its_users_in_and_nobody_else() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, section) = readme.split_once("\n### A users file\n").unwrap();
    let (_, block) = section.split_once("```text\n").unwrap();
    let (users, _) = block.split_once("```").unwrap();
    let peers = Peers::start();
    let home = peers.backend.to_string();
    let users = ["192.0.2.12:1110", "192.0.2.11"].iter().fold(users.to_owned(), |users, shown| {
        assert!(users.contains(shown), "{shown} is not in the README any more");
        users.replace(shown, &home)
    });
    let served = start(&users, &format!("upstream stores {{ server {home}; }}"));
    let names: Vec<_> = users
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(names.len(), 4);
    for name in names {
        assert_eq!(log_in(&served, name, "hunter2"), "echo\r\n", "{name}");
    }
    assert_eq!(log_in(&served, "joe@example.com", "hunter3"), REFUSED);
    assert_eq!(log_in(&served, "joe", "hunter2"), REFUSED);
    assert!(!served.log().contains("hunter"), "{}", served.log());
}

#[test]
fn a_reload_reads_users_anew_and_a_broken_file_changes_nothing() {
    let peers = Peers::start();
    let home = peers.backend;
    let mut served = start(&format!("joe:{HASH}:{home}\n"), "");
    assert_eq!(log_in(&served, "joe", "hunter2"), "echo\r\n");
    assert_eq!(log_in(&served, "ann", "hunter2"), REFUSED);

    served.folder.write("users", &format!("joe:{HASH}:{home}\nann:hunter2:{home}\n"));
    served.signal(Signal::HUP);
    served.await_line("emerg", "neither hashed nor marked as {PLAIN} for user \"ann\" in ");
    served.await_line("emerg", "/users:2");
    assert_eq!(served.count("start worker process "), 1);
    assert_eq!(log_in(&served, "joe", "hunter2"), "echo\r\n");

    served.folder.write("users", &format!("ann:{{PLAIN}}hunter2:{home}\n"));
    let before = served.workers();
    served.signal(Signal::HUP);
    eventually("a new worker is alone", || {
        let workers = served.workers();
        !workers.is_empty() && workers.iter().all(|worker| !before.contains(worker))
    });
    assert_eq!(log_in(&served, "ann", "hunter2"), "echo\r\n");
    assert_eq!(log_in(&served, "joe", "hunter2"), REFUSED);
    assert!(!served.log().contains("hunter"), "{}", served.log());
    served.signal(Signal::QUIT);
    assert!(served.ended_well());
}

/// What each thread of a process is called, and where it may run.
fn threads(process: rustix::process::Pid) -> Vec<(String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).unwrap();
    let told = |task: &std::path::Path| {
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        Some((name.trim().to_owned(), allowed(&std::fs::read_to_string(task.join("status")).ok()?)))
    };
    tasks.filter_map(|task| told(&task.unwrap().path())).collect()
}

fn allowed(status: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap().trim().to_owned()
}

#[test]
fn passwords_are_checked_on_any_processor_wherever_sessions_are_pinned() {
    let peers = Peers::start();
    let folder = Folder::new();
    folder.write("users", &format!("joe:{HASH}:{}\n", peers.backend));
    let said = Said { main: "worker_cpu_affinity auto;".to_owned(), ..said("") };
    let served = Served::start_in(folder, free(), &said, |program, file| {
        let mut command = std::process::Command::new(program);
        command.arg("-c").arg(file);
        command
    });
    served.await_line("notice", "start worker process ");
    served.wait_until_it_answers();
    assert_eq!(log_in(&served, "joe", "hunter2"), "echo\r\n");
    let here = allowed(&std::fs::read_to_string("/proc/self/status").unwrap());
    let workers = served.workers();
    let [worker] = workers.as_slice() else { panic!("{workers:?}") };
    // A thread that has checked a password stays for ten seconds.
    let (sessions, others): (Vec<_>, Vec<_>) =
        threads(*worker).into_iter().partition(|(name, _)| name.starts_with("worker "));
    assert!(sessions.iter().all(|(_, cpus)| cpus.parse::<u16>().is_ok()), "{sessions:?}");
    let checking: Vec<_> = others.iter().filter(|(name, _)| name.starts_with("tokio")).collect();
    assert!(!checking.is_empty() && checking.iter().all(|(_, cpus)| *cpus == here), "{others:?}");
}
