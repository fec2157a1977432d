//! A session after its login: the relay, and the line that closes the log.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use gatepost_core::report::{Activity, Context, Notice, Report};
use gatepost_core::{End, Facts, Policy, Wire};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::select;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span, debug};

use crate::drain::Drain;
use crate::limit_conn::Place;
use crate::net::{AsSocket, Socket};
use crate::observe::{Ending, Observer, Tally};
use crate::relay::{Calm, Outcome, Relay};
use crate::stream::{Stream, end_of};
use crate::upstream::Lease;

/// How long a relay that is cut may take to say so to its client (`close_notify`).
const CUT: Duration = Duration::from_secs(1);

/// A session whose relay is to begin.
pub(super) struct Relaying<S, O> {
    pub(super) client: Stream<S>,
    pub(super) backend: Stream<S>,
    /// How far its relay had got when it was parked last.
    pub(super) calm: Calm,
    pub(super) context: Context,
    /// What is told of the session once the relay is over, if anybody wants to hear it.
    pub(super) closing: Option<Box<Closing>>,
    pub(super) policy: Arc<Policy>,
    pub(super) observer: O,
    pub(super) drain: Drain,
    /// What its lines in the log are told of, while it is parked.
    pub(super) span: Option<Box<Span>>,
    /// What the session has of what there is not enough of for everybody.
    pub(super) held: Option<Box<Held>>,
}

/// Places among those of others.
pub(super) struct Held {
    /// At the backend, for as long as the session relays.
    lease: Option<Lease>,
    /// Where clients are counted, until the client's connection has ended.
    _places: Vec<Place>,
}

impl Held {
    /// These, if there are any; few sessions need room for them.
    pub(super) fn new(lease: Option<Lease>, places: Vec<Place>) -> Option<Box<Self>> {
        (lease.is_some() || !places.is_empty()).then(|| Box::new(Self { lease, _places: places }))
    }
}

/// What is known of a session before its end.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) facts: Facts,
    pub(super) tally: Tally,
    pub(super) begun: Instant,
}

impl Closing {
    /// Tells that the session is over.
    pub(super) fn tell(self, observer: &impl Observer) {
        let Self { facts, tally, begun } = self;
        observer.ended(&Ending { facts, tally, lasted: begun.elapsed() });
    }
}

impl<S: AsyncRead + AsyncWrite + AsSocket + Unpin, O: Observer> Relaying<S, O> {
    /// Relays until both sides are done, or neither says anything for too long, or the process ends; then reports it. Or until it is calm:
    /// then its sockets are parked, and so is the session.
    ///
    /// No `async fn`, which has room for what it is called with twice.
    pub(super) fn run(mut self: Box<Self>, mut relay: Relay) -> impl Future<Output = Option<Parked<S, O>>> {
        async move {
            let Policy { backend, lingering, .. } = &*self.policy;
            let outcome = select! {
                biased;
                () = self.drain.asked() => None,
                outcome = relay.run(&mut self.client, &mut self.backend, backend.idle_timeout, lingering.time) => Some(outcome),
            };
            let outcome = match outcome {
                // It is calm.
                Some(None) => match self.with_sockets(Socket::park) {
                    Ok(()) => return Some(Parked::new(self, relay)),
                    Err(failure) => Some(relay.failed(failure)),
                },
                other => other.flatten(),
            };
            // Boxed: it is soon over, and until then a relay need not have room for it.
            Box::pin(self.end(relay, outcome)).await;
            None
        }
    }

    /// Does to the sockets beneath both streams what cannot be done without the system.
    ///
    /// # Errors
    ///
    /// The stream for which it could not be done, and why.
    fn with_sockets(&mut self, change: impl Fn(&mut Socket) -> io::Result<()>) -> Result<(), (Wire, End)> {
        let client = self.client.beneath().map(|socket| (Wire::Client, socket));
        let backend = self.backend.beneath().map(|socket| (Wire::Backend, socket));
        for (wire, socket) in client.into_iter().chain(backend) {
            change(socket).map_err(|error| (wire, end_of("epoll_ctl()", &error)))?;
        }
        Ok(())
    }

    async fn end(self: Box<Self>, relay: Relay, outcome: Option<Outcome>) {
        let Self { mut client, backend, context, closing, policy, observer, mut held, .. } = *self;
        // With the connection its place among those of the server is free; the client may take its time to leave.
        drop((backend, held.as_mut().and_then(|held| held.lease.take())));
        let report = |notice, activity| {
            let context = Context { activity: Some(activity), ..context.clone() };
            observer.report(&Report { notice, context });
        };
        let close = || {
            if let Some(mut closing) = closing {
                let (from_client, from_backend) = relay.octets();
                closing.tally.relayed(from_client, from_backend);
                closing.tell(&observer);
            }
        };
        let Some(Outcome { from_client, from_backend, timed_out, failure }) = outcome else {
            report(Notice::ShutDown, Activity::Proxying);
            close();
            // Nothing may be put into the stream (D32); that it ends here may be said.
            let _ = timeout(CUT, client.shutdown()).await;
            return;
        };
        debug!(from_client, from_backend, "relay ended");
        if let Some((wire, end)) = failure {
            let (notice, activity) = failed(wire, end);
            report(notice, activity);
        }
        report(if timed_out { Notice::ClientTimedOut } else { Notice::RelayDone }, Activity::Proxying);
        close();
        // Also where the client has ended under TLS: behind its `close_notify` its FIN may still be under way.
        if !(client.raw().as_socket().is_some() && relay.client_has_left()) {
            client.hang_up(policy.lingering).await;
        }
        drop(held);
    }
}

/// A session that relays, and in which nobody says anything: no task, and nothing of its sockets but their descriptors. Whoever has it
/// has to look when something happens on one of them, when it is [due](Parked::due), and when the process ends, and to
/// [resume](Parked::resume) it then.
pub struct Parked<S, O> {
    relaying: Box<Relaying<S, O>>,
}

impl<S: AsyncRead + AsyncWrite + AsSocket + Unpin, O: Observer> Parked<S, O> {
    /// The session, and its relay, which is calm.
    fn new(mut relaying: Box<Relaying<S, O>>, relay: Relay) -> Self {
        relaying.calm = relay.into_calm();
        let span = Span::current();
        relaying.span = (!span.is_none()).then(|| Box::new(span));
        Self { relaying }
    }

    /// The sockets on which something may happen: the client's and the backend's.
    #[must_use]
    pub fn sockets(&mut self) -> Option<[&Socket; 2]> {
        let Relaying { client, backend, .. } = &mut *self.relaying;
        Some([client.beneath()?, backend.beneath()?])
    }

    /// When it has been silent for too long.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.relaying.calm.due(self.relaying.policy.backend.idle_timeout)
    }

    /// Goes on with it, as [`drive`](super::drive) did. To be called within a runtime.
    pub fn resume(self) -> impl Future<Output = Option<Self>> {
        let Self { mut relaying } = self;
        let span = relaying.span.take().map_or_else(Span::none, |span| *span);
        let resumed = async move {
            let relay = Relay::resumed(&mut relaying.calm);
            match relaying.with_sockets(Socket::unpark) {
                Ok(()) => relaying.run(relay).await,
                Err(failure) => {
                    let outcome = relay.failed(failure);
                    Box::pin(relaying.end(relay, Some(outcome))).await;
                    None
                }
            }
        };
        Box::pin(resumed).instrument(span)
    }
}

impl<S, O> fmt::Debug for Parked<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("context", &self.relaying.context).finish_non_exhaustive()
    }
}

/// The line for a stream that failed, and what the relay was doing with it.
fn failed(wire: Wire, end: End) -> (Notice, Activity) {
    let error = match end {
        End::Broken(error) => error,
        End::Insecure(reason) if wire == Wire::Client => {
            return (Notice::TlsFailed { reason }, Activity::Proxying);
        }
        End::Insecure(reason) => {
            return (Notice::UpstreamTlsFailed { reason }, Activity::ProxyingReadingUpstream);
        }
        End::Finished => return (Notice::ClientClosed, Activity::Proxying),
    };
    let writing = error.call == "send()";
    match (wire, writing) {
        (Wire::Client, false) => (Notice::ClientFailed(error), Activity::ProxyingReadingClient),
        (Wire::Client, true) => (Notice::ClientFailed(error), Activity::ProxyingSendingClient),
        (_, false) => (Notice::UpstreamFailed(error), Activity::ProxyingReadingUpstream),
        (_, true) => (Notice::UpstreamFailed(error), Activity::ProxyingSendingUpstream),
    }
}
