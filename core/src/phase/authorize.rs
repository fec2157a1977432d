//! The auth server's turn: one request, one answer (auth-http.md).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::login::Login;
use super::penalty::{Penalty, Then};
use super::sasl::{Due, Refused};
use super::{Context, Phase, part, trouble};
use crate::action::{Actions, Target};
use crate::auth::credentials::{Credentials, Method};
use crate::auth::request::Request;
use crate::auth::response::{Answer, Denied, Granted, Head};
use crate::backend::token::Token;
use crate::backend::{Account, Proof};
use crate::dialect::{Dialect, Farewell, presentable};
use crate::event::End;
use crate::framing::Inbox;
use crate::limits::{AUTH_WAIT_SECONDS_MIN, AUTH_WAIT_TIMEOUTS_MAX, ERROR_CODE_BYTES_MAX};
use crate::policy::{BackendTls, Policy, Protocol, VerifyClient};
use crate::report::{Activity, AuthFault, Notice};
use crate::sasl::base64;
use crate::sasl::oauth::INVALID_TOKEN;
use crate::secret::Secret;
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::{Address, Peer, Wire};

/// A request and the credentials it is about; it may be made more than once, each time the same.
#[derive(Debug)]
pub(super) struct Inquiry {
    credentials: Credentials,
    request: Secret,
    /// How long the client has been kept waiting by `WAIT` answers.
    waited: Duration,
}

/// Waiting for the auth server.
#[derive(Debug)]
pub(crate) struct Authorize<D> {
    pub(super) dialect: D,
    pub(super) inbox: Inbox,
    inquiry: Inquiry,
    /// The server that was reached, or the first that will be tried.
    server: Address,
    answer: Box<Head>,
    until: Instant,
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
        cx.login_is(&credentials.login);
        cx.method_is(credentials.method.name());
        let request = Request {
            server: &cx.policy.auth,
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
        let request = request.encode();
        Self::ask(dialect, inbox, Inquiry { credentials, request, waited: Duration::ZERO }, cx, out)
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
        out.open(Wire::Auth, cx.policy.auth.target.clone());
        let until = cx.now.after(cx.policy.auth.timeout);
        let server = first_address(&cx.policy.auth.target);
        Self { dialect, inbox, inquiry, server, answer: Box::default(), until }.into()
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Auth }
    }

    pub(super) fn opened(mut self, peer: Peer, out: &mut Actions) -> Phase<D> {
        self.server = peer.remote;
        out.send(Wire::Auth, self.inquiry.request.clone());
        self.into()
    }

    pub(super) fn received(mut self, octets: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        match self.answer.receive(octets) {
            Ok(None) => self.into(),
            Ok(Some((answer, odd))) => {
                out.close(Wire::Auth);
                if let Some(fault) = odd {
                    self.report(fault, cx, out);
                }
                self.decided(answer, cx, out)
            }
            Err(fault) => self.failed(fault, cx, out),
        }
    }

    pub(super) fn ended(self, end: End, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        match end {
            End::Finished | End::Insecure(_) => self.failed(AuthFault::Closed, cx, out),
            End::Broken(error) => {
                cx.report(Notice::AuthFailed(error), out);
                out.close(Wire::Auth);
                trouble(&self.dialect, cx, out)
            }
        }
    }

    pub(super) fn timed_out(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.report(Notice::AuthTimedOut { server: self.server }, out);
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
        if named.is_empty() && credentials.method != Method::None {
            return self.failed(AuthFault::NoUser, cx, out);
        }
        cx.login_is(&named);
        let token = granted.password.as_ref().unwrap_or(&credentials.password);
        let bearer = credentials.method.bearer().filter(|_| cx.policy.backend.oauth);
        let bearer = match bearer.map(|mechanism| Token::new(mechanism, &named, token)).transpose() {
            Ok(bearer) => bearer,
            Err(fault) => return self.failed(fault, cx, out),
        };
        let Inquiry { credentials, .. } = self.inquiry;
        let clients_own = credentials.method.gives_password().then_some(credentials.password);
        let password = granted.password.or(clients_own).map(Proof::Password);
        let tls = granted.tls.unwrap_or(cx.policy.backend.tls);
        let account = Account {
            login: named,
            proof: bearer.map(Proof::Token).or(password),
            unauthenticated: credentials.method == Method::None,
            starttls: tls == BackendTls::StartTls,
            auth_server: self.server,
        };
        Login::begin(self.dialect, self.inbox, granted.backend, account, tls == BackendTls::On, cx, out)
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

const fn waiting_max(policy: &Policy) -> Duration {
    policy.timeout.saturating_mul(AUTH_WAIT_TIMEOUTS_MAX)
}

/// The address that stands for a target in the log until one was reached.
fn first_address(target: &Target) -> Address {
    match target {
        Target::Address(address) => address.clone(),
        Target::AnyOf(addresses) => {
            addresses.first().map_or_else(|| Address::Unix("".into()), |&first| first.into())
        }
    }
}

impl<D: Dialect> From<Authorize<D>> for Phase<D> {
    fn from(phase: Authorize<D>) -> Self {
        Self::Authorize(phase)
    }
}
