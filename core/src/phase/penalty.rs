//! `Auth-Wait`: silence, and then the reply that was due, or the same question again (K6).

use alloc::vec::Vec;

use bytes::Bytes;

use super::authorize::{Authorize, Inquiry};
use super::converse::Converse;
use super::sasl::{Due, Refused};
use super::{Context, Phase};
use crate::action::Actions;
use crate::dialect::Dialect;
use crate::framing::Inbox;
use crate::report::Activity;
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::Wire;

/// Waiting for the time to pass.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Penalty<D> {
    dialect: D,
    pub(super) inbox: Inbox,
    until: Instant,
    then: Then,
}

/// What comes after the wait.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(super) enum Then {
    /// The refusal; the client may try again.
    Reply(Bytes),
    /// The refusal in two steps, of which this is the first.
    Challenge(Vec<u8>, Due),
    /// The same request.
    AskAgain(Inquiry),
}

impl<D: Dialect> Penalty<D> {
    pub(super) const fn new(dialect: D, inbox: Inbox, until: Instant, then: Then) -> Self {
        Self { dialect, inbox, until, then }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Penalty }
    }

    /// The wait is cut short: what is due is said now, and where nothing is decided, that it will not be.
    pub(super) fn cut_short(self, cx: &Context<'_>) -> Bytes {
        match self.then {
            Then::Reply(reply) | Then::Challenge(_, Due { reply, .. }) => reply,
            Then::AskAgain(_) => self.dialect.trouble(cx),
        }
    }

    /// The time has passed. A client whose login was refused gets a new budget for its next (decision 6).
    pub(super) fn over(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        match self.then {
            Then::AskAgain(inquiry) => Authorize::ask(self.dialect, self.inbox, inquiry, cx, out),
            Then::Challenge(challenge, refused) => {
                Refused::begin(self.dialect, self.inbox, &challenge, refused, cx, out)
            }
            Then::Reply(reply) => {
                out.send(Wire::Client, reply);
                cx.doing(Activity::Auth);
                Converse::new(self.dialect, self.inbox, cx.now.after(cx.policy.timeout)).into()
            }
        }
    }
}

impl<D: Dialect> From<Penalty<D>> for Phase<D> {
    fn from(phase: Penalty<D>) -> Self {
        Self::Penalty(phase)
    }
}
