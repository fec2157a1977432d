//! The real client and the real mail server, as the recorder meets them: one to be waited for, one to be connected to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::Wire;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::Acceptor;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

use crate::peer::{Certificate, PATIENCE, Scratch};
use crate::subject::Ending;
use crate::subject::configuration::SERVER_NAME;

/// Something that the client or the mail server did.
#[derive(Debug)]
pub(super) enum Heard {
    /// A client connects.
    Connects,
    /// It sends.
    Says(Wire, Vec<u8>),
    /// It sends no more.
    Ends(Wire, Ending),
}

/// What a client offers when it begins a handshake.
#[derive(Debug, Default)]
pub(super) struct Hello {
    /// The name it asks for.
    pub(super) sni: Option<String>,
    /// The protocols it speaks.
    pub(super) alpn: Vec<String>,
}

/// Both of them.
pub(super) struct Parties {
    runtime: Runtime,
    listener: TcpListener,
    certificate: Certificate,
    client: Party,
    backend: Party,
}

#[derive(Default)]
struct Party {
    link: Option<Link>,
    /// Whether it may still say something.
    open: bool,
}

enum Link {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Parties {
    /// Begins to listen for clients. Their certificate is made in `scratch`.
    pub(super) fn new(scratch: &Scratch) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let certificate = Certificate::make_for(scratch, &["localhost", "127.0.0.1", SERVER_NAME])?;
        Ok(Self { runtime, listener, certificate, client: Party::default(), backend: Party::default() })
    }

    /// Where clients are waited for.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The file that clients should trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.certificate.certificate.clone()
    }

    /// Whether a client is there that has not ended.
    pub(super) fn client_talks(&self) -> bool {
        self.client.open
    }

    /// What happens next, if anything does `within` this time: the mail server first, and the next client once this one is gone.
    pub(super) fn next(&mut self, within: Duration) -> Option<Heard> {
        let Self { runtime, listener, client, backend, .. } = self;
        let free = !client.open;
        let next = async {
            let next = async {
                tokio::select! {
                    biased;
                    heard = backend.next(Wire::Backend) => heard,
                    heard = client.next(Wire::Client) => heard,
                    accepted = accept(listener, free) => {
                        *client = Party::new(accepted);
                        Heard::Connects
                    }
                }
            };
            timeout(within, next).await.ok()
        };
        runtime.block_on(next)
    }

    /// Connects to the mail server.
    pub(super) fn connect(&mut self, server: SocketAddr) -> io::Result<()> {
        let connected = in_time(&self.runtime, async {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        self.backend = Party::new(connected?);
        Ok(())
    }

    /// Tells one of them. Whoever has hung up does not hear it.
    pub(super) fn tell(&mut self, wire: Wire, octets: &[u8]) {
        let (runtime, party) = self.party(wire);
        let _ = in_time(runtime, party.tell(octets));
    }

    /// Tells one of them that this was all.
    pub(super) fn end(&mut self, wire: Wire) {
        let (runtime, party) = self.party(wire);
        let _ = in_time(runtime, party.end());
    }

    fn party(&mut self, wire: Wire) -> (&Runtime, &mut Party) {
        match wire {
            Wire::Backend => (&self.runtime, &mut self.backend),
            _ => (&self.runtime, &mut self.client),
        }
    }

    /// Shakes hands with the client. `agree` is told what it offers, and says which of the protocols is spoken, if any is to be
    /// named.
    ///
    /// # Errors
    ///
    /// If it does not shake hands, or not with us; and those of `agree`.
    pub(super) fn shake_hands(
        &mut self,
        agree: impl FnOnce(&Hello) -> Result<Option<String>, String>,
    ) -> Result<(), String> {
        let told = |error: io::Error| format!("the client does not shake hands: {error}");
        let Some(Link::Plain(stream)) = self.client.link.take() else {
            return Err("the client is gone, or speaks TLS already".to_owned());
        };
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let start = in_time(&self.runtime, start).map_err(told)?;
        let hello = start.client_hello();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let offered = Hello {
            sni: hello.server_name().map(str::to_owned),
            alpn: hello.alpn().into_iter().flatten().map(text).collect(),
        };
        let spoken = agree(&offered)?;
        let config = self.server_config(spoken).map_err(told)?;
        let stream = in_time(&self.runtime, start.into_stream(Arc::new(config))).map_err(told)?;
        self.client.link = Some(Link::Tls(Box::new(stream.into())));
        Ok(())
    }

    fn server_config(&self, spoken: Option<String>) -> io::Result<ServerConfig> {
        let chain = CertificateDer::from_pem_file(&self.certificate.certificate).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(&self.certificate.key).map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![chain], key))
            .map_err(io::Error::other)?;
        config.alpn_protocols = spoken.into_iter().map(String::into_bytes).collect();
        Ok(config)
    }
}

impl Party {
    fn new(stream: TcpStream) -> Self {
        Self { link: Some(Link::Plain(stream)), open: true }
    }

    /// What it does next; never ends where there is nobody. That TLS ends without being said to is how many clients do it.
    async fn next(&mut self, wire: Wire) -> Heard {
        let mut buffer = [0; 16384];
        let read = match &mut self.link {
            Some(Link::Plain(stream)) if self.open => stream.read(&mut buffer).await,
            Some(Link::Tls(stream)) if self.open => stream.read(&mut buffer).await,
            _ => std::future::pending().await,
        };
        let how = match read {
            Ok(count @ 1..) => return Heard::Says(wire, buffer.iter().take(count).copied().collect()),
            Ok(0) => Ending::Fin,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ending::Fin,
            Err(_) => Ending::Reset,
        };
        self.open = false;
        Heard::Ends(wire, how)
    }

    async fn tell(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.link {
            Some(Link::Plain(stream)) => stream.write_all(octets).await,
            Some(Link::Tls(stream)) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
            None => Ok(()),
        }
    }

    async fn end(&mut self) -> io::Result<()> {
        match &mut self.link {
            Some(Link::Plain(stream)) => stream.shutdown().await,
            Some(Link::Tls(stream)) => stream.shutdown().await,
            None => Ok(()),
        }
    }
}

/// The next client, if it is its turn.
async fn accept(listener: &TcpListener, turn: bool) -> TcpStream {
    if !turn {
        std::future::pending::<()>().await;
    }
    loop {
        // A client that is gone before it is accepted is none.
        if let Ok((stream, _)) = listener.accept().await
            && stream.set_nodelay(true).is_ok()
        {
            return stream;
        }
    }
}

fn in_time<T>(runtime: &Runtime, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = async { timeout(PATIENCE, done).await };
    runtime.block_on(done).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
