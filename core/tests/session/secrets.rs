//! The password is always `hunter2`, and nobody who reads a trace, a report or a log line learns it.

use gatepost_core::Protocol;

use crate::stage::{Door, Stage, policy};

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
            for smtp_auth in [false, true] {
                let mut policy = policy(protocol);
                policy.backend.smtp_auth = smtp_auth;
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
