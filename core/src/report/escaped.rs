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
