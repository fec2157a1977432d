//! EXTERNAL (RFC 4422 appendix A): TLS has shown who the client is; the message only says as whom it wants to act.

use super::Outcome;
use crate::auth::credentials::{Credentials, Method};
use crate::secret::Secret;

/// An authorization identity, or nothing: whoever the certificate names.
pub(super) fn respond(message: &Secret) -> Outcome {
    Outcome::from(Credentials::vouched(Method::External, message.expose(), b""))
}
