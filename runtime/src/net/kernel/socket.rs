//! A connected socket of the kernel's, whether the runtime waits for it or not.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{mem, net};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// Over IPv4 or IPv6.
    Tcp(TcpStream),
    /// Over a UNIX socket.
    Unix(UnixStream),
    /// Either of them, which the runtime does not know for the time being.
    Parked(Parked),
}

/// A socket that only the kernel knows. It can be neither read nor written.
#[derive(Debug)]
pub enum Parked {
    /// Over IPv4 or IPv6.
    Tcp(net::TcpStream),
    /// Over a UNIX socket.
    Unix(unix::net::UnixStream),
    /// It was closed when the runtime could not be told of it, or not be made to forget it.
    Lost,
}

impl Socket {
    /// Has the runtime forget it, which needs 256 octets to wait for it. Nothing is heard of it until [`Socket::unpark`].
    ///
    /// # Errors
    ///
    /// The system's. The connection is closed then.
    pub(crate) fn park(&mut self) -> io::Result<()> {
        let parked = match mem::replace(self, Self::Parked(Parked::Lost)) {
            Self::Tcp(stream) => Parked::Tcp(stream.into_std()?),
            Self::Unix(stream) => Parked::Unix(stream.into_std()?),
            Self::Parked(parked) => parked,
        };
        *self = Self::Parked(parked);
        Ok(())
    }

    /// Tells the runtime of it again. To be called within one.
    ///
    /// # Errors
    ///
    /// The system's: it lacks what it takes. The connection is closed then.
    pub(crate) fn unpark(&mut self) -> io::Result<()> {
        *self = match mem::replace(self, Self::Parked(Parked::Lost)) {
            Self::Parked(Parked::Tcp(stream)) => Self::Tcp(TcpStream::from_std(stream)?),
            Self::Parked(Parked::Unix(stream)) => Self::Unix(UnixStream::from_std(stream)?),
            Self::Parked(Parked::Lost) => return Err(io::ErrorKind::NotConnected.into()),
            awake => awake,
        };
        Ok(())
    }

    /// What the kernel calls it.
    ///
    /// # Errors
    ///
    /// It was closed.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        match self {
            Self::Tcp(stream) => Ok(stream.as_fd()),
            Self::Unix(stream) => Ok(stream.as_fd()),
            Self::Parked(Parked::Tcp(stream)) => Ok(stream.as_fd()),
            Self::Parked(Parked::Unix(stream)) => Ok(stream.as_fd()),
            Self::Parked(Parked::Lost) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// As the runtime knows it.
    fn awake(&mut self) -> io::Result<Awake<'_>> {
        match self {
            Self::Tcp(stream) => Ok(Awake::Tcp(Pin::new(stream))),
            Self::Unix(stream) => Ok(Awake::Unix(Pin::new(stream))),
            Self::Parked(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether there is nothing to be read just now, not even that the other side has ended: the kernel is asked, whatever the runtime knows.
    pub(crate) fn is_silent(&self) -> bool {
        let mut octet = [0];
        let peeked = self
            .descriptor()
            .map(|socket| rustix::net::recv(socket, &mut octet, RecvFlags::PEEK | RecvFlags::DONTWAIT));
        matches!(peeked, Ok(Err(Errno::AGAIN)))
    }

    /// Ready when there may be something to read, be it the end.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Parked(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Ready when something may be written.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
            Self::Parked(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Does what reads from, or writes to, the socket; where that would have to wait, the next wait is for the kernel.
    pub(crate) fn try_io<T>(&self, interest: Interest, io: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, io),
            Self::Unix(stream) => stream.try_io(interest, io),
            Self::Parked(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// A socket that can be read and written.
enum Awake<'a> {
    Tcp(Pin<&'a mut TcpStream>),
    Unix(Pin<&'a mut UnixStream>),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut().awake()? {
            Awake::Tcp(stream) => stream.poll_read(cx, buffer),
            Awake::Unix(stream) => stream.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut().awake()? {
            Awake::Tcp(stream) => stream.poll_write(cx, octets),
            Awake::Unix(stream) => stream.poll_write(cx, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What is in one piece, as most of what is said, goes by send(2), which costs a tenth less than writev(2).
        if let [only] = slices {
            return self.poll_write(cx, only);
        }
        match self.get_mut().awake()? {
            Awake::Tcp(stream) => stream.poll_write_vectored(cx, slices),
            Awake::Unix(stream) => stream.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets hold nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().awake()? {
            Awake::Tcp(stream) => stream.poll_shutdown(cx),
            Awake::Unix(stream) => stream.poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Far ends and near ones.
    async fn connections() -> [(Socket, Socket); 2] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let far = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("connected");
        let near = listener.accept().await.expect("accepted").0;
        let (unix_far, unix_near) = UnixStream::pair().expect("a pair");
        [(Socket::Tcp(far), Socket::Tcp(near)), (Socket::Unix(unix_far), Socket::Unix(unix_near))]
    }

    #[tokio::test]
    async fn what_was_said_to_a_parked_socket_is_heard_afterwards_and_so_is_the_end() {
        for (mut far, mut near) in connections().await {
            far.write_all(b"before, ").await.expect("said");
            near.park().expect("forgotten");
            near.park().expect("it is already");
            far.write_all(b"meanwhile").await.expect("said");
            assert!(!near.is_silent());
            let refused = near.write(b"x").await.expect_err("nobody would wait for it");
            assert_eq!(refused.kind(), io::ErrorKind::NotConnected);
            drop(far);
            near.unpark().expect("known");
            near.unpark().expect("it is already");
            let mut heard = String::new();
            near.read_to_string(&mut heard).await.expect("heard");
            assert_eq!(heard, "before, meanwhile");
        }
    }

    #[tokio::test]
    async fn a_socket_that_was_lost_says_so() {
        let mut lost = Socket::Parked(Parked::Lost);
        assert!(lost.descriptor().is_err() && !lost.is_silent());
        assert!(lost.read(&mut [0]).await.is_err());
        assert_eq!(lost.unpark().expect_err("closed").kind(), io::ErrorKind::NotConnected);
    }
}
