//! Keeps a name's servers as the DNS has them. Each family of addresses is asked for by itself, when its last answer has run out: one that
//! fails or is silent neither hides the other nor keeps it waiting. What an address has proved to be stays with it as long as it is there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::report::Level;
use gatepost_core::{Family, ResolveError};
use tokio::time::{sleep, timeout};

use super::{UNDER_TLS, Upstream, Upstreams};
use crate::resolve::{self, Current};

/// No answer is taken for shorter lived than this, or a time to live of 0 would keep asking.
const HOLDS_MIN: Duration = Duration::from_secs(1);

/// Nor for longer lived, unless `valid=` says so: a slip in a zone should be over a day after it is mended.
const HOLDS_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// When a family is asked for again of which there is none, if `valid=` does not say.
const ABSENT: Duration = Duration::from_secs(60);

/// When a question is asked again that failed; twice as long each time.
const AGAIN_MIN: Duration = Duration::from_secs(1);

/// But no longer than this.
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// A name, and all groups that have it and ask the same servers about it.
#[derive(Debug)]
pub(crate) struct Renewal {
    host: Arc<str>,
    resolver: resolve::Settings,
    timeout: Duration,
    places: Vec<Place>,
    /// Of IPv4 and of IPv6.
    known: RefCell<[Known; 2]>,
}

/// Where a name is in a group.
#[derive(Debug)]
struct Place {
    group: Arc<str>,
    upstream: Arc<Upstream>,
    at: usize,
}

/// What is known of a family.
#[derive(Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    /// What came of the last question.
    last: Option<Result<(), ResolveError>>,
}

impl Renewal {
    /// What there is to do for these groups. However many have a name, it is asked for once.
    pub(crate) fn of<'a>(groups: impl IntoIterator<Item = &'a Arc<Upstreams>>) -> Vec<Self> {
        let (mut all, mut seen) = (BTreeMap::new(), Vec::new());
        for (group, upstream) in groups.into_iter().flat_map(|groups| &**groups) {
            // Servers of one protocol share their groups.
            if seen.iter().any(|other| Arc::ptr_eq(other, upstream)) {
                continue;
            }
            seen.push(upstream.clone());
            for (at, name) in upstream.names().iter().enumerate() {
                let key = (name.resolver.clone(), name.host.clone(), name.timeout);
                let renewal = all.entry(key).or_insert_with(|| Self {
                    host: name.host.clone(),
                    resolver: name.resolver.clone(),
                    timeout: name.timeout,
                    places: Vec::new(),
                    known: RefCell::new([Family::V4, Family::V6].map(|family| {
                        let of_family = |ip: &IpAddr| Family::from(*ip) == family;
                        let addresses = name.addresses.iter().copied().filter(of_family).collect();
                        Known { addresses, last: None }
                    })),
                });
                renewal.places.push(Place { group: group.clone(), upstream: upstream.clone(), at });
            }
        }
        all.into_values().collect()
    }

    /// Whom to ask.
    pub(crate) const fn resolver(&self) -> &resolve::Settings {
        &self.resolver
    }

    /// Asks again and again, and tells the log what is new. Never ready; to drop the future ends it.
    pub(crate) async fn run<F>(
        self,
        ask: impl Fn(Arc<str>, Family) -> F,
        log: impl Fn(Level, String),
    ) -> Infallible
    where
        F: Future<Output = Result<Current, ResolveError>>,
    {
        let follow = |family| self.follow(family, &ask, &log);
        tokio::join!(biased; follow(Family::V4), follow(Family::V6)).0
    }

    async fn follow<F>(
        &self,
        family: Family,
        ask: &impl Fn(Arc<str>, Family) -> F,
        log: &impl Fn(Level, String),
    ) -> Infallible
    where
        F: Future<Output = Result<Current, ResolveError>>,
    {
        let wanted = match family {
            Family::V4 => self.resolver.ipv4,
            Family::V6 => self.resolver.ipv6,
        };
        if !wanted {
            self.learn(family, Err(ResolveError::NotFound), log);
            return pending().await;
        }
        let mut again = AGAIN_MIN;
        loop {
            let answer = timeout(self.timeout, ask(self.host.clone(), family)).await;
            let holds = self.learn(family, answer.unwrap_or(Err(ResolveError::TimedOut)), log);
            let pause = holds.unwrap_or(again);
            again = if holds.is_some() { AGAIN_MIN } else { (again * 2).min(AGAIN_MAX) };
            sleep(pause).await;
        }
    }

    /// Takes in an answer; tells for how long it holds, unless it has to be asked for again soon.
    fn learn(
        &self,
        family: Family,
        answer: Result<Current, ResolveError>,
        log: &impl Fn(Level, String),
    ) -> Option<Duration> {
        let mut known = self.known.borrow_mut();
        let [four, six] = &mut *known;
        let (mine, other) = match family {
            Family::V4 => (four, six),
            Family::V6 => (six, four),
        };
        let last = mine.last.replace(answer.as_ref().map(drop).map_err(|&error| error));
        let mut error = answer.as_ref().err().copied();
        let holds = match answer {
            Ok(Current { addresses, holds }) => {
                mine.addresses = addresses;
                Some(self.resolver.valid.unwrap_or(holds.min(HOLDS_MAX)).max(HOLDS_MIN))
            }
            Err(ResolveError::NotFound) => {
                mine.addresses.clear();
                // Of the other there may be some, or nobody can tell yet.
                error = error.filter(|_| other.addresses.is_empty() && other.last.is_some());
                (!other.addresses.is_empty()).then(|| self.resolver.valid.unwrap_or(ABSENT).max(HOLDS_MIN))
            }
            // What was known stays known.
            Err(_) => None,
        };
        let (host, groups) = (&self.host, self.groups());
        // One line for a row of failures that are alike.
        if let Some(error) = error.filter(|&error| last != Some(Err(error))) {
            log(Level::Error, format!("\"{host}\" could not be resolved {error} while renewing {groups}"));
        }
        let addresses: Vec<IpAddr> = known.iter().flat_map(|known| &known.addresses).copied().collect();
        if self.renew(&addresses) {
            let now = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            log(Level::Notice, format!("\"{host}\" is now {now} in {groups}"));
        }
        holds
    }

    /// Gives every group these addresses, unless there are none: then what was there is better than nothing. Tells whether they are news.
    fn renew(&self, addresses: &[IpAddr]) -> bool {
        let (mut news, there_are) = (false, !addresses.is_empty());
        for place in self.places.iter().filter(|_| there_are) {
            news |= place.upstream.renew(place.at, addresses);
        }
        news
    }

    /// The groups as the operator wrote them, each once, however many protocols and ports it stands for.
    fn groups(&self) -> String {
        let written = |place: &Place| place.group.strip_prefix(UNDER_TLS).unwrap_or(&place.group).to_owned();
        let names: BTreeSet<String> = self.places.iter().map(written).collect();
        let quoted: Vec<String> = names.iter().map(|name| format!("upstream \"{name}\"")).collect();
        quoted.join(", ")
    }
}

#[cfg(test)]
mod tests;
