//! Real clients reach a real Dovecot and a real Postfix: through Gatepost, and through nginx with the very same file,
//! as a witness that what is asked for here is what operators have today.
#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this is test code, which fails by panicking")]

use std::net::SocketAddr;

use gatepost_conformance::peer::{
    Answer, AuthServer, Dovecot, Outcome, Postfix, Proxy, Request, Skip, Talk, Which, curl, require_all, run,
    run_with_input, unless_skipped,
};

/// With a line that begins with a dot, which POP3 and SMTP stuff, octets above 127, and white space at a line's end.
const MESSAGE: &str = "From: barney@example.net\r\nTo: fred@example.org\r\nSubject: known\r\n\r\n\
                       .hidden by a dot\r\n..\r\nna\u{ef}ve \t\r\n\r\nThe end.\r\n";

/// What the auth server says to a wrong password.
const REFUSAL: &str = "Yabba dabba don't";

/// How a client comes to TLS, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Plaintext,
    StartTls,
    Tls,
}

const ALL: [Security; 3] = [Security::Plaintext, Security::StartTls, Security::Tls];

/// Servers, auth server and proxy, all on loopback.
struct World {
    proxy: Proxy,
    auth: AuthServer,
    certificate: String,
}

impl World {
    fn new(which: Which, backend: impl Fn(&Request) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        let auth = AuthServer::start(move |request| {
            let known = matches!(request.header("Auth-User"), Some("fred" | "wilma"));
            match (known && request.header("Auth-Pass") == Some("hunter2"), backend(request)) {
                (true, Some(address)) => Answer::Granted(address),
                _ => Answer::Refused(REFUSAL),
            }
        })
        .unwrap();
        let proxy = Proxy::start(which, auth.address, "").unwrap();
        let certificate = proxy.certificate().display().to_string();
        Self { proxy, auth, certificate }
    }

    fn with_mailboxes(which: Which, dovecot: &Dovecot) -> Self {
        let (imap, pop3) = (dovecot.imap, dovecot.pop3);
        Self::new(which, move |request| match request.header("Auth-Protocol") {
            Some("imap") => Some(imap),
            Some("pop3") => Some(pop3),
            _ => None,
        })
    }

    fn with_submission(which: Which, smtp: SocketAddr) -> Self {
        Self::new(which, move |request| (request.header("Auth-Protocol") == Some("smtp")).then_some(smtp))
    }

    /// Runs curl as `user` on `path` of `protocol`, a mailbox protocol, and compares nothing yet.
    fn curl(&self, protocol: &str, security: Security, user: &str, arguments: &[&str]) -> Outcome {
        let address = match (protocol, security) {
            ("imap", Security::Tls) => self.proxy.imaps,
            ("imap", _) => self.proxy.imap,
            (_, Security::Tls) => self.proxy.pop3s,
            _ => self.proxy.pop3,
        };
        let scheme = if security == Security::Tls { "s" } else { "" };
        let (path, arguments) = arguments.split_first().unwrap();
        let url = format!("{protocol}{scheme}://{address}/{path}");
        let mut all = vec!["--cacert", &self.certificate, "--user", user, &url];
        if security == Security::StartTls {
            all.push("--ssl-reqd");
        }
        all.extend(arguments);
        curl(&all).unwrap()
    }

    /// Runs swaks, sending a message with this `text` as `user`.
    fn swaks(&self, security: Security, mechanism: &str, password: &str, text: &str) -> Outcome {
        let address = if security == Security::Tls { self.proxy.smtps } else { self.proxy.smtp };
        let address = address.to_string();
        let data = format!("Subject: sent\\n\\n{text}"); // swaks ends the last line
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

    /// The only request so far since `before`.
    fn asked_since(&self, before: usize) -> Request {
        let heard = self.auth.heard();
        match heard.get(before..) {
            Some([request]) => request.clone(),
            other => panic!("one request was expected: {other:?}"),
        }
    }

    fn story(&self, outcome: &Outcome) -> String {
        format!("{}\n{}\n{}", outcome.said(), self.proxy.log(), self.proxy.output())
    }
}

fn mailboxes_wanted(which: Which) -> Result<(), Skip> {
    Dovecot::available().and(Proxy::available(which)).and(require_all(&["curl"]))
}

fn submission_wanted(which: Which) -> Result<(), Skip> {
    Postfix::available().and(Proxy::available(which)).and(require_all(&["swaks"]))
}

fn curl_lists_and_fetches_a_known_message(which: Which) {
    if unless_skipped(mailboxes_wanted(which)).is_none() {
        return;
    }
    let dovecot = Dovecot::start().unwrap();
    dovecot.deliver("fred", MESSAGE.as_bytes()).unwrap();
    let world = World::with_mailboxes(which, &dovecot);
    for security in ALL {
        for (protocol, listing, listed, fetching, login) in [
            ("imap", "", "* LIST (\\HasNoChildren) \".\" INBOX\r\n", "INBOX;MAILINDEX=1", "AUTH=PLAIN"),
            ("imap", "", "* LIST (\\HasNoChildren) \".\" INBOX\r\n", "INBOX;MAILINDEX=1", "AUTH=LOGIN"),
            ("pop3", "", "1 ", "1", "AUTH=PLAIN"),
            ("pop3", "", "1 ", "1", "AUTH=LOGIN"),
        ] {
            let login = ["--login-options", login];
            let before = world.auth.heard().len();
            let list = world.curl(protocol, security, "fred:hunter2", &[&[listing][..], &login].concat());
            let text = String::from_utf8_lossy(&list.stdout).into_owned();
            assert!(text.starts_with(listed), "{protocol} {security:?} {login:?}: {}", world.story(&list));
            assert_eq!(text.lines().count(), 1, "{protocol} {security:?} {login:?}: {}", world.story(&list));
            let asked = world.asked_since(before);
            assert_eq!(asked.header("Auth-Protocol"), Some(protocol), "{asked:?}");
            assert_eq!(asked.header("Auth-SSL").is_some(), security != Security::Plaintext, "{asked:?}");

            let fetch = world.curl(protocol, security, "fred:hunter2", &[&[fetching][..], &login].concat());
            assert_eq!(
                fetch.stdout,
                MESSAGE.as_bytes(),
                "{protocol} {security:?} {login:?}: {}",
                world.story(&fetch)
            );
        }
    }
    // Somebody else's mailbox is somebody else's.
    let other = world.curl("pop3", Security::Tls, "wilma:hunter2", &["1"]);
    assert_ne!(other.code, Some(0), "{}", world.story(&other));
    assert_eq!(other.stdout, b"", "{}", world.story(&other));
}

/// What no client above does any more: LOGIN with literals, USER and PASS, and the rest of the session pipelined
/// behind them.
fn the_old_ways_to_log_in_lead_to_the_same_mailbox(which: Which) {
    if unless_skipped(Dovecot::available().and(Proxy::available(which))).is_none() {
        return;
    }
    let dovecot = Dovecot::start().unwrap();
    dovecot.deliver("fred", MESSAGE.as_bytes()).unwrap();
    let world = World::with_mailboxes(which, &dovecot);

    let mut imap = Talk::to(world.proxy.imap).unwrap();
    assert_eq!(imap.hear("* OK").unwrap(), "* OK IMAP4 ready\r\n");
    assert_eq!(imap.ask("a LOGIN {4}", "+").unwrap(), "+ OK\r\n");
    assert_eq!(imap.ask("fred {7}", "+").unwrap(), "+ OK\r\n");
    imap.say("hunter2\r\nb EXAMINE INBOX\r\nc LOGOUT\r\n").unwrap();
    let heard = String::from_utf8(imap.finish().unwrap()).unwrap();
    let mut expected = vec!["a OK "];
    if which == Which::Gatepost {
        // nginx hangs up on whoever has said his last word, and what the backend answers is lost (divergences D34).
        expected.extend(["* 1 EXISTS\r\n", "b OK ", "* BYE ", "c OK "]);
    }
    for part in expected {
        assert!(heard.contains(part), "{part:?} is not in {heard}\n{}", world.proxy.log());
    }

    let mut pop3 = Talk::to(world.proxy.pop3).unwrap();
    assert_eq!(pop3.hear("+OK").unwrap(), "+OK POP3 ready\r\n");
    assert_eq!(pop3.ask("USER fred", "+OK").unwrap(), "+OK\r\n");
    pop3.ask("PASS hunter2", "+OK").unwrap();
    let octets = format!("+OK 1 {}\r\n", MESSAGE.len());
    assert_eq!(pop3.ask("STAT", "+OK").unwrap(), octets, "{}", world.proxy.log());
    pop3.ask("QUIT", "+OK").unwrap();
    assert_eq!(pop3.until_end().unwrap(), b"");
}

fn a_wrong_password_is_refused_in_the_auth_servers_words(which: Which) {
    let wanted = Proxy::available(which).and(require_all(&["curl", "swaks"]));
    if unless_skipped(wanted).is_none() {
        return;
    }
    let world = World::new(which, |_| None);
    for security in ALL {
        for protocol in ["imap", "pop3"] {
            let refused = world.curl(protocol, security, "fred:hunter3", &["1"]);
            assert_eq!(refused.code, Some(67), "{protocol} {security:?}: {}", world.story(&refused));
            assert!(refused.said().contains(REFUSAL), "{protocol} {security:?}: {}", world.story(&refused));
        }
        for mechanism in ["PLAIN", "LOGIN"] {
            let refused = world.swaks(security, mechanism, "hunter3", "never sent");
            assert_eq!(refused.code, Some(28), "{mechanism} {security:?}: {}", world.story(&refused));
            assert!(
                refused.said().contains(&format!("535 5.7.0 {REFUSAL}")),
                "{mechanism} {security:?}: {}",
                world.story(&refused)
            );
        }
    }
    let failed = format!("client login failed: \"{REFUSAL}\"");
    let log = world.proxy.log();
    assert_eq!(log.matches(&failed).count(), 12, "{log}");
}

fn swaks_sends_a_message_that_is_delivered(which: Which) {
    if unless_skipped(submission_wanted(which)).is_none() {
        return;
    }
    let postfix = Postfix::start().unwrap();
    let world = World::with_submission(which, postfix.smtp);
    for security in ALL {
        for mechanism in ["PLAIN", "LOGIN"] {
            let text = format!(".a stone by {mechanism} over {security:?}\n\u{fc}ber\n.\n..\nThe end.");
            let before = world.auth.heard().len();
            let sent = world.swaks(security, mechanism, "hunter2", &text.replace('\n', "\\n"));
            assert_eq!(sent.code, Some(0), "{mechanism} {security:?}: {}", world.story(&sent));
            let asked = world.asked_since(before);
            assert_eq!(asked.header("Auth-Method"), Some("plain"), "{asked:?}");
            assert_eq!(asked.header("Auth-SSL").is_some(), security != Security::Plaintext, "{asked:?}");

            let first = text.lines().next().unwrap();
            let message = postfix.delivered("fred", first).unwrap();
            assert!(message.ends_with(&format!("\n\n{text}\n")), "{message}\n{}", world.story(&sent));
            // What XCLIENT made Postfix believe: the client, not the proxy, is speaking, and has logged in (RFC 3848).
            assert!(message.contains("Received: from client.example.net (unknown [127.0.0.1])"), "{message}");
            assert!(message.contains(" with ESMTPA id "), "{message}");
        }
    }
}

fn openssl_upgrades_each_protocol(which: Which) {
    if unless_skipped(Proxy::available(which).and(require_all(&["openssl"]))).is_none() {
        return;
    }
    let world = World::new(which, |_| None);
    // nginx does not hear what came with the last octets of a handshake until more comes.
    let cue = if which == Which::Nginx { "Verify return code" } else { "" };
    let Proxy { imap, imaps, pop3, pop3s, smtp, smtps, .. } = world.proxy;
    for (protocol, address, tls, say, answer) in [
        ("imap", imap, imaps, "a1 NOOP\r\na2 LOGOUT\r\n", "a1 OK completed\r\n* BYE"),
        ("pop3", pop3, pop3s, "CAPA\r\nQUIT\r\n", "SASL PLAIN LOGIN\r\n.\r\n+OK\r\n"),
        ("smtp", smtp, smtps, "NOOP\r\nQUIT\r\n", "250 2.0.0 OK\r\n221 2.0.0 Bye\r\n"),
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let (upgraded, direct) = (address.to_string(), tls.to_string());
            let common =
                ["s_client", "-CAfile", &world.certificate, "-verify_return_error", "-ign_eof", version];
            let ways = [vec!["-connect", &upgraded, "-starttls", protocol], vec!["-connect", &direct]];
            for way in ways {
                let spoke =
                    run_with_input("openssl", &[&common[..], &way].concat(), cue, say.as_bytes()).unwrap();
                let said = spoke.said();
                assert_eq!(spoke.code, Some(0), "{way:?} {version}: {}", world.story(&spoke));
                assert!(said.contains("Verification: OK"), "{way:?} {version}: {}", world.story(&spoke));
                assert!(said.contains(answer), "{way:?} {version}: {}", world.story(&spoke));
            }
        }
    }
}

mod through_gatepost {
    use super::Which::Gatepost;

    #[test]
    fn curl_lists_and_fetches_a_known_message() {
        super::curl_lists_and_fetches_a_known_message(Gatepost);
    }

    #[test]
    fn the_old_ways_to_log_in_lead_to_the_same_mailbox() {
        super::the_old_ways_to_log_in_lead_to_the_same_mailbox(Gatepost);
    }

    #[test]
    fn a_wrong_password_is_refused_in_the_auth_servers_words() {
        super::a_wrong_password_is_refused_in_the_auth_servers_words(Gatepost);
    }

    #[test]
    fn swaks_sends_a_message_that_is_delivered() {
        super::swaks_sends_a_message_that_is_delivered(Gatepost);
    }

    #[test]
    fn openssl_upgrades_each_protocol() {
        super::openssl_upgrades_each_protocol(Gatepost);
    }
}

mod through_nginx {
    use super::Which::Nginx;

    #[test]
    fn curl_lists_and_fetches_a_known_message() {
        super::curl_lists_and_fetches_a_known_message(Nginx);
    }

    #[test]
    fn the_old_ways_to_log_in_lead_to_the_same_mailbox() {
        super::the_old_ways_to_log_in_lead_to_the_same_mailbox(Nginx);
    }

    #[test]
    fn a_wrong_password_is_refused_in_the_auth_servers_words() {
        super::a_wrong_password_is_refused_in_the_auth_servers_words(Nginx);
    }

    #[test]
    fn swaks_sends_a_message_that_is_delivered() {
        super::swaks_sends_a_message_that_is_delivered(Nginx);
    }

    #[test]
    fn openssl_upgrades_each_protocol() {
        super::openssl_upgrades_each_protocol(Nginx);
    }
}
