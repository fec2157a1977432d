//! A conversation over a stream: lines and octets in, octets out, and an ear that may listen.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::dialogue::Ear;

/// The longest line a party of the made-up world takes, in octets with its end.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// A stream read by lines.
#[derive(Debug)]
pub struct Talk<S> {
    stream: S,
    unread: BytesMut,
    ear: Ear,
    connected: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// From the side of the one who connected.
    pub fn calling(stream: S, ear: Ear) -> Self {
        Self { stream, unread: BytesMut::new(), ear, connected: true }
    }

    /// From the side of the one who accepted.
    pub fn answering(stream: S, ear: Ear) -> Self {
        Self { stream, unread: BytesMut::new(), ear, connected: false }
    }

    /// The next line with its end, or `None` where the stream ends between two lines.
    ///
    /// # Errors
    ///
    /// The stream's own; a line longer than [`LINE_BYTES_MAX`]; an end within a line.
    pub async fn raw_line(&mut self) -> io::Result<Option<Bytes>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.unread.iter().skip(searched).position(|&octet| octet == b'\n') {
                let line = self.unread.split_to(searched + at + 1).freeze();
                self.ear.hear(!self.connected, &line);
                return Ok(Some(line));
            }
            searched = self.unread.len();
            if searched >= LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "line too long"));
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return match searched {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Like [`Self::raw_line`], without CR LF or LF.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn line(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.raw_line().await?.map(|line| {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            line.slice_ref(text.strip_suffix(b"\r").unwrap_or(text))
        }))
    }

    /// Exactly `count` octets. The ear hears them as lines.
    ///
    /// # Errors
    ///
    /// The stream's own, its end included.
    pub async fn octets(&mut self, count: usize) -> io::Result<Bytes> {
        while self.unread.len() < count {
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let octets = self.unread.split_to(count).freeze();
        octets.split_inclusive(|&octet| octet == b'\n').for_each(|line| self.ear.hear(!self.connected, line));
        Ok(octets)
    }

    /// Says `octets`, all of them, and flushes.
    ///
    /// # Errors
    ///
    /// The stream's own.
    pub async fn say(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        let octets = octets.as_ref();
        octets.split_inclusive(|&octet| octet == b'\n').for_each(|line| self.ear.hear(self.connected, line));
        self.stream.write_all(octets).await?;
        self.stream.flush().await
    }

    /// Says that nothing more will come, and still listens.
    ///
    /// # Errors
    ///
    /// The stream's own.
    pub async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Hangs up in an orderly way: says that nothing more will come, then hears the other side out, unless that is gone
    /// already.
    ///
    /// # Errors
    ///
    /// The stream's own, other than that.
    pub async fn hang_up(mut self) -> io::Result<()> {
        if self.stream.shutdown().await.is_err() {
            return Ok(());
        }
        loop {
            self.unread.clear();
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // A peer that has closed both ways answers our FIN so.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the other side has said something that nobody has read yet.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.unread.has_remaining()
    }

    /// The bare stream and the ear, for another conversation on top of it. What was not read is gone; see
    /// [`Self::has_unread`].
    pub fn into_parts(self) -> (S, Ear) {
        (self.stream, self.ear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_and_octets_come_out_as_they_went_in() {
        let (near, far) = tokio::io::duplex(3);
        let mut near = Talk::calling(near, Ear::default());
        let mut far = Talk::answering(far, Ear::default());
        let saying = tokio::spawn(async move { near.say("a\r\nb\nxyz\r\n").await.map(|()| near) });
        assert_eq!(far.line().await.unwrap().unwrap(), "a");
        assert_eq!(far.raw_line().await.unwrap().unwrap(), "b\n");
        assert_eq!(far.octets(3).await.unwrap(), "xyz");
        assert_eq!(far.line().await.unwrap().unwrap(), "");
        drop(saying.await.unwrap().unwrap());
        assert_eq!(far.line().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused_at_the_bound() {
        let (mut near, far) = tokio::io::duplex(LINE_BYTES_MAX * 2);
        near.write_all(&vec![b'x'; LINE_BYTES_MAX]).await.unwrap();
        let refused = Talk::answering(far, Ear::default()).line().await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
