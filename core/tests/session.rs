//! Whole sessions, told event by event. One program for all of them, so that it links once.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "session/arrivals.rs"]
mod arrivals;
#[path = "session/auth_kept.rs"]
mod auth_kept;
#[path = "session/auth_urls.rs"]
mod auth_urls;
#[path = "session/dialogues.rs"]
mod dialogues;
#[path = "session/failover.rs"]
mod failover;
#[path = "session/limits.rs"]
mod limits;
#[path = "session/mechanisms.rs"]
mod mechanisms;
#[path = "session/memory.rs"]
mod memory;
#[path = "session/one_step.rs"]
mod one_step;
#[path = "session/properties.rs"]
mod properties;
#[path = "session/secrets.rs"]
mod secrets;
#[path = "session/split.rs"]
mod split;
#[path = "session/stage.rs"]
mod stage;
#[path = "session/transitions.rs"]
mod transitions;
