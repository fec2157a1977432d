//! A world before it begins: all that its seed decides, and what was left out of it to make its story shorter.

use std::collections::BTreeSet;
use std::time::Duration;

use gatepost::upstream::{Key, Rule};
use gatepost_core::{ProxyHeader, StartTls};
use serde::{Deserialize, Serialize};

use crate::cast::{Cast, Rogue, Visitor};
use crate::chance::Chance;
use crate::client::rogue::Mischief;
use crate::fault::{self, Fault, Kind};

/// Within which everybody but the latecomer arrives.
const ARRIVALS: Duration = Duration::from_secs(6);

/// The same, where all come at once.
const RUSH: Duration = Duration::from_millis(700);

/// Within which everything that goes wrong begins.
const TROUBLE: Duration = Duration::from_secs(8);

/// How long after the last fault is over the latecomer arrives.
const CALM: Duration = Duration::from_secs(1);

/// A world before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all of it comes from.
    pub seed: u64,
    /// How Gatepost is configured, and the network.
    pub terms: Terms,
    /// Who is in it.
    pub cast: Cast,
    /// What goes wrong, in the order in which it begins.
    pub faults: Vec<Fault>,
    /// What is left out.
    pub without: Thinning,
}

/// What is left out of a world. The rest of it is as if nothing were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thinning {
    /// Visitors, by their places in the cast.
    pub visitors: BTreeSet<usize>,
    /// Rogues, likewise.
    pub rogues: BTreeSet<usize>,
    /// Faults, by their places in the plan.
    pub faults: BTreeSet<usize>,
}

/// How Gatepost is configured, and the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The longest that a segment takes.
    pub latency_max: Duration,
    /// Whether each takes exactly so long, and parties have their turns in a fixed order: then whoever says nothing to a session
    /// cannot change its course.
    pub even: bool,
    /// How a backend is chosen of a group.
    pub backend_rule: Rule,
    /// How an auth server is.
    pub auth_rule: Rule,
    /// `proxy_protocol`.
    pub proxy_header: ProxyHeader,
    /// `starttls`.
    pub starttls: StartTls,
    /// `proxy_smtp_auth`.
    pub smtp_auth: bool,
    /// `auth_http_keepalive`: how many connections to an auth server are kept for the next question.
    pub keepalive: usize,
    /// `proxy_pipelining`.
    pub pipelining: bool,
}

impl Plan {
    /// All of the world of `seed`.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let chance = Chance::of(seed, "terms", 0);
        let rules = [
            Rule::RoundRobin,
            Rule::LeastConn,
            Rule::IpHash,
            Rule::Random { two: true },
            Rule::Hash { key: Key::Login, consistent: true },
        ];
        let headers = [ProxyHeader::Off, ProxyHeader::Off, ProxyHeader::V1, ProxyHeader::V2];
        let terms = Terms {
            latency_max: Duration::from_millis(chance.one_of(&[5, 20, 80], 20)),
            even: chance.once_in(4),
            backend_rule: chance.one_of(&rules, Rule::RoundRobin),
            auth_rule: chance.one_of(&rules, Rule::RoundRobin),
            proxy_header: chance.one_of(&headers, ProxyHeader::Off),
            starttls: if chance.once_in(4) { StartTls::Only } else { StartTls::On },
            smtp_auth: chance.once_in(3),
            keepalive: chance.one_of(&[0, 0, 1, 2, 8], 0),
            // A stream of its own: the other worlds stay what they were.
            pipelining: Chance::of(seed, "pipelining", 0).once_in(3),
        };
        let arrivals = chance.one_of(&[ARRIVALS, ARRIVALS, RUSH], ARRIVALS);
        let mut cast = Cast::of(seed, arrivals, terms.starttls == StartTls::On);
        // In every fourth world nothing goes wrong.
        let faults = match chance.once_in(4) {
            true => Vec::new(),
            false => fault::faults(seed, cast.visitors.len(), TROUBLE),
        };
        let over = faults.iter().map(Fault::is_over_at).max().unwrap_or_default();
        cast.add_latecomer(seed, over.max(ARRIVALS) + CALM);
        Self { seed, terms, cast, faults, without: Thinning::default() }
    }

    /// The same with less in it.
    #[must_use]
    pub fn without(self, without: Thinning) -> Self {
        Self { without, ..self }
    }

    /// The same without those whose garbage must not concern anybody else.
    #[must_use]
    pub fn without_garbage(mut self) -> Self {
        let garbage = |rogue: &Rogue| !rogue.mischief.may_ask();
        let numbers =
            self.cast.rogues.iter().enumerate().filter(|(_, rogue)| garbage(rogue)).map(|(number, _)| number);
        self.without.rogues.extend(numbers);
        self
    }

    /// Who comes, with their places in the cast.
    pub fn visitors(&self) -> impl Iterator<Item = (usize, &Visitor)> {
        self.cast.visitors.iter().enumerate().filter(|(number, _)| !self.without.visitors.contains(number))
    }

    /// Who comes and means harm, likewise.
    pub fn rogues(&self) -> impl Iterator<Item = (usize, &Rogue)> {
        self.cast.rogues.iter().enumerate().filter(|(number, _)| !self.without.rogues.contains(number))
    }

    /// What goes wrong, with its place in the plan.
    pub fn faults(&self) -> impl Iterator<Item = (usize, &Fault)> {
        self.faults.iter().enumerate().filter(|(number, _)| !self.without.faults.contains(number))
    }

    /// Whether someone is in it whose garbage must not concern anybody else, and any difference would be theirs. Where segments are
    /// lost, which ones depends on how many there are.
    #[must_use]
    pub fn shows_what_garbage_does(&self) -> bool {
        let garbage = |rogue: &Rogue| !rogue.mischief.may_ask() && rogue.mischief != Mischief::Silence;
        let is_lossy = self.faults().any(|(_, fault)| matches!(fault.kind, Kind::Loss(_)));
        self.terms.even && !is_lossy && self.rogues().any(|(_, rogue)| garbage(rogue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_changes_nothing_else() {
        let plan = Plan::of(7);
        let thinner = plan.clone().without(Thinning { visitors: [0].into(), ..Thinning::default() });
        assert_eq!(format!("{:?}", plan.cast), format!("{:?}", thinner.cast));
        assert_eq!(thinner.visitors().count() + 1, plan.visitors().count());
        assert_eq!(thinner.visitors().next().map(|(number, _)| number), Some(1));
    }

    #[test]
    fn over_some_seeds_everything_goes_wrong_that_can() {
        let names: BTreeSet<&str> =
            (0..600).flat_map(|seed| Plan::of(seed).faults).map(|fault| fault.kind.name()).collect();
        // Each kind of fault, crashes of three parties, and ten moods each of backends and auth servers.
        assert_eq!(names.len(), 7 + 3 + 2 + 10 + 10, "{names:?}");
    }
}
