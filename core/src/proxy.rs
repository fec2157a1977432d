//! The PROXY protocol (HAProxy's specification of 2026): the header with which a balancer says for whom it connects, read from clients and
//! written to backends, in both versions.

mod crc32c;
#[cfg(test)]
mod tests;
pub(crate) mod v1;
pub(crate) mod v2;

use alloc::vec::Vec;

pub(crate) use crate::facts::Proxied;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The balancer speaks for itself, or of something that is not TCP.
    Local,
    /// It speaks for a client.
    Proxied(Proxied),
}

/// Why something is no header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not look like one; the line, as far as it came.
    Broken(Vec<u8>),
    /// A version nobody has heard of.
    Version(u8),
    /// Longer than any.
    TooLarge,
}

/// A header at the beginning of `octets` and how many of them it takes; `None` as long as it may still become one. What cannot
/// become one is refused at its first wrong octet.
pub(crate) fn read(octets: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
    let looks_like = |start: &[u8]| octets.iter().zip(start).all(|(octet, expected)| octet == expected);
    if looks_like(v2::SIGNATURE) {
        v2::read(octets)
    } else if looks_like(v1::SIGNATURE) {
        v1::read(octets)
    } else {
        Err(Fault::Broken(v1::first_line(octets).to_vec()))
    }
}
