//! Every state that a session can get into when its peers speak small alphabets: the real [`gatepost_core::Session`], no model of it,
//! in each of the settings that change its ways. A checker (stateright) goes through all of them, and at each step the claims
//! of `exploration/claim.rs` are put to the test. States are told apart by 64 bits: among ten million the odds are one to
//! four hundred thousand that two were taken for one.
//!
//! `cargo test` explores a slice. All of it:
//! `cargo test --release -p gatepost-core --features fuzzing --test exploration -- --ignored --nocapture`
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]
#![expect(clippy::disallowed_methods, reason = "how long it takes is printed, and nothing depends on it")]

#[path = "exploration/alphabet.rs"]
mod alphabet;
#[path = "exploration/claim.rs"]
mod claim;
#[path = "exploration/diagram.rs"]
mod diagram;
#[path = "exploration/doctored.rs"]
mod doctored;
#[path = "exploration/model.rs"]
mod model;
#[path = "exploration/setting.rs"]
mod setting;
#[path = "exploration/subject.rs"]
mod subject;
#[path = "exploration/wires.rs"]
mod wires;
#[path = "exploration/world.rs"]
mod world;

use std::time::Instant;

use gatepost_core::Session;
use stateright::{Checker, HasDiscoveries, Model};

use crate::diagram::Diagram;
use crate::doctored::{Doctored, Mistake};
use crate::model::Exploration;
use crate::setting::Setting;

/// How many states and transitions there were.
#[derive(Default)]
struct Tally {
    settings: usize,
    states: usize,
    transitions: usize,
    depth: usize,
    diagram: Diagram,
}

impl Tally {
    /// Explores `setting` to its end: there is no state left that was not looked at.
    fn explore(&mut self, setting: Setting) {
        let checker = Exploration::<Session>::new(setting).checker().spawn_bfs().join();
        checker.assert_properties();
        println!("{} states: {setting:?}", checker.unique_state_count());
        self.settings += 1;
        self.states += checker.unique_state_count();
        self.transitions += checker.state_count();
        self.depth = self.depth.max(checker.max_depth());
        self.diagram.join(checker.model().diagram());
    }

    fn print(&self, begun: Instant) {
        println!(
            "explored {} settings to a fixed point: {} states, {} transitions, up to {} deep, in {:.1} s",
            self.settings,
            self.states,
            self.transitions,
            self.depth,
            begun.elapsed().as_secs_f32()
        );
    }
}

#[test]
fn no_claim_fails_in_any_state_of_a_slice() {
    let begun = Instant::now();
    let mut tally = Tally::default();
    for setting in Setting::slice() {
        tally.explore(setting);
    }
    tally.print(begun);
    tally.diagram.is_in_the_readme();
}

#[test]
#[ignore = "takes minutes, and hours without --release"]
fn no_claim_fails_in_any_state() {
    let begun = Instant::now();
    let mut tally = Tally::default();
    for setting in Setting::all() {
        tally.explore(setting);
    }
    tally.print(begun);
}

/// For each claim there is a mistake that breaks it, and the exploration finds it.
#[test]
fn every_claim_can_fail() {
    for mistake in Mistake::ALL {
        let claim = mistake.breaks();
        let setting = Setting { mistake: Some(mistake), ..mistake.shows_in() };
        let found = Exploration::<Doctored>::new(setting)
            .checker()
            .finish_when(HasDiscoveries::AllOf([claim.words()].into_iter().collect()))
            .spawn_bfs()
            .join();
        let way = found.discovery(claim.words());
        let way = way.unwrap_or_else(|| panic!("{mistake:?} does not break: {}", claim.words()));
        println!("{mistake:?} breaks \"{}\" in {} steps", claim.words(), way.into_actions().len());
    }
    let broken = |claim| Mistake::ALL.iter().any(|mistake| mistake.breaks() == claim);
    for claim in claim::Claim::ALL {
        assert!(broken(claim), "no mistake breaks: {}", claim.words());
    }
}
