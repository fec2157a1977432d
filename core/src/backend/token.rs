//! A token on its way to a backend (`proxy_oauth`): the same steps in each protocol (RFC 7628 section 3, RFC 4422 section 3).

use super::{Move, secret_line};
use crate::dialect::line as one_line;
use crate::policy::Mechanism;
use crate::report::{Activity, AuthFault};
use crate::sasl::{self, oauth};
use crate::secret::Secret;

/// A token, and whether the backend has it.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Token {
    mechanism: Mechanism,
    /// What to tell, in base64. Nothing once it is told.
    message: Option<Secret>,
    /// Whether the backend has said why it refuses the token, and was answered.
    refused: bool,
}

impl Token {
    /// Of `login`, as `mechanism` writes it.
    ///
    /// # Errors
    ///
    /// A name or a token that has no place in such a message.
    pub(crate) fn new(mechanism: Mechanism, login: &[u8], token: &Secret) -> Result<Self, AuthFault> {
        let message = oauth::message(mechanism, login, token.expose())?;
        Ok(Self { mechanism, message: Some(message), refused: false })
    }

    /// Begins the exchange by `command`. The token goes with it if the line is then no longer than `bytes_max`, line end included:
    /// 0 where the backend may not expect it there.
    pub(crate) fn announce(&mut self, command: &[&[u8]], bytes_max: usize) -> Move {
        let mut line = command.to_vec();
        line.extend([b" ".as_slice(), sasl::name(self.mechanism).as_bytes()]);
        let bytes = line.iter().map(|part| part.len()).sum::<usize>() + 3;
        let initial = self.message.take_if(|message| bytes.saturating_add(message.len()) <= bytes_max);
        Move::Say(
            Activity::SendingAuth,
            match &initial {
                None => one_line(&line).into(),
                Some(message) => {
                    line.extend([b" ", message.expose()]);
                    secret_line(&line)
                }
            },
        )
    }

    /// Whether the backend has the token and has said nothing against it. Whoever says before that somebody is in does not know who.
    pub(crate) const fn is_given(&self) -> bool {
        self.message.is_none() && !self.refused
    }

    /// The backend asks for more: the token if it does not have it. If it has, it has just said why it refuses it, which it takes an
    /// answer to do in so many words.
    pub(crate) fn go_on(&mut self) -> Move {
        match self.message.take() {
            Some(message) => Move::Say(Activity::SendingAuth, secret_line(&[message.expose()])),
            None if self.refused => Move::Refuse,
            None => {
                self.refused = true;
                Move::Say(Activity::SendingAuth, one_line(&[oauth::excuse(self.mechanism)]).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    fn token(mechanism: Mechanism) -> Token {
        Token::new(mechanism, b"fred", &Secret::from(&b"hunter2"[..])).unwrap()
    }

    fn said(next: Move) -> Option<String> {
        match next {
            Move::Say(Activity::SendingAuth, words) => {
                Some(core::str::from_utf8(words.expose()).unwrap().to_string())
            }
            Move::Refuse => None,
            other => panic!("{other:?}"),
        }
    }

    const MESSAGE: &str = "dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==";

    #[test]
    fn a_token_is_told_once_and_a_refusal_is_answered_once() {
        let mut token = token(Mechanism::XOauth2);
        assert_eq!(said(token.announce(&[b"a AUTHENTICATE"], 0)).unwrap(), "a AUTHENTICATE XOAUTH2\r\n");
        assert!(!token.is_given());
        assert_eq!(said(token.go_on()).unwrap(), alloc::format!("{MESSAGE}\r\n"));
        assert!(token.is_given());
        assert_eq!(said(token.go_on()).unwrap(), "\r\n");
        assert!(!token.is_given());
        assert_eq!(said(token.go_on()), None);
    }

    #[test]
    fn a_token_goes_with_the_command_where_the_line_may_be_that_long() {
        let whole = alloc::format!("AUTH XOAUTH2 {MESSAGE}\r\n");
        for (bytes_max, line) in [(whole.len(), whole.as_str()), (whole.len() - 1, "AUTH XOAUTH2\r\n")] {
            assert_eq!(said(token(Mechanism::XOauth2).announce(&[b"AUTH"], bytes_max)).unwrap(), line);
        }
        let mut token = token(Mechanism::OauthBearer);
        assert!(said(token.announce(&[b"AUTH"], usize::MAX)).unwrap().starts_with("AUTH OAUTHBEARER bixh"));
        assert_eq!(said(token.go_on()).unwrap(), "AQ==\r\n");
        assert_eq!(said(token.go_on()), None);
    }
}
