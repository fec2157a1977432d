//! One world, played, told and judged.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::plan::Plan;
use crate::trace::{Of, by_session, told};
use crate::traces;
use crate::verdict;
use crate::world::{self, Story};

/// What is to be said of a world.
#[derive(Debug)]
pub struct Findings {
    /// Whatever was not as it should be.
    pub complaints: Vec<String>,
    /// All that was told of it, a line an event.
    pub trace: Vec<u8>,
    /// What became of it, if it came to its end.
    pub story: Option<Story>,
}

impl Findings {
    /// The hash of the trace, in hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        traces::hash(&self.trace)
    }
}

thread_local! {
    /// Where the last panic of this thread was, and what it said.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Plays the world of `plan` and judges it. Where someone is in it whose garbage must not concern anybody else, it is played once more
/// without them, and what the other sessions did must be the same.
#[must_use]
pub fn examine(plan: &Plan, of: Of) -> Findings {
    let mut findings = play(plan, of);
    if findings.complaints.is_empty() && plan.shows_what_garbage_does() {
        let without = play(&plan.clone().without_garbage(), of);
        findings.complaints.extend(without.complaints);
        findings.complaints.extend(difference(&findings.trace, &without.trace));
    }
    findings
}

fn play(plan: &Plan, of: Of) -> Findings {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let what = panic.payload_as_str().unwrap_or("something that is no text");
            // turmoil's own words about a host that has panicked come behind what the host said.
            PANIC.with_borrow_mut(|last| {
                last.get_or_insert_with(|| format!("{place}: {what}"));
            });
        }));
    });
    PANIC.take();
    let (trace, result) = told(of, || catch_unwind(AssertUnwindSafe(|| world::play(plan))));
    let (story, mut complaints) = match result {
        Ok(Ok(story)) => {
            let complaints = verdict::judge(&story);
            (Some(story), complaints)
        }
        Ok(Err(error)) => (None, vec![format!("the world came to no end: {error}")]),
        Err(_) => (None, vec!["somebody panicked".to_owned()]),
    };
    complaints.extend(PANIC.take().map(|panic| format!("panicked at {panic}")));
    if trace.is_empty() && plan.visitors().next().is_some() {
        complaints.push("nothing was told".to_owned());
    }
    // The network's own trace has every octet in clear.
    let leak = (of == Of::Gatepost).then(|| verdict::leak(&trace)).flatten();
    complaints.extend(leak.map(|line| format!("the trace has a password: {line}")));
    Findings { complaints, trace, story }
}

/// The first line of a session in which two tellings of it differ.
fn difference(with: &[u8], without: &[u8]) -> Option<String> {
    let with = by_session(with);
    for (number, lines) in by_session(without) {
        let others = with.get(&number).map(Vec::as_slice).unwrap_or_default();
        let at = lines.iter().zip(others).position(|(one, other)| one != other);
        let at = at.or_else(|| (lines.len() != others.len()).then_some(lines.len().min(others.len())));
        if let Some(at) = at {
            let [one, other] =
                [&lines[..], others].map(|lines| lines.get(at).map_or("nothing more", String::as_str));
            return Some(format!(
                "without the garbage of others session {number} goes otherwise:\n{one}\nand with it\n{other}"
            ));
        }
    }
    None
}
