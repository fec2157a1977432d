//! A server by chance, and the chance.

use aws_lc_rs::digest::{SHA256, digest};
use gatepost_core::Seed;

use super::least_conn;
use super::peers::Peer;

/// One session's chance in choosing servers: the same seed rolls the same numbers.
#[derive(Debug)]
pub struct Die {
    seed: Seed,
    rolled: u64,
}

impl Die {
    /// Rolls nothing that the session's salts have to do with.
    #[must_use]
    pub const fn new(seed: Seed) -> Self {
        Self { seed, rolled: 0 }
    }

    /// A number below `sides`, as likely as any other: of 64 bits the rest that does not divide does not show.
    fn roll(&mut self, sides: u64) -> u64 {
        self.rolled += 1;
        let octets = [&b"server"[..], &self.seed.0, &self.rolled.to_be_bytes()].concat();
        number(&octets).checked_rem(sides).unwrap_or(0)
    }
}

/// The first 64 bits of a digest that is the same everywhere and for good.
pub(super) fn number(octets: &[u8]) -> u64 {
    let digest = digest(&SHA256, octets);
    digest.as_ref().first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk))
}

/// One of `among`, or with `two` the one with fewer sessions of two.
pub(super) fn choose(peers: &[Peer], among: &[usize], two: bool, die: &mut Die) -> Option<usize> {
    let first = draw(peers, among, die)?;
    if !two {
        return Some(first);
    }
    let others: Vec<usize> = among.iter().copied().filter(|&at| at != first).collect();
    let Some(second) = draw(peers, &others, die) else { return Some(first) };
    let (one, other) = (peers.get(first)?, peers.get(second)?);
    Some(if least_conn::compare(other, one).is_lt() { second } else { first })
}

fn draw(peers: &[Peer], among: &[usize], die: &mut Die) -> Option<usize> {
    let weight = |at: usize| peers.get(at).map_or(0, |peer| u64::from(peer.member.weight));
    let total = among.iter().map(|&at| weight(at)).sum();
    let mut rest = die.roll(total);
    among.iter().copied().find(|&at| match rest.checked_sub(weight(at)) {
        None => true,
        Some(left) => {
            rest = left;
            false
        }
    })
}
