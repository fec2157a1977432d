//! The configurations that the product was asked for with, served: certificates, names and ports are replaced, and nothing else. A user
//! logs in at every listener, in clear, by STARTTLS and under TLS, as far as the file has them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this is test code, which fails by panicking")]

#[path = "reference/balancing.rs"]
mod balancing;
#[path = "reference/pieces.rs"]
mod pieces;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use gatepost_conformance::peer::{
    Answer, AuthServer, Certificate, Child, MailServer, PATIENCE, Scratch, free_address, gatepost_binary,
    scratch_directory,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// Where a listener of a file is now, and what it speaks.
#[derive(Debug)]
struct Door {
    address: SocketAddr,
    protocol: String,
    tls: bool,
}

/// A reference configuration in a folder of its own, with what it names beside it.
struct Fitted {
    doors: Vec<Door>,
    starttls: bool,
    uri: String,
    certificate: Certificate,
    scratch: Scratch,
}

impl Fitted {
    /// The file `name` of the corpus with its auth server at `auth`.
    fn new(name: &str, auth: SocketAddr) -> Self {
        Self::with_backends(name, auth, &[])
    }

    /// The same with these in place of the servers of its group.
    fn with_backends(name: &str, auth: SocketAddr, backends: &[SocketAddr]) -> Self {
        let mut backends = backends.iter();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/fuzz/config").join(name);
        let text = fs::read_to_string(&file).unwrap();
        let scratch = scratch_directory("reference").unwrap();
        let certificate = Certificate::make(&scratch).unwrap();
        let (mut doors, mut uri, mut lines) = (Vec::new(), String::new(), Vec::new());
        for line in text.lines() {
            let words: Vec<_> = line.trim().trim_end_matches(';').split_whitespace().collect();
            lines.push(match words.as_slice() {
                ["listen", _, parameters @ ..] => {
                    let (address, tls) = (free_address(), parameters.contains(&"ssl"));
                    doors.push(Door { address, protocol: String::new(), tls });
                    format!("listen {address} {};", parameters.join(" "))
                }
                ["server", place] if place.contains(':') => format!("server {};", backends.next().unwrap()),
                ["protocol", protocol] => {
                    doors.last_mut().unwrap().protocol = (*protocol).to_owned();
                    line.to_owned()
                }
                ["auth_http", url] => {
                    let place = url.trim_start_matches("http://");
                    uri = place.find('/').map_or("/", |at| &place[at..]).to_owned();
                    format!("auth_http {auth}{};", uri.trim_end_matches('/'))
                }
                ["ssl_certificate", _] => {
                    format!("ssl_certificate {};", certificate.certificate.display())
                }
                ["ssl_certificate_key", _] => format!("ssl_certificate_key {};", certificate.key.display()),
                // Nobody is there: clients from loopback have their names without being asked for.
                ["resolver", _, _, valid] => format!("resolver {} {valid};", free_address()),
                ["error_log", _, level] => {
                    format!("error_log {} {level};", scratch.join("error.log").display())
                }
                _ => line.to_owned(),
            });
        }
        scratch.write("nginx.conf", lines.join("\n")).unwrap();
        assert_eq!(backends.next(), None, "the file has no more servers");
        Self { doors, starttls: text.contains("starttls on"), uri, certificate, scratch }
    }

    /// `gatepost` with this file, in the foreground.
    fn command(&self) -> Command {
        let mut command = Command::new(gatepost_binary().unwrap());
        let pid = self.scratch.join("gatepost.pid");
        command.arg("-p").arg(self.scratch.path()).arg("-c").arg(self.scratch.join("nginx.conf"));
        command.arg("-g").arg(format!("daemon off; pid {};", pid.display()));
        command
    }

    fn tested(&self) -> Output {
        self.command().arg("-t").output().unwrap()
    }

    /// Starts it, which must not be refused anything, and waits until it listens.
    fn start(&self) -> Child {
        let tested = self.tested();
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
        let mut child = Child::start("gatepost", self.command()).unwrap();
        for door in &self.doors {
            child.wait_until_listening(door.address, PATIENCE).unwrap();
        }
        child
    }

    /// A client at `door`, before it has heard the greeting.
    fn client(&self, door: &Door) -> Talk {
        let talk = Talk::to(door.address);
        if door.tls { talk.secured(&self.certificate) } else { talk }
    }
}

/// A client's side of a dialogue.
struct Talk {
    stream: Box<dyn ReadWrite>,
    plain: Option<TcpStream>,
}

trait ReadWrite: Read + Write {}

impl<S: Read + Write> ReadWrite for S {}

impl Talk {
    fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { plain: Some(stream.try_clone().unwrap()), stream: Box::new(stream) }
    }

    /// The same under TLS, with a server that has this certificate.
    fn secured(self, certificate: &Certificate) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificate.certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Self { stream: Box::new(StreamOwned::new(connection, self.plain.unwrap())), plain: None }
    }

    /// Reads lines until one begins with `start`, and gives that.
    fn hear(&mut self, start: &str) -> String {
        let (mut heard, mut octet) = (String::new(), [0]);
        loop {
            match self.stream.read(&mut octet) {
                Ok(1) => heard.push(char::from(octet[0])),
                end => panic!("waiting for {start:?}: {end:?} after {heard:?}"),
            }
            let line = heard.rsplit('\n').nth(1).filter(|_| heard.ends_with('\n'));
            if let Some(line) = line.filter(|line| line.starts_with(start)) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Says a line, and hears as [`Talk::hear`].
    fn ask(&mut self, line: &str, start: &str) -> String {
        write!(self.stream, "{line}\r\n").unwrap();
        self.stream.flush().unwrap();
        self.hear(start)
    }

    fn greeted(mut self, protocol: &str) -> Self {
        self.hear(match protocol {
            "imap" => "* OK",
            "pop3" => "+OK",
            _ => "220 ",
        });
        self
    }

    /// Takes up TLS behind STARTTLS.
    fn upgraded(mut self, protocol: &str, certificate: &Certificate) -> Self {
        match protocol {
            "imap" => self.ask("s STARTTLS", "s OK"),
            "pop3" => self.ask("STLS", "+OK"),
            _ => self.ask("STARTTLS", "220 "),
        };
        self.secured(certificate)
    }

    /// Logs in, and asks the backend behind for a word.
    fn logged_in(mut self, protocol: &str) -> String {
        match protocol {
            "imap" => {
                self.ask("a LOGIN fred hunter2", "a OK");
                self.ask("b NOOP", "b OK")
            }
            "pop3" => {
                self.ask("USER fred", "+OK");
                self.ask("PASS hunter2", "+OK");
                self.ask("NOOP", "+OK")
            }
            _ => {
                self.ask("EHLO client.example.com", "250 ");
                self.ask("AUTH PLAIN AGZyZWQAaHVudGVyMg==", "235 ");
                self.ask("NOOP", "250 ")
            }
        }
    }
}

/// Every listener of the file leads `fred` to the backend of its protocol.
fn serves(name: &str) {
    let backends =
        ["imap", "pop3", "smtp"].map(|protocol| (protocol, MailServer::start(protocol, "at home").unwrap()));
    let addresses = backends.each_ref().map(|(protocol, backend)| (*protocol, backend.address));
    let auth = AuthServer::start(move |request| {
        let protocol = request.header("Auth-Protocol").unwrap_or_default();
        let backend = addresses.iter().find(|(own, _)| *own == protocol);
        match (request.header("Auth-User"), request.header("Auth-Pass"), backend) {
            (Some("fred"), Some("hunter2"), Some((_, address))) => Answer::Granted(*address),
            _ => Answer::Refused("Who?"),
        }
    })
    .unwrap();
    let fitted = Fitted::new(name, auth.address);
    assert!(!fitted.doors.is_empty());
    let gatepost = fitted.start();
    for door in &fitted.doors {
        let told = |talk: Talk| talk.logged_in(&door.protocol);
        let at_home = told(fitted.client(door).greeted(&door.protocol));
        assert!(at_home.ends_with("at home"), "{door:?}: {at_home}\n{}", gatepost.output());
        if fitted.starttls && !door.tls {
            let talk = fitted.client(door).greeted(&door.protocol);
            let at_home = told(talk.upgraded(&door.protocol, &fitted.certificate));
            assert!(at_home.ends_with("at home"), "{door:?} by STARTTLS: {at_home}\n{}", gatepost.output());
        }
    }
    let request = format!("GET {} HTTP/1.0\r\n", fitted.uri);
    for heard in auth.heard() {
        assert!(heard.text().starts_with(&request), "{heard:?}");
    }
}

#[test]
fn ssl_on_with_a_server_of_each_protocol_serves() {
    serves("reference-1-proxy.conf");
}

#[test]
fn the_basic_configuration_serves() {
    serves("reference-2-basic.conf");
}

#[test]
fn the_enterprise_configuration_serves() {
    serves("reference-2-enterprise.conf");
}

#[test]
fn the_core_module_s_example_serves() {
    serves("reference-3-core-module.conf");
}

#[test]
fn mail_without_a_login_goes_where_its_recipient_is() {
    let (eng, hr) =
        (MailServer::start("smtp", "at eng").unwrap(), MailServer::start("smtp", "at hr").unwrap());
    let (to_eng, to_hr) = (eng.address, hr.address);
    let auth = AuthServer::start(move |request| match request.header("Auth-SMTP-To") {
        Some(to) if to.contains("@eng.abc.com") => Answer::Granted(to_eng),
        Some(to) if to.contains("@hr.abc.com") => Answer::Granted(to_hr),
        _ => Answer::Refused("Nobody"),
    })
    .unwrap();
    let fitted = Fitted::new("reference-5-route-by-recipient.conf", auth.address);
    let _gatepost = fitted.start();
    for (recipient, place) in [("fred@eng.abc.com", "at eng"), ("wilma@hr.abc.com", "at hr")] {
        let mut talk = fitted.client(fitted.doors.first().unwrap()).greeted("smtp");
        talk.ask("HELO client.example.com", "250 ");
        talk.ask("MAIL FROM:<barney@example.com>", "250 ");
        talk.ask(&format!("RCPT TO:<{recipient}>"), "250 ");
        assert!(talk.ask("NOOP", "250 ").ends_with(place), "{recipient}");
    }
}

#[test]
fn the_incomplete_example_is_refused_with_what_it_lacks() {
    let fitted = Fitted::new("reference-4-mail-directive.conf", free_address());
    let tested = fitted.tested();
    let said = String::from_utf8_lossy(&tested.stderr);
    assert!(!tested.status.success(), "{said}");
    assert!(said.contains("[emerg] no \"auth_http\" is defined for server in "), "{said}");
    let hint = said.lines().find(|line| line.starts_with("hint: ")).unwrap();
    assert!(hint.contains("auth_http") && hint.contains("proxy_pass"), "{hint}");
}
