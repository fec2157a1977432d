//! XOAUTH2 and OAUTHBEARER (RFC 7628): a token in place of a password, in one message of parts that 0x01 ends. Keywords are
//! taken in any case, and given to backends as the documents have them.

use alloc::vec::Vec;

use super::{Fault, Outcome, base64};
use crate::auth::credentials::{Credentials, Method};
use crate::backend::begins;
use crate::grammar::cut;
use crate::policy::Mechanism;
use crate::report::AuthFault;
use crate::secret::Secret;

/// What ends each part.
const END: u8 = 1;

/// base64 of `{"status":"invalid_token"}`: what a client is told whose token was refused, where the auth server has nothing
/// better (RFC 7628 section 3.2.2).
pub(crate) const INVALID_TOKEN: &str = "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=";

/// The message, in base64, that tells a backend that `login` has `token`, by `mechanism`; OAUTHBEARER's where that is none of these.
///
/// # Errors
///
/// A name or a token that would end before its end: only an auth server can have given it.
pub(crate) fn message(mechanism: Mechanism, login: &[u8], token: &[u8]) -> Result<Secret, AuthFault> {
    if login.contains(&END) {
        return Err(AuthFault::InvalidUser);
    }
    if token.contains(&END) {
        return Err(AuthFault::InvalidPassword);
    }
    let mut message = Secret::with_capacity(3 * login.len() + token.len() + 32);
    match mechanism {
        Mechanism::XOauth2 => {
            message.extend(b"user=");
            message.extend(login);
        }
        _ => {
            message.extend(b"n,a=");
            login.split_inclusive(|octet| matches!(octet, b',' | b'=')).for_each(|piece| match piece {
                [text @ .., b','] => [text, b"=2C"].into_iter().for_each(|part| message.extend(part)),
                [text @ .., b'='] => [text, b"=3D"].into_iter().for_each(|part| message.extend(part)),
                text => message.extend(text),
            });
            message.extend(b",");
        }
    }
    message.extend(&[END]);
    message.extend(b"auth=Bearer ");
    message.extend(token);
    message.extend(&[END, END]);
    Ok(base64::encode(message.expose()))
}

/// What a client answers, in base64, to the challenge that tells it why its token was refused (RFC 7628 section 3.2.3).
pub(crate) const fn excuse(mechanism: Mechanism) -> &'static [u8] {
    match mechanism {
        Mechanism::OauthBearer => b"AQ==",
        _ => b"",
    }
}

/// `user=ID 01 auth=Bearer TOKEN 01 01`.
pub(super) fn respond_xoauth2(message: &Secret) -> Outcome {
    let (user, rest) = cut(message.expose(), END);
    let (Some(login), Some(rest)) = (behind(user, b"user="), rest) else {
        return Outcome::Failed(Fault::Login);
    };
    match behind(rest, b"auth=Bearer ").and_then(|rest| rest.strip_suffix(&[END, END])) {
        Some(token) if !token.contains(&END) => vouched(Method::XOauth2, login, token),
        _ => Outcome::Failed(Fault::Token),
    }
}

/// `n,a=ID, 01 key=value 01 … 01`, one of the keys `auth` (RFC 7628 section 3.1, RFC 5801 section 4). Without channel binding, which ends
/// at us; for `host` and `port` see [`destination`].
pub(super) fn respond_oauthbearer(message: &Secret) -> Outcome {
    let (header, rest) = cut(message.expose(), END);
    let mut fields = header.split(|&octet| octet == b',');
    let (Some(b"n" | b"y"), Some(identity), Some(b""), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Outcome::Failed(Fault::Login);
    };
    let login = match identity {
        b"" => Some(Vec::new()),
        named => behind(named, b"a=").filter(|name| !name.is_empty()).and_then(saslname),
    };
    let Some(login) = login else { return Outcome::Failed(Fault::Login) };
    let Some(pairs) = rest.and_then(|rest| rest.strip_suffix(&[END])) else {
        return Outcome::Failed(Fault::Token);
    };
    match pairs.split(|&octet| octet == END).find_map(|pair| behind(pair, b"auth=Bearer ")) {
        Some(token) => vouched(Method::OauthBearer, &login, token),
        None => Outcome::Failed(Fault::Token),
    }
}

/// The `host` and the `port` that an OAUTHBEARER message says it is for, as far as it does.
pub(crate) fn destination(message: &Secret) -> (Option<&[u8]>, Option<&[u8]>) {
    let pairs = || message.expose().split(|&octet| octet == END).skip(1);
    let value = |key| pairs().find_map(|pair| behind(pair, key));
    (value(b"host="), value(b"port="))
}

/// Whether `text` can be a host: 1 to 255 letters, digits, dots, colons and hyphens.
pub(crate) fn is_host(text: &[u8]) -> bool {
    let is_of_one = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b':' | b'-');
    (1..=255).contains(&text.len()) && text.iter().all(is_of_one)
}

/// Whether `text` can be a port: 1 to 5 digits.
pub(crate) fn is_port(text: &[u8]) -> bool {
    (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

fn vouched(method: Method, login: &[u8], token: &[u8]) -> Outcome {
    match token.is_empty() {
        true => Outcome::Failed(Fault::Token),
        false => Outcome::from(Credentials::vouched(method, login, token)),
    }
}

fn behind<'a>(text: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    text.get(keyword.len()..).filter(|_| begins(text, keyword))
}

/// RFC 5801 section 4: `=2C` stands for a comma and `=3D` for an equals sign, and there is no other use of `=`.
fn saslname(text: &[u8]) -> Option<Vec<u8>> {
    let mut parts = text.split(|&octet| octet == b'=');
    let mut name = parts.next()?.to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        name.push(match code.to_ascii_uppercase()[..] {
            [b'2', b'C'] => b',',
            [b'3', b'D'] => b'=',
            _ => return None,
        });
        name.extend_from_slice(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(outcome: Outcome) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        match outcome {
            Outcome::Credentials(credentials) => {
                Ok((credentials.login.to_vec(), credentials.password.expose().to_vec()))
            }
            Outcome::Failed(fault) => Err(fault),
            Outcome::Challenge(..) => panic!("a challenge"),
        }
    }

    fn xoauth2(message: &str) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        heard(respond_xoauth2(&message.as_bytes().into()))
    }

    fn bearer(message: &str) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        heard(respond_oauthbearer(&message.as_bytes().into()))
    }

    #[test]
    fn xoauth2_is_a_user_and_a_token() {
        let known = Ok((b"fred@example.com".to_vec(), b"hunter2".to_vec()));
        assert_eq!(xoauth2("user=fred@example.com\x01auth=Bearer hunter2\x01\x01"), known);
        assert_eq!(xoauth2("USER=fred@example.com\x01Auth=bearer hunter2\x01\x01"), known);
        assert_eq!(xoauth2("user=\x01auth=Bearer t\x01\x01"), Ok((b"".to_vec(), b"t".to_vec())));
        assert_eq!(xoauth2("fred\x01auth=Bearer t\x01\x01"), Err(Fault::Login));
        for wrong in [
            "user=f\x01auth=Bearer t\x01",
            "user=f\x01auth=Basic t\x01\x01",
            "user=f\x01auth=Bearer \x01\x01",
            "user=f\x01auth=Bearer t\x01host=x\x01\x01",
        ] {
            assert_eq!(xoauth2(wrong), Err(Fault::Token), "{wrong:?}");
        }
    }

    #[test]
    fn oauthbearer_is_a_header_and_pairs() {
        let known = Ok((b"fred@example.com".to_vec(), b"hunter2".to_vec()));
        let with = |rest: &str| bearer(&alloc::format!("n,a=fred@example.com,\x01{rest}"));
        assert_eq!(with("auth=Bearer hunter2\x01\x01"), known);
        assert_eq!(with("host=mx.test\x01port=993\x01auth=bearer hunter2\x01\x01"), known);
        assert_eq!(with("auth=Bearer hunter2\x01"), known);
        assert_eq!(bearer("n,,\x01auth=Bearer t\x01\x01"), Ok((b"".to_vec(), b"t".to_vec())));
        assert_eq!(bearer("n,a=a=2Cb=3dc,\x01auth=Bearer t\x01\x01"), Ok((b"a,b=c".to_vec(), b"t".to_vec())));
        for wrong in [
            "n,a=,\x01auth=Bearer t\x01\x01",
            "n,a=a=2Xb,\x01auth=Bearer t\x01\x01",
            "p=x,,\x01auth=Bearer t\x01\x01",
            "\x01",
            "n,b,\x01",
        ] {
            assert_eq!(bearer(wrong), Err(Fault::Login), "{wrong:?}");
        }
        for wrong in ["host=x\x01\x01", "auth=Bearer \x01\x01", "auth=Basic t\x01\x01", "auth=Bearer t"] {
            assert_eq!(with(wrong), Err(Fault::Token), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_may_say_whom_it_is_for() {
        let host = b"mx.test".as_slice();
        for (text, expected) in [
            (
                "n,,\x01host=mx.test\x01port=993\x01auth=Bearer t\x01\x01",
                (Some(host), Some(b"993".as_slice())),
            ),
            ("n,,\x01auth=Bearer t\x01HOST=mx.test\x01\x01", (Some(host), None)),
            ("host=x,,\x01auth=Bearer host=x\x01\x01", (None, None)),
        ] {
            let message = Secret::from(text.as_bytes());
            assert_eq!(destination(&message), expected, "{text:?}");
        }
    }

    #[test]
    fn a_host_and_a_port_have_no_room_for_anything_else() {
        let longest = "a".repeat(255);
        for host in ["mx.test", "2001:db8::1", "MX-1", &longest] {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
        let longer = "a".repeat(256);
        for text in ["", "mx.test\nauth=Bearer t", "Bearer t", "m\u{fc}ller", "a=b", &longer] {
            assert!(!is_host(text.as_bytes()), "{text:?}");
        }
        assert!(is_port(b"9") && is_port(b"65535"));
        for text in ["", "993x", "100000", "+99", "99\r\n3"] {
            assert!(!is_port(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_a_backend_is_told_is_what_a_client_would_tell() {
        for login in ["fred@example.com", "a,b=c", ",", "=", "=2C"] {
            let told = |mechanism| {
                let message = message(mechanism, login.as_bytes(), b"hunter2").unwrap();
                base64::decode(message.expose()).unwrap()
            };
            let known = Ok((login.as_bytes().to_vec(), b"hunter2".to_vec()));
            assert_eq!(heard(respond_xoauth2(&told(Mechanism::XOauth2))), known);
            assert_eq!(heard(respond_oauthbearer(&told(Mechanism::OauthBearer))), known);
        }
    }

    #[test]
    fn nothing_that_an_auth_server_says_can_end_a_part_of_the_message() {
        for mechanism in [Mechanism::XOauth2, Mechanism::OauthBearer] {
            let user = message(mechanism, b"fred\x01auth=Bearer stolen", b"hunter2");
            assert_eq!(user, Err(AuthFault::InvalidUser));
            assert_eq!(message(mechanism, b"fred", b"a\x01"), Err(AuthFault::InvalidPassword));
        }
    }

    #[test]
    fn the_default_challenge_is_what_it_says() {
        let text = base64::decode(INVALID_TOKEN.as_bytes()).unwrap();
        assert_eq!(text.expose(), br#"{"status":"invalid_token"}"#);
    }
}
