//! What a session asks of a users file, and what it hears: auth_http's request and answer, as octets (auth-http.md). A session does not
//! know that nobody else is there.

use gatepost_core::{Protocol, Secret};

use crate::upstream::port_of;

/// What the fields of a request say, as far as it matters to a users file.
#[derive(Debug, Default)]
pub(super) struct Question {
    /// `Auth-Method`.
    pub(super) method: Vec<u8>,
    /// `Auth-User`.
    pub(super) login: Vec<u8>,
    /// `Auth-Pass`: a password or a digest.
    pub(super) password: Secret,
    /// `Auth-Salt`: the challenge that a digest answers.
    pub(super) salt: Vec<u8>,
    /// `Auth-Protocol`.
    pub(super) protocol: Vec<u8>,
    /// `Auth-Login-Attempt`.
    pub(super) attempt: u64,
}

/// Whether this is all of a request: it ends in an empty line and has nothing behind it.
pub(super) fn is_whole(request: &[u8]) -> bool {
    request.ends_with(b"\r\n\r\n")
}

impl Question {
    /// Takes the fields out of a whole request.
    pub(super) fn read(request: &[u8]) -> Self {
        let mut question = Self::default();
        for line in request.split(|&octet| octet == b'\n').skip(1) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(colon) = line.iter().position(|&octet| octet == b':') else { continue };
            let (name, value) = line.split_at(colon);
            let value = value.strip_prefix(b": ").unwrap_or_default();
            match name {
                b"Auth-Method" => question.method = value.to_vec(),
                b"Auth-User" => question.login = unescaped(value).expose().to_vec(),
                b"Auth-Pass" => question.password = unescaped(value),
                b"Auth-Salt" => question.salt = value.to_vec(),
                b"Auth-Protocol" => question.protocol = value.to_vec(),
                b"Auth-Login-Attempt" => {
                    let number = std::str::from_utf8(value).ok().and_then(|number| number.parse().ok());
                    question.attempt = number.unwrap_or_default();
                    // The last one of these; what stands behind it is the client's and the operator's, and decides nothing here.
                    break;
                }
                _ => {}
            }
        }
        question
    }

    /// The port of the session's protocol.
    pub(super) fn port(&self) -> Option<u16> {
        let named = |protocol: &Protocol| protocol.name().as_bytes() == self.protocol;
        Protocol::ALL.into_iter().find(named).map(port_of)
    }
}

/// The octets that stand behind `%XX` (K3).
fn unescaped(value: &[u8]) -> Secret {
    let mut octets = Secret::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) if first == b'%' => {
                octets.extend(&[octet]);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                octets.extend(&[first]);
                rest = behind;
            }
        }
    }
    octets
}

/// What a session hears.
#[derive(Debug)]
pub(super) enum Answer<'a> {
    /// The user is who they say, and lives there, if that is known here.
    Granted {
        servers: Option<&'a str>,
        port: Option<u16>,
        /// The password for the backend where the client gave none.
        password: Option<&'a Secret>,
    },
    /// There is no such user, or it is not their password.
    Denied {
        /// After how many seconds the client hears that, and may try again; none: the session ends.
        wait: Option<u32>,
    },
    /// There is too much to do.
    Busy,
    /// It could not be found out.
    Trouble,
}

impl Answer<'_> {
    /// The octets, which may hold a password.
    pub(super) fn encode(&self) -> Secret {
        let mut head = Secret::with_capacity(512);
        head.extend(match self {
            Self::Granted { .. } => b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n",
            Self::Denied { .. } => b"HTTP/1.0 200 OK\r\nAuth-Status: Invalid login or password\r\n",
            Self::Busy => b"HTTP/1.0 503 Service Unavailable\r\n",
            Self::Trouble => b"HTTP/1.0 500 Internal Server Error\r\n",
        });
        let mut field = |name: &str, value: &[u8]| {
            for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
                head.extend(piece);
            }
        };
        match self {
            Self::Granted { servers, port, password } => {
                if let Some(servers) = servers {
                    field("Auth-Server", servers.as_bytes());
                }
                if let Some(port) = port {
                    field("Auth-Port", port.to_string().as_bytes());
                }
                if let Some(password) = password {
                    field("Auth-Pass", password.expose());
                }
            }
            Self::Denied { wait: Some(seconds) } => field("Auth-Wait", seconds.to_string().as_bytes()),
            Self::Denied { wait: None } | Self::Busy | Self::Trouble => {}
        }
        head.extend(b"\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_what_the_request_says_unescaped() {
        let question = Question::read(
            b"GET / HTTP/1.0\r\nHost: x\r\nAuth-Method: cram-md5\r\nAuth-User: john%20doe%25\r\nAuth-Pass: p%25s%\xC3\xB6%4\r\n\
              Auth-Salt: <1.2@mx>\r\nAuth-Protocol: pop3\r\nAuth-Login-Attempt: 12\r\nClient-IP: 192.0.2.7\r\n\
              Auth-Method: none\r\nAuth-User: eve\r\n\r\n",
        );
        assert_eq!((&*question.method, &*question.login), (&b"cram-md5"[..], &b"john doe%"[..]));
        assert_eq!(question.password.expose(), b"p%s%\xC3\xB6%4");
        assert_eq!((&*question.salt, question.attempt), (&b"<1.2@mx>"[..], 12));
        assert_eq!(question.port(), Some(110));
    }

    #[test]
    fn an_answer_has_the_headers_that_it_needs() {
        let text = |answer: Answer<'_>| String::from_utf8(answer.encode().expose().to_vec()).expect("text");
        let secret = Secret::from(&b"hunter2"[..]);
        assert_eq!(
            text(Answer::Granted { servers: Some("here"), port: Some(143), password: Some(&secret) }),
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: here\r\nAuth-Port: 143\r\nAuth-Pass: hunter2\r\n\r\n"
        );
        assert_eq!(
            text(Answer::Denied { wait: Some(3) }),
            "HTTP/1.0 200 OK\r\nAuth-Status: Invalid login or password\r\nAuth-Wait: 3\r\n\r\n"
        );
        assert_eq!(text(Answer::Busy), "HTTP/1.0 503 Service Unavailable\r\n\r\n");
    }
}
