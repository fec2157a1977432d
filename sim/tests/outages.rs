//! Backends that refuse, hang, and hang up at each stage, and come back. `GATEPOST_SEED=0x2a` plays one seed, `GATEPOST_SEEDS=1000`
//! more of them than an ordinary run.

#[cfg(test)]
mod tests {
    use gatepost_sim::outage::{self, Flaw, Proxy};
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
    /// How many seeds a proxy with a flaw has to get through.
    const SEEDS_FOR_FLAWS: u64 = 6;

    /// The faults of one seed after another; each world is only played if it is asked for.
    fn faults_of(proxy: Proxy) -> impl Iterator<Item = String> {
        let faults =
            move |seed| outage::faults_of(proxy, seed).unwrap_or_else(|error| vec![error.to_string()]);
        (0..SEEDS_FOR_FLAWS).flat_map(faults)
    }

    /// Otherwise the verdicts above would say nothing of Gatepost.
    #[test]
    fn whoever_does_it_wrong_is_found_out() {
        assert_eq!(faults_of(Proxy::StandIn(None)).next(), None, "somebody else may do it right");
        for flaw in Flaw::ALL {
            let verdict = match flaw {
                Flaw::TellsTwo => "was told to {",
                Flaw::NeverForgives => "after the storm only these were used",
                Flaw::BlamesTheClient => "a NO [AUTHENTICATIONFAILED]",
                Flaw::SaysNothing => "reply: Ok(\"\")",
                // That a login was good is no fault: it was late.
                Flaw::HasTime => "reply: Ok(\"a OK",
                Flaw::TriesOne => "reply: Ok(\"a NO [UNAVAILABLE]",
                Flaw::Blabs => "the log has a password",
                Flaw::HoldsOn => "sessions are left",
            };
            let found = faults_of(Proxy::StandIn(Some(flaw))).any(|fault| fault.contains(verdict));
            assert!(found, "{flaw:?} in {SEEDS_FOR_FLAWS} seeds");
        }
    }
}
