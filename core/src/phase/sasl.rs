//! The client's turn within a SASL exchange: every line is a message of it, whatever it looks like.

use super::authorize::Authorize;
use super::converse::Converse;
use super::{Context, Phase, Turn, close};
use crate::action::Actions;
use crate::dialect::{Dialect, Refusal};
use crate::framing::{Frame, Inbox, without_line_end};
use crate::limits::SASL_LINE_BYTES_MAX;
use crate::policy::Mechanism;
use crate::report::Notice;
use crate::sasl::{Exchange, Outcome, base64};
use crate::secret::Secret;
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::Wire;

/// Waiting for a message.
#[derive(Debug)]
pub(crate) struct Sasl<D> {
    dialect: D,
    pub(super) inbox: Inbox,
    exchange: Exchange,
    /// The budget of the conversation, which the exchange is part of.
    until: Instant,
}

impl<D: Dialect> Sasl<D> {
    /// Begins an exchange, if the mechanism is to be had.
    pub(super) fn begin(
        dialect: D,
        inbox: Inbox,
        until: Instant,
        mechanism: Option<Mechanism>,
        initial: Option<Secret>,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Turn<D> {
        let exchange = mechanism
            .filter(|&mechanism| is_allowed(mechanism, cx))
            .and_then(|mechanism| Exchange::begin(mechanism, cx.now, &cx.policy.server_name, cx.salts()));
        let Some(exchange) = exchange else {
            return give_up(dialect, inbox, until, Refusal::UnknownMechanism, out);
        };
        let phase = Self { dialect, inbox, exchange, until };
        match initial {
            Some(_) if !phase.exchange.takes_initial_response() => phase.fail(Refusal::InitialResponse, out),
            // RFC 4954 section 4, RFC 5034 section 4, RFC 4959 section 3: `=` is the response of no octets.
            Some(initial) if initial.expose() == b"=" => phase.respond(b"", cx, out),
            Some(initial) => phase.respond(initial.expose(), cx, out),
            None => {
                out.send(Wire::Client, phase.dialect.challenge(&phase.exchange.first_challenge()));
                Turn::Again(phase.into())
            }
        }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Client }
    }

    /// Takes one line from the inbox as the client's next message.
    pub(super) fn turn(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        let bytes_max = SASL_LINE_BYTES_MAX + 2;
        match self.inbox.line(bytes_max) {
            Frame::Partial if self.inbox.has_ended() => {
                cx.report(Notice::ClientClosed, out);
                Turn::Rest(close(out))
            }
            Frame::Partial => Turn::Rest(self.into()),
            Frame::Whole(octets) => {
                let line = Secret::from(without_line_end(self.inbox.front(octets)).trim_ascii_end());
                self.inbox.discard(octets);
                match line.expose() {
                    b"*" => self.fail(Refusal::Cancelled, out),
                    message => self.respond(message, cx, out),
                }
            }
            Frame::TooLong(octets) | Frame::Announced(octets) | Frame::TooBig { announced: octets, .. } => {
                let word = D::AUTHENTICATE.to_vec();
                cx.report(Notice::CommandTooLong { word, octets: octets.min(bytes_max) }, out);
                self.inbox.drop_line(octets);
                self.fail(Refusal::SaslTooLong, out)
            }
        }
    }

    fn respond(self, base64: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        let mechanism = self.exchange.mechanism();
        let Ok(message) = base64::decode(base64) else {
            cx.report(Notice::InvalidBase64(mechanism), out);
            return self.fail(Refusal::BadBase64, out);
        };
        let Self { dialect, inbox, exchange, until } = self;
        match exchange.respond(message) {
            Outcome::Challenge(exchange, challenge) => {
                out.send(Wire::Client, dialect.challenge(&challenge));
                Turn::Again(Self { dialect, inbox, exchange, until }.into())
            }
            Outcome::Credentials(credentials) => {
                Turn::Rest(Authorize::begin(dialect, inbox, credentials, cx, out))
            }
            Outcome::Failed(fault) => {
                cx.report(fault.notice(mechanism), out);
                give_up(dialect, inbox, until, Refusal::BadCredentials, out)
            }
        }
    }

    fn fail(self, refusal: Refusal, out: &mut Actions) -> Turn<D> {
        give_up(self.dialect, self.inbox, self.until, refusal, out)
    }
}

/// PLAIN and LOGIN work even where they are not listed (divergences D22), the others only where they are (decision 11).
fn is_allowed(mechanism: Mechanism, cx: &Context<'_>) -> bool {
    matches!(mechanism, Mechanism::Plain | Mechanism::Login) || cx.policy.mechanisms.has(mechanism)
}

/// The exchange is over without credentials; the conversation goes on as if it had not been.
fn give_up<D: Dialect>(
    mut dialect: D,
    inbox: Inbox,
    until: Instant,
    refusal: Refusal,
    out: &mut Actions,
) -> Turn<D> {
    out.send(Wire::Client, dialect.refuse(refusal));
    dialect.attempt_over();
    Turn::Again(Converse::new(dialect, inbox, until).into())
}

impl<D: Dialect> From<Sasl<D>> for Phase<D> {
    fn from(phase: Sasl<D>) -> Self {
        Self::Sasl(phase)
    }
}
