//! LOGIN (draft-murchison-sasl-login-00): user name and password, each to a prompt of its own. The prompts are the ones that
//! deployed clients compare with, not the draft's.

use bytes::Bytes;

use super::{Exchange, Outcome};
use crate::auth::credentials::{Credentials, Method};
use crate::secret::Secret;

/// base64 of `Username:`.
pub(super) const USER_PROMPT: &str = "VXNlcm5hbWU6";
/// base64 of `Password:`.
const PASSWORD_PROMPT: &str = "UGFzc3dvcmQ6";

/// Where the exchange is.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) enum Login {
    /// The user name comes next.
    #[default]
    User,
    /// The password of this user comes next.
    Password(Secret),
}

impl Login {
    pub(super) fn respond(self, message: Secret) -> Outcome {
        match self {
            Self::User => {
                let prompt = Bytes::from_static(PASSWORD_PROMPT.as_bytes());
                Outcome::Challenge(Exchange::Login(Self::Password(message)), prompt)
            }
            Self::Password(user) => {
                Outcome::from(Credentials::new(Method::Plain, user.expose(), message.expose()))
            }
        }
    }
}
