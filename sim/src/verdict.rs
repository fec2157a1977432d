//! What must be true at the end of a world.

use std::net::IpAddr;
use std::time::Duration;

use gatepost_core::Protocol;
use gatepost_core::report::{Level, Notice};

use crate::cast::{Door, Errand, Resident, Visitor};
use crate::client::Seen;
use crate::post_office::Visit;
use crate::world::{Fared, Story};

/// How long a visit may take, `Auth-Wait`s included: a few seconds, and less than anything in the driver that ends a
/// session because nobody else does.
const TAKES_MAX: Duration = Duration::from_secs(20);

/// Every complaint there is about `story`; none if all is well.
#[must_use]
pub fn judge(story: &Story) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, visitor) in story.cast.visitors.iter().enumerate() {
        let mut complain = |what: String| {
            let protocol = visitor.errand.protocol().name();
            faults.push(format!("client{number} ({protocol}, {:?}): {what}", visitor.door));
        };
        let Some(resident) = story.cast.resident(visitor) else { continue };
        match story.visits.get(&number) {
            None => complain("never came back".to_owned()),
            Some(Fared { seen: Err(error), .. }) => complain(error.clone()),
            Some(Fared { from, took, seen: Ok(seen) }) => {
                if *took > TAKES_MAX {
                    complain(format!("took {took:?}"));
                }
                client_saw_what_it_should(visitor, resident, seen, story, &mut complain);
                auth_server_was_asked_truly(visitor, resident, *from, story, &mut complain);
                operator_heard_what_happened(visitor, *from, story, &mut complain);
            }
        }
    }
    nobody_else_got_in(story, &mut faults);
    every_letter_arrived_once(story, &mut faults);
    let sessions = story.cast.visitors.len();
    if story.reports.len() != sessions {
        faults.push(format!("{} sessions where {sessions} clients came", story.reports.len()));
    }
    match story.cast.keepalive {
        // A connection that ended before a question came may have been one more.
        0 if story.connections != story.requests.len() => {
            faults.push(format!("{} connections for {} questions", story.connections, story.requests.len()));
        }
        _ => {}
    }
    if story.sessions_left > 0 {
        faults.push(format!("{} sessions never ended", story.sessions_left));
    }
    faults
}

/// Its own mail, octet for octet, or the auth server's refusal in its protocol's words, and a proper goodbye.
fn client_saw_what_it_should(
    visitor: &Visitor,
    resident: &Resident,
    seen: &Seen,
    story: &Story,
    complain: &mut dyn FnMut(String),
) {
    let mail: &[_] = match visitor.errand {
        Errand::Smtp(..) => &[],
        _ if !visitor.is_admitted() => &[],
        _ => &resident.mail,
    };
    if seen.mail != mail {
        complain(format!("{} messages that are not the {} it owns", seen.mail.len(), mail.len()));
    }
    if seen.admitted.is_some() != visitor.is_admitted() {
        complain(format!("login: {:?}", seen.admitted));
    }
    let text = &story.cast.refusal.text;
    let refusal = match visitor.errand.protocol() {
        Protocol::Imap => format!("NO [AUTHENTICATIONFAILED] {text}"),
        Protocol::Pop3 => format!("-ERR {text}"),
        Protocol::Smtp => format!("535 5.7.0 {text}"),
    };
    if seen.refusals != vec![refusal; visitor.refusals()] {
        complain(format!("refusals: {:?}", seen.refusals));
    }
    // Behind a refusal without Auth-Wait Gatepost ends the session by itself (decisions 4 and 5).
    let closed_on = !visitor.is_admitted() && story.cast.refusal.wait_seconds.is_none();
    let starts: &[&str] = match (visitor.errand.protocol(), closed_on) {
        (Protocol::Imap, false) => &["* BYE", "z OK"],
        (Protocol::Imap, true) => &["* BYE"],
        (Protocol::Pop3, false) => &["+OK"],
        (Protocol::Pop3, true) => &[],
        (Protocol::Smtp, false) => &["221"],
        (Protocol::Smtp, true) => &["421"],
    };
    let fits = seen.farewell.len() == starts.len()
        && seen.farewell.iter().zip(starts).all(|(line, start)| line.starts_with(start));
    if !fits {
        complain(format!("farewell: {:?}", seen.farewell));
    }
}

/// One question a login, each about this client and nobody else.
fn auth_server_was_asked_truly(
    visitor: &Visitor,
    resident: &Resident,
    from: IpAddr,
    story: &Story,
    complain: &mut dyn FnMut(String),
) {
    let from = from.to_string();
    let asked: Vec<_> =
        story.requests.iter().filter(|request| request.header("Client-IP") == Some(&from)).collect();
    if asked.len() != visitor.passwords.len() {
        complain(format!("{} questions for {} logins", asked.len(), visitor.passwords.len()));
    }
    let tls = (visitor.door != Door::Clear).then_some("on");
    for ((attempt, request), password) in (1..).zip(asked).zip(&visitor.passwords) {
        let true_to_it = request.login == resident.login.as_bytes()
            && request.header("Auth-Method") == Some(visitor.method())
            && (visitor.method() != "plain" || request.password.expose() == password.as_bytes())
            && request.header("Auth-Login-Attempt") == Some(&format!("{attempt}"))
            && request.header("Auth-Protocol") == Some(visitor.errand.protocol().name())
            && request.header("Auth-SSL") == tls;
        if !true_to_it {
            complain(format!("question: {request:?}"));
        }
    }
}

/// One session, told from its beginning to its end, with nothing in it that would wake an operator.
fn operator_heard_what_happened(
    visitor: &Visitor,
    from: IpAddr,
    story: &Story,
    complain: &mut dyn FnMut(String),
) {
    let of_client = |reports: &&Vec<_>| {
        reports.first().is_some_and(|first: &gatepost_core::Report| first.context.client.ip() == Some(from))
    };
    let sessions: Vec<_> = story.reports.values().filter(of_client).collect();
    let [reports] = sessions.as_slice() else {
        return complain(format!("{} sessions", sessions.len()));
    };
    let count = |wanted: fn(&Notice) -> bool| reports.iter().filter(|report| wanted(&report.notice)).count();
    let admitted = usize::from(visitor.is_admitted());
    let well_told = matches!(reports.first().map(|first| &first.notice), Some(Notice::Connected { .. }))
        && count(|notice| matches!(notice, Notice::Connected { .. })) == 1
        && count(|notice| matches!(notice, Notice::LoginFailed { .. })) == visitor.refusals()
        && count(|notice| matches!(notice, Notice::LoggedIn)) == admitted
        && count(|notice| matches!(notice, Notice::RelayDone)) == admitted
        && reports.iter().all(|report| report.level() <= Level::Info);
    if !well_told {
        let lines: Vec<String> = reports.iter().map(ToString::to_string).collect();
        complain(format!("reports: {lines:#?}"));
    }
}

/// The backends let in exactly whom the auth server sent, each once.
fn nobody_else_got_in(story: &Story, faults: &mut Vec<String>) {
    let admitted = story.cast.visitors.iter().filter(|visitor| visitor.is_admitted());
    let mut expected: Vec<Visit> = admitted
        .filter_map(|visitor| {
            let login = story.cast.resident(visitor)?.backend_login.clone();
            Some(Visit { protocol: visitor.errand.protocol(), login })
        })
        .collect();
    let mut got = story.admitted.clone();
    expected.sort_by(|a, b| (a.protocol, &a.login).cmp(&(b.protocol, &b.login)));
    got.sort_by(|a, b| (a.protocol, &a.login).cmp(&(b.protocol, &b.login)));
    if got != expected {
        faults.push(format!("the backends let in {got:?} where {expected:?} came"));
    }
}

/// Whatever an admitted client handed in is in the books, octet for octet, and nothing else is.
fn every_letter_arrived_once(story: &Story, faults: &mut Vec<String>) {
    let mut letters = story.office.letters();
    for visitor in story.cast.visitors.iter().filter(|visitor| visitor.is_admitted()) {
        let Errand::Smtp(_, letter) = &visitor.errand else { continue };
        match letters.iter().position(|arrived| arrived == letter) {
            Some(at) => drop(letters.swap_remove(at)),
            None => faults.push(format!("a letter from {} is missing or changed", letter.from)),
        }
    }
    if !letters.is_empty() {
        faults.push(format!("{} letters that nobody wrote", letters.len()));
    }
}
