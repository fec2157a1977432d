//! SASL (RFC 4422) without the protocols around it: which mechanisms there are, and how each goes. What a challenge looks
//! like on the wire is the dialect's business.

pub(crate) mod apop;
pub(crate) mod base64;
mod cram_md5;
mod external;
mod login;
pub(crate) mod oauth;
mod plain;
pub(crate) mod salt;

use bytes::Bytes;

use crate::auth::credentials::{CredentialFault, Credentials};
use crate::dialect::Refusal;
use crate::policy::Mechanism;
use crate::report::Notice;
use crate::sasl::salt::{Salt, Salts};
use crate::secret::Secret;
use crate::time::Instant;

/// The mechanism a client names: 1 to 20 characters in any case (RFC 4422 section 3.1).
pub(crate) fn named(name: &[u8]) -> Option<Mechanism> {
    MECHANISMS.into_iter().find(|&mechanism| name.eq_ignore_ascii_case(self::name(mechanism).as_bytes()))
}

/// The mechanisms there are, in the order in which lists name them.
pub(crate) const MECHANISMS: [Mechanism; 6] = [
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::CramMd5,
    Mechanism::External,
    Mechanism::XOauth2,
    Mechanism::OauthBearer,
];

/// The name under which a mechanism is listed.
pub(crate) const fn name(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::Login => "LOGIN",
        Mechanism::CramMd5 => "CRAM-MD5",
        Mechanism::External => "EXTERNAL",
        Mechanism::XOauth2 => "XOAUTH2",
        Mechanism::OauthBearer => "OAUTHBEARER",
        Mechanism::Apop => "APOP",
    }
}

/// An exchange under way, waiting for the client's next message.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) enum Exchange {
    Plain,
    Login(login::Login),
    CramMd5(Salt),
    External,
    XOauth2,
    OauthBearer,
}

/// What comes of a client's message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The exchange goes on with this challenge, already base64.
    Challenge(Exchange, Bytes),
    /// The client has said who it is.
    Credentials(Credentials),
    /// It has not.
    Failed(Fault),
}

/// Why a message is not what the mechanism wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No user name, or an impossible one.
    Login,
    /// No password, or an impossible one.
    Password,
    /// A digest that is none.
    Digest,
    /// No token, or an impossible one.
    Token,
    /// A wish to act as somebody else.
    ActsAsAnother,
}

impl Exchange {
    /// Begins an exchange; `None` for what is no SASL mechanism.
    pub(crate) fn begin(
        mechanism: Mechanism,
        now: Instant,
        server_name: &str,
        salts: &mut Salts,
    ) -> Option<Self> {
        match mechanism {
            Mechanism::Plain => Some(Self::Plain),
            Mechanism::Login => Some(Self::Login(login::Login::default())),
            Mechanism::CramMd5 => Some(Self::CramMd5(salts.draw(now, server_name))),
            Mechanism::External => Some(Self::External),
            Mechanism::XOauth2 => Some(Self::XOauth2),
            Mechanism::OauthBearer => Some(Self::OauthBearer),
            Mechanism::Apop => None,
        }
    }

    pub(crate) const fn mechanism(&self) -> Mechanism {
        match self {
            Self::Plain => Mechanism::Plain,
            Self::Login(_) => Mechanism::Login,
            Self::CramMd5(_) => Mechanism::CramMd5,
            Self::External => Mechanism::External,
            Self::XOauth2 => Mechanism::XOauth2,
            Self::OauthBearer => Mechanism::OauthBearer,
        }
    }

    /// Whether the client may speak first, in the command itself (RFC 4422 section 3). LOGIN is server-first on paper, but
    /// clients send the user name that way (SASL-026).
    pub(crate) const fn takes_initial_response(&self) -> bool {
        match self {
            Self::Plain | Self::Login(_) | Self::External | Self::XOauth2 | Self::OauthBearer => true,
            Self::CramMd5(_) => false,
        }
    }

    /// The challenge to a client that has not spoken yet, already base64. EXTERNAL should be given none, but nginx gives it LOGIN's,
    /// and its clients do not mind (K18).
    pub(crate) fn first_challenge(&self) -> Bytes {
        match self {
            Self::Plain | Self::XOauth2 | Self::OauthBearer => Bytes::new(),
            Self::Login(_) | Self::External => Bytes::from_static(login::USER_PROMPT.as_bytes()),
            Self::CramMd5(salt) => Bytes::copy_from_slice(base64::encode(salt.as_bytes()).expose()),
        }
    }

    /// Takes the client's next message, already decoded.
    pub(crate) fn respond(self, message: Secret) -> Outcome {
        match self {
            Self::Plain => plain::respond(&message),
            Self::Login(exchange) => exchange.respond(message),
            Self::CramMd5(salt) => cram_md5::respond(salt, &message),
            Self::External => external::respond(&message),
            Self::XOauth2 => oauth::respond_xoauth2(&message),
            Self::OauthBearer => oauth::respond_oauthbearer(&message),
        }
    }
}

impl From<Result<Credentials, CredentialFault>> for Outcome {
    fn from(result: Result<Credentials, CredentialFault>) -> Self {
        match result {
            Ok(credentials) => Self::Credentials(credentials),
            Err(CredentialFault::Login) => Self::Failed(Fault::Login),
            Err(CredentialFault::Password) => Self::Failed(Fault::Password),
        }
    }
}

impl Fault {
    /// What the client is told.
    pub(crate) const fn refusal(self) -> Refusal {
        match self {
            Self::ActsAsAnother => Refusal::ActsAsAnother,
            Self::Login | Self::Password | Self::Digest | Self::Token => Refusal::BadCredentials,
        }
    }

    /// nginx's log line for it.
    pub(crate) const fn notice(self, mechanism: Mechanism) -> Notice {
        match self {
            Self::Login | Self::ActsAsAnother => Notice::InvalidLogin(mechanism),
            Self::Password => Notice::InvalidPassword(mechanism),
            Self::Digest => Notice::InvalidDigest,
            Self::Token => Notice::InvalidToken(mechanism),
        }
    }
}
