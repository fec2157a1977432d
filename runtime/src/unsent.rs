//! What a stream would not take yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gatepost_core::Payload;
use tokio::io::AsyncWrite;

/// The most pieces that go out in one write.
const SLICES_MAX: usize = 8;

/// Octets on their way out, oldest first. A piece is dropped, and a secret one thereby wiped, as soon as it is
/// written; an empty queue owns no memory. Whoever fills it bounds it, by not reading more while it is not empty.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    pieces: VecDeque<Payload>,
    /// How much of the first piece is written.
    written: usize,
    /// Whether something was written that is not flushed.
    unflushed: bool,
}

impl Unsent {
    /// Appends.
    pub(crate) fn push(&mut self, piece: Payload) {
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Whether all of it is written and flushed.
    pub(crate) fn is_done(&self) -> bool {
        self.pieces.is_empty() && !self.unflushed
    }

    /// Whether nothing waits to be written, though it may wait to be flushed.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Notes that someone wrote past this queue, and that a flush is due.
    pub(crate) fn note_written(&mut self) {
        self.unflushed = true;
    }

    /// Writes as much as `stream` takes now and tells how many octets that were; `Pending` if it takes none. Ready
    /// with 0 only if there is nothing left.
    ///
    /// Pieces go out together in one system call, or one TLS record, where the stream can do that.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut skip = self.written;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece.expose().get(skip..).unwrap_or_default());
            skip = 0;
        }
        let count = self.pieces.len().min(SLICES_MAX);
        let slices = slices.get(..count).unwrap_or_default();
        let octets = match ready!(Pin::new(stream).poll_write_vectored(cx, slices))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            octets => octets,
        };
        self.advance(octets);
        self.unflushed = true;
        Poll::Ready(Ok(octets))
    }

    /// Flushes if anything was written since the last time.
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes and flushes all of it.
    pub(crate) fn poll_finish<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            ready!(self.poll_write(stream, cx))?;
        }
        self.poll_flush(stream, cx)
    }

    fn advance(&mut self, octets: usize) {
        self.written += octets;
        while let Some(first) = self.pieces.front().map(|piece| piece.expose().len()) {
            if first > self.written {
                return;
            }
            self.written -= first;
            self.pieces.pop_front();
        }
        self.pieces = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use gatepost_core::Secret;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn pieces_arrive_in_order_through_a_narrow_stream() {
        let (mut near, mut far) = tokio::io::duplex(3);
        let mut unsent = Unsent::default();
        let mut expected = Vec::new();
        for n in 0..20u8 {
            let piece = vec![n; usize::from(n)];
            expected.extend_from_slice(&piece);
            unsent.push(match n % 2 {
                0 => Payload::Secret(Secret::from(piece)),
                _ => Payload::Public(Bytes::from(piece)),
            });
        }
        let mut heard = vec![0; expected.len()];
        let (sent, read) =
            tokio::join!(poll_fn(|cx| unsent.poll_finish(&mut near, cx)), far.read_exact(&mut heard));
        sent.expect("all is sent");
        read.expect("all is read");
        assert_eq!(heard, expected);
        assert!(unsent.is_done());
        assert_eq!(unsent.pieces.capacity(), 0, "an empty queue owns memory");
    }
}
