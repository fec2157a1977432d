//! How much memory a session holds, as the allocator counts it while the session's task runs. What the made-up network, the trace and the
//! books allocate meanwhile is left out.

use std::pin::Pin;
use std::task::{Context, Poll};

/// A task on the scales.
pub struct Weighed<F, T> {
    task: Pin<Box<F>>,
    octets: i64,
    tell: T,
}

impl<F: Future, T: FnMut(i64)> Weighed<F, T> {
    /// Tells, whenever the task has run, how many octets it held at most meanwhile.
    pub fn new(task: F, tell: T) -> Self {
        Self { task: Box::pin(task), octets: 0, tell }
    }
}

impl<F: Future, T: FnMut(i64) + Unpin> Future for Weighed<F, T> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let mut result = Poll::Pending;
        let counted = allocation_counter::measure(|| result = this.task.as_mut().poll(cx));
        let most = i64::try_from(counted.bytes_max).unwrap_or(i64::MAX);
        (this.tell)(this.octets.saturating_add(most));
        this.octets = this.octets.saturating_add(counted.bytes_current);
        result
    }
}

/// Runs what is not the session's doing.
pub fn off_the_scales<T>(what: impl FnOnce() -> T) -> T {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(what()));
    #[expect(clippy::unreachable, reason = "opt_out runs what it is given, once")]
    result.unwrap_or_else(|| unreachable!())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn what_a_task_keeps_is_counted_and_what_it_gives_back_is_not() {
        let most = Cell::new(0);
        let task = async {
            let kept = vec![0_u8; 10_000];
            tokio::task::yield_now().await;
            drop(vec![0_u8; 5_000]);
            off_the_scales(|| drop(vec![0_u8; 100_000]));
            kept.len()
        };
        assert_eq!(Weighed::new(task, |octets| most.set(most.get().max(octets))).await, 10_000);
        assert!((15_000..20_000).contains(&most.get()), "{}", most.get());
    }
}
