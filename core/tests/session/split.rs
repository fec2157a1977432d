//! However the octets are cut, the session says the same thing, up to a STARTTLS line (decision 8), so none is spoken here.

use gatepost_core::{Protocol, Wire};
use proptest::prelude::*;

use crate::stage::{Door, PROTOCOLS, Stage, policy};

/// What a client might say: commands that are right, wrong, half, or none at all.
fn words(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Imap => &[
            "q AUTHENTICATE XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n",
            "r AUTHENTICATE OAUTHBEARER\r\n",
            "bixhPXdpbG1hLAFhdXRoPUJlYXJlciBodW50ZXIyAQE=\r\n",
            "s AUTHENTICATE EXTERNAL ZnJlZA==\r\n",
            "AQ==\r\n",
            "a NOOP\r\n",
            "b CAPABILITY\r\n",
            "c LOGIN fred hunter2\r\n",
            "d LOGIN {4}\r\n",
            "fred {7}\r\n",
            "hunter2\r\n",
            "e LOGIN {4+}\r\nfred {7+}\r\nhunter2\r\n",
            "f LOGIN wilma \"hun\\\"ter2\"\r\n",
            "g AUTHENTICATE PLAIN\r\n",
            "AGZyZWQAaHVudGVyMg==\r\n",
            "h AUTHENTICATE PLAIN AGZyZWQAaHVudGVyMg==\r\n",
            "i AUTHENTICATE LOGIN\r\n",
            "ZnJlZA==\r\n",
            "aHVudGVyMg==\r\n",
            "*\r\n",
            "j AUTHENTICATE CRAM-MD5\r\n",
            "ZnJlZCAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==\r\n",
            "k FOO {3+}\r\na\nb\r\n",
            "l LOGIN {9999}\r\n",
            "m LOGIN {9999+}\r\n",
            "n ID (\"name\" {3}\r\n",
            "abc)\r\n",
            "o LOGOUT\r\n",
            "\r\n",
            " ",
            "{0}\r\n",
            "t{9999}\r\n",
            "+}\r\n",
            "p LOGIN \"\" x\r\n",
            "GET / HTTP/1.1\r\n",
            "\r",
            "\0",
        ],
        Protocol::Pop3 => &[
            "AUTH XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n",
            "AUTH OAUTHBEARER\r\n",
            "bixhPXdpbG1hLAFhdXRoPUJlYXJlciBodW50ZXIyAQE=\r\n",
            "AUTH EXTERNAL ZnJlZA==\r\n",
            "AQ==\r\n",
            "USER fred\r\n",
            "PASS hunter2\r\n",
            "USER wilma\r\nPASS  x \r\n",
            "CAPA\r\n",
            "AUTH\r\n",
            "AUTH PLAIN\r\n",
            "AGZyZWQAaHVudGVyMg==\r\n",
            "AUTH PLAIN AGZyZWQAaHVudGVyMg\r\n",
            "AUTH LOGIN ZnJlZA==\r\n",
            "aHVudGVyMg==\r\n",
            "AUTH CRAM-MD5\r\n",
            "ZnJlZCAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==\r\n",
            "*\r\n",
            "APOP fred 0123456789abcdef0123456789abcdef\r\n",
            "NOOP\n",
            "STAT\r\n",
            "QUIT\r\n",
            "FOO\r\n",
            "\r",
            "\0",
            "\u{16}\u{3}",
        ],
        Protocol::Smtp => &[
            "AUTH XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n",
            "AUTH OAUTHBEARER\r\n",
            "bixhPXdpbG1hLAFhdXRoPUJlYXJlciBodW50ZXIyAQE=\r\n",
            "AUTH EXTERNAL ZnJlZA==\r\n",
            "AQ==\r\n",
            "EHLO c.test\r\n",
            "HELO c.test\r\n",
            "AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n",
            "AUTH LOGIN\r\n",
            "ZnJlZA==\r\n",
            "aHVudGVyMg==\r\n",
            "AUTH PLAIN\r\n",
            "AGZyZWQAaHVudGVyMg==\r\n",
            "*\r\n",
            "AUTH CRAM-MD5\r\n",
            "ZnJlZCAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==\r\n",
            "MAIL FROM:<a@b>\r\n",
            "RCPT TO:<c@d>\r\n",
            "DATA\r\n",
            "BDAT 9 LAST\r\nQUIT\r\n123",
            "RSET\r\n",
            "NOOP x\n",
            "VRFY u\r\n",
            "QUIT\r\n",
            "FOO\r\n",
            "\r",
            "\0",
        ],
    }
}

/// How a client that comes through a balancer is announced.
const PROXY_HEADER: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.1 40001 143\r\n";

fn talk() -> impl Strategy<Value = (Protocol, Door, Vec<u8>)> {
    proptest::sample::select(&PROTOCOLS[..]).prop_flat_map(|protocol| {
        let word = prop_oneof![
            30 => proptest::sample::select(words(protocol)).prop_map(|word| word.as_bytes().to_vec()),
            1 => (b'a'..=b'z', 3900usize..4200).prop_map(|(octet, times)| vec![octet; times]),
            1 => (12200usize..12500).prop_map(|times| [b"x AUTHENTICATE PLAIN ", &vec![b'A'; times][..], b"\r\n"].concat()),
            1 => (12200usize..12500).prop_map(|times| [b"AUTH PLAIN ", &vec![b'A'; times][..], b"\r\n"].concat()),
        ];
        let door = proptest::sample::select(vec![Door::Plain, Door::ProxyHeader, Door::Tls]);
        (Just(protocol), door, proptest::collection::vec(word, 0..12)).prop_map(|(protocol, door, words)| {
            let header = if door == Door::ProxyHeader { PROXY_HEADER } else { b"" };
            (protocol, door, [header, &words.concat()].concat())
        })
    })
}

fn overhear<'a>(
    protocol: Protocol,
    door: Door,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    piece: usize,
) -> Vec<(Wire, Vec<u8>)> {
    let mut stage = Stage::new(policy(protocol), door, piece);
    for piece in pieces {
        stage.client_says(piece);
    }
    stage.heard
}

/// What each wire carried in all. How entries of different wires lie between each other may depend on the cuts only where the client
/// spoke out of turn.
fn by_wire(heard: &[(Wire, Vec<u8>)]) -> Vec<(Wire, Vec<u8>)> {
    let wires = [Wire::Client, Wire::Auth, Wire::Backend].into_iter();
    let on =
        |wire| heard.iter().filter(|(on, _)| *on == wire).flat_map(|(_, octets)| octets.clone()).collect();
    wires.map(|wire| (wire, on(wire))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_is_heard_alike((protocol, door, talk) in talk(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20), piece in 1usize..40) {
        let whole = overhear(protocol, door, [&talk[..]], usize::MAX);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(talk.len() + 1)).chain([0, talk.len()]).collect();
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &talk[pair[0]..pair[1]]).filter(|piece| !piece.is_empty());
        prop_assert_eq!(by_wire(&overhear(protocol, door, pieces, piece)), by_wire(&whole));
    }

    #[test]
    fn octet_by_octet_is_heard_alike((protocol, door, talk) in talk()) {
        let whole = overhear(protocol, door, [&talk[..]], usize::MAX);
        prop_assert_eq!(by_wire(&overhear(protocol, door, talk.chunks(1), 1)), by_wire(&whole));
    }
}

/// The first line has no second word; were one looked for behind it, a literal of 9999 octets would seem to belong to a SASL exchange.
#[test]
fn the_line_behind_lends_a_command_no_word() {
    let talk = b"t{9999}\r\ng AUTHENTICATE PLAIN\r\n";
    let whole = overhear(Protocol::Imap, Door::Plain, [&talk[..]], usize::MAX);
    let told = b"* OK IMAP4 ready\r\n* NO [LIMIT] literal too large\r\n+ \r\n".to_vec();
    assert_eq!(whole, [(Wire::Client, told)]);
    assert_eq!(by_wire(&overhear(Protocol::Imap, Door::Plain, talk.chunks(1), 1)), by_wire(&whole));
}
