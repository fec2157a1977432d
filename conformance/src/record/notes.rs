//! What is written down of a session: steps, in which whatever differs from run to run is computed, or stands under a name.

use crate::digest::{cram_md5, md5};
use crate::octets::Octets;
use crate::subject::configuration::SERVER_NAME;
use crate::transcript::{Part, SeesSave, Step, base64_of};

/// The passwords that clients are given: the one of transcripts, and one that is wrong.
pub(super) const PASSWORDS: [&str; 2] = ["hunter2", "hunter3"];

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) steps: Vec<Step>,
    /// What clients were challenged with. The names are `challenge1` and so on.
    challenges: Vec<Vec<u8>>,
    /// To which port clients connect, as OAUTHBEARER has them say (RFC 7628 section 3.1).
    port: u16,
}

impl Notes {
    /// Nothing yet, of clients that connect to the port `port`.
    pub(super) fn new(port: u16) -> Self {
        Self { port, ..Self::default() }
    }

    pub(super) fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// The client sent this.
    pub(super) fn client_says(&mut self, octets: &[u8]) {
        let computed = self.digest_in(&literally(octets)).or_else(|| self.port_in(octets));
        let step = match computed {
            Some(parts) => Step::ClientExpr(parts),
            None => Step::Client(octets.to_vec().into()),
        };
        self.steps.push(step);
    }

    /// The proxy sent this to the client. What it sends in pieces is one to whoever listens, unless a challenge is among them.
    pub(super) fn client_sees(&mut self, octets: &[u8]) {
        if let Some((like, challenge, base64)) = challenge_in(octets) {
            self.challenges.push(challenge);
            let save = vec![name(self.challenges.len())];
            self.steps.push(Step::SeesSave(SeesSave { like: like.into(), save, base64 }));
            return;
        }
        let octets = literally(octets);
        match self.steps.last_mut() {
            Some(Step::Sees(seen)) => *seen = [&**seen, &octets].concat().into(),
            _ => self.steps.push(Step::Sees(octets.into())),
        }
    }

    /// The proxy sent this to the mail server. `client` is the client's address, of which XCLIENT tells.
    pub(super) fn backend_gets(&mut self, octets: &[u8], client: &[u8]) {
        let mut octets = literally(octets);
        if octets.starts_with(b"XCLIENT ") {
            octets = with_variable(&octets, b"ADDR=", client, b"${client.ip}");
        }
        match self.steps.last_mut() {
            Some(Step::BackendGets(seen)) => *seen = [&**seen, &octets].concat().into(),
            _ => self.steps.push(Step::BackendGets(octets.into())),
        }
    }

    /// The proxy asked the auth server this.
    pub(super) fn auth_gets(&mut self, request: &[u8], client: &[u8]) {
        let mut octets = with_variable(&literally(request), b"\r\nClient-IP: ", client, b"${client.ip}");
        for (number, challenge) in (1..).zip(&self.challenges) {
            let variable = format!("${{{}}}", name(number));
            octets = with_variable(&octets, b"\r\nAuth-Salt: ", challenge, variable.as_bytes());
        }
        let step = match self.digest_in(&octets) {
            Some(parts) => Step::AuthGetsExpr(parts),
            None => Step::AuthGetsExactly(octets.into()),
        };
        self.steps.push(step);
    }

    /// The parts that `octets` are made of, if they hold a digest of the last challenge, as it is or in base64.
    fn digest_in(&self, octets: &[u8]) -> Option<Vec<Part>> {
        let challenge = self.challenges.last()?;
        let named = || Part::Var(name(self.challenges.len()));
        let lit = |octets: &[u8]| Part::Lit(literally(octets).into());
        for password in PASSWORDS {
            let key: Octets = password.as_bytes().to_vec().into();
            let cram = cram_md5(password.as_bytes(), challenge);
            let apop = md5(&[challenge, password.as_bytes()].concat());
            let hmac = Part::HmacMd5(key.clone(), vec![named()]);
            let plain = [(apop, Part::Md5Hex(vec![named(), Part::Lit(key)])), (cram.clone(), hmac.clone())];
            for (digest, part) in plain {
                if let Some((before, after)) = around(octets, digest.as_bytes()) {
                    return Some(vec![
                        Part::Lit(before.to_vec().into()),
                        part,
                        Part::Lit(after.to_vec().into()),
                    ]);
                }
            }
            let line = octets.trim_ascii_end();
            let Some(decoded) = base64_of(line) else { continue };
            if let Some((before, [])) = around(&decoded, cram.as_bytes()) {
                let end = octets.get(line.len()..).unwrap_or_default();
                return Some(vec![Part::B64(vec![lit(before), hmac]), lit(end)]);
            }
        }
        None
    }

    /// The parts that `octets` are made of, if the last word is base64 of something with the port in it.
    fn port_in(&self, octets: &[u8]) -> Option<Vec<Part>> {
        let line = octets.trim_ascii_end();
        let start = line.iter().rposition(|&octet| octet == b' ').map_or(0, |at| at + 1);
        let decoded = base64_of(line.get(start..)?)?;
        let said = format!("\x01port={}\x01", self.port);
        let (before, after) = around(&decoded, said.as_bytes())?;
        let parts = [&literally(before), &b"\x01port=${listen.port}\x01"[..], &literally(after)].concat();
        let lit = |octets: &[u8]| Part::Lit(octets.to_vec().into());
        let (front, end) = (octets.get(..start)?, octets.get(line.len()..)?);
        Some(vec![lit(&literally(front)), Part::B64(vec![lit(&parts)]), lit(end)])
    }
}

fn name(number: usize) -> String {
    format!("challenge{number}")
}

/// A challenge of the proxy's, in angle brackets: the glob of the line that holds it alone, what its star stands for, and whether
/// that comes in base64.
fn challenge_in(octets: &[u8]) -> Option<(Vec<u8>, Vec<u8>, bool)> {
    let line = octets.strip_suffix(b"\r\n")?;
    let at = line.iter().rposition(|&octet| octet == b' ')? + 1;
    let (before, word) = line.split_at_checked(at)?;
    let like = [before, b"*\r\n"].concat();
    let end = format!("@{SERVER_NAME}>");
    let is_one = |text: &[u8]| text.starts_with(b"<") && text.ends_with(end.as_bytes());
    if is_one(word) {
        return Some((like, word.to_vec(), false));
    }
    base64_of(word).filter(|decoded| is_one(decoded)).map(|decoded| (like, decoded, true))
}

/// `octets` with `value` replaced where it follows `before` and ends its word.
fn with_variable(octets: &[u8], before: &[u8], value: &[u8], variable: &[u8]) -> Vec<u8> {
    let wanted = [before, value].concat();
    match around(octets, &wanted) {
        Some((front, back)) if back.first().is_none_or(u8::is_ascii_whitespace) => {
            [front, before, variable, back].concat()
        }
        _ => octets.to_vec(),
    }
}

/// What comes before the first `wanted` in `octets`, and what behind.
fn around<'o>(octets: &'o [u8], wanted: &[u8]) -> Option<(&'o [u8], &'o [u8])> {
    let at = octets.windows(wanted.len()).position(|window| window == wanted)?;
    Some((octets.get(..at)?, octets.get(at + wanted.len()..)?))
}

/// `octets` as a text in which variables are expanded has them.
fn literally(octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((before, after)) = around(rest, b"${") {
        text.extend(before);
        text.extend(b"$${");
        rest = after;
    }
    text.extend(rest);
    text
}

/// What each party gets of a session, all in a row, and what the auth server is asked and answers. Two runs of one client
/// may be cut differently, but not differ in this.
#[must_use]
pub fn streams(script: &[Step]) -> [String; 4] {
    let mut streams = <[String; 4]>::default();
    let [client, sees, backend, auth] = &mut streams;
    for step in script {
        let (stream, told) = match step {
            Step::Client(octets) => (&mut *client, text(octets)),
            Step::ClientExpr(parts) => (&mut *client, parts.iter().map(computed).collect()),
            Step::ClientTls(_) | Step::Open(_) => (&mut *client, format!("{step:?}")),
            Step::Sees(octets) => (&mut *sees, text(octets)),
            Step::SeesSave(_) => (&mut *sees, format!("{step:?}")),
            Step::BackendGets(octets) => (&mut *backend, text(octets)),
            Step::AuthGetsExactly(_) | Step::AuthGetsExpr(_) | Step::AuthSays(_) => {
                (&mut *auth, format!("{step:?}"))
            }
            _ => continue,
        };
        stream.push_str(&told);
    }
    streams
}

fn computed(part: &Part) -> String {
    match part {
        Part::Lit(octets) => text(octets),
        other => format!("{other:?}"),
    }
}

fn text(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Variables, expand};

    const CHALLENGE: &[u8] = b"<1896.697170952@mx.test>";

    #[test]
    fn a_digest_is_computed_anew_from_the_challenge_of_each_run() {
        let mut notes = Notes::default();
        notes.client_sees(b"+ PDE4OTYuNjk3MTcwOTUyQG14LnRlc3Q+\r\n");
        let digest = cram_md5(b"hunter2", CHALLENGE);
        let line =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("fred {digest}"));
        notes.client_says(format!("{line}\r\n").as_bytes());
        let request =
            format!("GET / HTTP/1.0\r\nAuth-Pass: {digest}\r\nAuth-Salt: <1896.697170952@mx.test>\r\n");
        notes.auth_gets(request.as_bytes(), b"127.0.0.1");
        let [Step::SeesSave(save), Step::ClientExpr(said), Step::AuthGetsExpr(asked)] = &notes.steps[..]
        else {
            panic!("{:?}", notes.steps)
        };
        assert_eq!(
            (&*save.like, &*save.save, save.base64),
            (&b"+ *\r\n"[..], &["challenge1".to_owned()][..], true)
        );
        let variables = Variables::from([("challenge1".to_owned(), CHALLENGE.to_vec())]);
        assert_eq!(Part::join(said, &variables).unwrap(), format!("{line}\r\n").as_bytes());
        assert_eq!(Part::join(asked, &variables).unwrap(), request.as_bytes());
        let others = Variables::from([("challenge1".to_owned(), b"<2@mx.test>".to_vec())]);
        assert_ne!(Part::join(said, &others).unwrap(), format!("{line}\r\n").as_bytes());
    }

    #[test]
    fn a_challenge_in_the_greeting_leads_to_apop() {
        let mut notes = Notes::default();
        notes.client_sees(b"+OK POP3 ready <1896.697170952@mx.test>\r\n");
        notes.client_says(format!("APOP fred {}\r\n", md5(&[CHALLENGE, b"hunter3"].concat())).as_bytes());
        let [Step::SeesSave(save), Step::ClientExpr(said)] = &notes.steps[..] else {
            panic!("{:?}", notes.steps)
        };
        assert_eq!(&*save.like, b"+OK POP3 ready *\r\n");
        assert!(matches!(&said[1], Part::Md5Hex(_)), "{said:?}");
    }

    /// As curl says it, RFC 7628 section 4.1.
    #[test]
    fn a_client_that_says_its_port_says_that_of_each_run() {
        let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
        let said = |port: u16| {
            let token = format!("n,a=fred,\x01host=mx.test\x01port={port}\x01auth=Bearer hunter2\x01\x01");
            format!("a AUTHENTICATE OAUTHBEARER {}\r\n", encode(&token))
        };
        let mut notes = Notes::new(40605);
        notes.client_says(said(40605).as_bytes());
        notes.client_says(said(40606).as_bytes());
        let [Step::ClientExpr(parts), Step::Client(other)] = &notes.steps[..] else {
            panic!("{:?}", notes.steps)
        };
        let variables = Variables::from([("listen.port".to_owned(), b"143".to_vec())]);
        assert_eq!(Part::join(parts, &variables).unwrap(), said(143).as_bytes());
        assert_eq!(&**other, said(40606).as_bytes());
    }

    #[test]
    fn a_session_is_the_same_however_it_is_cut() {
        let challenge = |notes: &mut Notes| notes.client_sees(b"+ PDE4OTYuNjk3MTcwOTUyQG14LnRlc3Q+\r\n");
        let digest = cram_md5(b"hunter2", CHALLENGE);
        let line =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("fred {digest}"));
        let (mut whole, mut cut) = (Notes::default(), Notes::default());
        challenge(&mut whole);
        challenge(&mut cut);
        whole.client_says(format!("{line}\r\n").as_bytes());
        cut.client_says(line.as_bytes());
        cut.client_says(b"\r\n");
        assert_eq!(streams(&whole.steps), streams(&cut.steps));
        cut.client_says(b"QUIT\r\n");
        assert_ne!(streams(&whole.steps), streams(&cut.steps));
    }

    #[test]
    fn addresses_become_variables_and_what_looks_like_one_does_not() {
        let mut notes = Notes::default();
        notes.auth_gets(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\nClient-IP: 127.0.0.1\r\n\r\n", b"127.0.0.1");
        notes.backend_gets(b"XCLIENT ADDR=127.0.0.1 LOGIN=${x}\r\n", b"127.0.0.1");
        notes.backend_gets(b"EHLO x\r\n", b"127.0.0.1");
        let [Step::AuthGetsExactly(asked), Step::BackendGets(got)] = &notes.steps[..] else {
            panic!("{:?}", notes.steps)
        };
        assert_eq!(&**asked, b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\nClient-IP: ${client.ip}\r\n\r\n");
        assert_eq!(&**got, b"XCLIENT ADDR=${client.ip} LOGIN=$${x}\r\nEHLO x\r\n");
        let variables = Variables::from([("client.ip".to_owned(), b"192.0.2.7".to_vec())]);
        assert_eq!(expand(got, &variables).unwrap(), b"XCLIENT ADDR=192.0.2.7 LOGIN=${x}\r\nEHLO x\r\n");
    }

    #[test]
    fn what_the_proxy_sends_in_pieces_is_one() {
        let mut notes = Notes::default();
        notes.client_sees(b"* OK");
        notes.client_sees(b" ready\r\n");
        assert_eq!(notes.steps, [Step::Sees(b"* OK ready\r\n".to_vec().into())]);
    }
}
