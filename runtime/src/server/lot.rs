//! Where sessions are that are parked: in memory that is theirs alone, watched by the kernel.
//!
//! A task that waits for two sockets takes a kilobyte, of which the runtime has most, to be ready for what may come at any time. A mailbox
//! that is only looked at takes none of that. Its sockets lie in one more epoll instance of the thread, for which the runtime waits as if it
//! were a socket itself, and its silence ends in a list of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, mem};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::due::poll_due;

/// How many sockets are heard of in one system call.
const EVENTS_MAX: usize = 64;

/// What can be parked.
pub(super) trait Park {
    /// The two sockets on which something may happen. It owns them: they stay open for as long as it is there.
    ///
    /// # Errors
    ///
    /// There is none any more.
    fn sockets(&mut self) -> io::Result<[BorrowedFd<'_>; 2]>;

    /// When it has been silent for too long.
    fn due(&self) -> Instant;
}

/// The parked sessions of a thread.
pub(super) struct Lot<P> {
    watch: AsyncFd<OwnedFd>,
    /// By the descriptors of their first sockets.
    parked: BTreeMap<RawFd, P>,
    /// In milliseconds since `begun`, rounded up.
    due: BTreeSet<(u64, RawFd)>,
    begun: Instant,
    /// Not later than the first of them.
    alarm: Pin<Box<Sleep>>,
    events: Vec<epoll::Event>,
    /// On whose sockets something has happened.
    called: Vec<P>,
}

impl<P: Park> Lot<P> {
    /// An empty one. To be called within a runtime.
    ///
    /// # Errors
    ///
    /// The system's: descriptors are short.
    pub(super) fn new() -> io::Result<Self> {
        let watch = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its unsafe successor wants the descriptor to stay open, and an `OwnedFd` does"
        )]
        let watch = AsyncFd::with_interest(watch, Interest::READABLE)?;
        let begun = Instant::now();
        Ok(Self {
            watch,
            parked: BTreeMap::new(),
            due: BTreeSet::new(),
            begun,
            alarm: Box::pin(sleep_until(begun)),
            events: Vec::with_capacity(EVENTS_MAX),
            called: Vec::new(),
        })
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.parked.is_empty() && self.called.is_empty()
    }

    /// Parks it. Whoever waits in [`Lot::poll_next`] has to ask again.
    ///
    /// # Errors
    ///
    /// It, because the system will not watch its sockets.
    pub(super) fn park(&mut self, mut parked: P) -> Result<(), P> {
        let Ok(number) = self.watch(&mut parked) else { return Err(parked) };
        self.due.insert((self.millis(parked.due()), number));
        self.parked.insert(number, parked);
        Ok(())
    }

    fn watch(&self, parked: &mut P) -> io::Result<RawFd> {
        let [first, second] = parked.sockets()?;
        let number = first.as_raw_fd();
        let name = epoll::EventData::new_u64(u64::try_from(number).map_err(io::Error::other)?);
        // Resets are heard of whether they are asked for or not.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        epoll::add(self.watch.get_ref(), first, name, flags)?;
        epoll::add(self.watch.get_ref(), second, name, flags).inspect_err(|_| {
            let _ = epoll::delete(self.watch.get_ref(), first);
        })?;
        Ok(number)
    }

    fn millis(&self, moment: Instant) -> u64 {
        let nanos = moment.saturating_duration_since(self.begun).as_nanos();
        u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// Ready with one on whose sockets something has happened, or that is due. It is parked no more.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<P> {
        loop {
            if let Some(called) = self.called.pop() {
                return Poll::Ready(called);
            }
            if let Poll::Ready(due) = self.poll_due(cx) {
                return Poll::Ready(due);
            }
            ready!(self.poll_watch(cx));
        }
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<P> {
        while let Some(&(millis, number)) = self.due.first() {
            ready!(poll_due(self.alarm.as_mut(), self.begun + Duration::from_millis(millis), cx));
            if let Some(parked) = self.take(number) {
                return Poll::Ready(parked);
            }
        }
        Poll::Pending
    }

    /// Ready when something has happened to those that are called now.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // It fails when the runtime ends, and then nobody is there to be told.
        let Poll::Ready(Ok(mut rung)) = self.watch.poll_read_ready(cx) else { return Poll::Pending };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // It does not wait, so nothing can interrupt it.
        let _ = epoll::wait(self.watch.get_ref(), spare_capacity(&mut self.events), Some(&at_once));
        if self.events.is_empty() {
            rung.clear_ready();
        }
        drop(rung);
        while let Some(event) = self.events.pop() {
            // Of two events of one session the second finds it called already.
            let number = RawFd::try_from(event.data.u64()).ok();
            if let Some(called) = number.and_then(|number| self.take(number)) {
                self.called.push(called);
            }
        }
        Poll::Ready(())
    }

    fn take(&mut self, number: RawFd) -> Option<P> {
        let mut parked = self.parked.remove(&number)?;
        self.due.remove(&(self.millis(parked.due()), number));
        self.forget(&mut parked);
        Some(parked)
    }

    fn forget(&self, parked: &mut P) {
        for socket in parked.sockets().into_iter().flatten() {
            // What is not watched need not be forgotten.
            let _ = epoll::delete(self.watch.get_ref(), socket);
        }
    }

    /// All of them. They are parked no more.
    pub(super) fn take_all(&mut self) -> Vec<P> {
        self.due.clear();
        let mut all: Vec<_> = mem::take(&mut self.parked).into_values().collect();
        all.iter_mut().for_each(|parked| self.forget(parked));
        all.append(&mut self.called);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use tokio::time::{sleep, timeout};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A session, as far as it can be parked.
    #[derive(Debug)]
    struct Parked {
        sockets: Option<[UnixStream; 2]>,
        due: Instant,
    }

    impl Park for Parked {
        fn sockets(&mut self) -> io::Result<[BorrowedFd<'_>; 2]> {
            let [first, second] = self.sockets.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            Ok([first.as_fd(), second.as_fd()])
        }

        fn due(&self) -> Instant {
            self.due
        }
    }

    /// A session, and the far ends of its sockets.
    fn session(due: Duration) -> (Parked, [UnixStream; 2]) {
        let [(first, far_first), (second, far_second)] =
            [(); 2].map(|()| UnixStream::pair().expect("a pair"));
        (Parked { sockets: Some([first, second]), due: Instant::now() + due }, [far_first, far_second])
    }

    /// A lot with these in it.
    fn lot(sessions: impl IntoIterator<Item = Parked>) -> Lot<Parked> {
        let mut lot = Lot::new().expect("descriptors");
        sessions.into_iter().for_each(|session| lot.park(session).expect("it can be watched"));
        lot
    }

    async fn next(lot: &mut Lot<Parked>) -> Parked {
        timeout(Duration::from_secs(20), poll_fn(|cx| lot.poll_next(cx))).await.expect("in time")
    }

    /// Asserts that nobody is called.
    async fn is_silent(lot: &mut Lot<Parked>) {
        let next = timeout(Duration::from_millis(30), poll_fn(|cx| lot.poll_next(cx))).await;
        assert!(next.is_err(), "{next:?} though nothing has happened");
    }

    #[tokio::test]
    async fn whoever_is_spoken_to_is_called_and_nobody_else_and_once() {
        for both in [false, true] {
            let (mut sessions, mut far) = (Vec::new(), Vec::new());
            for _ in 0..3 * EVENTS_MAX {
                let (session, ends) = session(DAY);
                sessions.push(session);
                far.push(ends);
            }
            let mut lot = lot(sessions);
            is_silent(&mut lot).await;
            let spoken: Vec<_> = (0..far.len()).filter(|place| place % 3 != 1).collect();
            for &place in &spoken {
                far[place][1].write_all(&[place as u8]).expect("said");
                if both {
                    far[place][0].write_all(b"x").expect("said");
                }
            }
            let mut heard = Vec::new();
            for _ in &spoken {
                let [_, mut second] = next(&mut lot).await.sockets.expect("its sockets");
                let mut octet = [0];
                second.read_exact(&mut octet).expect("it was spoken to");
                heard.push(usize::from(octet[0]));
            }
            heard.sort_unstable();
            assert_eq!(heard, spoken);
            is_silent(&mut lot).await;
            assert_eq!((lot.parked.len(), lot.due.len()), (EVENTS_MAX, EVENTS_MAX));
        }
    }

    #[tokio::test]
    async fn what_was_said_before_it_was_parked_calls_it_too_and_it_can_be_parked_again() {
        let (session, mut far) = session(DAY);
        far[0].write_all(b"x").expect("said");
        let mut lot = lot([session]);
        for _ in 0..3 {
            let session = next(&mut lot).await;
            assert!(lot.is_empty());
            lot.park(session).expect("it can be watched");
        }
        assert!(!lot.is_empty());
    }

    #[tokio::test]
    async fn an_end_a_half_close_and_a_reset_call_it() {
        for (unread, half) in [(false, false), (false, true), (true, false)] {
            let (mut parked, [_first, second]) = session(DAY);
            if unread {
                // It is lost when the other side closes, which a UNIX socket tells as a reset.
                let [_, near] = parked.sockets.as_mut().expect("its sockets");
                near.write_all(b"unread").expect("said");
            }
            let mut lot = lot([parked]);
            is_silent(&mut lot).await;
            second.shutdown(Shutdown::Write).expect("a half-close");
            let _open = half.then_some(second);
            next(&mut lot).await;
            assert!(lot.is_empty() && lot.due.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_due_is_called_to_the_millisecond_the_first_one_first() {
        let begun = Instant::now();
        let dues = [70_000, 20, 3_600_000, 20, 90].map(Duration::from_millis);
        let (sessions, _far): (Vec<_>, Vec<_>) = dues.map(session).into_iter().unzip();
        let mut lot = lot(sessions);
        let mut called = Vec::new();
        while !lot.is_empty() {
            called.push(poll_fn(|cx| lot.poll_next(cx)).await.due.duration_since(begun).as_millis());
            assert_eq!(begun.elapsed().as_millis(), *called.last().expect("one"));
        }
        assert_eq!(called, [20, 20, 90, 70_000, 3_600_000]);
    }

    #[tokio::test]
    async fn an_earlier_due_than_all_before_is_heeded() {
        let ((late, _far), (early, _far_too)) = (session(DAY), session(Duration::from_millis(20)));
        let mut lot = lot([late]);
        is_silent(&mut lot).await;
        let due = early.due;
        lot.park(early).expect("it can be watched");
        assert_eq!(next(&mut lot).await.due, due);
    }

    #[tokio::test]
    async fn who_is_taken_out_is_watched_no_more() {
        let ((one, mut far), (other, _far)) = (session(DAY), session(DAY));
        let mut lot = lot([one, other]);
        let all = lot.take_all();
        assert!(all.len() == 2 && lot.is_empty());
        far[0].write_all(b"x").expect("said");
        is_silent(&mut lot).await;
        // The one that was called, but not fetched yet, is taken too.
        for session in all {
            lot.park(session).expect("it can be watched");
        }
        sleep(Duration::from_millis(20)).await;
        poll_fn(|cx| lot.poll_watch(cx)).await;
        assert_eq!(lot.called.len(), 1);
        assert_eq!(lot.take_all().len(), 2);
    }

    #[tokio::test]
    async fn who_has_no_sockets_any_more_is_handed_back() {
        let (mut session, _far) = session(DAY);
        session.sockets = None;
        let mut lot = lot([]);
        assert!(lot.park(session).is_err());
        assert!(lot.is_empty() && lot.due.is_empty());
    }
}
