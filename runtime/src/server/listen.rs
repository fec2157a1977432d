//! Listening sockets.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io, thread};

use gatepost_core::Address;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::socket_file::{Made, SocketFile};
use super::tune::{Ignored, tune};
use crate::config::Listener;
use crate::system_error::system_error;

/// How often a port is tried that someone else still holds, and the pause between, as nginx does: a predecessor may be
/// on its way out.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// A listener that cannot be opened, in nginx's words: `bind() to 0.0.0.0:25 failed (13: Permission denied)`.
#[derive(Debug, thiserror::Error)]
#[error("{call} {address} failed ({code}: {text})", code = told(.source).code, text = told(.source).text)]
pub struct BindError {
    /// What failed: `bind() to`, `listen() to`, `socket()`.
    pub call: &'static str,
    /// The address as the configuration says it.
    pub address: String,
    /// Why.
    pub source: io::Error,
}

fn told(error: &io::Error) -> gatepost_core::SystemError {
    system_error("", error)
}

/// A listener's sockets. Over TCP they are a `SO_REUSEPORT` group with one for each thread, or more. UNIX sockets have no
/// such thing: there is one, from which whoever is awake first accepts.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) address: Address,
    pub(super) sockets: Vec<Arc<Socket>>,
    /// That of a UNIX socket, if it was made here.
    pub(super) file: Option<SocketFile>,
    /// What they were asked to be and are not.
    pub(super) ignored: Vec<Ignored>,
    /// How the last so many of them are to listen, which join a group that serves, and do not yet.
    joining: Option<(Listener, usize)>,
}

impl Bound {
    /// Opens `listener` for that many threads. Those of `held` stay what they are: connections may be waiting in any of
    /// them. Those that join them are given none before [`Bound::join`].
    pub(super) fn open(
        listener: &Listener,
        threads: NonZeroUsize,
        held: &[Arc<Socket>],
    ) -> Result<Self, BindError> {
        let (mut sockets, mut joining) = (held.to_vec(), 0);
        let (mut ignored, mut made) = (Vec::new(), Made::default());
        for socket in held {
            // As nginx does; how many may wait, and all else but the address, can be changed at any time.
            ignored = listen(socket, listener)?;
        }
        if sockets.is_empty() {
            let first;
            (first, made) = bind_patiently(listener)?;
            ignored = listen(&first, listener)?;
            sockets.push(Arc::new(first));
        }
        let address = sockets.first().and_then(|first| first.local_addr().ok()?.as_socket());
        let address = address.map_or_else(|| listener.address.clone(), Address::from);
        if address.inet().is_some() && sockets.len() < threads.get() {
            for socket in &sockets {
                // Only now: with the option set from the start, a second process could share the port unnoticed.
                socket
                    .set_reuse_port(true)
                    .map_err(|error| failed("setsockopt(SO_REUSEPORT)", listener, error))?;
            }
            while sockets.len() < threads.get() {
                match bind(listener, &address, true) {
                    Ok((another, _)) => {
                        if held.is_empty() {
                            // What it would tell is what the first has told.
                            listen(&another, listener)?;
                        } else {
                            joining += 1;
                        }
                        sockets.push(Arc::new(another));
                    }
                    // What somebody else has opened for us (a service manager) cannot be joined by everybody. Threads can
                    // share it.
                    Err(_) if !held.is_empty() => break,
                    Err(error) => return Err(error),
                }
            }
        }
        let joining = (joining > 0).then(|| (listener.clone(), joining));
        Ok(Self { address, sockets, file: made.keep(), ignored, joining })
    }

    /// Lets those listen that join a group which serves. Not before it is known that the new server can be: what they are
    /// given is lost if they are closed.
    pub(super) fn join(&mut self) -> Result<(), BindError> {
        let Some((listener, count)) = self.joining.take() else { return Ok(()) };
        let first = self.sockets.len().saturating_sub(count);
        self.sockets.iter().skip(first).try_for_each(|socket| listen(socket, &listener).map(drop))
    }

    /// What each thread accepts from. Every socket has a thread that looks after it, and every thread has a socket, be it
    /// the same as another's.
    pub(super) fn shares(self, threads: NonZeroUsize) -> io::Result<Vec<Vec<Socket>>> {
        let count = self.sockets.len();
        let mut shares: Vec<_> = (0..threads.get()).map(|_| Vec::new()).collect();
        let mut sockets: Vec<_> = self.sockets.into_iter().map(Some).collect();
        for index in (0..count.max(threads.get())).rev() {
            let place = index.checked_rem(count).and_then(|index| sockets.get_mut(index));
            let (Some(place), Some(share)) = (place, shares.get_mut(index % threads)) else { continue };
            // The last who asks for it gets the socket itself, where this process has no other use for it.
            let socket = if index < count { place.take() } else { place.clone() };
            let Some(socket) = socket else { continue };
            share.push(Arc::try_unwrap(socket).or_else(|socket| socket.try_clone())?);
        }
        Ok(shares)
    }
}

/// Whether `listener` could be opened. An address that is held is no fault here: a running predecessor most likely has it.
pub(super) fn try_out(listener: &Listener) -> Result<(), BindError> {
    match bind(listener, &listener.address, false) {
        Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => Ok(()),
        // The file, too, is gone with what is dropped here.
        outcome => outcome.map(drop),
    }
}

/// Whether this system can do MPTCP.
pub(crate) fn has_multipath() -> bool {
    Socket::new(Domain::IPV4, Type::STREAM.cloexec(), Some(Protocol::MPTCP)).is_ok()
}

/// Which addresses may be missing: those of a name of which another address is there (divergences R15).
#[derive(Debug, Default)]
pub(super) struct Names {
    reached: BTreeSet<Arc<str>>,
    missing: Vec<(Arc<str>, BindError)>,
}

impl Names {
    /// Notes that `listener` is open, or why not, unless that ends everything.
    pub(super) fn note<T>(
        &mut self,
        listener: &Listener,
        outcome: Result<T, BindError>,
    ) -> Result<Option<T>, BindError> {
        match (&listener.one_of, outcome) {
            (Some(name), Ok(open)) => {
                self.reached.insert(name.clone());
                Ok(Some(open))
            }
            (Some(name), Err(error)) if error.is_for_want_of_the_address() => {
                self.missing.push((name.clone(), error));
                Ok(None)
            }
            (_, outcome) => outcome.map(Some),
        }
    }

    /// What is missing.
    ///
    /// # Errors
    ///
    /// Nothing is there of one of the names.
    pub(super) fn missing(self) -> Result<Vec<(Arc<str>, BindError)>, BindError> {
        let Self { reached, mut missing } = self;
        match missing.iter().position(|(name, _)| !reached.contains(name)) {
            Some(at) => Err(missing.swap_remove(at).1),
            None => Ok(missing),
        }
    }
}

impl BindError {
    /// Whether this machine does not have the address, or none of its family.
    fn is_for_want_of_the_address(&self) -> bool {
        matches!(Errno::from_io_error(&self.source), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
    }
}

fn bind_patiently(listener: &Listener) -> Result<(Socket, Made), BindError> {
    let mut tries = 1;
    loop {
        match bind(listener, &listener.address, false) {
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse && tries < TRIES => {
                let stale = match &listener.address {
                    Address::Unix(path) if tries == 1 => SocketFile::stale(path),
                    _ => None,
                };
                match stale {
                    Some(file) => file.remove(),
                    None => thread::sleep(PAUSE),
                }
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// A socket, and its file if it has one. No options are set but those that decide where it is.
fn bind(listener: &Listener, address: &Address, share: bool) -> Result<(Socket, Made), BindError> {
    let set = |call, outcome: io::Result<()>| outcome.map_err(|error| failed(call, listener, error));
    let socket = socket(listener, address).map_err(|error| failed("socket()", listener, error))?;
    let mut made = Made::default();
    match address {
        Address::Inet(address) => {
            set("setsockopt(SO_REUSEADDR)", socket.set_reuse_address(true))?;
            set("setsockopt(SO_REUSEPORT)", socket.set_reuse_port(share))?;
            if address.is_ipv6() {
                set("setsockopt(IPV6_V6ONLY)", socket.set_only_v6(listener.ipv6_only))?;
            }
            set("bind() to", socket.bind(&(*address).into()))?;
        }
        Address::Unix(path) => {
            set("bind() to", SockAddr::unix(&**path).and_then(|address| socket.bind(&address)))?;
            made = Some(SocketFile::at(path).map_err(|error| failed("lstat()", listener, error))?).into();
            // Who may connect is the folder's business.
            set("chmod()", fs::set_permissions(&**path, fs::Permissions::from_mode(0o666)))?;
        }
    }
    Ok((socket, made))
}

fn socket(listener: &Listener, address: &Address) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let Address::Inet(address) = address else { return Socket::new(Domain::UNIX, kind, None) };
    let protocol = if listener.multipath { Protocol::MPTCP } else { Protocol::TCP };
    Socket::new(Domain::for_address(*address), kind, Some(protocol))
}

/// Listens; tells what the socket was asked to be and is not.
fn listen(socket: &Socket, listener: &Listener) -> Result<Vec<Ignored>, BindError> {
    // Before anybody can connect: how far a window may grow is said in the handshake.
    let ignored = tune(socket, listener);
    socket.listen(listener.backlog).map_err(|error| failed("listen() to", listener, error))?;
    Ok(ignored)
}

fn failed(call: &'static str, listener: &Listener, source: io::Error) -> BindError {
    BindError { call, address: listener.text.to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    use crate::config::Keepalive;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    fn listener(address: &str) -> Listener {
        Listener::new(address.parse::<std::net::SocketAddr>().expect("an address").into())
    }

    #[test]
    fn a_port_that_another_group_holds_is_refused() {
        let held = Bound::open(&listener("127.0.0.1:0"), TWO, &[]).expect("a free port");
        assert_eq!(held.sockets.len(), 2);
        let error =
            Bound::open(&Listener::new(held.address.clone()), TWO, &[]).expect_err("the port is held");
        assert_eq!(
            error.to_string(),
            format!("bind() to {} failed (98: Address already in use)", held.address)
        );
    }

    #[test]
    fn an_address_that_is_not_ours_is_told_in_nginx_words() {
        let error = Bound::open(&listener("192.0.2.1:143"), NonZeroUsize::MIN, &[]).expect_err("not ours");
        assert_eq!(error.to_string(), "bind() to 192.0.2.1:143 failed (99: Cannot assign requested address)");
    }

    #[test]
    fn a_name_needs_one_of_its_addresses() {
        let one_of = |name: &str, address| Listener { one_of: Some(name.into()), ..listener(address) };
        let open = |listener: &Listener| Bound::open(listener, NonZeroUsize::MIN, &[]);
        let (here, elsewhere) = (one_of("both:0", "127.0.0.1:0"), one_of("both:0", "192.0.2.1:0"));
        let mut names = Names::default();
        assert!(names.note(&elsewhere, open(&elsewhere)).expect("tolerated").is_none());
        assert!(names.note(&here, open(&here)).expect("open").is_some());
        let missing: Vec<_> =
            names.missing().expect("one is there").into_iter().map(|(name, _)| name).collect();
        assert_eq!(missing, ["both:0".into()]);
        let nowhere = one_of("nowhere:0", "192.0.2.1:0");
        let mut names = Names::default();
        names.note(&here, open(&here)).expect("open");
        names.note(&nowhere, open(&nowhere)).expect("tolerated so far");
        assert!(names.missing().is_err());
        let alone = listener("192.0.2.1:0");
        assert!(Names::default().note(&alone, open(&alone)).is_err());
    }

    #[test]
    fn what_a_socket_is_asked_to_be_is_inherited_by_its_connections() {
        let keepalive = Keepalive {
            idle: Some(Duration::from_secs(77)),
            interval: Some(Duration::from_secs(7)),
            count: Some(3),
        };
        let (receive_buffer_bytes, send_buffer_bytes) = (Some(20_000), Some(30_000));
        let keepalive = Some(keepalive);
        let listener =
            Listener { keepalive, receive_buffer_bytes, send_buffer_bytes, ..listener("127.0.0.1:0") };
        let bound = Bound::open(&listener, NonZeroUsize::MIN, &[]).expect("a port");
        let address = bound.address.inet().expect("an address");
        let _client = TcpStream::connect(address).expect("connected");
        bound.sockets[0].set_nonblocking(false).expect("blocking");
        let (accepted, _) = bound.sockets[0].accept().expect("accepted");
        assert!(accepted.keepalive().expect("an option") && accepted.tcp_nodelay().expect("an option"));
        assert_eq!(accepted.tcp_keepalive_time().expect("an option").as_secs(), 77);
        assert_eq!(accepted.tcp_keepalive_interval().expect("an option").as_secs(), 7);
        assert_eq!(accepted.tcp_keepalive_retries().expect("an option"), 3);
        // The kernel doubles what it is told, and counts its own bookkeeping in.
        assert_eq!(accepted.recv_buffer_size().expect("an option"), 40_000);
        assert_eq!(accepted.send_buffer_size().expect("an option"), 60_000);
    }

    #[test]
    fn what_the_kernel_will_not_have_keeps_no_door_shut() {
        let beyond = Keepalive { idle: Some(Duration::from_secs(40_000)), ..Keepalive::default() };
        let listener = Listener { keepalive: Some(beyond), ..listener("127.0.0.1:0") };
        let bound = Bound::open(&listener, TWO, &[]).expect("a port");
        assert_eq!((bound.sockets.len(), bound.ignored.len()), (2, 1));
        // As it is told again after a reload, and what has been mended is not.
        let again = Bound::open(&listener, TWO, &bound.sockets).expect("the same");
        assert_eq!(again.ignored.len(), 1);
        let mended = Listener { keepalive: None, ..listener };
        let mended = Bound::open(&mended, TWO, &again.sockets).expect("the same");
        assert!(mended.ignored.is_empty());
        assert!(mended.sockets.iter().all(|socket| !socket.keepalive().expect("an option")));
    }

    #[test]
    fn a_unix_socket_is_everybody_s_and_a_stale_one_is_replaced_but_nobody_s_else() {
        let path = std::env::temp_dir().join(format!("gatepost-listen-{}.sock", std::process::id()));
        let text = path.to_str().expect("text");
        let listener = Listener::new(Address::Unix(text.into()));
        let bound = Bound::open(&listener, TWO, &[]).expect("a socket");
        assert_eq!(bound.sockets.len(), 1);
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o666);
        try_out(&listener).expect("a predecessor has it");
        assert!(path.exists());
        drop(bound);
        // A process that another test is about to start has a copy of every descriptor for a moment.
        let Address::Unix(path_of) = &listener.address else { unreachable!("it is a path") };
        let stale = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(5));
            SocketFile::stale(path_of).is_some()
        });
        assert!(stale, "somebody still listens");
        let bound = Bound::open(&listener, TWO, &[]).expect("a stale one is in nobody's way");
        bound.file.expect("its file").remove();
        assert!(!path.exists());
        try_out(&listener).expect("fit");
        assert!(!path.exists(), "what was tried is not left behind");
    }

    #[test]
    fn multipath_is_used_where_there_is_such_a_thing() {
        if has_multipath() {
            let listener = Listener { multipath: true, ..listener("127.0.0.1:0") };
            let bound = Bound::open(&listener, TWO, &[]).expect("a port");
            assert_eq!(bound.sockets[0].protocol().expect("an option"), Some(Protocol::MPTCP));
        } else {
            eprintln!("skipped: this system has no MPTCP");
        }
    }
    #[test]
    fn a_group_grows_with_the_threads_and_never_shrinks() {
        let threads = |number| NonZeroUsize::new(number).expect("threads");
        let one = Bound::open(&listener("127.0.0.1:0"), threads(1), &[]).expect("a free port");
        let at = Listener::new(one.address.clone());
        let address = one.address.inet().expect("an address");
        let connect =
            || (0..10).map(|_| TcpStream::connect(address).expect("a place to wait")).collect::<Vec<_>>();
        let early = connect();
        let refused = Bound::open(&at, threads(8), &one.sockets).expect("more sockets on the same port");
        let meanwhile = connect();
        drop(refused);
        let mut three = Bound::open(&at, threads(3), &one.sockets).expect("more sockets on the same port");
        three.join().expect("they listen");
        assert_eq!((three.sockets.len(), &three.address), (3, &one.address));
        assert!(Arc::ptr_eq(&three.sockets[0], &one.sockets[0]));
        drop(one);
        let two = Bound::open(&at, threads(2), &three.sockets).expect("the same sockets");
        drop(three);
        let late = connect();
        let shares = two.shares(threads(2)).expect("a share for each");
        assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let accepted =
            shares.iter().flatten().map(|socket| std::iter::from_fn(|| socket.accept().ok()).count());
        assert_eq!(accepted.sum::<usize>(), early.len() + meanwhile.len() + late.len());
    }

    #[test]
    fn threads_share_what_there_is_not_enough_of() {
        let three = NonZeroUsize::new(3).expect("threads");
        let bound = Bound::open(&listener("127.0.0.1:0"), TWO, &[]).expect("a free port");
        let address = bound.address.inet().expect("an address");
        let clients: Vec<_> =
            (0..20).map(|_| TcpStream::connect(address).expect("a place to wait")).collect();
        let shares = bound.shares(three).expect("a share for each");
        assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
        let accept = |socket: &Socket| std::iter::from_fn(|| socket.accept().ok()).count();
        // The first and the third have the same.
        let accepted: Vec<_> = shares.iter().rev().map(|share| accept(&share[0])).collect();
        assert_eq!((accepted.iter().sum::<usize>(), accepted[2]), (clients.len(), 0));
    }
}
