//! `smtp_greeting_delay`: a server that takes its time, and clients that give themselves away by not waiting.

use super::{Context, Phase, close, greet};
use crate::action::Actions;
use crate::dialect::{Dialect, Refusal};
use crate::framing::Inbox;
use crate::report::{Activity, Notice};
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::Wire;

/// Silence before the greeting.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Greet {
    until: Instant,
}

impl Greet {
    pub(super) fn new(cx: &mut Context<'_>) -> Self {
        cx.doing(Activity::GreetingDelay);
        Self { until: cx.now.after(cx.policy.greeting_delay) }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::GreetingDelay }
    }

    /// The delay is over.
    pub(super) fn over<D: Dialect>(cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        greet(Inbox::default(), cx, out)
    }

    /// The client could not wait.
    pub(super) fn received<D: Dialect>(self, octets: &[u8], cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::RejectedBeforeGreeting { word: D::loggable(octets).to_vec() }, out);
        out.send(Wire::Client, D::default().refuse(Refusal::TooSoon));
        close(out)
    }
}

impl<D: Dialect> From<Greet> for Phase<D> {
    fn from(phase: Greet) -> Self {
        Self::Greet(phase)
    }
}
