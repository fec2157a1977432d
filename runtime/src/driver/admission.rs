//! The places that a session has among those that `limit_conn` counts.

use std::sync::Arc;
use std::task::Poll;

use gatepost_core::{Claim, NoPlace};

use crate::limit_conn::{Place, Zones};

/// What a session has asked for, and what it has got.
#[derive(Debug)]
pub(super) struct Admission {
    zones: Arc<Zones>,
    /// Nothing until it has asked.
    got: Option<Box<Got>>,
}

#[derive(Debug, Default)]
struct Got {
    places: Vec<Place>,
    /// What it was not told yet.
    answer: Option<Result<(), NoPlace>>,
}

impl Admission {
    /// Nothing yet, of these zones.
    pub(super) fn new(zones: Arc<Zones>) -> Self {
        Self { zones, got: None }
    }

    /// Takes a place for each of `claims`, or none.
    pub(super) fn ask(&mut self, claims: &[Claim]) {
        let Got { places, answer } = &mut **self.got.get_or_insert_default();
        *answer = Some(self.zones.admit(claims).map(|more| places.extend(more)));
    }

    /// Ready with the answer; never when nothing is asked.
    pub(super) fn poll_answer(&mut self) -> Poll<Result<(), NoPlace>> {
        self.got.as_mut().and_then(|got| got.answer.take()).map_or(Poll::Pending, Poll::Ready)
    }

    /// Gives up the places of a login that came to nothing.
    pub(super) fn forget_login(&mut self) {
        if let Some(got) = &mut self.got {
            got.places.retain(Place::is_early);
        }
    }

    /// All its places, for as long as they are kept.
    pub(super) fn into_places(self) -> Vec<Place> {
        self.got.map(|got| got.places).unwrap_or_default()
    }
}
