//! A made-up world in which Gatepost's own driver runs.
//!
//! ```text
//!   client::{imap,pop3,smtp,rogue} --> gatepost::driver --> backend::{imap,pop3,smtp} --.
//!                                             |                                         v
//!                                             '-----------> auth_server           post_office
//!
//!   seed --plan--> world: who comes, what goes wrong --> Story --verdict--> nothing to complain of, or a shorter story that fails too
//! ```
//!
//! The cast speaks over any `AsyncRead + AsyncWrite`. [`world`] puts it on turmoil's network, where one seed decides
//! every latency, every cut, every fault and every key, and [`verdict`] judges what became of it; [`swarm`] does so for thousands of seeds.
//! [`playground`] puts the cast on loopback sockets, with the production server between, for people to try.

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
pub mod fault;
pub mod frail;
pub mod house;
pub mod jam;
pub mod net;
pub mod outage;
pub mod plan;
pub mod playground;
pub mod post_office;
pub mod seeds;
pub mod slow;
pub mod swarm;
pub mod talk;
pub mod trace;
pub mod traces;
pub mod verdict;
pub mod weigh;
pub mod world;
