//! Session tickets: what a worker has sealed, its successors open.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use crate::load::whoever;
use crate::peers::Peers;
use crate::reload::{certificate, put, start};
use crate::served::{Served, eventually};

/// Whether a client's session is resumed that has been here with the same `client` before.
fn is_resumed(served: &Served, client: &Arc<ClientConfig>) -> bool {
    let stream = TcpStream::connect(served.secure).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let connection = ClientConnection::new(client.clone(), "mail.example".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"QUIT\r\n").unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    assert!(heard.starts_with(b"+OK "), "{heard:?}");
    stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Waits until nobody serves but another worker than those before.
fn another_worker(served: &Served, act: impl FnOnce()) {
    let (before, started) = (served.workers(), served.count("start worker process "));
    act();
    eventually("a new worker", || served.count("start worker process ") > started);
    eventually("it is alone", || {
        let workers = served.workers();
        !workers.is_empty() && workers.iter().all(|worker| !before.contains(worker))
    });
}

#[test]
fn tickets_are_good_after_a_reload_and_with_a_new_worker_but_not_for_another_certificate() {
    let peers = Peers::start();
    let (served, _) = start(&peers, "");
    let client = Arc::new(whoever());
    assert!(!is_resumed(&served, &client), "it has no ticket yet");
    assert!(is_resumed(&served, &client));
    another_worker(&served, || served.signal(Signal::HUP));
    assert!(is_resumed(&served, &client), "after a reload");
    another_worker(&served, || kill_process(served.workers()[0], Signal::KILL).unwrap());
    assert!(is_resumed(&served, &client), "with the worker that came for one that died");
    another_worker(&served, || {
        put(&certificate(), &served.folder);
        served.signal(Signal::HUP);
    });
    assert!(!is_resumed(&served, &client), "the certificate is another");
    assert!(is_resumed(&served, &client));
}
