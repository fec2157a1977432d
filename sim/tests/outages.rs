//! Backends that refuse, hang, and hang up at each stage, and come back. `GATEPOST_SEED=0x2a` plays one seed, `GATEPOST_SEEDS=1000`
//! more of them than an ordinary run.

#[cfg(test)]
mod tests {
    use gatepost_sim::outage;
    use gatepost_sim::seeds::asked_for;

    /// How many seeds an ordinary run plays.
    const SEEDS: u64 = 24;

    #[test]
    fn every_login_succeeds_in_time_or_may_be_tried_again_and_no_password_is_told_twice() {
        let seeds = asked_for(SEEDS);
        for seed in seeds {
            let faults = outage::faults(seed).unwrap_or_else(|error| vec![error.to_string()]);
            assert_eq!(faults, [""; 0], "GATEPOST_SEED={seed:#x} cargo test -p gatepost-sim --test outages");
        }
    }
}
