//! Clients that stay and clients that come and go, and whether all of them had what they wanted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsConnector;

/// No client waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many clients stay, and how often each says something.
const STAYING: usize = 500;
const PAUSE: Duration = Duration::from_millis(500);

/// How often somebody new comes: 200 times a second.
const BETWEEN_LOGINS: Duration = Duration::from_millis(5);

/// Of how many who come one comes by TLS.
const SECURE_EVERY: u64 = 20;

/// What has been seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) logins: AtomicU64,
    pub(crate) octets: AtomicU64,
    /// How many of those who stay have logged in.
    pub(crate) staying: AtomicU64,
    /// How many have left, in peace.
    pub(crate) left: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// How often which certificate was shown, and when it was last, since the load began.
    certificates: Mutex<BTreeMap<Vec<u8>, Duration>>,
    leave: AtomicBool,
    come_no_more: AtomicBool,
}

impl Seen {
    /// Somebody who came at this moment was shown this certificate.
    fn note(&self, certificate: Vec<u8>, came: Duration) {
        let mut certificates = self.certificates.lock().unwrap();
        let last = certificates.entry(certificate).or_default();
        *last = came.max(*last);
    }
}

/// Clients at work, on a thread of their own.
pub(crate) struct Load {
    pub(crate) seen: Arc<Seen>,
    begun: Duration,
    thread: Option<thread::JoinHandle<()>>,
}

impl Load {
    /// Begins; ready when all who stay have logged in.
    pub(crate) fn start(address: SocketAddr, secure: SocketAddr) -> Self {
        let seen = Arc::<Seen>::default();
        let shown = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(clients(address, secure, shown));
        });
        let load = Self { seen, begun: now(), thread: Some(thread) };
        crate::served::eventually("all who stay have logged in", || {
            load.nothing_broke();
            load.seen.staying.load(Ordering::Relaxed) == STAYING as u64
        });
        load
    }

    /// Fails the test if anything has gone wrong for anybody.
    pub(crate) fn nothing_broke(&self) {
        let failures = self.seen.failures.lock().unwrap();
        assert!(
            failures.is_empty(),
            "{} failed, the first: {:?}",
            failures.len(),
            &failures[..failures.len().min(5)]
        );
    }

    /// Nobody new comes from now on; those who are there go on.
    pub(crate) fn nobody_comes_any_more(&self) {
        self.seen.come_no_more.store(true, Ordering::Relaxed);
        // Whoever is on the way in has to have come.
        thread::sleep(Duration::from_secs(1));
    }

    /// Waits until so many more have logged in.
    pub(crate) fn await_logins(&self, more: u64) {
        let before = self.seen.logins.load(Ordering::Relaxed);
        crate::served::eventually("people log in", || {
            self.seen.logins.load(Ordering::Relaxed) >= before + more
        });
    }

    /// When this certificate was last shown, since the load began.
    pub(crate) fn last_shown(&self, certificate: &[u8]) -> Option<Duration> {
        self.seen.certificates.lock().unwrap().get(certificate).copied()
    }

    /// How long it has been since the load began.
    pub(crate) fn elapsed(&self) -> Duration {
        now() - self.begun
    }

    /// Everybody leaves; and everybody has had all that they wanted.
    pub(crate) fn end(mut self) -> Arc<Seen> {
        self.seen.leave.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.nothing_broke();
        assert_eq!(self.seen.left.load(Ordering::Relaxed), STAYING as u64);
        Arc::clone(&self.seen)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.seen.leave.store(true, Ordering::Relaxed);
    }
}

fn now() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic)).unwrap()
}

async fn clients(address: SocketAddr, secure: SocketAddr, seen: Arc<Seen>) {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..STAYING {
        let seen = Arc::clone(&seen);
        tasks.spawn(async move {
            // Not all at the same moment: queues are finite.
            sleep(Duration::from_millis(number as u64 * 3)).await;
            let done = timeout(Duration::from_secs(120), stay(address, number, &seen)).await;
            note(&seen, "who stays", done.unwrap_or_else(|_| Err("took forever".to_owned())));
        });
    }
    let mut ticks = interval(BETWEEN_LOGINS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut number = 0;
    while !seen.leave.load(Ordering::Relaxed) {
        ticks.tick().await;
        if seen.staying.load(Ordering::Relaxed) < STAYING as u64 || seen.come_no_more.load(Ordering::Relaxed)
        {
            continue;
        }
        number += 1;
        let seen = Arc::clone(&seen);
        tasks.spawn(async move {
            let visit = async {
                match number % SECURE_EVERY {
                    0 => visit_securely(secure, number, &seen, begun).await,
                    _ => visit(address, number).await,
                }
            };
            let done = timeout(PATIENCE, visit).await.unwrap_or_else(|_| Err("took too long".to_owned()));
            if done.is_ok() {
                seen.logins.fetch_add(1, Ordering::Relaxed);
            }
            note(&seen, "who comes", done);
        });
    }
    while tasks.join_next().await.is_some() {}
}

fn note(seen: &Seen, who: &str, done: Result<(), String>) {
    if let Err(error) = done {
        seen.failures.lock().unwrap().push(format!("{who}: {error}"));
    }
}

/// Logs in, and says something now and then until it is time to leave.
async fn stay(address: SocketAddr, number: usize, seen: &Seen) -> Result<(), String> {
    let mut stream = enter(address).await?;
    log_in(&mut stream).await?;
    seen.staying.fetch_add(1, Ordering::Relaxed);
    let mut round = 0;
    while !seen.leave.load(Ordering::Relaxed) {
        round += 1;
        seen.octets.fetch_add(exchange(&mut stream, number as u64, round).await?, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
    leave(stream).await?;
    seen.left.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Logs in, says one thing, and leaves.
async fn visit(address: SocketAddr, number: u64) -> Result<(), String> {
    let mut stream = enter(address).await?;
    log_in(&mut stream).await?;
    exchange(&mut stream, number, 0).await?;
    leave(stream).await
}

async fn visit_securely(address: SocketAddr, number: u64, seen: &Seen, begun: Instant) -> Result<(), String> {
    let stream = enter(address).await?;
    let came = begun.elapsed();
    let connector = TlsConnector::from(Arc::new(whoever()));
    let name = ServerName::try_from("mail.example").unwrap();
    let mut stream =
        connector.connect(name, stream).await.map_err(|error| format!("the handshake: {error}"))?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default()[0].to_vec();
    log_in(&mut stream).await?;
    exchange(&mut stream, number, 0).await?;
    seen.note(shown, came);
    leave(stream).await
}

async fn enter(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connecting: {error}"))?;
    stream.set_nodelay(true).unwrap();
    Ok(stream)
}

async fn log_in(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), String> {
    hear(stream, b"+OK POP3 ready\r\n").await?;
    say(stream, b"USER joe\r\n").await?;
    hear(stream, b"+OK\r\n").await?;
    say(stream, b"PASS hunter2\r\n").await?;
    hear(stream, b"+OK\r\n").await
}

/// Says something that nobody else says, and hears it said back; tells how much it was.
async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    number: u64,
    round: u64,
) -> Result<u64, String> {
    let text = format!("{number} {round} {}\r\n", "x".repeat(200 + (round % 64) as usize));
    say(stream, text.as_bytes()).await?;
    hear(stream, text.as_bytes()).await?;
    Ok(text.len() as u64)
}

async fn leave(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
    stream.shutdown().await.map_err(|error| format!("leaving: {error}"))?;
    let mut rest = Vec::new();
    match timeout(PATIENCE, stream.read_to_end(&mut rest)).await {
        Ok(Ok(0)) => Ok(()),
        Ok(Ok(count)) => Err(format!("{count} octets too many")),
        Ok(Err(error)) => Err(format!("at the end: {error}")),
        Err(_) => Err("no end".to_owned()),
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), octets: &[u8]) -> Result<(), String> {
    stream.write_all(octets).await.map_err(|error| format!("saying something: {error}"))
}

async fn hear(stream: &mut (impl AsyncRead + Unpin), wanted: &[u8]) -> Result<(), String> {
    let mut heard = vec![0; wanted.len()];
    let wanted = String::from_utf8_lossy(wanted);
    match timeout(PATIENCE, stream.read_exact(&mut heard)).await {
        Ok(Ok(_)) if heard == wanted.as_bytes() => Ok(()),
        Ok(Ok(_)) => Err(format!("{:?} in place of {wanted:?}", String::from_utf8_lossy(&heard))),
        Ok(Err(error)) => Err(format!("waiting for {wanted:?}: {error}")),
        Err(_) => Err(format!("{wanted:?} did not come")),
    }
}

/// A client that takes any certificate: the tests look at which it was.
pub(crate) fn whoever() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(schemes)))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
