//! Where passwords are checked: off the event loops, for a check takes tens of milliseconds, and only so many at a time.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How many may wait for their turn. Those who come then would hardly have it before `auth_http_timeout`; each costs a descriptor and
/// the memory of a session.
const WAITING_MAX: usize = 1024;

/// A bench with a few seats. All users files of a configuration share it, and all threads.
#[derive(Debug)]
pub(crate) struct Bench {
    seats: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// Too many wait already.
    Full,
    /// It panicked.
    Broken,
}

impl Bench {
    /// One seat less than there are processors, and at least one: however many want to log in, those who have are still served.
    pub(crate) fn new(cores: NonZeroUsize) -> Self {
        Self { seats: Arc::new(Semaphore::new((cores.get() - 1).max(1))), waiting: AtomicUsize::new(0) }
    }

    /// Does `work` once there is a seat, first come first served. Dropped while it waits, it gives its place back; `work` that has
    /// begun keeps its seat until it is done.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let seat = {
            let _place = Place::take(&self.waiting).ok_or(Undone::Full)?;
            self.seats.clone().acquire_owned().await.map_err(|_| Undone::Broken)?
        };
        let done = spawn_blocking(move || {
            let done = work();
            drop(seat);
            done
        });
        done.await.map_err(|_| Undone::Broken)
    }
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let more = |count: usize| (count < WAITING_MAX).then_some(count + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::task::Poll;

    fn bench(cores: usize) -> Arc<Bench> {
        Arc::new(Bench::new(NonZeroUsize::new(cores).expect("a core")))
    }

    #[tokio::test]
    async fn no_more_work_is_done_at_once_than_there_are_seats() {
        for (cores, seats) in [(1, 1), (2, 1), (4, 3)] {
            let bench = bench(cores);
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..24 {
                let (bench, now, most) = (bench.clone(), now.clone(), most.clone());
                all.spawn(async move {
                    let work = move || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(2));
                        now.fetch_sub(1, Ordering::SeqCst);
                    };
                    bench.run(work).await
                });
            }
            assert!(all.join_all().await.into_iter().all(|done| done == Ok(())));
            assert!((1..=seats).contains(&most.load(Ordering::SeqCst)), "{cores} cores");
            assert_eq!(bench.waiting.load(Ordering::Relaxed), 0);
        }
    }

    #[tokio::test]
    async fn who_comes_when_too_many_wait_is_told_at_once_and_who_leaves_makes_room() {
        let bench = bench(1);
        let (go, gate) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let bench = bench.clone();
            async move { bench.run(move || gate.recv().is_ok()).await }
        });
        while bench.seats.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(bench.run(|| ()))).collect();
        for one in &mut waiting {
            assert_eq!(poll_once(one.as_mut()), Poll::Pending);
        }
        assert_eq!(bench.run(|| ()).await, Err(Undone::Full));
        drop(waiting.pop());
        let mut last = Box::pin(bench.run(|| 7));
        assert_eq!(poll_once(last.as_mut()), Poll::Pending);
        drop(waiting);
        go.send(()).expect("it waits");
        assert_eq!(last.await, Ok(7));
        assert_eq!(first.await.expect("no panic"), Ok(true));
    }

    #[tokio::test]
    async fn a_panic_is_the_one_login_s_trouble_and_frees_the_seat() {
        let bench = bench(1);
        let broken = bench.run(|| -> () { std::panic::resume_unwind(Box::new("broken")) }).await;
        assert_eq!(broken, Err(Undone::Broken));
        assert_eq!(bench.run(|| 7).await, Ok(7));
    }

    /// Polls once, with nobody to be woken.
    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
