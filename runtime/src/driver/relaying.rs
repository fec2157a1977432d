//! A session after its login: the relay, and the line that closes the log.

use std::time::Duration;

use gatepost_core::report::{Activity, Context, Notice, Report};
use gatepost_core::{End, Wire};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::select;
use tokio::time::timeout;
use tracing::debug;

use crate::drain::Drain;
use crate::observe::Observer;
use crate::relay::{Outcome, Relay};
use crate::stream::Stream;
use crate::upstream::Lease;

/// How long a relay that is cut may take to say so to its client (`close_notify`).
const CUT: Duration = Duration::from_secs(1);

/// A session whose relay is to begin.
pub(super) struct Relaying<S, O> {
    pub(super) client: Stream<S>,
    pub(super) backend: Stream<S>,
    pub(super) relay: Relay,
    pub(super) context: Context,
    pub(super) idle_timeout: Duration,
    pub(super) observer: O,
    pub(super) drain: Drain,
    /// The session's place at the backend, which it has for as long as it relays.
    pub(super) _lease: Option<Lease>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, O: Observer> Relaying<S, O> {
    /// Relays until both sides are done, or neither says anything for too long, or the process ends; then reports it.
    pub(super) async fn run(mut self: Box<Self>) {
        let outcome = select! {
            biased;
            () = self.drain.asked() => None,
            outcome = self.relay.run(&mut self.client, &mut self.backend, self.idle_timeout) => Some(outcome),
        };
        // Boxed: it is soon over, and until then a relay need not have room for it.
        Box::pin(self.end(outcome)).await;
    }

    async fn end(self: Box<Self>, outcome: Option<Outcome>) {
        let Self { mut client, backend, context, observer, .. } = *self;
        drop(backend);
        let report = |notice, activity| {
            let context = Context { activity: Some(activity), ..context.clone() };
            observer.report(&Report { notice, context });
        };
        let Some(Outcome { from_client, from_backend, timed_out, failure }) = outcome else {
            report(Notice::ShutDown, Activity::Proxying);
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
        // Also where the client has ended: behind its `close_notify` its FIN may still be under way.
        client.hang_up().await;
    }
}

/// The line for a stream that failed, and what the relay was doing with it.
fn failed(wire: Wire, end: End) -> (Notice, Activity) {
    let error = match end {
        End::Broken(error) => error,
        End::Insecure(reason) => return (Notice::TlsFailed { reason }, Activity::Proxying),
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
