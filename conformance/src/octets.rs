//! Octets written as text: what a transcript's strings are, how failures print them, and the glob over lines.

use std::fmt;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Octets of a transcript, each written as the character U+0000 to U+00FF of the same number. Anything above is
/// refused while loading, so that UTF-8 never slips in unseen.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Octets(Vec<u8>);

impl Octets {
    /// The octets of `text`.
    ///
    /// # Errors
    ///
    /// The first character above U+00FF.
    pub fn of(text: &str) -> Result<Self, char> {
        text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| c)).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Vec<u8>> for Octets {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::of(&text).map_err(|c| {
            D::Error::custom(format_args!(
                "{c:?} is no octet; write UTF-8 octet by octet, like \\u{{C3}}\\u{{B6}}"
            ))
        })
    }
}

/// Prints octets the way a transcript writes them: quoted, `\r\n` and other controls escaped. Of very many the first
/// and how many there are.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

/// How many octets are printed.
const SHOWN_MAX: usize = 1000;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_at_checked(SHOWN_MAX) {
            Some((first, [_, ..])) => write!(f, "{}… ({} octets)", Quoted(first), self.0.len()),
            _ => Quoted(self.0).fmt(f),
        }
    }
}

/// Prints octets as a transcript has them: quoted, `\r\n` and other controls escaped, and all of them.
#[derive(Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for &octet in self.0 {
            match octet {
                b'\r' => f.write_str("\\r")?,
                b'\n' => f.write_str("\\n")?,
                b'"' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                b' '..=b'~' => fmt::Write::write_char(f, char::from(octet))?,
                0..=0x7F => write!(f, "\\x{octet:02X}")?,
                _ => write!(f, "\\u{{{octet:02X}}}")?,
            }
        }
        f.write_str("\"")
    }
}

/// What the stars of `pattern` stand for in `text`, in order; `None` if it does not match. `*` is any run of
/// octets but CR and LF, `?` is one of those, `\*`, `\?` and `\\` are themselves. The shortest run wins.
#[must_use]
pub fn glob<'t>(pattern: &[u8], text: &'t [u8]) -> Option<Vec<&'t [u8]>> {
    let mut stars = Vec::new();
    glob_from(pattern, text, &mut stars).then_some(stars)
}

fn glob_from<'t>(pattern: &[u8], text: &'t [u8], stars: &mut Vec<&'t [u8]>) -> bool {
    let in_line = |octet: u8| octet != b'\r' && octet != b'\n';
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            let longest = text.iter().position(|&octet| !in_line(octet)).unwrap_or(text.len());
            let depth = stars.len();
            (0..=longest).any(|taken| {
                let Some((run, after)) = text.split_at_checked(taken) else { return false };
                stars.truncate(depth);
                stars.push(run);
                glob_from(rest, after, stars)
            })
        }
        ([b'?', rest @ ..], [octet, after @ ..]) => in_line(*octet) && glob_from(rest, after, stars),
        ([b'\\', wanted @ (b'*' | b'?' | b'\\'), rest @ ..], [octet, after @ ..])
        | ([wanted, rest @ ..], [octet, after @ ..]) => wanted == octet && glob_from(rest, after, stars),
        _ => false,
    }
}

/// How many octets the first `lines` lines take, or `None` while the last of them has not ended.
#[must_use]
pub fn lines_end(octets: &[u8], lines: usize) -> Option<usize> {
    match lines {
        0 => Some(0),
        _ => octets
            .iter()
            .enumerate()
            .filter(|&(_, &octet)| octet == b'\n')
            .nth(lines - 1)
            .map(|(at, _)| at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_beyond_one_octet_is_refused() {
        assert_eq!(Octets::of("\u{C3}\u{B6}\r\n").as_deref(), Ok(&b"\xC3\xB6\r\n"[..]));
        assert_eq!(Octets::of("\u{20AC}"), Err('\u{20AC}'));
    }

    #[test]
    fn a_failure_prints_what_a_transcript_would_say() {
        assert_eq!(Shown(b"a \"b\"\r\n\0\xFF").to_string(), r#""a \"b\"\r\n\x00\u{FF}""#);
    }

    #[test]
    fn a_star_stays_in_its_line() {
        assert_eq!(glob(br"\* BYE *", b"* BYE so long"), Some(vec![&b"so long"[..]]));
        assert_eq!(glob(b"a * c*\r\n", b"a b c\r\n"), Some(vec![&b"b"[..], b""]));
        assert_eq!(glob(b"a*c", b"a\r\nc"), None);
        assert_eq!(glob(b"a?c", b"abc"), Some(vec![]));
        assert_eq!(glob(b"", b"x"), None);
    }

    #[test]
    fn lines_are_counted_by_their_ends() {
        assert_eq!(lines_end(b"a\r\nb\r\nc", 2), Some(6));
        assert_eq!(lines_end(b"a\r\nb", 2), None);
    }
}
