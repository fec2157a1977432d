//! SMTP commands before the relay (RFC 5321 section 4.1, RFC 3207, RFC 4954, RFC 3030).

use crate::framing::without_line_end;
use crate::grammar::{SyntaxError, cut, words};
use crate::limits::HELO_BYTES_MAX;

/// A command before the relay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Helo(&'a [u8]),
    Ehlo(&'a [u8]),
    StartTls,
    Auth {
        mechanism: &'a [u8],
        initial: Option<&'a [u8]>,
    },
    /// The whole line, without trailing spaces: it is shown to the auth server and the backend as typed.
    Mail(&'a [u8]),
    /// Likewise.
    Rcpt(&'a [u8]),
    Data,
    /// So many octets follow, whatever the answer (RFC 3030 section 2); none if nobody can tell how many.
    Bdat(Option<u64>),
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
}

impl<'a> Command<'a> {
    /// A whole line. Verbs are case-insensitive, arguments kept as sent.
    pub(crate) fn parse(frame: &'a [u8]) -> Result<Self, SyntaxError> {
        let line = without_line_end(frame);
        if line.contains(&b'\r') {
            return Err(SyntaxError::UnknownCommand); // RFC 5321 section 2.3.8: a bare CR makes no line
        }
        let line = line.trim_ascii_end();
        let (word, rest) = cut(line, b' ');
        let mut arguments = words(rest.unwrap_or_default());
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        // Each of these ends up in a line of the auth request or the backend's dialogue (divergences S2).
        let fit = match line.iter().any(u8::is_ascii_control) {
            true => Err(SyntaxError::Control),
            false => Ok(()),
        };
        if is("HELO") {
            fit.and_then(|()| name(arguments.next())).map(Self::Helo)
        } else if is("EHLO") {
            fit.and_then(|()| name(arguments.next())).map(Self::Ehlo)
        } else if is("STARTTLS") {
            none(arguments.next()).map(|()| Self::StartTls)
        } else if is("AUTH") {
            match (arguments.next(), arguments.next(), arguments.next()) {
                (Some(mechanism), initial, None) => Ok(Self::Auth { mechanism, initial }),
                _ => Err(SyntaxError::Arguments),
            }
        } else if is("MAIL") {
            some(arguments.next()).and(fit).map(|()| Self::Mail(line))
        } else if is("RCPT") {
            some(arguments.next()).and(fit).map(|()| Self::Rcpt(line))
        } else if is("DATA") {
            Ok(Self::Data)
        } else if is("BDAT") {
            Ok(Self::Bdat(arguments.next().and_then(decimal)))
        } else if is("RSET") {
            none(arguments.next()).map(|()| Self::Rset)
        } else if is("NOOP") {
            Ok(Self::Noop)
        } else if is("VRFY") {
            Ok(Self::Vrfy)
        } else if is("EXPN") {
            Ok(Self::Expn)
        } else if is("HELP") {
            Ok(Self::Help)
        } else if is("QUIT") {
            Ok(Self::Quit)
        } else {
            Err(SyntaxError::UnknownCommand)
        }
    }

    /// Whether there is a command of this word, whatever else it takes.
    pub(crate) fn knows(word: &'a [u8]) -> bool {
        Self::parse(word) != Err(SyntaxError::UnknownCommand)
    }

    /// Whether it carries, or begins, a secret.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self, Self::Auth { .. })
    }

    /// Whether it begins or goes on with a mail transaction.
    pub(crate) const fn is_envelope(&self) -> bool {
        matches!(self, Self::Mail(_) | Self::Rcpt(_))
    }
}

/// A HELO or EHLO name: anything printable in ASCII, for clients call themselves all sorts of things.
fn name(argument: Option<&[u8]>) -> Result<&[u8], SyntaxError> {
    let argument = argument.ok_or(SyntaxError::Arguments)?;
    match argument.len() <= HELO_BYTES_MAX && argument.iter().all(u8::is_ascii_graphic) {
        true => Ok(argument),
        false => Err(SyntaxError::Arguments),
    }
}

/// Digits and nothing else.
fn decimal(digits: &[u8]) -> Option<u64> {
    core::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?
        .parse()
        .ok()
}

fn some(argument: Option<&[u8]>) -> Result<(), SyntaxError> {
    argument.map(|_| ()).ok_or(SyntaxError::Arguments)
}

fn none(argument: Option<&[u8]>) -> Result<(), SyntaxError> {
    match argument {
        None => Ok(()),
        Some(_) => Err(SyntaxError::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_printable_word_and_what_follows_is_let_go() {
        assert_eq!(Command::parse(b"EHLO c.test\r\n"), Ok(Command::Ehlo(b"c.test")));
        assert_eq!(Command::parse(b"helo  c_test \t\r\n"), Ok(Command::Helo(b"c_test")));
        assert_eq!(Command::parse(b"EHLO [10.0.0.1] printer-3\r\n"), Ok(Command::Ehlo(b"[10.0.0.1]")));
        let long = alloc::format!("EHLO {}\r\n", "x".repeat(256));
        for line in ["EHLO\r\n", "EHLO \r\n", "EHLO \u{f6}\r\n", "EHLO a\0b\r\n", &long] {
            assert!(Command::parse(line.as_bytes()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn mail_and_rcpt_are_kept_as_typed() {
        assert_eq!(
            Command::parse(b"Mail  From:<a@b> SIZE=1  \r\n"),
            Ok(Command::Mail(b"Mail  From:<a@b> SIZE=1"))
        );
        assert_eq!(Command::parse(b"RCPT TO:<c@d>\n"), Ok(Command::Rcpt(b"RCPT TO:<c@d>")));
        assert_eq!(Command::parse(b"RCPT\r\n"), Err(SyntaxError::Arguments));
        assert_eq!(Command::parse(b"MAIL FROM:<a\x01@b>\r\n"), Err(SyntaxError::Control));
    }

    #[test]
    fn the_other_commands() {
        assert_eq!(
            Command::parse(b"AUTH LOGIN\r\n"),
            Ok(Command::Auth { mechanism: b"LOGIN", initial: None })
        );
        assert_eq!(
            Command::parse(b"AUTH  PLAIN  AHU=\r\n"),
            Ok(Command::Auth { mechanism: b"PLAIN", initial: Some(b"AHU=") })
        );
        assert_eq!(Command::parse(b"AUTH\r\n"), Err(SyntaxError::Arguments));
        assert_eq!(Command::parse(b"AUTH PLAIN x y\r\n"), Err(SyntaxError::Arguments));
        assert_eq!(Command::parse(b"BDAT 86 LAST\r\n"), Ok(Command::Bdat(Some(86))));
        for line in ["BDAT\r\n", "BDAT x\r\n", "BDAT +9\r\n", "BDAT 99999999999999999999\r\n"] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(Command::Bdat(None)), "{line:?}");
        }
        assert_eq!(Command::parse(b"STARTTLS x\r\n"), Err(SyntaxError::Arguments));
        assert_eq!(Command::parse(b"NOOP a b c\r\n"), Ok(Command::Noop));
        assert_eq!(Command::parse(b"NOOP\rNOOP\r\n"), Err(SyntaxError::UnknownCommand));
        for line in ["XCLIENT ADDR=1\r\n", "\r\n", " NOOP\r\n", "NOOPX\r\n"] {
            assert_eq!(Command::parse(line.as_bytes()), Err(SyntaxError::UnknownCommand));
        }
    }
}
