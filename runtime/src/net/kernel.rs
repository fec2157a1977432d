//! The world as the kernel shows it: its sockets and its clock.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatepost_core::{Address, Answer, Family, Instant, Peer, Question, ResolveError, Wire};
use tokio::net::UnixStream;
use tracing::{Level, enabled};

use super::Net;
use crate::resolve::{Resolver, System};

mod dial;
mod socket;

pub use socket::{Parked, Socket};

/// The system's present time. It may jump when the system's clock is set: fit for log lines, not for deadlines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where time comes in")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The time since some fixed moment, which runs evenly whatever happens to the system's clock: for a process that has no
/// runtime whose clock it could read.
#[must_use]
pub(crate) fn even_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

/// The time since the system was started, asleep or awake. It runs evenly and is the same in every process.
#[must_use]
pub(crate) fn boot_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// The kernel's network. Its clock starts at the system's time and from then on runs evenly, so that no deadline moves
/// when the system's clock is set.
#[derive(Clone, Debug)]
pub struct Kernel {
    resolver: Option<Resolver>,
    /// Asked for the names of backends where there is no `resolver`.
    system: System,
    keepalive: bool,
    started: tokio::time::Instant,
    started_unix_millis: u64,
}

impl Kernel {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        let since_epoch = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            resolver: None,
            system: System::default(),
            keepalive: false,
            started: tokio::time::Instant::now(),
            started_unix_millis: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Kernel {
    /// The same network, with somebody to ask for names.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver: Some(resolver), ..self }
    }

    /// The same network, where whoever is connected to and silent is asked if it is still there, or is not (`so_keepalive`).
    #[must_use]
    pub fn with_keepalive(self, keepalive: bool) -> Self {
        Self { keepalive, ..self }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Net for Kernel {
    type Stream = Socket;

    fn connect(
        &self,
        wire: Wire,
        address: &Address,
    ) -> impl Future<Output = io::Result<(Socket, Peer)>> + 'static {
        let (remote, keepalive) = (address.clone(), self.keepalive);
        async move {
            let nobodys = Address::Unix("".into());
            match &remote {
                Address::Inet(to) => {
                    let stream = dial::connect(*to, keepalive, wire).await?;
                    let local = match enabled!(Level::TRACE) {
                        true => stream.local_addr()?.into(),
                        false => nobodys,
                    };
                    Ok((Socket::Tcp(stream), Peer { remote, local }))
                }
                Address::Unix(path) => {
                    let stream = UnixStream::connect(&**path).await?;
                    Ok((Socket::Unix(stream), Peer { remote, local: nobodys }))
                }
            }
        }
    }

    fn resolve(&self, question: Question) -> impl Future<Output = Answer> + 'static {
        let (resolver, system) = (self.resolver.clone(), self.system.clone());
        async move {
            match (resolver, question) {
                (Some(resolver), question) => resolver.answer(question).await,
                (None, Question::NameOf(_)) => Answer::Name(Err(ResolveError::Refused)),
                (None, Question::AddressesOf(name, family)) => {
                    let found = system.addresses_of(name).await;
                    let of_family = |ips: Arc<[IpAddr]>| {
                        ips.iter().copied().filter(|&ip| Family::from(ip) == family).collect()
                    };
                    Answer::Addresses(found.map(of_family))
                }
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_unix_millis(self.started_unix_millis).after(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn traces_are_told_of_both_ends_and_nobody_else_pays_for_that() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let connect = || async { Kernel::new().connect(Wire::Backend, &address.into()).await };
        let (_socket, peer) = connect().await.expect("connected");
        let _accepted = listener.accept().await.expect("accepted");
        let unnamed = Address::Unix("".into());
        assert_eq!(peer, Peer { remote: address.into(), local: unnamed });

        let _traced = tracing::subscriber::set_default(tracing_subscriber::registry());
        tracing::callsite::rebuild_interest_cache();
        let (_socket, peer) = connect().await.expect("connected");
        let (_accepted, from) = listener.accept().await.expect("accepted");
        assert_eq!(peer, Peer { remote: address.into(), local: from.into() });
    }

    #[tokio::test]
    async fn a_silent_backend_is_asked_if_it_is_still_there_where_that_is_wanted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").into();
        for wanted in [true, false] {
            let kernel = Kernel::new().with_keepalive(wanted);
            let (socket, _) = kernel.connect(Wire::Backend, &address).await.expect("connected");
            let Socket::Tcp(stream) = socket else { panic!("TCP was asked for") };
            assert_eq!(socket2::SockRef::from(&stream).keepalive().expect("an option"), wanted);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_runs_evenly_from_the_systems_time() {
        let kernel = Kernel::new();
        let begun = kernel.now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(begun.until(kernel.now()).as_millis(), 1500);
        assert!(begun.unix_seconds() > 1_700_000_000);
    }
}
