//! Backends that are not as they should be: towards whoever connects while they are so.

use std::io;
use std::time::Duration;

use gatepost_core::Protocol;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::frail::Frail;

/// What a backend does to whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// What it should.
    Sound,
    /// Hangs up.
    HangsUp,
    /// Says nothing.
    Silent,
    /// Says that it is too busy, and hangs up.
    Busy,
    /// Greets, and says nothing more.
    Stops,
    /// Falls silent for ever, or is gone, once it has read so many octets.
    Dies(usize),
    /// Says octets of chance.
    Babbles,
    /// Says a line that does not end.
    Rambles,
    /// Says lines that mean nothing, without end.
    Repeats,
    /// Knows nobody's password.
    Forgets,
    /// Where it agrees to STARTTLS, says more in the same breath.
    Smuggles,
}

/// How much one that does not stop says.
const ENDLESS_BYTES: usize = 192 * 1024;

impl Mood {
    /// Any but the sound one.
    #[must_use]
    pub fn of(chance: &Chance) -> Self {
        let dies = Self::Dies(usize::try_from(chance.below(400)).unwrap_or(0));
        let moods = [
            Self::HangsUp,
            Self::Silent,
            Self::Busy,
            Self::Stops,
            dies,
            dies,
            Self::Babbles,
            Self::Rambles,
            Self::Repeats,
            Self::Forgets,
            Self::Smuggles,
        ];
        chance.one_of(&moods, Self::Sound)
    }

    /// A word for it, to count by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sound => "backend: sound",
            Self::HangsUp => "backend: hangs up",
            Self::Silent => "backend: is silent",
            Self::Busy => "backend: is busy",
            Self::Stops => "backend: stops behind its greeting",
            Self::Dies(_) => "backend: dies on the way",
            Self::Babbles => "backend: says octets of chance",
            Self::Rambles => "backend: says a line without end",
            Self::Repeats => "backend: says lines without end",
            Self::Forgets => "backend: knows no password",
            Self::Smuggles => "backend: says more behind STARTTLS",
        }
    }

    /// Misbehaves on `stream` if the mood is one that needs no mail server. Otherwise the stream is handed back for one.
    ///
    /// # Errors
    ///
    /// The stream's own.
    pub async fn greet<S>(
        self,
        protocol: Protocol,
        mut stream: S,
        chance: &Chance,
    ) -> io::Result<Option<Frail<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self {
            Self::Sound | Self::Forgets | Self::Smuggles => return Ok(Some(Frail::strong(stream))),
            Self::Dies(octets) => return Ok(Some(Frail::new(stream, octets, chance.once_in(2)))),
            Self::HangsUp => return Ok(None),
            Self::Silent => {}
            Self::Busy => {
                let word: &[u8] = match protocol {
                    Protocol::Imap => b"* BYE too busy\r\n",
                    Protocol::Pop3 => b"-ERR [SYS/TEMP] too busy\r\n",
                    Protocol::Smtp => b"421 4.3.2 too busy\r\n",
                };
                stream.write_all(word).await?;
                return Ok(None);
            }
            Self::Stops => stream.write_all(greeting(protocol)).await?,
            Self::Babbles => {
                let mut octets = vec![0; usize::try_from(1 + chance.below(9000)).unwrap_or(1)];
                chance.fill(&mut octets);
                stream.write_all(&octets).await?;
            }
            Self::Rambles | Self::Repeats => {
                stream.write_all(greeting(protocol)).await?;
                let words: &[u8] = match (self, protocol) {
                    (Self::Rambles, _) => &[b'x'; 64],
                    (_, Protocol::Imap) => b"* OK still here\r\n",
                    (_, Protocol::Pop3) => b"+OK still here\r\n",
                    (_, Protocol::Smtp) => b"250-still here\r\n",
                };
                for _ in 0..ENDLESS_BYTES / words.len() {
                    stream.write_all(words).await?;
                    sleep(Duration::from_millis(1)).await;
                }
            }
        }
        hear_out(&mut stream).await?;
        Ok(None)
    }
}

/// The line that a server of this protocol begins with.
pub(super) const fn greeting(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Imap => b"* OK IMAP ready\r\n",
        Protocol::Pop3 => b"+OK POP3 ready\r\n",
        Protocol::Smtp => b"220 backend ESMTP\r\n",
    }
}

/// Hears the other side out to its end.
async fn hear_out<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut octets = [0; 512];
    while stream.read(&mut octets).await? > 0 {}
    Ok(())
}
