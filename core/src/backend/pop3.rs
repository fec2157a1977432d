//! USER and PASS, whatever the client used (K10), or AUTH for a token.

use alloc::sync::Arc;

use bytes::Bytes;

use super::{Account, Dialogue, Move, Proof, begins, says, secret_line};
use crate::dialect::line as one_line;
use crate::dialect::pop3::Pop3;
use crate::phase::Context;
use crate::report::{Activity, Notice};

/// A login at a POP3 server.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Login {
    state: State,
    login: Arc<[u8]>,
    proof: Proof,
    starttls: bool,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
enum State {
    Greeting,
    StlsSent,
    UserSent,
    PassSent,
    AuthSent,
}

impl Dialogue<Pop3> for Login {
    fn begin(account: Account, _: &Pop3, _: &Context<'_>) -> Result<Self, Notice> {
        let Account { login, proof, auth_server, starttls, .. } = account;
        let proof = proof.ok_or_else(|| Account::unproven(auth_server))?;
        Ok(Self { state: State::Greeting, login, proof, starttls })
    }

    fn restart(&mut self) {
        self.state = State::Greeting;
    }

    fn on_line(&mut self, reply: &[u8], line: &[u8], _: &Pop3, _: &Context<'_>) -> Move {
        if let (State::AuthSent, Proof::Token(token)) = (self.state, &mut self.proof) {
            return match begins(line, b"+OK") {
                true if token.is_given() => Move::Welcome(Bytes::copy_from_slice(reply)),
                false if says(line, b"+") => token.go_on(),
                _ => Move::Refuse,
            };
        }
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
            State::UserSent => self.give_password(),
            State::PassSent => Move::Welcome(Bytes::copy_from_slice(reply)),
            State::AuthSent => Move::Refuse,
        }
    }

    /// POP-027: codes that the operator promised (RFC 2449 section 8.1, RFC 3206 section 4) tell what the maildrop is like.
    fn is_for_the_client(&self, line: &[u8], cx: &Context<'_>) -> bool {
        const CODES: [&[u8]; 3] = [b"-ERR [IN-USE]", b"-ERR [LOGIN-DELAY]", b"-ERR [SYS/"];
        Pop3::promises(cx, "RESP-CODES") && CODES.iter().any(|code| begins(line, code))
    }

    /// RFC 1939 section 3, which knows no other way to say no.
    fn is_turned_away(&self, line: &[u8]) -> bool {
        matches!(self.state, State::Greeting) && says(line, b"-ERR")
    }

    fn on_secured(&mut self, _: &Pop3, _: &Context<'_>) -> Move {
        self.log_in()
    }
}

impl Login {
    fn log_in(&mut self) -> Move {
        match &mut self.proof {
            Proof::Password(_) => {
                self.state = State::UserSent;
                Move::Say(Activity::SendingUser, one_line(&[b"USER ", &self.login]).into())
            }
            // Tokens are longer than the line that a server is bound to take one in (RFC 5034 section 4).
            Proof::Token(token) => {
                self.state = State::AuthSent;
                token.announce(&[b"AUTH"], 0)
            }
        }
    }

    fn give_password(&mut self) -> Move {
        let Proof::Password(password) = &mut self.proof else { return Move::Refuse };
        let password = core::mem::take(password);
        self.state = State::PassSent;
        Move::Say(Activity::SendingPassword, secret_line(&[b"PASS ", password.expose()]))
    }
}
