//! A stream whose owner thinks before saying anything.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Waits before each write that follows something read.
#[derive(Debug)]
pub struct Slow<S> {
    inner: S,
    pause: Option<Duration>,
    thinking: Option<Pin<Box<Sleep>>>,
    has_thought: bool,
}

impl<S> Slow<S> {
    /// Waits for so long, if at all.
    pub const fn new(inner: S, pause: Option<Duration>) -> Self {
        Self { inner, pause, thinking: None, has_thought: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Slow<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        this.has_thought = false;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Slow<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let (Some(pause), false) = (this.pause, this.has_thought) {
            let thinking = this.thinking.get_or_insert_with(|| Box::pin(sleep(pause)));
            std::task::ready!(thinking.as_mut().poll(cx));
            (this.thinking, this.has_thought) = (None, true);
        }
        Pin::new(&mut this.inner).poll_write(cx, octets)
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
    use tokio::io::AsyncWriteExt as _;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn it_thinks_once_before_it_speaks() {
        let (near, _far) = tokio::io::duplex(64);
        let mut near = Slow::new(near, Some(Duration::from_secs(2)));
        let begun = Instant::now();
        near.write_all(b"a").await.unwrap();
        near.write_all(b"b").await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
    }
}
