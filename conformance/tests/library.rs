//! The files that everything else here plays.

use std::collections::BTreeSet;

use gatepost_conformance::report;
use gatepost_conformance::transcript::{Library, Runner, Step, Transcript};

/// The transcripts for the core alone that have no step for it alone, and why.
const CORE_ALONE: [(&str, &str); 9] = [
    (
        "upstream-refuses",
        "a port that refuses now and accepts at once behind it, and one that swallows packets",
    ),
    ("auth-server-names", "names that no DNS has heard of, and that all lead to the backend"),
    ("auth-wait-forever", "the second between two questions is not to be shortened"),
    ("auth-wait-too-long", "ten minutes pass, and Auth-Wait is not to be shortened"),
    ("backend-tls-trouble", "a ClientHello that nobody answers is octets no step accounts for"),
    (
        "proxy-before-backend-tls",
        "header and ClientHello come in one segment, which the script cannot take apart",
    ),
    ("proxy-timeout-own", "the ten seconds are not to be shortened"),
    ("smtp-client-names-impossible", "no DNS message can hold such names"),
    (
        "imap-oauthbearer-destination-asked",
        "a client verifies the name that it asks for, and the certificate of the runs is for mx.test alone",
    ),
];

#[test]
fn every_file_is_sound_and_every_difference_has_a_reason() {
    if let Err(error) = Library::load() {
        panic!("{error}");
    }
}

/// What the first of all milestones asks for, so that no file gets lost unseen.
#[test]
fn the_three_protocols_tls_and_the_auth_server_are_covered() {
    let library = Library::load().unwrap();
    let with = |tag: &str| {
        library.transcripts.iter().filter(|transcript| transcript.tags.iter().any(|own| own == tag)).count()
    };
    assert!(library.transcripts.len() >= 100, "{}", library.transcripts.len());
    for tag in ["imap", "pop3", "smtp", "auth", "starttls", "tls", "sasl", "security", "timer", "relay"] {
        assert!(with(tag) > 1, "{tag}");
    }
}

/// What the whole dialogue asks for beyond that.
#[test]
fn tokens_certificates_proxy_headers_names_and_tls_to_backends_are_covered() {
    let library = Library::load().unwrap();
    let with = |tag: &str| {
        library.transcripts.iter().filter(|transcript| transcript.tags.iter().any(|own| own == tag)).count()
    };
    for tag in ["mech:xoauth2", "mech:oauthbearer", "mech:external", "proxy", "resolver", "backend-tls"] {
        assert!(with(tag) > 1, "{tag}");
    }
}

#[test]
fn whatever_runs_on_sockets_runs_on_the_core_too() {
    let library = Library::load().unwrap();
    for transcript in &library.transcripts {
        let runners: BTreeSet<_> = transcript.runners.iter().copied().collect();
        assert!(runners.contains(&Runner::Core), "{}", transcript.id);
        assert!(runners.contains(&Runner::Binary) || runners.len() == 1, "{}", transcript.id);
    }
}

/// Nobody leaves out a subject because playing to it is not there yet: what the core plays alone, only the core can play.
#[test]
fn whatever_sockets_can_play_they_play() {
    let library = Library::load().unwrap();
    let alone = |transcript: &&Transcript| transcript.runners == [Runner::Core];
    for transcript in library.transcripts.iter().filter(alone) {
        let told = |step: &Step| match step {
            Step::Operator(_) => true,
            Step::Open(open) => open.from.is_some(),
            Step::ClientTls(attempt) => !attempt.begun.is_empty(),
            _ => false,
        };
        let excused = CORE_ALONE.iter().any(|(id, _)| *id == transcript.id);
        assert!(excused || transcript.steps().any(told), "{} could be played on sockets", transcript.id);
    }
    for (id, why) in CORE_ALONE {
        let known = |transcript: &Transcript| transcript.id == id && transcript.runners == [Runner::Core];
        assert!(library.transcripts.iter().any(known), "{id}: {why}, or not?");
    }
}

#[test]
fn nothing_is_missing_and_the_table_says_what_the_files_say() {
    let library = Library::load().unwrap();
    let summary = report::summary(&library);
    assert!(summary.lines().last().unwrap().ends_with(", 0 missing"), "{summary}");
    let written = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/REPORT.md")).unwrap();
    assert!(
        written == report::table(&library),
        "REPORT.md is out of date: cargo run -p gatepost-conformance -- report --write"
    );
}
