//! The copy of the workspace in which changes are made, built and played to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gatepost_conformance::peer::{Child, Scratch, scratch_directory};

use super::Place;
use super::places;

/// What the program that plays may take: endless loops are noticed, too.
const PLAYS_WITHIN: Duration = Duration::from_secs(60);

/// The memory it may have: so are loops that collect.
const MEMORY_KIB_MAX: usize = 2 * 1024 * 1024;

/// What of the workspace the core and its player are made of, and what cargo wants to see of the rest.
const COPIED: [&str; 7] = ["Cargo.toml", "Cargo.lock", "core", "conformance", "runtime", "sim", "fuzz"];

/// What tells the packages of the copy from those of the workspace, with which they share a target directory.
const VERSION: &str = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "\"\n");
const VERSION_OF_COPY: &str = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "-changed\"\n");

/// Tests that are files, a door for the fuzzer that is not built here, and the memory that secrets are kept in and wiped from.
const UNSEEN: [&str; 3] = ["/tests.rs", "/fuzzing.rs", "/secret.rs"];

/// Behind the core's front door: which change is in force.
const SWITCH: &str = r#"
extern crate std;
pub(crate) fn mutant(number: usize) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    let chosen = || std::env::var("GATEPOST_MUTANT").ok().and_then(|text| text.parse().ok());
    *CHOSEN.get_or_init(chosen) == Some(number)
}
"#;

/// A change of one line of one file.
#[derive(Clone, Debug)]
pub(super) struct Mutant {
    /// From the workspace's root.
    file: String,
    before: String,
    place: Place,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, before, place } = self;
        write!(f, "{file}:{}\n  - {before}\n  + {}", place.line, place.instead)
    }
}

impl Mutant {
    /// The change, wherever in its file it is.
    pub(super) fn without_line(&self) -> String {
        format!("{} {} {}", self.file, self.before, self.place.instead)
    }
}

/// What the transcripts say to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of them pass: it goes unnoticed.
    Passes,
    /// The first lines of what was said.
    Fails(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passes => f.write_str("UNNOTICED"),
            Self::Fails(why) => write!(f, "noticed: {why}"),
        }
    }
}

/// Every change that could be made to the core, file by file.
pub(super) fn all_places() -> io::Result<Vec<Mutant>> {
    let root = root();
    let mut mutants = Vec::new();
    for path in files_below(&root.join("core/src"))? {
        let file = path.strip_prefix(&root).map_err(io::Error::other)?.display().to_string();
        if UNSEEN.iter().any(|unseen| file.ends_with(unseen)) {
            continue;
        }
        let source = fs::read_to_string(&path)?;
        for place in places::of(&source).map_err(io::Error::other)? {
            let before = source.get(place.octets.clone()).unwrap_or_default().to_owned();
            mutants.push(Mutant { file: file.clone(), before, place });
        }
    }
    Ok(mutants)
}

pub(super) struct Workshop {
    copy: Scratch,
}

impl Workshop {
    /// A copy of the workspace.
    pub(super) fn new() -> io::Result<Self> {
        let copy = scratch_directory("mutants")?;
        let root = root();
        for name in COPIED {
            for path in files_below(&root.join(name))? {
                let below = path.strip_prefix(&root).map_err(io::Error::other)?;
                copy.write(&below.display().to_string(), fs::read(&path)?)?;
            }
        }
        // Whatever cargo makes of it has another name then, and is never taken for what the unchanged workspace is built of.
        let manifest = fs::read_to_string(root.join("Cargo.toml"))?.replacen(VERSION, VERSION_OF_COPY, 1);
        if !manifest.contains(VERSION_OF_COPY) {
            return Err(io::Error::other(format!("the workspace's manifest has no {VERSION}")));
        }
        copy.write("Cargo.toml", manifest)?;
        Ok(Self { copy })
    }

    /// Builds the program with the first `wanted` of `drawn` that compile, and tells which these are.
    pub(super) fn build(
        &self,
        wanted: usize,
        drawn: &mut impl Iterator<Item = Mutant>,
    ) -> io::Result<Vec<Mutant>> {
        let mut mutants = Vec::new();
        loop {
            while mutants.len() < wanted
                && let Some(mutant) = drawn.next()
            {
                let overlaps =
                    |other: &Mutant| other.file == mutant.file && other.place.line == mutant.place.line;
                if !mutants.iter().any(overlaps) {
                    mutants.push(mutant);
                }
            }
            self.write(&mutants)?;
            let said = match self.cargo()? {
                None => return Ok(mutants),
                Some(said) => said,
            };
            let broken = errors(&said);
            let before = mutants.len();
            mutants.retain(|mutant| !broken.contains(&(mutant.file.clone(), mutant.place.line)));
            if mutants.len() == before {
                return Err(io::Error::other(format!("it does not compile, but not for a change:\n{said}")));
            }
            println!("{} of {before} do not compile", before - mutants.len());
        }
    }

    /// Plays the transcripts to the core with one of the changes in force, or none.
    pub(super) fn play(&self, mutant: Option<usize>) -> io::Result<Verdict> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit -v {MEMORY_KIB_MAX}; exec \"$0\" core")]).arg(self.program());
        command.env_remove("GATEPOST_MUTANT");
        if let Some(number) = mutant {
            command.env("GATEPOST_MUTANT", number.to_string());
        }
        let mut child = Child::start("the player", command)?;
        Ok(match child.wait(PLAYS_WITHIN) {
            Ok(status) if status.success() => Verdict::Passes,
            Ok(_) => Verdict::Fails(child.output().lines().take(2).collect::<Vec<_>>().join(", ")),
            Err(_) => Verdict::Fails("it does not end".to_owned()),
        })
    }

    /// Writes the core's files anew, with these changes in them, each behind its number.
    fn write(&self, mutants: &[Mutant]) -> io::Result<()> {
        let root = root();
        let mut by_file = BTreeMap::<_, Vec<_>>::new();
        for (number, mutant) in mutants.iter().enumerate() {
            by_file.entry(mutant.file.as_str()).or_default().push((number, mutant));
        }
        for path in files_below(&root.join("core/src"))? {
            let file = path.strip_prefix(&root).map_err(io::Error::other)?.display().to_string();
            let mut source = fs::read_to_string(&path)?;
            let mut changes = by_file.remove(file.as_str()).unwrap_or_default();
            // From the end, so that what is in front stays where it was.
            changes.sort_by_key(|(_, mutant)| std::cmp::Reverse(mutant.place.octets.start));
            for (number, Mutant { before, place, .. }) in changes {
                let instead = &place.instead;
                let switched = match place.is_statement {
                    true => format!("if !crate::mutant({number}) {{ {before} }}"),
                    false => format!("(if crate::mutant({number}) {{ {instead} }} else {{ {before} }})"),
                };
                source.replace_range(place.octets.clone(), &switched);
            }
            if file == "core/src/lib.rs" {
                source.push_str(SWITCH);
            }
            // Only what differs is compiled anew.
            if fs::read_to_string(self.copy.join(&file))? != source {
                self.copy.write(&file, source)?;
            }
        }
        Ok(())
    }

    /// Builds; what the compiler said if it could not.
    fn cargo(&self) -> io::Result<Option<String>> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        // Of the whole workspace, so that features, and with them the dependencies, are those already built.
        command.args(["build", "--offline", "--workspace", "--bin", "gatepost-conformance"]);
        let (target, profile) = target()?;
        if profile != "debug" {
            command.args(["--profile", &profile]);
        }
        command.args(["--message-format", "short", "--target-dir"]).arg(&target);
        command.current_dir(self.copy.path());
        let done = command.output()?;
        if !done.status.success() {
            return Ok(Some(String::from_utf8_lossy(&done.stderr).into_owned()));
        }
        // The next build of the unchanged program puts that there.
        fs::copy(target.join(profile).join("gatepost-conformance"), self.program())?;
        Ok(None)
    }

    fn program(&self) -> PathBuf {
        self.copy.join("player")
    }
}

/// The files and lines that the compiler complains about: `core/src/x.rs:12:5: error[E0308]: …`.
fn errors(said: &str) -> BTreeSet<(String, usize)> {
    let error = |line: &str| {
        let (place, _) = line.split_once(": error")?;
        let mut parts = place.split(':');
        Some((parts.next()?.to_owned(), parts.next()?.parse().ok()?))
    };
    said.lines().filter_map(error).collect()
}

/// The directory and the profile the running test was built in, as `TARGET/PROFILE/deps/NAME`: what the changed core needs of other people's
/// crates is there already.
fn target() -> io::Result<(PathBuf, String)> {
    let test = std::env::current_exe()?;
    let lost = || io::Error::other("not run by cargo");
    let profile = test.ancestors().nth(2).ok_or_else(lost)?;
    let name = profile.file_name().and_then(|name| name.to_str()).ok_or_else(lost)?;
    Ok((profile.parent().ok_or_else(lost)?.to_path_buf(), name.to_owned()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn files_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut entries: Vec<_> =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    entries.iter().map(|entry| files_below(entry)).collect::<Result<Vec<_>, _>>().map(|files| files.concat())
}
