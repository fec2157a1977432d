//! The auth server of recordings: it knows one user, and says so.

use super::notes::PASSWORDS;
use crate::octets::{Octets, Shown};
use crate::peer::Request;
use crate::transcript::AuthSays;

/// The user there is, and the name by which the mail server knows him.
const USER: &str = "fred";

/// The same user with his domain, as which he may log in too.
const USER_WITH_DOMAIN: &str = "fred@example.org";

/// What the others are told.
const REFUSAL: &str = "Invalid login or password";

/// The answer to `request`. Whoever is refused may try again after `wait` seconds, if that is not 0.
///
/// # Errors
///
/// If the client has said a password that is none of [`PASSWORDS`]: that is nothing to be written down.
pub(super) fn judge(request: &[u8], wait: u32) -> Result<AuthSays, String> {
    let [right, wrong] = PASSWORDS;
    let asked = Request::of(request);
    let user = asked.header("Auth-User").unwrap_or_default();
    let header = |name: &str, value: &str| (name.to_owned(), Octets::from(value.as_bytes().to_vec()));
    let mut headers = Vec::new();
    if asked.shows(right) && [USER, USER_WITH_DOMAIN].contains(&user) {
        if user != USER {
            headers.push(header("Auth-User", USER));
        }
        if asked.header("Auth-Method") != Some("plain") {
            headers.push(header("Auth-Pass", right));
        }
        return Ok(AuthSays { status: 200, headers, ok: true });
    }
    if !asked.shows(right) && !asked.shows(wrong) {
        let told = "the client shows a password that is not for recordings; those that are for them:";
        return Err(format!("{told} {right}, and {wrong} to be refused: {}", Shown(request)));
    }
    headers.push(header("Auth-Status", REFUSAL));
    if wait > 0 {
        headers.push(header("Auth-Wait", &wait.to_string()));
    }
    Ok(AuthSays { status: 200, headers, ok: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(user: &str, password: &str) -> Result<AuthSays, String> {
        let request = format!(
            "GET / HTTP/1.0\r\nAuth-Method: plain\r\nAuth-User: {user}\r\nAuth-Pass: {password}\r\n\r\n"
        );
        judge(request.as_bytes(), 1)
    }

    #[test]
    fn the_user_is_let_in_by_his_password_and_nobody_else() {
        assert!(judged("fred", "hunter2").unwrap().ok);
        assert!(judged("fred@example.org", "hunter2").unwrap().ok);
        assert!(!judged("barney", "hunter2").unwrap().ok);
        assert!(!judged("fred", "hunter3").unwrap().ok);
    }

    #[test]
    fn a_password_of_somebody_elses_is_not_recorded() {
        assert!(judged("fred", "secret").unwrap_err().contains("not for recordings"));
    }
}
