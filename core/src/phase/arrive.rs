//! Before the greeting: the connection itself, and TLS where it comes first (`listen … ssl`).

use super::{Context, Phase, greet};
use crate::action::{Actions, Handshake};
use crate::dialect::Dialect;
use crate::event::TlsFacts;
use crate::phase::greet::Greet;
use crate::report::{Activity, Notice};
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::Wire;

/// The client has come, or is about to.
#[derive(Debug)]
pub(crate) struct Arrive {
    until: Instant,
}

impl Arrive {
    pub(super) fn new(cx: &Context<'_>) -> Self {
        Self { until: cx.now.after(cx.policy.timeout) }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Handshake }
    }

    pub(super) fn opened<D: Dialect>(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::Connected { remote: cx.client().clone() }, out);
        if !cx.tls_first() {
            return begin(cx, out);
        }
        cx.doing(Activity::SslHandshaking);
        out.secure(Wire::Client, Handshake::Accept);
        Phase::Arrive(self)
    }

    pub(super) fn secured<D: Dialect>(
        self,
        facts: TlsFacts,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        cx.secured(facts);
        begin(cx, out)
    }
}

/// The greeting, now or after `smtp_greeting_delay`.
fn begin<D: Dialect>(cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
    match cx.policy.greeting_delay.is_zero() {
        true => greet(cx, out),
        false => Greet::new(cx).into(),
    }
}
