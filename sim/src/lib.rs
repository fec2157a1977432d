//! A made-up world in which Gatepost's own driver runs.
//!
//! ```text
//!   client::{imap,pop3,smtp} --> gatepost::driver --> backend::{imap,pop3,smtp} --.
//!                                       |                                         v
//!                                       '-----------> auth_server           post_office
//! ```
//!
//! The cast speaks over any `AsyncRead + AsyncWrite`. [`world`] puts it on turmoil's network, where one seed decides
//! every latency, every cut and every key, and [`verdict`] judges what became of it; [`playground`] puts it on loopback
//! sockets, with the production server between, for people to try.

pub mod auth_server;
pub mod backend;
pub mod cast;
pub mod chance;
pub mod chop;
pub mod client;
pub mod crowd;
pub mod crypto;
pub mod dialogue;
pub mod digest;
pub mod house;
pub mod net;
pub mod outage;
pub mod playground;
pub mod post_office;
pub mod seeds;
pub mod talk;
pub mod trace;
pub mod verdict;
pub mod world;
