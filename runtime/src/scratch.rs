//! One read buffer a thread, lent to whichever stream has something to say, so that a waiting session owns none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroize;

/// A TLS record's worth.
pub(crate) const SCRATCH_BYTES: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// What was read last on this thread. To be looked at before anything else is read, hence never across an await.
#[derive(Debug)]
#[must_use]
pub(crate) struct Filled {
    octets: usize,
}

impl Filled {
    /// How many octets were read; none at the end of the stream.
    pub(crate) fn len(&self) -> usize {
        self.octets
    }

    /// Shows the octets, then wipes them: before login they may hold a password.
    pub(crate) fn show_and_wipe<T>(self, show: impl FnOnce(&[u8]) -> T) -> T {
        SCRATCH.with_borrow_mut(|scratch| {
            let filled = scratch.get_mut(..self.octets).unwrap_or_default();
            let shown = show(filled);
            filled.zeroize();
            shown
        })
    }

    /// Shows the octets and leaves them to be overwritten by the next read.
    pub(crate) fn show<T>(self, show: impl FnOnce(&[u8]) -> T) -> T {
        SCRATCH.with_borrow(|scratch| show(scratch.get(..self.octets).unwrap_or_default()))
    }
}

/// Reads at most `limit` octets, and never more than [`SCRATCH_BYTES`], into the thread's buffer.
pub(crate) fn poll_read<R: AsyncRead + Unpin>(
    reader: &mut R,
    cx: &mut Context<'_>,
    limit: usize,
) -> Poll<io::Result<Filled>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let room = scratch.get_mut(..limit.min(SCRATCH_BYTES)).unwrap_or_default();
        let mut buffer = ReadBuf::new(room);
        ready!(Pin::new(reader).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(Filled { octets: buffer.filled().len() }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use crate::stream::Stream;

    #[tokio::test]
    async fn what_was_shown_once_is_wiped() {
        let mut stream = &b"PASS hunter2\r\n"[..];
        let filled = poll_fn(|cx| poll_read(&mut stream, cx, 4096)).await.expect("octets");
        assert_eq!(filled.len(), 14);
        filled.show_and_wipe(|octets| assert_eq!(octets, b"PASS hunter2\r\n"));
        SCRATCH.with_borrow(|scratch| assert!(scratch.iter().all(|&octet| octet == 0)));
    }

    #[tokio::test]
    async fn what_a_client_says_too_late_is_wiped_unread() {
        let (mut client, near) = tokio::io::duplex(64);
        client.write_all(b"PASS hunter2\r\n").await.expect("said");
        client.shutdown().await.expect("said");
        Stream::Plain(near).hang_up(gatepost_core::Lingering::default()).await;
        SCRATCH.with_borrow(|scratch| assert!(scratch.iter().all(|&octet| octet == 0)));
    }

    #[tokio::test]
    async fn no_read_exceeds_its_limit() {
        let mut stream = &[7; 100_000][..];
        let filled = poll_fn(|cx| poll_read(&mut stream, cx, 10)).await.expect("octets");
        assert_eq!(filled.len(), 10);
        let filled = poll_fn(|cx| poll_read(&mut stream, cx, usize::MAX)).await.expect("octets");
        assert_eq!(filled.len(), SCRATCH_BYTES);
    }
}
