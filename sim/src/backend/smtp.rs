//! An SMTP server (RFC 5321) for submission: EHLO, XCLIENT, AUTH PLAIN, MAIL, RCPT, DATA, RSET, NOOP, QUIT.
//!
//! Mail is taken from whoever has logged in, by AUTH or by the word of a proxy (XCLIENT LOGIN).

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_core::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{cut, verb};
use crate::dialogue::Ear;
use crate::post_office::{Letter, PostOffice};
use crate::talk::Talk;

/// The largest message taken, in octets.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most recipients of one message (RFC 5321 section 4.5.3.1.8 asks for at least 100).
const RECIPIENTS_MAX: usize = 100;

/// Serves one connection to its end.
///
/// # Errors
///
/// The stream's own, and a line too long.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    office: &PostOffice,
    ear: Ear,
) -> io::Result<()> {
    let mut talk = Talk::answering(stream, ear);
    talk.say("220 backend ESMTP\r\n").await?;
    converse(talk, office).await
}

/// Serves one that was greeted before TLS was made.
///
/// # Errors
///
/// As there.
pub async fn go_on<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    office: &PostOffice,
    ear: Ear,
) -> io::Result<()> {
    converse(Talk::answering(stream, ear), office).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut talk: Talk<S>,
    office: &PostOffice,
) -> io::Result<()> {
    let mut guest = Guest::default();
    while let Some(line) = talk.line().await? {
        let (verb, rest) = verb(&line);
        match verb.as_slice() {
            b"DATA" if guest.to.is_empty() => talk.say("503 5.5.1 Who is it for?\r\n").await?,
            b"DATA" => {
                talk.say("354 Go ahead\r\n").await?;
                let reply = match message(&mut talk).await? {
                    Some(octets) => {
                        let Guest { login, from, to, .. } = guest.clone();
                        office.post(Letter {
                            login,
                            from: from.unwrap_or_default(),
                            to,
                            octets: octets.into(),
                        });
                        "250 2.0.0 Taken\r\n"
                    }
                    None => "552 5.3.4 Too much\r\n",
                };
                guest.reset();
                talk.say(reply).await?;
            }
            b"QUIT" => {
                talk.say("221 2.0.0 Bye\r\n").await?;
                break;
            }
            _ => {
                let reply = guest.reply(&verb, rest, office);
                talk.say(reply).await?;
            }
        }
    }
    talk.hang_up().await
}

/// Who is there, and which transaction is under way.
#[derive(Clone, Default)]
struct Guest {
    greeted: bool,
    login: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

impl Guest {
    fn reply(&mut self, verb: &[u8], rest: &[u8], office: &PostOffice) -> String {
        match verb {
            b"HELO" if !rest.is_empty() => {
                self.greet();
                "250 backend\r\n".to_owned()
            }
            b"EHLO" if !rest.is_empty() => {
                self.greet();
                "250-backend\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-AUTH PLAIN\r\n250-XCLIENT NAME ADDR LOGIN\r\n\
                 250 SIZE 16777216\r\n"
                    .to_owned()
            }
            b"HELO" | b"EHLO" => "501 5.5.4 Who are you?\r\n".to_owned(),
            b"XCLIENT" => self.introduced(rest, office),
            b"AUTH" => self.auth(rest, office),
            b"MAIL" => self.mail(rest),
            b"RCPT" => self.recipient(rest),
            b"RSET" => {
                self.reset();
                "250 2.0.0 Forgotten\r\n".to_owned()
            }
            b"NOOP" => "250 2.0.0 OK\r\n".to_owned(),
            _ => "502 5.5.1 Unknown command\r\n".to_owned(),
        }
    }

    fn greet(&mut self) {
        self.greeted = true;
        self.reset();
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    /// Postfix's XCLIENT: attributes in xtext; the session begins anew, as whom the proxy says.
    fn introduced(&mut self, rest: &[u8], office: &PostOffice) -> String {
        if !self.greeted || self.from.is_some() {
            return "503 5.5.1 Not now\r\n".to_owned();
        }
        let mut login = None;
        for attribute in rest.split(|&octet| octet == b' ') {
            let mut halves = attribute.splitn(2, |&octet| octet == b'=');
            let name = halves.next().unwrap_or_default().to_ascii_uppercase();
            let value = halves.next().and_then(xtext_decoded);
            match (name.as_slice(), value) {
                (b"LOGIN", Some(value)) => login = Some(value),
                (b"NAME" | b"ADDR", Some(value)) if !value.is_empty() => {}
                _ => return "501 5.5.4 Bad attribute\r\n".to_owned(),
            }
        }
        *self = Self { login, ..Self::default() };
        self.login.iter().for_each(|login| office.vouch(Protocol::Smtp, login));
        "220 backend ESMTP\r\n".to_owned()
    }

    fn auth(&mut self, rest: &[u8], office: &PostOffice) -> String {
        if self.login.is_some() || self.from.is_some() {
            return "503 5.5.1 Not now\r\n".to_owned();
        }
        let (mechanism, response) = verb(rest);
        if mechanism != b"PLAIN" {
            return "504 5.5.4 PLAIN only\r\n".to_owned();
        }
        let Ok(response) = STANDARD.decode(response) else { return "501 5.5.2 Not base64\r\n".to_owned() };
        let mut parts = response.splitn(3, |&octet| octet == 0).skip(1);
        let (login, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        self.login = office.admit(Protocol::Smtp, login, password);
        match self.login {
            Some(_) => "235 2.7.0 Welcome\r\n".to_owned(),
            None => "535 5.7.8 Wrong password\r\n".to_owned(),
        }
    }

    fn mail(&mut self, rest: &[u8]) -> String {
        match (&self.login, &self.from, path(rest, b"FROM:")) {
            _ if !self.greeted => "503 5.5.1 Say EHLO first\r\n".to_owned(),
            (None, ..) => "530 5.7.0 Log in first\r\n".to_owned(),
            (_, Some(_), _) => "503 5.5.1 One message at a time\r\n".to_owned(),
            (_, _, None) => "501 5.5.4 MAIL FROM:<whom>?\r\n".to_owned(),
            (_, _, Some(from)) => {
                self.from = Some(from);
                "250 2.1.0 OK\r\n".to_owned()
            }
        }
    }

    fn recipient(&mut self, rest: &[u8]) -> String {
        match path(rest, b"TO:") {
            _ if self.from.is_none() => "503 5.5.1 Who is it from?\r\n".to_owned(),
            _ if self.to.len() >= RECIPIENTS_MAX => "452 4.5.3 Too many\r\n".to_owned(),
            Some(to) if !to.is_empty() => {
                self.to.push(to);
                "250 2.1.5 OK\r\n".to_owned()
            }
            _ => "501 5.5.4 RCPT TO:<whom>?\r\n".to_owned(),
        }
    }
}

/// What DATA sends, dots undone; `None` if it was larger than [`MESSAGE_BYTES_MAX`]. Only CR LF ends a line here
/// (RFC 5321 section 2.3.8), or a message could be smuggled behind a bare LF.
async fn message<S: AsyncRead + AsyncWrite + Unpin>(talk: &mut Talk<S>) -> io::Result<Option<Vec<u8>>> {
    let (mut octets, mut too_much, mut at_start) = (Vec::new(), false, true);
    loop {
        let line = talk.raw_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let ended = line.ends_with(b"\r\n");
        if at_start && line == b".\r\n"[..] {
            return Ok((!too_much).then_some(octets));
        }
        let text = if at_start { line.strip_prefix(b".").unwrap_or(&line) } else { &line };
        too_much |= octets.len() + text.len() > MESSAGE_BYTES_MAX;
        if !too_much {
            octets.extend_from_slice(text);
        }
        at_start = ended;
    }
}

/// The address of `FROM:<address> PARAMETER …`, its keyword in any case; empty for `<>`.
fn path(rest: &[u8], keyword: &[u8]) -> Option<String> {
    let (head, _parameters) = cut(rest);
    let (word, path) = head.split_at_checked(keyword.len())?;
    let address = path.strip_prefix(b"<")?.strip_suffix(b">")?;
    (word.eq_ignore_ascii_case(keyword)).then(|| String::from_utf8_lossy(address).into_owned())
}

/// RFC 3461 section 4; `None` if it is not xtext, or not UTF-8 within.
fn xtext_decoded(text: &[u8]) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = text.iter().copied();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => {
                let pair = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?
            }
            b'!'..=b'<' | b'>'..=b'~' => octet,
            _ => return None,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn said(office: &PostOffice, script: &str) -> String {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        near.write_all(script.as_bytes()).await.unwrap();
        near.shutdown().await.unwrap();
        serve(far, office, Ear::default()).await.unwrap();
        let mut said = String::new();
        near.read_to_string(&mut said).await.unwrap();
        let codes: Vec<&str> =
            said.split("\r\n").filter(|line| line.get(3..4) == Some(" ")).map(|line| &line[..3]).collect();
        codes.join(" ")
    }

    #[tokio::test]
    async fn a_proxys_word_opens_the_door() {
        let office = PostOffice::default();
        let script = "EHLO p\r\nMAIL FROM:<a@example.com>\r\n\
            XCLIENT ADDR=192.0.2.7 LOGIN=john+2Bx@example.com NAME=[UNAVAILABLE]\r\n\
            MAIL FROM:<a@example.com>\r\nEHLO c\r\nmail from:<a@example.com> SIZE=9\r\nRCPT TO:<b@example.net>\r\n\
            DATA\r\nA: b\r\n\r\n..dot\r\n\n.\r\nend\r\n.\r\nQUIT\r\n";
        assert_eq!(said(&office, script).await, "220 250 530 220 503 250 250 250 354 250 221");
        let letters = office.letters();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].login.as_deref(), Some("john+x@example.com"));
        assert_eq!(letters[0].from, "a@example.com");
        assert_eq!(letters[0].octets, "A: b\r\n\r\n.dot\r\n\n.\r\nend\r\n");
    }

    #[tokio::test]
    async fn auth_plain_asks_for_the_password() {
        let office = PostOffice::default();
        office.open("john", "hunter2", []);
        let right = STANDARD.encode("\0john\0hunter2");
        let wrong = STANDARD.encode("\0john\0hunter1");
        let script = format!(
            "EHLO c\r\nRCPT TO:<b@example.net>\r\nAUTH PLAIN {wrong}\r\nAUTH LOGIN\r\nAUTH PLAIN !\r\n\
             AUTH PLAIN {right}\r\nAUTH PLAIN {right}\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\nDATA\r\nRSET\r\nQUIT\r\n"
        );
        assert_eq!(said(&office, &script).await, "220 250 503 535 504 501 235 503 250 501 503 250 221");
        assert_eq!(office.visits().len(), 1);
    }
}
