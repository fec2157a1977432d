//! A sweep over seeds. `GATEPOST_SEED=0x2a cargo test -p gatepost-sim` plays one of them, and `GATEPOST_SEEDS=1000` more of
//! them than an ordinary run; `cargo run --release -p gatepost-sim -- swarm` plays thousands.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gatepost_sim::plan::Plan;
    use gatepost_sim::seeds::asked_for;
    use gatepost_sim::swarm::{describe, examine};
    use gatepost_sim::trace::Of;
    use gatepost_sim::traces::{SEEDS, Traces, hash};

    /// How many of the seeds of an ordinary run are played twice.
    const SEEDS_TWICE: u64 = 6;

    /// Plays a seed and hands back what was told; on trouble prints all of it and how to hear it again.
    fn play(of: Of, seed: u64) -> Vec<u8> {
        let plan = Plan::of(seed);
        let findings = examine(&plan, of);
        if !findings.complaints.is_empty() {
            let again = format!("cargo run --release -p gatepost-sim -- swarm --seeds {seed}..{}", seed + 1);
            let story = if of == Of::Gatepost { String::from_utf8_lossy(&findings.trace) } else { "".into() };
            panic!("{story}\n{}\n{}\n\n{again}", describe(&plan), findings.complaints.join("\n"));
        }
        findings.trace
    }

    #[test]
    fn whatever_goes_wrong_nobody_is_told_a_lie_and_the_first_traces_are_those_in_the_repository() {
        let seeds = asked_for(SEEDS.end);
        // Connections to auth servers that are kept, used again, and found to have ended meanwhile.
        let mut lacking = vec!["Keep(Auth", "Reused(Auth", "Reopen(Auth)"];
        let mut hashes = BTreeMap::new();
        for seed in seeds.clone() {
            let trace = play(Of::Gatepost, seed);
            lacking.retain(|what| !trace.windows(what.len()).any(|octets| octets == what.as_bytes()));
            hashes.insert(seed, hash(&trace));
        }
        assert!(hashes.len() < 64 || lacking.is_empty(), "it never came to {lacking:?}");
        if seeds.contains(&SEEDS.start) && seeds.contains(&(SEEDS.end - 1)) {
            let changed = Traces::read().unwrap().changed(&Traces::of(&hashes));
            let again =
                "if that is meant: cargo run --release -p gatepost-sim -- swarm --seeds 0..100 --write-hash";
            assert_eq!(changed, [0; 0], "these seeds tell another story than sim/TRACES knows; {again}");
        }
    }

    #[test]
    fn the_same_seed_tells_the_same_story_byte_for_byte() {
        let mut stories = Vec::new();
        for seed in asked_for(SEEDS_TWICE).take(usize::try_from(SEEDS_TWICE).unwrap()) {
            let (first, second) = (play(Of::Everything, seed), play(Of::Everything, seed));
            let lines =
                |story: &[u8]| story.split(|&octet| octet == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
            let (first_lines, second_lines) = (lines(&first), lines(&second));
            if let Some((one, other)) =
                first_lines.iter().zip(&second_lines).find(|(one, other)| one != other)
            {
                let [one, other] = [one, other].map(|line| String::from_utf8_lossy(line));
                panic!("seed {seed:#x} tells two stories:\n{one}\n{other}");
            }
            assert_eq!(first_lines.len(), second_lines.len(), "seed {seed:#x}");
            stories.push(first);
        }
        let played = stories.len();
        stories.sort();
        stories.dedup();
        assert_eq!(stories.len(), played, "two seeds tell the same story");
    }

    #[test]
    fn what_sessions_hold_does_not_hang_on_what_their_thread_has_done_before() {
        let held = || {
            let story = examine(&Plan::of(0), Of::Gatepost).story.expect("it comes to its end");
            story.books.into_iter().map(|(number, book)| (number, book.octets_max)).collect::<Vec<_>>()
        };
        let fresh = move || std::thread::spawn(move || (held(), held())).join().expect("it is told");
        let (first, second) = fresh();
        assert!(!first.is_empty() && first.len() == second.len());
        for ((number, first), (_, second)) in first.into_iter().zip(second) {
            // A thread's sessions share one list of actions, which grows with the first that needs it.
            assert!(first.abs_diff(second) < 1024, "session {number} held {first} octets, and then {second}");
        }
    }
}
