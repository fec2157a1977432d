//! What was said on each leg, line by line, fit to be shown.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One line, and who said it to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The leg it was said on: `client → gatepost`. The one who connected comes first.
    pub leg: Arc<str>,
    /// Whether the one who connected said it.
    pub asking: bool,
    /// The line without its end; passwords are `[secret]`, octets that are not text are escaped.
    pub line: String,
}

/// `client → gatepost      C: a1 NOOP`.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<24} {}: {}", self.leg, if self.asking { 'C' } else { 'S' }, self.line)
    }
}

/// Where lines go as they are said.
type Sink = dyn Fn(&Said) + Send + Sync;

/// Overhears any number of legs. Knows the passwords of the world, in order never to show one.
#[derive(Clone)]
pub struct Dialogue {
    secrets: Arc<[String]>,
    sink: Arc<Sink>,
}

impl Dialogue {
    /// Hands every line to `sink`, in the order in which they are said, with `logins`' passwords taken out.
    pub fn new(logins: &[(&str, &str)], sink: impl Fn(&Said) + Send + Sync + 'static) -> Self {
        let mut secrets: Vec<String> =
            logins.iter().flat_map(|&(login, password)| spellings(login, password)).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets: secrets.into(), sink: Arc::new(sink) }
    }

    /// Keeps every line in the list that is handed back too.
    #[must_use]
    pub fn kept(logins: &[(&str, &str)]) -> (Self, Kept) {
        let kept = Kept::default();
        let list = kept.clone();
        (Self::new(logins, move |said| list.lock().push(said.clone())), kept)
    }

    /// An ear at one leg: `from` has connected to `to`.
    #[must_use]
    pub fn ear(&self, from: &str, to: &str) -> Ear {
        Ear(Some((self.clone(), format!("{from} → {to}").into())))
    }

    fn redacted(&self, line: &[u8]) -> String {
        let text = line.utf8_chunks().fold(String::new(), |mut text, chunk| {
            text.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|octet| text.push_str(&format!("\\x{octet:02X}")));
            text
        });
        self.secrets.iter().fold(text, |text, secret| text.replace(secret, "[secret]"))
    }
}

impl fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialogue")
    }
}

/// What has been overheard so far.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Vec<Said>>>);

impl Kept {
    /// All of it, in order.
    #[must_use]
    pub fn lines(&self) -> Vec<Said> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Overhears one leg; or nothing, which is the default.
#[derive(Clone, Debug, Default)]
pub struct Ear(Option<(Dialogue, Arc<str>)>);

impl Ear {
    /// A line of the one who connected (`asking`) or of the one who accepted.
    pub fn hear(&self, asking: bool, line: &[u8]) {
        let Some((dialogue, leg)) = &self.0 else { return };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (dialogue.sink)(&Said { leg: leg.clone(), asking, line: dialogue.redacted(line) });
    }
}

/// The forms in which a password crosses a wire: plain, percent-encoded by auth_http, and in base64 by itself and in a
/// SASL PLAIN response, with and without an authorization identity.
fn spellings(login: &str, password: &str) -> [String; 5] {
    [
        password.to_owned(),
        crate::auth_server::percent_encoded(password.as_bytes()),
        STANDARD.encode(password),
        STANDARD.encode(format!("\0{login}\0{password}")),
        STANDARD.encode(format!("{login}\0{login}\0{password}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_password_is_shown() {
        let (dialogue, kept) = Dialogue::kept(&[("john@example.com", "hunter2")]);
        let ear = dialogue.ear("client", "gatepost");
        ear.hear(true, b"a LOGIN john@example.com hunter2\r\n");
        ear.hear(true, b"AUTH PLAIN AGpvaG5AZXhhbXBsZS5jb20AaHVudGVyMg==\r\n");
        ear.hear(true, b"aHVudGVyMg==\r\n");
        ear.hear(false, b"+OK \xFF\n");
        let lines: Vec<String> = kept.lines().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "client → gatepost        C: a LOGIN john@example.com [secret]",
                "client → gatepost        C: AUTH PLAIN [secret]",
                "client → gatepost        C: [secret]",
                "client → gatepost        S: +OK \\xFF",
            ]
        );
    }
}
