//! The request to the auth server, byte for byte nginx's: order, spelling and HTTP/1.0 are what auth servers were written against
//! (auth-http.md sections 3 and 4).

use alloc::format;

use crate::auth::credentials::Credentials;
use crate::event::{Certificate, TlsFacts};
use crate::policy::{AuthServer, AuthUrl, Protocol};
use crate::proxy::Proxied;
use crate::secret::Secret;
use crate::wire::Address;

/// What a request is made of.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) server: &'a AuthServer,
    pub(crate) protocol: Protocol,
    pub(crate) credentials: &'a Credentials,
    /// Counts the client's attempts on this connection, from 1.
    pub(crate) attempt: u32,
    pub(crate) client: &'a Address,
    pub(crate) tls: Option<&'a TlsFacts>,
    /// Whether a client certificate was asked for.
    pub(crate) verified: bool,
    /// Only of SMTP.
    pub(crate) client_host: Option<&'a str>,
    /// What a PROXY header said, believed or not.
    pub(crate) proxied: Option<&'a Proxied>,
    /// Only of `smtp_auth none`.
    pub(crate) envelope: Option<Envelope<'a>>,
}

/// What an SMTP client said about its mail: whole command lines, as typed (K4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) helo: &'a [u8],
    pub(crate) mail: &'a [u8],
    pub(crate) rcpt: &'a [u8],
}

/// A request but for what depends on where it goes. It holds the password.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Fields(Secret);

impl Fields {
    /// The octets on the wire, for a server behind `url`, whose connection may be `kept` for another request.
    pub(crate) fn addressed_to(&self, url: &AuthUrl, kept: bool) -> Secret {
        let beginning = b"GET  HTTP/1.1\r\nHost: \r\nConnection: keep-alive\r\n".len();
        let beginning = beginning + url.uri.len() + url.host.len();
        let mut head = Head(Secret::with_capacity(beginning + self.0.len()));
        let version: &[u8] = if kept { b" HTTP/1.1" } else { b" HTTP/1.0" };
        head.line(&[b"GET ", url.uri.as_bytes(), version]);
        head.field("Host", url.host.as_bytes());
        if kept {
            head.field("Connection", b"keep-alive");
        }
        head.0.extend(self.0.expose());
        head.0
    }
}

impl Request<'_> {
    /// What of it is the same wherever it goes.
    pub(crate) fn encode(&self) -> Fields {
        let mut head = Head(Secret::with_capacity(512));
        head.field("Auth-Method", self.credentials.method.name().as_bytes());
        head.escaped("Auth-User", &self.credentials.login);
        head.escaped("Auth-Pass", self.credentials.password.expose());
        if let Some(salt) = self.credentials.method.salt() {
            head.field("Auth-Salt", salt.as_bytes());
        }
        head.field("Auth-Protocol", self.protocol.name().as_bytes());
        head.field("Auth-Login-Attempt", format!("{}", self.attempt).as_bytes());
        head.field("Client-IP", format!("{}", self.client.host()).as_bytes());
        if let Some(host) = self.client_host {
            head.field("Client-Host", host.as_bytes());
        }
        if let Some(proxied) = self.proxied {
            head.field("Proxy-Protocol-Addr", proxied.source.as_bytes());
            head.field("Proxy-Protocol-Port", format!("{}", proxied.source_port).as_bytes());
            head.field("Proxy-Protocol-Server-Addr", proxied.destination.as_bytes());
            head.field("Proxy-Protocol-Server-Port", format!("{}", proxied.destination_port).as_bytes());
        }
        if let Some(envelope) = self.envelope {
            head.field("Auth-SMTP-Helo", envelope.helo);
            head.field("Auth-SMTP-From", envelope.mail);
            head.field("Auth-SMTP-To", envelope.rcpt);
        }
        if let Some(tls) = self.tls {
            head.field("Auth-SSL", b"on");
            head.field("Auth-SSL-Protocol", tls.protocol.as_bytes());
            head.field("Auth-SSL-Cipher", tls.cipher.as_bytes());
            if self.verified {
                head.certificate(tls.certificate.as_deref(), self.server.pass_client_cert);
            }
        }
        for (name, value) in &self.server.headers {
            head.field(name, value.as_bytes());
        }
        head.line(&[]);
        Fields(head.0)
    }
}

/// The one place where a line of the request is made.
struct Head(Secret);

impl Head {
    fn line(&mut self, parts: &[&[u8]]) {
        for part in parts {
            debug_assert!(
                !part.iter().any(|octet| matches!(octet, b'\r' | b'\n' | b'\0')),
                "a line in a line"
            );
            self.0.extend(part);
        }
        self.0.extend(b"\r\n");
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        self.line(&[name.as_bytes(), b": ", value]);
    }

    /// What a client certificate is asked for: nginx's headers, and freenginx's SHA-256 behind its SHA-1.
    fn certificate(&mut self, certificate: Option<&Certificate>, pass_it: bool) {
        let Some(certificate) = certificate else { return self.field("Auth-SSL-Verify", b"NONE") };
        match &certificate.verdict {
            Ok(()) => self.field("Auth-SSL-Verify", b"SUCCESS"),
            Err(error) => self.field("Auth-SSL-Verify", format!("FAILED:{}", error.text).as_bytes()),
        }
        self.field("Auth-SSL-Subject", certificate.subject.as_bytes());
        self.field("Auth-SSL-Issuer", certificate.issuer.as_bytes());
        self.field("Auth-SSL-Serial", certificate.serial.as_bytes());
        self.field("Auth-SSL-Fingerprint", certificate.fingerprint_sha1.as_bytes());
        self.field("Auth-SSL-Fingerprint-SHA256", certificate.fingerprint_sha256.as_bytes());
        if pass_it {
            self.escaped("Auth-SSL-Cert", certificate.pem.as_bytes());
        }
    }

    /// Each octet up to the space, and `%`, as `%XX` in upper case; all others as they are (K3).
    fn escaped(&mut self, name: &str, value: &[u8]) {
        self.0.extend(name.as_bytes());
        self.0.extend(b": ");
        for piece in value.split_inclusive(|octet| matches!(octet, 0..=b' ' | b'%')) {
            match piece.split_last() {
                Some((b'%', plain)) if cfg!(planted = "percent-not-escaped") => {
                    self.0.extend(plain);
                    self.0.extend(b"%");
                }
                Some((odd @ (0..=b' ' | b'%'), plain)) => {
                    self.0.extend(plain);
                    self.0.extend(format!("%{odd:02X}").as_bytes());
                }
                _ => self.0.extend(piece),
            }
        }
        self.0.extend(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Target;
    use crate::auth::credentials::Method;
    use crate::sasl::salt::Salts;
    use crate::session::Seed;
    use crate::time::Instant;
    use alloc::string::String;
    use core::net::SocketAddr;

    /// The text of `request`, changed, about `credentials`.
    fn encoded(credentials: &Credentials, change: impl FnOnce(Request<'_>) -> Fields) -> String {
        let target = Target::Address(Address::Unix("/run/auth".into()));
        let url = AuthUrl { uri: "/auth".into(), ..AuthUrl::new(target, "127.0.0.1") };
        let server = AuthServer {
            headers: alloc::vec![("X-Auth-Key".into(), "k e y".into())],
            ..AuthServer::at(alloc::vec![url.clone()])
        };
        let client = Address::from(SocketAddr::from(([192, 0, 2, 7], 40000)));
        let request = Request {
            server: &server,
            protocol: Protocol::Imap,
            credentials,
            attempt: 1,
            client: &client,
            tls: None,
            verified: false,
            client_host: None,
            proxied: None,
            envelope: None,
        };
        String::from_utf8(change(request).addressed_to(&url, false).expose().to_vec()).unwrap()
    }

    #[test]
    fn the_first_worked_example_of_auth_http() {
        let credentials = Credentials::new(Method::Plain, b"john doe", b"p%s\xC3\xB6s").unwrap();
        assert_eq!(
            encoded(&credentials, |request| request.encode()),
            "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: john%20doe\r\n\
             Auth-Pass: p%25sös\r\nAuth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 192.0.2.7\r\n\
             X-Auth-Key: k e y\r\n\r\n"
        );
    }

    #[test]
    fn a_request_is_written_to_one_place_that_it_fills() {
        let credentials = Credentials::new(Method::Plain, b"fred", b"hunter2").unwrap();
        encoded(&credentials, |request| {
            let fields = request.encode();
            let target = Target::Address(Address::Unix("/run/auth".into()));
            let url = AuthUrl { uri: "/auth?a".into(), ..AuthUrl::new(target, "auth.test") };
            let mut octets = 0;
            let counted = allocation_counter::measure(|| octets = fields.addressed_to(&url, true).len());
            assert_eq!((counted.count_total, counted.bytes_max), (1, octets.try_into().unwrap()));
            fields
        });
    }

    #[test]
    fn a_salt_comes_before_the_protocol_and_tls_behind_the_client() {
        let salt = Salts::new(&Seed([0; 16])).draw(Instant::from_unix_millis(5000), "mx.test");
        let told = String::from_utf8(salt.as_bytes().to_vec()).unwrap();
        let credentials =
            Credentials::new(Method::CramMd5(salt), b"fred", b"0123456789abcdef0123456789abcdef").unwrap();
        let tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
        let text =
            encoded(&credentials, |request| Request { tls: Some(&tls), attempt: 12, ..request }.encode());
        let order = alloc::format!(
            "Auth-Pass: 0123456789abcdef0123456789abcdef\r\nAuth-Salt: {told}\r\nAuth-Protocol: imap\r\n\
             Auth-Login-Attempt: 12\r\nClient-IP: 192.0.2.7\r\nAuth-SSL: on\r\nAuth-SSL-Protocol: TLSv1.3\r\n\
             Auth-SSL-Cipher: TLS_AES_256_GCM_SHA384\r\nX-Auth-Key: k e y\r\n\r\n"
        );
        assert!(text.ends_with(&order), "{text}");
    }

    #[test]
    fn mail_without_a_login_names_nobody_and_tells_the_envelope() {
        let credentials = Credentials::none();
        let text = encoded(&credentials, |request| {
            let envelope = Envelope {
                helo: b"client.example.org",
                mail: b"MAIL FROM:<a@example.org> SIZE=1000",
                rcpt: b"RCPT TO:<b@example.net>",
            };
            let (client_host, envelope) = (Some("[UNAVAILABLE]"), Some(envelope));
            Request { protocol: Protocol::Smtp, client_host, envelope, ..request }.encode()
        });
        assert!(text.contains(
            "Auth-Method: none\r\nAuth-User: \r\nAuth-Pass: \r\nAuth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\n\
             Client-IP: 192.0.2.7\r\nClient-Host: [UNAVAILABLE]\r\nAuth-SMTP-Helo: client.example.org\r\n\
             Auth-SMTP-From: MAIL FROM:<a@example.org> SIZE=1000\r\nAuth-SMTP-To: RCPT TO:<b@example.net>\r\n"
        ));
    }

    #[test]
    fn a_certificate_is_told_of_where_one_was_asked_for() {
        let credentials = Credentials::vouched(Method::External, b"", b"").unwrap();
        let mut tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
        let asked = |tls: &TlsFacts| {
            encoded(&credentials, |request| Request { tls: Some(tls), verified: true, ..request }.encode())
        };
        assert!(
            asked(&tls)
                .contains("Auth-SSL-Cipher: TLS_AES_256_GCM_SHA384\r\nAuth-SSL-Verify: NONE\r\nX-Auth-Key")
        );
        tls.certificate = Some(alloc::sync::Arc::new(Certificate {
            verdict: Ok(()),
            subject: "CN=client one,C=DE".into(),
            issuer: "CN=ca".into(),
            common_name: Some("client one".into()),
            serial: "0A".into(),
            fingerprint_sha1: "aa".into(),
            fingerprint_sha256: "bb".into(),
            pem: "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n".into(),
        }));
        let head = "Auth-SSL-Verify: SUCCESS\r\nAuth-SSL-Subject: CN=client one,C=DE\r\nAuth-SSL-Issuer: CN=ca\r\n\
                    Auth-SSL-Serial: 0A\r\nAuth-SSL-Fingerprint: aa\r\nAuth-SSL-Fingerprint-SHA256: bb\r\n";
        assert!(asked(&tls).contains(&alloc::format!("{head}X-Auth-Key")));
        let passed = encoded(&credentials, |request| {
            let server = AuthServer { pass_client_cert: true, ..request.server.clone() };
            Request { server: &server, tls: Some(&tls), verified: true, ..request }.encode()
        });
        assert!(passed.contains(
            "Auth-SSL-Cert: -----BEGIN%20CERTIFICATE-----%0AMA==%0A-----END%20CERTIFICATE-----%0A\r\nX-Auth-Key"
        ));
    }

    /// What nginx's `ngx_unescape_uri` and its like make of it.
    fn unescaped(text: &[u8]) -> alloc::vec::Vec<u8> {
        let mut octets = alloc::vec::Vec::new();
        let mut rest = text;
        while let [first, behind @ ..] = rest {
            rest = behind;
            octets.push(match (first, rest.split_at_checked(2)) {
                (b'%', Some((digits, behind))) => {
                    rest = behind;
                    u8::from_str_radix(core::str::from_utf8(digits).unwrap(), 16).unwrap()
                }
                _ => *first,
            });
        }
        octets
    }

    proptest::proptest! {
        #[test]
        fn what_is_escaped_is_one_line_and_can_be_undone(
            octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
        ) {
            let mut head = Head(Secret::empty());
            head.escaped("Auth-User", &octets);
            let line = head.0.expose();
            let value = line.strip_prefix(b"Auth-User: ").and_then(|rest| rest.strip_suffix(b"\r\n")).unwrap();
            proptest::prop_assert!(!value.iter().any(|octet| *octet <= b' '));
            proptest::prop_assert_eq!(unescaped(value), octets);
        }
    }
}
