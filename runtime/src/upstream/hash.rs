//! Always the same server for the same client.
//!
//! `hash … consistent` is rendezvous hashing: each server draws a lot for each key, and the best one has it. Servers have
//! their lots from their addresses alone, so all who know the same servers agree, in whatever order; and a server that
//! goes takes no other's lot away. A ring of points, as ketama has it, comes near to that; this is exact, needs no table, and for as many
//! servers as a group has, is quick enough.

use super::peers::Peer;
use super::random::number;

/// How often another place is looked for where a server is not fit, before it is its turn that counts.
const AGAIN_MAX: usize = 20;

/// nginx's function for `ip_hash`, so that clients stay where they were.
pub(super) fn by_network(peers: &[Peer], among: &[usize], network: &[u8]) -> Option<usize> {
    let mut hash: u32 = 89;
    (0..=AGAIN_MAX).find_map(|_| {
        hash = network.iter().fold(hash, |hash, &octet| (hash * 113 + u32::from(octet)) % 6271);
        place(peers, among, u64::from(hash))
    })
}

/// By any key. Another set of servers is another order.
pub(super) fn by_key(peers: &[Peer], among: &[usize], key: &[u8]) -> Option<usize> {
    (0..=AGAIN_MAX).find_map(|again| {
        let octets = [key, &[0], &again.to_be_bytes()].concat();
        place(peers, among, number(&octets))
    })
}

/// The server at this place of all that are no backups, each as broad as its weight; none if it is not among these.
fn place(peers: &[Peer], among: &[usize], hash: u64) -> Option<usize> {
    let all = || peers.iter().enumerate().filter(|(_, peer)| !peer.member.backup);
    let total: u64 = all().map(|(_, peer)| u64::from(peer.member.weight)).sum();
    let mut rest = hash.checked_rem(total)?;
    let (at, _) = all().find(|(_, peer)| match rest.checked_sub(u64::from(peer.member.weight)) {
        None => true,
        Some(left) => {
            rest = left;
            false
        }
    })?;
    among.contains(&at).then_some(at)
}

/// The one of `among` with the best lot for this key.
pub(super) fn rendezvous(peers: &[Peer], among: &[usize], key: &[u8]) -> Option<usize> {
    let lots = among.iter().filter_map(|&at| {
        let peer = peers.get(at)?;
        let id = peer.member.server.address.to_string();
        // How long an address is tells where the key begins.
        let octets = [&id.len().to_be_bytes()[..], id.as_bytes(), key].concat();
        Some((lot(number(&octets), peer.member.weight), id, at))
    });
    lots.max_by(|(one, id, _), (other, other_id, _)| one.total_cmp(other).then_with(|| id.cmp(other_id)))
        .map(|(_, _, at)| at)
}

/// A lot such that the best of several is each server's as often as its weight says: `-weight / ln(u)` for a `u` between 0
/// and 1.
fn lot(number: u64, weight: u32) -> f64 {
    // 53 bits are what a float holds exactly.
    let uniform = ((number >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}
