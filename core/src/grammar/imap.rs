//! IMAP commands before login (RFC 3501 section 9, RFC 9051 section 9), with what deployed clients send beyond it: runs of spaces,
//! `%`, `*`, `\` and 8-bit octets in unquoted arguments.

use crate::framing::without_line_end;
use crate::grammar::{SyntaxError, cut, letters};
use crate::limits::TAG_BYTES_MAX;
use crate::secret::Secret;

/// A command of the not-authenticated state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Capability,
    Noop,
    Logout,
    /// RFC 2971. What the client tells of itself is read and let go.
    Id,
    StartTls,
    Login {
        user: Argument<'a>,
        password: Argument<'a>,
    },
    Authenticate {
        mechanism: &'a [u8],
        initial: Option<&'a [u8]>,
    },
    /// A command that is only for later states.
    Later,
}

/// An argument as it was meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Argument<'a> {
    /// As sent.
    Verbatim(&'a [u8]),
    /// Quoted, with escapes resolved.
    Unescaped(Secret),
}

impl Argument<'_> {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Verbatim(octets) => octets,
            Self::Unescaped(octets) => octets.expose(),
        }
    }
}

const LATER: [&str; 32] = [
    "APPEND",
    "CHECK",
    "CLOSE",
    "COMPRESS",
    "COPY",
    "CREATE",
    "DELETE",
    "DELETEACL",
    "ENABLE",
    "EXAMINE",
    "EXPUNGE",
    "FETCH",
    "GETACL",
    "GETMETADATA",
    "GETQUOTA",
    "GETQUOTAROOT",
    "IDLE",
    "LIST",
    "LSUB",
    "MOVE",
    "MYRIGHTS",
    "NAMESPACE",
    "RENAME",
    "SEARCH",
    "SELECT",
    "SORT",
    "STATUS",
    "STORE",
    "SUBSCRIBE",
    "UID",
    "UNSELECT",
    "UNSUBSCRIBE",
];

impl<'a> Command<'a> {
    /// A whole frame: its tag if it has one, and the command.
    pub(crate) fn parse(frame: &'a [u8]) -> (Option<&'a [u8]>, Result<Self, SyntaxError>) {
        match tag(frame) {
            Some((tag, rest)) => (Some(tag), Self::parse_behind_tag(rest)),
            None => (None, Err(SyntaxError::NoTag)),
        }
    }

    fn parse_behind_tag(rest: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut rest = Rest(rest).skip_spaces();
        let word = letters(rest.0);
        rest = rest.behind(word.len());
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if rest.0.contains(&0) {
            return Err(SyntaxError::Control); // RFC 3501 section 9 note 3: NUL nowhere
        }
        if is("CAPABILITY") {
            rest.end().map(|()| Self::Capability)
        } else if is("NOOP") {
            rest.end().map(|()| Self::Noop)
        } else if is("LOGOUT") {
            rest.end().map(|()| Self::Logout)
        } else if is("STARTTLS") {
            rest.end().map(|()| Self::StartTls)
        } else if is("LOGIN") {
            let (user, rest) = rest.space()?.astring()?;
            let (password, rest) = rest.space()?.astring()?;
            rest.end().map(|()| Self::Login { user, password })
        } else if is("AUTHENTICATE") {
            let (mechanism, rest) = rest.space()?.bare()?;
            match rest.end() {
                Ok(()) => Ok(Self::Authenticate { mechanism, initial: None }),
                Err(_) => {
                    let (initial, rest) = rest.space()?.bare()?;
                    rest.end().map(|()| Self::Authenticate { mechanism, initial: Some(initial) })
                }
            }
        } else if is("ID") {
            rest.space()?.parameters()?.end().map(|()| Self::Id)
        } else if LATER.iter().any(|name| is(name)) {
            Ok(Self::Later)
        } else {
            Err(SyntaxError::UnknownCommand)
        }
    }

    /// Whether there is a command of this word, whatever else it takes.
    pub(crate) fn knows(word: &'a [u8]) -> bool {
        Self::parse_behind_tag(word) != Err(SyntaxError::UnknownCommand)
    }

    /// Whether it carries, or begins, a secret.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self, Self::Login { .. } | Self::Authenticate { .. })
    }
}

/// The tag, and what is behind the space that ends it: 1 to 128 of RFC 3501's ASTRING-CHAR but `+`.
pub(crate) fn tag(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = cut(without_line_end(frame), b' ');
    let well_formed = (1..=TAG_BYTES_MAX).contains(&tag.len()) && tag.iter().copied().all(is_tag_char);
    // From the frame itself: without_line_end is only for the first line of one with literals.
    let behind = frame.get(tag.len() + 1..)?;
    rest.filter(|_| well_formed).map(|_| (tag, behind))
}

const fn is_tag_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b'+')
}

/// What of an unquoted argument is taken: not what opens something else, nor controls.
const fn is_atom_char(octet: u8) -> bool {
    !octet.is_ascii_control() && !matches!(octet, b' ' | b'(' | b')' | b'{' | b'"')
}

/// What has not been read yet.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn behind(self, octets: usize) -> Self {
        Self(self.0.get(octets..).unwrap_or_default())
    }

    fn skip_spaces(self) -> Self {
        let spaces = self.0.iter().take_while(|&&octet| octet == b' ').count();
        self.behind(spaces)
    }

    /// At least one space.
    fn space(self) -> Result<Self, SyntaxError> {
        match self.0.first() {
            Some(b' ') => Ok(self.skip_spaces()),
            None => Err(SyntaxError::Unfinished),
            Some(_) => Err(SyntaxError::Arguments),
        }
    }

    /// The end of the command, trailing spaces aside.
    fn end(self) -> Result<(), SyntaxError> {
        match self.skip_spaces().0 {
            b"\r\n" | b"\n" => Ok(()),
            _ => Err(SyntaxError::Arguments),
        }
    }

    /// An atom, a quoted string or a literal.
    fn astring(self) -> Result<(Argument<'a>, Self), SyntaxError> {
        match self.0.first() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(|(octets, rest)| (Argument::Verbatim(octets), rest)),
            _ => self.bare().map(|(octets, rest)| (Argument::Verbatim(octets), rest)),
        }
    }

    /// An unquoted argument.
    fn bare(self) -> Result<(&'a [u8], Self), SyntaxError> {
        let end = self.0.iter().position(|&octet| !is_atom_char(octet)).unwrap_or(self.0.len());
        match self.0.get(..end) {
            Some(atom) if !atom.is_empty() => Ok((atom, self.behind(end))),
            _ => Err(SyntaxError::Arguments),
        }
    }

    /// RFC 3501 section 4.3: `\` stands before `"` and `\` and nothing else, and CR and LF cannot occur.
    fn quoted(self) -> Result<(Argument<'a>, Self), SyntaxError> {
        let inner = self.behind(1);
        let mut escaped = false;
        let mut octets = inner.0.iter().copied().enumerate();
        let end = loop {
            match octets.next().ok_or(SyntaxError::Arguments)? {
                (at, b'"') => break at,
                (_, b'\r' | b'\n') => return Err(SyntaxError::Arguments),
                (_, b'\\') => match octets.next() {
                    Some((_, b'"' | b'\\')) => escaped = true,
                    _ => return Err(SyntaxError::Arguments),
                },
                _ => {}
            }
        };
        let verbatim = inner.0.get(..end).unwrap_or_default();
        let argument =
            if escaped { Argument::Unescaped(unescaped(verbatim)) } else { Argument::Verbatim(verbatim) };
        Ok((argument, inner.behind(end + 1)))
    }

    /// `{n}` or `{n+}`, a line end, and n octets. The framing has seen that they are all there, or that none is.
    fn literal(self) -> Result<(&'a [u8], Self), SyntaxError> {
        let (announcement, behind) = cut(self.behind(1).0, b'}');
        let digits = announcement.strip_suffix(b"+").unwrap_or(announcement);
        let number: usize = core::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or(SyntaxError::Arguments)?;
        let number = if cfg!(planted = "literal-off-by-one") { number.saturating_sub(1) } else { number };
        let behind = behind.ok_or(SyntaxError::Arguments)?;
        let behind = behind
            .strip_prefix(b"\r\n")
            .or_else(|| behind.strip_prefix(b"\n"))
            .ok_or(SyntaxError::Arguments)?;
        match behind.get(..number) {
            Some(octets) if !behind.is_empty() => Ok((octets, Rest(behind).behind(number))),
            _ => Err(SyntaxError::Unfinished),
        }
    }

    /// `NIL`, or pairs of strings in parentheses (RFC 2971 section 4).
    fn parameters(self) -> Result<Self, SyntaxError> {
        let Some(mut rest) = self.0.strip_prefix(b"(").map(Rest) else {
            let (word, rest) = self.bare()?;
            return if word.eq_ignore_ascii_case(b"NIL") { Ok(rest) } else { Err(SyntaxError::Arguments) };
        };
        loop {
            rest = rest.skip_spaces();
            if let Some(behind) = rest.0.strip_prefix(b")") {
                return Ok(Self(behind));
            }
            (_, rest) = rest.astring()?;
        }
    }
}

/// Without the backslashes that protect something.
fn unescaped(quoted: &[u8]) -> Secret {
    let mut octets = Secret::with_capacity(quoted.len());
    let mut rest = quoted.iter();
    while let Some(octet) = rest.next() {
        let meant = if *octet == b'\\' { rest.next() } else { Some(octet) };
        octets.extend(meant.map(core::slice::from_ref).unwrap_or_default());
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn login(frame: &str) -> Option<(alloc::vec::Vec<u8>, alloc::vec::Vec<u8>)> {
        match Command::parse(frame.as_bytes()) {
            (Some(_), Ok(Command::Login { user, password })) => {
                Some((user.as_bytes().to_vec(), password.as_bytes().to_vec()))
            }
            _ => None,
        }
    }

    #[test]
    fn login_takes_atoms_quoted_strings_and_literals() {
        for frame in [
            "a LOGIN fred hunter2\r\n",
            "a  login   fred  hunter2  \n",
            "a LOGIN \"fred\" \"hunter2\"\r\n",
            "a LOGIN {4}\r\nfred {7}\r\nhunter2\r\n",
            "a LOGIN {4+}\r\nfred \"hunter2\"\r\n",
            "a LOGIN fred {7+}\nhunter2\n",
        ] {
            assert_eq!(login(frame), Some((b"fred".to_vec(), b"hunter2".to_vec())), "{frame:?}");
        }
        assert_eq!(login("a LOGIN \"a\\\"b\\\\c\" \"\"\r\n"), Some((b"a\"b\\c".to_vec(), b"".to_vec())));
        assert_eq!(login("a LOGIN j\u{f6}rg %*\\]\r\n"), Some(("j\u{f6}rg".into(), b"%*\\]".to_vec())));
        assert_eq!(login("a LOGIN {0}\r\n {0+}\r\n\r\n"), Some((b"".to_vec(), b"".to_vec())));
    }

    #[test]
    fn what_is_no_login_is_refused() {
        for frame in [
            "a LOGIN\r\n",
            "a LOGIN fred\r\n",
            "a LOGIN fred hunter2 x\r\n",
            "a LOGIN \"fred\"\"hunter2\"\r\n",
            "a LOGIN \"fred hunter2\r\n",
            "a LOGIN \"fr\\ed\" x\r\n",
            "a LOGIN (fred) x\r\n",
            "a LOGIN fr\rd x\r\n",
            "a LOGIN fred hun\0ter2\r\n",
            "a LOGIN {1+}\r\nu{1+}\r\np\r\n",
            "a LOGIN u {}\r\n",
            "a LOGIN u {1 }\r\n",
            "a LOGIN u ~{1}\r\n",
            "a LOGIN u x{1+}\r\np\r\n",
        ] {
            assert!(matches!(Command::parse(frame.as_bytes()), (Some(b"a"), Err(_))), "{frame:?}");
        }
    }

    #[test]
    fn tags_are_the_rfcs() {
        for (frame, tag) in [("A/1 NOOP\r\n", "A/1"), ("]!#:=@[} NOOP\r\n", "]!#:=@[}"), ("0 NOOP\r\n", "0")]
        {
            assert_eq!(Command::parse(frame.as_bytes()), (Some(tag.as_bytes()), Ok(Command::Noop)));
        }
        let long = alloc::format!("{} NOOP\r\n", "x".repeat(129));
        for frame in [
            "\r\n",
            " NOOP\r\n",
            "NOOP\r\n",
            "* NOOP\r\n",
            "a+ NOOP\r\n",
            "a\u{e9} NOOP\r\n",
            "a\tNOOP\r\n",
            &long,
        ] {
            assert_eq!(Command::parse(frame.as_bytes()), (None, Err(SyntaxError::NoTag)), "{frame:?}");
        }
    }

    #[test]
    fn what_is_behind_a_tag_begins_behind_its_space() {
        assert_eq!(tag(b"a1 NOOP\r\n"), Some((&b"a1"[..], &b"NOOP\r\n"[..])));
        assert_eq!(tag(b"a1  NOOP\r\n"), Some((&b"a1"[..], &b" NOOP\r\n"[..])));
        assert_eq!(tag(b"a1\r\n"), None);
    }

    #[test]
    fn a_literal_is_awaited_only_where_a_string_may_stand() {
        let unfinished = |frame: &str| Command::parse(frame.as_bytes()).1 == Err(SyntaxError::Unfinished);
        for frame in [
            "a LOGIN {4}\r\n",
            "a LOGIN {0}\r\n",
            "a LOGIN fred {7}\r\n",
            "a ID (\"name\" {3}\r\n",
            "a ID ({0}\r\n",
        ] {
            assert!(unfinished(frame), "{frame:?}");
        }
        for frame in [
            "a NOOP {4}\r\n",
            "a FOO {4}\r\n",
            "a LOGIN f p {1}\r\n",
            "a AUTHENTICATE {5}\r\n",
            "a STARTTLS {1}\r\n",
        ] {
            assert!(!unfinished(frame), "{frame:?}");
        }
    }

    #[test]
    fn the_other_commands() {
        let command = |frame: &'static str| Command::parse(frame.as_bytes()).1;
        assert_eq!(
            command("a AUTHENTICATE plain\r\n"),
            Ok(Command::Authenticate { mechanism: b"plain", initial: None })
        );
        assert_eq!(
            command("a AUTHENTICATE PLAIN AHU= \r\n"),
            Ok(Command::Authenticate { mechanism: b"PLAIN", initial: Some(b"AHU=") })
        );
        assert_eq!(command("a AUTHENTICATE PLAIN \"AHU=\"\r\n"), Err(SyntaxError::Arguments));
        assert_eq!(command("a AUTHENTICATE PLAIN x y\r\n"), Err(SyntaxError::Arguments));
        assert_eq!(command("a STARTTLS x\r\n"), Err(SyntaxError::Arguments));
        assert_eq!(command("a ID NIL\r\n"), Ok(Command::Id));
        assert_eq!(command("a ID (\"name\" \"x\" \"version\" NIL)\r\n"), Ok(Command::Id));
        assert_eq!(command("a ID ()\r\n"), Ok(Command::Id));
        assert_eq!(command("a ID (\"name\"\r\n"), Err(SyntaxError::Arguments));
        assert_eq!(command("a SELECT INBOX\r\n"), Ok(Command::Later));
        assert_eq!(command("a FOO\r\n"), Err(SyntaxError::UnknownCommand));
        assert_eq!(command("a 1\r\n"), Err(SyntaxError::UnknownCommand));
    }

    proptest::proptest! {
        /// RFC 3501 section 9: what a client quotes, or announces, is what is meant.
        #[test]
        fn quoted_strings_and_literals_say_what_was_put_in(
            octets in proptest::collection::vec(1u8..=255, 0..40),
        ) {
            let literal = [b"a LOGIN fred {", octets.len().to_string().as_bytes(), b"+}\r\n", &octets, b"\r\n"].concat();
            let mut quoted = b"a LOGIN fred \"".to_vec();
            for &octet in &octets {
                if matches!(octet, b'"' | b'\\') {
                    quoted.push(b'\\');
                }
                quoted.push(octet);
            }
            quoted.extend_from_slice(b"\"\r\n");
            let is_one_line = !octets.iter().any(|octet| matches!(octet, b'\r' | b'\n'));
            for frame in [Some(literal), Some(quoted).filter(|_| is_one_line)].into_iter().flatten() {
                let (_, command) = Command::parse(&frame);
                let Ok(Command::Login { password, .. }) = command else { panic!("{command:?}") };
                proptest::prop_assert_eq!(password.as_bytes(), &octets[..]);
            }
        }
    }
}
