//! LOGIN with two synchronising literals and the client's own tag (K10), the only form that carries any octet to any server; or
//! AUTHENTICATE for a token.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Account, Dialogue, Move, Proof, begins, says, secret_line};
use crate::dialect::imap::Imap;
use crate::dialect::line as one_line;
use crate::phase::Context;
use crate::report::{Activity, Notice};

/// A login at an IMAP server.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Login {
    state: State,
    login: Arc<[u8]>,
    proof: Proof,
    /// What the server said in between, for the client to hear in the end (RFC 9051 section 2.2.2).
    untagged: Vec<u8>,
    starttls: bool,
    /// Whether the server has said that it takes an initial response (RFC 4959 section 3), in words that still count.
    takes_initial_response: bool,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
enum State {
    Greeting,
    StartTlsSent,
    LoginSent,
    UserSent,
    PasswordSent,
    AuthenticateSent,
}

impl Dialogue<Imap> for Login {
    fn begin(account: Account, _: &Imap, _: &Context<'_>) -> Result<Self, Notice> {
        let Account { login, proof, auth_server, starttls, .. } = account;
        let proof = proof.ok_or_else(|| Account::unproven(auth_server))?;
        let (untagged, takes_initial_response) = (Vec::new(), false);
        Ok(Self { state: State::Greeting, login, proof, untagged, starttls, takes_initial_response })
    }

    fn restart(&mut self) {
        self.state = State::Greeting;
    }

    fn on_line(&mut self, reply: &[u8], line: &[u8], dialect: &Imap, _: &Context<'_>) -> Move {
        let tag = dialect.tag();
        match (self.state, &mut self.proof) {
            (State::Greeting, _) if says(line, b"* OK") && self.starttls => {
                self.state = State::StartTlsSent;
                Move::Say(Activity::SendingStartTls, one_line(&[tag, b" STARTTLS"]).into())
            }
            (State::Greeting, _) if says(line, b"* OK") => {
                self.takes_initial_response = announces(line, b"SASL-IR");
                self.log_in(tag)
            }
            (State::Greeting, _) => Move::Refuse,
            _ if begins(line, b"* ") && !says(line, b"* BYE") => Move::Await,
            (State::StartTlsSent, _) if is_ok(line, tag) => Move::Upgrade,
            (State::LoginSent, Proof::Password(password)) if begins(line, b"+") => {
                let announcement = format!(" {{{}}}", password.len());
                self.state = State::UserSent;
                self.keep_untagged(reply, line);
                Move::Say(Activity::SendingUser, one_line(&[&self.login, announcement.as_bytes()]).into())
            }
            (State::UserSent, Proof::Password(password)) if begins(line, b"+") => {
                let password = core::mem::take(password);
                self.state = State::PasswordSent;
                self.keep_untagged(reply, line);
                Move::Say(Activity::SendingPassword, secret_line(&[password.expose()]))
            }
            (State::AuthenticateSent, Proof::Token(token)) if begins(line, b"+") => {
                let next = token.go_on();
                self.keep_untagged(reply, line);
                next
            }
            (State::PasswordSent, _) if is_ok(line, tag) => self.welcome(reply),
            (State::AuthenticateSent, Proof::Token(token)) if token.is_given() && is_ok(line, tag) => {
                self.welcome(reply)
            }
            _ => Move::Refuse,
        }
    }

    /// RFC 3501 section 7.1.5.
    fn is_turned_away(&self, line: &[u8]) -> bool {
        matches!(self.state, State::Greeting) && says(line, b"* BYE")
    }

    fn on_secured(&mut self, dialect: &Imap, _: &Context<'_>) -> Move {
        self.log_in(dialect.tag())
    }

    fn without_tag<'a>(&self, line: &'a [u8], dialect: &Imap) -> &'a [u8] {
        line.strip_prefix(dialect.tag()).and_then(|rest| rest.strip_prefix(b" ")).unwrap_or(line)
    }
}

impl Login {
    fn log_in(&mut self, tag: &[u8]) -> Move {
        match &mut self.proof {
            Proof::Password(_) => {
                self.state = State::LoginSent;
                let announcement = format!(" LOGIN {{{}}}", self.login.len());
                Move::Say(Activity::SendingLogin, one_line(&[tag, announcement.as_bytes()]).into())
            }
            Proof::Token(token) => {
                self.state = State::AuthenticateSent;
                let bytes_max = if self.takes_initial_response { usize::MAX } else { 0 };
                token.announce(&[tag, b" AUTHENTICATE"], bytes_max)
            }
        }
    }

    fn welcome(&mut self, reply: &[u8]) -> Move {
        self.untagged.extend_from_slice(reply);
        Move::Welcome(core::mem::take(&mut self.untagged).into())
    }

    /// Keeps what came before the `+` that ends `reply`.
    fn keep_untagged(&mut self, reply: &[u8], plus: &[u8]) {
        self.untagged.extend_from_slice(reply.strip_suffix(plus).unwrap_or_default());
    }
}

/// Whether the CAPABILITY code of a greeting (RFC 3501 section 7.1) names `capability`.
fn announces(greeting: &[u8], capability: &[u8]) -> bool {
    let code = greeting.get(b"* OK ".len()..).filter(|text| begins(text, b"[CAPABILITY "));
    let listed = code.and_then(|text| text.split(|&octet| octet == b']').next()).unwrap_or_default();
    listed.split(|&octet| octet == b' ').any(|word| word.eq_ignore_ascii_case(capability))
}

/// The tagged OK: the tag exactly as sent, the word in any case (divergences D13).
fn is_ok(line: &[u8], tag: &[u8]) -> bool {
    line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(b" ")).is_some_and(|rest| says(rest, b"OK"))
}
