//! The servers with the fewest sessions for their weights.

use std::cmp::Ordering;

use super::peers::Peer;

/// All of `among` that have the least; at least one, unless there are none.
pub(super) fn least(peers: &[Peer], among: &[usize]) -> Vec<usize> {
    let mut least: Vec<(usize, &Peer)> = Vec::new();
    for (at, peer) in among.iter().filter_map(|&at| Some((at, peers.get(at)?))) {
        match least.first().map_or(Ordering::Less, |(_, other)| compare(peer, other)) {
            Ordering::Less => least = vec![(at, peer)],
            Ordering::Equal => least.push((at, peer)),
            Ordering::Greater => {}
        }
    }
    least.into_iter().map(|(at, _)| at).collect()
}

/// Sessions per weight, without fractions.
pub(super) fn compare(one: &Peer, other: &Peer) -> Ordering {
    let scaled = |peer: &Peer, by: &Peer| u64::from(peer.sessions) * u64::from(by.member.weight);
    scaled(one, other).cmp(&scaled(other, one))
}
