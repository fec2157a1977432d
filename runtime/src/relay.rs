//! Octets both ways between two streams, whatever they are, until both are done.
//!
//! A relay at rest owns no buffer: it reads into the thread's scratch and keeps only what the other side would not take
//! at once. While it keeps something it does not read on, which is the back-pressure. Bulk between two sockets in clear is left to
//! the kernel (`splice`).

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gatepost_core::{End, Payload, Wire};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use crate::due::poll_due;
use crate::limit_rate::{Pace, Paced};
use crate::net::AsSocket;
use crate::scratch::{self, SCRATCH_BYTES};
use crate::stream::end_of;
use crate::unsent::Unsent;

mod splice;

use splice::{Flight, Read};

/// No `proxy_timeout` is longer than this, lest a moment beyond the end of time be computed.
const IDLE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A read that brought so much is part of a bulk.
const BULK_BYTES: usize = 16 * 1024;

/// A relay in which nothing was said for so long may be parked. Before that it does not pay: to park two sockets and have them back
/// takes ten system calls.
const CALM: Duration = Duration::from_millis(400);

/// For so long a relay runs at least: of sockets that were parked the runtime knows nothing before it has asked the kernel once, and what they
/// have brought counts even if a thread that was held up sees it when it is too late.
const LOOK: Duration = Duration::from_millis(1);

/// What a relay finds when it begins.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// Octets for the backend that are older than anything read from now on.
    pub(crate) to_backend: Unsent,
    /// Octets for the client, likewise.
    pub(crate) to_client: Unsent,
    /// The client has said its last word already.
    pub(crate) client_ended: bool,
    /// The backend has.
    pub(crate) backend_ended: bool,
    /// How fast the client may be sent octets, if that is limited.
    pub(crate) pace: Option<Box<Pace>>,
}

/// How a relay went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Octets read from the client.
    pub(crate) from_client: u64,
    /// Octets read from the backend.
    pub(crate) from_backend: u64,
    /// Nothing moved for `proxy_timeout`.
    pub(crate) timed_out: bool,
    /// The stream that failed first, if one did while it was still of use.
    pub(crate) failure: Option<(Wire, End)>,
}

/// The relay of one session.
#[derive(Debug)]
pub(crate) struct Relay {
    to_client: Direction,
    to_backend: Direction,
    failure: Option<(Wire, End)>,
    /// When octets moved last.
    progress: Instant,
}

/// What a relay that is calm has to remember.
#[derive(Debug)]
pub(crate) struct Calm {
    from_client: u64,
    from_backend: u64,
    pace: Option<Box<Pace>>,
    progress: Instant,
}

impl Calm {
    /// Nothing has moved yet.
    pub(crate) fn new() -> Self {
        Self { from_client: 0, from_backend: 0, pace: None, progress: Instant::now() }
    }

    /// When the relay has been silent for `idle`.
    pub(crate) fn due(&self, idle: Duration) -> Instant {
        self.progress + idle.min(IDLE_MAX)
    }
}

impl Relay {
    /// A relay that begins with what is left over.
    pub(crate) fn new(start: Start) -> Self {
        let to_client = Direction::new(Wire::Backend, Wire::Client, start.to_client, start.backend_ended);
        Self {
            to_client: Direction { pace: start.pace, ..to_client },
            to_backend: Direction::new(Wire::Client, Wire::Backend, start.to_backend, start.client_ended),
            failure: None,
            progress: Instant::now(),
        }
    }

    /// Relays until both sides have said their last word and all of it is delivered.
    ///
    /// A side that ends is half-closed on the other, which may go on for as long as it is not silent for `linger`
    /// (`lingering_time`; divergences D34, RELAY-004). Before that, silence may last `idle` (`proxy_timeout`), and octets in either
    /// direction end it (D30). Both streams are left for the caller to close.
    ///
    /// Returns `None` when it is calm: neither side has said anything for [`CALM`], nothing is under way, and beneath both streams lie
    /// sockets, which can be parked. It is to be run again when something has happened on one of them, or it is [due](Calm::due).
    pub(crate) async fn run<C, B>(
        &mut self,
        client: &mut C,
        backend: &mut B,
        idle: Duration,
        linger: Duration,
    ) -> Option<Outcome>
    where
        C: AsyncRead + AsyncWrite + AsSocket + Unpin,
        B: AsyncRead + AsyncWrite + AsSocket + Unpin,
    {
        let idle = idle.min(IDLE_MAX);
        let parks = client.beneath().is_some() && backend.beneath().is_some();
        // What has happened may be heard of only after the first look.
        let begun = Instant::now();
        let mut alarm = pin!(sleep_until(begun + if parks { CALM.min(idle) } else { idle }));
        let ended = poll_fn(|cx| {
            if self.poll_pump(cx, client, backend).is_ready() {
                return Poll::Ready(Some(false));
            }
            if self.has_moved() {
                self.progress = Instant::now();
            }
            if cfg!(planted = "idle-timer-forgotten") {
                return Poll::Pending;
            }
            // After one side's end, running out of time is the ordinary end of the other.
            let (allowed, timed_out) = match self.is_half_done() {
                true => (linger.min(idle), false),
                false => (idle, true),
            };
            let due = (self.progress + allowed).max(begun + LOOK);
            let calm = self.progress.max(begun) + CALM;
            if parks && calm < due && self.is_calm() {
                return poll_due(alarm.as_mut(), calm, cx).map(|()| None);
            }
            poll_due(alarm.as_mut(), due, cx).map(|()| Some(timed_out))
        })
        .await;
        ended.map(|timed_out| Outcome {
            from_client: self.to_backend.octets,
            from_backend: self.to_client.octets,
            timed_out,
            failure: self.failure.take(),
        })
    }

    /// What is to be remembered of a relay that is calm, which is over.
    pub(crate) fn into_calm(self) -> Calm {
        let (from_client, from_backend) = self.octets();
        Calm { from_client, from_backend, pace: self.to_client.pace, progress: self.progress }
    }

    /// Goes on with one that was calm.
    pub(crate) fn resumed(calm: &mut Calm) -> Self {
        let mut relay = Self::new(Start { pace: calm.pace.take(), ..Start::default() });
        (relay.to_backend.octets, relay.to_client.octets) = (calm.from_client, calm.from_backend);
        relay.progress = calm.progress;
        relay
    }

    /// Whether both directions wait for nothing but their sources.
    fn is_calm(&self) -> bool {
        self.to_client.is_calm() && self.to_backend.is_calm()
    }

    /// How it went, where it cannot go on with one of its streams.
    pub(crate) const fn failed(&self, failure: (Wire, End)) -> Outcome {
        let (from_client, from_backend) = self.octets();
        Outcome { from_client, from_backend, timed_out: false, failure: Some(failure) }
    }

    /// Octets read so far, from the client and from the backend.
    pub(crate) const fn octets(&self) -> (u64, u64) {
        (self.to_backend.octets, self.to_client.octets)
    }

    /// Whether the client has hung up, and all that it was to hear is on its way: to close its socket loses nothing then. TLS may
    /// have ended before its socket, which is not known here.
    pub(crate) const fn client_has_left(&self) -> bool {
        self.to_backend.hung_up && self.to_client.delivered
    }

    /// Moves what can be moved now; ready when both directions are done.
    fn poll_pump<C, B>(&mut self, cx: &mut Context<'_>, client: &mut C, backend: &mut B) -> Poll<()>
    where
        C: AsyncRead + AsyncWrite + AsSocket + Unpin,
        B: AsyncRead + AsyncWrite + AsSocket + Unpin,
    {
        loop {
            let mut failed = false;
            self.to_client.is_last = self.to_backend.done;
            if let Poll::Ready(Err(fault)) = self.to_client.poll_pump(cx, backend, client) {
                failed = true;
                self.failure = self.failure.take().or(self.to_client.fail(&mut self.to_backend, &fault));
            }
            self.to_backend.is_last = self.to_client.done;
            if let Poll::Ready(Err(fault)) = self.to_backend.poll_pump(cx, client, backend) {
                failed = true;
                self.failure = self.failure.take().or(self.to_backend.fail(&mut self.to_client, &fault));
            }
            if !failed {
                break;
            }
        }
        let one_is_enough =
            cfg!(planted = "half-close-dropped") && (self.to_client.done || self.to_backend.done);
        match one_is_enough || self.to_client.done && self.to_backend.done {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn is_half_done(&self) -> bool {
        self.to_client.done || self.to_backend.done
    }

    fn has_moved(&mut self) -> bool {
        let (down, up) = (&mut self.to_client, &mut self.to_backend);
        // A client that is held back is not silent.
        std::mem::take(&mut down.moved) | std::mem::take(&mut up.moved) | down.is_held_back()
    }
}

/// What one side says to the other.
#[derive(Debug)]
struct Direction {
    source: Wire,
    sink: Wire,
    unsent: Unsent,
    /// The source has said its last word.
    source_ended: bool,
    /// All of it is delivered, and so is the end; or delivering is impossible.
    done: bool,
    /// The former.
    delivered: bool,
    /// The source's last word was that of its socket.
    hung_up: bool,
    /// The other direction is done: both streams are closed after this one.
    is_last: bool,
    /// Octets were read or written since someone last asked, or the end was.
    moved: bool,
    octets: u64,
    /// How fast the sink may be sent octets, if that is limited.
    pace: Option<Box<Pace>>,
    /// The last read brought [`BULK_BYTES`] or more: more of the same is likely, and then it pays to let the kernel move it.
    bulk: bool,
    flight: Flight,
}

enum Fault {
    Reading(io::Error),
    Writing(io::Error),
}

impl Direction {
    fn new(source: Wire, sink: Wire, unsent: Unsent, source_ended: bool) -> Self {
        Self {
            source,
            sink,
            unsent,
            source_ended,
            done: false,
            delivered: false,
            hung_up: false,
            is_last: false,
            moved: false,
            octets: 0,
            pace: None,
            bulk: false,
            flight: Flight::default(),
        }
    }

    fn is_calm(&self) -> bool {
        !self.done && !self.source_ended && self.unsent.is_done() && self.flight.is_empty()
    }

    /// Whether octets wait for nothing but their time.
    fn is_held_back(&self) -> bool {
        !self.unsent.is_empty() && self.pace.as_ref().is_some_and(|pace| pace.holds_back())
    }

    fn poll_pump<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), Fault>>
    where
        R: AsyncRead + AsSocket + Unpin,
        W: AsyncWrite + AsSocket + Unpin,
    {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        loop {
            while let (false, Some(sink)) = (self.flight.is_empty(), to.as_socket()) {
                ready!(self.flight.poll_write(sink, cx)).map_err(Fault::Writing)?;
                self.moved = true;
            }
            if self.may_splice()
                && let (Some(source), Some(_)) = (from.as_socket(), to.as_socket())
            {
                // What was copied before is delivered, or the wait would not be one for the source alone.
                ready!(self.unsent.poll_flush(to, cx)).map_err(Fault::Writing)?;
                match ready!(self.flight.poll_read(source, cx)).map_err(Fault::Reading)? {
                    Read::Octets(octets) => {
                        self.took(octets);
                        self.hung_up = octets == 0;
                        continue;
                    }
                    Read::NoPipe => {}
                }
            }
            let paced = &mut Paced::new(to, self.pace.as_deref_mut());
            while !self.unsent.is_empty() {
                ready!(self.unsent.poll_write(paced, cx)).map_err(Fault::Writing)?;
                self.moved = true;
            }
            // TLS takes what its socket does not; until that has gone nothing more is read, and while it goes nobody is silent.
            let flushed = self.unsent.poll_flush(paced, cx);
            self.moved |= to.has_sent();
            ready!(flushed).map_err(Fault::Writing)?;
            if self.source_ended {
                // To a socket in clear its being closed says the same, with a system call less.
                if !(self.is_last && to.as_socket().is_some()) {
                    ready!(Pin::new(to).poll_shutdown(cx)).map_err(Fault::Writing)?;
                }
                (self.done, self.delivered, self.moved) = (true, true, true);
                return Poll::Ready(Ok(()));
            }
            match scratch::poll_read(from, cx, SCRATCH_BYTES) {
                Poll::Ready(Ok(filled)) => {
                    let unsent = &mut self.unsent;
                    let octets = filled.len();
                    let paced = &mut Paced::new(to, self.pace.as_deref_mut());
                    filled.show(|octets| forward(octets, unsent, cx, paced)).map_err(Fault::Writing)?;
                    self.took(octets);
                    self.hung_up = octets == 0 && from.as_socket().is_some();
                }
                // TLS that ended without close_notify: see `end_of`.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    (self.source_ended, self.hung_up) = (true, true);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::Reading(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether what comes next may be left to the kernel. What waits here goes first, and what is counted out has to come through us.
    fn may_splice(&self) -> bool {
        self.bulk && self.pace.is_none() && self.unsent.is_empty() && !self.source_ended
    }

    /// Takes note of a read.
    fn took(&mut self, octets: usize) {
        self.moved |= octets > 0;
        self.octets = self.octets.saturating_add(octets as u64);
        self.bulk = octets >= BULK_BYTES;
        self.source_ended = octets == 0;
    }

    /// Forgets what was on its way.
    fn give_up(&mut self) {
        (self.unsent, self.flight) = (Unsent::default(), Flight::default());
    }

    /// Draws the conclusions from a fault in this direction, `back` being the other one; tells which stream failed and
    /// why, unless nothing was expected of it any more.
    fn fail(&mut self, back: &mut Self, fault: &Fault) -> Option<(Wire, End)> {
        match fault {
            // The source is gone both ways. What it said before that is still delivered.
            Fault::Reading(error) => {
                // An end like any other: delivering may take a linger from now on.
                (self.source_ended, self.moved) = (true, true);
                let was_done = std::mem::replace(&mut back.done, true);
                back.give_up();
                (!was_done).then(|| (self.source, end_of("recv()", error)))
            }
            // The sink takes no more. What it said before that may still lie unread.
            Fault::Writing(error) => {
                (self.done, self.moved) = (true, true);
                self.give_up();
                (!back.source_ended).then(|| (self.sink, end_of("send()", error)))
            }
        }
    }
}

/// Writes `octets`, and keeps those that are not taken at once.
fn forward<W: AsyncWrite + Unpin>(
    mut octets: &[u8],
    unsent: &mut Unsent,
    cx: &mut Context<'_>,
    to: &mut W,
) -> io::Result<()> {
    let all = octets;
    while !octets.is_empty() {
        match Pin::new(&mut *to).poll_write(cx, octets) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(written)) => {
                unsent.note_written();
                octets = octets.get(written..).unwrap_or_default();
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {
                let octets = if cfg!(planted = "written-twice") { all } else { octets };
                unsent.push(Payload::Public(Bytes::copy_from_slice(octets)));
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
