//! LOGIN with two literals and the client's own tag (K10), the only form that carries any octet to any server; or AUTHENTICATE for a
//! token. Each literal waits for the server's word, unless the policy has it otherwise and the server offers to do without (RFC 7888).

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Account, Dialogue, Move, Proof, begins, says, secret_line};
use crate::dialect::imap::Imap;
use crate::dialect::line as one_line;
use crate::framing::without_line_end;
use crate::limits::LITERAL_MINUS_BYTES_MAX;
use crate::phase::Context;
use crate::report::{Activity, Notice};
use crate::secret::Secret;

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
    /// What the server has said that it takes, in words that still count.
    offers: Offers,
}

/// What a server says that it takes.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
struct Offers {
    /// An initial response (RFC 4959 section 3).
    initial_response: bool,
    /// A login in one step, with literals of at most so many octets (RFC 7888).
    literal_bytes_max: Option<usize>,
}

impl Offers {
    /// By the capabilities in `line`: in a greeting's code (RFC 3501 section 7.1) or an untagged response (section 7.2.1).
    fn of(line: &[u8]) -> Self {
        let line = without_line_end(line);
        let greeting = line.get(b"* OK ".len()..).filter(|text| begins(text, b"[CAPABILITY "));
        let code = greeting.and_then(|text| text.split(|&octet| octet == b']').next());
        let response = Some(line).filter(|line| begins(line, b"* CAPABILITY "));
        let listed = code.or(response).unwrap_or_default();
        let lists = |capability: &[u8]| {
            listed.split(|&octet| octet == b' ').any(|word| word.eq_ignore_ascii_case(capability))
        };
        // Who takes no LOGIN (RFC 3501 section 6.2.3) says so before there is a password to hear.
        let literal_bytes_max = match (lists(b"LOGINDISABLED"), lists(b"LITERAL+"), lists(b"LITERAL-")) {
            (false, true, _) => Some(usize::MAX),
            (false, false, true) => Some(LITERAL_MINUS_BYTES_MAX),
            _ => None,
        };
        Self { initial_response: lists(b"SASL-IR"), literal_bytes_max }
    }

    /// Whether a literal of so many octets need not wait.
    fn takes_literal(self, bytes: usize) -> bool {
        self.literal_bytes_max.is_some_and(|max| bytes <= max)
    }
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
enum State {
    Greeting,
    StartTlsSent,
    /// What was offered in clear does not count under TLS.
    CapabilitySent,
    LoginSent,
    UserSent,
    PasswordSent,
    /// LOGIN was sent with all that belongs to it, and the server has asked for so many of its literals nevertheless.
    AllSent {
        asked_for: u8,
    },
    AuthenticateSent,
}

/// The name and the password.
const LITERALS: u8 = 2;

impl Dialogue<Imap> for Login {
    fn begin(account: Account, _: &Imap, _: &Context<'_>) -> Result<Self, Notice> {
        let Account { login, proof, auth_server, starttls, .. } = account;
        let proof = proof.ok_or_else(|| Account::unproven(auth_server))?;
        let (untagged, offers) = (Vec::new(), Offers::default());
        Ok(Self { state: State::Greeting, login, proof, untagged, starttls, offers })
    }

    fn restart(&mut self) {
        self.state = State::Greeting;
        self.offers = Offers::default();
    }

    fn on_line(&mut self, reply: &[u8], line: &[u8], dialect: &Imap, cx: &Context<'_>) -> Move {
        let tag = dialect.tag();
        match (self.state, &mut self.proof) {
            (State::Greeting, _) if says(line, b"* OK") && self.starttls => {
                self.state = State::StartTlsSent;
                Move::Say(Activity::SendingStartTls, one_line(&[tag, b" STARTTLS"]).into())
            }
            (State::Greeting, _) if says(line, b"* OK") => {
                self.offers = Offers::of(line);
                self.log_in(tag, cx)
            }
            (State::Greeting, _) => Move::Refuse,
            (State::CapabilitySent, _) if begins(line, b"* CAPABILITY ") => {
                self.offers = Offers::of(line);
                Move::Await
            }
            _ if begins(line, b"* ") && !says(line, b"* BYE") => Move::Await,
            (State::StartTlsSent, _) if is_ok(line, tag) => Move::Upgrade,
            // Who does not answer offers nothing.
            (State::CapabilitySent, _) if result(line, tag).is_some() => self.log_in(tag, cx),
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
            (State::AllSent { asked_for }, _) if begins(line, b"+") && asked_for < LITERALS => {
                self.state = State::AllSent { asked_for: asked_for + 1 };
                self.keep_untagged(reply, line);
                Move::Proceed
            }
            (State::AuthenticateSent, Proof::Token(token)) if begins(line, b"+") => {
                let next = token.go_on();
                self.keep_untagged(reply, line);
                next
            }
            (State::PasswordSent | State::AllSent { .. }, _) if is_ok(line, tag) => self.welcome(reply),
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

    /// RFC 3501 section 6.2.1: what the server offers is asked anew, where anything depends on it.
    fn on_secured(&mut self, dialect: &Imap, cx: &Context<'_>) -> Move {
        match self.proof {
            Proof::Password(_) if cx.policy.backend.pipelining => {
                self.state = State::CapabilitySent;
                Move::Say(Activity::SendingCapability, one_line(&[dialect.tag(), b" CAPABILITY"]).into())
            }
            Proof::Password(_) | Proof::Token(_) => self.log_in(dialect.tag(), cx),
        }
    }

    fn without_tag<'a>(&self, line: &'a [u8], dialect: &Imap) -> &'a [u8] {
        result(line, dialect.tag()).unwrap_or(line)
    }
}

impl Login {
    fn log_in(&mut self, tag: &[u8], cx: &Context<'_>) -> Move {
        let offers = self.offers;
        let in_one_step = |password: &Secret| {
            cx.policy.backend.pipelining
                && offers.takes_literal(self.login.len())
                && offers.takes_literal(password.len())
        };
        match &mut self.proof {
            Proof::Password(password) if in_one_step(password) => {
                let password = core::mem::take(password);
                self.state = State::AllSent { asked_for: 0 };
                let announcements =
                    [self.login.len(), password.len()].map(|bytes| format!(" {{{bytes}+}}\r\n"));
                let [of_login, of_password] = announcements.each_ref().map(String::as_bytes);
                let parts = [tag, b" LOGIN", of_login, &self.login, of_password, password.expose()];
                Move::Say(Activity::SendingLogin, secret_line(&parts))
            }
            Proof::Password(_) => {
                self.state = State::LoginSent;
                let announcement = format!(" LOGIN {{{}}}", self.login.len());
                Move::Say(Activity::SendingLogin, one_line(&[tag, announcement.as_bytes()]).into())
            }
            Proof::Token(token) => {
                self.state = State::AuthenticateSent;
                let bytes_max = if offers.initial_response { usize::MAX } else { 0 };
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

/// The tagged OK: the tag exactly as sent, the word in any case (divergences D13).
fn is_ok(line: &[u8], tag: &[u8]) -> bool {
    result(line, tag).is_some_and(|rest| says(rest, b"OK"))
}

/// What a tagged line says behind its tag.
fn result<'a>(line: &'a [u8], tag: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(tag)?.strip_prefix(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal_bytes_max(line: &str) -> Option<usize> {
        Offers::of(line.as_bytes()).literal_bytes_max
    }

    #[test]
    fn a_login_in_one_step_is_offered_by_a_capability_alone() {
        assert_eq!(
            literal_bytes_max("* OK [CAPABILITY IMAP4rev1 LITERAL+ IDLE] hello\r\n"),
            Some(usize::MAX)
        );
        assert_eq!(literal_bytes_max("* ok [capability literal+] hello\n"), Some(usize::MAX));
        assert_eq!(literal_bytes_max("* CAPABILITY IMAP4rev1 LITERAL+\r\n"), Some(usize::MAX));
        assert_eq!(literal_bytes_max("* OK [CAPABILITY LITERAL-] hello\r\n"), Some(4096));
        assert_eq!(literal_bytes_max("* OK [CAPABILITY LITERAL- LITERAL+] hello\r\n"), Some(usize::MAX));
        for line in [
            "* OK hello LITERAL+\r\n",
            "* OK [CAPABILITY IMAP4rev1] LITERAL+ \r\n",
            "* OK [CAPABILITY LITERAL+X XLITERAL+ LITERAL] hello\r\n",
            "* OK [ALERT LITERAL+] hello\r\n",
            "* OK [CAPABILITY LITERAL+ LOGINDISABLED] hello\r\n",
            "* CAPABILITY LITERAL- LOGINDISABLED\r\n",
            "* LIST LITERAL+\r\n",
            "* OK",
            "",
        ] {
            assert_eq!(literal_bytes_max(line), None, "{line:?}");
        }
    }
}
