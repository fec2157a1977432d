//! Backends that refuse, hang, and hang up at each stage, and come back. `GATEPOST_SEED=0x2a` plays one seed, `GATEPOST_SEEDS=1000`
//! more of them than an ordinary run.

#[cfg(test)]
mod tests {
    use gatepost_sim::outage;

    /// How many seeds an ordinary run plays.
    const SEEDS: u64 = 24;

    fn variable(name: &str) -> Option<u64> {
        let text = std::env::var(name).ok()?;
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        Some(number.unwrap_or_else(|_| panic!("{name} is not a number, decimal or 0x…: {text}")))
    }

    #[test]
    fn every_login_succeeds_in_time_or_may_be_tried_again_and_no_password_is_told_twice() {
        let seeds = match variable("GATEPOST_SEED") {
            Some(seed) => seed..seed + 1,
            None => 0..variable("GATEPOST_SEEDS").unwrap_or(SEEDS),
        };
        for seed in seeds {
            let faults = outage::faults(seed).unwrap_or_else(|error| vec![error.to_string()]);
            assert_eq!(faults, [""; 0], "GATEPOST_SEED={seed:#x} cargo test -p gatepost-sim --test outages");
        }
    }
}
