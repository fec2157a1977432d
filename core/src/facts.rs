//! What a session knows of its client and of its own course: for a line that tells a whole session.

use alloc::string::String;
use alloc::sync::Arc;

use crate::event::TlsFacts;
use crate::policy::Policy;
use crate::session::Client;
use crate::wire::Address;

/// What is known of a session; most of it once the client has logged in, all of it at the end.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What its `server {}` asks for.
    pub policy: Arc<Policy>,
    /// Who came in, and through which door.
    pub client: Client,
    /// The client's address: the peer's, or another that a trusted PROXY header told.
    pub address: Address,
    /// What a PROXY header told, trusted or not.
    pub proxied: Option<Proxied>,
    /// The client's host name, or nginx's word for why there is none; told of SMTP only.
    pub host: String,
    /// The client's TLS.
    pub tls: Option<TlsFacts>,
    /// Whether STARTTLS was accepted.
    pub starttls: bool,
    /// Whose login was the last to be tried: as the auth server named it if it did, or as the client did.
    pub login: Option<Arc<[u8]>>,
    /// How it was tried, as `Auth-Method` says it.
    pub method: Option<&'static str>,
    /// How many logins the auth server was asked about.
    pub attempts: u32,
    /// What came of `limit_conn`, if that was looked at.
    pub limit: Option<LimitStatus>,
    /// The backend that was chosen last.
    pub upstream: Option<Address>,
}

/// What came of `limit_conn`, in nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitStatus {
    /// There was a place.
    Passed,
    /// There was none.
    Rejected,
    /// There was none, and that was only told of in the log.
    RejectedDryRun,
}

impl LimitStatus {
    /// `PASSED`, `REJECTED`, `REJECTED_DRY_RUN`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Rejected => "REJECTED",
            Self::RejectedDryRun => "REJECTED_DRY_RUN",
        }
    }
}

/// For whom a connection was made, and where to, as a PROXY header says. Addresses are texts because the auth server is told them as
/// they were sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxied {
    /// The client's address.
    pub source: String,
    /// The client's port.
    pub source_port: u16,
    /// The address that the client connected to.
    pub destination: String,
    /// The port that the client connected to.
    pub destination_port: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_a_limit_is_said_in_nginx_words() {
        let words =
            [LimitStatus::Passed, LimitStatus::Rejected, LimitStatus::RejectedDryRun].map(LimitStatus::name);
        assert_eq!(words, ["PASSED", "REJECTED", "REJECTED_DRY_RUN"]);
    }
}
