//! Every input that taught us something, as an ordinary test.
#![expect(clippy::panic, clippy::unwrap_used, reason = "all of this is test code, which fails by panicking")]

use std::fs;
use std::panic;
use std::path::Path;

/// Runs `target` on each file of its corpus, and names the one that fails.
fn replay(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/fuzz").join(name);
    let entries = fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", corpus.display());
    for file in files {
        let octets = fs::read(&file).unwrap();
        if panic::catch_unwind(|| target(&octets)).is_err() {
            panic!("fails on {}", file.display());
        }
    }
}

#[test]
fn imap_corpus_holds() {
    replay("imap", gatepost_fuzz::imap);
}

#[test]
fn pop3_corpus_holds() {
    replay("pop3", gatepost_fuzz::pop3);
}

#[test]
fn smtp_corpus_holds() {
    replay("smtp", gatepost_fuzz::smtp);
}

#[test]
fn framing_corpus_holds() {
    replay("framing", gatepost_fuzz::framing);
}

#[test]
fn proxy_corpus_holds() {
    replay("proxy", gatepost_fuzz::proxy);
}

#[test]
fn auth_answer_corpus_holds() {
    replay("auth_answer", gatepost_fuzz::auth_answer);
}

#[test]
fn session_corpus_holds() {
    replay("session", gatepost_fuzz::session);
}

#[cfg(feature = "config")]
#[test]
fn config_corpus_holds() {
    replay("config", gatepost_fuzz::config);
}
