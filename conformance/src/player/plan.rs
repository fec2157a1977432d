//! Which steps a runner plays.

use std::fmt;

use crate::divergence::{Span, Version};
use crate::transcript::{Differs, Runner, Step, Transcript};

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
