//! One read buffer a thread, lent to whichever stream has something to say, so that a waiting session owns none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroize;

/// Four TLS records' worth: as much as is written with one system call under TLS.
pub(crate) const SCRATCH_BYTES: usize = 64 * 1024;

/// How far from the beginning of its memory it begins. TLS copies from here to right behind the five octets that begin a record. Where
/// both pieces of memory begin with a page, as large ones do, copying forward by so little, modulo a page, takes processors
/// of AMD's thirty times as long (`rep movsb`, which the C library copies much with).
const SKEW_BYTES: usize = 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch(vec![0; SKEW_BYTES + SCRATCH_BYTES].into()));
}

/// Makes this thread's buffer, unless it is there.
pub(crate) fn prepare() {
    SCRATCH.with(|_| ());
}

struct Scratch(Box<[u8]>);

impl Scratch {
    /// The first so many octets of it.
    fn first(&self, octets: usize) -> &[u8] {
        self.0.get(SKEW_BYTES..).and_then(|scratch| scratch.get(..octets)).unwrap_or_default()
    }

    fn first_mut(&mut self, octets: usize) -> &mut [u8] {
        self.0.get_mut(SKEW_BYTES..).and_then(|scratch| scratch.get_mut(..octets)).unwrap_or_default()
    }
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
            let filled = scratch.first_mut(self.octets);
            let shown = show(filled);
            filled.zeroize();
            shown
        })
    }

    /// Shows the octets and leaves them to be overwritten by the next read.
    pub(crate) fn show<T>(self, show: impl FnOnce(&[u8]) -> T) -> T {
        SCRATCH.with_borrow(|scratch| show(scratch.first(self.octets)))
    }
}

/// Reads at most `limit` octets, and never more than [`SCRATCH_BYTES`], into the thread's buffer.
pub(crate) fn poll_read<R: AsyncRead + Unpin>(
    reader: &mut R,
    cx: &mut Context<'_>,
    limit: usize,
) -> Poll<io::Result<Filled>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch.first_mut(limit.min(SCRATCH_BYTES)));
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
        SCRATCH.with_borrow(|scratch| assert!(scratch.0.iter().all(|&octet| octet == 0)));
    }

    #[tokio::test]
    async fn what_a_client_says_too_late_is_wiped_unread() {
        let (mut client, near) = tokio::io::duplex(64);
        client.write_all(b"PASS hunter2\r\n").await.expect("said");
        client.shutdown().await.expect("said");
        Stream::Plain(near).hang_up(gatepost_core::Lingering::default()).await;
        SCRATCH.with_borrow(|scratch| assert!(scratch.0.iter().all(|&octet| octet == 0)));
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
