//! The server that a wire is to be connected to, where there are several: one after another, each once.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use gatepost_core::{
    Address, Group, Guest, Instant, Judgement, NoServer, Place, ResolveError, Server, Target,
};

use super::addresses::addresses_of;
use crate::net::Net;
use crate::upstream::{Die, Lease, Tried, Upstream, Upstreams};

/// Whoever is next, or why there is nobody.
pub(super) type Chosen = Result<Server, NoServer>;

/// The addresses of a name, on their way.
type Lookup = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>>>>;

/// The choice of a wire's server, if there is one to make.
#[derive(Default)]
pub(super) struct Choice(Option<Box<Choosing>>);

/// Where a wire's server comes from, and the choice that is being made.
struct Choosing {
    from: From,
    /// What is chosen and was not told yet.
    chosen: Option<Chosen>,
    /// The DNS is asked for the host of this name and port.
    asked: Option<(Arc<str>, u16, Lookup)>,
}

enum From {
    /// These, in this order. Those that come of a name know it.
    List(VecDeque<(Place, Option<Arc<str>>)>),
    /// A group, and the place that was taken there.
    Group { upstream: Arc<Upstream>, guest: Guest, tried: Tried, lease: Option<Lease> },
}

impl Choice {
    /// Begins to choose from `target`, if that leaves a choice, and makes the first.
    pub(super) fn begin<N: Net>(&mut self, target: &Target, upstreams: &Upstreams, net: &N, die: &mut Die) {
        *self = Self::default();
        let from = match target {
            Target::Address(_) => return,
            Target::AnyOf(places) => From::List(places.iter().map(|place| (place.clone(), None)).collect()),
            Target::Group(Group { name, guest, .. }) => match upstreams.get(name) {
                Some(upstream) => From::Group {
                    upstream: upstream.clone(),
                    guest: guest.clone(),
                    tried: Tried::default(),
                    lease: None,
                },
                // Nobody is in a group that nobody knows.
                None => From::List(VecDeque::new()),
            },
        };
        self.0.insert(Box::new(Choosing { from, chosen: None, asked: None })).go_on(net, die);
    }

    /// Chooses another one.
    pub(super) fn go_on<N: Net>(&mut self, net: &N, die: &mut Die) {
        if let Some(choosing) = &mut self.0 {
            choosing.go_on(net, die);
        }
    }

    /// Tells the group what the server that was chosen last has proved to be.
    pub(super) fn judge(&mut self, judgement: Judgement, now: Instant) {
        if let Some(From::Group { lease: Some(lease), .. }) =
            self.0.as_mut().map(|choosing| &mut choosing.from)
        {
            lease.judge(judgement, now);
        }
    }

    /// The place at the server that was chosen last, for as long as it is kept.
    pub(super) fn into_lease(self) -> Option<Lease> {
        let choosing = *self.0?;
        match choosing.from {
            From::Group { lease, .. } => lease,
            From::List(_) => None,
        }
    }

    /// Ready with the choice; never when nothing is being chosen.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Chosen> {
        self.0.as_mut().map_or(Poll::Pending, |choosing| choosing.poll_next(cx))
    }
}

impl Choosing {
    fn go_on<N: Net>(&mut self, net: &N, die: &mut Die) {
        (self.chosen, self.asked) = (None, None);
        match &mut self.from {
            From::List(places) => match places.pop_front() {
                Some((Place::At(address), name)) => self.chosen = Some(Ok(Server { address, name })),
                Some((Place::Named(name, port), _)) => {
                    let lookup = Box::pin(addresses_of(net.clone(), name.clone()));
                    self.asked = Some((name, port, lookup));
                }
                None => self.chosen = Some(Err(NoServer::Exhausted)),
            },
            From::Group { upstream, guest, tried, lease } => {
                // The place of the one before is given back first.
                *lease = None;
                *lease = upstream.pick(guest, tried, net.now(), die);
                self.chosen = Some(match lease {
                    Some(lease) => Ok(lease.server().clone()),
                    None => Err(NoServer::Exhausted),
                });
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Chosen> {
        if let Some(chosen) = self.chosen.take() {
            return Poll::Ready(chosen);
        }
        let Some((name, port, lookup)) = &mut self.asked else { return Poll::Pending };
        let Poll::Ready(found) = lookup.as_mut().poll(cx) else { return Poll::Pending };
        let (name, port) = (name.clone(), *port);
        self.asked = None;
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(error) => return Poll::Ready(Err(NoServer::Unresolved { name, error })),
        };
        let mut servers = addresses.into_iter().map(|ip| Address::from(SocketAddr::new(ip, port)));
        let Some(address) = servers.next() else {
            let error = ResolveError::NotFound;
            return Poll::Ready(Err(NoServer::Unresolved { name, error }));
        };
        if let From::List(places) = &mut self.from {
            // Before the names behind it, in the order of the answer.
            for other in servers.rev() {
                places.push_front((Place::At(other), Some(name.clone())));
            }
        }
        Poll::Ready(Ok(Server { address, name: Some(name) }))
    }
}
