//! What signals do to a master, a worker, and a process that is both.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::served::{Said, Served, eventually};

#[test]
fn no_signal_that_nginx_knows_ends_a_master_unless_it_should() {
    let mut served = Served::start(&Said::default());
    let me = getpid();
    assert_eq!(
        fs::read_to_string(served.folder.path("gatepost.pid")).unwrap(),
        format!("{}\n", served.child.id())
    );
    for (signal, words) in [
        (Signal::WINCH, format!("signal 28 (SIGWINCH) received from {me}")),
        (Signal::ALARM, format!("signal 14 (SIGALRM) received from {me}")),
        (Signal::IO, format!("signal 29 (SIGIO) received from {me}")),
    ] {
        served.signal(signal);
        served.await_line("notice", &words);
    }
    fs::rename(served.folder.path("error.log"), served.folder.path("error.log.1")).unwrap();
    served.signal(Signal::USR1);
    // Made anew before any line needs it; the worker says so in the old one or the new one.
    eventually("the log is there again", || served.folder.path("error.log").exists());
    let rotated = fs::read_to_string(served.folder.path("error.log.1")).unwrap();
    assert!(rotated.contains("signal 10 (SIGUSR1) received from"), "{rotated}");
    TcpStream::connect(served.address).unwrap();
    served.signal(Signal::TERM);
    served.await_line("notice", "signal 15 (SIGTERM) received from");
    assert!(served.ended_well());
    served.await_line("notice", " exited with code 0");
    assert!(!served.folder.path("gatepost.pid").exists());
}

/// What a client of the UNIX socket hears first.
fn greeting_at(path: &Path) -> String {
    let mut client = UnixStream::connect(path).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut heard = [0; 256];
    let count = client.read(&mut heard).unwrap();
    String::from_utf8_lossy(&heard[..count]).into_owned()
}

#[test]
fn a_unix_socket_is_there_as_long_as_it_is_listened_on() {
    let server =
        |name: &str| format!("server {{ listen unix:FOLDER/{name}; protocol pop3; pop3_auth apop; }}");
    let said = |names: &[&str]| Said {
        main: "worker_processes 2;".to_owned(),
        mail: names.iter().map(|name| server(name)).collect(),
        ..Said::default()
    };
    let mut served = Served::start(&said(&["a", "b"]));
    let (a, b) = (served.folder.path("a"), served.folder.path("b"));
    let first = greeting_at(&a);
    assert!(first.starts_with("+OK POP3 ready <"), "{first}");
    assert!(greeting_at(&b).starts_with("+OK"));
    served.configure(&said(&["a"]));
    served.signal(Signal::HUP);
    eventually("it is listened on no more", || !b.exists());
    let second = greeting_at(&a);
    // Both workers are copies of the same master, and still draw different lots (before the dot; behind it is the time).
    let lot = |greeting: &str| greeting.split(['<', '.']).nth(1).map(str::to_owned).unwrap();
    assert_ne!(lot(&first), lot(&second));
    served.signal(Signal::TERM);
    assert!(served.ended_well());
    assert!(!a.exists(), "nobody listens there any more");
}

#[test]
fn quit_lets_sessions_end_and_the_timeout_ends_those_that_do_not() {
    let mut served = Served::start(&Said::main("worker_shutdown_timeout 1s; error_log LOG info;"));
    let mut client = TcpStream::connect(served.address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut greeting = [0; 16];
    client.read_exact(&mut greeting).unwrap();
    served.signal(Signal::QUIT);
    served.await_line("notice", "gracefully shutting down");
    // POP3 has no word for it (decision 4): the end is all there is.
    assert_eq!(client.read(&mut greeting).unwrap(), 0);
    served.await_line("info", "shutdown timeout while in auth state, client: 127.0.0.1");
    assert!(served.ended_well());
    served.await_line("notice", "signal 17 (SIGCHLD) received from");
}

/// Clients that nobody has accepted, and whoever should is not able to.
fn waiting(served: &Served) -> (Pid, Vec<TcpStream>) {
    let worker = served.workers()[0];
    kill_process(worker, Signal::STOP).unwrap();
    // A thread that still moves might yet accept one of them.
    eventually("all of its threads stand still", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", worker.as_raw_nonzero())).unwrap();
        let stat = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
        stat.into_iter().all(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    });
    let clients = (0..40).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    (worker, clients)
}

/// Whether each of them is greeted.
fn all_are_greeted(clients: Vec<TcpStream>) {
    for mut client in clients {
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut greeting = [0; 16];
        client.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"+OK POP3 ready\r\n");
    }
}

#[test]
fn whoever_waits_when_a_reload_comes_is_accepted_by_the_next_worker_with_fewer_threads_too() {
    for (before, after) in [(4, 1), (1, 4), (3, 2)] {
        let said = |threads| Said::main(&format!("worker_processes {threads};"));
        let served = Served::start(&said(before));
        let (worker, clients) = waiting(&served);
        served.configure(&said(after));
        served.signal(Signal::HUP);
        // The old one hears nothing of all this.
        all_are_greeted(clients);
        kill_process(worker, Signal::CONT).unwrap();
        eventually("the old one has ended", || !served.workers().contains(&worker));
    }
}

#[test]
fn whoever_waits_when_quit_comes_is_accepted_before_the_listener_closes() {
    let mut served = Served::start(&Said::main("worker_processes 2;"));
    let (worker, clients) = waiting(&served);
    served.signal(Signal::QUIT);
    served.await_line("notice", ", shutting down");
    kill_process(worker, Signal::CONT).unwrap();
    all_are_greeted(clients);
    assert!(served.ended_well());
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_nobody_is_refused_meanwhile() {
    let served = Served::start(&Said::default());
    for round in 1..=3 {
        let worker = served.workers()[0];
        kill_process(worker, Signal::KILL).unwrap();
        // At once, while there is nobody: they wait in the queue.
        let clients: Vec<_> = (0..50).map(|_| TcpStream::connect(served.address).unwrap()).collect();
        let mut answered = 0;
        for mut client in clients {
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut greeting = [0; 16];
            // Those that the old worker had accepted before it died went with it.
            match client.read(&mut greeting) {
                Ok(16) => answered += 1,
                Ok(0) => {}
                Ok(other) => panic!("{other} octets of a greeting"),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
        }
        assert!(answered > 0, "in round {round} nobody was answered");
        served.await_line("alert", &format!("worker process {worker} exited on signal 9"));
    }
    served.await_line("alert", "workers end too soon: the next one is started in 0.1 s");
}

#[test]
fn one_process_does_everything_where_no_master_is_wanted() {
    let said = |threads| Said::main(&format!("master_process off; worker_processes {threads};"));
    let mut served = Served::start_by_itself(&said(1));
    assert!(served.workers().is_empty());
    served.await_line("notice", "start 1 threads");
    served.configure(&said(2));
    let mut early = TcpStream::connect(served.address).unwrap();
    early.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut greeting = [0; 16];
    early.read_exact(&mut greeting).unwrap();
    served.signal(Signal::HUP);
    served.await_line("notice", "reconfiguring");
    served.signal(Signal::USR2);
    served.await_line("notice", "without a master process the binary cannot be changed");
    let mut late = TcpStream::connect(served.address).unwrap();
    late.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    late.read_exact(&mut greeting).unwrap();
    drop((early, late));
    served.signal(Signal::QUIT);
    assert!(served.ended_well());
    served.await_line("notice", "exit");
}

#[test]
fn sessions_of_before_a_reload_go_over_to_the_new_log_file_too() {
    let mut served = Served::start_by_itself(&Said::main("master_process off; error_log LOG info;"));
    let mut early = TcpStream::connect(served.address).unwrap();
    early.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut greeting = [0; 16];
    early.read_exact(&mut greeting).unwrap();
    served.signal(Signal::HUP);
    served.await_line("notice", "reconfiguring");
    // Signals are heard one after another.
    served.signal(Signal::USR2);
    served.await_line("notice", "without a master process the binary cannot be changed");
    fs::rename(served.folder.path("error.log"), served.folder.path("error.log.1")).unwrap();
    served.signal(Signal::USR1);
    eventually("the log is there again", || served.folder.path("error.log").exists());
    early.write_all(&[b'x'; 5000]).unwrap();
    served.await_line("info", "client sent too long command");
    drop(early);
    served.signal(Signal::QUIT);
    assert!(served.ended_well());
}
