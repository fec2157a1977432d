//! PROXY protocol headers of version 2, made by a hand of their own so that the proxy's reading and writing are both put to
//! the test.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::{Part, Variables, expand};
use crate::octets::Octets;

/// What every header begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, command PROXY.
const PROXY: u8 = 0x21;

/// The checksum's type.
const CRC32C: u8 = 0x03;

/// A header that speaks for a client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyV2 {
    /// Where the client comes from, `ADDRESS:PORT`, variables expanded.
    pub src: Octets,
    /// Where it connected to, of the same family.
    pub dst: Octets,
    /// Version and command; 2 and PROXY if absent.
    #[serde(default = "proxy")]
    pub command: u8,
    /// Address family and transport; TCP over that of the addresses if absent.
    #[serde(default)]
    pub family: Option<u8>,
    /// The fields behind the addresses.
    #[serde(default)]
    pub fields: Vec<Part>,
    /// Whether a checksum comes last.
    #[serde(default)]
    pub checksum: Checksum,
}

/// The field with the CRC32c of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Checksum {
    /// There is none.
    #[default]
    None,
    /// It is right.
    Right,
    /// It is off by one bit.
    Wrong,
}

fn proxy() -> u8 {
    PROXY
}

impl ProxyV2 {
    /// The octets of the header.
    pub(super) fn octets(&self, variables: &Variables) -> Result<Vec<u8>, String> {
        let (source, destination) = (address(&self.src, variables)?, address(&self.dst, variables)?);
        let mut body = Vec::new();
        for ip in [source.ip(), destination.ip()] {
            match ip {
                IpAddr::V4(ip) => body.extend(ip.octets()),
                IpAddr::V6(ip) => body.extend(ip.octets()),
            }
        }
        let family = match (source.is_ipv4(), destination.is_ipv4()) {
            (true, true) => 0x11,
            (false, false) => 0x21,
            _ => return Err(format!("{source} and {destination} are not of one family")),
        };
        body.extend(source.port().to_be_bytes());
        body.extend(destination.port().to_be_bytes());
        body.extend(Part::join(&self.fields, variables)?);
        if self.checksum != Checksum::None {
            body.extend(field(CRC32C, &[0; 4])?);
        }
        let mut header = SIGNATURE.to_vec();
        header.extend([self.command, self.family.unwrap_or(family)]);
        header.extend(length(&body)?);
        header.extend(body);
        let checksum = match self.checksum {
            Checksum::None => return Ok(header),
            Checksum::Right => crc32c(&header),
            Checksum::Wrong => crc32c(&header) ^ 1,
        };
        header.truncate(header.len() - 4);
        header.extend(checksum.to_be_bytes());
        Ok(header)
    }
}

/// Type, length and value.
pub(super) fn field(kind: u8, value: &[u8]) -> Result<Vec<u8>, String> {
    let [high, low] = length(value)?;
    Ok([&[kind, high, low], value].concat())
}

fn length(octets: &[u8]) -> Result<[u8; 2], String> {
    u16::try_from(octets.len()).map(u16::to_be_bytes).map_err(|_| "more than a length can say".to_owned())
}

fn address(text: &Octets, variables: &Variables) -> Result<SocketAddr, String> {
    let text = String::from_utf8_lossy(&expand(text, variables)?).into_owned();
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// CRC32c, bit by bit: polynomial 0x1EDC6F41, reflected.
fn crc32c(octets: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
    !octets.iter().fold(!0, |crc, &octet| (0..8).fold(crc ^ u32::from(octet), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the CRC catalogues, and the example of RFC 3720 appendix B.4.
    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    }

    #[test]
    fn a_header_is_laid_out_as_the_specification_has_it() {
        let header: ProxyV2 = ron::from_str(
            r#"(src: "203.0.113.9:40001", dst: "198.51.100.1:143", fields: [Field(4, [Lit("x")])])"#,
        )
        .unwrap();
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xCB\0\x71\x09\xC6\x33\x64\x01\x9C\x41\0\x8F\x04\0\x01x";
        assert_eq!(header.octets(&Variables::new()).unwrap(), expected);
        let mixed = ProxyV2 { dst: Octets::of("[::1]:143").unwrap(), ..header };
        assert!(mixed.octets(&Variables::new()).is_err());
    }
}
