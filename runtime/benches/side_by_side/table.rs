//! The figures of all rounds, and what they come to.

use std::fmt;

use serde::Serialize;

use crate::Outcome;
use crate::measure::Figure;
use crate::scenario::Scenario;

/// Which side a figure is of, by its place among the programs.
const GATEPOST: usize = 0;
const PEER: usize = 1;

/// All there is to tell.
pub(crate) struct Table {
    rounds: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    scenario: String,
    #[serde(serialize_with = "as_text")]
    figure: Figure,
    goal: Option<f64>,
    /// By side, and then by round.
    values: [Vec<f64>; 2],
}

fn as_text<S: serde::Serializer>(figure: &Figure, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(figure)
}

impl Table {
    pub(crate) const fn new(rounds: usize) -> Self {
        Self { rounds, rows: Vec::new() }
    }

    /// Notes what a side came to in a round.
    pub(crate) fn note(
        &mut self,
        round: usize,
        scenario: &Scenario,
        figure: Figure,
        side: usize,
        value: f64,
    ) {
        let found = self.rows.iter().position(|row| row.scenario == scenario.name && row.figure == figure);
        let index = found.unwrap_or_else(|| {
            let goal = scenario.goals.iter().find(|(of, _)| *of == figure).map(|(_, goal)| *goal);
            let values = [vec![f64::NAN; self.rounds], vec![f64::NAN; self.rounds]];
            self.rows.push(Row { scenario: scenario.name.clone(), figure, goal, values });
            self.rows.len() - 1
        });
        let cell = self.rows.get_mut(index).and_then(|row| row.values.get_mut(side)?.get_mut(round));
        if let Some(cell) = cell {
            *cell = value;
        }
    }

    /// A scenario's figures in a round, in a line.
    pub(crate) fn progress(&self, round: usize, scenario: &Scenario) -> String {
        let mut line = scenario.name.clone();
        for row in self.rows.iter().filter(|row| row.scenario == scenario.name) {
            let [gatepost, peer] = [GATEPOST, PEER].map(|side| {
                row.values.get(side).and_then(|values| values.get(round)).copied().unwrap_or(f64::NAN)
            });
            line.push_str(&format!("; {}: {} against {}", row.figure, short(gatepost), short(peer)));
        }
        line
    }

    /// Every figure of every round.
    pub(crate) fn json(&self) -> Outcome<String> {
        Ok(serde_json::to_string_pretty(&self.rows)?)
    }
}

impl Row {
    /// Gatepost's figure over the peer's of the same round, or Gatepost's own where that is a ratio, in order. Nothing beside nothing is
    /// the same.
    fn ratios(&self) -> Vec<f64> {
        let [gatepost, peer] = &self.values;
        let ratio = |(own, peers): (&f64, &f64)| match (*own, *peers) {
            (own, _) if self.figure.is_ratio() => own,
            (own, peers) if own == peers => 1.0,
            (own, peers) => own / peers,
        };
        let mut ratios: Vec<f64> = gatepost.iter().zip(peer).map(ratio).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| work | figure | peer | gatepost | x (min - max) | goal | |")?;
        writeln!(f, "| --- | --- | ---: | ---: | ---: | ---: | --- |")?;
        for row in &self.rows {
            let [gatepost, peer] = &row.values;
            let ratios = row.ratios();
            let ratio = middle(&ratios);
            let (least, most) = (ratios.first().unwrap_or(&f64::NAN), ratios.last().unwrap_or(&f64::NAN));
            let (goal, verdict) = match row.goal {
                Some(goal) if ratio <= goal => (format!("{goal:.2}"), "reached"),
                Some(goal) => (format!("{goal:.2}"), "missed"),
                None => (String::new(), ""),
            };
            writeln!(
                f,
                "| {} | {} | {} | {} | {ratio:.2} ({least:.2} - {most:.2}) | {goal} | {verdict} |",
                row.scenario,
                row.figure,
                short(median(peer)),
                short(median(gatepost)),
            )?;
        }
        Ok(())
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    middle(&values)
}

/// The middle one of what is in order.
fn middle(values: &[f64]) -> f64 {
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
