//! Small but true mail servers: what stands behind Gatepost. Each serves one connection over any stream, opens
//! mailboxes of a [`PostOffice`](crate::post_office::PostOffice), and speaks enough of its protocol for curl.
//!
//! Speaking TLS, lying and falling over are not theirs: [`counter`] and [`mood`] do that before a server sees the stream.

pub mod counter;
pub mod imap;
pub mod literals;
pub mod mood;
pub mod pop3;
pub mod smtp;

/// The first word of `line` in upper case, and what follows the space behind it.
fn verb(line: &[u8]) -> (Vec<u8>, &[u8]) {
    let (first, rest) = cut(line);
    (first.to_ascii_uppercase(), rest)
}

/// `line` up to its first space, and what is behind that.
fn cut(line: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = line.splitn(2, |&octet| octet == b' ');
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}

/// A decimal number, digits only.
fn number(text: &[u8]) -> Option<usize> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
