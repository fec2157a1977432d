//! The protocol of Gatepost as a pure function: events in, actions out.
//!
//! ```text
//!                    +--------------------------------------------------------------+
//!   Event ---------> | Session                                                      | ---> Actions
//!   (Chosen,         |   Arrive -> Identify -> Greet -> Converse <-> Sasl           |      (Open, OpenOrReuse,
//!    Opened, Reused, |                                   |   ^  ^      |             |       OpenNext, Reopen,
//!    Received,       |                                   v   |  |      v             |       Judge, Send, Secure,
//!    Secured,        |                              Upgrade  |  |   Authorize        |       Resolve, Close, Keep,
//!    Ended,          |                        Refused -------'  |    |  |  |         |       Relay, Report)
//!    Resolved,       |                           ^     Penalty -'<---'  |  |         |
//!    Deadline, Drain)|                           '----------------------'  v         |
//!                    |                                        Login ---> (relay)    |
//!                    +--------------------------------------------------------------+
//! ```
//!
//! A command that carries credentials leads from Converse to Authorize, as the end of a SASL exchange does.
//! There is no clock, socket, die or log in here: moments, octets and a seed come in with the calls, and what
//! operators should know goes out as a [`Report`]. Once the relay begins the session is over.
//!
//! Each protocol is a cargo feature, `imap`, `pop3` and `smtp`, and all are on by default. A protocol is left out at the modules
//! of its dialect, its grammar and its backend, and where a session begins; nothing else knows.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(all(feature = "imap", feature = "pop3", feature = "smtp")),
    allow(dead_code, reason = "what only a protocol needs that is left out stays with what it belongs to")
)]

extern crate alloc;

#[cfg(not(any(feature = "imap", feature = "pop3", feature = "smtp")))]
compile_error!("a build needs at least one of the features `imap`, `pop3` and `smtp`");

mod action;
mod auth;
mod backend;
mod dialect;
mod event;
mod facts;
mod framing;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod grammar;
pub mod limits;
mod phase;
mod policy;
mod proxy;
pub mod report;
mod sasl;
mod secret;
mod session;
mod time;
mod wire;

pub use action::{
    Action, Actions, Claim, Family, Group, Guest, Handshake, Judgement, Leftovers, Question, Target,
};
pub use auth::rest::{Astray, Rest};
pub use event::{
    Answer, Certificate, End, Event, NoPlace, NoServer, ResolveError, SystemError, TlsFacts, VerifyError,
};
pub use facts::{Facts, LimitStatus, Proxied};
pub use policy::{
    Access, AuthServer, AuthUrl, Backend, BackendTls, ConnLimit, ConnLimits, LimitKey, Lingering, Mechanism,
    Mechanisms, Peers, Policy, Protocol, ProxyHeader, Rate, Scheme, StartTls, Verdict, VerifyClient,
};
pub use report::Report;
pub use secret::{Payload, Secret};
pub use session::{Client, Seed, Session};
pub use time::{Deadline, Instant, WaitingFor};
pub use wire::{Address, Peer, Place, Server, Wire};
