//! Where an answer ends, for those who want to use its connection again (RFC 9112 sections 6 and 7). Whoever mistakes the end shows one
//! user's answer to another, so whatever leaves a doubt is taken for a connection of no more use: what is read here is what servers
//! of today write, and not all that the RFC lets them.

use super::response::decimal;
use crate::limits::{AUTH_BODY_BYTES_MAX, AUTH_CHUNK_DIGITS_MAX};
use crate::report::AuthFault;

/// What the headers of one answer say about its end.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(super) struct Framing {
    /// Whether the status line is one of HTTP/1.1; an older server ends each answer with its connection.
    of_today: bool,
    length: Option<u64>,
    chunked: bool,
    /// Something was said that leaves a doubt, or that this is the last answer.
    last: bool,
}

impl Framing {
    /// Takes in the first line, as it came, and what its status is.
    ///
    /// # Errors
    ///
    /// It is no status line. nginx takes headers without one; but here they may be what some server has sent too much of an
    /// answer before, and an empty line alone would let the next client in.
    pub(super) fn status_line(&mut self, line: &[u8], status: Option<u16>) -> Result<(), AuthFault> {
        if !line.starts_with(b"HTTP/1.") || status.is_none() {
            return Err(AuthFault::InvalidResponse);
        }
        self.of_today = line.starts_with(b"HTTP/1.1 ");
        self.line(line);
        Ok(())
    }

    /// Takes in a header, as it came; its name in lower case and its value beside it.
    pub(super) fn header(&mut self, line: &[u8], name: &[u8], value: &[u8]) {
        self.line(line);
        if !line.contains(&b':') {
            self.last = true;
        }
        match name {
            // Twice is once too often, the same or not (RFC 9112 section 6.3).
            b"content-length" => match (decimal(value), self.length) {
                (Some(length), None) => self.length = Some(length),
                _ => self.last = true,
            },
            b"transfer-encoding" => {
                self.last |= self.chunked || !value.eq_ignore_ascii_case(b"chunked");
                self.chunked = true;
            }
            b"connection" => self.last |= !value.eq_ignore_ascii_case(b"keep-alive"),
            _ => {}
        }
    }

    /// A line end is CR and LF, also where a server is content with less.
    fn line(&mut self, line: &[u8]) {
        self.last |= !line.ends_with(b"\r\n");
    }

    /// What is to come behind the empty line `end` of an answer with this status; nothing if the connection ends there.
    pub(super) fn rest(&self, end: &[u8], status: Option<u16>) -> Option<Rest> {
        if !self.of_today || self.last || end != b"\r\n" {
            return None;
        }
        let state = match (status?, self.chunked, self.length) {
            (204 | 304, false, None | Some(0)) => return Some(Rest::none()),
            (..200 | 204 | 304, ..) => return None,
            (_, true, None) => State::size(),
            (_, false, Some(length)) if length <= AUTH_BODY_BYTES_MAX as u64 => {
                State::data(usize::try_from(length).ok()?, false)
            }
            // Both, which is how requests are smuggled, or neither: then the connection's end is the answer's.
            _ => return None,
        };
        Some(Rest { state, octets: 0 })
    }
}

/// What of an answer is still to come behind its headers. It means nothing to anybody and is thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rest {
    state: State,
    /// How much of it has come.
    octets: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// So many octets.
    Data { left: usize, chunked: bool },
    /// The line that says how long the next chunk is: its value so far, and how many octets it has.
    Size { value: usize, digits: usize },
    /// The LF behind that line's CR.
    SizeEnd { value: usize },
    /// The line end behind a chunk, or behind the last one of no octets; or only its LF.
    ChunkEnd { last: bool, cr: bool },
    /// Nothing.
    Over,
}

impl State {
    const fn size() -> Self {
        Self::Size { value: 0, digits: 0 }
    }

    const fn data(left: usize, chunked: bool) -> Self {
        match (left, chunked) {
            (0, false) => Self::Over,
            _ => Self::Data { left, chunked },
        }
    }
}

/// Something came that does not belong to an answer, or it is longer than anybody wants to read: the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no part of an answer")]
pub struct Astray;

impl Rest {
    /// Nothing is still to come.
    #[must_use]
    pub const fn none() -> Self {
        Self { state: State::Over, octets: 0 }
    }

    /// Takes in octets.
    ///
    /// # Errors
    ///
    /// They are not what was announced, more than was, or more than [`AUTH_BODY_BYTES_MAX`].
    pub fn receive(&mut self, mut octets: &[u8]) -> Result<(), Astray> {
        self.octets = self.octets.saturating_add(octets.len());
        if self.octets > AUTH_BODY_BYTES_MAX {
            return Err(Astray);
        }
        while let Some((&octet, behind)) = octets.split_first() {
            let State::Data { left, chunked } = self.state else {
                self.state = self.step(octet)?;
                octets = behind;
                continue;
            };
            let (_, behind) = octets.split_at(left.min(octets.len()));
            self.state = match (left.saturating_sub(octets.len()), chunked) {
                (0, false) => State::Over,
                (0, true) => State::ChunkEnd { last: false, cr: false },
                (left, _) => State::Data { left, chunked },
            };
            octets = behind;
        }
        Ok(())
    }

    /// Whether all of it has come.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Chunks without extensions and without trailers. Nobody who answers in headers has a use for either.
    fn step(&self, octet: u8) -> Result<State, Astray> {
        match (self.state, octet) {
            (State::Size { value, digits }, _) if octet.is_ascii_hexdigit() => {
                let digit = char::from(octet).to_digit(16).and_then(|digit| usize::try_from(digit).ok());
                let value =
                    value.checked_mul(16).zip(digit).and_then(|(value, digit)| value.checked_add(digit));
                match value {
                    Some(value) if digits < AUTH_CHUNK_DIGITS_MAX && value <= AUTH_BODY_BYTES_MAX => {
                        Ok(State::Size { value, digits: digits + 1 })
                    }
                    _ => Err(Astray),
                }
            }
            (State::Size { value, digits: 1.. }, b'\r') => Ok(State::SizeEnd { value }),
            (State::SizeEnd { value: 0 }, b'\n') => Ok(State::ChunkEnd { last: true, cr: false }),
            (State::SizeEnd { value }, b'\n') => Ok(State::data(value, true)),
            (State::ChunkEnd { last, cr: false }, b'\r') => Ok(State::ChunkEnd { last, cr: true }),
            (State::ChunkEnd { last: false, cr: true }, b'\n') => Ok(State::size()),
            (State::ChunkEnd { last: true, cr: true }, b'\n') => Ok(State::Over),
            _ => Err(Astray),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// What these headers say of what comes behind them.
    fn framed(status_line: &str, headers: &[&str]) -> Option<Rest> {
        let mut framing = Framing::default();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        framing.status_line(format!("{status_line}\r\n").as_bytes(), status).ok()?;
        for header in headers {
            let (name, value) = header.split_once(':').unwrap_or((header, ""));
            let name = name.to_ascii_lowercase();
            framing.header(format!("{header}\r\n").as_bytes(), name.as_bytes(), value.trim().as_bytes());
        }
        framing.rest(b"\r\n", status)
    }

    /// How much of `octets` is taken before the rest is over, or that they lead astray.
    fn taken(mut rest: Rest, octets: &[u8]) -> Result<Option<usize>, Astray> {
        for (at, octet) in octets.iter().enumerate() {
            if rest.is_over() {
                return Ok(Some(at));
            }
            rest.receive(&[*octet])?;
        }
        Ok(rest.is_over().then_some(octets.len()))
    }

    const OK: &str = "HTTP/1.1 200 OK";

    #[test]
    fn an_answer_ends_where_it_says() {
        for (status, headers, body, end) in [
            (OK, &["Content-Length: 0"][..], "", Some(0)),
            (OK, &["Content-Length: 5", "Connection: Keep-Alive"], "hellomore", Some(5)),
            (OK, &["content-length:005"], "hell", None),
            ("HTTP/1.1 403 No", &["Content-Length: 1"], "x", Some(1)),
            ("HTTP/1.1 204 No Content", &[], "x", Some(0)),
            ("HTTP/1.1 304 Not Modified", &["Content-Length: 0"], "", Some(0)),
            (OK, &["Transfer-Encoding: Chunked"], "0\r\n\r\nx", Some(5)),
            (OK, &["Transfer-Encoding: chunked"], "5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n", Some(32)),
            (OK, &["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n", None),
        ] {
            let rest = framed(status, headers).unwrap_or_else(|| panic!("{status} {headers:?}"));
            assert_eq!(taken(rest, body.as_bytes()), Ok(end), "{status} {headers:?}");
        }
    }

    #[test]
    fn whatever_leaves_a_doubt_ends_the_connection() {
        for (status, headers) in [
            (OK, &[][..]),
            ("HTTP/1.0 200 OK", &["Content-Length: 0", "Connection: keep-alive"]),
            ("HTTP/1.10 200 OK", &["Content-Length: 0"]),
            ("HTTP/2 200", &["Content-Length: 0"]),
            ("HTTP/1.1 x", &["Content-Length: 0"]),
            ("HTTP/1.1 101 Switching", &["Content-Length: 0"]),
            (OK, &["Content-Length: 0", "Connection: close"]),
            (OK, &["Content-Length: 0", "Connection: keep-alive, close"]),
            (OK, &["Content-Length: 0", "Connection: Upgrade"]),
            (OK, &["Content-Length: 0", "Connection"]),
            (OK, &["Content-Length: 0", "X-Odd"]),
            (OK, &["Content-Length: 0", "Content-Length: 0"]),
            (OK, &["Content-Length: 0, 0"]),
            (OK, &["Content-Length: +0"]),
            (OK, &["Content-Length: -1"]),
            (OK, &["Content-Length: 0x0"]),
            (OK, &["Content-Length:"]),
            (OK, &["Content-Length: 65537"]),
            (OK, &["Content-Length: 99999999999999999999999"]),
            (OK, &["Content-Length: 0", "Transfer-Encoding: chunked"]),
            (OK, &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
            (OK, &["Transfer-Encoding: gzip, chunked"]),
            (OK, &["Transfer-Encoding: identity"]),
            ("HTTP/1.1 204 No Content", &["Transfer-Encoding: chunked"]),
            ("HTTP/1.1 304 Not Modified", &["Content-Length: 5"]),
        ] {
            assert_eq!(framed(status, headers), None, "{status} {headers:?}");
        }
        let mut framing = Framing::default();
        framing.status_line(b"HTTP/1.1 200 OK\n", Some(200)).unwrap();
        framing.header(b"Content-Length: 0\r\n", b"content-length", b"0");
        assert_eq!(framing.rest(b"\r\n", Some(200)), None, "a line end without CR");
        let mut framing = Framing::default();
        framing.status_line(b"HTTP/1.1 200 OK\r\n", Some(200)).unwrap();
        framing.header(b"Content-Length: 0\r\n", b"content-length", b"0");
        assert_eq!(framing.rest(b"\n", Some(200)), None, "an empty line without CR");
    }

    #[test]
    fn what_is_no_chunk_leads_astray() {
        let long = format!("10000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x10000));
        for body in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1;a=b\r\n",
            "1\n",
            "1\rx",
            "1\r\nxy",
            "1\r\nx\n",
            "0\r\nX-Trailer: a\r\n\r\n",
            "0\r\n\n",
            "10001\r\n",
            "00000000000000001\r\n",
            "fffffffffffffffff\r\n",
            &long,
        ] {
            let rest = framed(OK, &["Transfer-Encoding: chunked"]).unwrap();
            assert_eq!(taken(rest, body.as_bytes()), Err(Astray), "{:?}", body.get(..20));
        }
    }

    #[test]
    fn what_comes_behind_the_end_leads_astray() {
        for headers in [["Content-Length: 2"], ["Transfer-Encoding: chunked"]] {
            let mut rest = framed(OK, &headers).unwrap();
            let body = if headers == ["Content-Length: 2"] { "xx" } else { "2\r\nxx\r\n0\r\n\r\n" };
            assert_eq!(rest.clone().receive(format!("{body}H").as_bytes()), Err(Astray));
            assert_eq!(rest.receive(body.as_bytes()), Ok(()));
            assert!(rest.is_over());
            assert_eq!(rest.receive(b""), Ok(()));
            assert_eq!(rest.receive(b"H"), Err(Astray));
        }
    }

    /// A body in chunks, and how it looks on the wire.
    fn chunked() -> impl Strategy<Value = String> {
        prop::collection::vec("[0-9a-f\r\nHT/1. ]{1,40}", 0..8).prop_map(|chunks| {
            let chunks: Vec<_> =
                chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
            format!("{}0\r\n\r\n", chunks.concat())
        })
    }

    proptest! {
        /// Whatever is in the chunks, and however it is cut: the end is the end.
        #[test]
        fn a_chunked_body_ends_at_its_end_however_it_is_cut(body in chunked(), size in 1..9_usize) {
            let mut rest = framed(OK, &["Transfer-Encoding: chunked"]).unwrap();
            let mut pieces = body.as_bytes().chunks(size).peekable();
            while let Some(piece) = pieces.next() {
                prop_assert!(!rest.is_over());
                prop_assert_eq!(rest.receive(piece), Ok(()));
                prop_assert_eq!(rest.is_over(), pieces.peek().is_none());
            }
        }

        /// Whatever comes, it is either taken or leads astray, and more than is bounded is never taken.
        #[test]
        fn no_octets_are_beyond_it(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            for headers in [["Content-Length: 100"], ["Transfer-Encoding: chunked"]] {
                let mut rest = framed(OK, &headers).unwrap();
                if rest.receive(&octets).is_ok() {
                    prop_assert!(octets.len() <= 100 || headers != ["Content-Length: 100"]);
                }
            }
        }
    }
}
