//! Sessions in which nobody says anything: they are parked, and nobody can tell.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tokio::time::Instant;

use crate::load::whoever;
use crate::peers::Peers;
use crate::reload::{certificate, put};
use crate::served::{Folder, Said, Served, eventually, free};

/// One worker of one thread.
fn start(peers: &Peers, main: &str, mail: &str) -> Served {
    let folder = Folder::new();
    let tls = put(&certificate(), &folder);
    let said = Said {
        main: format!("worker_processes 1; {main}"),
        mail: format!("auth_http {}; {tls} {mail}", peers.auth),
        ..Said::default()
    };
    let served = Served::start_in(folder, free(), &said, |program, file| {
        let mut command = std::process::Command::new(program);
        command.arg("-c").arg(file);
        command
    });
    served.await_line("notice", "start worker process ");
    served.wait_until_it_answers();
    served
}

/// How many sessions of a process are parked: two sockets each in an epoll instance that lies in another one.
fn parked(process: Pid) -> usize {
    let folder = format!("/proc/{}", process.as_raw_nonzero());
    let files = fs::read_dir(format!("{folder}/fd")).unwrap().flatten();
    let instances = files.filter(|file| {
        fs::read_link(file.path()).is_ok_and(|target| target.to_str() == Some("anon_inode:[eventpoll]"))
    });
    let names: Vec<_> = instances.map(|file| file.file_name().into_string().unwrap()).collect();
    let watched = |name: &String| -> Vec<String> {
        let text = fs::read_to_string(format!("{folder}/fdinfo/{name}")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix("tfd:"));
        lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    let all: Vec<Vec<String>> = names.iter().map(watched).collect();
    let inner = names.iter().zip(&all).filter(|(name, _)| all.iter().any(|others| others.contains(name)));
    inner.map(|(_, sockets)| sockets.len() / 2).sum()
}

fn await_parked(served: &Served, count: usize) {
    let worker = *served.workers().last().unwrap();
    eventually("they are parked", || parked(worker) == count);
}

fn expect(stream: &mut impl Read, wanted: &str) {
    let mut heard = vec![0; wanted.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), wanted);
}

fn log_in<S: Read + Write>(mut stream: S) -> S {
    expect(&mut stream, "+OK POP3 ready\r\n");
    for said in ["USER joe\r\n", "PASS hunter2\r\n"] {
        stream.write_all(said.as_bytes()).unwrap();
        expect(&mut stream, "+OK\r\n");
    }
    stream
}

fn connect(address: std::net::SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn in_clear(served: &Served) -> TcpStream {
    log_in(connect(served.address))
}

fn under_tls(served: &Served) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("mail.example").unwrap();
    let connection = ClientConnection::new(Arc::new(whoever()), name).unwrap();
    log_in(StreamOwned::new(connection, connect(served.secure)))
}

fn said_back(stream: &mut (impl Read + Write), said: &str) {
    stream.write_all(said.as_bytes()).unwrap();
    expect(stream, said);
}

#[test]
fn whoever_speaks_after_a_silence_is_heard_whole_in_clear_and_under_tls_again_and_again() {
    let peers = Peers::start();
    let served = start(&peers, "error_log LOG info;", "");
    let (mut plain, mut secure) = (in_clear(&served), under_tls(&served));
    for round in 0..3 {
        await_parked(&served, 2);
        said_back(&mut plain, &format!("NOOP {round}\r\n"));
        said_back(&mut secure, &format!("NOOP {round}\r\n"));
        // More than any socket holds, from what was a whisper a moment ago.
        await_parked(&served, 2);
        let much = "x".repeat(300_000);
        let mut writer = plain.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(much.as_bytes()).unwrap());
            expect(&mut plain, &much);
        });
    }
    await_parked(&served, 2);
    drop((plain, secure));
    eventually("both are over", || {
        parked(served.workers()[0]) == 0 && served.count("proxied session done") == 2
    });
}

#[test]
fn a_parked_client_that_half_closes_hears_the_rest_and_one_that_resets_costs_no_other() {
    let peers = Peers::start();
    let served = start(&peers, "error_log LOG info;", "");
    let (mut half, reset, mut stays) = (in_clear(&served), in_clear(&served), in_clear(&served));
    await_parked(&served, 3);
    half.write_all(b"last words\r\n").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    half.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "last words\r\n");
    socket2::SockRef::from(&reset).set_linger(Some(Duration::ZERO)).unwrap();
    drop(reset);
    served.await_line("info", "104: Connection reset by peer) while proxying and reading from client");
    await_parked(&served, 1);
    said_back(&mut stays, "still there\r\n");
}

#[test]
fn a_parked_session_is_over_when_its_silence_is() {
    let peers = Peers::start();
    let served = start(&peers, "error_log LOG info;", "proxy_timeout 2s;");
    let mut client = in_clear(&served);
    let begun = Instant::now();
    await_parked(&served, 1);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    let silence = begun.elapsed();
    assert!((1900..4000).contains(&silence.as_millis()), "{silence:?}");
    served.await_line("info", "client timed out (110: Connection timed out) while proxying");
}

#[test]
fn quit_lets_parked_sessions_go_on_and_waits_for_them() {
    let peers = Peers::start();
    let mut served = start(&peers, "", "");
    let (mut plain, mut secure) = (in_clear(&served), under_tls(&served));
    await_parked(&served, 2);
    let worker = served.workers()[0];
    served.signal(Signal::QUIT);
    served.await_line("notice", "gracefully shutting down");
    said_back(&mut plain, "still here\r\n");
    eventually("it is parked again", || parked(worker) == 2);
    assert!(served.child.try_wait().unwrap().is_none());
    said_back(&mut secure, "so am I\r\n");
    drop((plain, secure));
    assert!(served.ended_well());
}

#[test]
fn the_shutdown_timeout_and_term_reach_parked_sessions_and_tls_says_so() {
    for timeout in [true, false] {
        let peers = Peers::start();
        let mut served = start(&peers, "error_log LOG info; worker_shutdown_timeout 1s;", "");
        let (mut plain, mut secure) = (in_clear(&served), under_tls(&served));
        await_parked(&served, 2);
        let begun = Instant::now();
        served.signal(if timeout { Signal::QUIT } else { Signal::TERM });
        assert_eq!(plain.read(&mut [0]).unwrap(), 0);
        // With `close_notify`: without one this would be an error.
        assert_eq!(secure.read(&mut [0]).map_err(|error| error.kind()), Ok::<_, ErrorKind>(0));
        assert!(served.ended_well());
        let took = begun.elapsed();
        assert!(took.as_millis() < 5000 && (!timeout || took.as_millis() >= 1000), "{took:?}");
        assert_eq!(served.count("proxied session done"), 0);
    }
}

#[test]
fn the_places_of_parked_sessions_are_taken_until_they_are_over() {
    let peers = Peers::start();
    let served = Served::start(&Said {
        main: "worker_processes 1;".to_owned(),
        events: "worker_connections 2;".to_owned(),
        mail: format!("auth_http {};", peers.auth),
    });
    let is_let_in = |mut client: &TcpStream| {
        let mut heard = [0; 3];
        client.read_exact(&mut heard).unwrap();
        &heard == b"+OK"
    };
    let mut held = Vec::new();
    // Those that looked whether it answers may still be on their way out.
    eventually("both places are taken", || {
        let client = connect(served.address);
        if is_let_in(&client) {
            held.push(client);
        }
        held.len() == 2
    });
    for client in &mut held {
        expect(client, " POP3 ready\r\n");
        for said in ["USER joe\r\n", "PASS hunter2\r\n"] {
            client.write_all(said.as_bytes()).unwrap();
            expect(client, "+OK\r\n");
        }
    }
    await_parked(&served, 2);
    let mut heard = String::new();
    connect(served.address).read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "-ERR too many connections\r\n");
    held.pop();
    eventually("a place is free", || is_let_in(&connect(served.address)));
}
