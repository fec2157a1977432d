//! The hashes of what is told of the first worlds, in the repository: the same on every machine, or the simulation is not what it says.
//! Whatever changes what Gatepost says or does changes them too; `swarm --seeds 0..100 --write-hash` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};

/// The seeds of those worlds.
pub const SEEDS: Range<u64> = 0..100;

/// A hash for each of [`SEEDS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces(BTreeMap<u64, String>);

/// SHA-256, in hexadecimal digits.
#[must_use]
pub fn hash(octets: &[u8]) -> String {
    digest(&SHA256, octets).as_ref().iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

impl Traces {
    /// Those of `hashes` that are of [`SEEDS`].
    #[must_use]
    pub fn of(hashes: &BTreeMap<u64, String>) -> Self {
        Self(hashes.range(SEEDS).map(|(&seed, hash)| (seed, hash.clone())).collect())
    }

    /// Those in the repository.
    ///
    /// # Errors
    ///
    /// The system's, and a line that is not a seed and a hash.
    pub fn read() -> io::Result<Self> {
        let text = fs::read_to_string(path())?;
        let parsed = text.lines().map(|line| {
            let (seed, hash) = line.split_once(' ')?;
            Some((seed.parse().ok()?, hash.to_owned()))
        });
        let hashes = parsed.collect::<Option<_>>();
        hashes
            .map(Self)
            .ok_or_else(|| io::Error::other("sim/TRACES has a line that is not a seed and a hash"))
    }

    /// Writes them there, and hands back where.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn write(&self) -> io::Result<PathBuf> {
        let lines = self.0.iter().map(|(seed, hash)| format!("{seed} {hash}\n"));
        fs::write(path(), lines.collect::<String>())?;
        Ok(path())
    }

    /// The seeds whose hashes are others in `now`, or missing in one of the two.
    #[must_use]
    pub fn changed(&self, now: &Self) -> Vec<u64> {
        SEEDS.filter(|seed| self.0.get(seed) != now.0.get(seed) || !self.0.contains_key(seed)).collect()
    }
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/TRACES"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_differs_or_is_missing_is_a_change() {
        let mut hashes: BTreeMap<u64, String> = SEEDS.map(|seed| (seed, hash(&seed.to_le_bytes()))).collect();
        let before = Traces::of(&hashes);
        assert_eq!(before.changed(&before), [0; 0]);
        hashes.insert(3, hash(b"other"));
        hashes.remove(&7);
        assert_eq!(before.changed(&Traces::of(&hashes)), [3, 7]);
    }
}
