//! Auth servers that are not as they should be: towards whoever connects while they are so. None of them ever says that a password is
//! wrong, so that no client may hear that it was.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::chance::Chance;

/// What an auth server does to whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// What it should.
    Sound,
    /// What it should, after so long; on connections that are kept too.
    Slow(Duration),
    /// Says nothing.
    Silent,
    /// Hangs up when it is asked.
    HangsUp,
    /// Hangs up in the middle of its answer.
    Breaks,
    /// Says octets of chance.
    Babbles,
    /// Says headers without end.
    Rambles,
    /// Answers with this HTTP status, which is none of those that refuse a login.
    Status(u16),
    /// Says yes, and not where to.
    Nowhere,
    /// Says yes, and names a backend that is none.
    Nonsense,
    /// Says that it wants to be asked again later.
    Waits,
}

impl Mood {
    /// Any but the sound one.
    #[must_use]
    pub fn of(chance: &Chance) -> Self {
        // Of the slow ones some take longer than Gatepost waits for one of two.
        let slow = Self::Slow(Duration::from_millis(100 + chance.below(2900)));
        let moods = [
            slow,
            slow,
            slow,
            Self::Silent,
            Self::HangsUp,
            Self::Breaks,
            Self::Babbles,
            Self::Rambles,
            Self::Status(chance.one_of(&[400, 404, 500, 502, 503], 500)),
            Self::Nowhere,
            Self::Nonsense,
            Self::Waits,
        ];
        chance.one_of(&moods, Self::Sound)
    }

    /// How long it thinks about a question.
    #[must_use]
    pub const fn pace(self) -> Duration {
        match self {
            Self::Slow(pause) => pause,
            _ => Duration::ZERO,
        }
    }

    /// A word for it, to count by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sound => "auth server: sound",
            Self::Slow(_) => "auth server: is slow",
            Self::Silent => "auth server: is silent",
            Self::HangsUp => "auth server: hangs up",
            Self::Breaks => "auth server: breaks off",
            Self::Babbles => "auth server: says octets of chance",
            Self::Rambles => "auth server: says headers without end",
            Self::Status(_) => "auth server: answers by status",
            Self::Nowhere => "auth server: names no backend",
            Self::Nonsense => "auth server: names nonsense",
            Self::Waits => "auth server: wants to be asked again",
        }
    }

    /// Misbehaves on `stream` if the mood is bad. Otherwise the stream is handed back for an answer, at its [pace](Self::pace).
    ///
    /// # Errors
    ///
    /// The stream's own.
    pub async fn answer<S>(self, mut stream: S, chance: &Chance) -> io::Result<Option<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let answer = match self {
            Self::Sound | Self::Slow(_) => return Ok(Some(stream)),
            Self::Silent => {
                let mut octets = [0; 512];
                while stream.read(&mut octets).await? > 0 {}
                return Ok(None);
            }
            Self::HangsUp => Vec::new(),
            Self::Breaks => b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Ser".to_vec(),
            Self::Babbles => {
                let mut octets = vec![0; usize::try_from(1 + chance.below(9000)).unwrap_or(1)];
                chance.fill(&mut octets);
                octets
            }
            Self::Rambles => [&b"HTTP/1.0 200 OK\r\n"[..], &b"X-More: and more\r\n".repeat(4000)].concat(),
            Self::Status(status) => format!("HTTP/1.0 {status} So\r\nContent-Length: 0\r\n\r\n").into_bytes(),
            Self::Nowhere => b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n\r\n".to_vec(),
            Self::Nonsense => {
                b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 1.2.3\r\nAuth-Port: http\r\n\r\n"
                    .to_vec()
            }
            Self::Waits => b"HTTP/1.0 200 OK\r\nAuth-Status: WAIT\r\nAuth-Wait: 1\r\n\r\n".to_vec(),
        };
        hear_question(&mut stream).await?;
        stream.write_all(&answer).await?;
        stream.flush().await?;
        // What is not read when a stream is dropped resets it: that too is an end.
        Ok(None)
    }
}

/// Reads up to the empty line behind the headers, or to the end.
async fn hear_question<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut question = Vec::new();
    let mut octets = [0; 512];
    while !question.ends_with(b"\r\n\r\n") {
        match stream.read(&mut octets).await? {
            0 => break,
            read => question.extend_from_slice(octets.get(..read).unwrap_or_default()),
        }
    }
    Ok(())
}
