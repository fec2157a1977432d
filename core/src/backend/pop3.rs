//! USER and PASS, whatever the client used (K10).

use alloc::sync::Arc;

use bytes::Bytes;

use super::{Account, Dialogue, Move, begins, secret_line};
use crate::dialect::line as one_line;
use crate::dialect::pop3::Pop3;
use crate::phase::Context;
use crate::report::{Activity, AuthFault, Notice};
use crate::secret::Secret;

/// A login at a POP3 server.
#[derive(Debug)]
pub(crate) struct Login {
    state: State,
    login: Arc<[u8]>,
    password: Secret,
    starttls: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Greeting,
    StlsSent,
    UserSent,
    PassSent,
}

impl Dialogue<Pop3> for Login {
    fn begin(account: Account, _: &Pop3, _: &Context<'_>) -> Result<Self, Notice> {
        let Account { login, password, auth_server, starttls, .. } = account;
        let password =
            password.ok_or(Notice::AuthAnswer { server: auth_server, fault: AuthFault::NoPassword })?;
        Ok(Self { state: State::Greeting, login, password, starttls })
    }

    fn on_line(&mut self, reply: &[u8], line: &[u8], _: &Pop3, _: &Context<'_>) -> Move {
        if !begins(line, b"+OK") {
            return Move::Refuse;
        }
        match self.state {
            State::Greeting if self.starttls => {
                self.state = State::StlsSent;
                Move::Say(Activity::SendingStartTls, one_line(&[b"STLS"]).into())
            }
            State::Greeting => self.log_in(),
            State::StlsSent => Move::Upgrade,
            State::UserSent => {
                self.state = State::PassSent;
                let password = core::mem::take(&mut self.password);
                Move::Say(Activity::SendingPassword, secret_line(&[b"PASS ", password.expose()]))
            }
            State::PassSent => Move::Welcome(Bytes::copy_from_slice(reply)),
        }
    }

    /// POP-027: codes that the operator promised (RFC 2449 section 8.1, RFC 3206 section 4) tell what the maildrop is like.
    fn is_for_the_client(&self, line: &[u8], cx: &Context<'_>) -> bool {
        const CODES: [&[u8]; 3] = [b"-ERR [IN-USE]", b"-ERR [LOGIN-DELAY]", b"-ERR [SYS/"];
        Pop3::promises(cx, "RESP-CODES") && CODES.iter().any(|code| begins(line, code))
    }

    fn on_secured(&mut self, _: &Pop3, _: &Context<'_>) -> Move {
        self.log_in()
    }
}

impl Login {
    fn log_in(&mut self) -> Move {
        self.state = State::UserSent;
        Move::Say(Activity::SendingUser, one_line(&[b"USER ", &self.login]).into())
    }
}
