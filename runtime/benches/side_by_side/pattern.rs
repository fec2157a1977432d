//! The octets a relay carries: each is told by its place, so that one lost, doubled or moved is noticed.

use std::sync::OnceLock;

use crate::Outcome;

/// A prime, so that no block size of any proxy divides it.
const PERIOD: usize = 65_521;

/// Octets are handed out in pieces of up to this many.
pub(crate) const PIECE_MAX: usize = 256 * 1024;

fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut period = Vec::with_capacity(PERIOD);
        period.resize_with(PERIOD, || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        });
        period.iter().copied().cycle().take(PERIOD + PIECE_MAX).collect()
    })
}

/// The octets from place `from` on, at most [`PIECE_MAX`] of them.
pub(crate) fn piece(from: u64, length: u64) -> &'static [u8] {
    let start = usize::try_from(from % PERIOD as u64).unwrap_or_default();
    let length = usize::try_from(length).unwrap_or(PIECE_MAX).min(PIECE_MAX);
    pattern().get(start..start + length).unwrap_or_default()
}

/// Complains unless `octets` are those that belong at place `from`.
pub(crate) fn check(mut from: u64, mut octets: &[u8]) -> Outcome<()> {
    while !octets.is_empty() {
        let right = piece(from, octets.len() as u64);
        let (now, later) = octets.split_at(right.len());
        if now != right {
            return Err(format!("a wrong octet at or behind {from}").into());
        }
        (from, octets) = (from + now.len() as u64, later);
    }
    Ok(())
}
