//! The protocol of Gatepost as a pure function: events in, actions out.
//!
//! ```text
//!                    +--------------------------------------------------------------+
//!   Event ---------> | Session                                                      | ---> Actions
//!   (Chosen,         |   Arrive -> Identify -> Greet -> Converse <-> Sasl           |      (Open, OpenNext,
//!    Opened,         |                                   |   ^  ^      |             |       Judge, Send,
//!    Received,       |                                   v   |  |      v             |       Secure, Resolve,
//!    Secured,        |                              Upgrade  |  |   Authorize        |       Close, Relay,
//!    Ended,          |                        Refused -------'  |    |  |  |         |       Report)
//!    Resolved,       |                           ^     Penalty -'<---'  |  |         |
//!    Deadline, Drain)|                           '----------------------'  v         |
//!                    |                                        Login ---> (relay)    |
//!                    +--------------------------------------------------------------+
//! ```
//!
//! A command that carries credentials leads from Converse to Authorize, as the end of a SASL exchange does.
//! There is no clock, socket, die or log in here: moments, octets and a seed come in with the calls, and what
//! operators should know goes out as a [`Report`]. Once the relay begins the session is over.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod auth;
mod backend;
mod dialect;
mod event;
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

pub use action::{Action, Actions, Group, Guest, Handshake, Judgement, Leftovers, Question, Target};
pub use event::{
    Answer, Certificate, End, Event, NoServer, ResolveError, SystemError, TlsFacts, VerifyError,
};
pub use policy::{
    Access, AuthServer, Backend, BackendTls, Mechanism, Mechanisms, Peers, Policy, Protocol, ProxyHeader,
    StartTls, Verdict, VerifyClient,
};
pub use report::Report;
pub use secret::{Payload, Secret};
pub use session::{Client, Seed, Session};
pub use time::{Deadline, Instant, WaitingFor};
pub use wire::{Address, Peer, Place, Server, Wire};
