//! What goes wrong in a world, and for whom that is an excuse.

use std::time::Duration;

use crate::auth_server::mood::Mood as AuthMood;
use crate::backend::mood::Mood as BackendMood;
use crate::cast::Visitor;
use crate::chance::Chance;
use crate::plan::Plan;
use crate::world::{AUTH_SERVERS, BACKENDS};

/// One thing that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it begins, by the world's clock.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What it is.
    pub kind: Kind,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whatever Gatepost and this party say to each other is lost. Connections stay half-open, as nobody hears of it.
    Partition(Party),
    /// What Gatepost says to it is lost.
    Deaf(Party),
    /// What it says to Gatepost is lost.
    Mute(Party),
    /// Now and then something that one says to the other is lost.
    Loss(Party),
    /// What they say is held up, and comes all at once in the end.
    Hold(Party),
    /// All that they say takes so long.
    Latency(Party, Duration),
    /// Gatepost's connections to it take nothing: buffers are full.
    FullBuffers(Party),
    /// It dies, and begins anew.
    Crash(Party),
    /// A backend behaves so towards whoever connects.
    Backend(usize, BackendMood),
    /// An auth server does.
    Auth(usize, AuthMood),
    /// Gatepost's configuration is read again: those who come from now on are served by a new one, and those who were there are
    /// shown out when this fault is over.
    Reload,
    /// Gatepost's clock jumps ahead so far.
    ClockJump(Duration),
}

/// Somebody who can have trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// A visitor, by its place in the cast.
    Client(usize),
    /// An auth server, by its place in [`AUTH_SERVERS`].
    Auth(usize),
    /// A backend, by its place in [`BACKENDS`].
    Backend(usize),
    /// Gatepost itself.
    Gatepost,
}

impl Party {
    /// The name of its host.
    #[must_use]
    pub fn host(self) -> String {
        let known = |names: &[&str], at: usize| names.get(at).copied().unwrap_or_default().to_owned();
        match self {
            Self::Client(number) => format!("client{number}"),
            Self::Auth(at) => known(&AUTH_SERVERS, at),
            Self::Backend(at) => known(&BACKENDS, at),
            Self::Gatepost => "gatepost".to_owned(),
        }
    }
}

impl Kind {
    /// A word for it, to count by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Deaf(_) => "partition one way, to them",
            Self::Mute(_) => "partition one way, to us",
            Self::Loss(_) => "loss",
            Self::Hold(_) => "hold",
            Self::Latency(..) => "latency",
            Self::FullBuffers(_) => "full buffers",
            Self::Crash(Party::Gatepost) => "crash of Gatepost",
            Self::Crash(Party::Auth(_)) => "crash of an auth server",
            Self::Crash(_) => "crash of a backend",
            Self::Backend(_, mood) => mood.name(),
            Self::Auth(_, mood) => mood.name(),
            Self::Reload => "reload and drain",
            Self::ClockJump(_) => "clock jump",
        }
    }

    const fn party(self) -> Party {
        match self {
            Self::Partition(party)
            | Self::Deaf(party)
            | Self::Mute(party)
            | Self::Loss(party)
            | Self::Hold(party)
            | Self::Latency(party, _)
            | Self::FullBuffers(party)
            | Self::Crash(party) => party,
            Self::Backend(at, _) => Party::Backend(at),
            Self::Auth(at, _) => Party::Auth(at),
            Self::Reload | Self::ClockJump(_) => Party::Gatepost,
        }
    }
}

/// How long a server is left alone behind its failure.
pub const FAIL_TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer than it lasts a fault may be felt, on top of [`FAIL_TIMEOUT`]: what is under way takes a moment.
const AFTERMATH: Duration = Duration::from_secs(1);

impl Fault {
    /// When nobody feels it any more.
    #[must_use]
    pub fn is_over_at(&self) -> Duration {
        self.at + self.lasts + FAIL_TIMEOUT + AFTERMATH
    }

    /// Whether it may be to blame for what happens to a visitor who came and went at these moments.
    #[must_use]
    pub fn excuses(
        &self,
        number: usize,
        visitor: &Visitor,
        plan: &Plan,
        came: Duration,
        went: Duration,
    ) -> bool {
        let is_felt_for_ever = plan.terms.keepalive > 0 && self.spoils_kept_connections();
        if went < self.at || !is_felt_for_ever && came > self.is_over_at() {
            return false;
        }
        let cast = &plan.cast;
        let home = |backend| cast.resident(visitor).is_none_or(|resident| resident.home.is_at(backend));
        match (self.kind, self.kind.party()) {
            (
                Kind::Latency(..) | Kind::Backend(_, BackendMood::Sound) | Kind::Auth(_, AuthMood::Sound),
                _,
            ) => false,
            // A new configuration is of no concern to those who are gone before the old one is given up, nor to those who come behind.
            (Kind::Reload, _) => came <= self.at + AFTERMATH && went + AFTERMATH >= self.at + self.lasts,
            (_, Party::Client(client)) => client == number,
            (_, Party::Backend(backend)) => home(backend),
            (_, Party::Auth(_) | Party::Gatepost) => true,
        }
    }
}

impl Fault {
    /// Whether a connection to an auth server that is kept over it may never be of use again: nobody in this world says anything twice,
    /// so what is lost is lost.
    const fn spoils_kept_connections(&self) -> bool {
        matches!(
            self.kind,
            Kind::Partition(Party::Auth(_))
                | Kind::Deaf(Party::Auth(_))
                | Kind::Mute(Party::Auth(_))
                | Kind::Loss(Party::Auth(_))
        )
    }
}

/// The faults of the world of `seed`, at most seven, in the order in which they begin.
#[must_use]
pub fn faults(seed: u64, clients: usize, within: Duration) -> Vec<Fault> {
    let chance = Chance::of(seed, "faults", 0);
    let mut faults: Vec<Fault> = (0..chance.below(8)).map(|_| fault(clients, within, &chance)).collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn fault(clients: usize, within: Duration, chance: &Chance) -> Fault {
    let milliseconds = |bound: u64| Duration::from_millis(chance.below(bound));
    let index = |bound: usize| usize::try_from(chance.below(bound as u64)).unwrap_or(0);
    let server = || match chance.once_in(2) {
        true => Party::Auth(index(AUTH_SERVERS.len())),
        false => Party::Backend(index(BACKENDS.len())),
    };
    let anybody = || match chance.once_in(2) {
        true => Party::Client(index(clients)),
        false => server(),
    };
    let at = milliseconds(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
    let lasts = Duration::from_millis(100) + milliseconds(if chance.once_in(3) { 9000 } else { 2500 });
    let kind = match chance.below(16) {
        0 => Kind::Partition(anybody()),
        1 => Kind::Deaf(anybody()),
        2 => Kind::Mute(anybody()),
        3 => Kind::Loss(anybody()),
        4 | 5 => Kind::Hold(anybody()),
        6 => Kind::Latency(anybody(), Duration::from_millis(100 + chance.below(100))),
        7 => Kind::FullBuffers(anybody()),
        8 => Kind::Crash(server()),
        9 if chance.once_in(2) => Kind::Crash(Party::Gatepost),
        9 => Kind::Crash(server()),
        10 | 11 => Kind::Backend(index(BACKENDS.len()), BackendMood::of(chance)),
        12 | 13 => Kind::Auth(index(AUTH_SERVERS.len()), AuthMood::of(chance)),
        14 => Kind::Reload,
        _ => Kind::ClockJump(milliseconds(if chance.once_in(2) { 3_600_000 } else { 10_000 })),
    };
    Fault { at, lasts, kind }
}
