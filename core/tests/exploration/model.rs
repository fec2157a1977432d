//! What the checker is told: where to begin, what may come next, what must be true, and what must be possible.

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use stateright::{Model, Property};

use crate::claim::Claim;
use crate::diagram::Diagram;
use crate::setting::Setting;
use crate::subject::Subject;
use crate::world::{Happening, World};

/// Everything that may happen to an `S` in a setting.
pub(crate) struct Exploration<S> {
    setting: Setting,
    subject: PhantomData<fn() -> S>,
    diagram: Mutex<Diagram>,
}

impl<S> Exploration<S> {
    pub(crate) fn new(setting: Setting) -> Self {
        Self { setting, subject: PhantomData, diagram: Mutex::default() }
    }

    /// The ways that were taken.
    pub(crate) fn diagram(&self) -> Diagram {
        self.diagram.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

macro_rules! always {
    ($($claim:ident)*) => {
        vec![$(Property::always(Claim::$claim.words(), |_, world: &World<S>| !world.broken.has(Claim::$claim))),*]
    };
}

impl<S: Subject> Model for Exploration<S> {
    type State = World<S>;
    type Action = Happening;

    fn init_states(&self) -> Vec<World<S>> {
        vec![World::new(self.setting)]
    }

    fn actions(&self, world: &World<S>, happenings: &mut Vec<Happening>) {
        world.happenings(self.setting, happenings);
    }

    fn next_state(&self, world: &World<S>, what: Happening) -> Option<World<S>> {
        let mut next = world.clone();
        next.let_happen(self.setting, what);
        let mut diagram = self.diagram.lock().unwrap_or_else(PoisonError::into_inner);
        diagram.add(world.place(), what.cause(), next.place());
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = always! {
            NothingInClearCounts NoCredentialBeforeOk NoCredentialWithoutTls OneBackendHears NoPasswordInClear OneEnding
            DeadlineWhileAlive LeftAloneItEnds TroubleIsNoWrongPassword WiresAreKept NothingIsLost NoPasswordIsTold
        };
        properties
            .push(Property::sometimes("our own trouble is told", |_, world: &World<S>| world.seen.troubled));
        if self.setting.backend_words > 0 {
            properties.push(Property::sometimes("a user gets in", |_, world: &World<S>| world.seen.relayed));
        }
        properties
            .push(Property::sometimes("another backend is tried", |_, world: &World<S>| world.seen.another));
        properties
    }
}
