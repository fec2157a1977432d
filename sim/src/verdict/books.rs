//! What operators heard of each session: one beginning, one end, in time, and nothing that a log cannot hold.

use std::time::Duration;

use gatepost_core::limits::BACKEND_BUFFERS_MAX;
use gatepost_core::report::{Level, Notice, Report};

use super::{is_one_line, shows_a_password};
use crate::fault::{Kind, Party};
use crate::house::{AUTH_TIMEOUT, Book, LINGERING, TIMEOUT};
use crate::world::Story;

/// What one login may take at most beside the client's own time: an auth server that wants to be asked again for as long as it is in the
/// mood to, the answer, and the backend.
const LOGIN_TAKES_MAX: Duration = Duration::from_secs(12 + 2 * AUTH_TIMEOUT.as_secs() + TIMEOUT.as_secs());

/// How much memory a session may hold before its relay begins, in octets, with TLS on all its wires, whatever its client says: README,
/// Architecture. Rogues say more than that.
const SESSION_BYTES_MAX: i64 = 96 * 1024;

/// What a backend may say before that in all.
const BACKEND_BYTES_MAX: u64 = (BACKEND_BUFFERS_MAX * 4096) as u64;

/// The longest `Auth-Wait`.
const WAIT_MAX: Duration = Duration::from_secs(2);

pub(super) fn judge(story: &Story, faults: &mut Vec<String>) {
    let dies = story.plan.faults().any(|(_, fault)| fault.kind == Kind::Crash(Party::Gatepost));
    for (number, book) in &story.books {
        let mut complain = |what: String| {
            let lines: Vec<String> = book.reports.iter().map(ToString::to_string).collect();
            faults.push(format!("session {number}: {what}: {lines:#?}"));
        };
        every_line_is_one(book, &mut complain);
        if book.octets_max > SESSION_BYTES_MAX.saturating_add(backends_share(book)) {
            complain(format!("held {} octets before its login", book.octets_max));
        }
        if book.is_cut {
            if !dies {
                complain("was cut".to_owned());
            }
            continue;
        }
        if !book.is_over {
            complain("never ended".to_owned());
            continue;
        }
        told_from_beginning_to_end(book, &mut complain);
        ended_in_time(book, &mut complain);
    }
}

/// How much more it may be for a backend that does not come to an end: what that has said, which is there twice while it moves to where
/// there is room for more.
fn backends_share(book: &Book) -> i64 {
    let said = match (book.has_logged_in, book.is_cut) {
        (true, _) => 0,
        (false, false) => book.from_backend.min(BACKEND_BYTES_MAX),
        // Nobody has told.
        (false, true) => BACKEND_BYTES_MAX,
    };
    i64::try_from(2 * said).unwrap_or(i64::MAX)
}

fn every_line_is_one(book: &Book, complain: &mut dyn FnMut(String)) {
    for report in &book.reports {
        let line = report.to_string();
        if !is_one_line(&line) {
            complain(format!("{line:?} is not one line"));
        }
        if shows_a_password(line.as_bytes()) {
            complain(format!("{line:?} has a password"));
        }
        if report.level() >= Level::Crit {
            complain(format!("{line:?} says that we are broken"));
        }
    }
}

fn told_from_beginning_to_end(book: &Book, complain: &mut dyn FnMut(String)) {
    if book.endings.len() != 1 {
        complain(format!("its end was told {} times", book.endings.len()));
    }
    let count =
        |wanted: fn(&Notice) -> bool| book.reports.iter().filter(|report| wanted(&report.notice)).count();
    let connected = count(|notice| matches!(notice, Notice::Connected { .. }));
    let logged_in = count(|notice| matches!(notice, Notice::LoggedIn));
    // The relay's closing line is told once, whatever it is, and only of a relay.
    let relay = book.reports.iter().position(|report| matches!(report.notice, Notice::LoggedIn));
    let behind = relay.map(|at| book.reports.get(at + 1..).unwrap_or_default()).unwrap_or_default();
    let closing = |report: &&Report| {
        matches!(report.notice, Notice::RelayDone | Notice::ClientTimedOut | Notice::ShutDown)
    };
    let closed = behind.iter().filter(closing).count();
    let done = count(|notice| matches!(notice, Notice::RelayDone));
    if connected != 1 || logged_in > 1 || closed != logged_in || done > logged_in {
        complain(format!("connected {connected}, logged in {logged_in}, closed {closed} times"));
    }
}

fn ended_in_time(book: &Book, complain: &mut dyn FnMut(String)) {
    let logged_in = book.reports.iter().any(|report| matches!(report.notice, Notice::LoggedIn));
    // A relay lasts as long as both sides please.
    if logged_in {
        return;
    }
    let attempts = book.attempts;
    let own_time = (TIMEOUT + WAIT_MAX) * (attempts + 1);
    let most = own_time + LOGIN_TAKES_MAX * attempts + LINGERING.time + Duration::from_secs(1);
    for lasted in &book.endings {
        if *lasted > most {
            complain(format!("lasted {lasted:?}, with {attempts} logins no more than {most:?}"));
        }
    }
}
