//! The client's turn: one command after the other, each answered before the next is looked at (RFC 3501 section 5.5, RFC 2449 section 6.6,
//! RFC 2920).

use super::authorize::Authorize;
use super::sasl::Sasl;
use super::upgrade::Upgrade;
use super::{Context, Phase, Turn, close, part};
use crate::action::Actions;
use crate::dialect::{Dialect, Farewell, Refusal, Step};
use crate::framing::{Frame, Inbox};
use crate::grammar::{cut, is_http_request};
use crate::limits::{COMMAND_BYTES_MIN, COMMAND_WORD_BYTES_MAX, SASL_LINE_BYTES_MAX, TAG_BYTES_MAX};
use crate::policy::StartTls;
use crate::report::{ForeignProtocol, Notice};
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::Wire;

/// Waiting for a command.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Converse<D> {
    dialect: D,
    pub(super) inbox: Inbox,
    /// The end of the budget from the greeting to the command that authenticates; commands do not extend it (decision 6).
    until: Instant,
}

impl<D: Dialect> Converse<D> {
    pub(super) const fn new(dialect: D, inbox: Inbox, until: Instant) -> Self {
        Self { dialect, inbox, until }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Client }
    }

    /// Takes one frame from the inbox and does what it asks.
    pub(super) fn turn(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        if is_client_hello(self.inbox.octets()) {
            return Turn::Rest(foreign(ForeignProtocol::Tls, cx, out));
        }
        let bytes_max = self.command_bytes_max(cx);
        let frame = if D::LITERALS { self.inbox.command(bytes_max) } else { self.inbox.line(bytes_max) };
        match frame {
            Frame::Partial if self.inbox.has_ended() => Turn::Rest(self.left(cx, out)),
            Frame::Partial => Turn::Rest(self.into()),
            Frame::Whole(octets) if is_http_request(self.inbox.front(octets)) => {
                Turn::Rest(foreign(ForeignProtocol::Http, cx, out))
            }
            Frame::Whole(octets) => {
                let step = self.dialect.on_frame(self.inbox.front(octets), cx);
                self.inbox.discard(octets);
                self.take(step, cx, out)
            }
            Frame::Announced(octets) => self.announced(octets, cx, out),
            Frame::TooBig { announced, synchronising } => self.too_big(announced, synchronising, cx, out),
            Frame::TooLong(octets) => self.too_long(octets, bytes_max, cx, out),
        }
    }

    /// A command may be as long as its buffer; one that carries a SASL response, as long as those may be (decision 9). The word is
    /// looked for no further than it may begin in any command, and not in the line behind, lest the answer depend on how much has come.
    fn command_bytes_max(&self, cx: &Context<'_>) -> usize {
        let (line, _) = cut(self.inbox.front(COMMAND_WORD_BYTES_MAX), b'\n');
        match D::verb(line).eq_ignore_ascii_case(D::AUTHENTICATE) {
            true => TAG_BYTES_MAX + D::AUTHENTICATE.len() + SASL_LINE_BYTES_MAX,
            false => cx.policy.client_buffer_bytes.max(COMMAND_BYTES_MIN),
        }
    }

    fn take(mut self, step: Step, cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        let malformed = matches!(&step, Step::Refuse { refusal, .. } if refusal.is_error());
        if !malformed && cx.count_command() {
            return Turn::Rest(self.too_many_commands(cx, out));
        }
        match step {
            Step::Reply(reply) => {
                out.send(Wire::Client, reply);
                Turn::Again(self.into())
            }
            Step::Refuse { refusal, notice } => {
                if let Some(notice) = notice {
                    cx.report(notice, out);
                }
                self.refuse(refusal, cx, out)
            }
            Step::Swallow(octets, refusal) => {
                self.inbox.swallow(octets);
                self.refuse(refusal, cx, out)
            }
            Step::Upgrade => self.upgrade(cx, out),
            Step::Authenticate { mechanism, initial } => {
                Sasl::begin(self.dialect, self.inbox, self.until, mechanism, initial, cx, out)
            }
            Step::Authorize(credentials) => {
                Turn::Rest(Authorize::begin(self.dialect, self.inbox, credentials, cx, out))
            }
            Step::Quit(reply) => {
                out.send(Wire::Client, reply);
                Turn::Rest(close(out))
            }
        }
    }

    fn refuse(self, refusal: Refusal, cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        out.send(Wire::Client, self.dialect.refuse(refusal));
        if refusal.is_error() && cx.count_error() {
            cx.report(Notice::TooManyInvalidCommands, out);
            return Turn::Rest(part::<D>(Farewell::TooManyErrors, cx, out));
        }
        Turn::Again(self.into())
    }

    fn too_many_commands(self, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::TooManyCommands, out);
        out.send(Wire::Client, self.dialect.refuse(Refusal::Malformed));
        part::<D>(Farewell::TooManyCommands, cx, out)
    }

    /// The plaintext has said its last word with STARTTLS: were there anything behind it, who knows whose it was (decision 8).
    fn upgrade(self, cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        if cx.has_tls() {
            return self.refuse(Refusal::TlsActive, cx, out);
        }
        if cx.policy.starttls == StartTls::Off {
            return self.refuse(Refusal::TlsUnavailable, cx, out);
        }
        #[cfg(planted = "starttls-buffer-kept")]
        if !self.inbox.octets().is_empty() {
            let mut upgrade = Upgrade::begin(&self.dialect, self.until, cx, out);
            upgrade.kept = self.inbox;
            return Turn::Rest(upgrade.into());
        }
        if !self.inbox.octets().is_empty() {
            cx.report(Notice::DataBehindStartTls, out);
            return Turn::Rest(close(out));
        }
        if self.inbox.has_ended() {
            return Turn::Rest(self.left_before_tls(cx, out));
        }
        Turn::Rest(Upgrade::begin(&self.dialect, self.until, cx, out).into())
    }

    /// The client has asked for TLS and said its last word with it, so there is nobody to shake hands with. It hears and the log tells
    /// what they would had it left an instant later.
    fn left_before_tls(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.starttls_accepted();
        out.send(Wire::Client, self.dialect.ready_for_tls());
        cx.report(Notice::HandshakeClosed, out);
        close(out)
    }

    /// The client has gone. It may do so at any time; in the middle of a command it is worth a line.
    fn left(self, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        if !self.inbox.octets().is_empty() {
            cx.report(Notice::ClientClosed, out);
        }
        close(out)
    }

    /// A literal's announcement. The command is over if it is not one that may hold a literal, or may not be given at all.
    fn announced(mut self, octets: usize, cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        match self.dialect.on_announced(self.inbox.front(octets), cx) {
            Ok(()) => {
                out.send(Wire::Client, "+ OK\r\n");
                self.inbox.grant();
                Turn::Again(self.into())
            }
            Err(refusal) => {
                self.inbox.discard(octets);
                self.take(refusal.into(), cx, out)
            }
        }
    }

    /// A literal that would not fit. The client that waits to be told hears so; the other one is sending it already, and its octets
    /// must not be taken for commands.
    fn too_big(mut self, announced: usize, waits: bool, cx: &mut Context<'_>, out: &mut Actions) -> Turn<D> {
        self.dialect.identify(self.inbox.front(announced));
        self.report_too_long(announced, cx, out);
        self.inbox.discard(announced);
        if waits {
            return self.refuse(Refusal::LiteralNotGranted, cx, out);
        }
        out.send(Wire::Client, self.dialect.refuse(Refusal::LiteralTooBig));
        Turn::Rest(part::<D>(Farewell::LiteralTooBig, cx, out))
    }

    fn too_long(
        mut self,
        octets: usize,
        bytes_max: usize,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Turn<D> {
        self.dialect.identify(self.inbox.front(octets));
        self.report_too_long(octets.min(bytes_max), cx, out);
        self.inbox.drop_line(octets);
        if D::LITERALS {
            out.send(Wire::Client, self.dialect.refuse(Refusal::TooLong));
            return Turn::Rest(part::<D>(Farewell::TooLong, cx, out));
        }
        self.refuse(Refusal::TooLong, cx, out)
    }

    fn report_too_long(&self, octets: usize, cx: &Context<'_>, out: &mut Actions) {
        let word = D::loggable(self.inbox.front(octets)).to_vec();
        cx.report(Notice::CommandTooLong { word, octets }, out);
    }
}

/// Another protocol's first words: there is nothing to say to it (decision 16).
fn foreign<D: Dialect>(which: ForeignProtocol, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
    cx.report(Notice::ForeignProtocol(which), out);
    part::<D>(Farewell::ForeignProtocol, cx, out)
}

/// A TLS record of type handshake (RFC 8446 section 5.1), where a command should begin.
fn is_client_hello(octets: &[u8]) -> bool {
    octets.starts_with(&[0x16, 0x03])
}

impl<D: Dialect> From<Converse<D>> for Phase<D> {
    fn from(phase: Converse<D>) -> Self {
        Self::Converse(phase)
    }
}
