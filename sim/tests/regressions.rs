//! What once failed, with a name.

#[cfg(test)]
mod tests {
    use gatepost_sim::cast::{Cast, Door};
    use gatepost_sim::{verdict, world};

    /// First seen with seed 0x1e: the relay was over, the client's `close_notify` read and its FIN still under way when
    /// Gatepost dropped the socket. The RST that answered the FIN overtook the backend's last words.
    #[test]
    fn a_client_that_half_closes_under_tls_hears_the_last_word() {
        for seed in [0x28, 0x31, 0x96, 0xb4] {
            let mut cast = Cast::of(seed);
            cast.visitors.retain(|visitor| visitor.door != Door::Clear);
            cast.visitors.iter_mut().for_each(|visitor| visitor.half_closes = true);
            let story = world::play(seed, cast).unwrap();
            assert_eq!(verdict::judge(&story), Vec::<String>::new(), "seed {seed:#x}");
        }
    }
}
