//! The client's name, for SMTP where there is a `resolver`: the name of its address, believed only if the address is one of the name's
//! (backend.md 4.4). The greeting waits for it.

use alloc::string::String;
use alloc::sync::Arc;
use core::net::IpAddr;

use super::arrive::welcome;
use super::{Context, Phase};
use crate::action::{Actions, Question};
use crate::dialect::Dialect;
use crate::event::{Answer, ResolveError};
use crate::framing::Inbox;
use crate::report::{Activity, Notice};
use crate::time::{Deadline, Instant, WaitingFor};

/// A host's name, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
pub(crate) enum HostName {
    /// There is none, nobody to ask, or one that is not to be believed.
    #[default]
    Unavailable,
    /// There may be one, but not now.
    TemporarilyUnavailable,
    /// Letters, digits, `-` and `.`, in lower case, without a final dot.
    Confirmed(Arc<str>),
}

impl HostName {
    /// As XCLIENT and `Client-Host` say it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Unavailable => "[UNAVAILABLE]",
            Self::TemporarilyUnavailable => "[TEMPUNAVAIL]",
            Self::Confirmed(name) => name,
        }
    }
}

/// Waiting for the DNS.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Identify {
    pub(super) inbox: Inbox,
    address: IpAddr,
    /// The name to be confirmed, once there is one.
    name: Option<Arc<str>>,
    until: Instant,
}

impl Identify {
    /// Asks for the name of `address`. The client is not read meanwhile; what it has said is kept.
    pub(super) fn begin<D: Dialect>(
        inbox: Inbox,
        address: IpAddr,
        until: Instant,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        cx.doing(Activity::ResolvingAddress);
        out.resolve(Question::NameOf(address.to_canonical()));
        Phase::Identify(Self { inbox, address, name: None, until })
    }

    pub(super) const fn deadline(&self) -> Deadline {
        Deadline { at: self.until, waiting_for: WaitingFor::Name }
    }

    pub(super) fn resolved<D: Dialect>(
        self,
        answer: Answer,
        cx: &mut Context<'_>,
        out: &mut Actions,
    ) -> Phase<D> {
        match (answer, &self.name) {
            (Answer::Name(Ok(name)), None) => self.named(&name, cx, out),
            (Answer::Addresses(Ok(addresses)), Some(name)) => {
                let own = self.address.to_canonical();
                let host = match addresses.iter().any(|address| address.to_canonical() == own) {
                    true => HostName::Confirmed(name.clone()),
                    false => HostName::Unavailable,
                };
                self.known(host, cx, out)
            }
            (Answer::Name(Err(error)), None) | (Answer::Addresses(Err(error)), Some(_)) => {
                self.failed(error, cx, out)
            }
            _ => Phase::Identify(self), // the answer to a question that was not asked
        }
    }

    pub(super) fn timed_out<D: Dialect>(self, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        self.failed(ResolveError::TimedOut, cx, out)
    }

    /// The address has a name, which anybody can give his own (CVE-2026-28753). It is asked back.
    fn named<D: Dialect>(mut self, name: &[u8], cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let Some(host) = host_name(name) else {
            cx.report(Notice::InvalidHostName { address: self.address, name: name.to_vec() }, out);
            return self.known(HostName::TemporarilyUnavailable, cx, out);
        };
        cx.doing(Activity::ResolvingName);
        out.resolve(Question::AddressesOf(host.clone(), self.address.to_canonical().into()));
        self.name = Some(host);
        self.until = cx.now.after(cx.policy.resolver_timeout.unwrap_or_default());
        Phase::Identify(self)
    }

    fn failed<D: Dialect>(self, error: ResolveError, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        let notice = match &self.name {
            None => Notice::AddressUnresolved { address: self.address, error },
            Some(name) => Notice::NameUnresolved { name: name.clone(), error },
        };
        cx.report(notice, out);
        let host = match error {
            ResolveError::NotFound => HostName::Unavailable,
            _ => HostName::TemporarilyUnavailable,
        };
        self.known(host, cx, out)
    }

    fn known<D: Dialect>(self, host: HostName, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
        cx.host_is(host);
        welcome(self.inbox, cx, out)
    }
}

/// `name` as a host's name: 1 to 255 letters, digits, `-` and `.` (divergences S13), without its final dot.
fn host_name(name: &[u8]) -> Option<Arc<str>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let fits = (1..=255).contains(&name.len())
        && name.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.'));
    let lower = String::from_utf8(name.to_ascii_lowercase()).ok()?;
    fits.then(|| lower.into())
}
