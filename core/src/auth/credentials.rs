//! Who a client says it is. There is no way to have half of it, nor any octet in it that could end a line somewhere else.

use alloc::sync::Arc;

use crate::policy::Mechanism;
use crate::sasl::salt::Salt;
use crate::secret::Secret;

/// A login attempt, complete and fit to be sent onward.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Credentials {
    pub(crate) method: Method,
    pub(crate) login: Arc<[u8]>,
    /// A password or a digest.
    pub(crate) password: Secret,
}

/// How the client proved it: `Auth-Method`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
pub(crate) enum Method {
    /// With the password itself, whatever the mechanism.
    Plain,
    /// With a digest of this greeting's timestamp.
    Apop(Salt),
    /// With a digest of this challenge.
    CramMd5(Salt),
    /// With its TLS certificate.
    External,
    /// With a token, in XOAUTH2's form.
    XOauth2,
    /// With a token, in OAUTHBEARER's.
    OauthBearer,
    /// Not at all: `smtp_auth none`.
    None,
}

/// Why something is no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialFault {
    #[error("user name empty, or with NUL, CR or LF")]
    Login,
    #[error("password empty, or with NUL, CR or LF")]
    Password,
}

impl Credentials {
    /// Refuses what is empty and what holds NUL, CR or LF (decision 10): they would end a line of the auth request or of
    /// the backend's protocol, and no mailbox is named so.
    pub(crate) fn new(method: Method, login: &[u8], password: &[u8]) -> Result<Self, CredentialFault> {
        if login.is_empty() || !is_one_line(login) {
            return Err(CredentialFault::Login);
        }
        if password.is_empty() || !is_one_line(password) {
            return Err(CredentialFault::Password);
        }
        Ok(Self { method, login: login.into(), password: password.into() })
    }

    /// For methods whose proof is something else than a password of the name given: the name may be empty, for the auth server knows
    /// better, and so may the password. NUL, CR and LF are refused all the same.
    pub(crate) fn vouched(method: Method, login: &[u8], password: &[u8]) -> Result<Self, CredentialFault> {
        if !is_one_line(login) {
            return Err(CredentialFault::Login);
        }
        if !is_one_line(password) {
            return Err(CredentialFault::Password);
        }
        Ok(Self { method, login: login.into(), password: password.into() })
    }

    /// A client that need not say who it is.
    pub(crate) fn none() -> Self {
        Self { method: Method::None, login: Arc::from([]), password: Secret::empty() }
    }
}

impl Method {
    /// The word of `Auth-Method`.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Apop(_) => "apop",
            Self::CramMd5(_) => "cram-md5",
            Self::External => "external",
            Self::XOauth2 => "xoauth2",
            Self::OauthBearer => "oauthbearer",
            Self::None => "none",
        }
    }

    /// The challenge that was answered.
    pub(crate) const fn salt(&self) -> Option<&Salt> {
        match self {
            Self::Apop(salt) | Self::CramMd5(salt) => Some(salt),
            Self::Plain | Self::External | Self::XOauth2 | Self::OauthBearer | Self::None => None,
        }
    }

    /// Whether what the client gave is something that a backend would take for a password.
    pub(crate) const fn gives_password(&self) -> bool {
        matches!(self, Self::Plain | Self::XOauth2 | Self::OauthBearer)
    }

    /// The mechanism, if it is one that carries a token.
    pub(crate) const fn bearer(&self) -> Option<Mechanism> {
        match self {
            Self::XOauth2 => Some(Mechanism::XOauth2),
            Self::OauthBearer => Some(Mechanism::OauthBearer),
            Self::Plain | Self::Apop(_) | Self::CramMd5(_) | Self::External | Self::None => None,
        }
    }

    /// Whether a refusal comes in two steps: an error as one more challenge, and the reply once the client has answered it
    /// (RFC 7628 section 3.2.3).
    pub(crate) const fn is_refused_in_two_steps(&self) -> bool {
        self.bearer().is_some()
    }
}

/// Whether `octets` can stand in a line, and end where they end.
pub(crate) fn is_one_line(octets: &[u8]) -> bool {
    !octets.iter().any(|octet| matches!(octet, b'\0' | b'\r' | b'\n'))
}
