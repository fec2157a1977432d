//! A stream read by lines and by octets.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Outcome;

/// No line of these dialogues is longer.
const LINE_MAX: usize = 8192;

/// Anything that carries octets both ways.
pub(crate) trait Octets: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Octets for S {}

/// One end of a dialogue.
pub(crate) struct Talk {
    stream: Box<dyn Octets>,
    read: Vec<u8>,
}

impl Talk {
    pub(crate) fn new(stream: impl Octets + 'static) -> Self {
        Self { stream: Box::new(stream), read: Vec::new() }
    }

    /// The stream itself, and what was read from it and not taken yet.
    pub(crate) fn into_parts(self) -> (Box<dyn Octets>, Vec<u8>) {
        (self.stream, self.read)
    }

    pub(crate) async fn say(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(octets.as_ref()).await?;
        self.stream.flush().await
    }

    /// The next line without its end; nothing where the other side has said its last word.
    pub(crate) async fn line(&mut self) -> Outcome<Option<String>> {
        loop {
            if let Some(end) = self.read.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.read.len() > LINE_MAX {
                return Err("a line without an end".into());
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return match self.read.is_empty() {
                    true => Ok(None),
                    false => Err("the other side left within a line".into()),
                };
            }
        }
    }

    /// The next line, which begins with `start`.
    pub(crate) async fn expect(&mut self, start: &str) -> Outcome<String> {
        match self.line().await? {
            Some(line) if line.starts_with(start) => Ok(line),
            Some(line) => Err(format!("expected {start:?}, got {line:?}").into()),
            None => Err(format!("expected {start:?}, but the other side left").into()),
        }
    }

    /// The last line of a reply of one or more, all of which begin with the three digits `code` (RFC 5321, 4.2.1).
    pub(crate) async fn expect_reply(&mut self, code: &str) -> Outcome<()> {
        while self.expect(code).await?.as_bytes().get(3) == Some(&b'-') {}
        Ok(())
    }

    /// Exactly `count` octets, handed over in pieces as they come, with how many came before.
    pub(crate) async fn octets(
        &mut self,
        count: u64,
        mut take: impl FnMut(u64, &[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut room = vec![0; 256 * 1024];
        let mut done = 0;
        while done < count {
            if self.read.is_empty() {
                let most = usize::try_from(count - done).unwrap_or(usize::MAX).min(room.len());
                let (piece, _) = room.split_at_mut(most);
                match self.stream.read(piece).await? {
                    0 => return Err(format!("{done} of {count} octets, and the other side left").into()),
                    length => {
                        take(done, piece.get(..length).unwrap_or_default())?;
                        done += length as u64;
                    }
                }
            } else {
                let most = usize::try_from(count - done).unwrap_or(usize::MAX).min(self.read.len());
                let piece: Vec<u8> = self.read.drain(..most).collect();
                take(done, &piece)?;
                done += piece.len() as u64;
            }
        }
        Ok(())
    }

    /// Waits for the other side's last word; anything before it is a mistake.
    pub(crate) async fn expect_end(&mut self) -> Outcome<()> {
        match self.line().await {
            Ok(None) => Ok(()),
            Ok(Some(line)) => Err(format!("expected the end, got {line:?}").into()),
            Err(error) => Err(error),
        }
    }
}
