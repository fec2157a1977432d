//! Carries out what the plan says goes wrong, when it says so.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use gatepost::drain::Drain;

use super::{AUTH_SERVERS, BACKENDS};
use crate::auth_server::mood::Mood as AuthMood;
use crate::backend::mood::Mood as BackendMood;
use crate::fault::{Fault, Kind, Party};
use crate::house::House;
use crate::plan::{Plan, Terms};

/// How often something is lost where things are.
const LOSS_RATE: f64 = 0.05;

/// How the servers feel.
#[derive(Debug)]
pub(super) struct Moods {
    auths: [AuthMood; AUTH_SERVERS.len()],
    backends: [BackendMood; BACKENDS.len()],
}

impl Default for Moods {
    fn default() -> Self {
        Self { auths: [AuthMood::Sound; AUTH_SERVERS.len()], backends: [BackendMood::Sound; BACKENDS.len()] }
    }
}

impl Moods {
    pub(super) fn auth(&self, at: usize) -> AuthMood {
        self.auths.get(at).copied().unwrap_or(AuthMood::Sound)
    }

    pub(super) fn backend(&self, at: usize) -> BackendMood {
        self.backends.get(at).copied().unwrap_or(BackendMood::Sound)
    }
}

/// What goes wrong and when.
pub(super) struct Weather {
    terms: Terms,
    /// By the moment: the place of the fault, and whether it begins.
    calendar: Vec<(Duration, bool, usize)>,
    faults: Vec<Fault>,
    under_way: BTreeSet<usize>,
    house: House,
    moods: Rc<RefCell<Moods>>,
    /// The words that end sessions of old configurations, by the fault that will say them.
    drains: Vec<(usize, Drain)>,
}

impl Weather {
    pub(super) fn new(plan: &Plan, house: &House, moods: &Rc<RefCell<Moods>>) -> Self {
        let both = |(number, fault): (usize, &Fault)| {
            [(fault.at, true, number), (fault.at + fault.lasts, false, number)]
        };
        let mut calendar: Vec<_> = plan.faults().flat_map(both).collect();
        calendar.sort();
        calendar.reverse();
        Self {
            terms: plan.terms,
            calendar,
            faults: plan.faults.clone(),
            under_way: BTreeSet::new(),
            house: house.clone(),
            moods: moods.clone(),
            drains: Vec::new(),
        }
    }

    /// Lets everything begin and end whose moment has come.
    pub(super) fn change(&mut self, sim: &mut turmoil::Sim<'_>) {
        while let Some((_, begins, number)) = self.calendar.pop_if(|(at, ..)| *at <= sim.elapsed()) {
            let Some(&fault) = self.faults.get(number) else { continue };
            if begins {
                tracing::info!("fault {number} begins: {:?}", fault.kind);
                self.under_way.insert(number);
                self.begin(number, fault.kind, sim);
            } else {
                tracing::info!("fault {number} is over: {:?}", fault.kind);
                self.under_way.remove(&number);
                self.end(number, fault.kind, sim);
            }
        }
    }

    fn begin(&mut self, number: usize, kind: Kind, sim: &mut turmoil::Sim<'_>) {
        match kind {
            Kind::Partition(party) => sim.partition("gatepost", party.host()),
            Kind::Deaf(party) => sim.partition_oneway("gatepost", party.host()),
            Kind::Mute(party) => sim.partition_oneway(party.host(), "gatepost"),
            Kind::Hold(party) => sim.hold("gatepost", party.host()),
            Kind::Loss(party) => sim.set_link_fail_rate("gatepost", party.host(), LOSS_RATE),
            Kind::Latency(party, latency) => self.set_latency(party, latency, sim),
            Kind::FullBuffers(party) => self.house.jam().block(self.address(party, sim)),
            Kind::Crash(party) => sim.crash(party.host()),
            Kind::Backend(..) | Kind::Auth(..) => self.set_moods(),
            Kind::Reload => self.drains.push((number, self.house.reload())),
            Kind::ClockJump(ahead) => self.house.jump(ahead),
        }
    }

    fn end(&mut self, number: usize, kind: Kind, sim: &mut turmoil::Sim<'_>) {
        match kind {
            Kind::Partition(party) | Kind::Deaf(party) | Kind::Mute(party) | Kind::Hold(party) => {
                sim.release("gatepost", party.host());
                self.restore(party, sim);
            }
            Kind::Loss(party) => {
                sim.set_link_fail_rate("gatepost", party.host(), 0.0);
                sim.repair("gatepost", party.host());
                self.restore(party, sim);
            }
            Kind::Latency(party, _) => {
                self.set_latency(party, self.terms.latency_max, sim);
                self.restore(party, sim);
            }
            Kind::FullBuffers(party) => {
                self.house.jam().clear(self.address(party, sim));
                self.restore(party, sim);
            }
            Kind::Crash(party) => {
                let others = self.under_way().filter(|(_, kind)| *kind == Kind::Crash(party)).count();
                if others == 0 {
                    sim.bounce(party.host());
                }
            }
            Kind::Backend(..) | Kind::Auth(..) => self.set_moods(),
            Kind::Reload => {
                let due = self.drains.extract_if(.., |(fault, _)| *fault == number);
                due.for_each(|(_, drain)| drain.ask());
            }
            Kind::ClockJump(_) => {}
        }
    }

    fn under_way(&self) -> impl Iterator<Item = (usize, Kind)> {
        self.under_way.iter().filter_map(|&number| Some((number, self.faults.get(number)?.kind)))
    }

    /// The end of one trouble on a way must not be the end of another.
    fn restore(&mut self, party: Party, sim: &mut turmoil::Sim<'_>) {
        let concerns = |kind: &Kind| match *kind {
            Kind::Partition(of)
            | Kind::Deaf(of)
            | Kind::Mute(of)
            | Kind::Hold(of)
            | Kind::Loss(of)
            | Kind::Latency(of, _)
            | Kind::FullBuffers(of) => of == party,
            _ => false,
        };
        let others: Vec<_> = self.under_way().filter(|(_, kind)| concerns(kind)).collect();
        for (number, kind) in others {
            self.begin(number, kind, sim);
        }
    }

    fn set_latency(&self, party: Party, latency: Duration, sim: &turmoil::Sim<'_>) {
        match self.terms.even {
            true => sim.set_link_latency("gatepost", party.host(), latency),
            false => sim.set_link_max_message_latency("gatepost", party.host(), latency),
        }
    }

    /// Everybody feels as the last fault that is under way has them feel.
    fn set_moods(&self) {
        let mut moods = Moods::default();
        for (_, kind) in self.under_way() {
            match kind {
                Kind::Backend(at, mood) => {
                    moods.backends.get_mut(at).into_iter().for_each(|place| *place = mood);
                }
                Kind::Auth(at, mood) => {
                    moods.auths.get_mut(at).into_iter().for_each(|place| *place = mood);
                }
                _ => {}
            }
        }
        *self.moods.borrow_mut() = moods;
    }

    fn address(&self, party: Party, sim: &turmoil::Sim<'_>) -> IpAddr {
        sim.lookup(party.host())
    }
}
