use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use gatepost_core::{Address, AuthServer, AuthUrl, LimitKey, Policy, Protocol, Target};

use super::*;
use crate::config::{self, Listener, LogSink, LogTarget, Process};

/// No test waits longer for an octet.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a free port, with its log; stopped when dropped.
struct Served {
    running: Option<Running>,
    address: SocketAddr,
    log: PathBuf,
}

impl Served {
    fn start(protocol: Protocol, auth: SocketAddr, threads: usize) -> Self {
        let text = "127.0.0.1:143".into();
        let listener = Listener { text, ..Listener::new(SocketAddr::from(([127, 0, 0, 1], 0)).into()) };
        Self::start_at(listener, protocol, auth, threads)
    }

    fn start_at(listener: Listener, protocol: Protocol, auth: SocketAddr, threads: usize) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("gatepost-server-{}-{number}.log", std::process::id()));
        let logs: Arc<[LogTarget]> = [LogTarget::new(LogSink::File(log.clone()), Level::Info)].into();
        let auth = AuthServer::new(Target::Address(auth.into()), "auth.example");
        let server = Server::bind(&Config {
            worker_processes: NonZeroUsize::new(threads).expect("threads"),
            process: Process::default(),
            pid: Pid::Unsaid,
            logs: logs.clone(),
            zones: BTreeMap::new(),
            servers: vec![config::Server {
                policy: Arc::new(Policy::new(protocol, "mx.example", auth)),
                tls: None,
                backend_tls: None,
                auth_tls: None,
                upstreams: Arc::default(),
                auth_upstreams: Arc::default(),
                users: None,
                resolver: None,
                logs,
                access_logs: Arc::new([]),
                listeners: vec![listener],
            }],
        })
        .expect("a server");
        let address = server.local_addresses().first().copied().unwrap_or_else(nobody);
        Self { running: Some(server.start().expect("threads")), address, log }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream
    }

    fn control(&self) -> Control {
        self.running.as_ref().expect("running").control()
    }

    fn join(&mut self) {
        self.running.take().expect("running").join().expect("no panic");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.control().stop();
            let _ = running.join();
        }
        let _ = std::fs::remove_file(&self.log);
    }
}

fn hear(stream: &mut TcpStream, words: &str) {
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&heard), words);
}

fn hear_out(stream: &mut TcpStream) -> String {
    let mut heard = String::new();
    stream.read_to_string(&mut heard).expect("an end");
    heard
}

/// A free port with a server behind it that serves one visitor.
fn serve_one(serve: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a visitor");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        serve(stream);
    });
    (address, thread)
}

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

/// Everything through real sockets, from the greeting to the log's last line.
#[test]
fn a_user_logs_in_and_is_relayed_and_told_in_the_log() {
    let (backend, at_backend) = serve_one(|mut stream| {
        stream.write_all(b"+OK hello\r\n").expect("said");
        hear(&mut stream, "USER joe\r\n");
        stream.write_all(b"+OK\r\n").expect("said");
        hear(&mut stream, "PASS hunter2\r\n");
        stream.write_all(b"+OK 3 messages\r\n").expect("said");
        hear(&mut stream, "STAT\r\n");
        stream.write_all(b"+OK 3 300\r\n").expect("said");
        assert_eq!(hear_out(&mut stream), "");
    });
    let (auth, at_auth) = serve_one(move |mut stream| {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).expect("a question");
            asked.extend_from_slice(&octet);
        }
        let answer = format!(
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {}\r\n\r\n",
            backend.port()
        );
        stream.write_all(answer.as_bytes()).expect("said");
    });
    let mut served = Served::start(Protocol::Pop3, auth, 2);
    let mut client = served.connect();
    hear(&mut client, "+OK POP3 ready\r\n");
    client.write_all(b"USER joe\r\nPASS hunter2\r\nSTAT\r\n").expect("said");
    hear(&mut client, "+OK\r\n+OK 3 messages\r\n+OK 3 300\r\n");
    client.shutdown(std::net::Shutdown::Write).expect("said");
    assert_eq!(hear_out(&mut client), "");
    at_auth.join().expect("the auth server is content");
    at_backend.join().expect("the backend is content");
    served.control().quit();
    served.join();
    let log = served.log();
    let from = client.local_addr().expect("its address");
    let context = format!("client: 127.0.0.1, server: 127.0.0.1:143, login: \"joe\", upstream: {backend}");
    let process = std::process::id();
    for line in [
        format!(" [info] {process}#0: *1 client {from} connected to 127.0.0.1:143\n"),
        format!(" [info] {process}#0: *1 client logged in, {context}\n"),
        format!(" [info] {process}#0: *1 proxied session done, {context}\n"),
    ] {
        assert!(log.contains(&line), "{line} is not in\n{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

/// From accepting to the log, over a UNIX socket, whose clients are nobody in particular.
#[test]
fn clients_come_over_unix_sockets_too() {
    let (auth, at_auth) = serve_one(|mut stream| {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).expect("a question");
            asked.extend_from_slice(&octet);
        }
        let asked = String::from_utf8(asked).expect("text");
        assert!(asked.contains("\r\nClient-IP: unix:\r\n"), "{asked}");
        stream.write_all(b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n").expect("said");
    });
    let path = std::env::temp_dir().join(format!("gatepost-server-{}.sock", std::process::id()));
    let listener = Listener::new(Address::Unix(path.to_str().expect("text").into()));
    let served = Served::start_at(listener, Protocol::Pop3, auth, 2);
    let mut client = std::os::unix::net::UnixStream::connect(&path).expect("accepted");
    client.set_read_timeout(Some(PATIENCE)).expect("an option");
    client.write_all(b"USER joe\r\nPASS hunter2\r\n").expect("said");
    let mut heard = String::new();
    client.read_to_string(&mut heard).expect("an end");
    assert_eq!(heard, "+OK POP3 ready\r\n+OK\r\n-ERR no\r\n");
    at_auth.join().expect("the auth server is content");
    let log = served.log();
    let path = path.display();
    for line in [
        format!(": *1 client unix: connected to unix:{path}\n"),
        format!(
            ": *1 client login failed: \"no\" while in http auth state, client: unix:, server: unix:{path}, login: \"joe\"\n"
        ),
    ] {
        assert!(log.contains(&line), "{line} is not in\n{log}");
    }
    drop(served);
    std::fs::remove_file(path.to_string()).expect("a file");
}

#[test]
fn quit_lets_sessions_end_by_themselves_and_accepts_no_more() {
    let mut served = Served::start(Protocol::Pop3, nobody(), 2);
    let mut client = served.connect();
    hear(&mut client, "+OK POP3 ready\r\n");
    served.control().quit();
    // Threads hear it one after another.
    let refused = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(5));
        TcpStream::connect(served.address).is_err()
    });
    assert!(refused, "connections are still accepted");
    client.write_all(b"QUIT\r\n").expect("still open");
    assert!(hear_out(&mut client).starts_with("+OK"));
    drop(client);
    served.join();
}

#[test]
fn stop_says_goodbye_and_does_not_wait_for_those_who_stay() {
    let mut served = Served::start(Protocol::Imap, nobody(), 2);
    let mut clients: Vec<_> = (0..8).map(|_| served.connect()).collect();
    for client in &mut clients {
        hear(client, "* OK IMAP4 ready\r\n");
    }
    let control = served.control();
    control.stop();
    for client in &mut clients {
        assert!(hear_out(client).starts_with("* BYE"));
    }
    // None of them has closed its side.
    served.join();
    assert!(TcpStream::connect(served.address).is_err());
}

#[test]
fn every_thread_serves() {
    let served = Served::start(Protocol::Imap, nobody(), 4);
    let clients: Vec<_> = (0..200).map(|_| served.connect()).collect();
    for mut client in clients {
        hear(&mut client, "* OK IMAP4 ready\r\n");
    }
    let log = served.log();
    assert_eq!(log.lines().filter(|line| line.contains(" connected to ")).count(), 200);
    // Each connection has a number of its own, whichever thread accepted it.
    for number in 1..=200 {
        assert_eq!(log.matches(&format!(": *{number} client ")).count(), 1, "{number}");
    }
}

#[test]
fn a_server_that_nobody_holds_stops() {
    let mut served = Served::start(Protocol::Imap, nobody(), 1);
    drop(served.running.take());
    let ended = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(5));
        TcpStream::connect(served.address).is_err()
    });
    assert!(ended, "it still accepts");
}

/// As nginx does, of which a real one was asked: `listen P` and `listen 127.0.0.1:P` in two servers.
#[test]
#[ignore = "it listens on every address of this machine for a moment; tests stay on the loopback"]
fn a_wildcard_s_socket_accepts_for_the_addresses_beside_it() {
    let port = nobody().port();
    let logs: Arc<[LogTarget]> = [].into();
    let server = |protocol, addresses: &[SocketAddr]| config::Server {
        policy: Arc::new(Policy::new(
            protocol,
            "mx.example",
            AuthServer::new(Target::Address(nobody().into()), ""),
        )),
        tls: None,
        backend_tls: None,
        auth_tls: None,
        upstreams: Arc::default(),
        auth_upstreams: Arc::default(),
        users: None,
        resolver: None,
        logs: logs.clone(),
        access_logs: Arc::new([]),
        listeners: addresses.iter().map(|&address| Listener::new(address.into())).collect(),
    };
    let at = |last| SocketAddr::from(([127, 0, 0, last], port));
    let config = Config {
        worker_processes: NonZeroUsize::new(2).expect("two"),
        process: Process::default(),
        pid: Pid::Off,
        logs: logs.clone(),
        zones: BTreeMap::new(),
        servers: vec![
            server(Protocol::Pop3, &[at(1)]),
            server(Protocol::Imap, &[([0, 0, 0, 0], port).into(), at(3)]),
        ],
    };
    try_out(&config).expect("fit");
    let server = Server::bind(&config).expect("one socket for all");
    assert_eq!(server.local_addresses(), [([0, 0, 0, 0], port).into()]);
    let running = server.start().expect("threads");
    for (last, greeting) in
        [(1, "+OK POP3 ready\r\n"), (2, "* OK IMAP4 ready\r\n"), (3, "* OK IMAP4 ready\r\n")]
    {
        let mut stream = TcpStream::connect(at(last)).expect("accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        hear(&mut stream, greeting);
    }
    running.control().stop();
    running.join().expect("no panic");
}

#[test]
fn a_server_that_cannot_be_leaves_no_file_of_a_socket() {
    let path = std::env::temp_dir().join(format!("gatepost-vain-{}.sock", std::process::id()));
    let unix = Listener::new(Address::Unix(path.to_str().expect("text").into()));
    let config = |listeners: &[Listener]| Config {
        worker_processes: NonZeroUsize::MIN,
        process: Process::default(),
        pid: Pid::Off,
        logs: [].into(),
        zones: BTreeMap::new(),
        servers: vec![config::Server {
            policy: Arc::new(Policy::new(
                Protocol::Pop3,
                "mx.example",
                AuthServer::new(Target::Address(nobody().into()), ""),
            )),
            tls: None,
            backend_tls: None,
            auth_tls: None,
            upstreams: Arc::default(),
            auth_upstreams: Arc::default(),
            users: None,
            resolver: None,
            logs: [].into(),
            access_logs: Arc::new([]),
            listeners: listeners.to_vec(),
        }],
    };
    let elsewhere = Listener::new(SocketAddr::from(([192, 0, 2, 1], 143)).into());
    let vain = config(&[unix.clone(), elsewhere]);
    Server::bind(&vain).expect_err("not our address");
    assert!(!path.exists());
    // What is held is not made in vain.
    let good = Server::bind(&config(&[unix])).expect("a server");
    Server::bind_beside(&vain, &good.sockets(), &Zones::default()).expect_err("not our address");
    assert!(path.exists());
    good.sockets().files_beside(&Sockets::default()).remove();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_client_behind_a_wildcard_is_asked_if_it_is_there_as_its_own_door_says() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = |keepalive: bool| {
        let keepalive = keepalive.then(config::Keepalive::default);
        Listener { keepalive, ..Listener::new(loopback.into()) }
    };
    for wanted in [true, false] {
        let mut server = Server::bind(&Config {
            worker_processes: NonZeroUsize::MIN,
            process: Process::default(),
            pid: Pid::Off,
            logs: [].into(),
            zones: BTreeMap::new(),
            servers: vec![config::Server {
                policy: Arc::new(Policy::new(
                    Protocol::Pop3,
                    "mx.example",
                    AuthServer::new(Target::Address(nobody().into()), ""),
                )),
                tls: None,
                backend_tls: None,
                auth_tls: None,
                upstreams: Arc::default(),
                auth_upstreams: Arc::default(),
                users: None,
                resolver: None,
                logs: [].into(),
                access_logs: Arc::new([]),
                listeners: vec![listener(!wanted), listener(wanted)],
            }],
        })
        .expect("a server");
        // What would be a wildcard's socket, as the kernel passes its options on.
        let wildcard = tokio::net::TcpListener::bind(loopback).await.expect("a port");
        socket2::SockRef::from(&wildcard).set_keepalive(!wanted).expect("an option");
        let at = wildcard.local_addr().expect("its address");
        let shared = Arc::get_mut(&mut server.shared).expect("nobody else has it");
        shared.behind_wildcards.insert((at.ip(), at.port()), 1);
        let _client = TcpStream::connect(at).expect("a place to wait");
        let (stream, remote) = wildcard.accept().await.expect("accepted");
        let everywhere = Address::Inet(([0, 0, 0, 0], at.port()).into());
        let stream = Socket::Tcp(stream);
        let accepted = accept::welcome(stream, remote.into(), &everywhere, 0, shared).expect("welcome");
        assert_eq!(accepted.door, 1);
        let Socket::Tcp(stream) = &accepted.stream else { panic!("it is TCP") };
        assert_eq!(socket2::SockRef::from(stream).keepalive().expect("an option"), wanted);
    }
}

/// Otherwise its sockets would stay in their groups, and nobody would accept from them.
#[test]
fn a_thread_that_panics_stops_the_others() {
    let (stage, mut seen) = watch::channel(Stage::Serving);
    let control = Control(Arc::new(stage));
    let (alive, held) = io::pipe().expect("a pipe");
    let alarms = [(); 3].map(|()| Alarm::of(&control));
    let [fine, failing, watching] = alarms;
    // One that ends as it should stops nobody.
    thread::spawn(move || drop(fine)).join().expect("no panic");
    assert_eq!(*seen.borrow(), Stage::Serving);
    let failing = thread::spawn(move || {
        let _alarm = failing;
        panic!("on purpose");
    });
    let watching = thread::spawn(move || {
        let _alarm = watching;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(seen.wait_for(|&stage| stage >= Stage::Stopping)).expect("somebody stops it");
    });
    let served = Served::start(Protocol::Pop3, nobody(), 1);
    let shared = served.running.as_ref().expect("running").shared().clone();
    let running = Running { threads: vec![watching, failing], control, alive, shared };
    assert!(!running.has_failed(), "its threads may still say goodbye");
    drop(held);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !running.has_failed() {
        assert!(tokio::time::Instant::now() < deadline, "it is known how it ended");
        thread::yield_now();
    }
    assert!(matches!(running.join(), Err(Error::Panicked(1))));
    assert!(served.log().contains("[alert] "), "{}", served.log());
    assert!(served.log().contains("a thread panicked: on purpose\n"), "{}", served.log());
}

/// A door of a server that keeps so many connections to these URLs.
fn door(keepalive: usize, tls: Option<&Arc<rustls::ClientConfig>>, urls: &[&AuthUrl]) -> Door {
    let log = LogFiles::new(wall_clock, TimeZone::UTC).log(&[]).expect("no file");
    let auth = AuthServer { keepalive, ..AuthServer::at(urls.iter().map(|&url| url.clone()).collect()) };
    Door {
        text: "".into(),
        proxy_protocol: false,
        tls_first: false,
        keepalive: false,
        policy: Arc::new(Policy::new(Protocol::Imap, "mx.example", auth)),
        tls: None,
        backend_tls: None,
        auth_tls: tls.cloned(),
        upstreams: Arc::default(),
        auth_upstreams: Arc::default(),
        users: None,
        resolver: None,
        log,
        access_logs: Arc::new([]),
    }
}

/// However many doors share a pool, and however their URLs differ beyond the server.
#[test]
fn descriptors_are_set_aside_for_each_pool_and_each_server() {
    let url = |port| AuthUrl::new(Target::Address(SocketAddr::from(([127, 0, 0, 1], port)).into()), "a");
    let (one, other) = (url(1), url(2));
    let elsewhere = AuthUrl { uri: "/elsewhere".into(), ..url(1) };
    let secure = AuthUrl { scheme: Scheme::Https { name: None }, ..url(1) };
    let fixture = tls::fixture::Fixture::new();
    let tls = [(); 2].map(|()| Arc::new(fixture.client(rustls::ALL_VERSIONS)));
    for (doors, wanted) in [
        (vec![door(0, None, &[&one])], 0),
        (vec![door(4, None, &[&one]), door(4, None, &[&elsewhere])], 4),
        (vec![door(4, None, &[&one, &other]), door(4, None, &[&other])], 8),
        (vec![door(4, None, &[&one]), door(5, None, &[&one])], 9),
        (vec![door(4, Some(&tls[0]), &[&secure, &one])], 8),
        (vec![door(4, Some(&tls[0]), &[&secure]), door(4, Some(&tls[0]), &[&secure])], 4),
        (vec![door(4, Some(&tls[0]), &[&secure]), door(4, Some(&tls[1]), &[&secure])], 8),
    ] {
        assert_eq!(waiting_for_auth(&doors), wanted, "{doors:?}");
    }
}

#[test]
fn zones_are_tried_out_too() {
    let config = |bytes| Config {
        worker_processes: NonZeroUsize::MIN,
        process: Process::default(),
        pid: Pid::Off,
        logs: Arc::new([]),
        zones: [("user".into(), limit_conn::Settings { key: LimitKey::Login, bytes })].into(),
        servers: Vec::new(),
    };
    try_out(&config(limit_conn::ZONE_BYTES_MIN)).expect("fit");
    let error = try_out(&config(u64::MAX)).expect_err("nobody has that much").to_string();
    assert!(error.starts_with("limit_conn_zone \"user\" cannot have"), "{error}");
}
