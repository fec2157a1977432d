//! What a library of transcripts must keep to before anything is played.

use std::collections::BTreeSet;

use super::{Library, Runner, Step, Tls, Transcript};
use crate::divergence::{Oracle, Span};

/// Gathers what is wrong with the files taken together and one by one.
pub(super) fn library(library: &Library, complaints: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    for transcript in &library.transcripts {
        if !ids.insert(&transcript.id) {
            complaints.push(format!("{}: there are two of this name", transcript.id));
        }
        let complain = |complaint: String| format!("{}: {complaint}", transcript.id);
        complaints.extend(rows(transcript, library).into_iter().map(complain));
        complaints.extend(script(&transcript.script).into_iter().map(complain));
        complaints.extend(runners(transcript).into_iter().map(complain));
        complaints.extend(differences(transcript, library).into_iter().map(complain));
    }
    coverage(library, complaints);
    oracle(library, complaints);
    divergences(library, complaints);
}

fn rows(transcript: &Transcript, library: &Library) -> Vec<String> {
    let mut complaints = Vec::new();
    if transcript.rows.is_empty() {
        complaints.push("it proves no row".to_owned());
    }
    let mut seen = BTreeSet::new();
    for row in &transcript.rows {
        if library.rows.get(row).is_none() {
            complaints.push(format!("rows.ron has no row {row}"));
        }
        if !seen.insert(row) {
            complaints.push(format!("row {row} is named twice"));
        }
    }
    let on_nginx = transcript.runners.contains(&Runner::Nginx);
    let seen_there = |row: &String| library.rows.get(row).is_some_and(|row| row.oracle != Oracle::Unseen);
    if on_nginx && !transcript.rows.iter().any(seen_there) {
        complaints.push("nginx plays it, but none of its rows can be seen there".to_owned());
    }
    complaints
}

fn script(steps: &[Step]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut marks = BTreeSet::new();
    for step in steps {
        match step {
            Step::Mark(name) if !marks.insert(name) => complaints.push(format!("mark {name:?} is set twice")),
            Step::SeesLike(glob) | Step::BackendGetsLike(glob) if !glob.ends_with(b"\n") => {
                complaints.push(format!("{step:?}: a glob is for whole lines"));
            }
            Step::SeesUntil(glob) if glob.iter().filter(|&&octet| octet == b'\n').count() != 1 => {
                complaints.push(format!("{step:?}: this glob is for one line"));
            }
            Step::SeesSave(save) if !save.like.ends_with(b"\n") => {
                complaints.push(format!("{step:?}: a glob is for whole lines"));
            }
            _ => {}
        }
    }
    complaints
}

fn runners(transcript: &Transcript) -> Vec<String> {
    let mut complaints = Vec::new();
    if transcript.runners.is_empty() {
        complaints.push("nobody plays it".to_owned());
    }
    if transcript.runners.iter().any(|&runner| runner != Runner::Core) {
        for step in transcript.steps() {
            match step {
                Step::Operator(_) => {
                    complaints.push(format!("{step:?} is for the core alone"));
                }
                Step::Open(open) if open.from.is_some() => {
                    complaints.push(format!("{step:?}: sockets come from loopback"));
                }
                Step::ClientTls(attempt) if !attempt.begun.is_empty() => {
                    complaints.push(format!("{step:?}: only the core is told such things"));
                }
                Step::ClientTls(attempt) if attempt.resumed && transcript.config.tls != Tls::Implicit => {
                    complaints.push(format!("{step:?}: sessions are begun where TLS comes first"));
                }
                _ => {}
            }
        }
    }
    complaints
}

fn differences(transcript: &Transcript, library: &Library) -> Vec<String> {
    let mut complaints = Vec::new();
    for differs in &transcript.differs {
        let block = &differs.block;
        match block_of(&transcript.script, block) {
            None => {
                complaints.push(format!("there is no mark {block:?} for {} to differ in", differs.runner));
            }
            Some(steps) if steps == differs.instead => {
                complaints.push(format!("{} does not differ in {block:?}", differs.runner));
            }
            Some(_) => {}
        }
        if differs.why.is_empty() {
            complaints.push(format!("{block:?} does not say why {} differs", differs.runner));
        }
        for why in differs.why.iter().filter(|&why| library.divergences.get(why).is_none()) {
            complaints.push(format!("divergences.ron has no reason {why:?}"));
        }
        if let Some(span) = &differs.version
            && let Err(error) = span.parse::<Span>()
        {
            complaints.push(error.to_string());
        }
        if !transcript.runners.contains(&differs.runner) {
            complaints.push(format!("{block:?} differs for {}, which does not play it", differs.runner));
        }
        complaints.extend(script(&differs.instead));
    }
    complaints
}

/// The steps from the mark `name`, without it, to the next.
fn block_of<'s>(script: &'s [Step], name: &str) -> Option<&'s [Step]> {
    let start = script.iter().position(|step| matches!(step, Step::Mark(mark) if mark == name))?;
    let rest = script.get(start + 1..)?;
    let end = rest.iter().position(|step| matches!(step, Step::Mark(_))).unwrap_or(rest.len());
    rest.get(..end)
}

/// Every row is proven, or it is waived.
fn coverage(library: &Library, complaints: &mut Vec<String>) {
    let proven: BTreeSet<_> =
        library.transcripts.iter().flat_map(|transcript| &transcript.rows).map(String::as_str).collect();
    for (id, _) in library.rows.iter() {
        match (proven.contains(id), library.waivers.get(id)) {
            (false, None) => {
                complaints.push(format!("{id}: no transcript proves it, and waived.ron does not say why"));
            }
            (true, Some(_)) => complaints.push(format!("waived.ron: {id} is proven by a transcript")),
            _ => {}
        }
    }
    for id in library.waivers.ids().filter(|id| library.rows.get(id).is_none()) {
        complaints.push(format!("waived.ron: rows.ron has no row {id}"));
    }
}

/// A row in which nginx is known to differ is not proven by files that show no difference of nginx's.
fn oracle(library: &Library, complaints: &mut Vec<String>) {
    let named: BTreeSet<_> = library.transcripts.iter().flat_map(|transcript| &transcript.rows).collect();
    for row in named {
        if library.rows.get(row).is_none_or(|known| known.oracle != Oracle::Differs) {
            continue;
        }
        let mut files = library.transcripts.iter().filter(|transcript| transcript.rows.contains(row));
        let blind = |file: &Transcript| file.runners.contains(&Runner::Nginx) && file.differs.is_empty();
        if files.all(blind) {
            complaints.push(format!("{row}: nginx differs here, but no transcript shows how"));
        }
    }
}

/// Every reason is used, or says why it cannot be.
fn divergences(library: &Library, complaints: &mut Vec<String>) {
    let used: BTreeSet<_> = library
        .transcripts
        .iter()
        .flat_map(|transcript| &transcript.differs)
        .flat_map(|differs| differs.why.iter().map(String::as_str))
        .collect();
    for (key, divergence) in library.divergences.iter() {
        match (&divergence.unseen, used.contains(key)) {
            (None, false) => complaints.push(format!("divergences.ron: no transcript shows {key}")),
            (Some(_), true) => complaints.push(format!("divergences.ron: {key} is not unseen")),
            _ => {}
        }
    }
}
