//! Which rows are proven, by what, and what nginx does there: for people to read.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::divergence::{Oracle, Row};
use crate::transcript::{Library, Runner, Transcript};

/// What becomes of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Transcripts prove them.
    pub proven: usize,
    /// `waived.ron` says why they are not proven.
    pub waived: usize,
    /// Neither.
    pub missing: usize,
}

impl Count {
    fn add(&mut self, row: &Account<'_>) {
        match (row.proofs.is_empty(), row.waiver) {
            (false, _) => self.proven += 1,
            (true, Some(_)) => self.waived += 1,
            (true, None) => self.missing += 1,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} proven, {} waived, {} missing", self.proven, self.waived, self.missing)
    }
}

/// What there is to say of one row.
struct Account<'l> {
    id: &'l str,
    row: &'l Row,
    proofs: Vec<&'l Transcript>,
    waiver: Option<&'l str>,
}

impl Account<'_> {
    /// The protocol or the part that the row is about: what its id begins with.
    fn subject(&self) -> &str {
        self.id.split('-').next().unwrap_or_default()
    }

    /// Whether somebody plays the row, and how nginx does.
    fn played_by(&self, runner: Runner) -> &'static str {
        let mut plays =
            self.proofs.iter().copied().filter(|proof| proof.runners.contains(&runner)).peekable();
        if plays.peek().is_none() {
            return match (runner, self.row.oracle) {
                (Runner::Nginx, Oracle::Unseen) => "cannot tell",
                _ => "-",
            };
        }
        let differs = |proof: &Transcript| {
            proof
                .differs
                .iter()
                .any(|differs| differs.runner == runner && differs.why.iter().any(|why| why == self.id))
        };
        match (runner, plays.any(differs)) {
            (_, true) => "differs",
            (Runner::Nginx, false) => "same",
            (Runner::Core | Runner::Binary, false) => "plays it",
        }
    }
}

fn accounts(library: &Library) -> Vec<Account<'_>> {
    let proofs = |id: &str| {
        let names_it = |transcript: &&Transcript| transcript.rows.iter().any(|row| row == id);
        library.transcripts.iter().filter(names_it).collect()
    };
    let account = |(id, row)| Account { id, row, proofs: proofs(id), waiver: library.waivers.get(id) };
    library.rows.iter().map(account).collect()
}

/// How many rows are proven, a line for each protocol; the last is for all of them.
#[must_use]
pub fn summary(library: &Library) -> String {
    let (mut by_subject, mut total) = (BTreeMap::<_, Count>::new(), Count::default());
    let accounts = accounts(library);
    for account in &accounts {
        by_subject.entry(account.subject()).or_default().add(account);
        total.add(account);
    }
    let mut text = String::new();
    for (subject, count) in by_subject {
        let _ = writeln!(text, "{subject}: {count}");
    }
    let _ = writeln!(text, "total: {total}");
    text
}

/// Every row with what proves it, as Markdown.
#[must_use]
pub fn table(library: &Library) -> String {
    let mut text = String::from(
        "# What is asked, and what proves it\n\n\
         Written by `cargo run -p gatepost-conformance -- report --write`; a test tells when it is out of date. \
         Each transcript is played to whoever `plays it`; nginx does the `same` or `differs`, and why is in `divergences.ron`.\n\n",
    );
    let _ = writeln!(text, "```text\n{}```\n", summary(library));
    text.push_str("| Row | Source | Asked | Transcripts, or why there is none | Core | Binary | nginx |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for account in accounts(library) {
        let Account { id, row, proofs, waiver } = &account;
        let proven_by: Vec<_> = proofs.iter().map(|proof| format!("`{}`", proof.id)).collect();
        let proven_by = match (proven_by.as_slice(), waiver) {
            ([], Some(reason)) => format!("waived: {reason}"),
            ([], None) => "**missing**".to_owned(),
            (all, _) => all.join(" "),
        };
        let played = [Runner::Core, Runner::Binary, Runner::Nginx].map(|runner| account.played_by(runner));
        let cells = [id, cell(&row.source).as_str(), &cell(&row.title), &cell(&proven_by)].join(" | ");
        let _ = writeln!(text, "| {cells} | {} |", played.join(" | "));
    }
    text
}

/// Text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
