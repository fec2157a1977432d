//! Reading `conformance/`: all transcripts, the rows they prove, those that are waived, the reasons why nginx differs. Every complaint is
//! gathered before any is told.

use std::fs;
use std::path::{Path, PathBuf};

use super::Transcript;
use super::check;
use crate::divergence::{Divergences, Rows, Waivers};

/// Everything there is to play, checked.
#[derive(Debug)]
pub struct Library {
    /// The transcripts, by their ids.
    pub transcripts: Vec<Transcript>,
    /// What the standards ask.
    pub rows: Rows,
    /// What of that no transcript proves.
    pub waivers: Waivers,
    /// Why nginx differs.
    pub divergences: Divergences,
}

/// What is wrong with the files, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct LoadError(pub Vec<String>);

impl Library {
    /// The files of this crate.
    ///
    /// # Errors
    ///
    /// Every complaint about every file.
    pub fn load() -> Result<Self, LoadError> {
        Self::load_from(Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    /// The files below `root`: `rows.ron`, `waived.ron`, `divergences.ron`, `transcripts/*/*.ron`.
    ///
    /// # Errors
    ///
    /// Every complaint about every file.
    pub fn load_from(root: &Path) -> Result<Self, LoadError> {
        let mut complaints = Vec::new();
        let rows = read(&root.join("rows.ron"), &mut complaints);
        let waivers = read(&root.join("waived.ron"), &mut complaints);
        let divergences = read(&root.join("divergences.ron"), &mut complaints);
        let mut transcripts = Vec::new();
        for file in files_below(&root.join("transcripts"), &mut complaints) {
            let Some(transcript) = read::<Transcript>(&file, &mut complaints) else { continue };
            if file.file_stem().is_none_or(|stem| stem != transcript.id.as_str()) {
                complaints.push(format!(
                    "{}: the file should be named {}.ron",
                    file.display(),
                    transcript.id
                ));
            }
            transcripts.push(transcript);
        }
        transcripts.sort_by(|a, b| a.id.cmp(&b.id));
        if let (Some(rows), Some(waivers), Some(divergences)) = (rows, waivers, divergences) {
            let library = Self { transcripts, rows, waivers, divergences };
            check::library(&library, &mut complaints);
            if complaints.is_empty() {
                return Ok(library);
            }
        }
        Err(LoadError(complaints))
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(file: &Path, complaints: &mut Vec<String>) -> Option<T> {
    let read = fs::read_to_string(file).map_err(|error| error.to_string());
    match read.and_then(|text| ron::from_str(&text).map_err(|error| error.to_string())) {
        Ok(value) => Some(value),
        Err(error) => {
            complaints.push(format!("{}: {error}", file.display()));
            None
        }
    }
}

pub(super) fn files_below(folder: &Path, complaints: &mut Vec<String>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Err(error) => complaints.push(format!("{}: {error}", folder.display())),
        Ok(entries) => {
            for path in entries.iter().map(fs::DirEntry::path) {
                if path.is_dir() {
                    files.extend(files_below(&path, complaints));
                } else if path.extension().is_some_and(|extension| extension == "ron") {
                    files.push(path);
                }
            }
        }
    }
    files.sort();
    files
}
