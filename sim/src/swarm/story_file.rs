//! A story in `corpus/sim`: a seed, what is left out of its world, and what was wrong with it. Told again by `tests/regressions.rs`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

use super::repository;
use crate::plan::{Plan, Thinning};

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryFile {
    /// The world's seed.
    pub seed: u64,
    /// What is left out.
    pub without: Thinning,
    /// What was wrong when it was written.
    pub complaints: Vec<String>,
}

impl StoryFile {
    /// The file for a plan that fails so.
    #[must_use]
    pub fn of(plan: &Plan, complaints: &[String]) -> Self {
        Self { seed: plan.seed, without: plan.without.clone(), complaints: complaints.to_vec() }
    }

    /// The world that it is about.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::of(self.seed).without(self.without.clone())
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// The system's, and what is wrong with the text.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        ron::from_str(&text).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    }

    /// Writes it to `corpus/sim`, named after its seed. Hands back where it is.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn write(&self) -> io::Result<PathBuf> {
        let path = stories_folder().join(format!("seed-{}.ron", self.seed));
        let text = ron::ser::to_string_pretty(self, PrettyConfig::default()).map_err(io::Error::other)?;
        fs::create_dir_all(stories_folder())?;
        fs::write(&path, text + "\n")?;
        Ok(path)
    }
}

/// `corpus/sim`.
#[must_use]
pub fn stories_folder() -> PathBuf {
    repository().join("corpus/sim")
}

/// Every story there is, in the order of their names.
///
/// # Errors
///
/// The system's, and what is wrong with one of them.
pub fn all_stories() -> io::Result<Vec<(PathBuf, StoryFile)>> {
    let entries = fs::read_dir(stories_folder())?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ron"));
    paths.sort();
    paths.into_iter().map(|path| StoryFile::read(&path).map(|story| (path, story))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let without = Thinning { faults: [1, 2].into(), ..Thinning::default() };
        let file = StoryFile::of(&Plan::of(5).without(without), &["all is lost".to_owned()]);
        let text = ron::to_string(&file).unwrap();
        assert_eq!(ron::from_str::<StoryFile>(&text).unwrap(), file);
    }
}
