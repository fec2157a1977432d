//! APOP (RFC 1939 section 7): POP3's own command, whose challenge is the timestamp in the greeting.

use super::{Fault, Outcome};
use crate::auth::credentials::{Credentials, Method};
use crate::sasl::cram_md5::is_md5_hex;
use crate::sasl::salt::Salt;

/// `APOP login digest`, answering `timestamp`.
pub(crate) fn respond(timestamp: Salt, login: &[u8], digest: &[u8]) -> Outcome {
    if !is_md5_hex(digest) {
        return Outcome::Failed(Fault::Digest);
    }
    Outcome::from(Credentials::new(Method::Apop(timestamp), login, digest))
}
