//! How an auth server ends its answers, where connections may be kept: in any of the ways that HTTP has, the honest ones and those that
//! leave a doubt.

use std::time::Duration;

use crate::chance::Chance;

/// What a body says that somebody might take for an answer: it logs in whoever comes next, at a backend that there is not.
const BAIT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.66\r\nAuth-Port: 1\r\n\r\n";

/// How one answer goes.
#[derive(Debug)]
pub(super) struct Manner {
    /// What comes before the status line: an answer that only announces another.
    interim: &'static str,
    version: &'static str,
    /// What is said of the end.
    headers: String,
    body: String,
    /// How long the body comes behind the headers.
    pause: Duration,
    /// How long the connection is left open behind it all; none if for another question.
    pub(super) hangs_up: Option<Duration>,
}

impl Manner {
    pub(super) fn drawn(chance: &Chance) -> Self {
        let bait = BAIT.repeat(usize::from(chance.once_in(2)));
        let length = |body: &str| format!("Content-Length: {}\r\n", body.len());
        let chunks = || {
            let size = usize::try_from(1 + chance.below(60)).unwrap_or(1);
            let chunks = bait.as_bytes().chunks(size);
            let chunks =
                chunks.map(|chunk| format!("{:X}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
            format!("{}0\r\n\r\n", chunks.collect::<String>())
        };
        let now = Some(Duration::ZERO);
        let (version, headers, body, hangs_up) = match chance.below(8) {
            0..=2 => ("HTTP/1.1", length(&bait), bait, None),
            3 | 4 => ("HTTP/1.1", "Transfer-Encoding: chunked\r\n".to_owned(), chunks(), None),
            5 => ("HTTP/1.1", format!("{}Connection: close\r\n", length(&bait)), bait, now),
            6 => ("HTTP/1.1", String::new(), bait, now),
            _ => ("HTTP/1.0", length(&bait), bait, now),
        };
        // Whoever would take another question hangs up nevertheless, now and then, and may cross it.
        let hangs_up =
            hangs_up.or_else(|| chance.once_in(3).then(|| Duration::from_millis(chance.below(3000))));
        Self {
            interim: if chance.once_in(6) {
                "HTTP/1.1 103 Early Hints\r\nAuth-Status: OK\r\n\r\n"
            } else {
                ""
            },
            version,
            headers,
            body,
            pause: Duration::from_millis(chance.one_of(&[0, 0, 5, 100], 0)),
            hangs_up,
        }
    }

    /// The answer with these headers, up to the empty line.
    pub(super) fn head(&self, fields: &str) -> String {
        let Self { interim, version, headers, .. } = self;
        format!("{interim}{version} 200 OK\r\n{headers}{fields}\r\n")
    }

    /// What comes behind it, and when.
    pub(super) fn body(&self) -> (Duration, &str) {
        (self.pause, &self.body)
    }
}
