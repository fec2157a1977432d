//! Where passwords are checked: off the event loops, for a check takes tens of milliseconds, and only so many at a time, in so much memory.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// How many may wait for their turn. Those who come then would hardly have it before `auth_http_timeout`; each costs a descriptor and
/// the memory of a session.
const WAITING_MAX: usize = 1024;

/// What all checks that are made at one time may take of memory together, in KiB: 512 MiB, which is eight of argon2id as Dovecot and most
/// others set it, and which a machine that runs mail can spare.
pub(super) const MEMORY_KIB: u32 = 512 * 1024;

/// A bench with a few seats. All users files of a configuration share it, and all threads.
#[derive(Debug)]
pub(crate) struct Bench {
    seats: Arc<Semaphore>,
    /// The KiB that are left.
    memory: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// Too many wait already.
    Full,
    /// It panicked, or there is no thread for it: in words.
    Broken(String),
}

impl Bench {
    /// One seat less than there are processors, and at least one: however many want to log in, those who have are still served.
    pub(crate) fn new(cores: NonZeroUsize) -> Self {
        Self {
            seats: Arc::new(Semaphore::new((cores.get() - 1).max(1))),
            memory: Arc::new(Semaphore::new(MEMORY_KIB as usize)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// How many wait for their turn.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many seats nobody has.
    #[cfg(test)]
    pub(crate) fn free_seats(&self) -> usize {
        self.seats.available_permits()
    }

    /// Does `work`, which takes this much memory, once there are a seat and the memory, first come first served. Dropped while it waits,
    /// it gives its place back; `work` that has begun keeps its seat until it is done.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        kib: u32,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let closed = |_| Undone::Broken("there are no seats any more".to_owned());
        let held = {
            let _place = Place::take(&self.waiting).ok_or(Undone::Full)?;
            let seat = self.seats.clone().acquire_owned().await.map_err(closed)?;
            (seat, self.memory.clone().acquire_many_owned(kib.min(MEMORY_KIB)).await.map_err(closed)?)
        };
        // Without a thread, what was to be done stays in the runtime's queue: it is taken out of there, lest it keep its seat for good.
        let job = Arc::new(Mutex::new(Some((held, work))));
        let take = |job: &Mutex<Option<_>>| job.lock().unwrap_or_else(PoisonError::into_inner).take();
        let queued = job.clone();
        let begin = AssertUnwindSafe(|| {
            spawn_blocking(move || {
                let (held, work) = take(&queued)?;
                let done = work();
                drop(held);
                Some(done)
            })
        });
        let ended = match catch_unwind(begin) {
            Ok(begun) => begun.await.map_err(JoinError::try_into_panic),
            Err(panic) => {
                drop(take(&job));
                Err(Ok(panic))
            }
        };
        match ended {
            Ok(Some(done)) => Ok(done),
            Err(Ok(panic)) => Err(Undone::Broken(words_of(&*panic).to_owned())),
            Ok(None) | Err(Err(_)) => Err(Undone::Broken("its thread ended".to_owned())),
        }
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(words), _) => words,
        (_, Some(words)) => words,
        (None, None) => "a panic without a word",
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
                    bench.run(1, work).await
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
            async move { bench.run(1, move || gate.recv().is_ok()).await }
        });
        while bench.seats.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(bench.run(1, || ()))).collect();
        for one in &mut waiting {
            assert_eq!(poll_once(one.as_mut()), Poll::Pending);
        }
        assert_eq!(bench.run(1, || ()).await, Err(Undone::Full));
        drop(waiting.pop());
        let mut last = Box::pin(bench.run(1, || 7));
        assert_eq!(poll_once(last.as_mut()), Poll::Pending);
        drop(waiting);
        go.send(()).expect("it waits");
        assert_eq!(last.await, Ok(7));
        assert_eq!(first.await.expect("no panic"), Ok(true));
    }

    #[tokio::test]
    async fn a_panic_is_the_one_login_s_trouble_and_frees_the_seat() {
        let bench = bench(1);
        let broken = bench.run(1, || -> () { std::panic::resume_unwind(Box::new("broken")) }).await;
        assert_eq!(broken, Err(Undone::Broken("broken".to_owned())));
        assert_eq!(bench.run(1, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn no_more_memory_is_taken_at_once_than_there_is_for_all() {
        for (kib, most_at_once) in
            [(1, 7), (MEMORY_KIB / 3, 3), (MEMORY_KIB / 2 + 1, 1), (MEMORY_KIB, 1), (u32::MAX, 1)]
        {
            let bench = bench(8);
            let (go, gate) = mpsc::channel::<()>();
            let gate = Arc::new(Mutex::new(gate));
            let mut all: Vec<_> = (0..8)
                .map(|_| {
                    let gate = gate.clone();
                    Box::pin(bench.run(kib, move || gate.lock().is_ok_and(|gate| gate.recv().is_ok())))
                })
                .collect();
            for one in &mut all {
                assert_eq!(poll_once(one.as_mut()), Poll::Pending);
            }
            // Who waits has its place still; who has begun has not.
            assert_eq!(bench.waiting.load(Ordering::Relaxed), 8 - most_at_once, "{kib} KiB");
            for _ in 0..8 {
                go.send(()).expect("they wait");
            }
            for one in all {
                assert_eq!(one.await, Ok(true));
            }
            assert_eq!(bench.memory.available_permits(), MEMORY_KIB as usize);
        }
    }

    #[test]
    fn without_a_thread_the_one_login_fails_and_its_seat_is_free() {
        // No address space has room for such a stack.
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.thread_stack_size(1 << 60).build().expect("a runtime");
        let bench = bench(1);
        for _ in 0..2 {
            let Err(Undone::Broken(words)) = runtime.block_on(bench.run(MEMORY_KIB, || ())) else {
                panic!("there was a thread")
            };
            assert!(words.contains("thread"), "{words}");
        }
        assert_eq!(
            (bench.seats.available_permits(), bench.memory.available_permits()),
            (1, MEMORY_KIB as usize)
        );
    }

    /// Polls once, with nobody to be woken.
    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
