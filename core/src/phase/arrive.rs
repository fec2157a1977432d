//! Before the greeting: the connection itself, a PROXY header where one is due (`listen … proxy_protocol`), and TLS where it comes first
//! (`listen … ssl`).

use bytes::Bytes;

use super::admit::{Turned, early_claims, judge};
use super::{Context, Phase, certificate_refusal, close, greet};
use crate::action::{Actions, Handshake};
use crate::dialect::{Dialect, Farewell};
use crate::event::{NoPlace, TlsFacts};
use crate::framing::Inbox;
use crate::limits::PROXY_HEADER_TIME_MAX;
use crate::phase::greet::Greet;
use crate::phase::identify::{HostName, Identify};
use crate::policy::Protocol;
use crate::proxy::{self, Fault, Header};
use crate::report::{Activity, Notice};
use crate::secret::Secret;
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::Wire;

/// The client has come, or is about to.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Arrive {
    /// As much of a PROXY header as has come; once that is over, what has come behind it.
    header: Secret,
    awaiting: Awaiting,
    until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
enum Awaiting {
    Connection,
    ProxyHeader,
    Admission,
    Handshake,
}

impl Arrive {
    pub(super) fn new(cx: &Context<'_>) -> Self {
        let span = match cx.proxy_header_first() {
            true => cx.policy.timeout.min(PROXY_HEADER_TIME_MAX),
            false => cx.policy.timeout,
        };
        let until = cx.now.after(span);
        Self { header: Secret::empty(), awaiting: Awaiting::Connection, until }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        let waiting_for = match self.awaiting {
            Awaiting::Connection | Awaiting::ProxyHeader => WaitingFor::ProxyHeader,
            Awaiting::Admission => WaitingFor::Admission,
            Awaiting::Handshake => WaitingFor::Handshake,
        };
        Deadline { at: self.until, waiting_for }
    }

    /// Whether the client may be read now: not while TLS is being agreed on, or nobody knows yet whether there is a place.
    pub(super) fn wants(&self) -> bool {
        self.awaiting == Awaiting::ProxyHeader
    }

    /// Whether it is the handshake that is waited for.
    pub(super) fn is_shaking(&self) -> bool {
        self.awaiting == Awaiting::Handshake
    }

    pub(super) fn opened<D: Dialect>(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::Connected { remote: cx.peer().remote.clone() }, out);
        if cx.proxy_header_first() {
            cx.doing(Activity::ReadingProxyHeader);
            self.awaiting = Awaiting::ProxyHeader;
            return Phase::Arrive(self);
        }
        self.introduced(b"", cx, out)
    }

    pub(super) fn received<D: Dialect>(
        mut self,
        octets: &[u8],
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        if !self.wants() {
            return Phase::Arrive(self);
        }
        self.header.extend(octets);
        match proxy::read(self.header.expose()) {
            Ok(None) => Phase::Arrive(self),
            Ok(Some((header, end))) => {
                if let Header::Proxied(proxied) = header {
                    cx.introduced(proxied);
                }
                self.header.discard(end);
                let behind = core::mem::take(&mut self.header);
                self.introduced(behind.expose(), cx, out)
            }
            Err(fault) => {
                let notice = match fault {
                    Fault::Broken(line) => Notice::ProxyHeaderBroken(line),
                    Fault::Version(version) => Notice::ProxyHeaderVersion(version),
                    Fault::TooLarge => Notice::ProxyHeaderTooLarge,
                };
                cx.report(notice, out);
                close(out)
            }
        }
    }

    /// It is known who the client is. `behind` is what it has already said.
    fn introduced<D: Dialect>(mut self, behind: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        if !cx.policy.access.admits(cx.client()) {
            cx.report(Notice::AccessForbidden, out);
            cx.turn_away();
            // Under TLS it would take a handshake to tell them.
            if !cx.tls_first() {
                out.send(Wire::Client, D::access_denied());
            }
            return close(out);
        }
        let claims = early_claims(cx, out);
        if !claims.is_empty() {
            out.admit(claims);
            self.header = behind.into();
            self.awaiting = Awaiting::Admission;
            return Phase::Arrive(self);
        }
        self.come_in(behind, cx, out)
    }

    /// It is known whether there is a place for the client.
    pub(super) fn admitted<D: Dialect>(
        mut self,
        outcome: Result<(), NoPlace>,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        if self.awaiting != Awaiting::Admission {
            return Phase::Arrive(self);
        }
        let refusal = match judge(outcome, cx, out) {
            Ok(()) => {
                let behind = core::mem::take(&mut self.header);
                return self.come_in(behind.expose(), cx, out);
            }
            Err(Turned::Away) => D::no_place(cx),
            Err(Turned::ByTrouble) => D::farewell(Farewell::Trouble, cx),
        };
        cx.turn_away();
        // Under TLS it would take a handshake to tell them, which is what one who comes too often wants of us.
        if !cx.tls_first() {
            out.send(Wire::Client, refusal);
        }
        close(out)
    }

    /// There is nothing against the client.
    fn come_in<D: Dialect>(mut self, behind: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        if !cx.tls_first() {
            return begin(behind, cx, out);
        }
        cx.doing(Activity::SslHandshaking);
        out.secure(Wire::Client, Handshake::Accept { already_read: Bytes::copy_from_slice(behind) });
        self.awaiting = Awaiting::Handshake;
        self.until = cx.now.after(cx.policy.timeout);
        Phase::Arrive(self)
    }

    pub(super) fn secured<D: Dialect>(
        self,
        facts: TlsFacts,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        cx.secured(facts);
        match certificate_refusal(cx, out) {
            None => begin(b"", cx, out),
            Some(refusal) => {
                out.send(Wire::Client, D::certificate_refused(refusal));
                close(out)
            }
        }
    }
}

/// Who the client is, by name, where that is to be found out; then the greeting.
fn begin<D: Dialect>(said: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
    let mut inbox = Inbox::default();
    inbox.receive(said);
    match (cx.policy.protocol, cx.policy.resolver_timeout, cx.client().ip()) {
        (Protocol::Smtp, Some(timeout), Some(address)) => {
            Identify::begin(inbox, address, cx.now.after(timeout), cx, out)
        }
        (Protocol::Smtp, Some(_), None) => {
            cx.host_is(HostName::TemporarilyUnavailable);
            welcome(inbox, cx, out)
        }
        _ => welcome(inbox, cx, out),
    }
}

/// The greeting, now or after `smtp_greeting_delay`, and then what the client has said already.
pub(super) fn welcome<D: Dialect>(inbox: Inbox, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
    if cx.policy.greeting_delay.is_zero() {
        return greet(inbox, cx, out);
    }
    let phase = Greet::new(cx);
    match inbox.octets() {
        [] if inbox.has_ended() => close(out),
        [] => phase.into(),
        said => phase.received(said, cx, out),
    }
}
