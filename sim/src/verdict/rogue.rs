//! What rogues got: nothing that they were not to get.

use std::net::IpAddr;

use crate::client::rogue::{Heard, Mischief, SMUGGLED};
use crate::world::Story;

pub(super) fn judge(story: &Story, faults: &mut Vec<String>) {
    for (number, rogue) in story.plan.rogues() {
        let mut complain = |what: String| {
            let protocol = rogue.protocol.name();
            faults
                .push(format!("rogue{number} ({protocol}, {:?}, {:?}): {what}", rogue.door, rogue.mischief));
        };
        let Some((from, heard)) = story.rogues.get(&number) else {
            complain("never came back".to_owned());
            continue;
        };
        auth_servers_heard_of_it_only_if_they_should(rogue.mischief, *from, story, &mut complain);
        nothing_smuggled_was_answered(rogue.mischief, heard, &mut complain);
        let logged_in = story.books.get(&Story::session_of_rogue(number)).is_some_and(|book| {
            book.reports.iter().any(|report| matches!(report.notice, gatepost_core::report::Notice::LoggedIn))
        });
        if logged_in && !rogue.mischief.is_admitted() {
            complain("was let in".to_owned());
        }
    }
}

fn auth_servers_heard_of_it_only_if_they_should(
    mischief: Mischief,
    from: IpAddr,
    story: &Story,
    complain: &mut dyn FnMut(String),
) {
    let from = from.to_string();
    for request in story.requests.iter().filter(|request| request.header("Client-IP") == Some(&from)) {
        if !mischief.may_ask() {
            complain(format!("an auth server was asked: {request:?}"));
        }
        // nginx sends DEL as it is, and so do we: no HTTP server takes it for an end.
        let breaks = |value: &str| value.chars().any(|octet| octet < ' ');
        if let Some((name, value)) = request.headers.iter().find(|(_, value)| breaks(value)) {
            complain(format!("the header {name} was {value:?}"));
        }
        if request.granted && !mischief.is_admitted() {
            complain(format!("an auth server took it: {request:?}"));
        }
    }
}

/// Nothing said behind STARTTLS before the handshake is answered, in clear or under TLS (RFC 3207 section 4.2, RFC 3501 section 6.2.1).
fn nothing_smuggled_was_answered(mischief: Mischief, heard: &Heard, complain: &mut dyn FnMut(String)) {
    if !matches!(mischief, Mischief::Smuggle | Mischief::SmuggleLate) {
        return;
    }
    let answers = |octets: &[u8]| octets.windows(SMUGGLED.len()).any(|window| window == SMUGGLED.as_bytes());
    if answers(&heard.in_clear) || !heard.under_tls.is_empty() {
        let [clear, tls] = [&heard.in_clear, &heard.under_tls].map(|octets| String::from_utf8_lossy(octets));
        complain(format!("what it smuggled was answered: {clear:?}, under TLS {tls:?}"));
    }
}
