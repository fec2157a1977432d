//! Every mechanism that a client can speak leads to the mailbox, or to the outbox: Python's imaplib, poplib and smtplib, curl
//! and swaks, in plaintext and under TLS, through Gatepost to a real Dovecot and a real Postfix, and through nginx with
//! the very same file as a witness.
#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this is test code, which fails by panicking")]

#[path = "clients/vouched.rs"]
mod vouched;

use std::net::SocketAddr;

use gatepost_conformance::peer::{
    Answer, AuthServer, Dovecot, Outcome, Postfix, Proxy, Request, Skip, Which, curl_with_input, require_all,
    run, run_with_input, unless_skipped,
};

/// With a line that begins with a dot, which POP3 stuffs, octets above 127, and white space at a line's end.
const MESSAGE: &str = "From: barney@example.net\r\nTo: fred@example.org\r\nSubject: known\r\n\r\n\
                       .hidden by a dot\r\n..\r\nna\u{ef}ve \t\r\n\r\nThe end.\r\n";

/// What the auth server says to a wrong password.
const REFUSAL: &str = "Yabba dabba don't";

const MECHANISMS: &str =
    "imap_auth plain login cram-md5; pop3_auth plain apop cram-md5; smtp_auth plain login cram-md5;";

/// How a client comes to TLS, or not. The scripts know these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Plaintext,
    StartTls,
    Tls,
}

const ALL: [Security; 3] = [Security::Plaintext, Security::StartTls, Security::Tls];

/// A program that is a client, or a library that a script of ours drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Python,
    Curl,
    Swaks,
}

/// What a client speaks, how it logs in in its own words, and what the auth server should be told of it.
#[derive(Clone, Copy, Debug)]
struct Login {
    program: Program,
    protocol: &'static str,
    mechanism: &'static str,
    method: &'static str,
}

const fn login(
    program: Program,
    protocol: &'static str,
    mechanism: &'static str,
    method: &'static str,
) -> Login {
    Login { program, protocol, mechanism, method }
}

/// Every way to log in with a password that these programs and nginx have in common. A plus sign makes curl use a command of
/// the protocol's own instead of SASL; older ones have only this.
const READERS: [Login; 12] = [
    login(Program::Python, "imap", "LOGIN command", "plain"),
    login(Program::Python, "imap", "PLAIN", "plain"),
    login(Program::Python, "imap", "LOGIN", "plain"),
    login(Program::Python, "imap", "CRAM-MD5", "cram-md5"),
    login(Program::Python, "pop3", "USER and PASS", "plain"),
    login(Program::Python, "pop3", "APOP", "apop"),
    login(Program::Curl, "imap", "PLAIN", "plain"),
    login(Program::Curl, "imap", "LOGIN", "plain"),
    login(Program::Curl, "imap", "CRAM-MD5", "cram-md5"),
    login(Program::Curl, "pop3", "+APOP", "apop"),
    login(Program::Curl, "pop3", "PLAIN", "plain"),
    login(Program::Curl, "pop3", "CRAM-MD5", "cram-md5"),
];

const SENDERS: [Login; 11] = [
    login(Program::Python, "smtp", "PLAIN", "plain"),
    login(Program::Python, "smtp", "PLAIN without initial response", "plain"),
    login(Program::Python, "smtp", "LOGIN", "plain"),
    login(Program::Python, "smtp", "LOGIN without initial response", "plain"),
    login(Program::Python, "smtp", "CRAM-MD5", "cram-md5"),
    login(Program::Curl, "smtp", "PLAIN", "plain"),
    login(Program::Curl, "smtp", "LOGIN", "plain"),
    login(Program::Curl, "smtp", "CRAM-MD5", "cram-md5"),
    login(Program::Swaks, "smtp", "PLAIN", "plain"),
    login(Program::Swaks, "smtp", "LOGIN", "plain"),
    login(Program::Swaks, "smtp", "CRAM-MD5", "cram-md5"),
];

/// Auth server and proxy, all on loopback.
struct World {
    proxy: Proxy,
    auth: AuthServer,
    certificate: String,
}

impl World {
    /// Those who show that they know the password `hunter2` are sent to `backend`, given the protocol; the others see
    /// `refusal`.
    fn new(
        which: Which,
        refusal: Answer,
        backend: impl Fn(&str) -> Option<SocketAddr> + Send + Sync + 'static,
    ) -> Self {
        let decide = move |request: &Request| {
            let backend = request.header("Auth-Protocol").and_then(&backend);
            let known = request.header("Auth-User") == Some("fred") && request.shows("hunter2");
            match (known, backend, request.header("Auth-Method")) {
                (true, Some(backend), Some("plain")) => Answer::Granted(backend),
                (true, Some(backend), _) => Answer::GrantedWith(backend, "hunter2"),
                _ => refusal.clone(),
            }
        };
        Self::deciding(which, MECHANISMS, "", decide)
    }

    /// The auth server answers as `decide` says; the proxy has `mechanisms` and other `directives`.
    fn deciding(
        which: Which,
        mechanisms: &str,
        directives: &str,
        decide: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let auth = AuthServer::start(decide).unwrap();
        let proxy = Proxy::start_offering(which, auth.address, mechanisms, directives).unwrap();
        let certificate = proxy.certificate().display().to_string();
        Self { proxy, auth, certificate }
    }

    /// Runs the client as `fred`: to read the first message, or to send `message`. For EXTERNAL, `password` is the path of
    /// a file with the client's certificate and its key; where the mechanism takes a token, it is that.
    fn run(&self, security: Security, login: Login, password: &str, message: &str) -> Outcome {
        let address = match (login.protocol, security) {
            ("imap", Security::Tls) => self.proxy.imaps,
            ("imap", _) => self.proxy.imap,
            ("pop3", Security::Tls) => self.proxy.pop3s,
            ("pop3", _) => self.proxy.pop3,
            (_, Security::Tls) => self.proxy.smtps,
            _ => self.proxy.smtp,
        };
        match login.program {
            Program::Python => self.python(address, security, login, password, message),
            Program::Curl => self.curl(address, security, login, password, message),
            Program::Swaks => self.swaks(address, security, login.mechanism, password, message),
        }
    }

    fn python(
        &self,
        address: SocketAddr,
        security: Security,
        login: Login,
        password: &str,
        message: &str,
    ) -> Outcome {
        let script = format!("{}/tests/clients/{}.py", env!("CARGO_MANIFEST_DIR"), login.protocol);
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let security = format!("{security:?}");
        // Isolated from what its user may have configured, and leaving nothing behind.
        let mut all = vec!["-I", "-B", &script, &security, login.mechanism, &host, &port];
        all.extend([&self.certificate, "fred", password]);
        run_with_input("python3", &all, "", message.as_bytes()).unwrap()
    }

    fn curl(
        &self,
        address: SocketAddr,
        security: Security,
        login: Login,
        password: &str,
        message: &str,
    ) -> Outcome {
        let scheme = if security == Security::Tls { "s" } else { "" };
        let path = match login.protocol {
            "imap" => "INBOX;MAILINDEX=1",
            "pop3" => "1",
            _ => "client.example.net", // what it says in EHLO
        };
        let url = format!("{}{scheme}://{address}/{path}", login.protocol);
        let options = format!("AUTH={}", login.mechanism);
        let (user, proof) = match login.method {
            "external" => ("fred:".to_owned(), vec!["--cert", password]),
            "xoauth2" | "oauthbearer" => ("fred".to_owned(), vec!["--oauth2-bearer", password]),
            _ => (format!("fred:{password}"), Vec::new()),
        };
        let mut all = vec!["--cacert", &self.certificate, "--user", &user, "--login-options", &options, &url];
        all.extend(proof);
        if security == Security::StartTls {
            all.push("--ssl-reqd");
        }
        if login.protocol == "smtp" {
            all.extend(["--mail-from", "barney@example.net", "--mail-rcpt", "fred@example.org"]);
            all.extend(["--upload-file", "-"]);
        }
        curl_with_input(&all, message.as_bytes()).unwrap()
    }

    fn swaks(
        &self,
        address: SocketAddr,
        security: Security,
        mechanism: &str,
        password: &str,
        message: &str,
    ) -> Outcome {
        let address = address.to_string();
        let data = message.trim_end().replace("\r\n", "\\n"); // swaks ends the last line
        let mut all = vec!["--server", &address, "--helo", "client.example.net", "--data", &data];
        all.extend(["--from", "barney@example.net", "--to", "fred@example.org"]);
        all.extend(["--auth", mechanism, "--auth-user", "fred", "--auth-password", password]);
        match security {
            Security::Plaintext => {}
            Security::StartTls => all.push("--tls"),
            Security::Tls => all.push("--tls-on-connect"),
        }
        all.extend(["--tls-verify", "--tls-ca-path", &self.certificate]);
        run("swaks", &all).unwrap()
    }

    /// Sees to it that the auth server was asked once since `before`, and told how the client logged in; of a
    /// digest never the password.
    fn asked_once(&self, before: usize, security: Security, login: Login) {
        let heard = self.auth.heard();
        let Some([request]) = heard.get(before..) else {
            panic!("{login:?} {security:?}: one request was expected: {heard:?}")
        };
        is_about(request, login);
        assert_eq!(request.header("Auth-SSL").is_some(), security != Security::Plaintext, "{request:?}");
    }

    fn story(&self, security: Security, login: Login, outcome: &Outcome) -> String {
        let (said, log, output) = (outcome.said(), self.proxy.log(), self.proxy.output());
        format!("{login:?} {security:?}: {said}\n{log}\n{output}")
    }
}

fn is_about(request: &Request, login: Login) {
    assert_eq!(request.header("Auth-Protocol"), Some(login.protocol), "{request:?}");
    assert_eq!(request.header("Auth-Method"), Some(login.method), "{request:?}");
    let is_digest = ["apop", "cram-md5"].contains(&login.method);
    assert_eq!(request.header("Auth-Salt").is_some(), is_digest, "{request:?}");
    let tells_all = ["plain", "xoauth2", "oauthbearer"].contains(&login.method);
    assert_eq!(request.text().contains("hunter"), tells_all, "{request:?}");
}

fn readers_wanted(which: Which) -> Result<(), Skip> {
    Dovecot::available().and(Proxy::available(which)).and(require_all(&["python3", "curl"]))
}

fn senders_wanted(which: Which) -> Result<(), Skip> {
    Postfix::available().and(Proxy::available(which)).and(require_all(&["python3", "curl", "swaks"]))
}

fn every_way_to_log_in_leads_to_the_mailbox(which: Which) {
    if unless_skipped(readers_wanted(which)).is_none() {
        return;
    }
    let dovecot = Dovecot::start().unwrap();
    dovecot.deliver("fred", MESSAGE.as_bytes()).unwrap();
    let (imap, pop3) = (dovecot.imap, dovecot.pop3);
    let world = World::new(which, Answer::Refused(REFUSAL), move |protocol| match protocol {
        "imap" => Some(imap),
        "pop3" => Some(pop3),
        _ => None,
    });
    for security in ALL {
        for login in READERS {
            let before = world.auth.heard().len();
            let read = world.run(security, login, "hunter2", "");
            assert_eq!(read.code, Some(0), "{}", world.story(security, login, &read));
            assert_eq!(read.stdout, MESSAGE.as_bytes(), "{}", world.story(security, login, &read));
            world.asked_once(before, security, login);
        }
    }
}

fn every_way_to_log_in_leads_to_delivery(which: Which) {
    if unless_skipped(senders_wanted(which)).is_none() {
        return;
    }
    let postfix = Postfix::start().unwrap();
    let smtp = postfix.smtp;
    let world =
        World::new(which, Answer::Refused(REFUSAL), move |protocol| (protocol == "smtp").then_some(smtp));
    for security in ALL {
        for login in SENDERS {
            let Login { program, mechanism, .. } = login;
            let first = format!(".a stone by {program:?}'s {mechanism} over {security:?}");
            let message = format!("Subject: sent\r\n\r\n{first}\r\n..\r\n\u{fc}ber\r\n\r\nThe end.\r\n");
            let before = world.auth.heard().len();
            let sent = world.run(security, login, "hunter2", &message);
            assert_eq!(sent.code, Some(0), "{}", world.story(security, login, &sent));
            world.asked_once(before, security, login);

            let delivered = postfix.delivered("fred", &first).unwrap();
            let (_, body) = message.split_once("\r\n\r\n").unwrap();
            assert!(delivered.ends_with(&format!("\n\n{}", body.replace("\r\n", "\n"))), "{delivered}");
            assert!(
                delivered.contains("Received: from client.example.net (unknown [127.0.0.1])"),
                "{delivered}"
            );
        }
    }
}

fn a_wrong_password_is_refused_however_it_is_shown(which: Which) {
    if unless_skipped(Proxy::available(which).and(require_all(&["python3", "curl", "swaks"]))).is_none() {
        return;
    }
    let world = World::new(which, Answer::Refused(REFUSAL), |_| Some(([127, 0, 0, 1], 9).into()));
    let logins = READERS.iter().chain(&SENDERS);
    // How a client comes to TLS does not depend on its password, so each way is tried by a third of them.
    for (&login, security) in logins.zip(ALL.into_iter().cycle()) {
        let before = world.auth.heard().len();
        let refused = world.run(security, login, "hunter3", MESSAGE);
        let code = if login.program == Program::Swaks { 28 } else { 67 };
        assert_eq!(refused.code, Some(code), "{}", world.story(security, login, &refused));
        assert!(refused.said().contains(REFUSAL), "{}", world.story(security, login, &refused));
        world.asked_once(before, security, login);
    }
}

/// `Auth-Wait` keeps the session, so a library may try its next mechanism in it; the auth server counts along.
fn smtplib_goes_through_its_mechanisms_in_one_session(which: Which) {
    if unless_skipped(Proxy::available(which).and(require_all(&["python3"]))).is_none() {
        return;
    }
    let world = World::new(which, Answer::RefusedFor(REFUSAL, 1), |_| None);
    let any = login(Program::Python, "smtp", "any", "");
    let refused = world.run(Security::StartTls, any, "hunter3", MESSAGE);
    assert_eq!(refused.code, Some(67), "{}", world.story(Security::StartTls, any, &refused));
    assert!(refused.said().contains(&format!("535 5.7.0 {REFUSAL}")), "{}", refused.said());
    let heard = world.auth.heard();
    let attempts: Vec<_> = heard.iter().map(|request| request.header("Auth-Login-Attempt")).collect();
    assert_eq!(attempts, [Some("1"), Some("2"), Some("3")], "{heard:?}");
    for (request, method) in heard.iter().zip(["cram-md5", "plain", "plain"]) {
        is_about(request, Login { method, ..any });
    }
}

mod through_gatepost {
    use super::Which::Gatepost;

    #[test]
    fn every_way_to_log_in_leads_to_the_mailbox() {
        super::every_way_to_log_in_leads_to_the_mailbox(Gatepost);
    }

    #[test]
    fn every_way_to_log_in_leads_to_delivery() {
        super::every_way_to_log_in_leads_to_delivery(Gatepost);
    }

    #[test]
    fn a_wrong_password_is_refused_however_it_is_shown() {
        super::a_wrong_password_is_refused_however_it_is_shown(Gatepost);
    }

    #[test]
    fn smtplib_goes_through_its_mechanisms_in_one_session() {
        super::smtplib_goes_through_its_mechanisms_in_one_session(Gatepost);
    }
}

mod through_nginx {
    use super::Which::Nginx;

    #[test]
    fn every_way_to_log_in_leads_to_the_mailbox() {
        super::every_way_to_log_in_leads_to_the_mailbox(Nginx);
    }

    #[test]
    fn every_way_to_log_in_leads_to_delivery() {
        super::every_way_to_log_in_leads_to_delivery(Nginx);
    }

    #[test]
    fn a_wrong_password_is_refused_however_it_is_shown() {
        super::a_wrong_password_is_refused_however_it_is_shown(Nginx);
    }

    #[test]
    fn smtplib_goes_through_its_mechanisms_in_one_session() {
        super::smtplib_goes_through_its_mechanisms_in_one_session(Nginx);
    }
}
