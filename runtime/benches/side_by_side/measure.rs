//! A scenario played by one side.

use std::fmt;
use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::cost::Tree;
use crate::door::Door;
use crate::job::Job;
use crate::proxy::Program;
use crate::role::Stage;
use crate::scenario::{Scenario, Work};

/// A figure that a scenario yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Processor time of a login, in milliseconds.
    CpuOfLogin,
    /// From connecting to the backend's first answer, in milliseconds, the median.
    TimeOfLogin,
    /// Processor time of a GiB carried, in seconds.
    CpuOfGib,
    /// How much later an echo comes than straight from the backend, in microseconds, by the medians.
    AddedDelay,
    /// Processor time of an echo, in microseconds.
    CpuOfEcho,
    /// Memory that so many idle sessions add, in octets a session.
    BytesOfIdle(u32),
    /// Memory of the whole tree with so many idle sessions, in octets a session.
    TreeOfIdle(u32),
    /// Memory once all have left, over memory before they came.
    AfterLeaving,
    /// Memory that a slow client adds, in octets.
    BytesOfSlow,
    /// Processor time that all slow clients take in a second, in milliseconds.
    CpuOfSlow,
    /// Processor time of a login among many sessions, over that among few.
    CrowdedLogin,
}

impl Figure {
    /// It is compared with nothing: what matters is the figure itself.
    pub(crate) const fn is_ratio(self) -> bool {
        matches!(self, Self::AfterLeaving | Self::CrowdedLogin)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CpuOfLogin => f.write_str("CPU, ms a login"),
            Self::TimeOfLogin => f.write_str("wall time, ms a login"),
            Self::CpuOfGib => f.write_str("CPU, s/GiB"),
            Self::AddedDelay => f.write_str("added delay, us"),
            Self::CpuOfEcho => f.write_str("CPU, us an echo"),
            Self::BytesOfIdle(count) => write!(f, "{count} held: bytes added a session"),
            Self::TreeOfIdle(count) => write!(f, "{count} held: whole tree, bytes a session"),
            Self::AfterLeaving => f.write_str("memory after all left, over before"),
            Self::BytesOfSlow => f.write_str("bytes a client"),
            Self::CpuOfSlow => f.write_str("CPU, ms/s"),
            Self::CrowdedLogin => f.write_str("CPU of a login, crowded over not"),
        }
    }
}

/// What a side needs to have done once before it is measured.
const WARM_UP: u32 = 128;
/// Until memory is what it stays.
const SETTLE: Duration = Duration::from_millis(700);

/// Has `side` do what the scenario says, with a proxy of its own.
pub(crate) fn play(side: &Program, scenario: &Scenario, stage: &mut Stage) -> Outcome<Vec<(Figure, f64)>> {
    let proxy = side.start(stage.proxy_host, stage.auth_port, scenario.opt_in)?;
    let warm_up = |stage: &mut Stage, door| -> Outcome<Tree> {
        stage.perform(Job::LogIn { door, count: WARM_UP, at_once: 16 })?;
        // Only now: a proxy's sockets may answer before the processes are there that will serve them.
        Ok(proxy.tree())
    };
    let figures = match scenario.work {
        Work::LogIn { door, count, at_once } => {
            let tree = warm_up(stage, door)?;
            let cpu = cpu_of(&tree, || {
                let done = stage.perform(Job::LogIn { door, count, at_once })?;
                let first = if door.resumes { count.min(at_once) } else { count };
                match done.resumed == count - first {
                    true => Ok(()),
                    false => Err(format!("{} of {count} logins resumed a session", done.resumed).into()),
                }
            })?;
            vec![(Figure::CpuOfLogin, millis(cpu) / f64::from(count))]
        }
        Work::LoneLogIn { door, count } => {
            let _ = warm_up(stage, door)?;
            let done = stage.perform(Job::LogIn { door, count, at_once: 1 })?;
            vec![(Figure::TimeOfLogin, done.median_us / 1e3)]
        }
        Work::Relay { door, way, octets, streams } => {
            let tree = warm_up(stage, door)?;
            let cpu = cpu_of(&tree, || stage.perform(Job::Relay { door, way, octets, streams }).map(drop))?;
            let gib = octets as f64 * f64::from(streams) / f64::from(1 << 30);
            vec![(Figure::CpuOfGib, cpu.as_secs_f64() / gib)]
        }
        Work::Echo { door, count, per_second } => {
            let tree = warm_up(stage, door)?;
            let direct = stage.perform(Job::Echo { door, direct: true, count, per_second })?.median_us;
            let mut through = 0.0;
            let cpu = cpu_of(&tree, || {
                through = stage.perform(Job::Echo { door, direct: false, count, per_second })?.median_us;
                Ok(())
            })?;
            let cpu = millis(cpu) * 1e3 / f64::from(count);
            vec![(Figure::AddedDelay, through - direct), (Figure::CpuOfEcho, cpu)]
        }
        Work::Idle { door, ref held } => {
            let tree = warm_up(stage, door)?;
            idle(&tree, stage, door, held)?
        }
        Work::Slow { door, count, seconds } => {
            let tree = warm_up(stage, door)?;
            let before = settled(&tree)?;
            stage.perform(Job::Dribble { door, count })?;
            // Until each has said something.
            thread::sleep(Duration::from_millis(1500));
            let cpu = cpu_of(&tree, || {
                thread::sleep(Duration::from_secs(seconds.into()));
                Ok(())
            })?;
            let added = tree.memory()? as f64 - before;
            stage.perform(Job::Release)?;
            vec![
                (Figure::BytesOfSlow, added / f64::from(count)),
                (Figure::CpuOfSlow, millis(cpu) / f64::from(seconds)),
            ]
        }
        Work::Crowd { door, few, many, logins } => {
            let tree = warm_up(stage, door)?;
            let mut cost = |held| {
                stage.perform(Job::Hold { door, count: held })?;
                cpu_of(&tree, || stage.perform(Job::LogIn { door, count: logins, at_once: 64 }).map(drop))
            };
            let (few, many) = (cost(few)?, cost(many)?);
            stage.perform(Job::Release)?;
            vec![(Figure::CrowdedLogin, many.as_secs_f64() / few.as_secs_f64())]
        }
    };
    proxy.stop()?;
    Ok(figures)
}

fn idle(tree: &Tree, stage: &mut Stage, door: Door, held: &[u32]) -> Outcome<Vec<(Figure, f64)>> {
    let before = settled(tree)?;
    let mut figures = Vec::new();
    for &count in held {
        stage.perform(Job::Hold { door, count })?;
        let now = settled(tree)?;
        figures.push((Figure::BytesOfIdle(count), (now - before) / f64::from(count)));
        figures.push((Figure::TreeOfIdle(count), now / f64::from(count)));
    }
    stage.perform(Job::Release)?;
    figures.push((Figure::AfterLeaving, settled(tree)? / before));
    Ok(figures)
}

fn settled(tree: &Tree) -> Outcome<f64> {
    thread::sleep(SETTLE);
    Ok(tree.memory()? as f64)
}

fn cpu_of(tree: &Tree, work: impl FnOnce() -> Outcome<()>) -> Outcome<Duration> {
    let before = tree.processor_time()?;
    work()?;
    Ok(tree.processor_time()?.saturating_sub(before))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
