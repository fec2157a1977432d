//! What of a stream has been read before anybody asked for it, in a buffer of the thread's that is lent for as long as there is any.
//!
//! TLS asks for 4 KiB at a time, a quarter of a record, and would pay a system call for each. Here a read brings as much as four
//! records have, and a stream on which nothing waits owns nothing.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// The most that is read at a time.
const ROOM_BYTES: usize = 64 * 1024;

/// Buffers of a thread that have something in them. A stream whose octets are not wanted now keeps its buffer; while so many are
/// kept, others read no more than they are asked for.
const LENT_MAX: usize = 32;

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers { spare: Vec::new(), lent: 0 }) };
}

/// The buffers of a thread.
struct Buffers {
    /// Never more than were lent at a time.
    spare: Vec<Box<[u8]>>,
    lent: usize,
}

/// Octets that have been read and not been asked for. None own no memory.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Option<Box<Lent>>);

#[derive(Debug)]
struct Lent {
    room: Box<[u8]>,
    /// Where those begin that have not been asked for, and where they end.
    begin: usize,
    end: usize,
}

impl Ahead {
    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Hands over as many as `buffer` has room for.
    pub(crate) fn show(&mut self, buffer: &mut ReadBuf<'_>) {
        let Some(lent) = &mut self.0 else { return };
        let waiting = lent.room.get(lent.begin..lent.end).unwrap_or_default();
        let count = waiting.len().min(buffer.remaining());
        buffer.put_slice(waiting.get(..count).unwrap_or_default());
        lent.begin += count;
        self.give_back_if_empty();
    }

    /// Reads what `stream` has, which may be its end: into `buffer`, and what is more than that, ahead. To be asked only if nothing was
    /// read ahead. Returns how much there was.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.remaining();
        self.borrow();
        let Some(lent) = &mut self.0 else {
            ready!(Pin::new(stream).poll_read(cx, buffer))?;
            return Poll::Ready(Ok(before - buffer.remaining()));
        };
        let mut room = ReadBuf::new(&mut lent.room);
        let read = Pin::new(stream).poll_read(cx, &mut room);
        let count = room.filled().len();
        (lent.begin, lent.end) = (0, count);
        self.show(buffer);
        self.give_back_if_empty();
        ready!(read)?;
        Poll::Ready(Ok(count))
    }

    /// Gets hold of a buffer, unless too many are in use.
    fn borrow(&mut self) {
        self.0 = BUFFERS.with_borrow_mut(|buffers| {
            if buffers.lent >= LENT_MAX {
                return None;
            }
            buffers.lent += 1;
            let room = buffers.spare.pop().unwrap_or_else(|| vec![0; ROOM_BYTES].into());
            Some(Box::new(Lent { room, begin: 0, end: 0 }))
        });
    }

    /// Parts with the buffer if nothing is left in it.
    fn give_back_if_empty(&mut self) {
        if self.0.as_ref().is_some_and(|lent| lent.begin >= lent.end) {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(lent) = self.0.take() {
            // A thread that ends takes its buffers with it.
            let _ = BUFFERS.try_with(|buffers| {
                let mut buffers = buffers.borrow_mut();
                buffers.lent = buffers.lent.saturating_sub(1);
                buffers.spare.push(lent.room);
            });
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// How many buffers of this thread are in use, and how many are spare.
    fn buffers() -> (usize, usize) {
        BUFFERS.with_borrow(|buffers| (buffers.lent, buffers.spare.len()))
    }

    /// Octets of which each tells its place.
    fn octets(count: u32) -> Vec<u8> {
        (0..count).map(|place| (place % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_was_read_is_shown_in_order_and_then_the_buffer_is_anothers() {
        let all = octets(150_000);
        let (mut source, mut ahead, mut shown, mut reads) = (&all[..], Ahead::default(), Vec::new(), 0);
        loop {
            let mut room = [0; 1000];
            let mut buffer = ReadBuf::new(&mut room);
            if ahead.is_empty() {
                reads += 1;
                let read = poll_fn(|cx| ahead.poll_read(&mut source, cx, &mut buffer)).await;
                assert!(read.expect("octets") <= ROOM_BYTES);
            } else {
                ahead.show(&mut buffer);
            }
            if buffer.filled().is_empty() {
                break;
            }
            shown.extend_from_slice(buffer.filled());
        }
        assert!(shown == all, "other octets than there were");
        // The last one is told of the end.
        assert_eq!((reads, buffers()), (4, (0, 1)));
    }

    #[tokio::test]
    async fn whoever_is_dropped_or_has_to_wait_keeps_no_buffer() {
        let mut ahead = Ahead::default();
        let mut room = [0; 10];
        let all = octets(100);
        let mut source = &all[..];
        let mut buffer = ReadBuf::new(&mut room);
        let read = poll_fn(|cx| ahead.poll_read(&mut source, cx, &mut buffer)).await;
        assert_eq!((read.expect("octets"), buffers()), (100, (1, 0)));
        drop(ahead);
        assert_eq!(buffers(), (0, 1));
        let (_far, mut silent) = tokio::io::duplex(10);
        let mut ahead = Ahead::default();
        buffer.clear();
        let waits = poll_fn(|cx| Poll::Ready(ahead.poll_read(&mut silent, cx, &mut buffer).is_pending()));
        assert!(waits.await);
        assert_eq!((ahead.is_empty(), buffers()), (true, (0, 1)));
    }

    #[tokio::test]
    async fn where_too_many_are_in_use_no_more_is_read_than_was_asked_for() {
        let mut kept: Vec<Ahead> = (0..LENT_MAX).map(|_| Ahead::default()).collect();
        kept.iter_mut().for_each(Ahead::borrow);
        let (all, mut ahead, mut room) = (octets(100), Ahead::default(), [0; 10]);
        let mut source = &all[..];
        let mut buffer = ReadBuf::new(&mut room);
        let read = poll_fn(|cx| ahead.poll_read(&mut source, cx, &mut buffer)).await;
        assert_eq!((read.expect("octets"), source.len(), ahead.is_empty()), (10, 90, true));
        drop(kept);
        assert_eq!(buffers(), (0, LENT_MAX));
    }
}
