//! The backend's turn: connecting, and the dialogue that logs the user in there (backend.md). As long as nothing was said
//! that only one backend may hear, another may take the place of one that fails (divergences D5, R5).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Context, Phase, part, trouble};
use crate::action::{Actions, Handshake, Judgement, Leftovers, Target};
use crate::backend::{Account, Dialogue, Move};
use crate::dialect::{Dialect, Farewell};
use crate::event::{End, NoServer, ResolveError};
use crate::framing::Inbox;
use crate::limits::{BACKEND_BUFFERS_MAX, COMMAND_BYTES_MIN, CONNECT_TIMEOUT};
use crate::policy::{BackendTls, ProxyHeader};
use crate::proxy::{v1, v2};
use crate::report::{Activity, AuthFault, Notice, TlsLack};
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::{Address, Peer, Server, Wire};

/// Waiting for the backend.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Login<D: Dialect> {
    pub(super) dialect: D,
    pub(super) inbox: Inbox,
    dialogue: D::Login,
    heard: Heard,
    way: Way,
    choice: Choice,
    /// Whether TLS comes, and when.
    tls: BackendTls,
    /// One budget for connecting and all of the dialogue, whatever the number of servers (decision 6).
    until: Instant,
    /// The end of the present step's part of it.
    by: Instant,
}

/// Whether another server may take the place of this one.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
enum Choice {
    /// No: there is no other, or this one has been told what only one may hear.
    Made,
    /// Yes.
    Open(Open),
}

/// What a choice is made from.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
struct Open {
    /// The name of the group, where it is one.
    group: Option<Arc<str>>,
    /// The host name of the server that was chosen.
    name: Option<Arc<str>>,
    /// Who named the servers, for the log.
    auth_server: Option<Address>,
}

/// How far the way to the backend is built. The dialogue goes over an open one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
enum Way {
    /// Whoever it will be is still being looked for.
    Choosing,
    /// Not connected yet.
    Connecting,
    /// TLS is being agreed on: after STARTTLS, or before the greeting.
    Securing {
        starttls: bool,
    },
    Open,
}

/// What the backend has said since it was last spoken to.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
struct Heard {
    octets: Vec<u8>,
    /// Where the line begins that is not complete, or not looked at.
    line: usize,
    /// How many octets of whole lines there were in the whole dialogue.
    total: usize,
}

impl Heard {
    /// Takes in more. The room is doubled, but grows by no more than a buffer at a time: of a backend that does not stop thrice of what
    /// it says would be held otherwise.
    fn receive(&mut self, octets: &[u8], buffer_bytes: usize) {
        let room = self.octets.capacity();
        if room - self.octets.len() < octets.len() {
            self.octets.reserve_exact(octets.len().max(room.min(buffer_bytes)));
        }
        self.octets.extend_from_slice(octets);
    }

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
    /// Connects to the backend, unless it needs TLS and we have none to give. The account is the auth server's word that the
    /// client may.
    pub(super) fn begin(
        dialect: D,
        inbox: Inbox,
        backend: &Target,
        account: Account,
        tls: BackendTls,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        let target = backend.on_behalf_of(cx.client().ip(), &account.login);
        let choice = match &target {
            Target::Address(_) => Choice::Made,
            Target::AnyOf(_) | Target::Group(_) => Choice::Open(Open {
                group: match &target {
                    Target::Group(group) => Some(group.name.clone()),
                    _ => None,
                },
                name: None,
                auth_server: account.auth_server.clone(),
            }),
        };
        let fit = match tls {
            BackendTls::On | BackendTls::StartTls if !cx.policy.backend.tls_configured => {
                Err(Notice::UpstreamTlsImpossible(TlsLack::Unconfigured))
            }
            _ => D::Login::begin(account, &dialect, cx),
        };
        let dialogue = match fit {
            Ok(dialogue) => dialogue,
            Err(notice) => {
                cx.report(notice, out);
                return trouble(&dialect, cx, out);
            }
        };
        let until = cx.now.after(cx.policy.timeout);
        let heard = Heard::default();
        let way = Way::Choosing;
        let mut phase = Self { dialect, inbox, dialogue, heard, way, choice, tls, until, by: until };
        phase.choose(cx);
        if let Target::Address(address) = &target {
            phase.connect(address, cx);
            if let Some(lack) = phase.lack(address, cx) {
                cx.report(Notice::UpstreamTlsImpossible(lack), out);
                return trouble(&phase.dialect, cx, out);
            }
        }
        out.open(Wire::Backend, target);
        phase.into()
    }

    /// Whoever it will be, nothing is known of it yet.
    fn choose(&mut self, cx: &mut Context<'_>) {
        cx.doing(Activity::ConnectingToUpstream);
        cx.forget_upstream();
        self.heard = Heard::default();
        self.way = Way::Choosing;
        self.by = cx.now.after(cx.policy.backend.resolve_timeout).min(self.until);
    }

    /// This is the one.
    fn connect(&mut self, address: &Address, cx: &mut Context<'_>) {
        cx.upstream_is(address);
        self.way = Way::Connecting;
        let limit = match &self.choice {
            Choice::Made => cx.policy.backend.connect_timeout,
            Choice::Open(_) => Some(cx.policy.backend.connect_timeout.unwrap_or(CONNECT_TIMEOUT)),
        };
        self.by = limit.map_or(self.until, |limit| cx.now.after(limit).min(self.until));
    }

    /// What TLS to this server would take and we have not got.
    fn lack(&self, address: &Address, cx: &Context<'_>) -> Option<TlsLack> {
        let named = cx.policy.backend.tls_name.is_some() || self.name().is_some();
        let nameless = self.tls != BackendTls::Off && !named && address.ip().is_none();
        nameless.then_some(TlsLack::Name)
    }

    /// The host name of the server that was chosen.
    fn name(&self) -> Option<&str> {
        match &self.choice {
            Choice::Open(open) => open.name.as_deref(),
            Choice::Made => None,
        }
    }

    pub(super) fn chosen(
        mut self,
        chosen: Result<Server, NoServer>,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        let Choice::Open(open) = &mut self.choice else { return self.into() };
        match chosen {
            Ok(server) => {
                open.name = server.name;
                self.connect(&server.address, cx);
                match self.lack(&server.address, cx) {
                    None => self.into(),
                    // The configuration's fault, and none of the server's.
                    Some(lack) => {
                        cx.report(Notice::UpstreamTlsImpossible(lack), out);
                        self.choose_next(cx, out)
                    }
                }
            }
            Err(NoServer::Unresolved { name, error }) => {
                cx.report(unresolved(open.auth_server.as_ref(), name, error), out);
                self.choose_next(cx, out)
            }
            Err(NoServer::Exhausted) => {
                if let Some(name) = &open.group {
                    cx.report(Notice::NoLiveUpstreams { name: name.clone() }, out);
                }
                fail(&self.dialect, cx, out)
            }
        }
    }

    /// This server is no good. Another takes its place, unless this one alone may hear what has been said.
    fn give_up(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        match self.choice {
            Choice::Made => fail(&self.dialect, cx, out),
            Choice::Open(_) => {
                out.judge(Wire::Backend, Judgement::Failed);
                self.choose_next(cx, out)
            }
        }
    }

    fn choose_next(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        out.open_next(Wire::Backend);
        self.dialogue.restart();
        self.choose(cx);
        self.into()
    }

    /// This server has greeted as it should, and is told now what only one may hear.
    fn settle_for_it(&mut self, out: &mut Actions) {
        if let Choice::Open(_) = self.choice {
            out.judge(Wire::Backend, Judgement::Sound);
            self.choice = Choice::Made;
        }
        self.by = self.until;
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.by, waiting_for: WaitingFor::Backend }
    }

    pub(super) fn opened(mut self, peer: &Peer, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.upstream_is(&peer.remote);
        if let Choice::Made = self.choice {
            self.by = self.until;
        }
        match cx.policy.backend.proxy_header {
            ProxyHeader::Off => {}
            ProxyHeader::V1 => out.send(Wire::Backend, v1::header(cx.client(), cx.peer())),
            ProxyHeader::V2 => out.send(Wire::Backend, v2::header(cx.client(), cx.peer(), cx.tls())),
        }
        if self.tls == BackendTls::On {
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
        let name = cx.policy.backend.tls_name.as_deref().or(self.name()).map(Into::into);
        out.secure(Wire::Backend, Handshake::Connect { name });
        self.heard.octets.clear();
        self.heard.line = 0;
        self.way = Way::Securing { starttls };
        self.into()
    }

    pub(super) fn secured(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let Way::Securing { starttls } = self.way else { return self.into() };
        self.way = Way::Open;
        cx.doing(Activity::ReadingUpstream);
        if starttls {
            self.settle_for_it(out);
        }
        if starttls && let Move::Say(activity, words) = self.dialogue.on_secured(&self.dialect, cx) {
            cx.doing(activity);
            out.send(Wire::Backend, words);
        }
        self.into()
    }

    pub(super) fn received(mut self, octets: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let buffer_bytes = cx.policy.backend.buffer_bytes.max(COMMAND_BYTES_MIN);
        self.heard.receive(octets, buffer_bytes);
        while let Some(end) = self.heard.line_end() {
            if self.heard.count(end, buffer_bytes) {
                return self.too_long(cx, out);
            }
            let (reply, line) = self.heard.reply(end);
            match self.dialogue.on_line(reply, line, &self.dialect, cx) {
                Move::Await => self.heard.line = end,
                Move::Proceed => self.heard.answered(end),
                Move::Say(activity, words) => {
                    if self.tls != BackendTls::StartTls {
                        self.settle_for_it(out);
                    }
                    cx.doing(activity);
                    out.send(Wire::Backend, words);
                    self.heard.answered(end);
                }
                Move::Upgrade if self.heard.octets.len() > end => {
                    cx.report(Notice::UpstreamDataBehindStartTls, out);
                    return self.give_up(cx, out);
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

    fn too_long(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let reply = core::mem::take(&mut self.heard.octets);
        cx.report(Notice::UpstreamTooLong { reply }, out);
        self.give_up(cx, out)
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
        self.give_up(cx, out)
    }

    pub(super) fn timed_out(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::UpstreamTimedOut, out);
        match (&self.choice, self.way) {
            (Choice::Open(_), Way::Choosing) if cx.now < self.until => return self.choose_next(cx, out),
            _ if cx.now < self.until => return self.give_up(cx, out),
            (Choice::Open(_), Way::Connecting | Way::Securing { .. } | Way::Open) => {
                out.judge(Wire::Backend, Judgement::Failed);
            }
            _ => {}
        }
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
    fn refused(self, end: usize, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let (_, line) = self.heard.reply(end);
        let turned_away = self.dialogue.is_turned_away(line);
        let may_pass = cx.policy.backend.pass_error_message || self.dialogue.is_for_the_client(line, cx);
        let passed_on = may_pass && matches!(self.choice, Choice::Made);
        let said = crate::framing::without_line_end(line);
        let reply = self.dialogue.without_tag(said, &self.dialect).to_vec();
        cx.report(Notice::UpstreamRefused { reply, passed_on }, out);
        if !passed_on {
            // With our header in front it was the client who was turned away, and all that shows is what it is thought of. It must
            // not be able to take the server from everybody else.
            let it_was_the_client = cx.policy.backend.proxy_header != ProxyHeader::Off;
            return match (&self.choice, it_was_the_client && turned_away) {
                (Choice::Open(_), true) => self.choose_next(cx, out),
                _ => self.give_up(cx, out),
            };
        }
        out.close(Wire::Backend);
        let (reply, _) = self.heard.reply(end);
        out.send(Wire::Client, Bytes::copy_from_slice(reply));
        part::<D>(Farewell::Told, cx, out)
    }
}

/// The log line for a name that cannot be found, which blames whoever named it.
fn unresolved(auth_server: Option<&Address>, name: Arc<str>, error: ResolveError) -> Notice {
    match auth_server {
        Some(server) => {
            Notice::AuthAnswer { server: server.clone(), fault: AuthFault::UnresolvableServer(name) }
        }
        None => Notice::NameUnresolved { name, error },
    }
}

/// Our own trouble, as far as the client is concerned.
fn fail<D: Dialect>(dialect: &D, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
    out.close(Wire::Backend);
    trouble(dialect, cx, out)
}

impl<D: Dialect> From<Login<D>> for Phase<D> {
    fn from(phase: Login<D>) -> Self {
        Self::Login(Box::new(phase))
    }
}
