//! `limit_conn` across threads, generations and deaths.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use socket2::{Domain, Socket, Type};

use crate::peers::Peers;
use crate::served::{Said, Served, eventually};

const ZONES: &str =
    "limit_conn_zone $remote_user zone=user:32k; limit_conn_zone $binary_remote_addr zone=addr:32k;";

/// Two sessions of a user, on two threads.
fn said(peers: &Peers, zones: &str, limits: &str) -> Said {
    Said {
        main: "worker_processes 2;".to_owned(),
        mail: format!("auth_http {}; {zones} {limits}", peers.auth),
        ..Said::default()
    }
}

fn client(served: &Served) -> TcpStream {
    client_from(served, "127.0.0.1")
}

fn client_from(served: &Served, address: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&served.address.into()).unwrap();
    let client = TcpStream::from(socket);
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client
}

fn line(client: &mut TcpStream) -> String {
    let mut line = String::new();
    // Octet by octet: nothing behind it may be lost.
    BufReader::with_capacity(1, client).read_line(&mut line).unwrap();
    line
}

/// Logs in; the last reply.
fn log_in(client: &mut TcpStream, user: &str) -> String {
    let greeting = line(client);
    if greeting.starts_with("-ERR") {
        return greeting;
    }
    log_in_once_greeted(client, user)
}

fn log_in_once_greeted(client: &mut TcpStream, user: &str) -> String {
    write!(client, "USER {user}\r\nPASS hunter2\r\n").unwrap();
    assert_eq!(line(client), "+OK\r\n");
    line(client)
}

fn capabilities(client: &mut TcpStream) -> String {
    client.write_all(b"CAPA\r\n").unwrap();
    let mut listed = String::new();
    while !listed.ends_with("\r\n.\r\n") {
        let line = line(client);
        assert!(!line.is_empty(), "{listed:?} and then nothing");
        listed.push_str(&line);
    }
    listed
}

const FULL: &str = "-ERR [SYS/TEMP] Too many connections\r\n";

#[test]
fn a_user_has_so_many_sessions_on_all_threads_together_and_a_reload_forgets_none() {
    let peers = Peers::start();
    let limited = said(&peers, ZONES, "limit_conn user 2; limit_conn_log_level warn;");
    let served = Served::start(&limited);
    let mut kept: Vec<_> = (0..2).map(|_| client(&served)).collect();
    for client in &mut kept {
        assert_eq!(log_in(client, "fred"), "+OK\r\n");
    }
    // Whichever thread it comes to.
    for _ in 0..6 {
        let mut client = client(&served);
        assert_eq!(log_in(&mut client, "fred"), FULL);
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    }
    assert_eq!(log_in(&mut client(&served), "wilma"), "+OK\r\n");
    served.await_line(
        "warn",
        "limiting connections by zone \"user\" while in http auth state, client: 127.0.0.1",
    );

    // The old worker lets its sessions end; they count in the new one.
    let first = served.workers();
    served.signal(Signal::HUP);
    eventually("a new worker", || served.workers().len() == 2);
    eventually("the old one serves no more", || served.count("gracefully shutting down") == 1);
    assert_eq!(log_in(&mut client(&served), "fred"), FULL);
    drop(kept.pop());
    eventually("a place is free", || {
        let mut client = client(&served);
        let is_in = log_in(&mut client, "fred") == "+OK\r\n";
        kept.extend(is_in.then_some(client));
        is_in
    });
    assert_eq!(log_in(&mut client(&served), "fred"), FULL);

    // A zone cannot come to count by something else; nothing changes then.
    served.configure(&said(&peers, &ZONES.replace("$remote_user", "$remote_addr"), "limit_conn user 2;"));
    served.signal(Signal::HUP);
    served.await_line("emerg", "limit_conn_zone \"user\" uses the \"$remote_addr\" key while previously it used the \"$remote_user\" key");
    assert_eq!(log_in(&mut client(&served), "fred"), FULL);

    // Who dies counts no more.
    let old = *first.last().unwrap();
    assert!(served.workers().contains(&old));
    kill_process(old, Signal::KILL).unwrap();
    eventually("the place of the dead is free", || {
        let mut client = client(&served);
        let is_in = log_in(&mut client, "fred") == "+OK\r\n";
        kept.extend(is_in.then_some(client));
        is_in
    });
    assert_eq!(log_in(&mut client(&served), "fred"), FULL);
}

#[test]
fn an_address_has_so_many_connections_before_anybody_logs_in() {
    let peers = Peers::start();
    let served = Served::start(&said(&peers, ZONES, "limit_conn addr 3 early;"));
    let mut kept = Vec::new();
    eventually("three are greeted", || {
        let mut client = client(&served);
        let is_in = line(&mut client).starts_with("+OK");
        kept.extend(is_in.then_some(client));
        kept.len() == 3
    });
    assert_eq!(line(&mut client(&served)), FULL);
    served.await_line("error", "limiting connections by zone \"addr\" while sending client greeting line");
    assert!(line(&mut client_from(&served, "127.0.0.2")).starts_with("+OK"), "another address");
    // What is said in a dry run is said in the log.
    served.configure(&said(&peers, ZONES, "limit_conn addr 3 early; limit_conn_dry_run on;"));
    served.signal(Signal::HUP);
    eventually("the old one serves no more", || served.count("gracefully shutting down") == 1);
    assert!(line(&mut client(&served)).starts_with("+OK"));
    served.await_line("error", "limiting connections, dry run, by zone \"addr\"");
}

#[test]
fn one_process_counts_the_sessions_of_its_generations_together() {
    let peers = Peers::start();
    let limited = Said {
        main: "worker_processes 2; master_process off;".to_owned(),
        ..said(&peers, ZONES, "limit_conn user 1;")
    };
    let served = Served::start_by_itself(&limited);
    let mut first = client(&served);
    assert_eq!(log_in(&mut first, "fred"), "+OK\r\n");
    let mail = format!("{} pop3_capabilities TOP USER X-NEXT;", limited.mail);
    served.configure(&Said { mail, ..limited });
    served.signal(Signal::HUP);
    eventually("the next generation turns him away", || {
        let mut client = client(&served);
        assert!(line(&mut client).starts_with("+OK"));
        if !capabilities(&mut client).contains("X-NEXT\r\n") {
            return false;
        }
        assert_eq!(log_in_once_greeted(&mut client, "fred"), "-ERR Too many connections\r\n");
        true
    });
    drop(first);
    eventually("a place is free", || log_in(&mut client(&served), "fred") == "+OK\r\n");
}

#[test]
fn a_client_is_sent_octets_at_its_rate() {
    let peers = Peers::start();
    let served = Served::start(&said(&peers, "", "limit_rate 10k; limit_rate_after 20k;"));
    let mut client = client(&served);
    assert_eq!(log_in(&mut client, "fred"), "+OK\r\n");
    // It is said back.
    let mut writer = client.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&[b'x'; 60 * 1024]).unwrap());
    let begun = tokio::time::Instant::now();
    client.read_exact(&mut vec![0; 60 * 1024]).unwrap();
    writing.join().unwrap();
    // 30k are let through at once, and the rest takes three seconds; in pieces of half a second, and some of it before.
    let seconds = begun.elapsed().as_secs_f32();
    assert!((2.5..4.5).contains(&seconds), "{seconds}");
}
