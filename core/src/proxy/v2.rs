//! Version 2: binary, with type-length-value fields behind the addresses.

use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use super::crc32c::crc32c;
use super::{Fault, Header, Proxied};
use crate::event::TlsFacts;
use crate::limits::PROXY_HEADER_BYTES_MAX;
use crate::wire::{Address, Peer};

/// What every header begins with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, and the length of the rest.
const FIXED_BYTES: usize = 16;

const COMMAND_PROXY: u8 = 1;
/// Four times X.520's bound, for UTF-8.
const COMMON_NAME_BYTES_MAX: usize = 256;

/// UNIX sockets.
const FAMILY_MAX: u8 = 3;
/// Datagrams.
const TRANSPORT_MAX: u8 = 2;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_COMMON_NAME: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;
const SSL_SIGNATURE: u8 = 0x24;
const SSL_KEY: u8 = 0x25;

pub(super) fn read(octets: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
    let Some(&kind) = octets.get(SIGNATURE.len()) else { return Ok(None) };
    if kind >> 4 != 2 {
        return Err(Fault::Version(kind >> 4));
    }
    let (Some(&family), Some(&[high, low])) = (octets.get(13), octets.get(14..FIXED_BYTES)) else {
        return Ok(None);
    };
    let end = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if end > PROXY_HEADER_BYTES_MAX {
        return Err(Fault::TooLarge);
    }
    let Some(header) = octets.get(..end) else { return Ok(None) };
    let broken = || Fault::Broken(b"version 2".to_vec());
    let block = header.get(FIXED_BYTES..).unwrap_or_default();
    let is_known = kind & 0xF <= COMMAND_PROXY && family >> 4 <= FAMILY_MAX && family & 0xF <= TRANSPORT_MAX;
    let (proxied, fields) = match (kind & 0xF, family) {
        _ if !is_known => return Err(broken()), // PP-014, PP-016
        (COMMAND_PROXY, TCP_OVER_IPV4) => addresses::<4>(block, |octets| Ipv4Addr::from(octets).into()),
        (COMMAND_PROXY, TCP_OVER_IPV6) => addresses::<16>(block, |octets| Ipv6Addr::from(octets).into()),
        _ => return Ok(Some((Header::Local, end))),
    }
    .ok_or_else(broken)?;
    match checksum_holds(header, end - fields.len()) {
        true => Ok(Some((Header::Proxied(proxied), end))),
        false => Err(broken()),
    }
}

/// Two addresses of N octets and two ports, and what is behind them.
fn addresses<const N: usize>(block: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> Option<(Proxied, &[u8])> {
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let (destination_port, rest) = rest.split_first_chunk::<2>()?;
    let proxied = Proxied {
        source: format!("{}", ip(*source)),
        source_port: u16::from_be_bytes(*source_port),
        destination: format!("{}", ip(*destination)),
        destination_port: u16::from_be_bytes(*destination_port),
    };
    Some((proxied, rest))
}

/// Whether the fields, which begin at `at`, are whole, and their checksum right if there is one.
fn checksum_holds(header: &[u8], mut at: usize) -> bool {
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..at + 3) else { return false };
        let value = at + 3..at + 3 + usize::from(u16::from_be_bytes([high, low]));
        let Some(octets) = header.get(value.clone()) else { return false };
        if kind == CRC32C {
            let zeroed =
                header.iter().enumerate().map(|(at, octet)| if value.contains(&at) { &0 } else { octet });
            if octets != crc32c(zeroed).to_be_bytes() {
                return false;
            }
        }
        at = value.end;
    }
    true
}

/// The header for a backend: the client, our end of its connection, what TLS says of it, and a checksum (backend.md section 5).
pub(crate) fn header(client: &Address, ours: &Peer, tls: Option<&TlsFacts>) -> Bytes {
    let mut body = Vec::new();
    let (command, family) = match (client, &ours.local) {
        (Address::Inet(client), Address::Inet(ours)) => {
            (COMMAND_PROXY, put_addresses(client, ours, &mut body))
        }
        _ => (0, 0),
    };
    if let Some(tls) = tls {
        put_tls(tls, &mut body);
    }
    put(CRC32C, &[&[0; 4]], &mut body);
    let mut header = SIGNATURE.to_vec();
    header.extend_from_slice(&[2 << 4 | command, family]);
    header.extend_from_slice(&u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    header.extend_from_slice(&body);
    let checksum = crc32c(&header).to_be_bytes();
    let room = header.len() - checksum.len();
    header.truncate(room);
    header.extend_from_slice(&checksum);
    debug_assert!(header.len() <= PROXY_HEADER_BYTES_MAX, "texts of TLS are bounded where they are made");
    header.into()
}

/// Two addresses of one family: a pair of which one is IPv6 is IPv6, a pair of mapped ones IPv4.
fn put_addresses(client: &SocketAddr, ours: &SocketAddr, body: &mut Vec<u8>) -> u8 {
    let family = match (client.ip().to_canonical(), ours.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) if client.is_ipv4() == ours.is_ipv4() => {
            body.extend_from_slice(&source.octets());
            body.extend_from_slice(&destination.octets());
            TCP_OVER_IPV4
        }
        _ => {
            for ip in [client.ip(), ours.ip()] {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                body.extend_from_slice(&ip.octets());
            }
            TCP_OVER_IPV6
        }
    };
    body.extend_from_slice(&client.port().to_be_bytes());
    body.extend_from_slice(&ours.port().to_be_bytes());
    family
}

fn put_tls(tls: &TlsFacts, body: &mut Vec<u8>) {
    if let Some(name) = &tls.server_name {
        put(AUTHORITY, &[name.as_bytes()], body);
    }
    if let Some(alpn) = &tls.alpn {
        put(ALPN, &[alpn.as_bytes()], body);
    }
    let certificate = tls.certificate.as_deref();
    let shown = match (certificate, tls.resumed) {
        (None, _) => 0b001,
        (Some(_), true) => 0b101,
        (Some(_), false) => 0b111,
    };
    let verified: u32 = match certificate.map(|certificate| &certificate.verdict) {
        None => 1,
        Some(Ok(())) => 0,
        Some(Err(error)) => error.code.unsigned_abs(),
    };
    let mut fields = Vec::new();
    put(SSL_VERSION, &[tls.protocol.as_bytes()], &mut fields);
    // Anybody can show a certificate of his own making; one with a name longer than names are has none.
    let common_name = certificate.and_then(|certificate| certificate.common_name.as_ref());
    if let Some(name) = common_name.filter(|name| name.len() <= COMMON_NAME_BYTES_MAX) {
        put(SSL_COMMON_NAME, &[name.as_bytes()], &mut fields);
    }
    put(SSL_CIPHER, &[tls.cipher.as_bytes()], &mut fields);
    if let Some(signature) = tls.server_signature {
        put(SSL_SIGNATURE, &[signature.as_bytes()], &mut fields);
    }
    if let Some(key) = &tls.server_key {
        put(SSL_KEY, &[key.as_bytes()], &mut fields);
    }
    put(SSL, &[&[shown], &verified.to_be_bytes(), &fields], body);
}

/// One field. A value too long for its length would be a lie, so it is left out.
fn put(kind: u8, parts: &[&[u8]], body: &mut Vec<u8>) {
    let octets = parts.iter().map(|part| part.len()).sum::<usize>();
    if let Ok(length) = u16::try_from(octets) {
        body.push(kind);
        body.extend_from_slice(&length.to_be_bytes());
        parts.iter().for_each(|part| body.extend_from_slice(part));
    }
}
