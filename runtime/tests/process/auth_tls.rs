//! An auth server behind `https://`, met by the process as operators run it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::served::{Folder, Said, Served, free};

const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate and its key.
struct Pair(CertifiedKey<rcgen::KeyPair>);

impl Pair {
    fn of(name: &str) -> Self {
        Self(generate_simple_self_signed([name.to_owned()]).unwrap())
    }

    fn write(&self, folder: &Folder, name: &str) {
        folder.write(&format!("{name}.pem"), &self.0.cert.pem());
        folder.write(&format!("{name}.key"), &self.0.signing_key.serialize_pem());
    }

    /// A TLS server that shows it, and wants to be shown `client`.
    fn server(&self, client: &Self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(client.0.cert.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.0.signing_key.serialize_der()));
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.0.cert.der().clone()], key);
        Arc::new(config.unwrap())
    }
}

/// Answers so many questions by no, under TLS; tells what it was asked, and why it was not.
fn auth_server(config: Arc<ServerConfig>, visitors: usize) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let visit = move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            match stream.read(&mut octet) {
                Ok(1) => asked.extend_from_slice(&octet),
                Ok(_) => return "the end".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nAuth-Status: no\r\n\r\n").unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
        String::from_utf8(asked).unwrap()
    };
    (address, thread::spawn(move || (0..visitors).map(|_| visit()).collect()))
}

/// What a client that gives a password hears.
fn log_in(served: &Served) -> String {
    let mut client = TcpStream::connect(served.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"USER joe\r\nPASS hunter2\r\n").unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    heard
}

#[test]
fn a_login_is_decided_by_an_auth_server_whose_certificate_is_trusted_and_by_no_other() {
    let (folder, server, client) = (Folder::new(), Pair::of("localhost"), Pair::of("gatepost"));
    server.write(&folder, "server");
    client.write(&folder, "client");
    let (auth, asked) = auth_server(server.server(&client), 3);
    let shown =
        "auth_http_ssl_certificate FOLDER/client.pem; auth_http_ssl_certificate_key FOLDER/client.key;";
    let said = |more: &str| Said {
        main: "error_log LOG info;".to_owned(),
        mail: format!("auth_http https://localhost:{}/auth; {shown} {more}", auth.port()),
        ..Said::default()
    };
    let trusted = "auth_http_ssl_trusted_certificate FOLDER/server.pem;";
    // Nobody listens on the first address of `localhost` where it has two; the next one is asked.
    let served = Served::start_in(folder, free(), &said(trusted), |program, file| {
        let mut command = std::process::Command::new(program);
        command.arg("-c").arg(file);
        command
    });
    served.wait_until_it_answers();
    assert_eq!(log_in(&served), "+OK POP3 ready\r\n+OK\r\n-ERR no\r\n");

    // The system's authorities know nothing of it.
    served.configure(&said(""));
    reload(&served, 1);
    assert_eq!(log_in(&served), "+OK POP3 ready\r\n+OK\r\n-ERR internal server error\r\n");
    let line = format!("auth http server 127.0.0.1:{}: SSL_do_handshake() failed (SSL: ", auth.port());
    served.await_line("error", &line);

    served.configure(&said("auth_http_ssl_verify off;"));
    reload(&served, 2);
    assert_eq!(log_in(&served), "+OK POP3 ready\r\n+OK\r\n-ERR no\r\n");

    let asked = asked.join().unwrap();
    let [first, second, third] = asked.as_slice() else { panic!("{asked:?}") };
    for question in [first, third] {
        assert!(
            question.starts_with("GET /auth HTTP/1.0\r\nHost: localhost\r\nAuth-Method: plain\r\n"),
            "{question}"
        );
        assert!(question.contains("\r\nAuth-Pass: hunter2\r\n"), "{question}");
    }
    assert!(second.contains("alert"), "{second}");
}

/// Has the configuration read again, and waits until a worker of it serves, which is the one after so many.
fn reload(served: &Served, workers: usize) {
    served.signal(rustix::process::Signal::HUP);
    super::served::eventually("a new worker", || served.count("start worker process ") > workers);
    super::served::eventually("the old one is gone", || served.workers().len() == 1);
}
