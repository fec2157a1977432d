//! A running program as a subject: real sockets on loopback, real TLS, a scripted auth server and backend.

use std::io::{self, ErrorKind};
use std::mem::take;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use gatepost_core::Wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsStream;

use super::clients::Clients;
use super::delivery::wait_until_read;
use super::name_server::NameServer;
use super::tls::{Certificate, Client, serve};
use super::{Acted, Deed, Ending, Seen, Server, Stage, configuration};
use crate::peer::{Child, PATIENCE, Scratch, free_address, scratch_directory};
use crate::transcript::{BackendTls, Lookup, Open, TlsTry, Transcript, Variables};

/// How long the proxy may take for what it does at once.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How long all pauses together may take between two steps of time: what the transcript waits for must not be over before. What is
/// cut after that is not read apart for certain.
const PAUSES_WITHIN: Duration = Duration::from_millis(150);

/// How long a look at what the proxy has done by now takes.
const GLANCE: Duration = Duration::from_millis(3);

/// A client, an auth server and a backend around a process that was started for this run.
pub(super) struct SocketStage {
    runtime: Runtime,
    certificate: Certificate,
    listener: SocketAddr,
    client: Endpoint,
    client_address: SocketAddr,
    /// Connections of sessions before that stay.
    others: Vec<Endpoint>,
    auth: Listening,
    backend: Listening,
    name_server: NameServer,
    clients: Option<Clients>,
    haste: u32,
    /// What a quiet time left to be waited for.
    owed: Duration,
    /// How long pauses have taken since the client came or time last passed: the proxy's clock runs meanwhile.
    paused: Duration,
    process: Child,
    _files: Scratch,
}

/// One end of a connection with the proxy.
#[derive(Default)]
struct Endpoint {
    link: Option<Link>,
    /// Whether the proxy may still say something.
    open: bool,
}

enum Link {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A handshake failed: whatever the proxy still says is not for our ears.
    Garbled(TcpStream),
}

/// A scripted server: where it is, and its one connection.
struct Listening {
    address: SocketAddr,
    listener: Option<TcpListener>,
    endpoint: Endpoint,
}

impl SocketStage {
    /// Starts a program that reads the transcript's configuration, and waits until it listens. `command` is given
    /// the configuration file's directory and path.
    pub(super) fn new(
        name: &str,
        transcript: &Transcript,
        preamble: &str,
        command: impl FnOnce(&Scratch, &std::path::Path) -> Command,
    ) -> Result<Self, String> {
        let told = |error: io::Error| error.to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
        let (listener, auth, backend) = (free_address(), free_address(), free_address());
        let name_server = runtime.block_on(NameServer::bind()).map_err(told)?;
        let certificate = Certificate::new()?;
        let clients = Clients::of(transcript)?;
        let files = scratch_directory(name).map_err(told)?;
        let authority = clients.as_ref().map(|clients| files.write("ca.pem", clients.authority_pem()));
        let authority = authority.transpose().map_err(told)?;
        let places = configuration::Places {
            certificate: &files.write("mx.test.pem", certificate.pem()).map_err(told)?,
            key: &files.write("mx.test.key", certificate.key_pem()).map_err(told)?,
            client_authority: authority.as_deref(),
            pid: &files.join("proxy.pid"),
            listener,
            auth_server: auth,
            backend,
            name_server: name_server.address(),
        };
        let text = configuration::text(transcript, &places, preamble)?;
        let file = files.write("nginx.conf", text).map_err(told)?;
        let mut process = Child::start(name, command(&files, &file)).map_err(told)?;
        process.wait_until_listening(listener, PATIENCE).map_err(told)?;
        Ok(Self {
            runtime,
            certificate,
            listener,
            client: Endpoint::default(),
            others: Vec::new(),
            client_address: (Ipv4Addr::LOCALHOST, 0).into(),
            auth: Listening::at(auth),
            backend: Listening::at(backend),
            name_server,
            clients,
            haste: transcript.haste(),
            owed: Duration::ZERO,
            paused: Duration::ZERO,
            process,
            _files: files,
        })
    }

    fn hear(&mut self, within: Duration) -> Result<Option<Seen>, String> {
        let Self { runtime, client, auth, backend, name_server, .. } = self;
        let deed = async {
            tokio::select! {
                biased;
                deed = client.next() => Ok(Seen { wire: Wire::Client, deed }),
                deed = auth.next() => deed.map(|deed| Seen { wire: Wire::Auth, deed }),
                deed = backend.next() => deed.map(|deed| Seen { wire: Wire::Backend, deed }),
                never = name_server.repeat() => never.map(|never| match never {}),
            }
        };
        in_time(runtime, within, deed).transpose().map_err(|error| error.to_string())
    }

    fn server(&mut self, server: Server) -> (&Runtime, &mut Listening) {
        match server {
            Server::Auth => (&self.runtime, &mut self.auth),
            Server::Backend => (&self.runtime, &mut self.backend),
        }
    }

    fn sleep(&self, span: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(span).await });
    }
}

impl Endpoint {
    fn new(stream: TcpStream) -> Self {
        Self { link: Some(Link::Plain(stream)), open: true }
    }

    /// What the proxy does next here; never ends where there is nobody.
    async fn next(&mut self) -> Deed {
        let mut buffer = [0; 16384];
        loop {
            let read = match &mut self.link {
                Some(Link::Plain(stream)) if self.open => stream.read(&mut buffer).await,
                Some(Link::Tls(stream)) if self.open => stream.read(&mut buffer).await,
                Some(Link::Garbled(stream)) if self.open => match stream.read(&mut buffer).await {
                    Ok(1..) => continue,
                    other => other,
                },
                _ => std::future::pending().await,
            };
            return match read {
                Ok(0) => {
                    self.open = false;
                    Deed::Ends(Ending::Fin)
                }
                Ok(count) => Deed::Sends(buffer.iter().take(count).copied().collect()),
                Err(_) => {
                    self.open = false;
                    Deed::Ends(Ending::Reset)
                }
            };
        }
    }

    /// Whoever has hung up does not hear what was still on its way.
    async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        let sent = match &mut self.link {
            Some(Link::Plain(stream)) => stream.write_all(octets).await,
            Some(Link::Tls(stream)) => match stream.write_all(octets).await {
                Ok(()) => stream.flush().await,
                failed => failed,
            },
            Some(Link::Garbled(_)) | None => return Err(ErrorKind::NotConnected.into()),
        };
        match sent {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Ok(())
            }
            other => other,
        }
    }

    async fn end(&mut self, how: Ending) -> io::Result<()> {
        match (how, &mut self.link) {
            (Ending::Fin, Some(Link::Plain(stream))) => stream.shutdown().await,
            (Ending::Fin, Some(Link::Tls(stream))) => stream.shutdown().await,
            (Ending::Fin, _) => Err(ErrorKind::NotConnected.into()),
            (Ending::Reset, _) => {
                self.link = None;
                Ok(())
            }
        }
    }

    fn stream(&self) -> Option<&TcpStream> {
        match self.link.as_ref()? {
            Link::Plain(stream) | Link::Garbled(stream) => Some(stream),
            Link::Tls(stream) => Some(stream.get_ref().0),
        }
    }
}

impl Listening {
    fn at(address: SocketAddr) -> Self {
        Self { address, listener: None, endpoint: Endpoint::default() }
    }

    async fn next(&mut self) -> io::Result<Deed> {
        let Self { listener, endpoint, .. } = self;
        let accepted = async {
            match listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            deed = endpoint.next() => Ok(deed),
            accepted = accepted => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                *endpoint = Endpoint::new(stream);
                Ok(Deed::Opens)
            }
        }
    }
}

impl Stage for SocketStage {
    fn exact(&self) -> bool {
        false
    }

    fn variables(&self) -> Variables {
        let text = |name: &str, value: String| (name.to_owned(), value.into_bytes());
        let mut variables = self.clients.as_ref().map(Clients::variables).unwrap_or_default();
        variables.extend([
            text("client.ip", self.client_address.ip().to_string()),
            text("client.port", self.client_address.port().to_string()),
            text("listen.ip", self.listener.ip().to_string()),
            text("listen.port", self.listener.port().to_string()),
            text("backend.ip", self.backend.address.ip().to_string()),
            text("backend.port", self.backend.address.port().to_string()),
            text("auth.port", self.auth.address.port().to_string()),
        ]);
        variables
    }

    fn open(&mut self, open: &Open) -> Acted {
        match open.besides {
            true => self.others.extend([take(&mut self.client), take(&mut self.backend.endpoint)]),
            false => self.others.clear(),
        }
        let connected = self.runtime.block_on(async {
            let stream = TcpStream::connect(self.listener).await?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        });
        let stream = connected.map_err(|error| format!("the proxy does not accept: {error}"))?;
        self.client_address = stream.local_addr().map_err(|error| error.to_string())?;
        self.client = Endpoint::new(stream);
        self.paused = Duration::ZERO;
        self.backend.endpoint = Endpoint::default();
        self.name_server.forget();
        Ok(())
    }

    fn client_sends(&mut self, octets: &[u8]) -> Acted {
        done_in_time(&self.runtime, self.client.send(octets))
            .map_err(|error| format!("the client could not send: {error}"))
    }

    fn pause(&mut self, wire: Wire) -> Acted {
        let endpoint = match wire {
            Wire::Client => &self.client,
            Wire::Auth => &self.auth.endpoint,
            Wire::Backend => &self.backend.endpoint,
        };
        if self.paused > PAUSES_WITHIN {
            return Ok(());
        }
        let begun = Instant::now();
        let addresses = endpoint.stream().map(|stream| (stream.local_addr(), stream.peer_addr()));
        let Some((Ok(own), Ok(proxys))) = addresses else { return Ok(()) }; // the proxy has hung up
        wait_until_read(own, proxys).map_err(|error| format!("/proc/net/tcp: {error}"))?;
        self.paused += begun.elapsed();
        Ok(())
    }

    fn client_ends(&mut self, how: Ending) -> Acted {
        if how == Ending::Reset {
            let stream = self.client.stream().ok_or("the client is not connected")?;
            stream.set_zero_linger().map_err(|error| error.to_string())?;
        }
        done_in_time(&self.runtime, self.client.end(how))
            .map_err(|error| format!("the client could not close: {error}"))
    }

    fn shake_hands(&mut self, attempt: &TlsTry) -> Acted {
        let Some(Link::Plain(stream)) = self.client.link.take() else {
            return Err("the client is not connected, or speaks TLS already".to_owned());
        };
        let identity = match (&attempt.certificate, &self.clients) {
            (Some(wanted), Some(clients)) => Some(clients.identity(wanted)?),
            (Some(_), None) => return Err("no client is asked for a certificate".to_owned()),
            (None, _) => None,
        };
        let client = Client::new(attempt, &self.certificate, identity)?;
        let listener = self.listener;
        let shaken = async {
            if attempt.resumed {
                client.begin(listener).await?;
            }
            client.shake_hands(stream, attempt).await
        };
        let shaken = in_time(&self.runtime, ANSWERS_WITHIN, shaken).ok_or("the handshake does not end")??;
        self.client.link = Some(match shaken {
            Ok(stream) => Link::Tls(Box::new(stream.into())),
            Err(stream) => Link::Garbled(stream),
        });
        Ok(())
    }

    fn shake_backends_hand(&mut self, attempt: &BackendTls) -> Acted {
        let Some(Link::Plain(stream)) = self.backend.endpoint.link.take() else {
            return Err("the backend is not connected, or speaks TLS already".to_owned());
        };
        let shaken = serve(stream, attempt, &self.certificate);
        let shaken = in_time(&self.runtime, ANSWERS_WITHIN, shaken).ok_or("the handshake does not end")??;
        self.backend.endpoint.link = Some(match shaken {
            Ok(stream) => Link::Tls(Box::new(stream.into())),
            Err(stream) => Link::Garbled(stream),
        });
        Ok(())
    }

    fn look_up(&mut self, lookup: &Lookup) -> Acted {
        in_time(&self.runtime, ANSWERS_WITHIN, self.name_server.answer(lookup))
            .ok_or("the proxy asks the DNS nothing")?
    }

    fn reachable(&mut self, server: Server, yes: bool) -> Acted {
        let (runtime, listening) = self.server(server);
        match (yes, &listening.listener) {
            (true, None) => {
                let listener = runtime.block_on(TcpListener::bind(listening.address));
                listening.listener = Some(listener.map_err(|error| error.to_string())?);
            }
            (false, Some(_)) => listening.listener = None,
            _ => {}
        }
        Ok(())
    }

    fn accept(&mut self, _server: Server) -> Acted {
        Ok(()) // the kernel did
    }

    fn refuse(&mut self, _server: Server) -> Acted {
        Ok(()) // the kernel does
    }

    fn server_sends(&mut self, server: Server, octets: &[u8]) -> Acted {
        let (runtime, listening) = self.server(server);
        done_in_time(runtime, listening.endpoint.send(octets))
            .map_err(|error| format!("the {server:?} could not send: {error}"))
    }

    fn server_ends(&mut self, server: Server, how: Ending) -> Acted {
        let (runtime, listening) = self.server(server);
        done_in_time(runtime, listening.endpoint.end(how))
            .map_err(|error| format!("the {server:?} could not close: {error}"))
    }

    fn pass(&mut self, span: Duration, quiet: bool) -> Acted {
        let span = span / self.haste;
        let paused = take(&mut self.paused);
        if quiet {
            let certain = span * 4 / 5; // the rest is left for clocks that do not agree
            self.owed += span.saturating_sub(certain);
            self.sleep(certain.saturating_sub(paused));
        } else {
            let owed = take(&mut self.owed);
            self.sleep((span + owed).saturating_sub(paused));
        }
        Ok(())
    }

    fn drain(&mut self) -> Acted {
        Err("a process is drained by signals, which transcripts do not send".to_owned())
    }

    fn next(&mut self) -> Result<Option<Seen>, String> {
        self.hear(ANSWERS_WITHIN)
    }

    fn next_at_once(&mut self) -> Result<Option<Seen>, String> {
        self.hear(GLANCE)
    }

    fn log(&mut self) -> Vec<String> {
        self.process.output().lines().map(str::to_owned).collect()
    }
}

/// What `future` comes to, if it does `within` this time.
fn in_time<T>(runtime: &Runtime, within: Duration, future: impl Future<Output = T>) -> Option<T> {
    runtime.block_on(async { timeout(within, future).await }).ok()
}

fn done_in_time(runtime: &Runtime, done: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    in_time(runtime, ANSWERS_WITHIN, done).unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
}
