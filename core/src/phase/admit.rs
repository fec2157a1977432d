//! `limit_conn`: whether there is a place for this client, or this user. The driver counts, for it knows of the other sessions; what
//! is counted, and what comes of it, is decided here (auth-http.md 10.2).

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::login::Login;
use super::{Context, Phase, part, trouble};
use crate::action::{Actions, Claim, Target};
use crate::backend::Account;
use crate::dialect::{Dialect, Farewell};
use crate::event::NoPlace;
use crate::facts::LimitStatus;
use crate::framing::Inbox;
use crate::limits::LIMIT_KEY_BYTES_MAX;
use crate::policy::{BackendTls, ConnLimit, LimitKey};
use crate::report::Notice;
use crate::secret::Secret;
use crate::time::{Deadline, Instant, WaitingFor};
use crate::wire::{Address, Wire};

/// Waiting to hear whether there is a place for a user whose login was granted.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Admit<D> {
    pub(super) dialect: D,
    pub(super) inbox: Inbox,
    bound: Bound,
    until: Instant,
}

/// Where a user goes once there is a place.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(super) struct Bound {
    pub(super) backend: Target,
    pub(super) account: Account,
    pub(super) tls: BackendTls,
}

/// What the auth server said in the headers that limits count by: their names as `$auth_http_NAME` has them, and values.
pub(crate) type Headers = Vec<(Arc<str>, Secret)>;

/// Why a session goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// Others have every place.
    Away,
    /// Nobody can tell.
    ByTrouble,
}

impl<D: Dialect> Admit<D> {
    /// Goes on to the backend, as soon as it is known that there is a place.
    pub(super) fn begin(
        dialect: D,
        inbox: Inbox,
        bound: Bound,
        headers: &Headers,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        let claims = claims(false, &bound.account.login, headers, cx, out);
        let until = cx.now.after(cx.policy.timeout);
        let phase = Self { dialect, inbox, bound, until };
        if claims.is_empty() {
            return phase.go_on(cx, out);
        }
        out.admit(claims);
        phase.into()
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Admission }
    }

    pub(super) fn admitted(
        self,
        outcome: Result<(), NoPlace>,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        match judge(outcome, cx, out) {
            Ok(()) => self.go_on(cx, out),
            Err(Turned::Away) => {
                out.send(Wire::Client, self.dialect.too_many_connections(cx));
                part::<D>(Farewell::Told, cx, out)
            }
            Err(Turned::ByTrouble) => trouble(&self.dialect, cx, out),
        }
    }

    /// Whoever counts does not answer.
    pub(super) fn timed_out(self, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
        trouble(&self.dialect, cx, out)
    }

    fn go_on(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let Bound { backend, account, tls } = self.bound;
        Login::begin(self.dialect, self.inbox, &backend, account, tls, cx, out)
    }
}

/// The places that a client needs before it is greeted.
pub(super) fn early_claims(cx: &Context<'_>, out: &mut Actions) -> Vec<Claim> {
    claims(true, b"", &Headers::new(), cx, out)
}

/// What the session is counted by in each zone. Where there is nothing to count by, it is not counted.
fn claims(early: bool, login: &[u8], headers: &Headers, cx: &Context<'_>, out: &mut Actions) -> Vec<Claim> {
    let mut claims = Vec::new();
    for limit in cx.policy.conn_limits.limits.iter().filter(|limit| limit.early == early) {
        let ConnLimit { zone, key, connections, early: _ } = limit;
        let value: Secret = match key {
            LimitKey::Address => address(cx.client()).into_bytes().into(),
            LimitKey::Login => login.into(),
            LimitKey::Header(name) => {
                let said = headers.iter().find(|(said, _)| **said == **name);
                said.map(|(_, value)| value.clone()).unwrap_or_default()
            }
        };
        if value.len() > LIMIT_KEY_BYTES_MAX {
            // What an auth server says in its headers may be a password.
            let value = matches!(key, LimitKey::Login).then(|| value.expose().to_vec());
            cx.report(Notice::LimitKeyTooLong { key: key.clone(), value }, out);
        } else if !value.is_empty() {
            claims.push(Claim { zone: zone.clone(), key: value, connections: *connections, early });
        }
    }
    claims
}

/// By what an address is counted: an IPv4 address is the same however it comes here.
fn address(client: &Address) -> String {
    client.ip().map_or_else(|| client.host().to_string(), |ip| ip.to_canonical().to_string())
}

/// What comes of the answer. In a dry run every session goes on, and the log says which would not have.
pub(super) fn judge(
    outcome: Result<(), NoPlace>,
    cx: &mut Context<'_>,
    out: &mut Actions,
) -> Result<(), Turned> {
    let limits = &cx.policy.conn_limits;
    let (notice, turned) = match outcome {
        Ok(()) => {
            cx.limited(LimitStatus::Passed);
            return Ok(());
        }
        Err(NoPlace::Full(zone)) => {
            let notice = Notice::Limiting { zone, dry_run: limits.dry_run, level: limits.log_level };
            (notice, Turned::Away)
        }
        Err(NoPlace::NoMemory(zone)) => {
            (Notice::LimitNoMemory { zone, dry_run: limits.dry_run }, Turned::ByTrouble)
        }
    };
    cx.report(notice, out);
    match limits.dry_run {
        true => {
            cx.limited(LimitStatus::RejectedDryRun);
            Ok(())
        }
        false => {
            cx.limited(LimitStatus::Rejected);
            Err(turned)
        }
    }
}

impl<D: Dialect> From<Admit<D>> for Phase<D> {
    fn from(phase: Admit<D>) -> Self {
        Self::Admit(phase)
    }
}
