//! PLAIN (RFC 4616): the whole of it in one message.

use super::{Fault, Outcome};
use crate::auth::credentials::{Credentials, Method};
use crate::secret::Secret;

/// `[authzid] NUL authcid NUL passwd`, exactly two NULs. An authzid other than the authcid asks to act as somebody else, which
/// nobody here can allow.
pub(super) fn respond(message: &Secret) -> Outcome {
    let mut fields = message.expose().split(|&octet| octet == 0);
    let (Some(act_as), Some(login), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Outcome::Failed(Fault::Login);
    };
    if !act_as.is_empty() && act_as != login {
        return Outcome::Failed(Fault::ActsAsAnother);
    }
    Outcome::from(Credentials::new(Method::Plain, login, password))
}
