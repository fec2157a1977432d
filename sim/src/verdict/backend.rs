//! What backends were told: whom an auth server had sent there, and only once it had, in the way that was asked for, by the one
//! backend that was to hear it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gatepost_core::{BackendTls, Protocol, ProxyHeader};

use super::shows_a_password;
use crate::auth_server::Request;
use crate::backend::literals::Literals;
use crate::cast::{Errand, Resident};
use crate::post_office::Letter;
use crate::world::{Backstage, Story};

pub(super) fn judge(story: &Story, faults: &mut Vec<String>) {
    for (at, backstage) in story.backends.iter().enumerate() {
        nobody_came_who_was_not_sent(at, backstage, story, faults);
        nothing_secret_came_in_clear(at, backstage, story, faults);
        clients_were_introduced(at, backstage, story, faults);
    }
    no_login_was_told_twice(story, faults);
    letters_arrived_whole_and_once(story, faults);
}

/// The resident whom a backend knows by this name.
fn resident<'a>(login: &[u8], story: &'a Story) -> Option<&'a Resident> {
    story.plan.cast.residents.iter().find(|resident| resident.backend_login.as_bytes() == login)
}

/// When logins of this resident over this protocol were granted.
fn grants<'a>(
    resident: &'a Resident,
    protocol: Protocol,
    story: &'a Story,
) -> impl Iterator<Item = &'a Request> {
    story.requests.iter().filter(move |request| {
        request.granted
            && request.login == resident.login.as_bytes()
            && request.header("Auth-Protocol") == Some(protocol.name())
    })
}

fn nobody_came_who_was_not_sent(at: usize, backstage: &Backstage, story: &Story, faults: &mut Vec<String>) {
    for attempt in &backstage.attempts {
        let mut complain = |what: &str| faults.push(format!("backend {at} was told {attempt:?}, {what}"));
        let Some(resident) = resident(&attempt.login, story) else {
            complain("whom nobody knows");
            continue;
        };
        if !resident.home.is_at(at) {
            complain("who does not live there");
        }
        if attempt.counter != resident.tls {
            complain("over the wrong counter");
        }
        if !attempt.admitted {
            complain("with a wrong password");
        }
        // Only IMAP servers have something to offer here; who may send it all at once, does.
        let takes = Literals::of(story.plan.seed, at);
        let at_once = attempt.protocol == Protocol::Imap
            && story.plan.terms.pipelining
            && [&resident.backend_login, &resident.backend_password]
                .iter()
                .all(|word| takes.takes(word.len()));
        if attempt.in_one_step != at_once {
            complain(if at_once { "step by step" } else { "in one step" });
        }
        let earlier = grants(resident, attempt.protocol, story).any(|request| request.at <= attempt.at);
        if !earlier {
            complain("before an auth server had said so");
        }
    }
}

/// As many logins are told to all backends together as were granted: whoever failed to answer one was the only one to hear it. SMTP
/// backends are told of a login by XCLIENT, and may be again by AUTH.
fn no_login_was_told_twice(story: &Story, faults: &mut Vec<String>) {
    let mut told: BTreeMap<(Protocol, &[u8]), usize> = BTreeMap::new();
    for attempt in story.backends.iter().flat_map(|backstage| &backstage.attempts) {
        *told.entry((attempt.protocol, &attempt.login)).or_default() += 1;
    }
    for ((protocol, login), times) in told {
        let granted = resident(login, story).map_or(0, |resident| grants(resident, protocol, story).count());
        if times > granted {
            let login = String::from_utf8_lossy(login);
            faults.push(format!("{login} was named to backends {times} times and granted {granted} times"));
        }
    }
}

fn nothing_secret_came_in_clear(at: usize, backstage: &Backstage, story: &Story, faults: &mut Vec<String>) {
    for entry in &backstage.entries {
        let names_somebody = |octets: &[u8]| {
            story.plan.cast.residents.iter().any(|resident| {
                let name = resident.backend_login.as_bytes();
                name.len() > 3 && octets.windows(name.len()).any(|window| window == name)
            })
        };
        if entry.tls != BackendTls::Off && (shows_a_password(&entry.octets) || names_somebody(&entry.octets))
        {
            faults.push(format!(
                "backend {at} was told secrets in clear: {:?}",
                String::from_utf8_lossy(&entry.octets)
            ));
        }
    }
}

fn clients_were_introduced(at: usize, backstage: &Backstage, story: &Story, faults: &mut Vec<String>) {
    let clients = story.visits.values().map(|fared| fared.from);
    let clients: BTreeSet<IpAddr> = clients.chain(story.rogues.values().map(|(from, _)| *from)).collect();
    for entry in &backstage.entries {
        match &entry.introduced {
            None => {}
            Some(Ok(client)) if clients.contains(client) => {}
            Some(wrong) => faults.push(format!("backend {at} was introduced to {wrong:?}")),
        }
        if story.plan.terms.proxy_header == ProxyHeader::Off && entry.octets.starts_with(b"PROXY") {
            faults.push(format!("backend {at} was introduced to somebody unasked"));
        }
    }
}

/// Whatever was handed in is somebody's letter, octet for octet; none came twice; and whoever heard that it was taken, or should have
/// heard, finds it in the books.
fn letters_arrived_whole_and_once(story: &Story, faults: &mut Vec<String>) {
    let mut arrived: Vec<&Letter> = story.backends.iter().flat_map(|backstage| &backstage.letters).collect();
    for (number, visitor) in story.plan.visitors() {
        let Errand::Smtp(_, letter) = &visitor.errand else { continue };
        let Some(fared) = story.visits.get(&number) else { continue };
        match arrived.iter().position(|other| *other == letter) {
            Some(_) if !visitor.is_admitted() => {
                faults.push(format!("a letter of client{number} came, who was not to be let in"));
            }
            Some(place) => drop(arrived.swap_remove(place)),
            None if visitor.is_admitted() && !super::visitor::is_excused(number, visitor, fared, story) => {
                faults.push(format!("the letter of client{number} is missing or changed"));
            }
            // It was taken before the leave-taking, or else the client would not have come to that.
            None if visitor.is_admitted() && fared.stumbled.is_none() && fared.seen.admitted.is_some() => {
                faults.push(format!("the letter of client{number} was taken and is missing"));
            }
            None => {}
        }
    }
    if !arrived.is_empty() {
        faults.push(format!("{} letters that nobody wrote, or that came twice", arrived.len()));
    }
}
