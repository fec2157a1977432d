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
#[path = "exploration/rebased.rs"]
mod rebased;
#[path = "exploration/setting.rs"]
mod setting;
#[path = "exploration/sight.rs"]
mod sight;
#[path = "exploration/subject.rs"]
mod subject;
#[path = "exploration/wires.rs"]
mod wires;
#[path = "exploration/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use gatepost_core::Session;
use stateright::{Checker, HasDiscoveries, Model};

use crate::diagram::Diagram;
use crate::doctored::{Doctored, Mistake};
use crate::model::Exploration;
use crate::setting::Setting;
use crate::sight::Sight;

/// How many states and transitions there were.
#[derive(Clone, Copy, Default)]
struct Tally {
    settings: usize,
    states: usize,
    transitions: usize,
    depth: usize,
    took: Duration,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.settings += other.settings;
        self.states += other.states;
        self.transitions += other.transitions;
        self.depth = self.depth.max(other.depth);
        self.took += other.took;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, states, transitions, depth, took } = self;
        let seconds = took.as_secs_f32();
        let noun = if *settings == 1 { "setting" } else { "settings" };
        write!(
            f,
            "{settings} {noun} to a fixed point: {states} states, {transitions} transitions, up to {depth} deep, in {seconds:.1} s"
        )
    }
}

/// Explores each of `settings` to its end: there is no state left that was not looked at. Prints what each came to as it goes, and all
/// that are alike together, and all of a protocol.
fn explore(settings: impl Iterator<Item = Setting>) -> Diagram {
    let (mut groups, mut diagram, mut all) =
        (BTreeMap::<String, Tally>::new(), Diagram::default(), Tally::default());
    for setting in settings {
        let begun = Instant::now();
        let checker = Exploration::<Session>::new(setting).checker();
        let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        checker.assert_properties();
        let tally = Tally {
            settings: 1,
            states: checker.unique_state_count(),
            transitions: checker.state_count(),
            depth: checker.max_depth(),
            took: begun.elapsed(),
        };
        println!("{tally}, {}: {setting:?}", memory());
        let (ways, sights) = checker.model().seen();
        for sight in Sight::due(setting) {
            assert!(sights.has(sight), "{sight:?} is never seen: {setting:?}");
        }
        diagram.join(ways);
        *groups.entry(setting.group()).or_default() += tally;
        *groups.entry(setting.protocol.name().to_owned()).or_default() += tally;
        all += tally;
    }
    for (group, tally) in groups {
        println!("{group}: {tally}");
    }
    println!("explored {all}, {}", memory());
    diagram
}

/// The most memory that this process has had so far, where the system tells.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or_else(|| "memory unknown".to_owned(), |peak| format!("at most {} of memory", peak.trim()))
}

#[test]
fn no_claim_fails_in_any_state_of_a_slice() {
    explore(Setting::slice()).is_in_the_readme();
}

#[test]
#[ignore = "takes minutes with --release, and an hour without"]
fn no_claim_fails_in_any_state() {
    explore(Setting::all());
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
