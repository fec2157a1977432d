//! What the proxy asks the DNS, and what it gets for an answer.

use std::net::IpAddr;

use serde::Deserialize;

use crate::octets::Octets;

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// What the proxy asks.
    pub asks: LookupQuestion,
    /// What it is told.
    pub gets: LookupAnswer,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum LookupQuestion {
    /// The name of this address.
    NameOf(IpAddr),
    /// The addresses of this name.
    AddressesOf(String),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum LookupAnswer {
    /// A name, which may hold any octets.
    Name(Octets),
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// A failure.
    Fails(LookupFailure),
    /// Nothing; time will have to pass.
    Silence,
}

/// How the DNS fails, by RFC 1035 section 4.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LookupFailure {
    FormErr,
    ServFail,
    NxDomain,
    NotImp,
    Refused,
}
