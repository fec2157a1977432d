//! The backend's turn: connecting, and the dialogue that logs the user in there (backend.md).

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Context, Phase, part, trouble};
use crate::action::{Actions, Handshake, Leftovers, Target};
use crate::backend::{Account, Dialogue, Move};
use crate::dialect::{Dialect, Farewell};
use crate::event::End;
use crate::framing::Inbox;
use crate::limits::{BACKEND_BUFFERS_MAX, COMMAND_BYTES_MIN};
use crate::policy::ProxyHeader;
use crate::proxy::{v1, v2};
use crate::report::{Activity, Notice};
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::{Address, Peer, Wire};

/// Waiting for the backend.
#[derive(Debug)]
pub(crate) struct Login<D: Dialect> {
    pub(super) dialect: D,
    pub(super) inbox: Inbox,
    dialogue: D::Login,
    heard: Heard,
    way: Way,
    /// One budget for connecting and all of the dialogue (decision 6).
    until: Instant,
}

/// How far the way to the backend is built. The dialogue goes over an open one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Not connected yet, and to be under TLS at once or not.
    Connecting {
        tls: bool,
    },
    /// TLS is being agreed on: after STARTTLS, or before the greeting.
    Securing {
        starttls: bool,
    },
    Open,
}

/// What the backend has said since it was last spoken to.
#[derive(Debug, Default)]
struct Heard {
    octets: Vec<u8>,
    /// Where the line begins that is not complete, or not looked at.
    line: usize,
    /// How many octets of whole lines there were in the whole dialogue.
    total: usize,
}

impl Heard {
    /// The end of the line that comes next, if it is complete.
    fn line_end(&self) -> Option<usize> {
        let at = self.octets.get(self.line..)?.iter().position(|&octet| octet == b'\n')?;
        Some(self.line + at + 1)
    }

    /// Counts the line that ends at `end`; tells whether it, or all there were, is too long.
    fn count(&mut self, end: usize, buffer_bytes: usize) -> bool {
        let octets = end - self.line;
        self.total = self.total.saturating_add(octets);
        octets > buffer_bytes || self.total > buffer_bytes.saturating_mul(BACKEND_BUFFERS_MAX)
    }

    /// Whether the line that has begun is too long already.
    fn is_overfull(&self, buffer_bytes: usize) -> bool {
        self.octets.len() - self.line >= buffer_bytes
    }

    /// Everything up to `end`, and the last line of it.
    fn reply(&self, end: usize) -> (&[u8], &[u8]) {
        let reply = self.octets.get(..end).unwrap_or_default();
        (reply, reply.get(self.line..).unwrap_or_default())
    }

    /// Forgets everything up to `end`: it was answered.
    fn answered(&mut self, end: usize) {
        self.octets.drain(..end.min(self.octets.len()));
        self.line = 0;
    }
}

impl<D: Dialect> Login<D> {
    /// Connects to the backend. The account is the auth server's word that the client may.
    pub(super) fn begin(
        dialect: D,
        inbox: Inbox,
        backend: Address,
        account: Account,
        tls: bool,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        let dialogue = match D::Login::begin(account, &dialect, cx) {
            Ok(dialogue) => dialogue,
            Err(notice) => {
                cx.report(notice, out);
                return trouble(&dialect, cx, out);
            }
        };
        cx.doing(Activity::ConnectingToUpstream);
        cx.upstream_is(&backend);
        let way = Way::Connecting { tls };
        out.open(Wire::Backend, Target::Address(backend));
        let until = cx.now.after(cx.policy.timeout);
        Self { dialect, inbox, dialogue, heard: Heard::default(), way, until }.into()
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Backend }
    }

    pub(super) fn opened(mut self, peer: &Peer, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.upstream_is(&peer.remote);
        match cx.policy.backend.proxy_header {
            ProxyHeader::Off => {}
            ProxyHeader::V1 => out.send(Wire::Backend, v1::header(cx.client(), cx.peer())),
            ProxyHeader::V2 => out.send(Wire::Backend, v2::header(cx.client(), cx.peer(), cx.tls())),
        }
        if self.way == (Way::Connecting { tls: true }) {
            return self.secure(false, cx, out);
        }
        cx.doing(Activity::ReadingUpstream);
        self.way = Way::Open;
        self.into()
    }

    /// Whether the backend may be read now: not while TLS is being agreed on.
    pub(super) fn wants_backend(&self) -> bool {
        self.way == Way::Open
    }

    /// Asks for TLS. Nothing that the backend has said so far counts any more (divergences S3).
    fn secure(mut self, starttls: bool, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.doing(Activity::UpstreamHandshake);
        out.secure(Wire::Backend, Handshake::Connect { name: cx.policy.backend.tls_name.clone() });
        self.heard.octets.clear();
        self.heard.line = 0;
        self.way = Way::Securing { starttls };
        self.into()
    }

    pub(super) fn secured(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let Way::Securing { starttls } = self.way else { return self.into() };
        self.way = Way::Open;
        cx.doing(Activity::ReadingUpstream);
        if starttls && let Move::Say(activity, words) = self.dialogue.on_secured(&self.dialect, cx) {
            cx.doing(activity);
            out.send(Wire::Backend, words);
        }
        self.into()
    }

    pub(super) fn received(mut self, octets: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let buffer_bytes = cx.policy.backend.buffer_bytes.max(COMMAND_BYTES_MIN);
        self.heard.octets.extend_from_slice(octets);
        while let Some(end) = self.heard.line_end() {
            if self.heard.count(end, buffer_bytes) {
                return self.too_long(cx, out);
            }
            let (reply, line) = self.heard.reply(end);
            match self.dialogue.on_line(reply, line, &self.dialect, cx) {
                Move::Await => self.heard.line = end,
                Move::Say(activity, words) => {
                    cx.doing(activity);
                    out.send(Wire::Backend, words);
                    self.heard.answered(end);
                }
                Move::Upgrade if self.heard.octets.len() > end => {
                    cx.report(Notice::UpstreamDataBehindStartTls, out);
                    return fail(&self.dialect, cx, out);
                }
                Move::Upgrade => return self.secure(true, cx, out),
                Move::Welcome(words) => return self.welcomed(words, end, cx, out),
                Move::Refuse => return self.refused(end, cx, out),
            }
        }
        match self.heard.is_overfull(buffer_bytes) {
            true => self.too_long(cx, out),
            false => self.into(),
        }
    }

    fn too_long(self, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::UpstreamTooLong { reply: self.heard.octets }, out);
        fail(&self.dialect, cx, out)
    }

    pub(super) fn ended(self, end: End, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(
            match end {
                End::Insecure(reason) if !self.wants_backend() => Notice::UpstreamHandshakeFailed { reason },
                End::Finished | End::Insecure(_) => Notice::UpstreamClosed,
                End::Broken(error) => Notice::UpstreamFailed(error),
            },
            out,
        );
        fail(&self.dialect, cx, out)
    }

    pub(super) fn timed_out(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::UpstreamTimedOut, out);
        fail(&self.dialect, cx, out)
    }

    /// The client is in: from here on octets are octets.
    fn welcomed(mut self, words: Bytes, end: usize, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::LoggedIn, out);
        out.send(Wire::Client, words);
        cx.doing(Activity::Proxying);
        self.heard.answered(end);
        out.relay(Leftovers {
            to_backend: self.inbox.into_leftovers(),
            to_client: self.heard.octets.into(),
            context: cx.report_context(),
        });
        Phase::Closed
    }

    /// A reply that does not lead on. The client sees it only where the operator wants it to.
    fn refused(self, end: usize, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        let (_, line) = self.heard.reply(end);
        let passed_on = cx.policy.backend.pass_error_message || self.dialogue.is_for_the_client(line, cx);
        let said = crate::framing::without_line_end(line);
        let reply = self.dialogue.without_tag(said, &self.dialect).to_vec();
        cx.report(Notice::UpstreamRefused { reply, passed_on }, out);
        if !passed_on {
            return fail(&self.dialect, cx, out);
        }
        out.close(Wire::Backend);
        let (reply, _) = self.heard.reply(end);
        out.send(Wire::Client, Bytes::copy_from_slice(reply));
        part::<D>(Farewell::Told, cx, out)
    }
}

/// Our own trouble, as far as the client is concerned.
fn fail<D: Dialect>(dialect: &D, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
    out.close(Wire::Backend);
    trouble(dialect, cx, out)
}

impl<D: Dialect> From<Login<D>> for Phase<D> {
    fn from(phase: Login<D>) -> Self {
        Self::Login(phase)
    }
}
