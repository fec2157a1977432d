//! Text from outside in a line of the log.

use core::fmt::{self, Write};

use crate::limits::LOGGED_BYTES_MAX;

/// A peer's octets made fit for one line: controls, those of eight bits included (a terminal obeys U+009B), `"`, `\` and what is no UTF-8
/// as `\xHH`, the rest as it is, and cut where that
/// is [`LOGGED_BYTES_MAX`] long (divergences S4): nobody can push what stands behind it off the line.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = LOGGED_BYTES_MAX;
        let mut fits = |octets: usize| {
            room = room.saturating_sub(octets);
            room > 0
        };
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                let escaped = c.is_control() || matches!(c, '"' | '\\');
                match escaped {
                    _ if !fits(if escaped { ESCAPE_BYTES } else { c.len_utf8() }) => return Ok(()),
                    true => write!(f, "\\x{:02X}", u32::from(c))?,
                    false => f.write_char(c)?,
                }
            }
            for octet in chunk.invalid() {
                if !fits(ESCAPE_BYTES) {
                    return Ok(());
                }
                write!(f, "\\x{octet:02X}")?;
            }
        }
        Ok(())
    }
}

/// `\xHH`.
const ESCAPE_BYTES: usize = 4;

/// The same in quotes.
pub(super) struct Quoted<'a, T: AsRef<[u8]> + ?Sized>(pub(super) &'a T);

impl<T: AsRef<[u8]> + ?Sized> fmt::Display for Quoted<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Escaped(self.0.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn what_could_end_or_disguise_a_line_is_shown_by_its_number() {
        let text = "a\r\n\t\"b\\c\u{1b}\u{9b}\u{7f}\u{e9}\0".as_bytes();
        assert_eq!(format!("{}", Escaped(text)), "a\\x0D\\x0A\\x09\\x22b\\x5Cc\\x1B\\x9B\\x7F\u{e9}\\x00");
        assert_eq!(format!("{}", Quoted(b"\xffx\xc3")), "\"\\xFFx\\xC3\"");
    }

    #[test]
    fn no_text_is_longer_than_a_line_has_room_for() {
        for (text, octets_of_each) in [
            (&b"x"[..], 1),
            (b"\n", ESCAPE_BYTES),
            (b"\xff", ESCAPE_BYTES),
            ("\u{e9}".as_bytes(), 2),
            ("\u{20ac}".as_bytes(), 3),
        ] {
            let shown = format!("{}", Escaped(&text.repeat(2 * LOGGED_BYTES_MAX))).len();
            assert!(
                (LOGGED_BYTES_MAX - octets_of_each..=LOGGED_BYTES_MAX).contains(&shown),
                "{text:?}: {shown}"
            );
            let fitting = (LOGGED_BYTES_MAX - 1) / octets_of_each;
            assert_eq!(
                format!("{}", Escaped(&text.repeat(fitting))).len(),
                fitting * octets_of_each,
                "{text:?}"
            );
        }
    }
}
