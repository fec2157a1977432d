//! What is written is read again, and what is broken is not read.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::{Fault, Header, Proxied, read, v1, v2};
use crate::event::{Certificate, TlsFacts};
use crate::wire::{Address, Peer};

fn inet(text: &str) -> Address {
    text.parse::<SocketAddr>().unwrap().into()
}

fn ours(local: &str) -> Peer {
    Peer { remote: inet("192.0.2.99:1"), local: inet(local) }
}

fn proxied(source: &str, source_port: u16, destination: &str, destination_port: u16) -> Header {
    let (source, destination) = (source.into(), destination.into());
    Header::Proxied(Proxied { source, source_port, destination, destination_port })
}

fn broken(octets: &[u8]) -> bool {
    matches!(read(octets), Err(Fault::Broken(_)))
}

#[test]
fn version_1_is_one_line_of_single_spaces() {
    let line = b"PROXY TCP4 203.0.113.9 198.51.100.1 40001 143\r\na NOOP\r\n";
    assert_eq!(read(line), Ok(Some((proxied("203.0.113.9", 40001, "198.51.100.1", 143), 47))));
    assert_eq!(read(b"PROXY UNKNOWN whatever\r\n"), Ok(Some((Header::Local, 24))));
    assert_eq!(
        read(b"PROXY TCP6 2001:db8::9 ::1 0 65535\r\n").unwrap().unwrap().0,
        proxied("2001:db8::9", 0, "::1", 65535)
    );
    for wrong in [
        "PROXY TCP4 203.0.113.9 198.51.100.1 40001 143\n",
        "PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
        "PROXY TCP4 x 1.1.1.1 1 1\r\n",
        "PROXY TCP4 999.2.3.4 1.1.1.1 1 1\r\n",
        "PROXY TCP4 ::1 ::1 1 1\r\n",
        "PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
        "PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
        "GET / HTTP/1.1\r\n",
        "proxy UNKNOWN\r\n",
    ] {
        assert!(broken(wrong.as_bytes()), "{wrong:?}");
    }
}

#[test]
fn a_broken_header_is_told_of_by_its_first_line_alone() {
    let Err(Fault::Broken(line)) = read(b"PROXY TCP4 x\r\na LOGIN fred hunter2\r\n") else {
        panic!("it is broken")
    };
    assert_eq!(line, b"PROXY TCP4 x");
}

/// divergences D40: a mapped address stays what it is beside an IPv4 one, or the two would not be of one family.
#[test]
fn version_2_tells_a_mixed_pair_in_ipv6() {
    let tells = |client: &str, local: &str| v2::header(&inet(client), &ours(local), None)[13];
    assert_eq!(tells("203.0.113.9:1", "198.51.100.1:2"), 0x11);
    assert_eq!(tells("[::ffff:203.0.113.9]:1", "[::ffff:198.51.100.1]:2"), 0x11);
    assert_eq!(tells("[::ffff:203.0.113.9]:1", "198.51.100.1:2"), 0x21);
    assert_eq!(tells("203.0.113.9:1", "[::ffff:198.51.100.1]:2"), 0x21);
    assert_eq!(tells("[2001:db8::9]:1", "[::ffff:198.51.100.1]:2"), 0x21);
}

#[test]
fn a_header_may_come_in_any_pieces_and_nothing_else_is_waited_for() {
    let headers: [Vec<u8>; 2] = [
        b"PROXY TCP4 203.0.113.9 198.51.100.1 40001 143\r\n".to_vec(),
        v2::header(&inet("203.0.113.9:40001"), &ours("198.51.100.1:143"), None).to_vec(),
    ];
    for header in headers {
        for cut in 0..header.len() {
            assert_eq!(read(&header[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(read(&header).unwrap().unwrap().0, proxied("203.0.113.9", 40001, "198.51.100.1", 143));
    }
    assert!(broken(b"a") && broken(b"PROXZ") && broken(b"\r\n\r\n\0\r\nQUIX"));
    assert!(broken(&[b"PROXY ", &[b'x'; 101][..]].concat()), "107 octets without an end");
    for unknown in [b"\x22\x11", b"\x21\x51", b"\x21\x13"] {
        assert!(broken(&[&b"\r\n\r\n\0\r\nQUIT\n"[..], &unknown[..], b"\0\0"].concat()), "{unknown:?}");
    }
    assert_eq!(read(b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"), Ok(Some((Header::Local, 16))));
    assert_eq!(read(b"\r\n\r\n\0\r\nQUIT\n\x31"), Err(Fault::Version(3)));
    assert_eq!(read(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"), Err(Fault::TooLarge));
}

#[test]
fn version_1_for_a_backend() {
    let header = |client: &str, local: &str| v1::header(&inet(client), &ours(local));
    assert_eq!(
        header("192.0.2.7:40000", "198.51.100.1:143"),
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000 143\r\n"
    );
    assert_eq!(header("[2001:db8::7]:1", "[::1]:2"), "PROXY TCP6 2001:db8::7 ::1 1 2\r\n");
    assert_eq!(header("[2001:db8::7]:1", "192.0.2.1:2"), "PROXY TCP6 2001:db8::7 ::ffff:192.0.2.1 1 2\r\n");
    assert_eq!(v1::header(&Address::Unix("".into()), &ours("192.0.2.1:2")), "PROXY UNKNOWN\r\n");
}

#[test]
fn version_2_for_a_backend_is_read_as_it_was_meant() {
    let again =
        |client: &str, local: &str| read(&v2::header(&inet(client), &ours(local), None)).unwrap().unwrap().0;
    assert_eq!(
        again("192.0.2.7:40000", "198.51.100.1:143"),
        proxied("192.0.2.7", 40000, "198.51.100.1", 143)
    );
    assert_eq!(again("[2001:db8::7]:1", "[::1]:2"), proxied("2001:db8::7", 1, "::1", 2));
    assert_eq!(again("[2001:db8::7]:1", "192.0.2.1:2"), proxied("2001:db8::7", 1, "::ffff:192.0.2.1", 2));
    assert_eq!(
        again("[::ffff:192.0.2.7]:1", "[::ffff:192.0.2.1]:2"),
        proxied("192.0.2.7", 1, "192.0.2.1", 2)
    );
    let local = v2::header(&Address::Unix("".into()), &ours("192.0.2.1:2"), None);
    assert_eq!(read(&local).unwrap().unwrap(), (Header::Local, local.len()));
}

#[test]
fn version_2_tells_what_tls_says() {
    let mut tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
    tls.server_name = Some(Arc::from("mx.test"));
    tls.alpn = Some(Arc::from("imap"));
    let header = v2::header(&inet("192.0.2.7:1"), &ours("192.0.2.1:2"), Some(&tls));
    let ssl = b"\x20\x00\x28\x01\x00\x00\x00\x01\x21\x00\x07TLSv1.3\x23\x00\x16TLS_AES_256_GCM_SHA384";
    let expected = [&b"\x02\x00\x07mx.test\x01\x00\x04imap"[..], &ssl[..], b"\x03\x00\x04"].concat();
    assert_eq!(header.get(28..28 + expected.len()), Some(&expected[..]));
    assert_eq!(header.len(), 28 + expected.len() + 4);
    assert!(read(&header).is_ok());
    (tls.server_signature, tls.server_key) = (Some("RSA-SHA256"), Some(Arc::from("RSA2048")));
    let header = v2::header(&inet("192.0.2.7:1"), &ours("192.0.2.1:2"), Some(&tls));
    let own = b"TLS_AES_256_GCM_SHA384\x24\x00\x0aRSA-SHA256\x25\x00\x07RSA2048\x03\x00\x04";
    assert_eq!(header.get(header.len() - 4 - own.len()..header.len() - 4), Some(&own[..]));
    assert!(read(&header).is_ok());
}

#[test]
fn a_name_longer_than_names_are_does_not_make_the_header_longer() {
    let mut tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
    let certificate = |name: usize| Certificate {
        verdict: Ok(()),
        subject: "CN=x".into(),
        issuer: "CN=x".into(),
        common_name: Some("x".repeat(name)),
        serial: "01".into(),
        fingerprint_sha1: "aa".into(),
        fingerprint_sha256: "bb".into(),
        pem: "".into(),
    };
    for (name, fits) in [(256, true), (257, false), (70_000, false)] {
        tls.certificate = Some(Arc::new(certificate(name)));
        let header = v2::header(&inet("192.0.2.7:1"), &ours("192.0.2.1:2"), Some(&tls));
        assert_eq!(read(&header).unwrap().unwrap().1, header.len());
        assert_eq!(header.windows(256).any(|octets| octets == [b'x'; 256]), fits, "{name}");
    }
}

#[test]
fn a_checksum_that_does_not_hold_is_not_believed() {
    let good = v2::header(&inet("192.0.2.7:1"), &ours("192.0.2.1:2"), None).to_vec();
    let checksum_kind = good.len() - 7; // another kind of field would be one that nobody checks
    for at in (16..good.len()).filter(|&at| at != checksum_kind) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(matches!(read(&bad), Err(Fault::Broken(_))), "octet {at}");
    }
}

/// Any address of either family.
fn any_inet() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again(client in any_inet(), local in any_inet(), behind in ".{0,9}") {
        let ours = Peer { remote: client.into(), local: local.into() };
        let tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
        for header in [
            v1::header(&client.into(), &ours),
            v2::header(&client.into(), &ours, None),
            v2::header(&client.into(), &ours, Some(&tls)),
        ] {
            let stream = [&header[..], behind.as_bytes()].concat();
            let Ok(Some((Header::Proxied(told), end))) = read(&stream) else { panic!("{header:?}") };
            prop_assert_eq!(end, header.len());
            for (text, port, address) in
                [(&told.source, told.source_port, client), (&told.destination, told.destination_port, local)]
            {
                prop_assert_eq!(text.parse::<IpAddr>().unwrap().to_canonical(), address.ip().to_canonical());
                prop_assert_eq!(port, address.port());
            }
            for cut in 0..end {
                prop_assert_eq!(read(&stream[..cut]), Ok(None));
            }
        }
    }
}
