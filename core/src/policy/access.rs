//! Sets of addresses, and who of them may come in (`allow`, `deny`; divergences R7).

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::wire::Address;

/// A set of addresses: the argument of `set_real_ip_from`, `allow` and `deny`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// The addresses whose first so many bits are those of this one.
    Network(IpAddr, u8),
    /// Whoever comes over a UNIX socket.
    Unix,
    /// Everybody.
    All,
}

impl Peers {
    /// Whether `peer` is meant. An IPv4-mapped IPv6 address is the IPv4 address (divergences D39).
    #[must_use]
    pub fn includes(&self, peer: &Address) -> bool {
        match (self, peer) {
            (Self::All, _) | (Self::Unix, Address::Unix(_)) => true,
            (Self::Network(network, bits), Address::Inet(peer)) => {
                match (network.to_canonical(), peer.ip().to_canonical()) {
                    (IpAddr::V4(network), IpAddr::V4(peer)) => {
                        let bits = if matches!(self, Self::Network(IpAddr::V6(_), _)) {
                            bits.saturating_sub(96)
                        } else {
                            *bits
                        };
                        (network.to_bits() ^ peer.to_bits()).leading_zeros() >= u32::from(bits)
                    }
                    (IpAddr::V6(network), IpAddr::V6(peer)) => {
                        (network.to_bits() ^ peer.to_bits()).leading_zeros() >= u32::from(*bits)
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

/// What becomes of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `allow`.
    Allow,
    /// `deny`.
    Deny,
}

/// The `allow` and `deny` of a server in their order: the first that means an address decides, and whom none means may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access(pub Vec<(Verdict, Peers)>);

impl Access {
    /// Whether a client with this address may come in.
    #[must_use]
    pub fn admits(&self, client: &Address) -> bool {
        let decisive = self.0.iter().find(|(_, peers)| peers.includes(client));
        decisive.is_none_or(|(verdict, _)| *verdict == Verdict::Allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    fn peer(text: &str) -> Address {
        text.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn a_network_is_the_addresses_that_share_its_bits() {
        let includes =
            |network: &str, bits, text| Peers::Network(network.parse().unwrap(), bits).includes(&peer(text));
        assert!(includes("192.0.2.0", 24, "192.0.2.255:1") && !includes("192.0.2.0", 24, "192.0.3.0:1"));
        assert!(includes("0.0.0.0", 0, "255.255.255.255:1") && !includes("0.0.0.0", 0, "[::1]:1"));
        assert!(includes("192.0.2.7", 32, "[::ffff:192.0.2.7]:1"));
        assert!(
            includes("::ffff:192.0.2.0", 120, "192.0.2.9:1")
                && !includes("::ffff:192.0.2.0", 120, "192.0.3.9:1")
        );
        assert!(
            includes("2001:db8::", 32, "[2001:db8:1::1]:1") && !includes("2001:db8::", 32, "[2001:db9::1]:1")
        );
        assert!(
            Peers::Unix.includes(&Address::Unix("".into())) && !Peers::Unix.includes(&peer("192.0.2.1:1"))
        );
        assert!(Peers::All.includes(&Address::Unix("".into())) && Peers::All.includes(&peer("[::1]:1")));
    }

    #[test]
    fn the_first_rule_that_means_a_client_decides() {
        let network = |text: &str, bits| Peers::Network(text.parse().unwrap(), bits);
        let access = Access(alloc::vec![
            (Verdict::Deny, network("192.0.2.7", 32)),
            (Verdict::Allow, network("192.0.2.0", 24)),
            (Verdict::Allow, Peers::Unix),
            (Verdict::Deny, Peers::All),
        ]);
        for (client, admitted) in [
            (peer("192.0.2.7:1"), false),
            (peer("[::ffff:192.0.2.7]:1"), false),
            (peer("192.0.2.8:1"), true),
            (Address::Unix("".into()), true),
            (peer("198.51.100.1:1"), false),
            (peer("[2001:db8::1]:1"), false),
        ] {
            assert_eq!(access.admits(&client), admitted, "{client}");
        }
    }

    #[test]
    fn whom_no_rule_means_may_come_in() {
        assert!(Access::default().admits(&peer("192.0.2.7:1")));
        let access = Access(alloc::vec![(Verdict::Deny, Peers::Unix)]);
        assert!(access.admits(&peer("192.0.2.7:1")) && !access.admits(&Address::Unix("".into())));
    }
}
