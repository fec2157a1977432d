//! What once failed, with a name: here, or as a story in `corpus/sim`.

#[cfg(test)]
mod tests {
    use gatepost_sim::cast::Door;
    use gatepost_sim::plan::Plan;
    use gatepost_sim::swarm::{all_stories, examine};
    use gatepost_sim::trace::Of;
    use gatepost_sim::{verdict, world};

    #[test]
    fn every_story_that_once_failed_ends_well() {
        for (path, story) in all_stories().unwrap() {
            let findings = examine(&story.plan(), Of::Gatepost);
            let again = format!("cargo run --release -p gatepost-sim -- replay {} --trace", path.display());
            assert_eq!(findings.complaints, Vec::<String>::new(), "{again}");
        }
    }

    /// The relay was over, the client's `close_notify` read and its FIN still under way when Gatepost dropped the socket. The RST that
    /// answered the FIN overtook the backend's last words.
    #[test]
    fn a_client_that_half_closes_under_tls_hears_the_last_word() {
        for seed in 0..12 {
            let mut plan = Plan::of(seed);
            plan.faults.clear();
            plan.cast.rogues.clear();
            plan.cast.visitors.retain(|visitor| visitor.door != Door::Clear);
            for visitor in &mut plan.cast.visitors {
                (visitor.half_closes, visitor.leaves_after) = (true, None);
            }
            let story = world::play(&plan).unwrap();
            assert_eq!(verdict::judge(&story), Vec::<String>::new(), "seed {seed:#x}");
        }
    }
}
