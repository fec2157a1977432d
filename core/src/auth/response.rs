//! The auth server's answer: read line by line as it comes, as tolerant as nginx and bounded (auth-http.md section 5), and judged once its
//! headers are complete (section 7, table R3). Only this file can make a [`Granted`].

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::auth::credentials::is_one_line;
use crate::auth::rest::{Framing, Rest};
use crate::auth::route::Route;
use crate::framing::without_line_end;
use crate::limits::AUTH_HEAD_BYTES_MAX;
use crate::phase::Headers;
use crate::policy::{BackendTls, LimitKey, Policy};
use crate::report::AuthFault;
use crate::secret::Secret;

/// What the auth server wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(Granted),
    Denied(Denied),
    /// Ask again after this long.
    Wait(Duration),
}

/// The token with which a login at a backend begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Where to log in.
    pub(crate) route: Route,
    /// `Auth-User`: the name for the backend, if it is not the client's.
    pub(crate) login: Option<Arc<[u8]>>,
    /// `Auth-Pass`: the password for the backend, if it is not the client's.
    pub(crate) password: Option<Secret>,
    /// `Auth-Server-TLS`: how to reach the backend, if not as the policy says.
    pub(crate) tls: Option<BackendTls>,
    /// What it said in the headers that limits count by.
    pub(crate) headers: Headers,
    _made_here: (),
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// As the auth server sent it.
    pub(crate) text: Vec<u8>,
    /// `Auth-Error-Code`, whatever that holds.
    pub(crate) code: Option<Vec<u8>>,
    /// `Auth-Error-SASL`: the challenge that tells an OAuth client why, in base64 if the server can spell.
    pub(crate) challenge: Option<Vec<u8>>,
    /// `Auth-Wait`. None, or zero: the session ends with the refusal.
    pub(crate) wait: Option<Duration>,
}

/// An answer as it comes in.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Head {
    /// The line that has begun.
    line: Secret,
    /// How many octets have come in all.
    octets: usize,
    lines: usize,
    fields: Fields,
    /// What is said of the answer's end, if the connection is wanted for another one.
    framing: Option<Framing>,
    rest: Option<Rest>,
}

#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
struct Fields {
    status: Option<u16>,
    /// The last `Auth-Status` that is neither OK nor WAIT.
    refusal: Option<Vec<u8>>,
    ok: bool,
    again: bool,
    route: Route,
    user: Option<Secret>,
    pass: Option<Secret>,
    wait: Option<u64>,
    tls: Option<Vec<u8>>,
    code: Option<Vec<u8>>,
    challenge: Option<Vec<u8>>,
    /// The headers that limits count by.
    counted: Headers,
}

/// An answer, and what is odd about it though it counts.
pub(crate) type Verdict = (Answer, Option<AuthFault>);

impl Head {
    /// Nothing has come yet.
    pub(crate) fn new(policy: &Policy) -> Self {
        let mut head = Self::default();
        for limit in &policy.conn_limits.limits {
            if let LimitKey::Header(name) = &limit.key {
                head.fields.counted.push((Arc::from(&**name), Secret::empty()));
            }
        }
        head
    }

    /// The same of an answer to an HTTP/1.1 request, whose connection is wanted for another one.
    pub(crate) fn kept(self) -> Self {
        Self { framing: Some(Framing::default()), ..self }
    }

    /// Whether nothing has come yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.octets == 0
    }

    /// Once the headers are complete: what is still to come of the answer, if the connection can be used again behind it.
    pub(crate) const fn rest(&mut self) -> Option<Rest> {
        self.rest.take()
    }

    /// Takes in octets. `None` as long as the headers are not complete; octets behind them matter to [`Head::rest`] only.
    pub(crate) fn receive(&mut self, octets: &[u8]) -> Result<Option<Verdict>, AuthFault> {
        let mut behind = octets;
        for piece in octets.split_inclusive(|&octet| octet == b'\n') {
            behind = behind.get(piece.len()..).unwrap_or_default();
            self.octets = self.octets.saturating_add(piece.len());
            if self.octets > AUTH_HEAD_BYTES_MAX {
                return Err(AuthFault::TooBig);
            }
            let (ends, begun) = (piece.ends_with(b"\n"), !self.line.is_empty());
            // Most lines come in one piece, and need no place of their own.
            if begun || !ends {
                self.line.extend(piece);
            }
            if ends {
                let line = core::mem::take(&mut self.line);
                let whole = if begun { line.expose() } else { piece };
                let line = without_line_end(whole);
                self.lines += 1;
                if self.lines == 1 && (line.starts_with(b"HTTP/") || self.framing.is_some()) {
                    self.fields.status = status(line)?;
                    if let Some(framing) = &mut self.framing {
                        framing.status_line(whole, self.fields.status)?;
                    }
                } else if !line.is_empty() {
                    let (name, value) = self.fields.take(line)?;
                    if let Some(framing) = &mut self.framing {
                        framing.header(whole, &name, value);
                    }
                } else if self.is_interim() {
                    (self.lines, self.framing) = (0, Some(Framing::default()));
                    self.fields = self.fields.begin_anew();
                } else {
                    let rest =
                        self.framing.take().and_then(|framing| framing.rest(whole, self.fields.status));
                    self.rest = rest.and_then(|mut rest| rest.receive(behind).ok().map(|()| rest));
                    return core::mem::take(&mut self.fields).judge().map(Some);
                }
            }
        }
        Ok(None)
    }
}

impl Head {
    /// Whether these headers announce others (RFC 9110 section 15.2). Nobody who asks in HTTP/1.0 is sent such; and of a change of
    /// protocol nothing was said.
    fn is_interim(&self) -> bool {
        self.framing.is_some() && matches!(self.fields.status, Some(100 | 102..=199))
    }
}

/// The three digits of a status line, if it has them.
fn status(line: &[u8]) -> Result<Option<u16>, AuthFault> {
    if line.contains(&b'\r') {
        return Err(AuthFault::InvalidResponse);
    }
    let word = line.split(|&octet| octet == b' ').filter(|word| !word.is_empty()).nth(1);
    Ok(word.filter(|word| word.len() == 3).and_then(decimal).and_then(|code| u16::try_from(code).ok()))
}

impl Fields {
    /// Takes in one header line; tells its name in lower case, and its value.
    fn take<'a>(&mut self, line: &'a [u8]) -> Result<(Vec<u8>, &'a [u8]), AuthFault> {
        let colon = line.iter().position(|&octet| octet == b':').unwrap_or(line.len());
        let (name, value) =
            (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
        let mut letters = name.iter();
        let well_formed = letters.next().is_some_and(u8::is_ascii_alphanumeric)
            && letters.all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
        if !well_formed || value.contains(&b'\r') {
            return Err(AuthFault::InvalidHeader);
        }
        let value = trim(value);
        self.count_by(name, value);
        let name = name.to_ascii_lowercase();
        match &name[..] {
            b"auth-status" if value.eq_ignore_ascii_case(b"OK") => self.ok = true,
            b"auth-status" if value.eq_ignore_ascii_case(b"WAIT") => self.again = true,
            b"auth-status" => self.refusal = Some(value.to_vec()),
            b"auth-server" => self.route.server = Some(value.to_vec()),
            b"auth-port" => self.route.port = Some(value.to_vec()),
            b"auth-user" => self.user = Some(value.into()),
            b"auth-pass" => self.pass = Some(value.into()),
            b"auth-server-tls" => self.tls = Some(value.to_vec()),
            b"auth-wait" => self.wait = decimal(value).or(self.wait),
            b"auth-error-code" => self.code = Some(value.to_vec()),
            b"auth-error-sasl" => self.challenge = Some(value.to_vec()),
            _ => {}
        }
        Ok((name, value))
    }

    /// Nothing of what an interim answer said; the headers that limits count by are still the same ones.
    fn begin_anew(&self) -> Self {
        let counted = self.counted.iter().map(|(name, _)| (name.clone(), Secret::empty())).collect();
        Self { counted, ..Self::default() }
    }

    /// Keeps `value` if a limit counts by it. Several of one name make one, as in nginx's variables.
    fn count_by(&mut self, name: &[u8], value: &[u8]) {
        let spelled = |octet: &u8| if *octet == b'-' { b'_' } else { octet.to_ascii_lowercase() };
        for (counted, said) in &mut self.counted {
            if name.iter().map(spelled).eq(counted.bytes()) {
                if !said.is_empty() {
                    said.extend(b", ");
                }
                said.extend(value);
            }
        }
    }

    /// The verdict, in nginx's order (auth-http.md section 7) and by the status as table R3 has it.
    fn judge(mut self) -> Result<Verdict, AuthFault> {
        let wait = self.wait.map(Duration::from_secs);
        if let Some(text) = self.refusal.take() {
            let text = if text.is_empty() { AUTHENTICATION_FAILED.to_vec() } else { text };
            return Ok((
                Answer::Denied(Denied { text, code: self.code, challenge: self.challenge, wait }),
                None,
            ));
        }
        if self.again {
            return Ok((Answer::Wait(wait.unwrap_or_default()), None));
        }
        match self.status {
            Some(code @ (401 | 403)) => {
                let odd = self.ok.then_some(AuthFault::OkDespiteStatus(code));
                let text = AUTHENTICATION_FAILED.to_vec();
                let denied = Denied { text, code: self.code, challenge: self.challenge, wait };
                Ok((Answer::Denied(denied), odd))
            }
            None | Some(200..=299) => Ok((Answer::Granted(self.granted()?), None)),
            Some(code) if self.ok && !(500..=599).contains(&code) => {
                Ok((Answer::Granted(self.granted()?), Some(AuthFault::OddStatus(code))))
            }
            Some(code) => Err(AuthFault::Status(code)),
        }
    }

    fn granted(self) -> Result<Granted, AuthFault> {
        let login = match self.user {
            Some(user) if !is_one_line(user.expose()) => return Err(AuthFault::InvalidUser),
            user => user.map(|user| Arc::from(user.expose())),
        };
        let password = match self.pass {
            Some(pass) if !is_one_line(pass.expose()) => return Err(AuthFault::InvalidPassword),
            pass => pass,
        };
        let tls = self.tls.map(backend_tls).transpose()?;
        Ok(Granted { route: self.route, login, password, tls, headers: self.counted, _made_here: () })
    }
}

/// Fails on what nobody knows: to guess would be to send a password in clear.
fn backend_tls(word: Vec<u8>) -> Result<BackendTls, AuthFault> {
    match word.to_ascii_lowercase()[..] {
        [b'o', b'n'] => Ok(BackendTls::On),
        [b'o', b'f', b'f'] => Ok(BackendTls::Off),
        [b's', b't', b'a', b'r', b't', b't', b'l', b's'] => Ok(BackendTls::StartTls),
        _ => Err(AuthFault::InvalidServerTls(word)),
    }
}

/// What a refusal without a text says.
const AUTHENTICATION_FAILED: &[u8] = b"Authentication failed";

/// Digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(digits).ok().filter(|_| all)?.parse().ok()
}

/// Without spaces and tabs around it (divergences D8).
fn trim(value: &[u8]) -> &[u8] {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let from = value.iter().position(|octet| !blank(octet)).unwrap_or(value.len());
    let to = value.iter().rposition(|octet| !blank(octet)).map_or(from, |last| last + 1);
    value.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> Result<Option<Verdict>, AuthFault> {
        Head::default().receive(text.as_bytes())
    }

    fn answer(text: &str) -> Answer {
        judged(text).unwrap().unwrap().0
    }

    fn denied(text: &str) -> Denied {
        match answer(text) {
            Answer::Denied(denied) => denied,
            other => panic!("{other:?}"),
        }
    }

    fn granted(text: &str) -> Granted {
        match answer(text) {
            Answer::Granted(granted) => granted,
            other => panic!("{other:?}"),
        }
    }

    const TO: &str = "Auth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n";

    #[test]
    fn success_names_a_backend() {
        let granted = granted(
            "HTTP/1.0 200 OK\r\nServer: x\r\nAuth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\
             Auth-User: fred\r\nAuth-Pass: hunter2 \r\n\r\n<html>",
        );
        let route = Route { server: Some(b"198.51.100.2".to_vec()), port: Some(b"143".to_vec()) };
        assert_eq!(granted.route, route);
        assert_eq!(granted.login.as_deref(), Some(&b"fred"[..]));
        assert_eq!(granted.password.unwrap().expose(), b"hunter2");
    }

    #[test]
    fn a_bare_header_block_with_server_and_port_is_a_success() {
        granted(&alloc::format!("{TO}\n"));
        granted("auth-status: ok\nAUTH-SERVER:   2001:db8::1\nAuth-Port:\t143\t\n\n");
    }

    #[test]
    fn a_refusal_wins_over_everything_and_is_told_in_the_servers_words() {
        let refusal = denied(&alloc::format!(
            "Auth-Status: OK\r\nAuth-Status: Locked\r\nAuth-Status: WAIT\r\n{TO}Auth-Wait: 3\r\nAuth-Error-Code: 550 5.7.1\r\n\r\n"
        ));
        assert_eq!(refusal.text, b"Locked");
        assert_eq!(refusal.wait, Some(Duration::from_secs(3)));
        assert_eq!(refusal.code.as_deref(), Some(&b"550 5.7.1"[..]));
        assert_eq!(denied("Auth-Status: \r\n\r\n").text, b"Authentication failed");
        assert_eq!(
            denied("Auth-Status: no\r\nAuth-Wait: 5\r\nAuth-Wait: x\r\n\r\n").wait,
            Some(Duration::from_secs(5))
        );
    }

    #[test]
    fn the_status_counts_as_table_r3_has_it() {
        let with = |status: u16, head: &str| judged(&alloc::format!("HTTP/1.1 {status} x\r\n{head}\r\n"));
        let ok = alloc::format!("Auth-Status: OK\r\n{TO}");
        for status in [401, 403] {
            assert_eq!(
                denied(&alloc::format!("HTTP/1.1 {status} x\r\n{TO}\r\n")).text,
                b"Authentication failed"
            );
            let (answer, odd) = with(status, &ok).unwrap().unwrap();
            assert!(matches!(answer, Answer::Denied(_)));
            assert_eq!(odd, Some(AuthFault::OkDespiteStatus(status)));
        }
        for status in [302, 404, 429] {
            let (answer, odd) = with(status, &ok).unwrap().unwrap();
            assert!(matches!(answer, Answer::Granted(_)));
            assert_eq!(odd, Some(AuthFault::OddStatus(status)));
            assert_eq!(with(status, TO).unwrap_err(), AuthFault::Status(status));
        }
        for status in [500, 503] {
            assert_eq!(with(status, &ok).unwrap_err(), AuthFault::Status(status));
            let (answer, _) = with(status, "Auth-Status: Sorry\r\n").unwrap().unwrap();
            assert!(matches!(answer, Answer::Denied(_)));
        }
        assert_eq!(
            answer("HTTP/1.0 404 x\r\nAuth-Status: WAIT\r\nAuth-Wait: 2\r\n\r\n"),
            Answer::Wait(Duration::from_secs(2))
        );
    }

    #[test]
    fn nothing_that_could_end_a_line_comes_from_the_auth_server() {
        for head in ["Auth-User: a\0b", "Auth-Pass: a\0b"] {
            let text = alloc::format!("{head}\r\n{TO}\r\n");
            assert!(
                matches!(judged(&text), Err(AuthFault::InvalidUser | AuthFault::InvalidPassword)),
                "{head}"
            );
        }
    }

    #[test]
    fn broken_lines_are_refused_as_soon_as_they_are_there() {
        for text in [
            "Auth_Status: OK\r\n",
            "Auth-Status : OK\r\n",
            " folded\r\n",
            "A: b\rc\r\n",
            ": x\r\n",
            "-a: b\r\n",
        ] {
            assert_eq!(judged(text).unwrap_err(), AuthFault::InvalidHeader, "{text:?}");
        }
        assert_eq!(judged("HTTP/1.0 200\rOK\r\n").unwrap_err(), AuthFault::InvalidResponse);
        assert!(judged("Name-without-colon\r\n").unwrap().is_none());
    }

    #[test]
    fn an_answer_without_an_end_is_cut_off() {
        let mut head = Head::default();
        let line = [b'a'; 1024];
        for _ in 0..16 {
            assert!(head.receive(&line).unwrap().is_none());
        }
        assert_eq!(head.receive(b"a").unwrap_err(), AuthFault::TooBig);
    }

    #[test]
    fn it_does_not_matter_how_the_answer_is_cut() {
        let text = alloc::format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n{TO}\r\nbody");
        let mut head = Head::default();
        let mut verdict = None;
        for octet in text.as_bytes() {
            verdict = verdict.or(head.receive(&[*octet]).unwrap());
        }
        assert_eq!(verdict.unwrap(), judged(&text).unwrap().unwrap());
    }

    /// The answer to an HTTP/1.1 request, cut into pieces of this size: what it says, and what is still to come of it.
    fn kept(text: &str, size: usize) -> (Verdict, Option<Rest>) {
        let (mut head, mut rest) = (Head::default().kept(), None);
        let mut verdict = None;
        for piece in text.as_bytes().chunks(size) {
            match &verdict {
                None => {
                    verdict = head.receive(piece).unwrap();
                    rest = verdict.is_some().then(|| head.rest()).flatten();
                }
                Some(_) => rest = rest.and_then(|mut rest: Rest| rest.receive(piece).ok().map(|()| rest)),
            }
        }
        (verdict.unwrap(), rest)
    }

    const NO: &str = "HTTP/1.1 200 OK\r\nAuth-Status: no\r\n";

    #[test]
    fn a_connection_can_be_used_again_behind_an_answer_that_says_where_it_ends() {
        for (tail, is_over) in [
            ("Content-Length: 0\r\n\r\n", Some(true)),
            ("Content-Length: 4\r\n\r\nbody", Some(true)),
            ("Content-Length: 4\r\n\r\nbod", Some(false)),
            ("Content-Length: 4\r\n\r\nbody!", None),
            ("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", Some(true)),
            ("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n", Some(false)),
            ("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nHTTP/1.1", None),
            ("Connection: close\r\nContent-Length: 0\r\n\r\n", None),
            ("\r\n", None),
            ("Content-Length: 0\n\r\n", None),
            ("Content-Length: 0\r\n\n", None),
        ] {
            let text = alloc::format!("{NO}{tail}");
            for size in [1, 2, 3, 7, text.len()] {
                let ((answer, _), rest) = kept(&text, size);
                assert!(matches!(answer, Answer::Denied(_)));
                assert_eq!(rest.map(|rest| rest.is_over()), is_over, "{tail:?} by {size}");
            }
        }
        let (_, rest) = kept("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nAuth-Status: no\r\n\r\n", 9);
        assert_eq!(rest, None, "an older server");
    }

    #[test]
    fn what_only_announces_an_answer_is_passed_over_where_it_may_come() {
        let interim = "HTTP/1.1 103 Early Hints\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.66\r\nContent-Length: 7\r\n\r\n";
        let text = alloc::format!("HTTP/1.1 100 Continue\r\n\r\n{interim}{NO}Content-Length: 0\r\n\r\n");
        for size in [1, 5, text.len()] {
            let ((answer, odd), rest) = kept(&text, size);
            assert!(matches!(answer, Answer::Denied(_)), "{answer:?}");
            assert_eq!((odd, rest.map(|rest| rest.is_over())), (None, Some(true)));
        }
        assert_eq!(Head::default().kept().receive(b"HTTP/1.1 101 x\r\n\r\n"), Err(AuthFault::Status(101)));
        assert_eq!(judged("HTTP/1.1 100 x\r\n\r\n").unwrap_err(), AuthFault::Status(100));
        let endless = "HTTP/1.1 100 x\r\n\r\n".repeat(1000);
        assert_eq!(Head::default().kept().receive(endless.as_bytes()), Err(AuthFault::TooBig));
    }

    #[test]
    fn limits_count_by_what_the_answer_says_and_not_by_what_announced_it() {
        let limit = |name: &str| crate::policy::ConnLimit {
            zone: "plan".into(),
            key: LimitKey::Header(name.into()),
            connections: 1,
            early: false,
        };
        let mut policy = Policy::new(crate::policy::Protocol::Imap, "mail.example.com", None);
        policy.conn_limits.limits = alloc::vec![limit("x_plan"), limit("x_domain")];
        let hints = "HTTP/1.1 103 Early Hints\r\nX-Plan: gold\r\nX-Domain: example.net\r\n\r\n";
        let text = alloc::format!(
            "{hints}{hints}HTTP/1.1 200 OK\r\nAuth-Status: OK\r\n{TO}X-Plan: silver\r\nContent-Length: 0\r\n\r\n"
        );
        let verdict = Head::new(&policy).kept().receive(text.as_bytes()).unwrap().unwrap();
        let Answer::Granted(granted) = verdict.0 else { panic!("{verdict:?}") };
        let said: Vec<_> = granted.headers.iter().map(|(name, value)| (&**name, value.expose())).collect();
        assert_eq!(said, [("x_plan", &b"silver"[..]), ("x_domain", b"")]);
    }

    #[test]
    fn what_is_left_of_another_answer_is_no_answer() {
        for left in [
            "\r\n",
            "\n",
            "dy",
            "Auth-Status: OK\r\n\r\n",
            "HTTP/2 200\r\n",
            "HTTP/1.1 OK\r\n",
            " HTTP/1.1 200 OK\r\n",
        ] {
            let text = alloc::format!("{left}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(
                Head::default().kept().receive(text.as_bytes()),
                Err(AuthFault::InvalidResponse),
                "{left:?}"
            );
        }
    }
}
