//! How one comes to a backend: in clear, by STARTTLS, or under TLS from the first octet; with or without a PROXY header before all
//! that. Each way has a port of its own, where nothing else is taken.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gatepost_core::{BackendTls, Protocol, ProxyHeader};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::mood::{Mood, greeting};
use super::{imap, pop3, smtp};
use crate::chance::Chance;
use crate::dialogue::Ear;
use crate::post_office::PostOffice;
use crate::talk::Talk;

/// What is kept of what was read from one connection, in octets.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// How long FIN is waited for at most.
const LINGER: Duration = Duration::from_secs(1);

/// A listener of a backend.
#[derive(Clone)]
pub struct Counter {
    /// What is spoken here.
    pub protocol: Protocol,
    /// Whether it is spoken under TLS.
    pub tls: BackendTls,
    /// What comes before it.
    pub proxy_header: ProxyHeader,
    /// What TLS is made with.
    pub server: Arc<ServerConfig>,
    /// The mail.
    pub office: PostOffice,
    /// What was heard of every connection.
    pub book: Rc<RefCell<Vec<Entry>>>,
}

/// What was heard of one connection.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whether TLS was to be made.
    pub tls: BackendTls,
    /// What was read beneath TLS, or without any, as far as it is kept. The PROXY header is not in it.
    pub octets: Vec<u8>,
    /// The client, as the PROXY header told, or what was wrong with that. None if there was none, or not all of it.
    pub introduced: Option<Result<IpAddr, String>>,
}

impl Counter {
    /// The port for those who come `tls` to a server that speaks in clear at `clear_port`, and TLS at `tls_port`.
    #[must_use]
    pub const fn port(tls: BackendTls, clear_port: u16, tls_port: u16) -> u16 {
        match tls {
            BackendTls::Off => clear_port,
            BackendTls::On => tls_port,
            BackendTls::StartTls => clear_port + 1000,
        }
    }

    /// Serves one connection, in that mood. However it ends is its own affair.
    pub async fn serve<S>(&self, stream: S, mood: Mood, chance: &Chance)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // Whoever dies, hangs up, or is cut off: the verdict is made of what was heard.
        let _ = self.attend(stream, mood, chance).await;
    }

    async fn attend<S>(&self, stream: S, mood: Mood, chance: &Chance) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(mut stream) = mood.greet(self.protocol, stream, chance).await? else { return Ok(()) };
        let entry = Entry { tls: self.tls, octets: Vec::new(), introduced: None };
        let number = self.book.borrow().len();
        self.book.borrow_mut().push(entry);
        let introduced = match self.proxy_header {
            ProxyHeader::Off => None,
            ProxyHeader::V1 => Some(introduction_v1(&mut stream).await?),
            ProxyHeader::V2 => Some(introduction_v2(&mut stream).await?),
        };
        if let Some(entry) = self.book.borrow_mut().get_mut(number) {
            entry.introduced = introduced;
        }
        let office = match mood {
            Mood::Forgets => self.office.over(self.tls).forgetful(),
            _ => self.office.over(self.tls),
        };
        let mut stream = Tap { inner: stream, book: self.book.clone(), number };
        match self.tls {
            BackendTls::Off => self.converse(stream, &office).await,
            BackendTls::On => {
                let mut stream = TlsAcceptor::from(self.server.clone()).accept(stream).await?;
                self.converse(&mut stream, &office).await?;
                linger(stream.into_inner().0).await
            }
            BackendTls::StartTls => {
                if !self.agree(&mut stream, mood == Mood::Smuggles).await? {
                    return Ok(());
                }
                let mut stream = TlsAcceptor::from(self.server.clone()).accept(stream).await?;
                match self.protocol {
                    Protocol::Imap => imap::go_on(&mut stream, &office, Ear::default()).await?,
                    Protocol::Pop3 => pop3::go_on(&mut stream, &office, Ear::default()).await?,
                    Protocol::Smtp => smtp::go_on(&mut stream, &office, Ear::default()).await?,
                }
                linger(stream.into_inner().0).await
            }
        }
    }

    async fn converse<S>(&self, stream: S, office: &PostOffice) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.protocol {
            Protocol::Imap => imap::serve(stream, office, Ear::default()).await,
            Protocol::Pop3 => pop3::serve(stream, office, Ear::default()).await,
            Protocol::Smtp => smtp::serve(stream, office, Ear::default()).await,
        }
    }

    /// Greets, and takes nothing but STARTTLS. False if the other side leaves before that.
    async fn agree<S>(&self, stream: &mut S, smuggles: bool) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut talk = Talk::answering(stream, Ear::default());
        talk.say(greeting(self.protocol)).await?;
        while let Some(line) = talk.line().await? {
            let line = String::from_utf8_lossy(&line).into_owned();
            let (tag, word) = line.split_once(' ').unwrap_or(("", &line));
            let (agreed, more) = match (self.protocol, word, line.as_str()) {
                (Protocol::Imap, "STARTTLS", _) => {
                    (format!("{tag} OK go ahead\r\n"), format!("{tag} NO [AUTHENTICATIONFAILED] wrong\r\n"))
                }
                (Protocol::Pop3, _, "STLS") => ("+OK go ahead\r\n".into(), "+OK\r\n+OK logged in\r\n".into()),
                (Protocol::Smtp, _, "STARTTLS") => {
                    ("220 go ahead\r\n".into(), "250-XCLIENT LOGIN\r\n250 AUTH PLAIN\r\n".into())
                }
                (Protocol::Smtp, ..) if tag == "EHLO" => {
                    talk.say("250-backend\r\n250 STARTTLS\r\n").await?;
                    continue;
                }
                _ => {
                    talk.say(format!("{tag} BAD -ERR 530 TLS first\r\n")).await?;
                    continue;
                }
            };
            let word = if smuggles { agreed + &more } else { agreed };
            talk.say(word).await?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// Waits for FIN behind `close_notify`. A kernel would take it after the stream is closed; turmoil answers it by RST, which overtakes the
/// last words.
async fn linger<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<()> {
    let mut octets = [0; 512];
    while timeout(LINGER, stream.read(&mut octets)).await?? > 0 {}
    Ok(())
}

/// Reads a PROXY header of version 1 and tells the client's address.
async fn introduction_v1<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<IpAddr, String>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") && line.len() < 108 {
        line.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&line).into_owned();
    let words: Vec<&str> = text.strip_suffix("\r\n").unwrap_or_default().split(' ').collect();
    let told = match words.as_slice() {
        ["PROXY", "TCP4", source, to, from_port, to_port] => {
            let ports = from_port.parse::<u16>().and(to_port.parse::<u16>());
            source.parse::<IpAddr>().ok().filter(|_| to.parse::<IpAddr>().is_ok() && ports.is_ok())
        }
        _ => None,
    };
    Ok(told.ok_or(text))
}

/// The same of version 2.
async fn introduction_v2<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<IpAddr, String>> {
    let mut head = [0; 16];
    stream.read_exact(&mut head).await?;
    let Some((signature, [0x21, 0x11, high, low])) = head.split_first_chunk::<12>() else {
        return Ok(Err(format!("{head:?}")));
    };
    let mut rest = vec![0; usize::from(u16::from_be_bytes([*high, *low]))];
    stream.read_exact(&mut rest).await?;
    match rest.split_first_chunk::<4>() {
        Some((&source, _)) if signature == b"\r\n\r\n\0\r\nQUIT\n" => Ok(Ok(IpAddr::from(source))),
        _ => Ok(Err(format!("{head:?} {rest:?}"))),
    }
}

/// Keeps what is read.
struct Tap<S> {
    inner: S,
    book: Rc<RefCell<Vec<Entry>>>,
    number: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        if let Some(entry) = this.book.borrow_mut().get_mut(this.number) {
            let room = KEPT_BYTES_MAX.saturating_sub(entry.octets.len());
            entry.octets.extend(buf.filled().iter().skip(before).take(room));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
