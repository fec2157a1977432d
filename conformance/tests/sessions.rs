//! The sessions of real clients in `corpus/sessions`, once more: each against the core, cut everywhere, and against the `gatepost` program,
//! octet by octet; and the clients that are at hand once more in person, who have to say what they said.
#![expect(clippy::unwrap_used, reason = "all of this is test code, which fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use gatepost_conformance::octets::Octets;
use gatepost_conformance::peer::require;
use gatepost_conformance::player::{play, play_as_written};
use gatepost_conformance::record::{Backend, record, streams, text, version, with_index};
use gatepost_conformance::subject::Subject;
use gatepost_conformance::subject::binary::Binary;
use gatepost_conformance::subject::core::Core;
use gatepost_conformance::transcript::{Recorded, Step, Transcript, sessions, sessions_folder};
use libtest_mimic::{Arguments, Failed, Trial};

/// The clients that continuous integration has, and whose sessions are the same each time.
const AT_HAND: [&str; 6] =
    ["curl", "swaks", "openssl s_client", "Python's imaplib", "Python's poplib", "Python's smtplib"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let sessions = match sessions() {
        Ok(sessions) => sessions,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let binary = match Binary::build() {
        Ok(binary) => Arc::new(binary),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = vec![
        Trial::test("there_are_sessions_of_every_client_and_protocol", || done(of_all_kinds())),
        Trial::test("the_corpus_says_where_each_comes_from", || done(each_is_named())),
        Trial::test("a_session_that_was_doctored_fails", || done(doctored())),
        Trial::test("files_are_as_the_recorder_writes_them", || done(as_written())),
    ];
    for session in sessions {
        let session = Arc::new(session);
        let (own, core) = (Arc::clone(&session), Core);
        trials.push(Trial::test(format!("core::{}", session.id), move || done(play(&own, &core))));
        let (own, binary) = (Arc::clone(&session), Arc::clone(&binary));
        trials.push(Trial::test(format!("binary::{}", session.id), move || {
            done(play_as_written(&own, &*binary))
        }));
        if let Some(trial) = once_more(session) {
            trials.push(trial);
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn done<E: ToString>(result: Result<(), E>) -> Result<(), Failed> {
    result.map_err(|error| Failed::from(error.to_string()))
}

/// The client in person, with the core for a proxy, and behind it a mail server that says what the recorded one said. None for
/// clients that are not [`AT_HAND`].
fn once_more(session: Arc<Transcript>) -> Option<Trial> {
    let recorded = session.recorded.clone().filter(|recorded| AT_HAND.contains(&recorded.client.as_str()))?;
    let name = format!("client::{}", session.id);
    let other = other_version(&recorded);
    if let Some(why) = &other {
        eprintln!("{name}: skipped: {why}");
    }
    let trial = Trial::test(name, move || {
        let fresh = record_once_more(&session)?;
        let ([before, after], names) = (
            [&session.script, &fresh.script].map(|script| streams(script)),
            ["client", "proxy", "backend", "auth"],
        );
        for ((before, after), name) in before.iter().zip(&after).zip(names) {
            if before != after {
                return Err(format!("{name}: recorded\n{before}\nand now\n{after}").into());
            }
        }
        Ok(())
    });
    Some(trial.with_ignored_flag(other.is_some()))
}

/// Why the client cannot be expected to say what it said: it is missing, or another than it was.
fn other_version(recorded: &Recorded) -> Option<String> {
    let program = recorded.command.first()?;
    let present = require(program).map_err(|skip| skip.to_string()).and_then(|_| version(recorded));
    match present {
        Ok(version) if version == recorded.version => None,
        Ok(version) => Some(format!("recorded with {}, and this is {version}", recorded.version)),
        Err(error) => Some(error),
    }
}

fn record_once_more(session: &Transcript) -> Result<Transcript, String> {
    // The addresses are the core's, and the same in every run.
    let variables = Core.stage(session)?.variables();
    let server = Backend::scripted(&session.script, &variables).map_err(|error| error.to_string())?;
    record(session, &Core, &server, "2026-11-21", |_| {})
}

/// What was asked for: at least so many, of all these, in clear, behind STARTTLS and under TLS, let in and refused.
fn of_all_kinds() -> Result<(), String> {
    let sessions = sessions().map_err(|error| error.to_string())?;
    let tags: BTreeSet<_> =
        sessions.iter().flat_map(|session| session.tags.iter().map(String::as_str)).collect();
    let wanted = [
        "quirk:curl",
        "quirk:swaks",
        "quirk:openssl",
        "quirk:imaplib",
        "quirk:poplib",
        "quirk:smtplib",
        "quirk:mbsync",
        "quirk:fetchmail",
        "quirk:msmtp",
        "quirk:mpop",
        "quirk:mutt",
        "quirk:neomutt",
        "imap",
        "pop3",
        "smtp",
        "starttls",
        "tls",
        "mech:plain",
        "mech:login",
        "mech:cram-md5",
        "mech:apop",
        "mech:xoauth2",
        "mech:oauthbearer",
    ];
    if let Some(missing) = wanted.iter().find(|tag| !tags.contains(*tag)) {
        return Err(format!("there is no session of {missing}"));
    }
    let refused = sessions.iter().filter(|session| session.id.ends_with("-refused")).count();
    match sessions.len() >= 100 && refused >= 10 {
        true => Ok(()),
        false => Err(format!("there are {} sessions, {refused} of them refused", sessions.len())),
    }
}

fn each_is_named() -> Result<(), String> {
    let readme = fs::read_to_string(sessions_folder().join("../README.md")).unwrap();
    match with_index(&readme, &sessions().unwrap())? == readme {
        true => Ok(()),
        false => Err("the table in corpus/README.md is out of date: record any session once more".to_owned()),
    }
}

/// Of one octet that the proxy says, and of one that it is told.
fn doctored() -> Result<(), String> {
    for id in ["curl-imap-plain", "msmtp-smtp-starttls", "poplib-pop3-apop"] {
        let session = sessions().unwrap().into_iter().find(|session| session.id == id).ok_or(id)?;
        let mut tried = 0;
        for at in 0..session.script.len() {
            let mut doctored = session.clone();
            let octets = match doctored.script.get_mut(at) {
                Some(Step::Sees(octets) | Step::BackendGets(octets) | Step::AuthGetsExactly(octets)) => {
                    octets
                }
                _ => continue,
            };
            let mut other = octets.to_vec();
            let middle = other.len() / 2;
            other.iter_mut().skip(middle).take(1).for_each(|octet| *octet ^= 1);
            *octets = Octets::from(other);
            tried += 1;
            match play_as_written(&doctored, &Core) {
                Ok(()) => return Err(format!("{id}: step {at} may say anything")),
                Err(failure) if failure.to_string().contains("expected ") => {}
                Err(failure) => return Err(format!("{id}: step {at} fails without a difference: {failure}")),
            }
        }
        if tried < 4 {
            return Err(format!("{id}: only {tried} steps say what the proxy does"));
        }
    }
    Ok(())
}

/// Nobody has mended a session by hand.
fn as_written() -> Result<(), String> {
    for session in sessions().unwrap() {
        let file = sessions_folder().join(format!("{}.ron", session.id));
        if fs::read_to_string(&file).unwrap() != text(&session)? {
            return Err(format!("{} is not as the recorder would write it", session.id));
        }
    }
    Ok(())
}
