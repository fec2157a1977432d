//! EHLO, XCLIENT to say who the client is, and then AUTH, or the client's own MAIL and RCPT (backend.md section 4). EHLO and AUTH have to
//! be waited for, and so has whatever begins a session anew; RCPT need not wait for MAIL where the server offers that (RFC 2920).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use bytes::Bytes;

use super::token::Token;
use super::{Account, Dialogue, Move, Proof, secret_line};
use crate::dialect::line as one_line;
use crate::dialect::smtp::{Helo, Smtp};
use crate::framing::without_line_end;
use crate::limits::SMTP_AUTH_LINE_BYTES_MAX;
use crate::phase::Context;
use crate::report::{Activity, Notice};
use crate::sasl::base64;
use crate::secret::Secret;
use crate::wire::Address;

/// A login at an SMTP server.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Login {
    state: State,
    login: Arc<[u8]>,
    purpose: Purpose,
    /// Whether TLS is still to be asked for.
    starttls: bool,
    /// Whether the last EHLO was answered with PIPELINING.
    pipelines: bool,
}

/// What to do once the backend knows the client.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
enum Purpose {
    /// Nothing more: it takes XCLIENT's word for it.
    Introduce,
    /// AUTH PLAIN with this message, base64.
    Authenticate(Secret),
    /// AUTH with a token.
    Present(Token),
    /// The mail of a client that need not log in.
    PassMail,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
enum State {
    Greeting,
    HeloSent,
    StartTlsSent,
    XclientSent,
    ClientHeloSent,
    AuthSent,
    AuthMessageSent,
    MailSent,
    /// Both MAIL and RCPT.
    EnvelopeSent,
    RcptSent,
}

impl Dialogue<Smtp> for Login {
    fn begin(account: Account, _: &Smtp, cx: &Context<'_>) -> Result<Self, Notice> {
        let Account { login, proof, unauthenticated, starttls, .. } = account;
        let purpose = match (unauthenticated, cx.policy.backend.smtp_auth, proof) {
            (true, _, _) => Purpose::PassMail,
            (false, false, _) => Purpose::Introduce,
            (false, true, None) => return Err(Notice::NoPassword),
            (false, true, Some(Proof::Token(token))) => Purpose::Present(token),
            (false, true, Some(Proof::Password(password))) => {
                let mut message = Secret::with_capacity(login.len() + password.len() + 2);
                message.extend(b"\0");
                message.extend(&login);
                message.extend(b"\0");
                message.extend(password.expose());
                Purpose::Authenticate(base64::encode(message.expose()))
            }
        };
        Ok(Self { state: State::Greeting, login, purpose, starttls, pipelines: false })
    }

    fn restart(&mut self) {
        self.state = State::Greeting;
    }

    fn on_line(&mut self, reply: &[u8], line: &[u8], dialect: &Smtp, cx: &Context<'_>) -> Move {
        // RFC 5321 section 4.2: `ddd-` goes on, `ddd ` and a bare `ddd` end the reply.
        let Some((code, rest)) = without_line_end(line).split_at_checked(3) else { return Move::Refuse };
        // RFC 5321 section 4.1.1.1: the first line is the server's name.
        if matches!(self.state, State::HeloSent | State::ClientHeloSent) && line.len() < reply.len() {
            self.pipelines |=
                rest.get(1..).is_some_and(|keyword| keyword.eq_ignore_ascii_case(b"PIPELINING"));
        }
        match rest.first() {
            _ if !code.iter().all(u8::is_ascii_digit) => return Move::Refuse,
            Some(b'-') => return Move::Await,
            None | Some(b' ') => {}
            Some(_) => return Move::Refuse,
        }
        match (self.state, code) {
            (State::Greeting, b"220") => self.greet(dialect, cx),
            (State::HeloSent, b"250") if self.starttls => {
                self.state = State::StartTlsSent;
                Move::Say(Activity::SendingStartTls, one_line(&[b"STARTTLS"]).into())
            }
            (State::StartTlsSent, b"220") => Move::Upgrade,
            (State::HeloSent, b"250") if cx.policy.backend.xclient => self.introduce(cx),
            (State::HeloSent | State::ClientHeloSent, b"250") => self.proceed(dialect, cx),
            (State::XclientSent, b"220" | b"250") => self.greet_for_client(dialect, cx),
            (State::AuthSent, b"334") => self.answer_challenge(),
            (State::AuthSent | State::AuthMessageSent, b"235") if self.is_known() => welcome(),
            (State::MailSent, b"250") => self.pass_rcpt(dialect),
            (State::EnvelopeSent, b"250") => {
                self.state = State::RcptSent;
                Move::Proceed
            }
            (State::RcptSent, _) => Move::Welcome(Bytes::copy_from_slice(reply)),
            _ => Move::Refuse,
        }
    }

    /// RFC 5321 section 3.1: 554, or 421 of a server that has no time.
    fn is_turned_away(&self, line: &[u8]) -> bool {
        let refuses = |code: &[u8]| matches!(code, [b'4' | b'5', b'0'..=b'9', b'0'..=b'9']);
        let code = without_line_end(line).split(|&octet| octet == b' ').next();
        matches!(self.state, State::Greeting) && code.is_some_and(refuses)
    }

    /// RFC 3207 section 4.2: the session is as after the greeting.
    fn on_secured(&mut self, dialect: &Smtp, cx: &Context<'_>) -> Move {
        self.starttls = false;
        self.greet(dialect, cx)
    }
}

impl Login {
    fn greet(&mut self, dialect: &Smtp, cx: &Context<'_>) -> Move {
        self.state = State::HeloSent;
        self.pipelines = false;
        let extended =
            self.starttls || cx.policy.backend.xclient || dialect.helo().is_some_and(|helo| helo.extended);
        Move::Say(Activity::SendingHelo, helo(extended, cx.policy.server_name.as_bytes()).into())
    }

    /// XCLIENT, as nginx writes it. Every value is xtext, so that no name can end it (XCL-003).
    fn introduce(&mut self, cx: &Context<'_>) -> Move {
        self.state = State::XclientSent;
        let mut command = Vec::from(&b"XCLIENT ADDR="[..]);
        command.extend_from_slice(address(cx.client()).as_bytes());
        // A login that AUTH will prove is not claimed before.
        let claims = matches!(self.purpose, Purpose::Introduce | Purpose::PassMail);
        if !self.login.is_empty() && claims {
            command.extend_from_slice(b" LOGIN=");
            xtext(&self.login, &mut command);
        }
        command.extend_from_slice(b" NAME=");
        command.extend_from_slice(cx.client_host().as_bytes());
        Move::Say(Activity::SendingXclient, one_line(&[&command]).into())
    }

    /// After XCLIENT the session is as new, so EHLO or HELO must come again: the client's own (decision 20).
    fn greet_for_client(&mut self, dialect: &Smtp, cx: &Context<'_>) -> Move {
        self.state = State::ClientHeloSent;
        self.pipelines = false;
        let command = match dialect.helo() {
            Some(Helo { name, extended }) => helo(*extended, name),
            None => helo(true, cx.policy.server_name.as_bytes()),
        };
        Move::Say(Activity::SendingClientHelo, command.into())
    }

    fn proceed(&mut self, dialect: &Smtp, cx: &Context<'_>) -> Move {
        match &mut self.purpose {
            Purpose::Introduce => welcome(),
            Purpose::Present(token) => {
                self.state = State::AuthSent;
                token.announce(&[b"AUTH"], SMTP_AUTH_LINE_BYTES_MAX)
            }
            Purpose::Authenticate(message) => {
                self.state = State::AuthSent;
                // RFC 4954 section 4: an initial response only where the line may be that long.
                let command = match message.len() <= SMTP_AUTH_LINE_BYTES_MAX - "AUTH PLAIN \r\n".len() {
                    true => secret_line(&[b"AUTH PLAIN ", message.expose()]),
                    false => one_line(&[b"AUTH PLAIN"]).into(),
                };
                Move::Say(Activity::SendingAuth, command)
            }
            Purpose::PassMail if self.pipelines && cx.policy.backend.pipelining => {
                self.state = State::EnvelopeSent;
                let (mail, rcpt) = dialect.envelope_lines().unwrap_or_default();
                Move::Say(Activity::SendingMail, one_line(&[mail, b"\r\n", rcpt]).into())
            }
            Purpose::PassMail => {
                self.state = State::MailSent;
                let mail = dialect.envelope_lines().map(|(mail, _)| mail).unwrap_or_default();
                Move::Say(Activity::SendingMail, one_line(&[mail]).into())
            }
        }
    }

    /// Whether the backend can know by now whom it lets in.
    const fn is_known(&self) -> bool {
        match &self.purpose {
            Purpose::Present(token) => token.is_given(),
            Purpose::Authenticate(_) | Purpose::Introduce | Purpose::PassMail => true,
        }
    }

    fn answer_challenge(&mut self) -> Move {
        match &mut self.purpose {
            Purpose::Authenticate(message) => {
                self.state = State::AuthMessageSent;
                Move::Say(Activity::SendingAuth, secret_line(&[message.expose()]))
            }
            Purpose::Present(token) => token.go_on(),
            Purpose::Introduce | Purpose::PassMail => Move::Refuse,
        }
    }

    fn pass_rcpt(&mut self, dialect: &Smtp) -> Move {
        self.state = State::RcptSent;
        let rcpt = dialect.envelope_lines().map(|(_, rcpt)| rcpt).unwrap_or_default();
        Move::Say(Activity::SendingRcpt, one_line(&[rcpt]).into())
    }
}

/// The client hears our own words, never the backend's (K9).
fn welcome() -> Move {
    Move::Welcome(Bytes::from_static(b"235 2.0.0 OK\r\n"))
}

fn helo(extended: bool, name: &[u8]) -> Bytes {
    one_line(&[if extended { b"EHLO " } else { b"HELO " }, name])
}

/// XCLIENT's ADDR.
fn address(client: &Address) -> alloc::string::String {
    match client.ip() {
        Some(IpAddr::V4(ip)) => alloc::format!("{ip}"),
        Some(IpAddr::V6(ip)) => alloc::format!("IPV6:{ip}"),
        None => "[UNAVAILABLE]".into(),
    }
}

/// RFC 3461 section 4: printable ASCII but `+` and `=` as it is, the rest as `+XX`.
fn xtext(octets: &[u8], text: &mut Vec<u8>) {
    for &octet in octets {
        match octet {
            b'+' | b'=' if !cfg!(planted = "xtext-not-escaped") => {
                text.extend_from_slice(alloc::format!("+{octet:02X}").as_bytes());
            }
            b'!'..=b'~' => text.push(octet),
            other => text.extend_from_slice(alloc::format!("+{other:02X}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_leaves_nothing_that_could_end_a_value() {
        let mut text = Vec::new();
        xtext(b"u=+ x\r\n\xff@example.com", &mut text);
        assert_eq!(text, b"u+3D+2B+20x+0D+0A+FF@example.com");
    }

    #[test]
    fn addresses_are_postfixs() {
        let inet = |ip: &str| Address::from(core::net::SocketAddr::new(ip.parse().unwrap(), 1));
        assert_eq!(address(&inet("192.0.2.1")), "192.0.2.1");
        assert_eq!(address(&inet("2001:db8::1")), "IPV6:2001:db8::1");
        assert_eq!(address(&Address::Unix("".into())), "[UNAVAILABLE]");
    }

    /// RFC 3461 section 4, the other way round.
    fn from_xtext(text: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut rest = text;
        while let [first, behind @ ..] = rest {
            rest = behind;
            octets.push(match first {
                b'+' => {
                    let (digits, behind) = rest.split_at(2);
                    rest = behind;
                    u8::from_str_radix(core::str::from_utf8(digits).unwrap(), 16).unwrap()
                }
                other => *other,
            });
        }
        octets
    }

    proptest::proptest! {
        #[test]
        fn xtext_can_be_undone(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let mut text = Vec::new();
            xtext(&octets, &mut text);
            proptest::prop_assert!(text.iter().all(|octet| octet.is_ascii_graphic() && *octet != b'='));
            proptest::prop_assert_eq!(from_xtext(&text), octets);
        }
    }
}
