//! The two digests by which a client shows that it knows a password without saying it, in lower-case hexadecimal.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

/// CRAM-MD5's (RFC 2195 section 2): HMAC-MD5 of the challenge, the password being the key.
#[must_use]
pub fn cram_md5(password: &[u8], challenge: &[u8]) -> String {
    // HMAC takes a key of any length; were it otherwise, no digest would fit.
    let Ok(mac) = Hmac::<Md5>::new_from_slice(password) else { return String::new() };
    hexadecimal(&mac.chain_update(challenge).finalize().into_bytes())
}

/// MD5 of these octets; APOP's are the greeting's timestamp, angle brackets included, and the password (RFC 1939
/// section 7).
#[must_use]
pub fn md5(octets: &[u8]) -> String {
    hexadecimal(&Md5::digest(octets))
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standards_come_out() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        assert_eq!(cram_md5(b"tanstaaftanstaaf", challenge), "b913a602c7eda7a495b4e6e7334d3890");
        assert_eq!(md5(b"<1896.697170952@dbc.mtview.ca.us>tanstaaf"), "c4c9334bac560ecc979e58001b3e22fb");
    }
}
