//! The files that everything else here plays.

use std::collections::BTreeSet;

use gatepost_conformance::transcript::{Library, Runner};

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
