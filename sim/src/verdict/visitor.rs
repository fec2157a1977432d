//! How visitors fared: exactly as they should, unless something is to blame; and even then they were told no lie.

use std::time::Duration;

use gatepost_core::Protocol;
use gatepost_core::report::{Level, Notice};

use super::{is_trouble, refusal};
use crate::auth_server::Request;
use crate::cast::{Door, Errand, Resident, Visitor};
use crate::client::Seen;
use crate::client::smtp::NAME_IN_CLEAR;
use crate::house::server_name;
use crate::world::{Fared, Story};

/// How long the visit of someone who thinks for `thinks` before each word may take, `Auth-Wait`s included: less than anything in the
/// driver that ends a session because nobody else does.
fn takes_max(visitor: &Visitor) -> Duration {
    Duration::from_secs(14) + visitor.thinks.unwrap_or_default() * 24
}

pub(super) fn judge(story: &Story, faults: &mut Vec<String>) {
    for (number, visitor) in story.plan.visitors() {
        let mut complain = |what: String| {
            let protocol = visitor.errand.protocol().name();
            faults.push(format!("client{number} ({protocol}, {:?}): {what}", visitor.door));
        };
        let Some(resident) = story.plan.cast.resident(visitor) else { continue };
        let Some(fared) = story.visits.get(&number) else {
            complain("never came back".to_owned());
            continue;
        };
        was_told_no_lie(visitor, resident, fared, story, &mut complain);
        auth_servers_were_asked_truly(visitor, resident, fared, story, &mut complain);
        if !is_excused(number, visitor, fared, story) {
            everything_went_well(number, visitor, resident, fared, story, &mut complain);
        }
    }
}

/// Whether something is to blame for whatever happened to the visitor; itself, if it left early.
pub(super) fn is_excused(number: usize, visitor: &Visitor, fared: &Fared, story: &Story) -> bool {
    let by =
        |fault: &crate::fault::Fault| fault.excuses(number, visitor, &story.plan, fared.came, fared.went);
    visitor.leaves_after.is_some() || story.plan.faults().any(|(_, fault)| by(fault))
}

/// Whatever went wrong: of its own mail, in order, nothing but a part; a refusal only where the password was wrong; and with a right one
/// at worst that it is our trouble.
fn was_told_no_lie(
    visitor: &Visitor,
    resident: &Resident,
    fared: &Fared,
    story: &Story,
    complain: &mut dyn FnMut(String),
) {
    let Seen { mail, refusals, admitted, .. } = &fared.seen;
    let owned: &[_] = match visitor.errand {
        Errand::Smtp(..) => &[],
        _ if !visitor.is_admitted() => &[],
        _ => &resident.mail,
    };
    if !owned.starts_with(mail) {
        complain(format!("{} messages that are not of the {} it owns", mail.len(), owned.len()));
    }
    if admitted.is_some() && !visitor.is_admitted() {
        complain(format!("was let in: {admitted:?}"));
    }
    let protocol = visitor.errand.protocol();
    let genuine = refusal(protocol, &story.plan.cast.refusal.text);
    let said = refusals.iter().enumerate();
    for (attempt, reply) in said {
        let deserved = attempt < visitor.refusals() && *reply == genuine;
        // Whoever ends the session says why (decisions 3 and 4).
        let ended = reply.starts_with("421 ");
        if !deserved && !is_trouble(protocol, reply) && !ended {
            complain(format!("login {attempt} was answered by {reply:?}"));
        }
    }
}

/// Nothing was asked but about this client's own logins, each in its turn, with all that it had said, and nothing that it had said before
/// TLS.
fn auth_servers_were_asked_truly(
    visitor: &Visitor,
    resident: &Resident,
    fared: &Fared,
    story: &Story,
    complain: &mut dyn FnMut(String),
) {
    let mut attempts = 0;
    for request in asked_by(fared, story) {
        let number = request.header("Auth-Login-Attempt").and_then(|number| number.parse().ok()).unwrap_or(0);
        let tls = (visitor.door != Door::Clear).then_some("on");
        let password = visitor.passwords.get(number - usize::from(number > 0));
        // A server that was slow or cut off may read the question of an earlier attempt when the next one was asked elsewhere.
        let is_next = number <= attempts + 1;
        attempts = attempts.max(number);
        let true_to_it = is_next
            && request.login == resident.login.as_bytes()
            && request.header("Auth-Method") == Some(visitor.method())
            && (visitor.method() != "plain"
                || password.is_some_and(|password| request.password.expose() == password.as_bytes()))
            && request.header("Auth-Protocol") == Some(visitor.errand.protocol().name())
            && request.header("Auth-SSL") == tls
            && request.header("Auth-SMTP-Helo") != Some(NAME_IN_CLEAR);
        if !true_to_it {
            complain(format!("question: {request:?}"));
        }
    }
    if attempts > visitor.passwords.len() {
        complain(format!("{attempts} questions for {} logins", visitor.passwords.len()));
    }
}

fn asked_by<'a>(fared: &Fared, story: &'a Story) -> impl Iterator<Item = &'a Request> {
    let from = fared.from.to_string();
    story.requests.iter().filter(move |request| request.header("Client-IP") == Some(&from))
}

/// Its own mail, octet for octet, or the auth server's refusal in its protocol's words, and a proper goodbye, in good time; one question a
/// login; and nothing that would wake an operator.
fn everything_went_well(
    number: usize,
    visitor: &Visitor,
    resident: &Resident,
    fared: &Fared,
    story: &Story,
    complain: &mut dyn FnMut(String),
) {
    let seen = &fared.seen;
    if let Some(stumbled) = &fared.stumbled {
        complain(stumbled.clone());
    }
    let took = fared.went.saturating_sub(fared.came);
    if took > takes_max(visitor) {
        complain(format!("took {took:?}"));
    }
    let has_mail = visitor.is_admitted() && !matches!(visitor.errand, Errand::Smtp(..));
    let owned = if has_mail { resident.mail.len() } else { 0 };
    if seen.mail.len() != owned {
        complain(format!("{} of {owned} messages", seen.mail.len()));
    }
    if seen.admitted.is_some() != visitor.is_admitted() {
        complain(format!("login: {:?}", seen.admitted));
    }
    let protocol = visitor.errand.protocol();
    let genuine = refusal(protocol, &story.plan.cast.refusal.text);
    if seen.refusals != vec![genuine; visitor.refusals()] {
        complain(format!("refusals: {:?}", seen.refusals));
    }
    if !says_goodbye(visitor, seen, story) {
        complain(format!("farewell: {:?}", seen.farewell));
    }
    let asked = asked_by(fared, story).count();
    if asked != visitor.passwords.len() {
        complain(format!("{asked} questions for {} logins", visitor.passwords.len()));
    }
    operator_heard_what_happened(number, visitor, story, complain);
}

fn says_goodbye(visitor: &Visitor, seen: &Seen, story: &Story) -> bool {
    // Behind a refusal without Auth-Wait Gatepost ends the session by itself (decisions 4 and 5).
    let closed_on = !visitor.is_admitted() && story.plan.cast.refusal.wait_seconds.is_none();
    let starts: &[&str] = match (visitor.errand.protocol(), closed_on) {
        (Protocol::Imap, false) => &["* BYE", "z OK"],
        (Protocol::Imap, true) => &["* BYE"],
        (Protocol::Pop3, false) => &["+OK"],
        (Protocol::Pop3, true) => &[],
        (Protocol::Smtp, false) => &["221"],
        (Protocol::Smtp, true) => &["421"],
    };
    seen.farewell.len() == starts.len()
        && seen.farewell.iter().zip(starts).all(|(line, start)| line.starts_with(start))
}

/// One session, told from its beginning to its end, by the configuration of its time, with nothing in it that would wake an operator.
fn operator_heard_what_happened(
    number: usize,
    visitor: &Visitor,
    story: &Story,
    complain: &mut dyn FnMut(String),
) {
    let Some(book) = story.books.get(&Story::session_of_visitor(number)) else {
        return complain("there was no session".to_owned());
    };
    if book.is_cut {
        // The process died behind the visitor's back: nobody was left to tell how its session ended.
        return;
    }
    let reports = &book.reports;
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
    let greeting = story.visits.get(&number).map(|fared| fared.seen.greeting.as_str()).unwrap_or_default();
    let names_itself = visitor.errand.protocol() == Protocol::Smtp;
    if names_itself && !greeting.contains(&server_name(book.generation)) {
        complain(format!("was greeted by {greeting:?} in the time of {}", server_name(book.generation)));
    }
}
