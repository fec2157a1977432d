//! The auth wire where a users file answers: there is nobody to connect to, and an answer to each request.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use gatepost_core::{Address, Payload, Peer, Secret};

use crate::users::{Answered, Users};

/// What the wire has to tell.
pub(super) enum Said {
    /// It is up.
    Opened(Peer),
    /// The answer to a request.
    Answer(Answered),
}

/// A users file as a session's auth server, if it has one.
#[derive(Default)]
pub(super) struct Desk {
    users: Option<Arc<Users>>,
    state: State,
}

#[derive(Default)]
enum State {
    /// Nobody asks.
    #[default]
    Closed,
    /// Somebody wants to ask.
    Opening,
    /// This much of a request has come.
    Hearing(Secret),
    /// The answer is being found out.
    Answering(Pin<Box<dyn Future<Output = Answered>>>),
}

impl Desk {
    /// Where these users are asked about, if there are any.
    pub(super) fn new(users: Option<Arc<Users>>) -> Self {
        Self { users, state: State::Closed }
    }

    /// Whether it takes the place of an auth server.
    pub(super) const fn is_there(&self) -> bool {
        self.users.is_some()
    }

    /// Begins anew; what was asked before is forgotten.
    pub(super) fn open(&mut self) {
        self.state = State::Opening;
    }

    /// Takes in octets of a request. Whole, it is answered.
    pub(super) fn hear(&mut self, octets: &Payload) {
        let (State::Hearing(request), Some(users)) = (&mut self.state, &self.users) else { return };
        request.extend(octets.expose());
        if Users::is_whole(request) {
            self.state = State::Answering(Box::pin(users.clone().answer(mem::take(request))));
        }
    }

    /// Forgets what was asked. Nothing is heard from it any more.
    pub(super) fn close(&mut self) {
        self.state = State::Closed;
    }

    /// Ready with what there is to tell; never when nothing is asked.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Said> {
        match (&mut self.state, &self.users) {
            (State::Opening, Some(users)) => {
                let address = |path: &str| Address::Unix(path.into());
                let peer = Peer { remote: address(users.path()), local: address("") };
                self.state = State::Hearing(Secret::empty());
                Poll::Ready(Said::Opened(peer))
            }
            (State::Answering(answer), _) => {
                let answer = answer.as_mut().poll(cx);
                if answer.is_ready() {
                    self.state = State::Hearing(Secret::empty());
                }
                answer.map(Said::Answer)
            }
            _ => Poll::Pending,
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Closed => "Desk(closed)",
            State::Opening => "Desk(opening)",
            State::Hearing(_) => "Desk(hearing)",
            State::Answering(_) => "Desk(answering)",
        })
    }
}
