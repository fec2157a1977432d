//! Version 1: one line of text.

use alloc::format;
use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use super::{Fault, Header, Proxied};
use crate::framing::without_line_end;
use crate::wire::{Address, Peer};

/// What every header begins with.
pub(super) const SIGNATURE: &[u8] = b"PROXY";

/// The longest header, with its line end.
const HEADER_BYTES_MAX: usize = 107;

/// `PROXY TCP4|TCP6 source destination port port`, or `PROXY UNKNOWN` and anything, and CRLF.
pub(super) fn read(octets: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
    let broken = || Fault::Broken(first_line(octets).to_vec());
    let window = octets.get(..HEADER_BYTES_MAX).unwrap_or(octets);
    let Some(end) = window.iter().position(|&octet| octet == b'\n').map(|at| at + 1) else {
        return if octets.len() < HEADER_BYTES_MAX { Ok(None) } else { Err(broken()) };
    };
    let line = octets.get(..end).unwrap_or_default();
    let text =
        line.strip_suffix(b"\r\n").and_then(|text| core::str::from_utf8(text).ok()).ok_or_else(broken)?;
    let mut words = text.split(' ');
    let header = match (words.next(), words.next()) {
        (Some("PROXY"), Some("UNKNOWN")) => Header::Local,
        (Some("PROXY"), Some(family @ ("TCP4" | "TCP6"))) => {
            let mut address = || words.next().filter(|text| is_address(family, text)).map(String::from);
            let (source, destination) = (address(), address());
            let mut port = || words.next().and_then(port_number);
            let (source_port, destination_port) = (port(), port());
            match (source, destination, source_port, destination_port, words.next()) {
                (Some(source), Some(destination), Some(source_port), Some(destination_port), None) => {
                    Header::Proxied(Proxied { source, source_port, destination, destination_port })
                }
                _ => return Err(broken()),
            }
        }
        _ => return Err(broken()),
    };
    Ok(Some((header, end)))
}

/// What of `octets` a log line shows: the first line, and no more of it than a header could be.
pub(super) fn first_line(octets: &[u8]) -> &[u8] {
    let line = octets.split_inclusive(|&octet| octet == b'\n').next().unwrap_or_default();
    without_line_end(line.get(..HEADER_BYTES_MAX).unwrap_or(line))
}

/// An address of the family that was announced (PP-009).
fn is_address(family: &str, text: &str) -> bool {
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().is_ok(),
        _ => text.parse::<Ipv6Addr>().is_ok(),
    }
}

/// Decimal digits, and none before the first that counts (PP-010).
fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    digits.then(|| text.parse().ok()).flatten()
}

/// The header for a backend: the client, and our end of its connection. Addresses of different families are both told in IPv6's form, for
/// the line has one word for both (divergences D40).
pub(crate) fn header(client: &Address, ours: &Peer) -> Bytes {
    let (Address::Inet(client), Address::Inet(ours)) = (client, &ours.local) else {
        return Bytes::from_static(b"PROXY UNKNOWN\r\n");
    };
    let (family, source, destination) = match (client.ip(), ours.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ("TCP4", format!("{source}"), format!("{destination}"))
        }
        _ => ("TCP6", ipv6(client), ipv6(ours)),
    };
    format!("PROXY {family} {source} {destination} {} {}\r\n", client.port(), ours.port()).into()
}

fn ipv6(address: &SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("{}", ip.to_ipv6_mapped()),
        IpAddr::V6(ip) => format!("{ip}"),
    }
}
