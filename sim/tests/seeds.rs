//! A sweep over seeds. `GATEPOST_SEED=0x2a cargo test -p gatepost-sim` plays one of them and prints what Gatepost did.

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use gatepost_sim::{trace, verdict, world};

    /// How many seeds an ordinary run plays.
    const SEEDS: u64 = 40;

    fn seeds(ordinary: std::ops::Range<u64>) -> Vec<u64> {
        let Ok(text) = std::env::var("GATEPOST_SEED") else { return ordinary.collect() };
        let seed = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        vec![seed.expect("GATEPOST_SEED is a number, decimal or 0x…")]
    }

    /// Plays a seed; on trouble prints what Gatepost did and how to see it again.
    fn play(seed: u64) -> Vec<u8> {
        let (trace, result) = trace::told(|| catch_unwind(AssertUnwindSafe(|| world::run(seed))));
        let faults = match result {
            Ok(Ok(story)) => verdict::judge(&story),
            Ok(Err(error)) => vec![error.to_string()],
            Err(_) => vec!["somebody panicked; see above".to_owned()],
        };
        if !faults.is_empty() {
            for line in trace::of_gatepost(&trace) {
                eprintln!("{}", String::from_utf8_lossy(line));
            }
            panic!(
                "seed {seed:#x}:\n{}\n\nGATEPOST_SEED={seed:#x} cargo test -p gatepost-sim",
                faults.join("\n")
            );
        }
        trace
    }

    #[test]
    fn users_get_their_own_mail_and_nobody_elses() {
        for seed in seeds(0..SEEDS) {
            let trace = play(seed);
            for line in trace::of_gatepost(&trace) {
                assert!(
                    !line.windows(7).any(|octets| octets == b"hunter2"),
                    "{}",
                    String::from_utf8_lossy(line)
                );
            }
        }
    }

    #[test]
    fn the_same_seed_tells_the_same_story_byte_for_byte() {
        let mut stories = Vec::new();
        for seed in seeds(100..105) {
            let story = play(seed);
            let again = play(seed);
            let differs =
                story.split(|&o| o == b'\n').zip(again.split(|&o| o == b'\n')).find(|(a, b)| a != b);
            if let Some((first, second)) = differs {
                panic!(
                    "seed {seed:#x} tells two stories:\n{}\n{}",
                    String::from_utf8_lossy(first),
                    String::from_utf8_lossy(second)
                );
            }
            assert_eq!(story.len(), again.len(), "seed {seed:#x}");
            assert!(trace::of_gatepost(&story).count() > 100, "the driver tells nothing");
            stories.push(story);
        }
        let length = stories.len();
        stories.sort();
        stories.dedup();
        assert_eq!(stories.len(), length, "two seeds tell the same story");
    }
}
