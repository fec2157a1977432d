//! Fuzz targets as plain functions: each takes octets, plays them to a whole [`Session`](gatepost_core::Session) and
//! panics if something that must hold does not.
//!
//! ```text
//! imap, pop3, smtp   the octets are what a client says     --+
//! auth_answer        the octets are what auth_http says    --+--> World: the session, its three wires, and an
//! proxy              the octets are what comes before      --+    auth server and a backend that play along
//! session            the octets are a list of events       --'
//! ```
//!
//! Two are apart from these: the octets of `framing` are cut into lines and literals, those of `config` are an `nginx.conf` and what it
//! includes.
//!
//! What is checked of sessions, whatever the octets: a living session has a deadline and ends when its deadlines pass; actions make
//! sense (no word on a wire that is not open); replies are whole lines, and few for little; requests and log lines stay
//! within their grammar; no secret shows in a trace; and however the octets are cut, the story is the same.

#[cfg(feature = "config")]
mod config;
mod dialogue;
mod events;
mod extras;
mod files;
mod framing;
mod rarities;
mod setting;
mod wires;
mod world;

#[cfg(feature = "config")]
pub use config::config;
pub use dialogue::{auth_answer, imap, pop3, proxy, smtp};
pub use events::session;
pub use files::replay_arguments;
pub use framing::framing;

/// Makes a fuzz target's program of the function of that name: under libFuzzer's flags a fuzzer, else one that replays
/// the files it is given.
#[macro_export]
macro_rules! target {
    ($function:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|octets: &[u8]| $crate::$function(octets));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay_arguments($crate::$function)
        }
    };
}
