//! A stream that breaks once so many octets were read from it: somebody who dies in the middle of something.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Breaks when it has been read far enough.
#[derive(Debug)]
pub struct Frail<S> {
    inner: S,
    octets_left: usize,
    /// Whether it falls silent instead of breaking.
    silent: bool,
}

impl<S> Frail<S> {
    /// Breaks, or falls `silent` for ever, once `octets` were read.
    pub const fn new(inner: S, octets: usize, silent: bool) -> Self {
        Self { inner, octets_left: octets, silent }
    }

    /// Does not break.
    pub const fn strong(inner: S) -> Self {
        Self::new(inner, usize::MAX, false)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frail<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match (this.octets_left, this.silent) {
            (0, false) => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            // Nobody is woken: this party does nothing any more until its host begins anew or the world ends.
            (0, true) => return Poll::Pending,
            _ => {}
        }
        let mut shorter = ReadBuf::new(buf.initialize_unfilled_to(this.octets_left.min(buf.remaining())));
        std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, &mut shorter))?;
        let octets = shorter.filled().len();
        this.octets_left = this.octets_left.saturating_sub(octets);
        buf.advance(octets);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frail<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn it_breaks_behind_the_last_octet_and_not_before() {
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(b"12345").await.unwrap();
        let mut far = Frail::new(far, 3, false);
        let mut octets = [0; 3];
        far.read_exact(&mut octets).await.unwrap();
        assert_eq!(&octets, b"123");
        assert!(far.read(&mut octets).await.is_err());
    }
}
