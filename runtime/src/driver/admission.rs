//! The places that a session has among those that `limit_conn` counts.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use gatepost_core::{Claim, NoPlace};

use crate::limit_conn::{Place, Zones};

/// What a session has asked for, and what it has got.
#[derive(Debug)]
pub(super) struct Admission {
    zones: Arc<Zones>,
    places: Vec<Place>,
    /// What it was not told yet.
    answer: Option<Result<(), NoPlace>>,
}

impl Admission {
    /// Nothing yet, of these zones.
    pub(super) fn new(zones: Arc<Zones>) -> Self {
        Self { zones, places: Vec::new(), answer: None }
    }

    /// Takes a place for each of `claims`, or none.
    pub(super) fn ask(&mut self, claims: &[Claim]) {
        self.answer = Some(self.zones.admit(claims).map(|places| self.places.extend(places)));
    }

    /// Waits for the answer. Cancel-safe. Never ready when nothing is asked.
    pub(super) async fn answer(&mut self) -> Result<(), NoPlace> {
        poll_fn(|_| self.answer.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Gives up the places of a login that came to nothing.
    pub(super) fn forget_login(&mut self) {
        self.places.retain(Place::is_early);
    }

    /// All its places, for as long as they are kept.
    pub(super) fn into_places(self) -> Vec<Place> {
        self.places
    }
}
