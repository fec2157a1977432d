//! Which steps a runner plays, and where the client's octets are cut.

use std::fmt;

use crate::divergence::{Span, Version};
use crate::transcript::{Differs, Runner, SplitPlan, Step, Transcript};

/// The steps of one runner, blocks in which it differs replaced.
#[derive(Debug)]
pub(super) struct Plan<'t>(Vec<Planned<'t>>);

/// A step, and how to find it.
#[derive(Debug)]
pub(super) struct Planned<'t> {
    /// The step.
    pub(super) step: &'t Step,
    number: usize,
    block: &'t str,
    instead: bool,
}

impl fmt::Display for Planned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, number, block, instead } = self;
        let instead = if *instead { ", as this runner differs" } else { "" };
        write!(f, "step {number} of block {block:?}{instead}: {step:?}")
    }
}

impl<'t> Plan<'t> {
    /// The steps of `transcript` for `runner` in this version.
    #[must_use]
    pub(super) fn new(transcript: &'t Transcript, runner: Runner, version: Version) -> Self {
        let applies = |differs: &&Differs| {
            let span = differs.version.as_deref().map(str::parse::<Span>);
            differs.runner == runner && span.is_none_or(|span| span.is_ok_and(|span| span.holds(version)))
        };
        let mut planned = Vec::new();
        for (block, steps) in blocks(&transcript.script) {
            let differs = transcript.differs.iter().filter(applies).find(|differs| differs.block == block);
            let instead = differs.is_some();
            // A block that is replaced keeps its mark.
            let steps = steps.iter().take(if instead { 1 } else { steps.len() });
            let steps = steps.chain(differs.into_iter().flat_map(|differs| &differs.instead));
            planned.extend((0..).zip(steps).map(|(number, step)| Planned { step, number, block, instead }));
            if differs.is_some_and(|differs| differs.stop) {
                break;
            }
        }
        Self(planned)
    }

    /// The steps, in order.
    #[must_use]
    pub(super) fn steps(&self) -> &[Planned<'t>] {
        &self.0
    }

    /// The cuts of each further run that `split` asks for, given where cuts are possible.
    #[must_use]
    pub(super) fn cuts(&self, split: &SplitPlan, boundaries: &[usize]) -> Vec<Vec<usize>> {
        match split {
            SplitPlan::AsWritten => Vec::new(),
            SplitPlan::EveryOctet => boundaries.iter().map(|&at| vec![at]).collect(),
            SplitPlan::At(cuts) => vec![cuts.clone()],
        }
    }
}

/// The blocks of a script, by their marks; the mark is each block's first step. What comes before the first mark is
/// a block without a name.
fn blocks(script: &[Step]) -> Vec<(&str, &[Step])> {
    let mut blocks = Vec::new();
    let mut rest = script;
    while let Some((first, after)) = rest.split_first() {
        let next = after.iter().position(|step| matches!(step, Step::Mark(_)));
        let (block, later) =
            rest.split_at_checked(next.map_or(rest.len(), |at| at + 1)).unwrap_or((rest, &[]));
        blocks.push((if let Step::Mark(name) = first { name } else { "" }, block));
        rest = later;
    }
    blocks
}

/// How many of a client's octets may be cut apart. Behind a STARTTLS line none: what was read together with the line
/// closes the session, what comes later goes to the handshake, so this is the one place where a cut shows.
pub(super) fn cuttable(octets: &[u8]) -> usize {
    let mut end = 0;
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).take(2);
        if words.any(|word| word.eq_ignore_ascii_case(b"STARTTLS") || word.eq_ignore_ascii_case(b"STLS")) {
            return end + line.len();
        }
        end += line.len();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cut_behind_a_starttls_line() {
        assert_eq!(cuttable(b"a NOOP\r\nb NOOP\r\n"), 16);
        assert_eq!(cuttable(b"a NOOP\r\nb starttls\r\nc NOOP\r\n"), 20);
        assert_eq!(cuttable(b"STLS\r\nUSER a\r\n"), 6);
    }
}
