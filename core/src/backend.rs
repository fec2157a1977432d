//! Logging in at the backend on the client's behalf (backend.md sections 3 and 4): a dialogue a protocol, each told the backend's lines one by one.

#[cfg(feature = "imap")]
pub(crate) mod imap;
#[cfg(feature = "pop3")]
pub(crate) mod pop3;
#[cfg(feature = "smtp")]
pub(crate) mod smtp;
pub(crate) mod token;

use alloc::sync::Arc;

use bytes::Bytes;

use crate::phase::Context;
use crate::report::{Activity, AuthFault, Notice};
use crate::secret::{Payload, Secret};
use crate::wire::Address;

use token::Token;

/// As whom to log in.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Account {
    pub(crate) login: Arc<[u8]>,
    /// None if neither the client nor the auth server gave one.
    pub(crate) proof: Option<Proof>,
    /// Whether there is nobody to log in: mail is passed on without it.
    pub(crate) unauthenticated: bool,
    /// Whether STARTTLS comes before anything secret.
    pub(crate) starttls: bool,
    /// Who vouches for it, for the log. Nobody does where the backend alone decides.
    pub(crate) auth_server: Option<Address>,
}

impl Account {
    /// The log line for a proof that is not there.
    fn unproven(auth_server: Option<Address>) -> Notice {
        match auth_server {
            Some(server) => Notice::AuthAnswer { server, fault: AuthFault::NoPassword },
            None => Notice::NoPassword,
        }
    }
}

/// What shows a backend that it is them.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) enum Proof {
    Password(Secret),
    Token(Token),
}

/// The login dialogue of one protocol. It begins in silence: the backend speaks first.
pub(crate) trait Dialogue<D>: Sized + core::fmt::Debug {
    /// Refused, with the log line that says why, if the account lacks what this backend will ask for.
    fn begin(account: Account, dialect: &D, cx: &Context<'_>) -> Result<Self, Notice>;

    /// Begins anew at another backend. Nothing that only one may hear has been said: this one has been greeted, and asked for
    /// TLS, at most.
    fn restart(&mut self);

    /// Takes the backend's next line. `reply` is everything it has said since it was last spoken to, and ends with `line`; both
    /// with their line ends, CRLF or LF.
    fn on_line(&mut self, reply: &[u8], line: &[u8], dialect: &D, cx: &Context<'_>) -> Move;

    /// Whether a refusal is one that the client is shown whatever the policy: it says something of the mailbox, not of us.
    fn is_for_the_client(&self, _line: &[u8], _cx: &Context<'_>) -> bool {
        false
    }

    /// Whether this line, which led to [`Move::Refuse`], is how a server of this protocol turns a client away at its greeting.
    fn is_turned_away(&self, line: &[u8]) -> bool;

    /// TLS is up after [`Move::Upgrade`]: what to say next. Nothing heard before counts any more.
    fn on_secured(&mut self, dialect: &D, cx: &Context<'_>) -> Move;

    /// What of a refused line the log shows: nginx cuts the tag off.
    fn without_tag<'a>(&self, line: &'a [u8], _dialect: &D) -> &'a [u8] {
        line
    }
}

/// What comes of a backend's line.
#[derive(Debug)]
pub(crate) enum Move {
    /// More of the reply has to come.
    Await,
    /// What has come so far is dealt with, and of no interest to the client. There is nothing to say to it, and more has to come.
    Proceed,
    /// The next thing to say.
    Say(Activity, Payload),
    /// The backend agrees to STARTTLS.
    Upgrade,
    /// The client is in. It hears this; what the backend sent behind `line` comes after it.
    Welcome(Bytes),
    /// This goes no further.
    Refuse,
}

/// Whether `line` begins with `word` in any case.
pub(crate) fn begins(line: &[u8], word: &[u8]) -> bool {
    line.get(..word.len()).is_some_and(|front| front.eq_ignore_ascii_case(word))
}

/// Like [`begins`], where the word must end there: a space or the line's end follows.
pub(crate) fn says(line: &[u8], word: &[u8]) -> bool {
    begins(line, word) && matches!(line.get(word.len()), None | Some(b' ' | b'\r' | b'\n'))
}

/// One line that holds a secret.
pub(crate) fn secret_line(parts: &[&[u8]]) -> Payload {
    let mut octets = Secret::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 2);
    for part in parts {
        octets.extend(part);
    }
    octets.extend(b"\r\n");
    octets.into()
}
