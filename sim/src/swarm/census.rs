//! How many of what there were.

use std::collections::BTreeMap;
use std::fmt;

use super::Findings;

/// Counts by kind.
#[derive(Clone, Debug, Default)]
pub struct Census {
    worlds: u64,
    sessions: BTreeMap<String, u64>,
    endings: BTreeMap<String, u64>,
    rogues: BTreeMap<String, u64>,
    faults: BTreeMap<&'static str, u64>,
    octets_max: i64,
}

impl Census {
    /// One more world.
    pub fn add(&mut self, findings: &Findings) {
        self.worlds += 1;
        let Some(story) = &findings.story else { return };
        for (_, visitor) in story.plan.visitors() {
            let kind = format!("{} by {:?}", visitor.errand.protocol().name(), visitor.door);
            *self.sessions.entry(kind).or_default() += 1;
        }
        for (_, rogue) in story.plan.rogues() {
            *self.rogues.entry(format!("{:?}", rogue.mischief)).or_default() += 1;
        }
        for (_, fault) in story.plan.faults() {
            *self.faults.entry(fault.kind.name()).or_default() += 1;
        }
        for book in story.books.values() {
            self.octets_max = self.octets_max.max(book.octets_max);
            let last = book.reports.last().map(|report| format!("{:?}", report.notice)).unwrap_or_default();
            let last: String = last.chars().take_while(char::is_ascii_alphanumeric).collect();
            let last = if book.is_cut { "cut by a crash".to_owned() } else { last };
            *self.endings.entry(last).or_default() += 1;
        }
    }

    /// One line.
    #[must_use]
    pub fn summary(&self) -> String {
        let sessions: u64 = self.sessions.values().chain(self.rogues.values()).sum();
        let faults: u64 = self.faults.values().sum();
        format!("{} worlds, {sessions} sessions, {faults} faults", self.worlds)
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = |title: &str, rows: Vec<(&str, u64)>| {
            writeln!(f, "{title}")?;
            rows.into_iter().try_for_each(|(name, count)| writeln!(f, "  {count:>8}  {name}"))
        };
        let rows = |counts: &'_ BTreeMap<String, u64>| -> Vec<(String, u64)> {
            counts.iter().map(|(name, &count)| (name.clone(), count)).collect()
        };
        for (title, counts) in [
            ("visitors", rows(&self.sessions)),
            ("rogues", rows(&self.rogues)),
            ("last lines of sessions", rows(&self.endings)),
        ] {
            table(title, counts.iter().map(|(name, count)| (name.as_str(), *count)).collect())?;
        }
        table("faults", self.faults.iter().map(|(&name, &count)| (name, count)).collect())?;
        writeln!(f, "the most memory of a session before its relay: {} octets", self.octets_max)
    }
}
