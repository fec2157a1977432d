//! The word to stop, as sessions hear it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Tells sessions that their time is over: those before login say goodbye, those in a relay are cut
/// (divergences D31, D32). When that is, whether at once or after a grace, is for whoever calls [`Drain::ask`].
///
/// Clones are one and the same. It wakes its listeners in the order in which they began to listen, as a simulation
/// needs; a `watch` channel wakes them in an order of its own.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: AtomicBool,
    word: Notify,
}

impl Drain {
    /// Says the word. Saying it again changes nothing.
    pub fn ask(&self) {
        self.0.asked.store(true, Ordering::Release);
        self.0.word.notify_waiters();
    }

    /// Whether the word was said.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::Acquire)
    }

    /// Waits until the word is said; at once if it was. A dropped future loses nothing.
    pub async fn asked(&self) {
        // Listening begins with the call, not with the first poll: nothing is missed between it and the check.
        let word = self.0.word.notified();
        if !self.is_asked() {
            word.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn the_word_is_heard_before_and_after_it_is_said() {
        let drain = Drain::default();
        assert!(timeout(Duration::from_millis(5), drain.asked()).await.is_err());
        let listener = tokio::spawn({
            let drain = drain.clone();
            async move { drain.asked().await }
        });
        tokio::task::yield_now().await;
        drain.ask();
        listener.await.expect("the listener ends");
        drain.asked().await;
    }
}
