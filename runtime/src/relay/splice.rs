//! Octets from one socket of the kernel to another that never come through us: splice(2), with a pipe between them.
//!
//! It pays for bulk. A message of some hundred octets is cheaper to copy, so a direction copies until a read has brought that much
//! (`BULK_BYTES`), and copies again once a splice has brought less.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;

use crate::net::Socket;

/// What a pipe has room for. One of 64 KiB moves hardly more than a copy does in the same time.
const ROOM_BYTES: usize = 1024 * 1024;

/// What it has room for where the system allows no more: an unprivileged user has 64 MiB of enlarged pipes in all.
const LESSER_ROOM_BYTES: usize = 64 * 1024;

/// Pipes of a thread that have something in them. That is the kernel's memory, and a sink may leave it there for as long as it
/// likes; while so many are in use, others copy.
const PIPES_MAX: usize = 32;

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

thread_local! {
    static PIPES: RefCell<Pipes> = const { RefCell::new(Pipes { spare: Vec::new(), lent: 0 }) };
}

/// The pipes of a thread.
struct Pipes {
    /// Empty ones. Never more than were lent at a time.
    spare: Vec<Pipe>,
    lent: usize,
}

#[derive(Debug)]
struct Pipe {
    reading: OwnedFd,
    writing: OwnedFd,
    room: usize,
    octets: usize,
}

/// What is on its way between two sockets. Owns a pipe only while something is, and one that is dropped with something in it is closed.
#[derive(Debug, Default)]
pub(super) struct Flight(Option<Box<Pipe>>);

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// So many octets; none at the end of the stream.
    Octets(usize),
    /// There is no pipe to be had.
    NoPipe,
}

impl Flight {
    /// Whether nothing is on its way.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Takes off with what `from` has. To be asked only if nothing is on its way.
    pub(super) fn poll_read(&mut self, from: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<Read>> {
        loop {
            // Before there is a pipe: whoever waits owns none.
            ready!(from.poll_read_ready(cx))?;
            self.borrow();
            let Some(pipe) = &mut self.0 else { return Poll::Ready(Ok(Read::NoPipe)) };
            let Pipe { writing, room, .. } = &**pipe;
            let moved = from.try_io(Interest::READABLE, || {
                Ok(splice(from.descriptor()?, None, writing, None, *room, FLAGS)?)
            });
            if let Ok(octets) = moved {
                pipe.octets = octets;
            }
            self.give_back();
            match moved {
                Ok(octets) => return Poll::Ready(Ok(Read::Octets(octets))),
                Err(error) if is_momentary(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Lets `to` have as much of what is on its way as it takes now, which is something; `Pending` if it takes nothing.
    pub(super) fn poll_write(&mut self, to: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(pipe) = &mut self.0 {
            ready!(to.poll_write_ready(cx))?;
            let Pipe { reading, octets, .. } = &**pipe;
            match to.try_io(Interest::WRITABLE, || {
                Ok(splice(reading, None, to.descriptor()?, None, *octets, FLAGS)?)
            }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(moved) => {
                    pipe.octets = pipe.octets.saturating_sub(moved);
                    self.give_back();
                    break;
                }
                Err(error) if is_momentary(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gets hold of an empty pipe, unless too many are in use or descriptors are short.
    fn borrow(&mut self) {
        self.0 = PIPES.with_borrow_mut(|pipes| {
            if pipes.lent >= PIPES_MAX {
                return None;
            }
            let pipe = pipes.spare.pop().or_else(|| {
                let (reading, writing) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
                let room = fcntl_setpipe_size(&writing, ROOM_BYTES).unwrap_or(LESSER_ROOM_BYTES);
                Some(Pipe { reading, writing, room, octets: 0 })
            })?;
            pipes.lent += 1;
            Some(Box::new(pipe))
        });
    }

    /// Parts with the pipe if it is empty.
    fn give_back(&mut self) {
        if let Some(pipe) = self.0.take_if(|pipe| pipe.octets == 0) {
            PIPES.with_borrow_mut(|pipes| {
                pipes.lent = pipes.lent.saturating_sub(1);
                pipes.spare.push(*pipe);
            });
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.0.is_some() {
            // A thread that ends takes its pipes with it.
            let _ = PIPES.try_with(|pipes| {
                let mut pipes = pipes.borrow_mut();
                pipes.lent = pipes.lent.saturating_sub(1);
            });
        }
    }
}

fn is_momentary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// How many pipes of this thread are in use, and how many are spare.
#[cfg(test)]
pub(super) fn pipes() -> (usize, usize) {
    PIPES.with_borrow(|pipes| (pipes.lent, pipes.spare.len()))
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Relay, Start};
    use super::*;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::Builder;
    use tokio::task::{LocalSet, spawn_local};

    const IDLE: Duration = Duration::from_secs(20);

    /// On a thread with pipes of its own.
    fn tell(story: impl Future<Output = ()> + Send + 'static) {
        let told = std::thread::spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            LocalSet::new().block_on(&runtime, story);
        });
        told.join().expect("no panic");
    }

    /// Two ends of a connection over loopback, the second one the relay's.
    async fn connection() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let far = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("connected");
        (far, Socket::Tcp(listener.accept().await.expect("accepted").0))
    }

    /// Octets of which each tells its place.
    fn octets(count: usize) -> Vec<u8> {
        (0..count as u64).map(|place| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
    }

    async fn relayed(mut client: Socket, mut backend: Socket) -> Outcome {
        let mut relay = Relay::new(Start::default());
        loop {
            if let Some(outcome) = relay.run(&mut client, &mut backend, IDLE, IDLE).await {
                return outcome;
            }
        }
    }

    #[test]
    fn bulk_and_small_talk_arrive_whole_and_in_order_and_at_rest_no_pipe_is_held() {
        tell(async {
            let ((mut client, near), (mut backend, far)) = (connection().await, connection().await);
            let relay = spawn_local(relayed(near, far));
            let bulk = octets(3_000_000);
            let sent = bulk.clone();
            let sender = spawn_local(async move {
                backend.write_all(b"* OK small talk\r\n").await.expect("said");
                backend.write_all(&sent).await.expect("said");
                backend
            });
            let mut heard = vec![0; 17 + bulk.len()];
            client.read_exact(&mut heard).await.expect("heard");
            assert!(heard[17..] == bulk[..], "other octets than were sent");
            let mut backend = sender.await.expect("no panic");
            // Whoever holds one has something in it, and all has arrived.
            assert_eq!(pipes(), (0, 1));
            client.write_all(b"a LOGOUT\r\n").await.expect("said");
            client.shutdown().await.expect("said");
            let mut last = Vec::new();
            backend.read_to_end(&mut last).await.expect("heard");
            assert_eq!(last, b"a LOGOUT\r\n");
            backend.write_all(&bulk).await.expect("said");
            drop(backend);
            last.clear();
            client.read_to_end(&mut last).await.expect("heard");
            assert!(last == bulk, "other octets than were sent behind a half-close");
            let outcome = relay.await.expect("no panic");
            assert_eq!((outcome.from_client, outcome.from_backend), (10, 17 + 2 * bulk.len() as u64));
            assert_eq!(outcome.failure, None);
        });
    }

    #[test]
    fn a_sink_that_does_not_read_holds_back_the_source_and_one_that_leaves_takes_its_pipe_along() {
        tell(async {
            let ((client, near), (mut backend, far)) = (connection().await, connection().await);
            let relay = spawn_local(relayed(near, far));
            let piece = octets(1 << 20);
            let mut sent = 0;
            // Until nothing more is taken: the sockets' buffers are full, and so is the pipe.
            while let Ok(wrote) =
                tokio::time::timeout(Duration::from_millis(300), backend.write(&piece)).await
            {
                sent += wrote.expect("said");
                assert!(sent < 64 << 20, "nobody reads, and {sent} octets were taken");
            }
            assert_eq!(pipes(), (1, 0));
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("an option");
            drop(client);
            let outcome = relay.await.expect("no panic");
            assert!(outcome.failure.is_some());
            assert_eq!(pipes(), (0, 0), "a pipe with octets of one session is there for another");
        });
    }

    #[test]
    fn who_finds_no_pipe_copies() {
        tell(async {
            let held: Vec<Flight> = (0..PIPES_MAX)
                .map(|_| {
                    let mut flight = Flight::default();
                    flight.borrow();
                    flight
                })
                .collect();
            assert_eq!(pipes(), (PIPES_MAX, 0));
            let ((mut client, near), (mut backend, far)) = (connection().await, connection().await);
            let relay = spawn_local(relayed(near, far));
            let bulk = octets(500_000);
            let sent = bulk.clone();
            let sender = spawn_local(async move { backend.write_all(&sent).await });
            let mut heard = Vec::new();
            client.shutdown().await.expect("said");
            client.read_to_end(&mut heard).await.expect("heard");
            assert!(heard == bulk, "other octets than were sent");
            sender.await.expect("no panic").expect("said");
            assert_eq!(relay.await.expect("no panic").failure, None);
            drop(held);
            assert_eq!(pipes(), (0, 0));
        });
    }
}
