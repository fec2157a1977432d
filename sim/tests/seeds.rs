//! A sweep over seeds. `GATEPOST_SEED=0x2a cargo test -p gatepost-sim` plays one of them, and `GATEPOST_SEEDS=1000` more of
//! them than an ordinary run.

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use gatepost_sim::seeds::asked_for;
    use gatepost_sim::trace::{Of, told};
    use gatepost_sim::{verdict, world};

    /// How many seeds an ordinary run plays.
    const SEEDS: u64 = 64;

    /// How many of them it plays twice.
    const SEEDS_TWICE: u64 = 8;

    /// Plays a seed and hands back what was told; on trouble prints what Gatepost did and how to see it again.
    fn play(of: Of, seed: u64) -> Vec<u8> {
        let (story, result) = told(of, || catch_unwind(AssertUnwindSafe(|| world::run(seed))));
        let faults = match result {
            Ok(Ok(story)) => verdict::judge(&story),
            Ok(Err(error)) => vec![error.to_string()],
            Err(_) => vec!["somebody panicked; see above".to_owned()],
        };
        if !faults.is_empty() {
            let again = format!("GATEPOST_SEED={seed:#x} cargo test -p gatepost-sim");
            let story = if of == Of::Gatepost { String::from_utf8_lossy(&story) } else { "".into() };
            panic!("{story}\nseed {seed:#x}:\n{}\n\n{again}", faults.join("\n"));
        }
        story
    }

    #[test]
    fn users_get_their_own_mail_and_nobody_elses() {
        let mut lacking = vec!["Keep(Auth", "Reused(Auth", "Reopen(Auth)"];
        let mut played = 0;
        for seed in asked_for(SEEDS) {
            let story = play(Of::Gatepost, seed);
            played += 1;
            let has = |what: &str| story.windows(what.len()).any(|octets| octets == what.as_bytes());
            lacking.retain(|what| !has(what));
            assert!(!story.is_empty(), "the driver tells nothing");
            for line in story.split(|&octet| octet == b'\n') {
                assert!(
                    !line.windows(7).any(|octets| octets == b"hunter2"),
                    "{}",
                    String::from_utf8_lossy(line)
                );
            }
        }
        let all_of_it = played < SEEDS || lacking.is_empty();
        assert!(all_of_it, "no connection to an auth server was ever used so: {lacking:?}");
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
}
