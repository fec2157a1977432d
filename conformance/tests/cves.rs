//! Each known vulnerability of mail proxies that could have been ours has a test of its name: the transcripts tagged with it, played against
//! the core. Not here are: renegotiation (CVE-2009-3555), which the TLS library does not have; OCSP (CVE-2026-28755), which nobody asks; and
//! memory used after its release, which safe Rust does not allow.

use std::collections::BTreeSet;
use std::error::Error;

use gatepost_conformance::player::play;
use gatepost_conformance::subject::core::Core;
use gatepost_conformance::transcript::Library;

/// Plays the transcripts with this tag, which are exactly these.
fn proven_by(tag: &str, ids: &[&str]) -> Result<(), Box<dyn Error>> {
    let library = Library::load()?;
    let tagged: Vec<_> = library
        .transcripts
        .iter()
        .filter(|transcript| transcript.tags.iter().any(|own| own == tag))
        .collect();
    let found: BTreeSet<_> = tagged.iter().map(|transcript| transcript.id.as_str()).collect();
    assert_eq!(found, ids.iter().copied().collect(), "{tag}");
    for transcript in tagged {
        play(transcript, &Core)?;
    }
    Ok(())
}

/// ALPACA: content of another protocol is not answered line by line.
#[test]
fn cve_2021_3618_another_protocol_ends_the_session() {
    proven_by(
        "CVE-2021-3618",
        &[
            "imap-foreign",
            "imap-implicit",
            "imap-max-errors",
            "pop3-foreign",
            "smtp-foreign",
            "smtp-max-errors",
        ],
    )
    .unwrap();
}

#[test]
fn cve_2014_3556_commands_behind_starttls_are_never_run() {
    proven_by("CVE-2014-3556", &["imap-starttls-only", "pop3-stls", "smtp-starttls-only"]).unwrap();
}

#[test]
fn cve_2025_53859_a_failed_login_leaves_nothing_for_mail_without_one() {
    proven_by("CVE-2025-53859", &["smtp-none-behind-failed-auth"]).unwrap();
}

#[test]
fn cve_2026_27651_a_digest_can_be_tried_again() {
    proven_by("CVE-2026-27651", &["pop3-digest-retries"]).unwrap();
}

#[test]
fn cve_2026_28753_a_clients_name_injects_nothing() {
    proven_by(
        "CVE-2026-28753",
        &["smtp-client-names", "smtp-client-names-impossible", "smtp-client-names-invalid"],
    )
    .unwrap();
}

/// nginx before 1.29.2; no number was given.
#[test]
fn a_user_name_adds_no_attribute_to_xclient() {
    proven_by("XCLIENT-LOGIN", &["smtp-xclient"]).unwrap();
}

/// nginx before 1.29.6; no number was given.
#[test]
fn a_literals_length_does_not_overflow_and_nothing_but_a_space_or_an_end_follows_it() {
    proven_by("IMAP-LITERAL", &["imap-literal-syntax", "imap-literal-too-big"]).unwrap();
}

#[test]
fn cve_2026_1642_what_a_backend_says_in_clear_counts_for_nothing_under_tls() {
    proven_by(
        "CVE-2026-1642",
        &["backend-tls-trouble", "imap-backend-starttls", "pop3-backend-starttls", "smtp-backend-starttls"],
    )
    .unwrap();
}

/// Reading answers is the resolver's part. Ours is never to ask more than two questions, nor to wait for either for ever.
#[test]
fn cve_2011_4315_cve_2016_0742_0746_0747_and_cve_2021_23017_the_dns_holds_nobody_up() {
    for cve in ["CVE-2011-4315", "CVE-2016-0742", "CVE-2016-0746", "CVE-2016-0747", "CVE-2021-23017"] {
        proven_by(cve, &["smtp-client-names-timeout"]).unwrap();
    }
}

#[test]
fn cve_2014_3616_and_cve_2025_23419_a_certificate_is_judged_on_every_connection() {
    let refused =
        |protocol: &str| ["implicit", "starttls"].map(|way| format!("{protocol}-client-certificate-{way}"));
    let mut ids: Vec<_> = ["imap", "pop3", "smtp"].into_iter().flat_map(refused).collect();
    ids.push("client-certificate-resumed".to_owned());
    proven_by("CVE-2014-3616", &ids.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    proven_by("CVE-2025-23419", &["client-certificate-resumed"]).unwrap();
}

/// The player lets no control and no password into any line of ours; here there are many that would like to get there.
#[test]
fn cve_2009_4487_no_control_reaches_the_log() {
    proven_by("CVE-2009-4487", &["log-controls"]).unwrap();
}

/// A tag that no test above asks for would be a claim that nobody looks at.
#[test]
fn every_cve_a_transcript_names_has_its_test() {
    let text = include_str!("cves.rs");
    for transcript in Library::load().unwrap().transcripts {
        for tag in transcript.tags.iter().filter(|tag| tag.starts_with("CVE-")) {
            assert!(text.contains(&format!("{tag:?}")), "{}: {tag}", transcript.id);
        }
    }
}
