//! STARTTLS (RFC 3501 section 6.2.1), STLS (RFC 2595 section 4), and SMTP's STARTTLS (RFC 3207).

use bytes::Bytes;

use super::converse::Converse;
use super::{Context, Phase, certificate_refusal, close};
use crate::action::{Actions, Handshake};
use crate::dialect::Dialect;
use crate::event::TlsFacts;
use crate::framing::Inbox;
use crate::report::Activity;
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::Wire;

/// STARTTLS is accepted and TLS is not up. There is no inbox here, so nothing said in clear can be heard later.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Upgrade {
    /// The budget of the conversation; the handshake does not extend it (decision 6).
    until: Instant,
}

impl Upgrade {
    /// Says the last words in clear and asks for TLS.
    pub(super) fn begin<D: Dialect>(
        dialect: &D,
        until: Instant,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Self {
        cx.starttls_accepted();
        out.send(Wire::Client, dialect.ready_for_tls());
        out.secure(Wire::Client, Handshake::Accept { already_read: Bytes::new() });
        Self { until }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Handshake }
    }

    /// TLS is up: a new conversation, in which nothing of the old one counts but the errors made (decision 19), and no
    /// second greeting.
    pub(super) fn secured<D: Dialect>(
        self,
        facts: TlsFacts,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        cx.secured(facts);
        if let Some(refusal) = certificate_refusal(cx, out) {
            out.send(Wire::Client, D::certificate_refused(refusal));
            return close(out);
        }
        cx.doing(Activity::Auth);
        Converse::new(D::default(), Inbox::default(), self.until).into()
    }
}

impl<D: Dialect> From<Upgrade> for Phase<D> {
    fn from(phase: Upgrade) -> Self {
        Self::Upgrade(phase)
    }
}
