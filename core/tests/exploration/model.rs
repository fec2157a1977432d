//! What the checker is told: where to begin, what may come next, what must be true, and what must be possible.

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use stateright::{Model, Property};

use crate::claim::Claim;
use crate::diagram::Diagram;
use crate::setting::Setting;
use crate::sight::Sights;
use crate::subject::Subject;
use crate::world::{Happening, World};

/// Everything that may happen to an `S` in a setting.
pub(crate) struct Exploration<S> {
    setting: Setting,
    subject: PhantomData<fn() -> S>,
    seen: Mutex<(Diagram, Sights)>,
}

impl<S> Exploration<S> {
    pub(crate) fn new(setting: Setting) -> Self {
        Self { setting, subject: PhantomData, seen: Mutex::default() }
    }

    /// The ways that were taken, and what was seen on them.
    pub(crate) fn seen(&self) -> (Diagram, Sights) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (diagram, sights) = &mut *seen;
        sights.join(next.sights);
        let (from, to) = (world.place(), next.place());
        if from != to {
            diagram.add(from, what.cause(), to);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = always! {
            NothingInClearCounts NoCredentialBeforeOk NoCredentialWithoutTls OneBackendHears NoPasswordInClear OneEnding
            DeadlineWhileAlive TroubleIsNoWrongPassword WiresAreKept NothingIsLost NoPasswordIsTold
            AskedUnderTls NothingDueIsKept AskedAnewOnce NobodyWithoutAPlace AtOnceIfOffered
        };
        let left_alone = Property::always(Claim::LeftAloneItEnds.words(), |_, world: &World<S>| {
            world.ends_if_left_alone()
        });
        properties.push(left_alone);
        properties
    }
}
