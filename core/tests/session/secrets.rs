//! The password is always `hunter2`, and nobody who reads a trace, a report or a log line learns it.

use std::time::Duration;

use gatepost_core::{Policy, Protocol, Seed, Wire};
use proptest::prelude::*;

use crate::stage::{Door, PROTOCOLS, Stage, policy};

/// Logins by every mechanism, and attempts that go wrong with the password in the wrong place.
fn talks() -> Vec<(Protocol, &'static str)> {
    vec![
        (Protocol::Imap, "a LOGIN fred hunter2\r\n"),
        (
            Protocol::Imap,
            "a LOGIN wilma hunter2\r\nb LOGIN \"fred\" \"hun\\\\ter2\" hunter2\r\nc LOGIN {4+}\r\nfred {7+}\r\nhunter2\r\n",
        ),
        (Protocol::Imap, "a AUTHENTICATE PLAIN AGZyZWQAaHVudGVyMg==\r\n"),
        (Protocol::Imap, "a AUTHENTICATE PLAIN\r\nAGZyZWQAaHVudGVyMg==hunter2\r\nhunter2\r\n"),
        (Protocol::Imap, "a AUTHENTICATE LOGIN\r\nZnJlZA==\r\naHVudGVyMg==\r\n"),
        (Protocol::Pop3, "USER fred\r\nPASS hunter2\r\n"),
        (
            Protocol::Pop3,
            "USER wilma\r\nPASS hunter2\r\nPASS hunter2\r\nAUTH PLAIN hunter2\r\nAUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n",
        ),
        (Protocol::Smtp, "EHLO c.test\r\nAUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n"),
        (Protocol::Imap, "a AUTHENTICATE XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
        (Protocol::Pop3, "AUTH OAUTHBEARER bixhPWZyZWQsAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
        (Protocol::Smtp, "AUTH XOAUTH2 dXNlcj13aWxtYQFhdXRoPUJlYXJlciBodW50ZXIyAQE=\r\n\r\nNOOP\r\n"),
        (Protocol::Smtp, "AUTH LOGIN ZnJlZA==\r\naHVudGVyMg==\r\n"),
        (Protocol::Smtp, "AUTH LOGIN\r\n*\r\nAUTH PLAIN\r\nhunter2\r\nAUTH PLAIN AAA=hunter2\r\n"),
    ]
}

/// How a password may look on its way.
const DISGUISES: [&str; 5] = ["hunter2", "hun\\\\ter2", "aHVudGVyMg", "AGZyZWQAaHVudGVyMg", "IGh1bnRlcjI"];

#[test]
fn no_trace_report_or_log_line_holds_the_password() {
    for (protocol, talk) in talks() {
        for octets in [1, talk.len()] {
            for (smtp_auth, oauth, pipelining) in
                [(false, false, false), (true, false, false), (true, true, false), (false, false, true)]
            {
                let mut policy = policy(protocol);
                policy.backend.smtp_auth = smtp_auth;
                policy.backend.oauth = oauth;
                policy.backend.pipelining = pipelining;
                let mut stage = Stage::traced(policy, Door::Tls);
                talk.as_bytes().chunks(octets).for_each(|piece| stage.client_says(piece));
                for line in stage.trace.iter().flatten().chain(&stage.log) {
                    assert!(!DISGUISES.iter().any(|secret| line.contains(secret)), "{talk:?}: {line}");
                }
            }
        }
    }
}

#[test]
fn a_seed_does_not_show_what_challenges_will_be_made_of() {
    assert_eq!(format!("{:?}", Seed([7; 16])), "[seed]");
}

#[test]
fn a_command_too_long_is_logged_without_its_arguments() {
    for (protocol, command) in
        [(Protocol::Imap, "a LOGIN fred "), (Protocol::Pop3, "PASS "), (Protocol::Smtp, "NOOP ")]
    {
        let mut stage = Stage::new(policy(protocol), Door::Plain, usize::MAX);
        stage.client_says(format!("{command}{}\r\n", "hunter2".repeat(1000)).as_bytes());
        let line = stage.log.iter().find(|line| line.contains("too long")).expect("a log line");
        assert!(!line.contains("hunter2"), "{line}");
        assert!(line.contains(command.trim_start_matches("a ").split(' ').next().unwrap()), "{line}");
    }
}

/// `octets` in base64, by nobody's code but this.
fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> =
        octets.iter().flat_map(|octet| (0..8).rev().map(move |place| octet >> place & 1)).collect();
    let digit = |six: &[u8]| six.iter().fold(0, |value, bit| value << 1 | bit) << (6 - six.len());
    bits.chunks(6).map(|six| char::from(ALPHABET[usize::from(digit(six))])).collect()
}

/// A login by SASL under TLS in one line, and whether the auth server was asked about it.
fn is_asked_about(protocol: Protocol, way: usize, login: &[u8], password: &[u8]) -> (bool, Stage) {
    let (mechanism, message) = match way {
        0 => ("PLAIN", [b"\0", login, b"\0", password].concat()),
        1 => ("XOAUTH2", [b"user=", login, b"\x01auth=Bearer ", password, b"\x01\x01"].concat()),
        2 => ("OAUTHBEARER", [b"n,a=", login, b",\x01auth=Bearer ", password, b"\x01\x01"].concat()),
        _ => ("EXTERNAL", login.to_vec()),
    };
    let command = if protocol == Protocol::Imap { "a AUTHENTICATE" } else { "AUTH" };
    let mut stage = Stage::new(policy(protocol), Door::Tls, usize::MAX);
    stage.client_says(format!("{command} {mechanism} {}\r\n", base64(&message)).as_bytes());
    (stage.heard.iter().any(|(wire, _)| *wire == Wire::Auth), stage)
}

/// Whoever types too soon, or too much, may type a password where a command belongs (divergences S5).
#[test]
fn a_word_is_told_only_if_it_is_a_command() {
    let delayed = Policy { greeting_delay: Duration::from_secs(5), ..policy(Protocol::Smtp) };
    for (said, told) in
        [("ehlo c.test\r\n", "\"ehlo ...\""), ("aHVudGVyMg==\r\n", "\" ...\""), ("hunter\r\n", "\" ...\"")]
    {
        let mut stage = Stage::new(delayed.clone(), Door::Plain, usize::MAX);
        stage.client_says(said.as_bytes());
        assert!(stage.log[1].contains(&format!("before greeting: {told}")), "{:?}", stage.log);
    }
    let endless = "x".repeat(5000);
    for (protocol, front, told) in [
        (Protocol::Imap, "a select ", "\"select ...\""),
        (Protocol::Imap, "a hunter2 ", "\" ...\""),
        (Protocol::Pop3, "PASS ", "\"PASS ...\""),
        (Protocol::Pop3, "aHVudGVyMg ", "\" ...\""),
        (Protocol::Smtp, "MAIL ", "\"MAIL ...\""),
        (Protocol::Smtp, "hunter ", "\" ...\""),
    ] {
        let mut stage = Stage::new(policy(protocol), Door::Plain, usize::MAX);
        stage.client_says(format!("{front}{endless}").as_bytes());
        let line = stage.log.iter().find(|line| line.contains("too long command")).expect("a log line");
        assert!(line.contains(told), "{line}");
    }
}

#[test]
fn a_credential_that_is_fit_is_asked_about() {
    for protocol in PROTOCOLS {
        for way in 0..4 {
            assert!(is_asked_about(protocol, way, b"fred", b"hunter2").0, "{protocol:?} {way}");
        }
    }
}

/// A name or password that a client might send, with the octets that end lines more often than chance has them. Without the one
/// that ends a token (RFC 7628 section 3.1): what comes behind it belongs to no credential.
fn credential() -> impl Strategy<Value = Vec<u8>> {
    let octet = any::<u8>().prop_map(|octet| if octet == 1 { 2 } else { octet });
    proptest::collection::vec(
        prop_oneof![4 => octet, 1 => proptest::sample::select(b"\0\r\n".to_vec())],
        1..12,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Decision 10: whatever the mechanism, such octets end the attempt before anybody is asked.
    #[test]
    fn no_nul_cr_or_lf_of_a_credential_reaches_any_wire(
        protocol in proptest::sample::select(&PROTOCOLS[..]), login in credential(), password in credential(), way in 0usize..4,
    ) {
        let (asked, stage) = is_asked_about(protocol, way, &login, &password);
        let unfit = |octets: &[u8]| octets.iter().any(|octet| b"\0\r\n".contains(octet));
        let secret = if way == 3 { &login } else { &password };
        prop_assert!(!(asked && (unfit(&login) || unfit(secret))), "{:?}", stage.heard);
        // And whatever was asked or told is whole lines.
        for (_, octets) in stage.heard.iter().filter(|(wire, _)| *wire != Wire::Client) {
            let text: Vec<_> = octets.split(|octet| *octet == b'\n').collect();
            prop_assert!(octets == b"<closed>" || text.iter().rev().skip(1).all(|line| line.ends_with(b"\r")));
            prop_assert!(!octets.contains(&0));
        }
    }
}
