//! A wire's stream once it is connected: in clear, or under TLS.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gatepost_core::{End, Lingering};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsStream;

use crate::net::{AsSocket, Socket};
use crate::rewound::Rewound;
use crate::scratch::{self, SCRATCH_BYTES};
use crate::system_error::system_error;

/// How long a stream that is being closed may take to accept what is left to say.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// How much a client that is taken leave of may still send. nginx bounds the time only.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Octets both ways. TLS is boxed: its state is large, and a session in clear need not pay for it.
#[derive(Debug)]
pub(crate) enum Stream<S> {
    /// As they are.
    Plain(S),
    /// Under TLS, our side being the server towards a client and the client towards a backend.
    Tls(Box<TlsStream<Rewound<S>>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Closes so that the other side receives what it was sent: says that nothing more comes (`close_notify` and FIN),
    /// then reads until the other side has done the same, for as long as `lingering` allows.
    pub(crate) async fn hang_up(mut self, lingering: Lingering) {
        let said = timeout(FAREWELL, self.shutdown()).await;
        if lingering.close && matches!(said, Ok(Ok(()))) && !cfg!(planted = "rst-instead-of-fin") {
            // The TLS state has done its part; what comes now is thrown away unread.
            linger(&mut self.into_raw(), lingering).await;
        }
    }
}

impl<S> Stream<S> {
    /// What lies beneath, TLS or not.
    pub(crate) fn into_raw(self) -> S {
        match self {
            Self::Plain(raw) => raw,
            Self::Tls(tls) => match *tls {
                TlsStream::Server(tls) => tls.into_inner().0.into_inner(),
                TlsStream::Client(tls) => tls.into_inner().0.into_inner(),
            },
        }
    }

    /// The same, to be looked at only.
    pub(crate) fn raw(&self) -> &S {
        match self {
            Self::Plain(raw) => raw,
            Self::Tls(tls) => tls.get_ref().0.get_ref(),
        }
    }

    /// A relay begins: under TLS, where much comes it is read in larger pieces than TLS asks for.
    pub(crate) fn expect_bulk(&mut self) {
        if let Self::Tls(tls) = self {
            tls.get_mut().0.expect_bulk();
        }
    }
}

impl<S: AsSocket> AsSocket for Stream<S> {
    fn as_socket(&self) -> Option<&Socket> {
        match self {
            Self::Plain(raw) => raw.as_socket(),
            Self::Tls(_) => None,
        }
    }

    fn beneath(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Plain(raw) => raw.beneath(),
            Self::Tls(tls) => tls.get_mut().0.get_mut().beneath(),
        }
    }

    fn has_sent(&mut self) -> bool {
        match self {
            Self::Plain(raw) => raw.has_sent(),
            Self::Tls(tls) => tls.get_mut().0.has_sent(),
        }
    }
}

async fn linger<S: AsyncRead + Unpin>(stream: &mut S, lingering: Lingering) {
    let end = Instant::now() + lingering.time;
    let mut left = LINGER_BYTES_MAX;
    while left > 0 {
        let silence = (Instant::now() + lingering.silence).min(end);
        let read = poll_fn(|cx| scratch::poll_read(stream, cx, SCRATCH_BYTES));
        match timeout_at(silence, read).await {
            Ok(Ok(filled)) if filled.len() > 0 => {
                left = left.saturating_sub(filled.len());
                // Thrown away unread, but a password for all we know.
                filled.show_and_wipe(|_| ());
            }
            _ => return,
        }
    }
}

/// What it means that reading or writing failed.
pub(crate) fn end_of(call: &'static str, error: &io::Error) -> End {
    if let Some(reason) = tls_reason(error) {
        return End::Insecure(reason.to_string().into());
    }
    match error.kind() {
        // FIN without close_notify. Mail protocols say in clear words where they end, so nothing can be cut off unseen
        // (RFC 9325 section 3.2 and RELAY-007); nginx too takes it for an end.
        io::ErrorKind::UnexpectedEof => End::Finished,
        _ => End::Broken(system_error(call, error)),
    }
}

fn tls_reason(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_write(cx, octets),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(raw) => raw.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
