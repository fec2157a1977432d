//! CRAM-MD5 (RFC 2195). The auth server knows the secret and does the arithmetic; we check the form.

use super::{Fault, Outcome};
use crate::auth::credentials::{Credentials, Method};
use crate::sasl::salt::Salt;
use crate::secret::Secret;

/// `user SP digest`: the last space separates, for user names may hold some.
pub(super) fn respond(salt: Salt, message: &Secret) -> Outcome {
    let octets = message.expose();
    let Some(space) = octets.iter().rposition(|&octet| octet == b' ') else {
        return Outcome::Failed(Fault::Digest);
    };
    let (login, digest) =
        (octets.get(..space).unwrap_or_default(), octets.get(space + 1..).unwrap_or_default());
    if !is_md5_hex(digest) {
        return Outcome::Failed(Fault::Digest);
    }
    Outcome::from(Credentials::new(Method::CramMd5(salt), login, digest))
}

/// 32 hexadecimal digits, of either case.
pub(super) fn is_md5_hex(digest: &[u8]) -> bool {
    digest.len() == 32 && digest.iter().all(u8::is_ascii_hexdigit)
}
