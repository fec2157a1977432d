//! One wire's socket: down, dialing, shaking hands, up, and on its way down again.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gatepost_core::limits::READ_BYTES_MAX;
use gatepost_core::{Address, End, Lingering, Payload, Peer, TlsFacts};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::handshake::{Shaken, Shaking, Side};
use crate::limit_rate::{Pace, Paced};
use crate::scratch::{self, Filled};
use crate::stream::{FAREWELL, Stream, end_of};
use crate::tls::Acceptor;
use crate::unsent::Unsent;

/// A connection being made.
pub(crate) type Dial<S> = Pin<Box<dyn Future<Output = Result<(S, Peer), End>>>>;

/// What a wire has to tell.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It is connected.
    Opened(Peer),
    /// It is a connection that was kept.
    Reused(Peer),
    /// Octets came; they lie in the thread's scratch.
    Received(Filled),
    /// TLS is up.
    Secured(TlsFacts),
    /// Nothing more will come.
    Ended(End),
}

/// One wire's socket and what it still has to say. What is under way is kept in here, so that a dropped
/// [`Pipe::poll_next`] loses nothing.
pub(crate) struct Pipe<S> {
    state: State<S>,
    unsent: Unsent,
    /// The other side came to us: when it is closed it is given time to hear our last words.
    accepted: bool,
    /// Something was said to the other side, a TLS handshake included.
    spoken: bool,
    /// Both ends, if we connected.
    peer: Option<Box<Peer>>,
    /// It goes on with a connection that was kept, which is to be told.
    reused: bool,
    /// The other side has said its last word.
    ended: bool,
    /// How fast the other side may be sent octets, if that is limited.
    pace: Option<Box<Pace>>,
    /// Why writing failed. Told once all that had come in before is told.
    broken: Option<End>,
}

enum State<S> {
    /// Not connected, or no more.
    Down,
    /// Being connected.
    Dialing(Dial<S>),
    /// Connected. Once all is sent, what is noted comes next.
    Up(Stream<S>, Next),
    /// In a TLS handshake. Boxed, for it is large and short-lived.
    Shaking(Box<Shaking<S>>),
    /// TLS failed: nothing can be said any more, but the socket must be closed with care, or the alert is lost.
    Mute(S),
    /// Everything is sent and the session wants to hear no more.
    Parting(Stream<S>),
}

/// What happens to a connected stream once all is sent.
enum Next {
    Read,
    Secure(Box<Side>),
    Close,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    /// Not connected.
    pub(crate) fn down() -> Self {
        Self {
            state: State::Down,
            unsent: Unsent::default(),
            accepted: false,
            spoken: false,
            peer: None,
            reused: false,
            ended: false,
            pace: None,
            broken: None,
        }
    }

    /// A connection that was accepted, and how fast the other side may be sent octets.
    pub(crate) fn accepted(stream: S, pace: Option<Box<Pace>>) -> Self {
        Self { state: State::Up(Stream::Plain(stream), Next::Read), accepted: true, pace, ..Self::down() }
    }

    /// Begins to connect. Whatever this wire was before is cut.
    pub(crate) fn dial(&mut self, dial: Dial<S>) {
        *self = Self { state: State::Dialing(dial), ..Self::down() };
    }

    /// Goes on with a connection that was kept. Whatever this wire was before is cut.
    pub(crate) fn reuse(&mut self, stream: Stream<S>, peer: Peer) {
        let state = State::Up(stream, Next::Read);
        *self = Self { state, peer: Some(Box::new(peer)), reused: true, ..Self::down() };
    }

    /// Lets go of the connection so that others can use it: none if it is not up, or something is still on its way, or it has
    /// ended. Nothing is heard from it any more.
    pub(crate) fn give_up(&mut self) -> Option<(Stream<S>, Peer)> {
        let pipe = mem::replace(self, Self::down());
        match (pipe.state, pipe.peer) {
            (State::Up(stream, Next::Read), Some(peer))
                if pipe.unsent.is_done() && !pipe.ended && pipe.broken.is_none() =>
            {
                Some((stream, *peer))
            }
            _ => None,
        }
    }

    /// Queues `octets`, which go out with the next [`Pipe::poll_next`]: so those that are sent together leave together.
    /// On a wire that cannot say anything any more they are dropped, which wipes them.
    pub(crate) fn send(&mut self, octets: Payload) {
        if self.broken.is_none() && matches!(self.state, State::Up(_, Next::Read)) {
            self.spoken |= !octets.is_empty();
            self.unsent.push(octets);
        }
    }

    /// Once all is sent, does the server's side of a TLS handshake, which begins with what was read already.
    pub(crate) fn accept_tls(&mut self, acceptor: Option<Acceptor>, already_read: Bytes) {
        let side =
            acceptor.map(|acceptor| Side::Server(acceptor, already_read)).ok_or("no certificate is loaded");
        self.secure(side);
    }

    /// Once all is sent, does the client's side of a TLS handshake. The other side's certificate has to be for `name`,
    /// or else for the address it was reached at.
    pub(crate) fn connect_tls(&mut self, config: Option<Arc<ClientConfig>>, name: Option<&str>) {
        let reached = match self.peer.as_ref().map(|peer| &peer.remote) {
            Some(Address::Inet(address)) => Some(address.ip().to_canonical()),
            Some(Address::Unix(_)) | None => None,
        };
        let name = match (name, reached) {
            (Some(name), _) => ServerName::try_from(name.to_owned())
                .map_err(|_| "the name that its certificate should be for is not a host name"),
            (None, Some(address)) => Ok(ServerName::from(address)),
            (None, None) => Err("it has no address that a certificate could be for"),
        };
        let config = config.ok_or("TLS to it is not configured");
        self.secure(config.and_then(|config| Ok(Side::Client(config, name?))));
    }

    fn secure(&mut self, side: Result<Side, &'static str>) {
        self.broken = self.broken.take().or_else(|| match (&mut self.state, side) {
            (State::Up(Stream::Plain(_), next @ Next::Read), Ok(side)) => {
                *next = Next::Secure(Box::new(side));
                None
            }
            (State::Up(Stream::Plain(_), _), Err(reason)) => Some(End::Insecure(reason.into())),
            (_, _) => Some(End::Insecure("this stream cannot begin TLS".into())),
        });
    }

    /// Once all is sent, lets go of the stream. Nothing is heard from it any more.
    pub(crate) fn close(&mut self) {
        self.broken = None;
        self.state = match mem::replace(&mut self.state, State::Down) {
            State::Up(stream, _) => State::Up(stream, Next::Close),
            same @ (State::Mute(_) | State::Parting(_)) if self.accepted => same,
            _ => State::Down,
        };
        if self.unsent.is_done() {
            self.turn();
        }
    }

    /// Ready with the wire's next word, meanwhile sending what is queued. What is queued goes out before anything is
    /// read, which bounds the queue: a peer that does not read us is not listened to. `wants` is the session's.
    ///
    /// Never ready on a wire that is down.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>, wants: bool) -> Poll<Heard> {
        if let (true, Some(peer)) = (mem::take(&mut self.reused), &self.peer) {
            return Poll::Ready(Heard::Reused((**peer).clone()));
        }
        loop {
            match &mut self.state {
                State::Dialing(dial) => {
                    let outcome = ready!(dial.as_mut().poll(cx));
                    return Poll::Ready(self.dialed(outcome));
                }
                State::Shaking(shaking) => {
                    let outcome = ready!(Pin::new(shaking).poll(cx));
                    return Poll::Ready(self.shaken(outcome));
                }
                State::Up(stream, next) => {
                    let mut paced = Paced::new(stream, self.pace.as_deref_mut());
                    if self.broken.is_none()
                        && let Err(error) = ready!(self.unsent.poll_finish(&mut paced, cx))
                    {
                        self.unsent = Unsent::default();
                        self.broken = Some(end_of("send()", &error));
                    }
                    match (next, &self.broken) {
                        (Next::Read, _) | (Next::Secure(_), Some(_)) => return self.poll_read(cx, wants),
                        (Next::Secure(_) | Next::Close, None) => self.turn(),
                        (Next::Close, Some(_)) => {
                            self.broken = None;
                            self.state = State::Down;
                        }
                    }
                }
                State::Down | State::Mute(_) | State::Parting(_) => {
                    return match self.broken.take() {
                        Some(end) => Poll::Ready(Heard::Ended(end)),
                        None => Poll::Pending,
                    };
                }
            }
        }
    }

    /// All is sent: goes on to what was noted.
    fn turn(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Down) {
            State::Up(Stream::Plain(raw), Next::Secure(side)) => {
                self.spoken = true;
                State::Shaking(Box::new(Shaking::begin(*side, raw)))
            }
            State::Up(stream, Next::Close) if self.accepted => State::Parting(stream),
            State::Up(_, Next::Close) => State::Down,
            same => same,
        };
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, wants: bool) -> Poll<Heard> {
        let State::Up(stream, next) = &mut self.state else { return Poll::Pending };
        let may_read = wants && !self.ended && matches!(next, Next::Read);
        let read = match may_read {
            true => scratch::poll_read(stream, cx, READ_BYTES_MAX),
            false => Poll::Pending,
        };
        let end = match (read, self.broken.take()) {
            (Poll::Ready(Ok(filled)), broken) if filled.len() > 0 => {
                self.broken = broken;
                return Poll::Ready(Heard::Received(filled));
            }
            (_, Some(broken)) => broken,
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Ready(Ok(_)), None) => End::Finished,
            (Poll::Ready(Err(error)), None) => end_of("recv()", &error),
        };
        self.ended = true;
        if end != End::Finished {
            self.fail();
        }
        Poll::Ready(Heard::Ended(end))
    }

    /// The stream is of no more use, but may still have an alert on its way.
    fn fail(&mut self) {
        self.unsent = Unsent::default();
        self.state = match mem::replace(&mut self.state, State::Down) {
            State::Up(tls @ Stream::Tls(_), _) => State::Mute(tls.into_raw()),
            State::Up(Stream::Plain(raw), Next::Secure(_)) => State::Mute(raw),
            _ => State::Down,
        };
    }

    fn dialed(&mut self, outcome: Result<(S, Peer), End>) -> Heard {
        match outcome {
            Ok((stream, peer)) => {
                self.state = State::Up(Stream::Plain(stream), Next::Read);
                self.peer = Some(Box::new(peer.clone()));
                Heard::Opened(peer)
            }
            Err(end) => {
                self.state = State::Down;
                Heard::Ended(end)
            }
        }
    }

    fn shaken(&mut self, outcome: Shaken<S>) -> Heard {
        match outcome {
            Ok((stream, facts)) => {
                self.state = State::Up(Stream::Tls(Box::new(stream)), Next::Read);
                // The end of the handshake goes with what is said now; alone, if that is nothing.
                self.unsent.note_written();
                Heard::Secured(facts)
            }
            Err((error, raw)) => {
                self.ended = true;
                self.state = State::Mute(raw);
                Heard::Ended(end_of("recv()", &error))
            }
        }
    }

    /// Sends what is queued and closes, within a bounded time; an accepted stream as [`Stream::hang_up`] does. Whoever was
    /// told nothing has nothing to lose by a reset, and is not lingered for.
    pub(crate) async fn finish(mut self, lingering: Lingering) {
        let lingering = Lingering { close: lingering.close && self.spoken, ..lingering };
        self.close();
        let sent = poll_fn(|cx| match self.poll_next(cx, false) {
            Poll::Pending if matches!(self.state, State::Up(..)) => Poll::Pending,
            _ => Poll::Ready(()),
        });
        let sent = timeout(FAREWELL, sent).await;
        match self.state {
            State::Parting(stream) if sent.is_ok() => stream.hang_up(lingering).await,
            State::Mute(raw) => Stream::Plain(raw).hang_up(lingering).await,
            _ => {}
        }
    }

    /// What a relay goes on with. Nothing if the wire is not up.
    pub(crate) fn into_parts(self) -> Option<Parts<S>> {
        let Self { state, unsent, ended, pace, .. } = self;
        match state {
            State::Up(stream, Next::Read) => Some(Parts { stream, unsent, ended, pace }),
            _ => None,
        }
    }
}

/// A wire taken apart.
pub(crate) struct Parts<S> {
    pub(crate) stream: Stream<S>,
    /// What is still to be written to it.
    pub(crate) unsent: Unsent,
    /// Whether the other side has said its last word.
    pub(crate) ended: bool,
    pub(crate) pace: Option<Box<Pace>>,
}

impl<S> fmt::Debug for Pipe<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Down => "Pipe(down)",
            State::Dialing(_) => "Pipe(dialing)",
            State::Up(..) => "Pipe(up)",
            State::Shaking(_) => "Pipe(shaking)",
            State::Mute(_) => "Pipe(mute)",
            State::Parting(_) => "Pipe(parting)",
        })
    }
}
