//! Full buffers: connections to certain addresses that take nothing for a while, and the streams that suffer it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::weigh::off_the_scales;

/// Whose buffers are full; and how many streams there are. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Jam(Rc<State>);

#[derive(Debug, Default)]
struct State {
    full: RefCell<BTreeSet<IpAddr>>,
    waiting: RefCell<Vec<Waker>>,
    streams: Cell<usize>,
}

impl Jam {
    /// From now on connections to `address` take nothing.
    pub fn block(&self, address: IpAddr) {
        self.0.full.borrow_mut().insert(address);
    }

    /// From now on they do again.
    pub fn clear(&self, address: IpAddr) {
        self.0.full.borrow_mut().remove(&address);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// How many streams there are.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.streams.get()
    }

    /// Puts a stream whose other end is at `address` under it.
    pub fn take<S>(&self, inner: S, address: IpAddr) -> Jammed<S> {
        self.0.streams.set(self.0.streams.get() + 1);
        Jammed { inner, address, jam: self.clone() }
    }

    fn poll_clear(&self, address: IpAddr, cx: &Context<'_>) -> Poll<()> {
        if !self.0.full.borrow().contains(&address) {
            return Poll::Ready(());
        }
        self.0.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

/// A stream that takes nothing while its other end's buffers are full.
#[derive(Debug)]
pub struct Jammed<S> {
    inner: S,
    address: IpAddr,
    jam: Jam,
}

impl<S> Drop for Jammed<S> {
    fn drop(&mut self) {
        self.jam.0.streams.set(self.jam.0.streams.get().saturating_sub(1));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Jammed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        off_the_scales(|| Pin::new(&mut self.inner).poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Jammed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.jam.poll_clear(self.address, cx));
        off_the_scales(|| Pin::new(&mut self.inner).poll_write(cx, octets))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // FIN needs no room.
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::time::{Duration, timeout};

    #[tokio::test(start_paused = true)]
    async fn what_waits_goes_on_when_the_jam_is_over() {
        let (near, _far) = tokio::io::duplex(64);
        let (jam, address) = (Jam::default(), IpAddr::from([192, 0, 2, 1]));
        let mut near = jam.take(near, address);
        jam.block(address);
        assert!(timeout(Duration::from_secs(1), near.write_all(b"x")).await.is_err());
        jam.clear(address);
        near.write_all(b"x").await.unwrap();
        assert_eq!(jam.streams(), 1);
        drop(near);
        assert_eq!(jam.streams(), 0);
    }
}
