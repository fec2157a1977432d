//! The sessions of real clients in `corpus/sessions`.

use std::path::{Path, PathBuf};

use super::library::{files_below, read};
use super::{LoadError, Runner, Transcript};

/// Where the sessions are.
#[must_use]
pub fn sessions_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/sessions")
}

/// All of them, by id.
///
/// # Errors
///
/// Everything that is wrong with the files.
pub fn sessions() -> Result<Vec<Transcript>, LoadError> {
    let mut complaints = Vec::new();
    let mut sessions = Vec::new();
    for file in files_below(&sessions_folder(), &mut complaints) {
        let Some(session) = read::<Transcript>(&file, &mut complaints) else { continue };
        let complain = |complaint: String| format!("{}: {complaint}", file.display());
        complaints.extend(faults(&file, &session).into_iter().map(complain));
        sessions.push(session);
    }
    sessions.sort_by(|a, b| a.id.cmp(&b.id));
    match complaints.is_empty() {
        true => Ok(sessions),
        false => Err(LoadError(complaints)),
    }
}

fn faults(file: &Path, session: &Transcript) -> Vec<String> {
    let mut faults = Vec::new();
    let mut unless = |fine: bool, fault: &str| {
        if !fine {
            faults.push(fault.to_owned());
        }
    };
    let stem = file.file_stem().unwrap_or_default();
    unless(stem == session.id.as_str(), &format!("the file should be named {}.ron", session.id));
    unless(session.runners == [Runner::Core, Runner::Binary], "core and binary play it, and nobody else");
    unless(session.differs.is_empty(), "nobody differs from what was recorded");
    unless(!session.script.is_empty(), "it has not been recorded");
    match &session.recorded {
        None => unless(false, "it does not say where it comes from"),
        Some(recorded) => {
            let told = [&recorded.client, &recorded.version, &recorded.origin, &recorded.day];
            unless(told.iter().all(|text| !text.is_empty()), "it does not say all of where it comes from");
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_hides_where_it_comes_from_is_refused() {
        let text = |recorded: &str| {
            format!(
                r#"(id: "x", title: "x", rows: [], config: (protocol: Imap), runners: [Core, Binary],
                    script: [Open(())], {recorded})"#
            )
        };
        let whole =
            r#"recorded: Some((client: "c", version: "1", origin: "o", day: "2026-11-21", command: []))"#;
        let faults_of = |recorded: &str| {
            let session = ron::from_str(&text(recorded)).unwrap();
            faults(Path::new("x.ron"), &session)
        };
        assert_eq!(faults_of(whole), Vec::<String>::new());
        assert_eq!(faults_of("").len(), 1);
        assert_eq!(faults_of(&whole.replace("2026-11-21", "")).len(), 1);
        let session = ron::from_str(&text(whole)).unwrap();
        assert_eq!(faults(Path::new("y.ron"), &session).len(), 1);
    }
}
