//! LOGIN with two synchronising literals and the client's own tag (K10): the only form that carries any octet to any server.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Account, Dialogue, Move, begins, says, secret_line};
use crate::dialect::imap::Imap;
use crate::dialect::line as one_line;
use crate::phase::Context;
use crate::report::{Activity, AuthFault, Notice};
use crate::secret::Secret;

/// A login at an IMAP server.
#[derive(Debug)]
pub(crate) struct Login {
    state: State,
    login: Arc<[u8]>,
    password: Secret,
    /// What the server said in between, for the client to hear in the end (RFC 9051 section 2.2.2).
    untagged: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Greeting,
    LoginSent,
    UserSent,
    PasswordSent,
}

impl Dialogue<Imap> for Login {
    fn begin(account: Account, _: &Imap, _: &Context<'_>) -> Result<Self, Notice> {
        let Account { login, password, auth_server, .. } = account;
        let password =
            password.ok_or(Notice::AuthAnswer { server: auth_server, fault: AuthFault::NoPassword })?;
        Ok(Self { state: State::Greeting, login, password, untagged: Vec::new() })
    }

    fn on_line(&mut self, reply: &[u8], line: &[u8], dialect: &Imap, _: &Context<'_>) -> Move {
        let tag = dialect.tag();
        match self.state {
            State::Greeting if says(line, b"* OK") => {
                self.state = State::LoginSent;
                let announcement = format!(" LOGIN {{{}}}", self.login.len());
                Move::Say(Activity::SendingLogin, one_line(&[tag, announcement.as_bytes()]).into())
            }
            State::Greeting => Move::Refuse,
            _ if begins(line, b"* ") && !says(line, b"* BYE") => Move::Await,
            State::LoginSent if begins(line, b"+") => {
                self.keep_untagged(reply, line);
                self.state = State::UserSent;
                let announcement = format!(" {{{}}}", self.password.len());
                Move::Say(Activity::SendingUser, one_line(&[&self.login, announcement.as_bytes()]).into())
            }
            State::UserSent if begins(line, b"+") => {
                self.keep_untagged(reply, line);
                self.state = State::PasswordSent;
                let password = core::mem::take(&mut self.password);
                Move::Say(Activity::SendingPassword, secret_line(&[password.expose()]))
            }
            State::PasswordSent if is_ok(line, tag) => {
                self.untagged.extend_from_slice(reply);
                Move::Welcome(core::mem::take(&mut self.untagged).into())
            }
            _ => Move::Refuse,
        }
    }

    fn without_tag<'a>(&self, line: &'a [u8], dialect: &Imap) -> &'a [u8] {
        line.strip_prefix(dialect.tag()).and_then(|rest| rest.strip_prefix(b" ")).unwrap_or(line)
    }
}

impl Login {
    /// Keeps what came before the `+` that ends `reply`.
    fn keep_untagged(&mut self, reply: &[u8], plus: &[u8]) {
        self.untagged.extend_from_slice(reply.strip_suffix(plus).unwrap_or_default());
    }
}

/// The tagged OK: the tag exactly as sent, the word in any case (divergences D13).
fn is_ok(line: &[u8], tag: &[u8]) -> bool {
    line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(b" ")).is_some_and(|rest| says(rest, b"OK"))
}
