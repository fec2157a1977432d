//! A stream as TLS begins on it: something of it may have been read too early, and what is written in a row goes out together.
//!
//! A handshake ends with tickets, behind which the first octets under TLS go: one write and one segment for both, instead of two.
//! And where more comes than TLS asks for, it is read in large pieces.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::ahead::Ahead;

/// A stream that is read again from where something begins. Once the beginning is over it is the stream beneath, and takes no memory
/// beside it.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    beginning: Option<Box<Beginning>>,
    ahead: Ahead,
    /// In a relay: whether the last read brought all that there was room for, or more. More of the same is likely then, and it pays to
    /// read ahead. Before that a stream holds no more than it was asked for, whatever the other side sends.
    bulk: Option<bool>,
    /// Whether something was written to the stream beneath since someone last asked.
    sent: bool,
    stream: S,
}

/// What is not as it is beneath.
#[derive(Debug, Default)]
struct Beginning {
    /// Still to be read again.
    first: Bytes,
    /// Written, and held back until more follows, or something is to be read.
    held: Vec<u8>,
    /// Whether what is written is held back.
    gathers: bool,
}

impl Beginning {
    fn is_over(&self) -> bool {
        !self.gathers && self.held.is_empty() && self.first.is_empty()
    }
}

impl<S> Rewound<S> {
    /// `first`, then what is still to come from `stream`.
    pub(crate) fn new(first: Bytes, stream: S) -> Self {
        let beginning = Beginning { first, ..Beginning::default() };
        let beginning = (!beginning.is_over()).then(|| Box::new(beginning));
        Self { beginning, ahead: Ahead::default(), bulk: None, sent: false, stream }
    }

    /// The same, where what is written is held back, flushed or not, until something is read, which is how the steps of a handshake
    /// follow on each other; until [`Rewound::let_go`]. It is as much as the other side may be sent before it answers.
    pub(crate) fn gathering(mut self) -> Self {
        self.beginning.get_or_insert_default().gathers = true;
        self
    }

    /// Holds nothing back any more: what is held goes with what is written next, or with a flush.
    pub(crate) fn let_go(&mut self) {
        if let Some(beginning) = &mut self.beginning {
            beginning.gathers = false;
        }
        self.look_if_over();
    }

    /// From now on where much comes it is read ahead.
    pub(crate) fn expect_bulk(&mut self) {
        self.bulk.get_or_insert(false);
    }

    /// Whether something was written to the stream beneath since this was last asked.
    pub(crate) fn has_sent(&mut self) -> bool {
        std::mem::take(&mut self.sent)
    }

    /// Lets go of memory: the stream may live for days.
    fn look_if_over(&mut self) {
        if self.beginning.as_ref().is_some_and(|beginning| beginning.is_over()) {
            self.beginning = None;
        }
    }

    /// The stream beneath, as it is.
    pub(crate) const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The same, for what is neither reading nor writing.
    pub(crate) const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream beneath, without what of the beginning was not read again, or not written, and without what was read ahead.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncWrite + Unpin> Rewound<S> {
    /// Writes what is held back, and as much of `slices` behind it as there is room for. Returns how much of these.
    fn poll_write_behind(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while let Some(Beginning { held, .. }) = self.beginning.as_deref_mut()
            && !held.is_empty()
        {
            let behind = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            let both = [IoSlice::new(held), IoSlice::new(behind)];
            let both = if behind.is_empty() { &both[..1] } else { &both[..] };
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, both))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = true;
            let more = written.saturating_sub(held.len());
            held.drain(..written.min(held.len()));
            self.look_if_over();
            if more > 0 {
                return Poll::Ready(Ok(more));
            }
        }
        let written = match slices {
            [] => 0,
            [only] => ready!(Pin::new(&mut self.stream).poll_write(cx, only))?,
            _ => ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?,
        };
        self.sent |= written > 0;
        Poll::Ready(Ok(written))
    }

    /// Where what is written is held back, that.
    fn gatherer(&mut self) -> Option<&mut Vec<u8>> {
        self.beginning
            .as_deref_mut()
            .filter(|beginning| beginning.gathers)
            .map(|beginning| &mut beginning.held)
    }
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    /// Reads what comes behind the beginning.
    fn poll_read_on(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            self.ahead.show(buffer);
            return Poll::Ready(Ok(()));
        }
        let room = buffer.remaining();
        let count = match self.bulk {
            Some(true) => ready!(self.ahead.poll_read(&mut self.stream, cx, buffer))?,
            Some(false) | None => {
                ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
                room - buffer.remaining()
            }
        };
        self.bulk = self.bulk.map(|_| count >= room);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.beginning.is_none() {
            return self.poll_read_on(cx, buffer);
        }
        // The other side may wait for it.
        ready!(self.poll_write_behind(cx, &[]))?;
        let Some(Beginning { first, .. }) =
            self.beginning.as_deref_mut().filter(|it| it.first.has_remaining())
        else {
            return self.poll_read_on(cx, buffer);
        };
        let count = first.len().min(buffer.remaining());
        buffer.put_slice(&first.split_to(count));
        self.look_if_over();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(held) = self.gatherer() {
            held.extend_from_slice(octets);
            return Poll::Ready(Ok(octets.len()));
        }
        self.poll_write_behind(cx, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(held) = self.gatherer() {
            slices.iter().for_each(|slice| held.extend_from_slice(slice));
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        self.poll_write_behind(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gatherer().is_some() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_write_behind(cx, &[]))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_behind(cx, &[]))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn what_was_read_too_early_comes_first_and_nothing_twice() {
        let (mut far, near) = duplex(64);
        far.write_all(b"and late").await.expect("said");
        drop(far);
        let mut stream = Rewound::new(Bytes::from_static(b"early "), near);
        let mut start = [0; 4];
        stream.read_exact(&mut start).await.expect("octets");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.expect("octets");
        assert_eq!((&start[..], &rest[..]), (&b"earl"[..], "y and late"));
        assert!(stream.beginning.is_none());
    }

    #[tokio::test]
    async fn before_a_relay_nothing_is_read_that_was_not_asked_for() {
        let (mut far, near) = duplex(100_000);
        far.write_all(&[7; 90_000]).await.expect("said");
        let mut stream = Rewound::new(Bytes::new(), near);
        for _ in 0..20 {
            assert_eq!(stream.read(&mut [0; 4096]).await.expect("octets"), 4096);
            assert!(stream.ahead.is_empty());
        }
    }

    /// As TLS reads: so much at a time.
    #[tokio::test]
    async fn where_more_comes_than_is_asked_for_it_is_read_in_large_pieces_and_comes_in_order() {
        let (mut far, near) = duplex(100_000);
        let octets: Vec<u8> = (0..90_000_u32).map(|place| (place % 251) as u8).collect();
        let mut stream = Rewound::new(Bytes::from_static(b"first"), near);
        stream.expect_bulk();
        far.write_all(&octets[..100]).await.expect("said");
        let mut heard = Vec::new();
        let mut room = [0; 4096];
        while heard.len() < 105 {
            let count = stream.read(&mut room).await.expect("octets");
            heard.extend_from_slice(&room[..count]);
            assert!(stream.ahead.is_empty(), "small talk is read ahead");
        }
        far.write_all(&octets[100..]).await.expect("said");
        let mut ahead = 0;
        while heard.len() < 5 + octets.len() {
            let count = stream.read(&mut room).await.expect("octets");
            heard.extend_from_slice(&room[..count]);
            ahead += usize::from(!stream.ahead.is_empty());
        }
        assert!(ahead > 10, "a large piece was not kept");
        assert!(stream.ahead.is_empty(), "at rest memory is kept");
        assert!(heard[..5] == *b"first" && heard[5..] == octets[..], "other octets than were sent");
        drop(far);
        assert_eq!(stream.read(&mut room).await.expect("the end"), 0);
        assert!(stream.ahead.is_empty(), "at the end memory is kept");
    }

    /// A stream that takes so much at a time and remembers in which pieces.
    #[derive(Debug, Default)]
    struct Pieces {
        most: usize,
        taken: Vec<Vec<u8>>,
    }

    impl AsyncRead for Pieces {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Pieces {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = octets.len().min(self.most);
            self.taken.push(octets[..count].to_vec());
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn gathering(most: usize) -> Rewound<Pieces> {
        Rewound::new(Bytes::new(), Pieces { most, taken: Vec::new() }).gathering()
    }

    fn text(taken: &[Vec<u8>]) -> Vec<&str> {
        taken.iter().map(|piece| str::from_utf8(piece).expect("text")).collect()
    }

    #[tokio::test]
    async fn what_is_gathered_goes_in_one_piece_with_what_follows() {
        let mut stream = gathering(usize::MAX);
        stream.write_all(b"tick").await.expect("held");
        stream.flush().await.expect("held");
        stream.write_all(b"ets, ").await.expect("held");
        stream.let_go();
        stream.write_all(b"greeting").await.expect("written");
        assert_eq!(text(&stream.stream.taken), ["tickets, greeting"]);
        assert!(stream.beginning.is_none(), "memory is kept");
        stream.write_all(b"more").await.expect("written");
        assert_eq!(text(&stream.stream.taken), ["tickets, greeting", "more"]);
    }

    #[tokio::test]
    async fn nobody_waits_for_what_is_held_back() {
        let mut stream = gathering(usize::MAX);
        stream.write_all(b"hello").await.expect("held");
        assert!(stream.stream.taken.is_empty());
        assert_eq!(stream.read(&mut [0; 8]).await.expect("the end"), 0);
        assert_eq!(text(&stream.stream.taken), ["hello"]);
        stream.write_all(b"tickets").await.expect("held");
        stream.let_go();
        stream.flush().await.expect("written");
        assert_eq!(text(&stream.stream.taken), ["hello", "tickets"]);
        let mut stream = gathering(usize::MAX);
        stream.write_all(b"alert").await.expect("held");
        stream.shutdown().await.expect("written");
        assert_eq!(text(&stream.stream.taken), ["alert"]);
    }

    #[tokio::test]
    async fn a_stream_that_takes_little_gets_all_of_it_in_order() {
        for most in 1..9 {
            let mut stream = gathering(most);
            stream.write_all(b"held").await.expect("held");
            stream.let_go();
            let slices = [IoSlice::new(b""), IoSlice::new(b"one"), IoSlice::new(b"two")];
            let first = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &slices)).await;
            let first = first.expect("written");
            assert!((1..=6).contains(&first), "{first}");
            stream.write_all(b"onetwo".get(first..).expect("a rest")).await.expect("written");
            assert_eq!(stream.stream.taken.concat(), b"heldonetwo", "{most}");
        }
    }
}
