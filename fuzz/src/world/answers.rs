//! What the surroundings answer at once: which server it is, whether there is a place, what the DNS says.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use gatepost_core::{Answer, Claim, Event, NoPlace, NoServer, Place, Question, ResolveError, Server, Wire};

use super::World;
use crate::rarities::{Crowd, Rarities};
use crate::setting::Setting;
use crate::wires::Line;

impl World {
    /// Answers what the session has asked for, if it has.
    pub(super) fn answer(&mut self) {
        if let Some(wire) = self.choosing.take() {
            self.choose(wire);
        }
        if let Some(claims) = self.claims.take() {
            self.admit(&claims);
        }
        if let Some(question) = self.asked.take().filter(|_| !self.setting.rarities.deaf_dns) {
            let answer = self.resolve(&question);
            self.tell(Event::Resolved(answer));
        }
    }

    fn choose(&mut self, wire: Wire) {
        let chosen = match self.places.get_mut(&wire).and_then(VecDeque::pop_front) {
            Some(Place::At(address)) => Ok(Server { address, name: None }),
            Some(Place::Named(name, _)) => Err(NoServer::Unresolved { name, error: ResolveError::NotFound }),
            None => Err(NoServer::Exhausted),
        };
        if chosen.is_ok() {
            self.wires.set(wire, Line::Dialing);
        }
        self.tell(Event::Chosen(wire, chosen));
    }

    /// Whoever has a name that begins with y or z has no place, nor has anybody in a crowd.
    fn admit(&mut self, claims: &[Claim]) {
        let of = |octet| claims.iter().find(|claim| claim.key.expose().first() == Some(&octet));
        let early = claims.first().filter(|claim| claim.early);
        let Rarities { crowd, dry_run, .. } = self.setting.rarities;
        let (full, short) = match crowd {
            Crowd::Full => (early, None),
            Crowd::NoMemory => (None, early),
            // In a dry run those who come hear something, so that they are here when nobody answers.
            Crowd::Uncounted if !dry_run || early.is_none() => return,
            Crowd::None | Crowd::Uncounted => (of(b'y'), of(b'z')),
        };
        let full = full.map(|claim| NoPlace::Full(claim.zone.clone()));
        let short = short.map(|claim| NoPlace::NoMemory(claim.zone.clone()));
        let outcome = full.or(short).map_or(Ok(()), Err);
        self.turned_away |= outcome.is_err();
        self.tell(Event::Admitted(outcome));
    }

    fn resolve(&self, question: &Question) -> Answer {
        let Setting { extras, rarities, .. } = self.setting;
        match question {
            Question::NameOf(_) if rarities.odd_name => Answer::Name(Ok(b"-client test-".to_vec())),
            Question::NameOf(_) if extras.named => Answer::Name(Ok(b"Client.Test.".to_vec())),
            Question::NameOf(_) if extras.nearly => Answer::Name(Err(ResolveError::Server)),
            Question::NameOf(_) => Answer::Name(Err(ResolveError::NotFound)),
            Question::AddressesOf(..) if extras.nearly => {
                Answer::Addresses(Ok(vec![Ipv4Addr::new(127, 0, 0, 8).into()]))
            }
            Question::AddressesOf(..) => {
                Answer::Addresses(Ok(rarities.client().remote.ip().into_iter().collect()))
            }
        }
    }
}
