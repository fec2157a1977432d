//! Thousands of worlds, one after another on every core, until one is not as it should be; and what is then to be known of it.

mod census;
mod examine;
mod shorten;
mod story_file;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

pub use self::census::Census;
pub use self::examine::{Findings, examine};
pub use self::shorten::shorten;
pub use self::story_file::{StoryFile, all_stories, stories_folder};
use crate::plan::Plan;
use crate::trace::Of;
use crate::traces::{SEEDS as HASHED_SEEDS, Traces};

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What to play.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Which seeds.
    pub seeds: Range<u64>,
    /// For how long to go on with the seeds behind those.
    pub at_least: Duration,
    /// On how many threads.
    pub threads: NonZero<usize>,
    /// Whether to write down the hashes of the traces of [`HASHED_SEEDS`].
    pub write_hash: bool,
    /// Whether to leave it at the seed where one fails, and neither look for a shorter story nor write it.
    pub brief: bool,
}

/// Plays them all, and tells on `out` how it goes. Whether all was well.
///
/// # Errors
///
/// Those of `out`, and of the files that it writes: a story in `corpus/sim` where something was not as it should be, and the hashes.
pub fn run(errand: &Errand, out: &mut impl Write) -> io::Result<bool> {
    let begun = Instant::now();
    let (next, enough) = (AtomicU64::new(errand.seeds.start), AtomicBool::new(false));
    let is_due = |seed: u64| {
        seed < errand.seeds.end
            || HASHED_SEEDS.contains(&seed) && errand.write_hash
            || begun.elapsed() < errand.at_least
    };
    let mut census = Census::default();
    let mut hashes = BTreeMap::new();
    let failed = thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        for _ in 0..errand.threads.get() {
            let (tell, next, enough) = (tell.clone(), &next, &enough);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !is_due(seed) || tell.send((seed, examine(&Plan::of(seed), Of::Gatepost))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        let mut shown = begun;
        let mut failed: Option<(u64, Findings)> = None;
        for (seed, findings) in told {
            census.add(&findings);
            hashes.insert(seed, findings.hash());
            // Of those that fail at about the same time the lowest is told of, however the threads ran.
            if !findings.complaints.is_empty() && failed.as_ref().is_none_or(|(known, _)| seed < *known) {
                enough.store(true, Ordering::Relaxed);
                failed = Some((seed, findings));
            }
            if shown.elapsed() > PROGRESS_EVERY {
                shown = Instant::now();
                writeln!(out, "{:>6} s: {}", begun.elapsed().as_secs(), census.summary())?;
                out.flush()?;
            }
        }
        io::Result::Ok(failed)
    })?;
    write!(out, "{census}")?;
    writeln!(out, "{} in {:.1} s", census.summary(), begun.elapsed().as_secs_f64())?;
    if let Some((seed, findings)) = failed {
        tell_of_failure(seed, findings, errand.brief, out)?;
        return Ok(false);
    }
    if errand.write_hash {
        let path = Traces::of(&hashes).write()?;
        writeln!(out, "the hashes of the traces of {HASHED_SEEDS:?} are in {}", path.display())?;
    }
    Ok(true)
}

fn tell_of_failure(seed: u64, findings: Findings, brief: bool, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nseed {seed} fails:\n{}\n", findings.complaints.join("\n"))?;
    if brief {
        return Ok(());
    }
    writeln!(out, "looking for a shorter story")?;
    out.flush()?;
    let (plan, findings) = shorten(Plan::of(seed), findings);
    let path = StoryFile::of(&plan, &findings.complaints).write()?;
    writeln!(out, "\n{}\nthe shortest story found, in {}:\n", describe(&plan), path.display())?;
    writeln!(out, "{}", findings.complaints.join("\n"))?;
    writeln!(out, "\nto hear it: cargo run --release -p gatepost-sim -- replay {} --trace", path.display())
}

/// Who is in it and what goes wrong.
#[must_use]
pub fn describe(plan: &Plan) -> String {
    let mut lines = vec![format!("seed {}: {:?}", plan.seed, plan.terms)];
    for (number, visitor) in plan.visitors() {
        let who = plan.cast.resident(visitor).map(|resident| resident.login.as_str()).unwrap_or_default();
        let how = match &visitor.errand {
            crate::cast::Errand::Imap(how) => format!("imap {how:?}"),
            crate::cast::Errand::Pop3(how) => format!("pop3 {how:?}"),
            crate::cast::Errand::Smtp(how, _) => format!("smtp {how:?}"),
        };
        let right = if visitor.is_admitted() { "the right password" } else { "a wrong password" };
        lines.push(format!(
            "  client{number} comes after {:?} as {who} by {:?} for {how} with {right}",
            visitor.delay, visitor.door
        ));
    }
    for (number, rogue) in plan.rogues() {
        lines.push(format!(
            "  rogue{number} comes after {:?} by {:?} for {:?}: {:?}",
            rogue.delay, rogue.door, rogue.protocol, rogue.mischief
        ));
    }
    for (number, fault) in plan.faults() {
        lines.push(format!("  fault {number} after {:?} for {:?}: {:?}", fault.at, fault.lasts, fault.kind));
    }
    lines.join("\n")
}

/// Where the repository is.
pub(crate) fn repository() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}
