//! The few calls that Rust counts as unsafe, each with the reason why it is sound here.
//!
//! Two of them are so only while the process has a single thread, which each of them makes sure of: the master never has
//! more, and a worker sets itself up before it starts its own.

#![expect(
    unsafe_code,
    reason = "fork, the environment, dispositions and adopted descriptors; argued at each"
)]

use std::ffi::OsString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use nix::sys::signal::{SigHandler, Signal, signal};
use rustix::process::Pid;

/// Which of the two processes this is after a fork.
#[derive(Debug)]
pub(super) enum Forked {
    /// The one that was there before; the other is this one.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Makes a second process with everything this one has.
///
/// # Errors
///
/// The system's. This process has several threads, or it cannot be told whether it has.
pub(super) fn fork() -> io::Result<Forked> {
    must_be_alone()?;
    // SAFETY: what a child may not do after fork(2) is to rely on what other threads of its parent were in the middle of
    // (locks, the allocator). There are no other threads, and none can come into being: this one is here.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
        nix::unistd::ForkResult::Parent { child } => match Pid::from_raw(child.as_raw()) {
            Some(child) => Ok(Forked::Parent(child)),
            None => Err(io::Error::other("fork() made no process")),
        },
    }
}

/// Leaves in the environment only what is in `kept`, with the values given there. Names must not be empty or hold `=`.
///
/// # Errors
///
/// This process has several threads, or it cannot be told whether it has; nothing has changed then.
pub(super) fn set_environment(kept: &[(OsString, Option<OsString>)]) -> io::Result<()> {
    must_be_alone()?;
    let named = |name: &OsString| kept.iter().any(|(kept, _)| kept == name);
    let others: Vec<_> = std::env::vars_os().map(|(name, _)| name).filter(|name| !named(name)).collect();
    for name in others {
        // SAFETY: nobody can read the environment meanwhile, for there is no other thread.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in kept {
        if let Some(value) = value {
            // SAFETY: as above.
            unsafe { std::env::set_var(name, value) };
        }
    }
    Ok(())
}

fn must_be_alone() -> io::Result<()> {
    match std::fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        threads => Err(io::Error::other(format!("this process has {threads} threads"))),
    }
}

/// Makes this signal do what it does by default, in case whoever started this process had it ignored: a signal that is
/// ignored is not even seen by who waits for it.
pub(super) fn restore_default(which: Signal) -> io::Result<()> {
    // SAFETY: no handler of ours is called, and those of others are not ours to keep: this is called before anything else
    // handles signals.
    unsafe { signal(which, SigHandler::SigDfl) }?;
    Ok(())
}

/// The descriptors that have been adopted: none is twice.
static ADOPTED: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Takes over a listening socket that whoever started this process has left open for it under this number. None if there
/// is none under it, or it has been taken already.
///
/// To be called for numbers that the environment names, before this process has opened anything by itself.
pub(super) fn adopt(number: RawFd) -> Option<socket2::Socket> {
    const STANDARD_ERROR: RawFd = 2;
    let is_socket = std::fs::read_link(format!("/proc/self/fd/{number}"))
        .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
    let mut adopted = ADOPTED.lock().ok()?;
    if number <= STANDARD_ERROR || !is_socket || adopted.contains(&number) {
        return None;
    }
    adopted.push(number);
    // SAFETY: the number is that of an open socket, which was open when the process began and is named in its environment:
    // whoever started it meant it to be owned here. That nobody else owns it follows from its being taken only once.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    let socket = socket2::Socket::from(socket);
    let stream = socket.r#type().is_ok_and(|kind| kind == socket2::Type::STREAM);
    let listens = stream && socket.is_listener().unwrap_or(false);
    let ready = listens && socket.set_cloexec(true).is_ok() && socket.set_nonblocking(true).is_ok();
    ready.then_some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::IntoRawFd;

    /// Whatever runs the tests has threads of its own.
    #[test]
    fn a_process_with_several_threads_does_not_fork() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        let error = fork().expect_err("there are two threads at least").to_string();
        assert!(error.starts_with("this process has ") && error.ends_with(" threads"), "{error}");
        assert!(set_environment(&[]).is_err());
        assert!(std::env::var_os("PATH").is_some());
        drop(stop);
        let _ = other.join();
    }

    #[test]
    fn a_listening_socket_is_adopted_once_and_nothing_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let number = listener.into_raw_fd();
        assert_eq!(adopt(number).and_then(|listener| listener.local_addr().ok()?.as_socket()), Some(address));
        assert!(adopt(number).is_none());
        let file = std::fs::File::open("/dev/null").expect("a file").into_raw_fd();
        let connected = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").into_raw_fd();
        for number in [-1, 0, 1, 2, file, connected, 65_000] {
            assert!(adopt(number).is_none(), "{number}");
        }
    }
}
