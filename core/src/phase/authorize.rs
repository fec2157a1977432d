//! The auth server's turn: one request, one answer (auth-http.md).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::admit::{Admit, Bound, Headers};
use super::penalty::{Penalty, Then};
use super::sasl::{Due, Refused};
use super::{Context, Phase, part, trouble};
use crate::action::{Actions, Handshake, Judgement, Target};
use crate::auth::credentials::{Credentials, Method};
use crate::auth::request::{Fields, Request};
use crate::auth::response::{Answer, Denied, Granted, Head};
use crate::backend::token::Token;
use crate::backend::{Account, Proof};
use crate::dialect::{Dialect, Farewell, presentable};
use crate::event::{End, NoServer};
use crate::framing::Inbox;
use crate::limits::{
    AUTH_REUSED_SILENCE_MAX, AUTH_WAIT_SECONDS_MIN, AUTH_WAIT_TIMEOUTS_MAX, ERROR_CODE_BYTES_MAX,
};
use crate::policy::{AuthUrl, BackendTls, Policy, Protocol, Scheme, VerifyClient};
use crate::report::{Activity, AuthFault, Notice};
use crate::sasl::base64;
use crate::sasl::oauth::INVALID_TOKEN;
use crate::secret::Secret;
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::{Address, Peer, Place, Server, Wire};

/// A request and the credentials it is about; it may be made more than once, each time the same.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(super) struct Inquiry {
    credentials: Credentials,
    request: Fields,
    /// For all auth servers together.
    timeout: Duration,
    /// How long the client has been kept waiting by `WAIT` answers.
    waited: Duration,
}

impl Inquiry {
    /// The URL at this place among those of the policy, on behalf of whoever the question is about.
    fn url(&self, at: usize, cx: &Context<'_>) -> Option<AuthUrl> {
        let url = cx.policy.auth.as_ref()?.urls.get(at)?;
        let target = url.target.on_behalf_of(cx.client().ip(), &self.credentials.login);
        Some(AuthUrl { target, ..url.clone() })
    }
}

/// How far the way to the auth server is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
enum Way {
    /// Whoever it will be is being chosen, or connected to.
    Connecting,
    /// TLS is being agreed on.
    Securing,
    /// It was asked.
    Open,
}

/// Waiting for the auth server.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Authorize<D> {
    pub(super) dialect: D,
    pub(super) inbox: Inbox,
    inquiry: Inquiry,
    /// The URL whose turn it is, and its place among those of the policy.
    url: AuthUrl,
    at: usize,
    /// The server that was reached, or is being tried.
    server: Address,
    /// The host name that it was chosen by, if it was chosen and has one.
    name: Option<Arc<str>>,
    way: Way,
    /// How long the connection may stay silent, if it is one that was kept: it may have ended before the question came.
    reused: Option<Instant>,
    answer: Box<Head>,
    /// One budget for all servers.
    until: Instant,
    /// How many of them have not had their turn, this one included.
    untried: u32,
    /// The end of this one's share of the budget.
    by: Instant,
}

impl<D: Dialect> Authorize<D> {
    /// Asks about a new login attempt.
    pub(super) fn begin(
        dialect: D,
        inbox: Inbox,
        credentials: Credentials,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        let attempt = cx.count_attempt();
        #[cfg(planted = "credentials-reused")]
        let credentials = Credentials { password: cx.first_password(&credentials.password), ..credentials };
        cx.login_is(&credentials.login);
        cx.method_is(credentials.method.name());
        let Some(server) = &cx.policy.auth else {
            return Self::pass_through(dialect, inbox, credentials, cx, out);
        };
        let request = Request {
            server,
            protocol: cx.policy.protocol,
            credentials: &credentials,
            attempt,
            client: cx.client(),
            tls: cx.tls(),
            verified: cx.policy.verify_client != VerifyClient::Off,
            client_host: (cx.policy.protocol == Protocol::Smtp).then(|| cx.client_host()),
            proxied: cx.proxied(),
            envelope: dialect.envelope(),
        };
        let inquiry = Inquiry {
            request: request.encode(),
            timeout: server.timeout,
            credentials,
            waited: Duration::ZERO,
        };
        Self::ask(dialect, inbox, inquiry, cx, out)
    }

    /// There is no auth server: the backend decides, by what the client gave (divergences R6).
    fn pass_through(
        dialect: D,
        inbox: Inbox,
        credentials: Credentials,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        // A policy without either is of no use to anybody; the client hears that it is our trouble.
        let Some(backend) = cx.policy.backend.pass.clone() else { return trouble(&dialect, cx, out) };
        let login = credentials.login.clone();
        let unauthenticated = credentials.method == Method::None;
        let proof = match proof(credentials, &login, None, cx.policy) {
            Ok(proof) => proof,
            Err(_) => {
                cx.report(Notice::TokenUnfit, out);
                return trouble(&dialect, cx, out);
            }
        };
        let tls = cx.policy.backend.tls;
        let starttls = tls == BackendTls::StartTls;
        let account = Account { login, proof, unauthenticated, starttls, auth_server: None };
        Admit::begin(dialect, inbox, Bound { backend, account, tls }, &Headers::new(), cx, out)
    }

    /// Asks, for the first time or again.
    pub(super) fn ask(
        dialect: D,
        inbox: Inbox,
        inquiry: Inquiry,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        cx.doing(Activity::HttpAuth);
        // A policy without any is of no use to anybody; the client hears that it is our trouble.
        let Some(url) = inquiry.url(0, cx) else { return trouble(&dialect, cx, out) };
        let until = cx.now.after(inquiry.timeout);
        let mut phase = Self {
            dialect,
            inbox,
            inquiry,
            server: first_address(&url.target),
            url,
            at: 0,
            name: None,
            way: Way::Connecting,
            reused: None,
            answer: Box::new(Head::new(cx.policy)),
            until,
            untried: 1,
            by: until,
        };
        phase.open(cx, out);
        phase.into()
    }

    /// Begins with the servers of the URL whose turn it is.
    fn open(&mut self, cx: &Context<'_>, out: &mut Actions) {
        match keeps(cx) {
            true => out.open_or_reuse(Wire::Auth, self.url.target.clone(), self.url.scheme.clone()),
            false => out.open(Wire::Auth, self.url.target.clone()),
        }
        self.server = first_address(&self.url.target);
        let urls = cx.policy.auth.iter().flat_map(|auth| &auth.urls).skip(self.at);
        let untried = urls.map(|url| url.target.servers()).fold(0, usize::saturating_add);
        self.untried = u32::try_from(untried).unwrap_or(u32::MAX).max(1);
        self.begin_with_one(cx);
    }

    /// Nothing is known yet of the server whose turn it is.
    fn begin_with_one(&mut self, cx: &Context<'_>) {
        self.name = None;
        self.way = Way::Connecting;
        self.reused = None;
        *self.answer = Head::new(cx.policy);
        self.by = share(cx.now, self.until, self.untried);
    }

    /// Whether the auth server may be read now: not while TLS is being agreed on.
    pub(super) fn wants_auth(&self) -> bool {
        self.way != Way::Securing
    }

    pub(super) const fn deadline(&self) -> Deadline {
        let at = match self.reused {
            Some(until) if self.answer.is_empty() => until,
            _ => self.by,
        };
        Deadline { at, waiting_for: WaitingFor::Auth }
    }

    pub(super) fn chosen(
        mut self,
        chosen: Result<Server, NoServer>,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        match chosen {
            Ok(server) => {
                (self.server, self.name) = (server.address, server.name);
                self.into()
            }
            Err(NoServer::Unresolved { name, error }) => {
                cx.report(Notice::NameUnresolved { name, error }, out);
                self.ask_next(cx, out)
            }
            Err(NoServer::Exhausted) => {
                if let Target::Group(group) = &self.url.target {
                    cx.report(Notice::NoLiveUpstreams { name: group.name.clone() }, out);
                }
                self.ask_next_url(cx, out)
            }
        }
    }

    /// This server is of no use here. Another is asked if there is one (divergences D2).
    fn ask_another(self, judgement: Judgement, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        if self.url.target.is_choice() {
            out.judge(Wire::Auth, judgement);
            return self.ask_next(cx, out);
        }
        self.ask_next_url(cx, out)
    }

    fn ask_next(mut self, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        out.open_next(Wire::Auth);
        self.untried = self.untried.saturating_sub(1).max(1);
        self.begin_with_one(cx);
        self.into()
    }

    /// Nobody behind this URL is left to be asked.
    fn ask_next_url(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        out.close(Wire::Auth);
        let Some(url) = self.inquiry.url(self.at + 1, cx) else { return trouble(&self.dialect, cx, out) };
        (self.url, self.at) = (url, self.at + 1);
        self.open(cx, out);
        self.into()
    }

    pub(super) fn opened(mut self, peer: Peer, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        self.server = peer.remote;
        match &self.url.scheme {
            Scheme::Http => self.ask_now(cx, out),
            Scheme::Https { name } => {
                let name = name.as_deref().or(self.name.as_deref()).map(Into::into);
                out.secure(Wire::Auth, Handshake::Connect { name });
                self.way = Way::Securing;
            }
        }
        self.into()
    }

    pub(super) fn secured(mut self, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        if self.way == Way::Securing {
            self.ask_now(cx, out);
        }
        self.into()
    }

    pub(super) fn reused(mut self, peer: Peer, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        self.server = peer.remote;
        // What is left is more than nothing, and a new connection has to have its turn in it too.
        let silence = AUTH_REUSED_SILENCE_MAX.min(cx.now.until(self.by) / 2);
        self.reused = Some(cx.now.after(silence));
        self.ask_now(cx, out);
        self.into()
    }

    fn ask_now(&mut self, cx: &Context<'_>, out: &mut Actions) {
        self.way = Way::Open;
        if keeps(cx) {
            *self.answer = Head::new(cx.policy).kept();
        }
        out.send(Wire::Auth, self.inquiry.request.addressed_to(&self.url, keeps(cx)));
    }

    pub(super) fn received(mut self, octets: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        if self.way == Way::Securing {
            // Whoever speaks in clear where TLS was wanted is not the auth server.
            return self.into();
        }
        match self.answer.receive(octets) {
            Ok(None) => self.into(),
            Ok(Some((answer, odd))) => {
                if self.url.target.is_choice() {
                    out.judge(Wire::Auth, Judgement::Sound);
                }
                match self.answer.rest() {
                    Some(rest) => out.keep(Wire::Auth, rest),
                    None => out.close(Wire::Auth),
                }
                if let Some(fault) = odd {
                    self.report(fault, cx, out);
                }
                self.decided(answer, cx, out)
            }
            Err(
                fault @ (AuthFault::Status(_)
                | AuthFault::InvalidResponse
                | AuthFault::InvalidHeader
                | AuthFault::TooBig),
            ) => {
                self.report(fault, cx, out);
                // It did answer. What it makes of one login is no reason to keep others from it: whoever finds a login that it
                // stumbles over would take it down for everybody.
                self.ask_another(Judgement::Sound, cx, out)
            }
            Err(fault) => self.failed(fault, cx, out),
        }
    }

    pub(super) fn ended(self, end: End, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        if self.reused.is_some() && self.answer.is_empty() {
            return self.ask_anew(out);
        }
        match end {
            End::Finished => self.report(AuthFault::Closed, cx, out),
            End::Insecure(reason) => {
                let server = self.server.clone();
                let notice = match self.way {
                    Way::Connecting | Way::Securing => Notice::AuthHandshakeFailed { server, reason },
                    Way::Open => Notice::AuthTlsFailed { server, reason },
                };
                cx.report(notice, out);
            }
            End::Broken(error) => cx.report(Notice::AuthFailed(error), out),
        }
        self.fell_silent(cx, out)
    }

    pub(super) fn timed_out(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        if self.reused.is_some() && self.answer.is_empty() && cx.now < self.by {
            return self.ask_anew(out);
        }
        cx.report(Notice::AuthTimedOut { server: self.server.clone() }, out);
        self.fell_silent(cx, out)
    }

    /// The same server once more, by a connection of its own. A server ends a connection that it has heard nothing on for a while,
    /// which may cross the question; and what lies between may have forgotten it, and lets nothing through. That says nothing
    /// against the server; but it is asked anew once, and never behind the beginning of an answer.
    fn ask_anew(mut self, out: &mut Actions) -> Phase<D> {
        self.reused = None;
        self.way = Way::Connecting;
        out.reopen(Wire::Auth);
        self.into()
    }

    /// Nothing more comes from this server, or not in time. Another is asked only if it has said nothing at all (divergences D2): whoever
    /// has begun to answer has judged the login.
    fn fell_silent(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        if cx.now < self.until && self.answer.is_empty() {
            return self.ask_another(Judgement::Failed, cx, out);
        }
        if self.url.target.is_choice() {
            out.judge(Wire::Auth, Judgement::Failed);
        }
        out.close(Wire::Auth);
        trouble(&self.dialect, cx, out)
    }

    fn decided(self, answer: Answer, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        match answer {
            Answer::Granted(granted) => self.granted(granted, cx, out),
            Answer::Denied(denied) => self.denied(&denied, cx, out),
            Answer::Wait(wait) => self.told_to_wait(wait, cx, out),
        }
    }

    fn granted(self, granted: Granted, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let Inquiry { credentials, .. } = &self.inquiry;
        let named = granted.login.unwrap_or_else(|| credentials.login.clone());
        let backend = match &cx.policy.backend.pass {
            Some(pass) => {
                if granted.route.is_named() {
                    cx.report(Notice::AuthServerIgnored, out);
                }
                Ok(pass.clone())
            }
            None => granted.route.target(cx.policy),
        };
        let backend = match backend {
            Ok(_) if named.is_empty() && credentials.method != Method::None => Err(AuthFault::NoUser),
            backend => backend,
        };
        let backend = match backend {
            Ok(backend) => backend,
            Err(fault) => {
                self.report(fault, cx, out);
                return trouble(&self.dialect, cx, out);
            }
        };
        cx.login_is(&named);
        let (replaced, unauthenticated) = (granted.password, credentials.method == Method::None);
        let proof = match proof(self.inquiry.credentials, &named, replaced, cx.policy) {
            Ok(proof) => proof,
            Err(fault) => {
                cx.report(Notice::AuthAnswer { server: self.server, fault }, out);
                return trouble(&self.dialect, cx, out);
            }
        };
        let tls = granted.tls.unwrap_or(cx.policy.backend.tls);
        let account = Account {
            login: named,
            proof,
            unauthenticated,
            starttls: tls == BackendTls::StartTls && !cfg!(planted = "starttls-of-backend-skipped"),
            auth_server: Some(self.server),
        };
        let bound = Bound { backend, account, tls };
        Admit::begin(self.dialect, self.inbox, bound, &granted.headers, cx, out)
    }

    /// Without `Auth-Wait` a refused login ends the session; with it the reply comes late and the session goes on (decision 5).
    fn denied(mut self, denied: &Denied, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::LoginFailed { text: denied.text.clone() }, out);
        let fits = |code: &&[u8]| code.len() <= ERROR_CODE_BYTES_MAX && D::takes_error_code(code);
        let code = denied.code.as_deref().filter(fits);
        if let (Some(sent), None) = (&denied.code, code) {
            cx.report(Notice::InvalidErrorCode { server: self.server.clone(), code: sent.clone() }, out);
        }
        let challenge = denied.challenge.as_deref().and_then(|challenge| self.checked(challenge, cx, out));
        let reply = self.dialect.deny(&presentable(denied), code, cx);
        self.dialect.attempt_over();
        cx.forget_login();
        let wait = denied.wait.filter(|wait| !wait.is_zero()).map(|wait| self.bounded(wait, cx, out));
        if self.inquiry.credentials.method.is_refused_in_two_steps() {
            let challenge = challenge.unwrap_or_else(|| INVALID_TOKEN.into());
            let due = Due { reply, ends: wait.is_none() };
            return match wait {
                Some(wait) => Penalty::new(
                    self.dialect,
                    self.inbox,
                    cx.now.after(wait),
                    Then::Challenge(challenge, due),
                )
                .into(),
                None => Refused::begin(self.dialect, self.inbox, &challenge, due, cx, out),
            };
        }
        match wait {
            Some(wait) => {
                Penalty::new(self.dialect, self.inbox, cx.now.after(wait), Then::Reply(reply)).into()
            }
            None => {
                out.send(Wire::Client, reply);
                // A code of the auth server's own may say that it was no wrong password (decision 3).
                part::<D>(if code.is_some() { Farewell::Told } else { Farewell::Denied }, cx, out)
            }
        }
    }

    /// `Auth-Error-SASL`, as long as it is something that a client can decode.
    fn checked(&self, challenge: &[u8], cx: &Context<'_>, out: &mut Actions) -> Option<Vec<u8>> {
        match base64::decode(challenge) {
            Ok(_) => Some(challenge.to_vec()),
            Err(_) => {
                self.report(AuthFault::InvalidSaslError, cx, out);
                None
            }
        }
    }

    /// A wait that is one: what is longer than all waits together may be was a slip of the auth server's, and a descriptor held for it.
    fn bounded(&self, wait: Duration, cx: &Context<'_>, out: &mut Actions) -> Duration {
        let longest = waiting_max(cx.policy);
        if wait > longest {
            self.report(AuthFault::LongWait(wait.as_secs()), cx, out);
        }
        wait.min(longest)
    }

    /// Asked to ask again: not at once, and not for ever (divergences S8).
    fn told_to_wait(mut self, wait: Duration, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let wait = wait.max(Duration::from_secs(AUTH_WAIT_SECONDS_MIN));
        self.inquiry.waited = self.inquiry.waited.saturating_add(wait);
        if self.inquiry.waited > waiting_max(cx.policy) {
            self.report(AuthFault::WaitedTooLong, cx, out);
            return trouble(&self.dialect, cx, out);
        }
        Penalty::new(self.dialect, self.inbox, cx.now.after(wait), Then::AskAgain(self.inquiry)).into()
    }

    fn failed(self, fault: AuthFault, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        self.report(fault, cx, out);
        out.close(Wire::Auth);
        trouble(&self.dialect, cx, out)
    }

    fn report(&self, fault: AuthFault, cx: &Context<'_>, out: &mut Actions) {
        cx.report(Notice::AuthAnswer { server: self.server.clone(), fault }, out);
    }
}

/// Whether connections to auth servers are used more than once.
fn keeps(cx: &Context<'_>) -> bool {
    cx.policy.auth.as_ref().is_some_and(|auth| auth.keepalive > 0)
}

const fn waiting_max(policy: &Policy) -> Duration {
    policy.timeout.saturating_mul(AUTH_WAIT_TIMEOUTS_MAX)
}

/// What shows the backend that it is them: what the auth server gave in its place, or the client's own.
fn proof(
    credentials: Credentials,
    login: &[u8],
    replaced: Option<Secret>,
    policy: &Policy,
) -> Result<Option<Proof>, AuthFault> {
    let token = replaced.as_ref().unwrap_or(&credentials.password);
    let bearer = credentials.method.bearer().filter(|_| policy.backend.oauth);
    let bearer = bearer.map(|mechanism| Token::new(mechanism, login, token)).transpose()?;
    let clients_own = credentials.method.gives_password().then_some(credentials.password);
    Ok(bearer.map(Proof::Token).or(replaced.or(clients_own).map(Proof::Password)))
}

/// When it is the next one's turn, if what is left until then is shared out among all that are left.
fn share(now: Instant, until: Instant, servers: u32) -> Instant {
    match servers {
        1 => until,
        several => now.after(now.until(until) / several),
    }
}

/// The address that stands for a target in the log until one was chosen.
fn first_address(target: &Target) -> Address {
    let first = match target {
        Target::Address(address) => Some(address),
        Target::AnyOf(places) => places.first().and_then(|place| match place {
            Place::At(address) => Some(address),
            Place::Named(..) => None,
        }),
        Target::Group(_) => None,
    };
    first.cloned().unwrap_or_else(|| Address::Unix("".into()))
}

impl<D: Dialect> From<Authorize<D>> for Phase<D> {
    fn from(phase: Authorize<D>) -> Self {
        Self::Authorize(Box::new(phase))
    }
}
