//! What a configuration asks of the processes: who they are, what they may use, how they end (config.md 10).

use std::ffi::{CString, OsString};
use std::path::PathBuf;
use std::time::Duration;

use gatepost_core::Peers;
use jiff::tz::TimeZone;
use rustix::process::{Gid, Uid};
use rustix::thread::CpuSet;

/// How many connections a thread may have if nothing is said, as in nginx.
const WORKER_CONNECTIONS: usize = 512;

/// The outermost directives about processes.
#[derive(Clone, Debug)]
pub struct Process {
    /// `daemon`: whether the process goes into the background.
    pub daemon: bool,
    /// `master_process`: whether a master looks after a worker, or one process does everything.
    pub master: bool,
    /// `user`: who the worker is. None where that cannot be chosen, for the master is not root.
    pub user: Option<User>,
    /// `worker_connections`: how many clients a thread may have; all threads together may have as many times more.
    pub connections: usize,
    /// `worker_rlimit_nofile`: how many descriptors the worker may have.
    pub descriptors: Option<u64>,
    /// `worker_rlimit_core`: how large a core file of the worker may be, in octets.
    pub core_bytes: Option<u64>,
    /// `worker_shutdown_timeout`: how long sessions may take to end once nothing is accepted any more.
    pub shutdown_timeout: Option<Duration>,
    /// `worker_cpu_affinity`: where threads run.
    pub affinity: Affinity,
    /// `worker_priority`: the worker's priority, as of nice(2).
    pub priority: Option<i32>,
    /// `working_directory`: where the worker is.
    pub directory: Option<PathBuf>,
    /// `env`: which variables the worker's environment has, and those whose value is given.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// `debug_connection`: the clients of whom everything is logged, whatever the levels of the logs.
    pub debugged: Vec<Peers>,
}

impl Default for Process {
    /// nginx's defaults, but for `user`, which asks the machine.
    fn default() -> Self {
        Self {
            daemon: true,
            master: true,
            user: None,
            connections: WORKER_CONNECTIONS,
            descriptors: None,
            core_bytes: None,
            shutdown_timeout: None,
            affinity: Affinity::default(),
            priority: None,
            directory: None,
            environment: Vec::new(),
            debugged: Vec::new(),
        }
    }
}

impl Process {
    /// The time zone of log lines: `env TZ=…`, or the system's.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        let said = self.environment.iter().rev().find(|(name, _)| name == "TZ");
        let said = said.and_then(|(_, value)| value.as_ref()?.to_str());
        let zone = said.and_then(|zone| match zone.strip_prefix(':').unwrap_or(zone) {
            "" => Some(TimeZone::UTC),
            name => TimeZone::get(name).or_else(|_| TimeZone::posix(name)).ok(),
        });
        zone.unwrap_or_else(TimeZone::system)
    }
}

/// `user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's name: it tells which further groups there are.
    pub name: CString,
    /// The user's number.
    pub uid: Uid,
    /// The group's number.
    pub gid: Gid,
}

/// `worker_cpu_affinity`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// Threads run anywhere.
    #[default]
    Anywhere,
    /// `auto`: each has a CPU of its own, taken in turn from these, or from all that there are.
    Auto(Option<CpuSet>),
    /// One of these for each thread, the last for all that follow.
    Masks(Vec<CpuSet>),
}

impl Affinity {
    /// Where the thread with this number, counted from 0, is to run, if that is said. `available` are the CPUs that the
    /// process may use.
    #[must_use]
    pub fn of_thread(&self, index: usize, available: &CpuSet) -> Option<CpuSet> {
        match self {
            Self::Anywhere => None,
            Self::Masks(masks) => masks.get(index).or(masks.last()).copied(),
            Self::Auto(mask) => {
                let usable = |cpu: &usize| {
                    available.is_set(*cpu) && mask.as_ref().is_none_or(|mask| mask.is_set(*cpu))
                };
                let usable: Vec<_> = (0..CpuSet::MAX_CPU).filter(usable).collect();
                let mut one = CpuSet::new();
                one.set(*usable.get(index.checked_rem(usable.len())?)?);
                Some(one)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(all: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        all.iter().for_each(|&cpu| set.set(cpu));
        set
    }

    #[test]
    fn the_environment_of_the_configuration_has_the_last_word_on_the_time_zone() {
        let said = |value: &str| {
            let environment = vec![("TZ".into(), Some(value.into())), ("A".into(), Some("B".into()))];
            Process { environment, ..Process::default() }.time_zone()
        };
        assert_eq!(said(""), TimeZone::UTC);
        assert_eq!(said(":UTC0"), TimeZone::posix("UTC0").expect("a zone"));
        assert_eq!(
            said("EST5EDT,M3.2.0,M11.1.0"),
            TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a zone")
        );
        assert_eq!(said("nonsense/nowhere"), Process::default().time_zone());
    }

    #[test]
    fn threads_are_spread_over_the_cpus_that_are_there_and_allowed() {
        let there = cpus(&[1, 2, 5]);
        assert_eq!(Affinity::Anywhere.of_thread(0, &there), None);
        let auto = |mask, index| Affinity::Auto(mask).of_thread(index, &there);
        assert_eq!([0, 1, 2, 3].map(|index| auto(None, index)), [1, 2, 5, 1].map(|cpu| Some(cpus(&[cpu]))));
        assert_eq!(
            [0, 1].map(|index| auto(Some(cpus(&[0, 2, 5])), index)),
            [2, 5].map(|cpu| Some(cpus(&[cpu])))
        );
        assert_eq!(auto(Some(cpus(&[7])), 0), None);
        let masks = Affinity::Masks(vec![cpus(&[0]), cpus(&[1, 2])]);
        assert_eq!([0, 1, 2].map(|index| masks.of_thread(index, &there)), {
            [Some(cpus(&[0])), Some(cpus(&[1, 2])), Some(cpus(&[1, 2]))]
        });
    }
}
