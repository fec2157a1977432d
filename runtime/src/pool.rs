//! Connections to auth servers between two questions (`auth_http_keepalive`).
//!
//! A session that has its answer leaves its connection here, and the next one takes it. What an answer has behind its headers goes by
//! here, unread by anybody; a connection on which anything else comes, or that ends, is let go at once, for what one
//! session is told is nobody else's business. One pool serves one thread, and the sessions whose auth servers are spoken to alike.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gatepost_core::limits::READ_BYTES_MAX;
use gatepost_core::{Address, Peer, Rest, Scheme, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::scratch;
use crate::stream::Stream;

/// For how long a connection waits for the next question: nginx's `keepalive_timeout`.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long the rest of an answer may take. Servers send it with its headers, or right behind them.
const REST_MAX: Duration = Duration::from_secs(5);

/// What makes one connection as good as another: the same server, by the same name, with the same certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    address: Address,
    name: Option<Arc<str>>,
    scheme: Scheme,
}

impl Key {
    pub(crate) fn new(server: &Server, scheme: &Scheme) -> Self {
        Self { address: server.address.clone(), name: server.name.clone(), scheme: scheme.clone() }
    }
}

/// The pool. Clones are one and the same.
pub struct Pool<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    /// How many may wait for each server. None once the pool is closed.
    most: usize,
    /// Those of each server, the one that has waited longest first.
    waiting: BTreeMap<Key, VecDeque<Waiting<S>>>,
    /// Whoever tends the pool.
    tender: Option<Waker>,
    /// Whether nothing has come in on a stream of which everything was read that its runtime knows of.
    is_silent: fn(&S) -> bool,
}

struct Waiting<S> {
    stream: Stream<S>,
    peer: Peer,
    rest: Rest,
    until: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pool<S> {
    /// A pool in which at most so many connections wait for each server, of streams that tell all that has come in when they are read.
    /// [`Pool::tend`] has to run beside it.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self::of_sockets(most, |_| true)
    }

    /// The same of sockets, which `is_silent` looks at: their runtime remembers that there was nothing to be read, and until it has asked
    /// the kernel again a read finds nothing, though an answer that nobody asked for may lie there for the next one to take for his.
    #[must_use]
    pub fn of_sockets(most: usize, is_silent: fn(&S) -> bool) -> Self {
        Self(Rc::new(RefCell::new(Inner { most, waiting: BTreeMap::new(), tender: None, is_silent })))
    }

    /// The connection that was used last of those on which nothing has happened since.
    pub(crate) fn take(&self, key: &Key) -> Option<(Stream<S>, Peer)> {
        let mut inner = self.0.borrow_mut();
        let is_silent = inner.is_silent;
        let waiting = inner.waiting.get_mut(key)?;
        let now = Instant::now();
        let mut found = None;
        while let (None, Some(at)) = (&found, waiting.iter().rposition(|one| one.rest.is_over())) {
            let mut one = waiting.remove(at)?;
            // What has come in, or ended, since it was looked at last does not wait for the one who looks after them.
            let is_still = one.poll(&mut Context::from_waker(Waker::noop()), now).is_some()
                && is_silent(one.stream.raw());
            found = is_still.then_some((one.stream, one.peer));
        }
        if waiting.is_empty() {
            inner.waiting.remove(key);
        }
        found
    }

    /// Keeps a connection on which this much of an answer is still to come. If too many wait, the one that has waited
    /// longest makes room.
    pub(crate) fn put(&self, key: Key, (stream, peer): (Stream<S>, Peer), rest: Rest) {
        let mut inner = self.0.borrow_mut();
        if inner.most == 0 {
            return;
        }
        let until = Instant::now() + if rest.is_over() { IDLE_MAX } else { REST_MAX };
        let most = inner.most;
        let waiting = inner.waiting.entry(key).or_default();
        waiting.push_back(Waiting { stream, peer, rest, until });
        while waiting.len() > most {
            waiting.pop_front();
        }
        if let Some(tender) = inner.tender.take() {
            tender.wake();
        }
    }

    /// Lets go of all that wait, and keeps none from now on: the process is about to end, or another one has taken over.
    pub fn close(&self) {
        let mut inner = self.0.borrow_mut();
        inner.most = 0;
        inner.waiting.clear();
        if let Some(tender) = inner.tender.take() {
            tender.wake();
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().waiting.values().map(VecDeque::len).sum()
    }

    /// Looks after those that wait, until the pool is closed.
    pub async fn tend(self) {
        let mut alarm = pin!(sleep_until(Instant::now()));
        poll_fn(|cx| self.0.borrow_mut().poll_tend(alarm.as_mut(), cx)).await;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    fn poll_tend(&mut self, mut alarm: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        if self.most == 0 {
            return Poll::Ready(());
        }
        self.tender = Some(cx.waker().clone());
        loop {
            let now = Instant::now();
            for waiting in self.waiting.values_mut() {
                waiting.retain_mut(|one| one.poll(cx, now).is_some());
            }
            self.waiting.retain(|_, waiting| !waiting.is_empty());
            let all = self.waiting.values().flatten();
            let Some(first) = all.map(|one| one.until).min() else { return Poll::Pending };
            alarm.as_mut().reset(first);
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Waiting<S> {
    /// Takes in what has come. Nothing if the connection is of no more use.
    fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<()> {
        if self.until <= now {
            return None;
        }
        while let Poll::Ready(read) = scratch::poll_read(&mut self.stream, cx, READ_BYTES_MAX) {
            let filled = read.ok().filter(|filled| filled.len() > 0)?;
            filled.show_and_wipe(|octets| self.rest.receive(octets)).ok()?;
            if self.rest.is_over() {
                self.until = now + IDLE_MAX;
            }
        }
        Some(())
    }
}

impl<S> Clone for Pool<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for Pool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.0.try_borrow().map_or(0, |inner| inner.waiting.len());
        f.debug_struct("Pool").field("servers", &servers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
