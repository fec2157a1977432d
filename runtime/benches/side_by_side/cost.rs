//! What a process and all that come from it cost, read from outside.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;

/// A process and those that come from it.
pub(crate) struct Tree {
    pids: Vec<u32>,
}

impl Tree {
    /// The tree under `root` as it is now.
    pub(crate) fn of(root: u32) -> Self {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?.parent)))
            .collect();
        let mut pids = vec![root];
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            pids.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(pid, _)| *pid));
            next += 1;
        }
        Self { pids }
    }

    /// User and system time, all told.
    pub(crate) fn processor_time(&self) -> Outcome<Duration> {
        let mut ticks = 0;
        for &pid in &self.pids {
            ticks += stat(pid).ok_or("a process of the proxy has gone")?.ticks;
        }
        Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
    }

    /// Proportional memory, in octets.
    pub(crate) fn memory(&self) -> Outcome<u64> {
        let mut octets = 0;
        for pid in &self.pids {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            octets += kib.ok_or("no Pss in smaps_rollup")? * 1024;
        }
        Ok(octets)
    }

    /// Ends all of it at once.
    pub(crate) fn kill(&self) {
        for pid in &self.pids {
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

struct Stat {
    parent: u32,
    ticks: u64,
}

/// proc_pid_stat(5): behind the name in brackets, the second field is the parent, the 12th and 13th are times.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}
