//! Lines and literals against a reader of the whole stream that has all the time in the world.

use gatepost_core::fuzzing::{Framed, framed};

/// The first octet is the longest a frame may be, the second how many octets come at a time; the rest is what comes.
///
/// # Panics
///
/// If frames are others than the slow reader's, or depend on how they come.
pub fn framing(octets: &[u8]) {
    let [bytes_max, piece, stream @ ..] = octets else { return };
    let (bytes_max, piece) = (usize::from(*bytes_max) + 1, usize::from(*piece) + 1);
    for literals in [false, true] {
        let expected = slowly(stream, bytes_max, literals);
        for piece in [1, piece, stream.len()] {
            let found = framed(stream, piece, bytes_max, literals);
            assert_eq!(found, expected, "at most {bytes_max}, {piece} at a time, literals: {literals}");
        }
    }
}

/// The frames of a stream that has all come.
fn slowly(stream: &[u8], bytes_max: usize, literals: bool) -> Vec<Framed> {
    let mut frames = Vec::new();
    let mut rest = stream;
    loop {
        // Up to here the frame at the beginning of the rest has been read; the line that comes next may end it.
        let mut read = 0;
        let end = loop {
            let unread = rest.get(read..).unwrap_or_default();
            let line = unread.split_inclusive(|&octet| octet == b'\n').next().unwrap_or_default();
            let end = read + line.len();
            if !line.ends_with(b"\n") {
                // It might still come, if there is room for it.
                if rest.len() >= bytes_max {
                    frames.push(Framed::TooLong);
                }
                return frames;
            }
            if end > bytes_max {
                frames.push(Framed::TooLong);
                break None;
            }
            match literal(line).filter(|_| literals) {
                None => break Some(end),
                // One octet more has to fit: the line end, at least, of the line behind it.
                Some(octets) if octets.saturating_add(end as u128) < bytes_max as u128 => {
                    read = end + octets as usize;
                }
                Some(_) => {
                    frames.push(Framed::TooBig);
                    return frames;
                }
            }
        };
        let taken = match end {
            Some(end) => {
                frames.push(Framed::Whole(rest.get(..end).unwrap_or_default().to_vec()));
                end
            }
            None => {
                let line = rest.get(read..).unwrap_or_default();
                read + line.iter().position(|&octet| octet == b'\n').map_or(line.len(), |at| at + 1)
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
}

/// How many octets a line announces at its end, `{n}` or `{n+}`.
fn literal(line: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(line.get(line.iter().rposition(|&octet| octet == b'{')?..)?).ok()?;
    let text = text.strip_suffix('\n')?;
    let text = text.strip_suffix('\r').unwrap_or(text).strip_prefix('{')?.strip_suffix('}')?;
    let digits = text.strip_suffix('+').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_reader_knows_lines_and_literals() {
        let whole = |text: &str| Framed::Whole(text.into());
        assert_eq!(slowly(b"a\nbb\r\nc", 9, false), [whole("a\n"), whole("bb\r\n")]);
        assert_eq!(slowly(b"a {2}\r\n\n\n\r\nb\n", 12, true), [whole("a {2}\r\n\n\n\r\n"), whole("b\n")]);
        assert_eq!(slowly(b"a {9}\r\n", 12, true), [Framed::TooBig]);
        assert_eq!(slowly(b"abcdef\nb\n", 4, true), [Framed::TooLong, whole("b\n")]);
        assert_eq!(slowly(b"abcd", 4, true), [Framed::TooLong]);
    }
}
