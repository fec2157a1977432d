//! A TLS handshake under way, whichever side of it is ours.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gatepost_core::TlsFacts;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::FallibleConnect;
use tokio_rustls::server::FallibleAccept;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::rewound::Rewound;
use crate::tls::{self, Acceptor};

/// Our side of a handshake, and what it takes.
#[derive(Debug)]
pub(crate) enum Side {
    /// We show our certificate. The octets are the beginning of what the client says.
    Server(Acceptor, Bytes),
    /// We are shown a certificate, which has to be for this name.
    Client(Arc<ClientConfig>, ServerName<'static>),
}

/// What a handshake comes to: the stream under TLS, or the reason and the stream beneath. A server's last flight may not have been
/// sent; it goes with what is said first, or with a flush.
pub(crate) type Shaken<S> = Result<(TlsStream<Rewound<S>>, TlsFacts), (io::Error, S)>;

/// A handshake. Ready with the stream under TLS, or with the reason and the stream beneath, which may still have an
/// alert on its way.
pub(crate) enum Shaking<S> {
    Server(FallibleAccept<Rewound<S>>, Acceptor),
    Client(FallibleConnect<Rewound<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shaking<S> {
    pub(crate) fn begin(side: Side, stream: S) -> Self {
        match side {
            Side::Server(acceptor, already_read) => {
                let stream = Rewound::new(already_read, stream).gathering();
                let acceptor = acceptor.for_one();
                let config = acceptor.config().clone();
                Self::Server(TlsAcceptor::from(config).accept(stream).into_fallible(), acceptor)
            }
            Side::Client(config, name) => {
                let stream = Rewound::new(Bytes::new(), stream);
                Self::Client(TlsConnector::from(config).connect(name, stream).into_fallible())
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Shaking<S> {
    type Output = Shaken<S>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shaken = match self.get_mut() {
            Self::Server(accept, acceptor) => ready!(Pin::new(accept).poll(cx)).map(|mut stream| {
                stream.get_mut().0.let_go();
                let facts = acceptor.facts(stream.get_ref().1);
                (stream.into(), facts)
            }),
            Self::Client(connect) => ready!(Pin::new(connect).poll(cx)).map(|stream| {
                let facts = tls::backend_facts(stream.get_ref().1);
                (stream.into(), facts)
            }),
        };
        Poll::Ready(shaken.map_err(|(error, mut stream)| {
            // An alert is worth one try, whatever comes of it.
            stream.let_go();
            let _ = Pin::new(&mut stream).poll_flush(cx);
            (error, stream.into_inner())
        }))
    }
}
