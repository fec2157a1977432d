//! The phases of a session, a file each, and the one table that says which event moves which phase.
//!
//! A variant holds exactly what is true in it. Transitions take `self`: what is not carried over is gone. While a transition
//! is under way the session is [`Phase::Closed`], so a mistake half-way fails shut.

mod admit;
mod arrive;
mod authorize;
mod context;
mod converse;
mod greet;
mod identify;
mod login;
mod penalty;
mod sasl;
mod upgrade;

pub(crate) use context::{Connection, Context};

use alloc::boxed::Box;

use crate::action::Actions;
use crate::dialect::{CertificateRefusal, Dialect, Farewell};
use crate::event::{End, Event};
use crate::framing::Inbox;
use crate::policy::VerifyClient;
use crate::report::{Activity, Notice};
use crate::time::Deadline;
use crate::wire::Wire;

use admit::Admit;
pub(crate) use admit::Headers;
use arrive::Arrive;
use authorize::Authorize;
use converse::Converse;
use greet::Greet;
pub(crate) use identify::HostName;
use identify::Identify;
use login::Login;
use penalty::Penalty;
use sasl::{Refused, Sasl};
use upgrade::Upgrade;

#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) enum Phase<D: Dialect> {
    /// Nothing has happened yet, or a PROXY header, a place or TLS comes first.
    Arrive(Arrive),
    /// The greeting waits for the client's name.
    Identify(Identify),
    /// The greeting waits for `smtp_greeting_delay`.
    Greet(Greet),
    /// The client's turn.
    Converse(Converse<D>),
    /// The client's turn, within a SASL exchange.
    Sasl(Sasl<D>),
    /// The client's turn to take note that its SASL exchange was refused.
    Refused(Refused<D>),
    /// STARTTLS was accepted and TLS is not up.
    Upgrade(Upgrade),
    /// The auth server's turn. Boxed, as is the backend's: a client that is in no hurry should not pay for what it does not get to.
    Authorize(Box<Authorize<D>>),
    /// Nobody's turn until an `Auth-Wait` is over.
    Penalty(Penalty<D>),
    /// The turn of whoever counts sessions.
    Admit(Admit<D>),
    /// The backend's turn.
    Login(Box<Login<D>>),
    /// Over: hung up, or relaying.
    #[default]
    Closed,
}

/// Where a phase got to with what is in its inbox.
pub(crate) enum Turn<D: Dialect> {
    /// Further: there may be more to do at once.
    Again(Phase<D>),
    /// As far as it goes for now.
    Rest(Phase<D>),
}

impl<D: Dialect> Phase<D> {
    /// A session to which nothing has happened yet.
    pub(crate) fn first(cx: &Context<'_>) -> Self {
        Self::Arrive(Arrive::new(cx))
    }

    /// What an event leads to. Each event moves the phases named here and no others.
    pub(crate) fn on(self, event: Event<'_>, cx: &mut Context<'_>, out: &mut Actions) -> Self {
        use Wire::{Auth, Backend, Client};
        let next = match (self, event) {
            (Self::Closed, _) => Self::Closed,
            (phase, Event::Drain) => phase.drained(cx, out),
            (phase, Event::Deadline) => phase.timed_out(cx, out),

            (Self::Arrive(phase), Event::Opened(Client, _)) => phase.opened(cx, out),
            (Self::Arrive(phase), Event::Secured(Client, facts)) => phase.secured(facts, cx, out),
            (Self::Upgrade(phase), Event::Secured(Client, facts)) => phase.secured(facts, cx, out),

            (Self::Arrive(phase), Event::Received(Client, octets)) => phase.received(octets, cx, out),
            (Self::Identify(phase), Event::Resolved(answer)) => phase.resolved(answer, cx, out),
            (Self::Greet(phase), Event::Received(Client, octets)) => phase.received::<D>(octets, cx, out),
            (mut phase, Event::Received(Client, octets)) => {
                if let Some(inbox) = phase.inbox() {
                    inbox.receive(octets);
                }
                phase
            }
            (mut phase, Event::Ended(Client, End::Finished)) => match phase.inbox() {
                Some(inbox) => {
                    inbox.end();
                    phase
                }
                None => phase.abandoned(cx, out),
            },
            (phase, Event::Ended(Client, End::Broken(error))) => {
                phase.broken(Notice::ClientFailed(error), cx, out)
            }
            (phase, Event::Ended(Client, End::Insecure(reason))) => {
                let notice = match phase.is_shaking() {
                    true => Notice::HandshakeFailed { reason },
                    false => Notice::TlsFailed { reason },
                };
                phase.broken(notice, cx, out)
            }

            (Self::Authorize(phase), Event::Chosen(Auth, chosen)) => phase.chosen(chosen, cx, out),
            (Self::Authorize(phase), Event::Opened(Auth, peer)) => phase.opened(peer, cx, out),
            (Self::Authorize(phase), Event::Reused(Auth, peer)) => phase.reused(peer, cx, out),
            (Self::Authorize(phase), Event::Secured(Auth, _)) => phase.secured(cx, out),
            (Self::Authorize(phase), Event::Received(Auth, octets)) => phase.received(octets, cx, out),
            (Self::Authorize(phase), Event::Ended(Auth, end)) => phase.ended(end, cx, out),

            (Self::Arrive(phase), Event::Admitted(outcome)) => phase.admitted(outcome, cx, out),
            (Self::Admit(phase), Event::Admitted(outcome)) => phase.admitted(outcome, cx, out),

            (Self::Login(phase), Event::Chosen(Backend, chosen)) => phase.chosen(chosen, cx, out),
            (Self::Login(phase), Event::Opened(Backend, peer)) => phase.opened(&peer, cx, out),
            (Self::Login(phase), Event::Secured(Backend, _)) => phase.secured(cx, out),
            (Self::Login(phase), Event::Received(Backend, octets)) => phase.received(octets, cx, out),
            (Self::Login(phase), Event::Ended(Backend, end)) => phase.ended(end, cx, out),

            (same, _late) => same, // word from a wire that has since been closed
        };
        next.settle(cx, out)
    }

    /// Goes on with what the client has already sent, frame by frame, until it is the client's turn or somebody else's.
    fn settle(mut self, cx: &mut Context<'_>, out: &mut Actions) -> Self {
        loop {
            let turn = match self {
                Self::Converse(phase) => phase.turn(cx, out),
                Self::Sasl(phase) => phase.turn(cx, out),
                Self::Refused(phase) => phase.turn(cx, out),
                other => return other,
            };
            match turn {
                Turn::Again(next) => self = next,
                Turn::Rest(phase) => return phase,
            }
        }
    }

    /// Its name, for a diagram.
    #[cfg(feature = "fuzzing")]
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Arrive(_) => "Arrive",
            Self::Identify(_) => "Identify",
            Self::Greet(_) => "Greet",
            Self::Converse(_) => "Converse",
            Self::Sasl(_) => "Sasl",
            Self::Refused(_) => "Refused",
            Self::Upgrade(_) => "Upgrade",
            Self::Authorize(_) => "Authorize",
            Self::Penalty(_) => "Penalty",
            Self::Admit(_) => "Admit",
            Self::Login(_) => "Login",
            Self::Closed => "Closed",
        }
    }

    /// When this phase wants to be woken. Every phase but [`Phase::Closed`] does.
    pub(crate) const fn deadline(&self) -> Option<Deadline> {
        match self {
            Self::Arrive(phase) => Some(phase.deadline()),
            Self::Identify(phase) => Some(phase.deadline()),
            Self::Greet(phase) => Some(phase.deadline()),
            Self::Converse(phase) => Some(phase.deadline()),
            Self::Sasl(phase) => Some(phase.deadline()),
            Self::Refused(phase) => Some(phase.deadline()),
            Self::Upgrade(phase) => Some(phase.deadline()),
            Self::Authorize(phase) => Some(phase.deadline()),
            Self::Penalty(phase) => Some(phase.deadline()),
            Self::Admit(phase) => Some(phase.deadline()),
            Self::Login(phase) => Some(phase.deadline()),
            Self::Closed => None,
        }
    }

    /// Whether this wire may be read now: the one whose turn it is, and the client's as long as there is room to keep what it
    /// sends ahead of its turn. In its turn it may always be read, as what it sends is used up to the last frame, and a frame
    /// that grows beyond its bound is refused: were reading to stop before, it would wait for the end of a line unread.
    pub(crate) fn wants(&self, wire: Wire) -> bool {
        match (wire, self) {
            (Wire::Client, Self::Arrive(phase)) => phase.wants(),
            (Wire::Client, Self::Greet(_) | Self::Converse(_) | Self::Sasl(_) | Self::Refused(_)) => true,
            (Wire::Client, Self::Authorize(phase)) => !phase.inbox.is_full(),
            (Wire::Client, Self::Penalty(phase)) => !phase.inbox.is_full(),
            (Wire::Client, Self::Admit(phase)) => !phase.inbox.is_full(),
            (Wire::Client, Self::Login(phase)) => !phase.inbox.is_full(),
            (Wire::Auth, Self::Authorize(phase)) => phase.wants_auth(),
            (Wire::Backend, Self::Login(phase)) => phase.wants_backend(),
            _ => false,
        }
    }

    /// The phases that keep what the client sends. [`Phase::Upgrade`] has no inbox, so nothing said in clear can be heard later
    /// (RFC 3501 section 6.2.1; CVE-2011-0411, CVE-2014-3556).
    const fn inbox(&mut self) -> Option<&mut Inbox> {
        match self {
            Self::Identify(phase) => Some(&mut phase.inbox),
            Self::Converse(phase) => Some(&mut phase.inbox),
            Self::Sasl(phase) => Some(&mut phase.inbox),
            Self::Refused(phase) => Some(&mut phase.inbox),
            Self::Authorize(phase) => Some(&mut phase.inbox),
            Self::Penalty(phase) => Some(&mut phase.inbox),
            Self::Admit(phase) => Some(&mut phase.inbox),
            Self::Login(phase) => Some(&mut phase.inbox),
            Self::Arrive(_) | Self::Greet(_) | Self::Upgrade(_) | Self::Closed => None,
        }
    }

    /// The moment the phase waited for has come: for two of them that is what they waited for, for the others time is up.
    fn timed_out(self, cx: &mut Context<'_>, out: &mut Actions) -> Self {
        match self {
            Self::Identify(phase) => phase.timed_out(cx, out),
            Self::Greet(_) => Greet::over(cx, out),
            Self::Penalty(phase) => phase.over(cx, out),
            Self::Admit(phase) => phase.timed_out(cx, out),
            Self::Authorize(phase) => phase.timed_out(cx, out),
            Self::Login(phase) => phase.timed_out(cx, out),
            Self::Arrive(_) | Self::Upgrade(_) => {
                cx.report(Notice::ClientTimedOut, out);
                close(out)
            }
            Self::Converse(_) | Self::Sasl(_) | Self::Refused(_) => {
                cx.report(Notice::ClientTimedOut, out);
                part::<D>(Farewell::TimedOut, cx, out)
            }
            Self::Closed => Self::Closed,
        }
    }

    /// The process is about to end.
    fn drained(self, cx: &mut Context<'_>, out: &mut Actions) -> Self {
        cx.report(Notice::ShutDown, out);
        match self {
            Self::Arrive(_) | Self::Upgrade(_) => return close(out),
            Self::Identify(_)
            | Self::Greet(_)
            | Self::Converse(_)
            | Self::Sasl(_)
            | Self::Refused(_)
            | Self::Closed => {}
            Self::Penalty(phase) => out.send(Wire::Client, phase.cut_short(cx)),
            Self::Admit(phase) => out.send(Wire::Client, phase.dialect.trouble(cx)),
            Self::Authorize(phase) => {
                out.close(Wire::Auth);
                out.send(Wire::Client, phase.dialect.trouble(cx));
            }
            Self::Login(phase) => {
                out.close(Wire::Backend);
                out.send(Wire::Client, phase.dialect.trouble(cx));
            }
        }
        part::<D>(Farewell::ShuttingDown, cx, out)
    }

    /// The client left before it said anything that could still be answered.
    fn abandoned(self, cx: &Context<'_>, out: &mut Actions) -> Self {
        if self.is_shaking() {
            cx.report(Notice::HandshakeClosed, out);
        }
        close(out)
    }

    /// Whether TLS is being agreed on.
    fn is_shaking(&self) -> bool {
        match self {
            Self::Arrive(phase) => phase.is_shaking(),
            other => matches!(other, Self::Upgrade(_)),
        }
    }

    /// The client's connection is gone.
    fn broken(self, notice: Notice, cx: &Context<'_>, out: &mut Actions) -> Self {
        cx.report(notice, out);
        match self {
            Self::Authorize(_) => out.close(Wire::Auth),
            Self::Login(_) => out.close(Wire::Backend),
            _ => {}
        }
        close(out)
    }
}

/// Hangs up without a word.
fn close<D: Dialect>(out: &mut Actions) -> Phase<D> {
    out.close(Wire::Client);
    Phase::Closed
}

/// Hangs up with the protocol's farewell (decision 4).
fn part<D: Dialect>(farewell: Farewell, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
    out.send(Wire::Client, D::farewell(farewell, cx));
    close(out)
}

/// A login that failed for reasons of our own: says so, never in words that mean a wrong password, and hangs up (decisions 3 and 4).
fn trouble<D: Dialect>(dialect: &D, cx: &Context<'_>, out: &mut Actions) -> Phase<D> {
    out.send(Wire::Client, dialect.trouble(cx));
    part::<D>(Farewell::Trouble, cx, out)
}

/// TLS is up. What is wrong with the client's certificate, if anything is, for which it will be sent away (TLS-024).
fn certificate_refusal(cx: &Context<'_>, out: &mut Actions) -> Option<CertificateRefusal> {
    let certificate = cx.tls().and_then(|facts| facts.certificate.as_deref());
    let (refusal, notice) = match (cx.policy.verify_client, certificate.map(|shown| &shown.verdict)) {
        (VerifyClient::On, None) => (CertificateRefusal::Missing, Notice::CertificateMissing),
        (VerifyClient::OptionalNoCa, Some(Err(error))) if error.is_about_the_chain() => return None,
        (VerifyClient::On | VerifyClient::Optional | VerifyClient::OptionalNoCa, Some(Err(error))) => {
            (CertificateRefusal::Invalid, Notice::CertificateInvalid(error.clone()))
        }
        _ => return None,
    };
    cx.report(notice, out);
    Some(refusal)
}

/// The greeting, and the client's turn, which it may have used already.
fn greet<D: Dialect>(inbox: Inbox, cx: &mut Context<'_>, out: &mut Actions) -> Phase<D> {
    cx.doing(Activity::SendingGreeting);
    out.send(Wire::Client, D::greeting(cx));
    cx.doing(Activity::Auth);
    Converse::new(D::default(), inbox, cx.now.after(cx.policy.timeout)).into()
}
