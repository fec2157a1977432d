//! Smooth weighted round robin: of weights 5, 1, 1 comes `a a b a c a a` rather than `a a a a a b c`.

use super::peers::Peer;

/// Whose turn it is among these. Each falls due by its weight; who is due most has its turn, and waits for as long as all
/// of them together are worth.
pub(super) fn choose(peers: &mut [Peer], among: &[usize]) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(usize, i64)> = None;
    for &at in among {
        let peer = peers.get_mut(at)?;
        let weight = i64::from(peer.member.weight);
        peer.due = peer.due.saturating_add(weight);
        total += weight;
        if best.is_none_or(|(_, due)| peer.due > due) {
            best = Some((at, peer.due));
        }
    }
    let (at, _) = best?;
    let peer = peers.get_mut(at)?;
    peer.due = peer.due.saturating_sub(total);
    Some(at)
}
