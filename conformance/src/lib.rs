//! Dialogues as data, three subjects that have to follow them (Gatepost's core, its binary, and nginx), and the real
//! programs that take part.
//!
//! ```text
//!   transcripts/*.ron --> transcript (types, checks) --> player --> Stage --+--> subject::core    (no I/O, virtual time)
//!   rows.ron, waived.ron, divergences.ron --> divergence                    +--> subject::sockets --+--> binary
//!                                               '--> report                                         '--> nginx
//!
//!   a real client <--> record <--> Stage (its proxy: core or binary)
//!   a real mailbox <-----'  '----> corpus/sessions/*.ron, which are transcripts too
//! ```
//!
//! A transcript says, step by step, what client, auth server and backend do and what each of them must observe next.
//! Whatever the subject does beyond that fails the run. Where a subject differs on purpose, the transcript
//! says how, and `divergences.ron` says why.

pub mod digest;
pub mod divergence;
pub mod octets;
pub mod peer;
pub mod player;
pub mod record;
pub mod report;
pub mod subject;
pub mod suite;
pub mod transcript;
