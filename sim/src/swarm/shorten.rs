//! A story that fails, made shorter while it still does.

use super::{Findings, examine};
use crate::plan::{Plan, Thinning};
use crate::trace::Of;

/// How often a shorter story is tried.
const TRIES_MAX: usize = 120;

/// Leaves out what `plan` fails without: everything of a kind first, then one at a time, until nothing more can go.
#[must_use]
pub fn shorten(plan: Plan, findings: Findings) -> (Plan, Findings) {
    let (mut plan, mut findings, mut tries) = (plan, findings, 0);
    loop {
        let candidates = shorter(&plan);
        let found = candidates.into_iter().find_map(|without| {
            tries += 1;
            if tries > TRIES_MAX {
                return None;
            }
            let thinner = plan.clone().without(without);
            let findings = examine(&thinner, Of::Gatepost);
            (!findings.complaints.is_empty()).then_some((thinner, findings))
        });
        match found {
            Some(shorter) => (plan, findings) = shorter,
            None => return (plan, findings),
        }
    }
}

/// What could be left out next, the most first.
fn shorter(plan: &Plan) -> Vec<Thinning> {
    let visitors: Vec<usize> = plan.visitors().map(|(number, _)| number).collect();
    let rogues: Vec<usize> = plan.rogues().map(|(number, _)| number).collect();
    let faults: Vec<usize> = plan.faults().map(|(number, _)| number).collect();
    let mut candidates = Vec::new();
    let halves = |numbers: &[usize]| -> Vec<Vec<usize>> {
        let (first, second) = numbers.split_at(numbers.len() / 2);
        let mut parts = vec![numbers.to_vec()];
        if numbers.len() > 2 {
            parts.extend([first.to_vec(), second.to_vec()]);
        }
        if numbers.len() > 1 {
            parts.extend(numbers.iter().map(|&number| vec![number]));
        }
        parts.retain(|part| !part.is_empty());
        parts
    };
    for part in halves(&faults) {
        let mut without = plan.without.clone();
        without.faults.extend(part);
        candidates.push(without);
    }
    for part in halves(&rogues) {
        let mut without = plan.without.clone();
        without.rogues.extend(part);
        candidates.push(without);
    }
    for part in halves(&visitors) {
        let mut without = plan.without.clone();
        without.visitors.extend(part);
        candidates.push(without);
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_a_story_is_tried_without() {
        let plan = Plan::of(3);
        let candidates = shorter(&plan);
        for (number, _) in plan.visitors() {
            assert!(candidates.iter().any(|without| without.visitors.contains(&number)));
        }
        for (number, _) in plan.faults() {
            assert!(
                candidates
                    .iter()
                    .any(|without| without.faults.len() == 1 && without.faults.contains(&number))
            );
        }
        assert!(candidates.iter().all(|without| *without != plan.without), "each leaves something out");
    }
}
