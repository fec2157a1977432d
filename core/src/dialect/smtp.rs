//! SMTP and message submission (RFC 5321, RFC 6409) before the relay.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{CertificateRefusal, Dialect, Farewell, Refusal, Step, line, listed, refusal_line};
use crate::auth::credentials::Credentials;
use crate::auth::request::Envelope;
use crate::backend::smtp::Login;
use crate::grammar::smtp::Command;
use crate::grammar::{SyntaxError, letters};
use crate::phase::Context;
use crate::policy::StartTls;
use crate::report::Notice;
use crate::sasl;

/// What an SMTP client has said that still counts: its name, and under `smtp_auth none` its mail.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Smtp {
    helo: Option<Helo>,
    mail: Option<Bytes>,
    rcpt: Option<Bytes>,
}

/// The client's last HELO or EHLO.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
pub(crate) struct Helo {
    pub(crate) name: Bytes,
    /// Whether it was EHLO.
    pub(crate) extended: bool,
}

impl Smtp {
    pub(crate) fn helo(&self) -> Option<&Helo> {
        self.helo.as_ref()
    }

    /// The client's MAIL and RCPT, as typed.
    pub(crate) fn envelope_lines(&self) -> Option<(&[u8], &[u8])> {
        self.mail.as_deref().zip(self.rcpt.as_deref())
    }

    fn greet(&mut self, name: &[u8], extended: bool, cx: &Context<'_>) -> Step {
        *self = Self {
            helo: Some(Helo { name: Bytes::copy_from_slice(name), extended }),
            mail: None,
            rcpt: None,
        };
        Step::Reply(match extended {
            true => Self::capabilities(cx),
            false => line(&[b"250 ", cx.policy.server_name.as_bytes()]),
        })
    }

    fn capabilities(cx: &Context<'_>) -> Bytes {
        let mut keywords: Vec<Vec<u8>> = Vec::new();
        keywords.push(cx.policy.server_name.as_bytes().to_vec());
        keywords.extend(cx.policy.capabilities.iter().map(|capability| capability.as_bytes().to_vec()));
        let mut mechanisms = listed(cx).peekable();
        if mechanisms.peek().is_some() {
            let mut auth = b"AUTH".to_vec();
            for mechanism in mechanisms {
                auth.push(b' ');
                auth.extend_from_slice(sasl::name(mechanism).as_bytes());
            }
            keywords.push(auth);
        }
        if cx.policy.starttls != StartTls::Off && !cx.has_tls() {
            keywords.push(b"STARTTLS".to_vec());
        }
        let last = keywords.len() - 1;
        let mut reply = Vec::new();
        for (at, keyword) in keywords.iter().enumerate() {
            reply.extend_from_slice(if at < last { b"250-" } else { b"250 " });
            reply.extend_from_slice(keyword);
            reply.extend_from_slice(b"\r\n");
        }
        reply.into()
    }

    fn mail(&mut self, as_typed: &[u8]) -> Step {
        if self.mail.is_some() {
            return Refusal::NotNow.into();
        }
        self.mail = Some(Bytes::copy_from_slice(as_typed));
        Step::Reply(line(&[b"250 2.0.0 OK"]))
    }
}

impl Dialect for Smtp {
    const AUTHENTICATE: &'static [u8] = b"AUTH";
    const LITERALS: bool = false;
    type Login = Login;

    fn greeting(cx: &mut Context<'_>) -> Bytes {
        line(&[b"220 ", cx.policy.server_name.as_bytes(), b" ESMTP ready"])
    }

    fn verb(front: &[u8]) -> &[u8] {
        letters(front)
    }

    fn knows(verb: &[u8]) -> bool {
        Command::knows(verb)
    }

    fn identify(&mut self, _: &[u8]) {}

    fn on_frame(&mut self, frame: &[u8], cx: &Context<'_>) -> Step {
        let command = match Command::parse(frame) {
            Ok(command) => command,
            Err(SyntaxError::Arguments | SyntaxError::Control) => return Refusal::BadArgument.into(),
            Err(_) => return Refusal::Malformed.into(),
        };
        let name = cx.policy.server_name.as_bytes();
        let is_mail = command.is_envelope() && cx.policy.unauthenticated;
        if command.is_secret() && cx.demands_tls_for_secrets() || is_mail && cx.demands_tls() {
            return Refusal::TlsRequired.into();
        }
        match command {
            Command::Helo(name) => self.greet(name, false, cx),
            Command::Ehlo(name) => self.greet(name, true, cx),
            Command::Noop => Step::Reply(line(&[b"250 2.0.0 OK"])),
            Command::Quit => Step::Quit(line(&[b"221 2.0.0 Bye"])),
            Command::StartTls => Step::Upgrade,
            // RFC 4954 section 4: no AUTH within a mail transaction.
            Command::Auth { .. } if self.mail.is_some() => Refusal::NotNow.into(),
            Command::Auth { mechanism, initial } => {
                Step::Authenticate { mechanism: sasl::named(mechanism), initial: initial.map(Into::into) }
            }
            Command::Mail(_) if !cx.policy.unauthenticated => Step::Refuse {
                refusal: Refusal::LoginRequired,
                notice: Some(Notice::MailRejected(shown(frame))),
            },
            Command::Mail(as_typed) => self.mail(as_typed),
            Command::Rcpt(_) if self.mail.is_none() => Refusal::NotNow.into(),
            Command::Rcpt(as_typed) => {
                self.rcpt = Some(Bytes::copy_from_slice(as_typed));
                Step::Authorize(Credentials::none())
            }
            Command::Rset => {
                (self.mail, self.rcpt) = (None, None);
                Step::Reply(line(&[b"250 2.0.0 OK"]))
            }
            Command::Vrfy => Step::Reply(line(&[b"252 2.5.2 Cannot VRFY user"])),
            Command::Expn => Step::Reply(line(&[b"252 2.5.2 Cannot EXPN list"])),
            Command::Help => Step::Reply(line(&[b"214 2.0.0 See RFC 5321"])),
            Command::Data => Refusal::NotNow.into(),
            Command::Bdat(Some(octets)) => Step::Swallow(octets, Refusal::NotNow),
            // Where the octets end that follow, and commands begin again, is not to be guessed.
            Command::Bdat(None) => Step::Quit(line(&[
                &self.refuse(Refusal::BadArgument),
                b"421 4.7.0 ",
                name,
                b" Closing connection",
            ])),
        }
    }

    fn on_announced(&mut self, _: &[u8], _: &Context<'_>) -> Result<(), Refusal> {
        Err(Refusal::Malformed)
    }

    fn ready_for_tls(&self) -> Bytes {
        line(&[b"220 2.0.0 Start TLS"])
    }

    fn challenge(&self, challenge: &[u8]) -> Bytes {
        line(&[b"334 ", challenge])
    }

    fn refuse(&self, refusal: Refusal) -> Bytes {
        let words: &[u8] = match refusal {
            Refusal::Malformed => b"500 5.5.1 Invalid command",
            Refusal::TooSoon => b"503 5.5.0 Improper use of SMTP command pipelining",
            Refusal::TooLong | Refusal::LiteralTooBig | Refusal::LiteralNotGranted => {
                b"500 5.5.2 Line too long"
            }
            Refusal::SaslTooLong => b"500 5.5.6 Authentication exchange line is too long",
            Refusal::BadArgument => b"501 5.5.4 Invalid argument",
            Refusal::NotNow => b"503 5.5.1 Bad sequence of commands",
            Refusal::LoginRequired => b"530 5.7.1 Authentication required",
            Refusal::TlsRequired => b"530 5.7.0 Must issue a STARTTLS command first",
            Refusal::TlsUnavailable => b"502 5.5.1 STARTTLS not available",
            Refusal::TlsActive => b"503 5.5.1 TLS already active",
            Refusal::UnknownMechanism => b"504 5.5.4 Unrecognized authentication type",
            Refusal::InitialResponse => b"501 5.7.0 No initial response allowed",
            Refusal::Cancelled => b"501 5.7.0 Authentication cancelled",
            Refusal::BadBase64 => b"501 5.5.2 Invalid base64",
            Refusal::ActsAsAnother => b"535 5.7.0 Cannot act as another user",
            Refusal::BadCredentials => b"535 5.7.0 Invalid credentials",
        };
        line(&[words])
    }

    fn deny(&self, text: &[u8], code: Option<&[u8]>, _: &Context<'_>) -> Bytes {
        refusal_line(&[code.unwrap_or(b"535 5.7.0"), b" "], text)
    }

    /// RFC 5321 section 4.2 and RFC 3463 section 2: a negative code, and perhaps an enhanced one of the same class.
    fn takes_error_code(code: &[u8]) -> bool {
        let [class @ (b'4' | b'5'), b'0'..=b'9', b'0'..=b'9', enhanced @ ..] = code else { return false };
        let Some(enhanced) = enhanced.strip_prefix(b" ") else { return enhanced.is_empty() };
        let mut numbers = enhanced.split(|&octet| octet == b'.');
        let number = |digits: &[u8]| matches!(digits.len(), 1..=3) && digits.iter().all(u8::is_ascii_digit);
        numbers.next() == Some(core::slice::from_ref(class))
            && numbers.next().is_some_and(number)
            && numbers.next().is_some_and(number)
            && numbers.next().is_none()
    }

    fn trouble(&self, _: &Context<'_>) -> Bytes {
        line(&[b"451 4.3.2 Internal server error"])
    }

    fn too_many_connections(&self, _: &Context<'_>) -> Bytes {
        line(&[b"454 4.7.0 Too many connections"])
    }

    fn no_place(_: &Context<'_>) -> Bytes {
        line(&[b"421 4.7.0 Too many connections"])
    }

    fn access_denied() -> Bytes {
        line(&[b"554 5.7.1 Access denied"])
    }

    fn certificate_refused(refusal: CertificateRefusal) -> Bytes {
        line(&[b"421 4.7.1 ", refusal.text().as_bytes()])
    }

    fn farewell(farewell: Farewell, cx: &Context<'_>) -> Bytes {
        let (code, words): (&[u8], &[u8]) = match farewell {
            Farewell::TimedOut => (b"421 4.4.2 ", b" Timeout"),
            Farewell::TooManyErrors => (b"421 4.7.0 ", b" Too many errors"),
            Farewell::TooManyCommands => (b"421 4.7.0 ", b" Too many commands"),
            Farewell::TooLong | Farewell::LiteralTooBig => (b"421 4.7.0 ", b" Line too long"),
            Farewell::Denied => (b"421 4.7.0 ", b" Authentication failed"),
            Farewell::Trouble => (b"421 4.3.2 ", b" Internal server error"),
            Farewell::ShuttingDown => (b"421 4.3.2 ", b" Service shutting down"),
            Farewell::ForeignProtocol => (b"421 4.7.0 ", b" This is SMTP"),
            Farewell::Told => (b"421 4.7.0 ", b" Closing connection"),
        };
        line(&[code, cx.policy.server_name.as_bytes(), words])
    }

    fn envelope(&self) -> Option<Envelope<'_>> {
        let (mail, rcpt) = self.envelope_lines()?;
        Some(Envelope { helo: self.helo.as_ref().map(|helo| &*helo.name).unwrap_or_default(), mail, rcpt })
    }

    fn attempt_over(&mut self) {
        self.rcpt = None;
    }
}

/// A line as nginx's log shows it, with its line end made visible.
fn shown(frame: &[u8]) -> Vec<u8> {
    frame.iter().map(|&octet| if matches!(octet, b'\r' | b'\n') { b'_' } else { octet }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5321 section 4.2 and RFC 3463 section 2.
    #[test]
    fn an_error_code_is_a_refusal_and_perhaps_an_enhanced_one_of_its_class() {
        for code in ["535", "454", "535 5.7.8", "454 4.7.0", "550 5.999.000"] {
            assert!(Smtp::takes_error_code(code.as_bytes()), "{code}");
        }
        for code in [
            "",
            "5",
            "53",
            "250",
            "335",
            "5355",
            "53x",
            "535 ",
            "535-",
            "535 5",
            "535 5.7",
            "535 5.7.",
            "535 5..8",
            "535 4.7.8",
            "535 5.7.8.1",
            "535 5.7.1000",
            "535 5.1000.8",
            "535 5.x.8",
            "535 5.7.x",
            "535 55.7.8",
            "535 .7.8",
            "535  5.7.8",
            "535 5.7.8 ",
        ] {
            assert!(!Smtp::takes_error_code(code.as_bytes()), "{code}");
        }
    }
}
