//! More clients than there may be, who leave in every way there is. `GATEPOST_SEED=0x2a` plays one seed, `GATEPOST_SEEDS=1000` more
//! of them than an ordinary run.

#[cfg(test)]
mod tests {
    use gatepost_sim::crowd;
    use gatepost_sim::seeds::asked_for;

    /// How many seeds an ordinary run plays.
    const SEEDS: u64 = 16;

    #[test]
    fn nobody_has_more_sessions_than_may_be_and_no_place_is_lost() {
        for seed in asked_for(SEEDS) {
            let faults = crowd::faults(seed).unwrap_or_else(|error| vec![error.to_string()]);
            assert_eq!(faults, [""; 0], "GATEPOST_SEED={seed:#x} cargo test -p gatepost-sim --test crowds");
        }
    }
}
