//! A timer for moments that keep moving.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// Ready at `due`. The alarm is moved only when it must be: a moment that moves on, which is frequent, leaves it where it is.
pub(crate) fn poll_due(mut alarm: Pin<&mut Sleep>, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if due < alarm.deadline() {
        alarm.as_mut().reset(due);
    }
    loop {
        ready!(alarm.as_mut().poll(cx));
        if alarm.deadline() >= due {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(due);
    }
}
