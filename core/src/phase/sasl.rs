//! The client's turn within a SASL exchange: every line is a message of it, whatever it looks like.

use bytes::Bytes;

use super::authorize::Authorize;
use super::converse::Converse;
use super::{Context, Phase, Turn, close, part};
use crate::action::Actions;
use crate::dialect::{Dialect, Farewell, Refusal};
use crate::framing::{Frame, Inbox, without_line_end};
use crate::limits::SASL_LINE_BYTES_MAX;
use crate::policy::Mechanism;
use crate::report::{Activity, Notice};
use crate::sasl::{Exchange, Outcome, base64, oauth};
use crate::secret::Secret;
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::Wire;

/// Waiting for a message.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Sasl<D> {
    dialect: D,
    pub(super) inbox: Inbox,
    exchange: Exchange,
    /// The budget of the conversation, which the exchange is part of.
    until: Instant,
}

/// An exchange that the auth server has refused, and whose client has been told why in one more challenge; whatever it answers, the reply
/// is due (RFC 7628 section 3.2.3).
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Refused<D> {
    dialect: D,
    pub(super) inbox: Inbox,
    refused: Due,
    until: Instant,
}

/// The reply to a refused login, and whether it is the session's last.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Due {
    pub(super) reply: Bytes,
    pub(super) ends: bool,
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
            .filter(|&mechanism| cx.takes(mechanism) && cx.is_secure_enough_for(mechanism))
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
        let detour = (mechanism == Mechanism::OauthBearer).then(|| detour(&message, cx)).flatten();
        let Self { dialect, inbox, exchange, until } = self;
        match exchange.respond(message) {
            Outcome::Challenge(exchange, challenge) => {
                out.send(Wire::Client, dialect.challenge(&challenge));
                Turn::Again(Self { dialect, inbox, exchange, until }.into())
            }
            Outcome::Credentials(credentials) => {
                if let Some(notice) = detour {
                    cx.report(notice, out);
                }
                Turn::Rest(Authorize::begin(dialect, inbox, credentials, cx, out))
            }
            Outcome::Failed(fault) => {
                cx.report(fault.notice(mechanism), out);
                give_up(dialect, inbox, until, fault.refusal(), out)
            }
        }
    }

    fn fail(self, refusal: Refusal, out: &mut Actions) -> Turn<D> {
        give_up(self.dialect, self.inbox, self.until, refusal, out)
    }
}

impl<D: Dialect> Refused<D> {
    /// Tells the client why, and waits for whatever it answers.
    pub(super) fn begin(
        dialect: D,
        inbox: Inbox,
        challenge: &[u8],
        refused: Due,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        cx.doing(Activity::Auth);
        out.send(Wire::Client, dialect.challenge(challenge));
        Phase::Refused(Self { dialect, inbox, refused, until: cx.now.after(cx.policy.timeout) })
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Client }
    }

    /// Takes one line from the inbox, whatever it says.
    pub(super) fn turn(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        match self.inbox.line(SASL_LINE_BYTES_MAX + 2) {
            Frame::Partial if self.inbox.has_ended() => return Turn::Rest(close(out)),
            Frame::Partial => return Turn::Rest(Phase::Refused(self)),
            Frame::Whole(octets)
            | Frame::TooLong(octets)
            | Frame::Announced(octets)
            | Frame::TooBig { announced: octets, .. } => self.inbox.drop_line(octets),
        }
        out.send(Wire::Client, self.refused.reply);
        match self.refused.ends {
            true => Turn::Rest(part::<D>(Farewell::Denied, cx, out)),
            false => {
                Turn::Again(Converse::new(self.dialect, self.inbox, cx.now.after(cx.policy.timeout)).into())
            }
        }
    }
}

/// RFC 7628 section 3.2 has a server compare the host and the port that the client meant with its own. They are told, not
/// refused: behind a balancer, or an address that is translated, both are others than ours, and nobody has signed them.
///
/// Only of a message that was understood: in any other, what follows `host=` may be the token (S5).
fn detour(message: &Secret, cx: &Context<'_>) -> Option<Notice> {
    let (host, port) = oauth::destination(message);
    let is_elsewhere =
        host.is_some_and(|host| !cx.is_called(host)) || port.is_some_and(|port| !cx.is_reached_at(port));
    let host = host.filter(|host| oauth::is_host(host)).unwrap_or_default().to_vec();
    let port = port.filter(|port| oauth::is_port(port)).unwrap_or_default().to_vec();
    is_elsewhere.then_some(Notice::MeantForAnother { host, port })
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
