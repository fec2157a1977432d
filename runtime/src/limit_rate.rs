//! `limit_rate`: how fast a client is sent octets. A bucket leaks at the rate; what is sent fills it, and waits while it is full.
//!
//! The numbers are freenginx's (config.md 5.6): there is room for what a second and `limit_rate_after` let through, and who has
//! sent more than half a second's worth beyond `limit_rate_after` pauses until it is that again. So a client gets what is meant for it in
//! pieces of half a second, and no reply that is smaller ever waits.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gatepost_core::Rate;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep_until};

/// Octets are counted in billionths, so that what leaks in a nanosecond is a whole number of them.
const SCALE: u128 = 1_000_000_000;

/// A client's bucket.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Octets a second, which is billionths of an octet a nanosecond.
    rate: u128,
    /// How full it was at `since`, in billionths of octets; and likewise for what follows.
    excess: u128,
    since: Instant,
    room: u128,
    /// How full it may be when sending goes on.
    rested: u128,
    /// When that will be, if it is fuller than that.
    pause: Option<Instant>,
    /// Somebody waits for it. There is no timer otherwise.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// An empty bucket, if there is to be a limit.
    pub(crate) fn new(rate: Rate) -> Option<Box<Self>> {
        let Rate { bytes_per_second, after_bytes } = rate;
        let (rate, after) = (u128::from(bytes_per_second), u128::from(after_bytes));
        (rate > 0).then(|| {
            Box::new(Self {
                rate,
                excess: 0,
                since: Instant::now(),
                room: (rate + after) * SCALE,
                rested: after * SCALE + rate * SCALE / 2,
                pause: None,
                alarm: None,
            })
        })
    }

    /// Whether octets are held back for now, as far as anybody wanted to send some.
    pub(crate) fn holds_back(&self) -> bool {
        self.alarm.is_some()
    }

    /// How many octets may be sent now, at least one.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if let Some(end) = self.pause {
            if Instant::now() < end {
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
                ready!(alarm.as_mut().poll(cx));
            }
            (self.pause, self.alarm) = (None, None);
        }
        self.leak();
        let octets = self.room.saturating_sub(self.excess) / SCALE;
        Poll::Ready(usize::try_from(octets).unwrap_or(usize::MAX).max(1))
    }

    fn sent(&mut self, octets: usize) {
        self.leak();
        self.excess = self.excess.saturating_add(octets as u128 * SCALE);
        let over = self.excess.saturating_sub(self.rested);
        if over > 0 {
            let nanos = u64::try_from(over.div_ceil(self.rate)).unwrap_or(u64::MAX);
            self.pause = Some(self.since + Duration::from_nanos(nanos));
        }
    }

    fn leak(&mut self) {
        let now = Instant::now();
        let leaked = self.rate.saturating_mul((now - self.since).as_nanos());
        self.excess = self.excess.saturating_sub(leaked);
        self.since = now;
    }
}

/// A stream that is written to no faster than its bucket lets.
pub(crate) struct Paced<'a, W> {
    to: &'a mut W,
    pace: Option<&'a mut Pace>,
}

impl<'a, W> Paced<'a, W> {
    /// Without a bucket, the stream as it is.
    pub(crate) fn new(to: &'a mut W, pace: Option<&'a mut Pace>) -> Self {
        Self { to, pace }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Paced<'_, W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let Self { to, pace } = self.get_mut();
        let Some(pace) = pace else { return Pin::new(to).poll_write(cx, octets) };
        let room = ready!(pace.poll_room(cx)).min(octets.len());
        let written = ready!(Pin::new(to).poll_write(cx, octets.get(..room).unwrap_or_default()))?;
        pace.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { to, pace } = self.get_mut();
        let Some(pace) = pace else { return Pin::new(to).poll_write_vectored(cx, slices) };
        let room = ready!(pace.poll_room(cx));
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = match all <= room {
            true => ready!(Pin::new(to).poll_write_vectored(cx, slices))?,
            false => {
                let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |first| first);
                let fits = first.get(..room.min(first.len())).unwrap_or_default();
                ready!(Pin::new(to).poll_write(cx, fits))?
            }
        };
        pace.sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.to.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().to).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().to).poll_shutdown(cx)
    }
}
