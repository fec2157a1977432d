//! Sets of addresses: `set_real_ip_from` (config.md 5.5), `debug_connection` (config.md 10), `allow` and `deny` (divergences R7).

use std::net::IpAddr;

use gatepost_core::Peers;

use super::address::{Fault, addresses_of};
use super::value::{argument, digits};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::surroundings::Surroundings;
use crate::config::tree::Directive;

/// Understands what `set_real_ip_from` and `debug_connection` take: an address, a network, `unix:`, or a name, which becomes all its addresses.
pub(super) fn peers(
    directive: &Directive,
    surroundings: &dyn Surroundings,
    complaints: &mut Complaints,
) -> Result<Vec<Peers>, Complaint> {
    let word = argument(directive, 0)?;
    if let Some(peers) = spelled_out(directive, word, complaints) {
        return Ok(vec![peers]);
    }
    // The system takes `10.1` and `010.0.0.1` for addresses, though not for those that were meant.
    let text = word.shown();
    let is_name = text.contains(|c: char| !c.is_ascii_digit() && c != '.');
    let found = if is_name { addresses_of(&text, surroundings) } else { Vec::new() };
    if found.is_empty() {
        let message = format!("{} in {} \"{text}\"", Fault::HostNotFound, directive.shown());
        return Err(Complaint::of(directive, message).under(word.span).label(hint(&text)));
    }
    Ok(found.into_iter().map(|address| Peers::Network(address, bits_of(address))).collect())
}

/// Understands what `allow` and `deny` take: an address, a network, `unix:` or `all`.
pub(super) fn access(directive: &Directive, complaints: &mut Complaints) -> Result<Peers, Complaint> {
    let word = argument(directive, 0)?;
    let text = word.shown();
    if text == "all" {
        return Ok(Peers::All);
    }
    spelled_out(directive, word, complaints).ok_or_else(|| {
        let complaint = Complaint::of(directive, format!("invalid parameter \"{text}\"")).under(word.span);
        match text.starts_with('[') {
            true => complaint.label(WITHOUT_BRACKETS),
            false => complaint.label("an address, a network such as 192.0.2.0/24, `unix:` or `all`"),
        }
    })
}

/// An address, a network or `unix:`; warns of bits that do not count.
fn spelled_out(directive: &Directive, word: &Word, complaints: &mut Complaints) -> Option<Peers> {
    let text = word.shown();
    if text == "unix:" {
        return Some(Peers::Unix);
    }
    let (address, bits) = network(&text)?;
    if has_low_bits(address, bits) {
        let message = format!("low address bits of {text} are meaningless");
        complaints.push(Complaint::of(directive, message).under(word.span).warning());
    }
    Some(Peers::Network(address, bits))
}

/// An address with the number of bits that count: those behind a slash, or all.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = bits_of(address);
    let bits = bits.map_or(Some(most), |bits| u8::try_from(digits(bits.as_bytes())?).ok())?;
    (bits <= most).then_some((address, bits))
}

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Whether bits are set that do not count.
fn has_low_bits(address: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(address) => address.to_bits() & u32::MAX.checked_shr(bits).unwrap_or(0) != 0,
        IpAddr::V6(address) => address.to_bits() & u128::MAX.checked_shr(bits).unwrap_or(0) != 0,
    }
}

const WITHOUT_BRACKETS: &str = "an IPv6 address stands here without brackets";

fn hint(text: &str) -> &'static str {
    match text.starts_with('[') {
        true => WITHOUT_BRACKETS,
        false => "an address, a network such as 192.0.2.0/24, a host name, or `unix:`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_as_many_bits_as_its_address_at_most() {
        for (text, bits) in [
            ("192.0.2.7", Some(32)),
            ("192.0.2.0/24", Some(24)),
            ("0.0.0.0/0", Some(0)),
            ("10.0.0.0/08", Some(8)),
            ("2001:db8::/32", Some(32)),
            ("::1", Some(128)),
            ("10.0.0.0/33", None),
            ("10.0.0.0/256", None),
            ("::/129", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/x", None),
            ("10.0.0/8", None),
            ("[::1]", None),
            ("", None),
        ] {
            assert_eq!(network(text).map(|(_, bits)| bits), bits, "{text:?}");
        }
    }

    #[test]
    fn bits_that_do_not_count_are_noticed() {
        for (text, low) in [
            ("127.0.0.1/8", true),
            ("127.0.0.0/8", false),
            ("127.0.0.1", false),
            ("0.0.0.1/0", true),
            ("0.0.0.0/0", false),
            ("::1/64", true),
            ("::1", false),
            ("::/0", false),
        ] {
            let (address, bits) = network(text).unwrap();
            assert_eq!(has_low_bits(address, bits), low, "{text:?}");
        }
    }
}
