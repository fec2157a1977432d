//! What is explored.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use gatepost_core::{Action, Actions, Deadline, Event, Instant, Seed, Session, Wire};

use crate::setting::{NOW, Setting};

/// A session, or something that goes for one.
pub(crate) trait Subject: Clone + Debug + Hash + Send + Sync + 'static {
    fn begin(setting: Setting) -> Self;

    fn handle(&mut self, now: Instant, event: Event<'_>) -> Vec<Action>;

    fn deadline(&self) -> Option<Deadline>;

    fn wants(&self, wire: Wire) -> bool;

    fn phase(&self) -> &'static str;
}

impl Subject for Session {
    fn begin(setting: Setting) -> Self {
        Self::new(Arc::new(setting.policy()), setting.client(), Seed([7; 16]), NOW)
    }

    fn handle(&mut self, now: Instant, event: Event<'_>) -> Vec<Action> {
        let mut out = Actions::new();
        Self::handle(self, now, event, &mut out);
        out.drain().collect()
    }

    fn deadline(&self) -> Option<Deadline> {
        Self::deadline(self)
    }

    fn wants(&self, wire: Wire) -> bool {
        Self::wants(self, wire)
    }

    fn phase(&self) -> &'static str {
        Self::phase(self)
    }
}
