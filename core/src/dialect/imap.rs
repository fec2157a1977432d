//! IMAP (RFC 3501, RFC 9051) before login.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{CertificateRefusal, Dialect, Farewell, Refusal, Step, line, listed, refusal_line};
use crate::auth::credentials::{Credentials, Method};
use crate::backend::imap::Login;
use crate::grammar::imap::{self as grammar, Command};
use crate::grammar::{SyntaxError, letters, words};
use crate::phase::Context;
use crate::policy::StartTls;
use crate::sasl;

/// What an IMAP client has said that still counts: the tag of the command under way.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Imap {
    tag: Option<Bytes>,
}

impl Imap {
    /// The tag of the command under way, for the reply to it and for the backend's LOGIN.
    pub(crate) fn tag(&self) -> &[u8] {
        self.tag.as_deref().unwrap_or(b"*")
    }

    fn completed(&self) -> Bytes {
        line(&[self.tag(), b" OK completed"])
    }

    fn capabilities(cx: &Context<'_>) -> Bytes {
        let mut list = Vec::from(&b"* CAPABILITY"[..]);
        let mut word = |word: &[&str]| {
            list.push(b' ');
            word.iter().for_each(|part| list.extend_from_slice(part.as_bytes()));
        };
        for capability in &cx.policy.capabilities {
            word(&[capability]);
        }
        if !cx.policy.capabilities.iter().any(|listed| listed.eq_ignore_ascii_case("SASL-IR")) {
            word(&["SASL-IR"]);
        }
        listed(cx).for_each(|mechanism| word(&["AUTH=", sasl::name(mechanism)]));
        if cx.policy.starttls != StartTls::Off && !cx.has_tls() {
            word(&["STARTTLS"]);
        }
        if cx.refuses_passwords() {
            word(&["LOGINDISABLED"]);
        }
        list.into()
    }
}

impl Dialect for Imap {
    const AUTHENTICATE: &'static [u8] = b"AUTHENTICATE";
    const LITERALS: bool = true;
    type Login = Login;

    fn greeting(_: &mut Context<'_>) -> Bytes {
        line(&[b"* OK IMAP4 ready"])
    }

    fn verb(front: &[u8]) -> &[u8] {
        words(front).nth(1).map(letters).unwrap_or_default()
    }

    fn knows(verb: &[u8]) -> bool {
        Command::knows(verb)
    }

    fn identify(&mut self, front: &[u8]) {
        self.tag = grammar::tag(front).map(|(tag, _)| Bytes::copy_from_slice(tag));
    }

    fn on_frame(&mut self, frame: &[u8], cx: &Context<'_>) -> Step {
        let (tag, command) = Command::parse(frame);
        if !cfg!(planted = "tag-not-cleared") || self.tag.is_none() {
            self.tag = tag.map(Bytes::copy_from_slice);
        }
        let command = match command {
            Ok(command) => command,
            Err(_) => return Refusal::Malformed.into(),
        };
        if command.is_secret() && cx.demands_tls_for_secrets() {
            return Refusal::TlsRequired.into();
        }
        match command {
            Command::Capability => {
                Step::Reply(line(&[&Self::capabilities(cx), b"\r\n", self.tag(), b" OK completed"]))
            }
            Command::Noop => Step::Reply(self.completed()),
            Command::Id => Step::Reply(line(&[b"* ID NIL\r\n", self.tag(), b" OK completed"])),
            Command::Logout => Step::Quit(line(&[b"* BYE Logging out\r\n", self.tag(), b" OK completed"])),
            Command::StartTls => Step::Upgrade,
            Command::Login { .. } if cx.refuses_passwords() => Refusal::UnknownMechanism.into(),
            Command::Login { user, password } => {
                match Credentials::new(Method::Plain, user.as_bytes(), password.as_bytes()) {
                    Ok(credentials) => Step::Authorize(credentials),
                    Err(_) => Refusal::BadCredentials.into(),
                }
            }
            Command::Authenticate { mechanism, initial } => {
                Step::Authenticate { mechanism: sasl::named(mechanism), initial: initial.map(Into::into) }
            }
            Command::Later => Refusal::NotNow.into(),
        }
    }

    fn on_announced(&mut self, announced: &[u8], cx: &Context<'_>) -> Result<(), Refusal> {
        self.identify(announced);
        let is_login = Self::verb(announced).eq_ignore_ascii_case(b"LOGIN");
        match Command::parse(announced).1 {
            Err(SyntaxError::Unfinished) if is_login && cx.demands_tls_for_secrets() => {
                Err(Refusal::TlsRequired)
            }
            Err(SyntaxError::Unfinished) if is_login && cx.refuses_passwords() => {
                Err(Refusal::UnknownMechanism)
            }
            Err(SyntaxError::Unfinished) => Ok(()),
            _ => Err(Refusal::Malformed),
        }
    }

    fn ready_for_tls(&self) -> Bytes {
        self.completed()
    }

    fn challenge(&self, challenge: &[u8]) -> Bytes {
        line(&[b"+ ", challenge])
    }

    fn refuse(&self, refusal: Refusal) -> Bytes {
        let words: &[u8] = match refusal {
            Refusal::TooLong | Refusal::SaslTooLong => b" BAD [LIMIT] line too long",
            Refusal::LiteralTooBig => b" BAD [TOOBIG] literal too large",
            Refusal::LiteralNotGranted => b" NO [LIMIT] literal too large",
            Refusal::TlsRequired => b" NO [PRIVACYREQUIRED] TLS required",
            Refusal::UnknownMechanism => b" NO [CANNOT] unsupported mechanism",
            Refusal::ActsAsAnother => b" NO [AUTHORIZATIONFAILED] cannot act as another user",
            Refusal::BadCredentials => b" NO [AUTHENTICATIONFAILED] invalid credentials",
            _ => b" BAD invalid command",
        };
        line(&[self.tag(), words])
    }

    fn deny(&self, text: &[u8], code: Option<&[u8]>, _: &Context<'_>) -> Bytes {
        match code {
            Some(code) => refusal_line(&[self.tag(), b" NO [", code, b"] "], text),
            None if text.starts_with(b"[") => refusal_line(&[self.tag(), b" NO "], text),
            None => refusal_line(&[self.tag(), b" NO [AUTHENTICATIONFAILED] "], text),
        }
    }

    /// RFC 3501 section 9, resp-text-code: an atom, and perhaps a space and more, without `]`.
    fn takes_error_code(code: &[u8]) -> bool {
        code.first().is_some_and(u8::is_ascii_alphabetic)
            && code.iter().all(|&octet| octet == b' ' || octet.is_ascii_graphic() && octet != b']')
    }

    fn trouble(&self, _: &Context<'_>) -> Bytes {
        if cfg!(planted = "trouble-reads-as-wrong-password") {
            return line(&[self.tag(), b" NO [AUTHENTICATIONFAILED] internal server error"]);
        }
        line(&[self.tag(), b" NO [UNAVAILABLE] internal server error"])
    }

    fn too_many_connections(&self, _: &Context<'_>) -> Bytes {
        line(&[self.tag(), b" NO [UNAVAILABLE] Too many connections"])
    }

    fn no_place(_: &Context<'_>) -> Bytes {
        line(&[b"* BYE Too many connections"])
    }

    fn access_denied() -> Bytes {
        line(&[b"* BYE Access denied"])
    }

    fn certificate_refused(refusal: CertificateRefusal) -> Bytes {
        line(&[b"* BYE ", refusal.text().as_bytes()])
    }

    fn farewell(farewell: Farewell, _: &Context<'_>) -> Bytes {
        line(&[match farewell {
            Farewell::TimedOut => b"* BYE Timeout waiting for login",
            Farewell::TooManyErrors => b"* BYE Too many errors",
            Farewell::TooManyCommands => b"* BYE Too many commands",
            Farewell::TooLong => b"* BYE Line too long",
            Farewell::LiteralTooBig => b"* BYE [TOOBIG] Literal too large",
            Farewell::Denied => b"* BYE Authentication failed",
            Farewell::Trouble => b"* BYE Internal server error",
            Farewell::ShuttingDown => b"* BYE Server shutting down",
            Farewell::ForeignProtocol => b"* BYE This is IMAP",
            Farewell::Told => b"* BYE Closing connection",
        }])
    }

    fn attempt_over(&mut self) {
        self.tag = None;
    }
}
