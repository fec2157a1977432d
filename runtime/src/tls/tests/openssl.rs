//! What OpenSSL, as a client, makes of our side.

use super::*;
use crate::tls::{ciphers, groups};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Nobody here needs longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `openssl s_client` says of a connection to `acceptor`.
fn s_client(acceptor: &Acceptor, options: &[&str]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    let mut client = Command::new("openssl")
        .args(["s_client", "-ign_eof", "-connect", &address])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl");
    listener.set_nonblocking(true).expect("a socket");
    let stream = (0..PATIENCE.as_millis() / 5).find_map(|_| match listener.accept() {
        Ok((stream, _)) => Some(stream),
        Err(_) => {
            thread::sleep(Duration::from_millis(5));
            None
        }
    });
    match stream {
        // The client tells what it saw whether the handshake works or not; this end only has to end.
        Some(stream) => drop(greet(acceptor, stream)),
        None => drop(client.kill()),
    }
    let output = client.wait_with_output().expect("an end");
    [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned()).concat()
}

fn greet(acceptor: &Acceptor, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let acceptor = acceptor.for_one();
    let mut connection = ServerConnection::new(acceptor.config().clone()).expect("a server");
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    connection.writer().write_all(b"* OK\r\n")?;
    connection.send_close_notify();
    while connection.wants_write() {
        connection.write_tls(&mut stream)?;
    }
    stream.shutdown(std::net::Shutdown::Write)
}

#[test]
fn openssl_gets_the_ciphers_and_groups_that_were_listed() {
    let mut fixture = Fixture::new();
    let pairs = vec![fixture.pair(&PKCS_RSA_SHA256), fixture.pair(&PKCS_ECDSA_P256_SHA256)];
    let preferences = Preferences {
        tls12_suites: ciphers::list("EECDH+AESGCM:!AES128").ok().map(|chosen| chosen.suites),
        tls13_suites: ciphers::suites("TLS_CHACHA20_POLY1305_SHA256").ok().map(|chosen| chosen.suites),
        groups: groups::list("secp384r1").ok().map(|chosen| chosen.groups),
        ..Preferences::default()
    };
    let server = server_config(&Settings { preferences, ..settings(pairs) }).expect("a configuration");
    for (options, said) in [
        (&["-tls1_2"][..], "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"),
        (&["-tls1_2", "-cipher", "aRSA"], "Cipher is ECDHE-RSA-AES256-GCM-SHA384"),
        (&["-tls1_2", "-cipher", "AES128"], "Cipher is (NONE)"),
        (&["-tls1_3"], "Cipher is TLS_CHACHA20_POLY1305_SHA256"),
        (&["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], "Cipher is (NONE)"),
        (&["-tls1_3"], "Server Temp Key: ECDH, secp384r1"),
        (&["-tls1_3", "-groups", "X25519"], "Cipher is (NONE)"),
        (&["-tls1_3", "-groups", "X25519:P-384"], "Server Temp Key: ECDH, secp384r1"),
    ] {
        let heard = s_client(&server, options);
        assert!(heard.contains(said), "{options:?}: no {said:?} in\n{heard}");
    }
}

#[test]
fn openssl_is_told_the_names_of_the_authorities_that_are_meant() {
    let mut fixture = Fixture::new();
    let pair = fixture.pair(&PKCS_ECDSA_P256_SHA256);
    let authority = |name: &str| {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        fixture.file(name, &params.self_signed(&key).expect("a certificate").pem())
    };
    let (client_ca, trusted) = (vec![authority("told")], Some(authority("silent")));
    let verify_client = VerifyClient::Optional;
    let server = server_config(&Settings { verify_client, client_ca, trusted, ..settings(vec![pair]) });
    let heard = s_client(&server.expect("a configuration"), &["-tls1_2"]);
    assert!(heard.contains("Acceptable client certificate CA names\nCN = told\n"), "{heard}");
    assert!(!heard.contains("silent"), "{heard}");
}

#[test]
fn openssl_resumes_by_ticket_and_by_cache() {
    let mut fixture = Fixture::new();
    let plain = settings(vec![fixture.pair(&PKCS_ECDSA_P256_SHA256)]);
    let key = fixture.file("key", &"k".repeat(48));
    let session = fixture.file("session", "");
    let session = session.to_str().expect("a path");
    let resumption = |change: fn(&mut Resumption)| {
        let mut resumption = Resumption::default();
        change(&mut resumption);
        resumption
    };
    let file = Resumption { ticket_keys: vec![key], ..Resumption::default() };
    for (resumption, reused) in [
        (Resumption::default(), true),
        (file, true),
        (resumption(|all| (all.tickets, all.cache) = (false, Some(Zone::of_bytes(1 << 20)))), true),
        (resumption(|all| all.tickets = false), false),
    ] {
        let server = server_config(&Settings { resumption, ..plain.clone() }).expect("a configuration");
        for version in ["-tls1_2", "-tls1_3"] {
            let first = s_client(&server, &[version, "-sess_out", session]);
            assert!(first.contains("New, TLSv1."), "{first}");
            let second = s_client(&server, &[version, "-sess_in", session]);
            assert_eq!(second.contains("Reused, TLSv1."), reused, "{version}\n{second}");
        }
    }
}
