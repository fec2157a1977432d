//! POP3 commands of the AUTHORIZATION state (RFC 1939, RFC 2449, RFC 2595 section 4, RFC 5034).

use crate::framing::without_line_end;
use crate::grammar::{SyntaxError, cut, words};

/// A command of the AUTHORIZATION state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// The name may hold spaces; those around it are not part of it.
    User(&'a [u8]),
    /// Everything behind the first space, further spaces included (RFC 1939 section 7).
    Pass(&'a [u8]),
    Apop {
        user: &'a [u8],
        digest: &'a [u8],
    },
    /// AUTH without a mechanism asks for the list of them.
    Mechanisms,
    Auth {
        mechanism: &'a [u8],
        initial: Option<&'a [u8]>,
    },
    Capa,
    Stls,
    Noop,
    Quit,
    /// A command that is only for the TRANSACTION state, or one that nobody offers here.
    Later,
}

const LATER: [&str; 9] = ["STAT", "LIST", "RETR", "DELE", "RSET", "TOP", "UIDL", "UTF8", "LANG"];

impl<'a> Command<'a> {
    /// A whole line. Keywords are case-insensitive, arguments kept as sent.
    pub(crate) fn parse(frame: &'a [u8]) -> Result<Self, SyntaxError> {
        let line = without_line_end(frame);
        if line.iter().any(|&octet| octet.is_ascii_control()) {
            return Err(SyntaxError::Control); // RFC 1939 section 3: printable arguments; a CR not before LF too
        }
        let (word, rest) = cut(line, b' ');
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("USER") {
            some(rest.map(<[u8]>::trim_ascii)).map(Self::User)
        } else if is("PASS") {
            some(rest).map(Self::Pass)
        } else if is("APOP") {
            let mut arguments = words(rest.unwrap_or_default());
            match (arguments.next(), arguments.next(), arguments.next()) {
                (Some(user), Some(digest), None) => Ok(Self::Apop { user, digest }),
                _ => Err(SyntaxError::Arguments),
            }
        } else if is("AUTH") {
            let mut arguments = words(rest.unwrap_or_default());
            match (arguments.next(), arguments.next(), arguments.next()) {
                (None, ..) => Ok(Self::Mechanisms),
                (Some(mechanism), initial, None) => Ok(Self::Auth { mechanism, initial }),
                _ => Err(SyntaxError::Arguments),
            }
        } else if is("CAPA") {
            Ok(Self::Capa)
        } else if is("STLS") {
            none(rest).map(|()| Self::Stls)
        } else if is("NOOP") {
            none(rest).map(|()| Self::Noop)
        } else if is("QUIT") {
            none(rest).map(|()| Self::Quit)
        } else if LATER.iter().any(|name| is(name)) {
            Ok(Self::Later)
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
        matches!(self, Self::User(_) | Self::Pass(_) | Self::Apop { .. } | Self::Auth { .. })
    }
}

fn some(argument: Option<&[u8]>) -> Result<&[u8], SyntaxError> {
    argument.filter(|argument| !argument.is_empty()).ok_or(SyntaxError::Arguments)
}

fn none(argument: Option<&[u8]>) -> Result<(), SyntaxError> {
    match words(argument.unwrap_or_default()).next() {
        None => Ok(()),
        Some(_) => Err(SyntaxError::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_begins_behind_the_first_space_and_ends_at_the_line_end() {
        assert_eq!(Command::parse(b"PASS  two spaces \r\n"), Ok(Command::Pass(b" two spaces ")));
        assert_eq!(Command::parse(b"pass hunter2\n"), Ok(Command::Pass(b"hunter2")));
        assert_eq!(Command::parse(b"USER  john doe \r\n"), Ok(Command::User(b"john doe")));
        assert_eq!(Command::parse("USER jörg\r\n".as_bytes()), Ok(Command::User("jörg".as_bytes())));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for (line, error) in [
            ("PASS\r\n", SyntaxError::Arguments),
            ("PASS \r\n", SyntaxError::Arguments),
            ("USER \r\n", SyntaxError::Arguments),
            ("APOP u\r\n", SyntaxError::Arguments),
            ("APOP u d x\r\n", SyntaxError::Arguments),
            ("AUTH PLAIN x y\r\n", SyntaxError::Arguments),
            ("STLS x\r\n", SyntaxError::Arguments),
            ("QUIT x\r\n", SyntaxError::Arguments),
            ("XTND\r\n", SyntaxError::UnknownCommand),
            ("\r\n", SyntaxError::UnknownCommand),
            (" QUIT\r\n", SyntaxError::UnknownCommand),
            ("USER a\0b\r\n", SyntaxError::Control),
            ("QUIT\rQUIT\r\n", SyntaxError::Control),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Err(error), "{line:?}");
        }
    }

    #[test]
    fn the_other_commands() {
        assert_eq!(Command::parse(b"AUTH\r\n"), Ok(Command::Mechanisms));
        assert_eq!(
            Command::parse(b"auth plain\r\n"),
            Ok(Command::Auth { mechanism: b"plain", initial: None })
        );
        assert_eq!(
            Command::parse(b"AUTH PLAIN =\r\n"),
            Ok(Command::Auth { mechanism: b"PLAIN", initial: Some(b"=") })
        );
        assert_eq!(Command::parse(b"CAPA anything\r\n"), Ok(Command::Capa));
        assert_eq!(Command::parse(b"UTF8\r\n"), Ok(Command::Later));
        assert_eq!(Command::parse(b"LIST 1\r\n"), Ok(Command::Later));
        assert_eq!(Command::parse(b"NOOP \r\n"), Ok(Command::Noop));
    }
}
