//! POP3 (RFC 1939, RFC 2449) before login.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{CertificateRefusal, Dialect, Farewell, Refusal, Step, line, listed, refusal_line};
use crate::auth::credentials::{Credentials, Method};
use crate::backend::pop3::Login;
use crate::grammar::letters;
use crate::grammar::pop3::Command;
use crate::phase::Context;
use crate::policy::{Mechanism, StartTls};
use crate::sasl;

/// What a POP3 client has said that still counts: the name it gave with USER.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Pop3 {
    user: Option<Bytes>,
}

impl Pop3 {
    fn capabilities(cx: &Context<'_>) -> Bytes {
        let mut list = Vec::from(&b"+OK Capability list follows\r\n"[..]);
        for capability in &cx.policy.capabilities {
            // RFC 2449 section 6.2: USER is not listed while it would be refused.
            if !(cx.refuses_passwords() && capability.eq_ignore_ascii_case("USER")) {
                list.extend_from_slice(capability.as_bytes());
                list.extend_from_slice(b"\r\n");
            }
        }
        let mut mechanisms = Self::mechanisms(cx).peekable();
        if mechanisms.peek().is_some() {
            list.extend_from_slice(b"SASL");
            for mechanism in mechanisms {
                list.push(b' ');
                list.extend_from_slice(sasl::name(mechanism).as_bytes());
            }
            list.extend_from_slice(b"\r\n");
        }
        if cx.policy.starttls != StartTls::Off && !cx.has_tls() {
            list.extend_from_slice(b"STLS\r\n");
        }
        list.push(b'.');
        line(&[&list])
    }

    /// `pop3_auth` has no word `login`: LOGIN is listed with PLAIN.
    fn mechanisms(cx: &Context<'_>) -> impl Iterator<Item = Mechanism> {
        listed(cx)
            .flat_map(|mechanism| match mechanism {
                Mechanism::Plain => [Some(Mechanism::Plain), Some(Mechanism::Login)],
                Mechanism::Login => [None, None],
                other => [Some(other), None],
            })
            .flatten()
    }

    fn methods(cx: &Context<'_>) -> Bytes {
        let mut list = Vec::from(&b"+OK methods supported:\r\n"[..]);
        for mechanism in Self::mechanisms(cx) {
            list.extend_from_slice(sasl::name(mechanism).as_bytes());
            list.extend_from_slice(b"\r\n");
        }
        list.push(b'.');
        line(&[&list])
    }

    /// Whether the operator promised response codes of this kind (RFC 2449 section 6.4, RFC 3206 section 6).
    pub(crate) fn promises(cx: &Context<'_>, capability: &str) -> bool {
        cx.policy.capabilities.iter().any(|listed| listed.eq_ignore_ascii_case(capability))
    }
}

impl Dialect for Pop3 {
    const AUTHENTICATE: &'static [u8] = b"AUTH";
    const LITERALS: bool = false;
    type Login = Login;

    fn greeting(cx: &mut Context<'_>) -> Bytes {
        match cx.policy.mechanisms.has(Mechanism::Apop) {
            true => line(&[b"+OK POP3 ready ", cx.draw_timestamp().as_bytes()]),
            false => line(&[b"+OK POP3 ready"]),
        }
    }

    fn verb(front: &[u8]) -> &[u8] {
        letters(front)
    }

    fn knows(verb: &[u8]) -> bool {
        Command::knows(verb)
    }

    fn identify(&mut self, _: &[u8]) {}

    fn on_frame(&mut self, frame: &[u8], cx: &Context<'_>) -> Step {
        // RFC 1939 section 7: PASS comes directly behind USER; clients are known to ask CAPA in between.
        let user = self.user.take();
        let command = match Command::parse(frame) {
            Ok(command) => command,
            // PASS and USER without an argument are known words with nothing in them, as STAT is.
            Err(crate::grammar::SyntaxError::Arguments) => return Refusal::NotNow.into(),
            Err(_) => return Refusal::Malformed.into(),
        };
        if command.is_secret() && cx.demands_tls_for_secrets() {
            return Refusal::TlsRequired.into();
        }
        match command {
            Command::Capa => {
                self.user = user;
                Step::Reply(Self::capabilities(cx))
            }
            Command::Noop => Step::Reply(line(&[b"+OK"])),
            Command::Quit => Step::Quit(line(&[b"+OK"])),
            Command::Stls => Step::Upgrade,
            Command::User(_) if cx.refuses_passwords() => Refusal::UnknownMechanism.into(),
            Command::User(name) => {
                self.user = Some(Bytes::copy_from_slice(name));
                Step::Reply(line(&[b"+OK"]))
            }
            Command::Pass(password) => {
                match user.map(|user| Credentials::new(Method::Plain, &user, password)) {
                    Some(Ok(credentials)) => Step::Authorize(credentials),
                    Some(Err(_)) => Refusal::BadCredentials.into(),
                    None => Refusal::NotNow.into(),
                }
            }
            Command::Apop { user, digest } => match cx.timestamp() {
                Some(timestamp) => {
                    Step::from_outcome(sasl::apop::respond(timestamp.clone(), user, digest), Mechanism::Apop)
                }
                None => Refusal::NotNow.into(),
            },
            Command::Mechanisms => Step::Reply(Self::methods(cx)),
            Command::Auth { mechanism, initial } => {
                Step::Authenticate { mechanism: sasl::named(mechanism), initial: initial.map(Into::into) }
            }
            Command::Later => Refusal::NotNow.into(),
        }
    }

    fn on_announced(&mut self, _: &[u8], _: &Context<'_>) -> Result<(), Refusal> {
        Err(Refusal::Malformed)
    }

    fn ready_for_tls(&self) -> Bytes {
        line(&[b"+OK"])
    }

    fn challenge(&self, challenge: &[u8]) -> Bytes {
        line(&[b"+ ", challenge])
    }

    fn refuse(&self, refusal: Refusal) -> Bytes {
        line(&[match refusal {
            Refusal::TooLong | Refusal::SaslTooLong => b"-ERR line too long",
            Refusal::TlsRequired => b"-ERR TLS required",
            Refusal::ActsAsAnother => b"-ERR cannot act as another user",
            Refusal::BadCredentials => b"-ERR invalid credentials",
            _ => b"-ERR invalid command",
        }])
    }

    fn deny(&self, text: &[u8], code: Option<&[u8]>, cx: &Context<'_>) -> Bytes {
        match code {
            Some(code) => refusal_line(&[b"-ERR [", code, b"] "], text),
            None if text.starts_with(b"[") || !Self::promises(cx, "AUTH-RESP-CODE") => {
                refusal_line(&[b"-ERR "], text)
            }
            None => refusal_line(&[b"-ERR [AUTH] "], text),
        }
    }

    /// RFC 2449 section 8: words of printable characters but `]`, separated by `/`.
    fn takes_error_code(code: &[u8]) -> bool {
        code.first().is_some_and(u8::is_ascii_alphabetic)
            && code.iter().all(|&octet| octet.is_ascii_graphic() && octet != b']' && octet != b'[')
    }

    fn trouble(&self, cx: &Context<'_>) -> Bytes {
        line(&[match Self::promises(cx, "RESP-CODES") {
            true => b"-ERR [SYS/TEMP] internal server error",
            false => b"-ERR internal server error",
        }])
    }

    fn too_many_connections(&self, cx: &Context<'_>) -> Bytes {
        Self::no_place(cx)
    }

    fn no_place(cx: &Context<'_>) -> Bytes {
        line(&[match Self::promises(cx, "RESP-CODES") {
            true => b"-ERR [SYS/TEMP] Too many connections",
            false => b"-ERR Too many connections",
        }])
    }

    fn access_denied() -> Bytes {
        line(&[b"-ERR Access denied"])
    }

    fn certificate_refused(refusal: CertificateRefusal) -> Bytes {
        line(&[b"-ERR ", refusal.text().as_bytes()])
    }

    /// RFC 1939 section 3: nothing is said without being asked.
    fn farewell(_: Farewell, _: &Context<'_>) -> Bytes {
        Bytes::new()
    }

    fn attempt_over(&mut self) {
        self.user = None;
    }
}
