//! The server that a wire is to be connected to, where there are several: one after another, each once.

use std::collections::VecDeque;
use std::future::poll_fn;
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

/// Where a wire's server comes from, and the choice that is being made.
#[derive(Default)]
pub(super) struct Choice {
    from: From,
    /// What is chosen and was not told yet.
    chosen: Option<Chosen>,
    /// The DNS is asked for the host of this name and port.
    asked: Option<(Arc<str>, u16, Lookup)>,
}

#[derive(Default)]
enum From {
    /// There is nothing to choose from.
    #[default]
    Nothing,
    /// These, in this order. Those that come of a name know it.
    List(VecDeque<(Place, Option<Arc<str>>)>),
    /// A group, and the place that was taken there.
    Group { upstream: Arc<Upstream>, guest: Guest, tried: Tried, lease: Option<Lease> },
}

impl Choice {
    /// Begins to choose from `target`, if that leaves a choice, and makes the first.
    pub(super) fn begin<N: Net>(&mut self, target: &Target, upstreams: &Upstreams, net: &N, die: &mut Die) {
        *self = Self::default();
        self.from = match target {
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
        self.go_on(net, die);
    }

    /// Chooses another one.
    pub(super) fn go_on<N: Net>(&mut self, net: &N, die: &mut Die) {
        (self.chosen, self.asked) = (None, None);
        match &mut self.from {
            From::Nothing => {}
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

    /// Tells the group what the server that was chosen last has proved to be.
    pub(super) fn judge(&mut self, judgement: Judgement, now: Instant) {
        if let From::Group { lease: Some(lease), .. } = &mut self.from {
            lease.judge(judgement, now);
        }
    }

    /// The place at the server that was chosen last, for as long as it is kept.
    pub(super) fn into_lease(self) -> Option<Lease> {
        match self.from {
            From::Group { lease, .. } => lease,
            From::Nothing | From::List(_) => None,
        }
    }

    /// Waits for the choice. Cancel-safe. Never ready when nothing is being chosen.
    pub(super) async fn next(&mut self) -> Chosen {
        poll_fn(|cx| self.poll_next(cx)).await
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
