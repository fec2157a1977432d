//! The question: a GET whose headers say everything, and nothing else does.

use std::io;

use gatepost_core::Secret;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::talk::Talk;

/// The most headers a request may have.
const HEADERS_MAX: usize = 64;

/// A question that was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// Every header in its order, values as sent. `Auth-Pass` says only `[secret]`.
    pub headers: Vec<(String, String)>,
    /// `Auth-User`, decoded.
    pub login: Vec<u8>,
    /// `Auth-Pass`, decoded.
    pub password: Secret,
    /// Whether the answer was `OK`.
    pub granted: bool,
}

impl Request {
    /// The value of the first header of that exact name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why a request is not one of `auth_http`.
#[derive(Debug)]
pub(super) struct Malformed(pub(super) &'static str);

/// Reads one request up to its empty line, in HTTP/1.1 if its connection is to be `kept`. None if there is none.
pub(super) async fn heard<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<S>,
    kept: bool,
) -> io::Result<Option<Result<Request, Malformed>>> {
    let mut lines = Vec::new();
    loop {
        let line = match talk.raw_line().await? {
            Some(line) => line,
            None if lines.is_empty() => return Ok(None),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        match line.strip_suffix(b"\r\n") {
            None => return Ok(Some(Err(Malformed("a line that does not end with CR LF")))),
            Some(b"") => return Ok(Some(parsed(&lines, kept))),
            Some(_) if lines.len() > HEADERS_MAX => return Ok(Some(Err(Malformed("too many headers")))),
            Some(text) => lines.push(Secret::from(text)),
        }
    }
}

fn parsed(lines: &[Secret], kept: bool) -> Result<Request, Malformed> {
    let (first, rest) = lines.split_first().ok_or(Malformed("no request line"))?;
    let target = first.expose().strip_prefix(b"GET /").ok_or(Malformed("not a GET of a path"))?;
    let (version, wrong): (&[u8], _) = match kept {
        true => (b" HTTP/1.1", "not HTTP/1.1"),
        false => (b" HTTP/1.0", "not HTTP/1.0"),
    };
    let target = target.strip_suffix(version).ok_or(Malformed(wrong))?;
    if target.iter().any(|octet| !octet.is_ascii_graphic()) {
        return Err(Malformed("request target"));
    }
    let mut request =
        Request { headers: Vec::new(), login: Vec::new(), password: Secret::empty(), granted: false };
    for line in rest {
        let line = line.expose();
        let colon = line.windows(2).position(|pair| pair == b": ").ok_or(Malformed("no colon and space"))?;
        let (name, value) =
            (line.get(..colon).unwrap_or_default(), line.get(colon + 2..).unwrap_or_default());
        let name = std::str::from_utf8(name).map_err(|_| Malformed("header name"))?.to_owned();
        let shown = match name.as_str() {
            "Auth-Pass" => {
                request.password = percent_decoded(value).ok_or(Malformed("Auth-Pass"))?.into();
                "[secret]".to_owned()
            }
            "Auth-User" => {
                request.login = percent_decoded(value).ok_or(Malformed("Auth-User"))?;
                String::from_utf8_lossy(value).into_owned()
            }
            _ => String::from_utf8_lossy(value).into_owned(),
        };
        request.headers.push((name, shown));
    }
    for needed in
        ["Host", "Auth-Method", "Auth-User", "Auth-Pass", "Auth-Protocol", "Auth-Login-Attempt", "Client-IP"]
    {
        if request.header(needed).is_none() {
            return Err(Malformed("a header is missing"));
        }
    }
    if request.header("Connection") != kept.then_some("keep-alive") {
        return Err(Malformed("Connection"));
    }
    Ok(request)
}

/// Undoes [`percent_encoded`]; `None` for an escape that it would not have written, or an octet it would have escaped.
fn percent_decoded(value: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.iter().copied();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let decoded = hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?;
                if !escaped(decoded) {
                    return None;
                }
                decoded
            }
            other if escaped(other) => return None,
            other => other,
        });
    }
    Some(octets)
}

const fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

/// Whether nginx escapes this octet in `Auth-User` and `Auth-Pass`: controls, space and `%`.
const fn escaped(octet: u8) -> bool {
    octet <= b' ' || octet == b'%'
}

/// A text as nginx writes it into `Auth-User` and `Auth-Pass`.
#[must_use]
pub fn percent_encoded(text: &[u8]) -> String {
    let octets: Vec<u8> = text
        .iter()
        .flat_map(|&octet| if escaped(octet) { format!("%{octet:02X}").into_bytes() } else { vec![octet] })
        .collect();
    String::from_utf8_lossy(&octets).into_owned()
}
