//! Scripted clients: each connects, makes TLS if it is to, logs in, does what its protocol is for, takes its leave, and
//! tells what it saw. Whatever it did not expect is an error, an end without `close_notify` included.

pub mod imap;
mod link;
pub mod pop3;
pub mod smtp;

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

pub use self::link::Link;
use crate::dialogue::Ear;
use crate::talk::Talk;

/// Who comes, and how.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name to log in with.
    pub login: String,
    /// The passwords to try, one after the other, until one is accepted.
    pub passwords: Vec<String>,
    /// Whether and when to make TLS.
    pub security: Security,
    /// Whether to say the first command behind the login in one breath with it.
    pub pipelined: bool,
}

/// When TLS begins.
#[derive(Clone, Debug)]
pub enum Security {
    /// Never.
    Clear,
    /// Before the first word (RFC 8314 section 3).
    Implicit(Tls),
    /// After STARTTLS or STLS (RFC 3207, RFC 2595).
    StartTls(Tls),
}

/// What a client makes TLS with.
#[derive(Clone)]
pub struct Tls {
    /// Whom to trust, and the rest of the settings.
    pub connector: TlsConnector,
    /// Whom to ask for.
    pub name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.name)
    }
}

/// A SASL exchange that gives name and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sasl {
    /// PLAIN (RFC 4616), with the response behind the command (RFC 4959).
    PlainAtOnce,
    /// PLAIN, the response when asked for.
    Plain,
    /// LOGIN, name and password when asked for.
    Login,
}

impl Sasl {
    /// What to say, each but the last answered by a challenge.
    fn steps(self, command: &str, login: &str, password: &str) -> Vec<String> {
        let plain = STANDARD.encode(format!("\0{login}\0{password}"));
        match self {
            Self::PlainAtOnce => vec![format!("{command} PLAIN {plain}\r\n")],
            Self::Plain => vec![format!("{command} PLAIN\r\n"), format!("{plain}\r\n")],
            Self::Login => vec![
                format!("{command} LOGIN\r\n"),
                format!("{}\r\n", STANDARD.encode(login)),
                format!("{}\r\n", STANDARD.encode(password)),
            ],
        }
    }
}

/// What a client saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The greeting line.
    pub greeting: String,
    /// The reply to each login that was refused.
    pub refusals: Vec<String>,
    /// The reply to the login that was accepted; none if none was.
    pub admitted: Option<String>,
    /// Every message of the mailbox, in order; of an SMTP client nothing.
    pub mail: Vec<Bytes>,
    /// What was said between the client's last command and the end of the stream.
    pub farewell: Vec<String>,
}

/// What can go wrong on a visit.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The stream failed; also what TLS complains of, and an end in the middle of something.
    #[error("while {doing}: {error}")]
    Stream {
        /// What the client was doing.
        doing: &'static str,
        /// The stream's own error.
        #[source]
        error: io::Error,
    },
    /// The other side said something else.
    #[error("while {doing}: unexpected {got:?}")]
    Unexpected {
        /// What the client was doing.
        doing: &'static str,
        /// What was said.
        got: String,
    },
    /// The other side hung up where it should not have.
    #[error("while {doing}: the stream ended")]
    Ended {
        /// What the client was doing.
        doing: &'static str,
    },
}

/// The conversation of one visit, with the current purpose for errors.
struct Call<S> {
    talk: Talk<Link<S>>,
    doing: &'static str,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Call<S> {
    /// Makes TLS first if `caller` wants that.
    async fn begin(stream: S, caller: &Caller, ear: Ear) -> Result<Self, VisitError> {
        let link = match &caller.security {
            Security::Clear | Security::StartTls(_) => Link::Clear(stream),
            Security::Implicit(tls) => Link::secured(stream, tls).await.map_err(handshake)?,
        };
        Ok(Self { talk: Talk::calling(link, ear), doing: "reading the greeting" })
    }

    /// Makes TLS behind an accepted STARTTLS. Anything said between that and the handshake is an error.
    async fn secure(self, tls: &Tls) -> Result<Self, VisitError> {
        if self.talk.has_unread() {
            return Err(VisitError::Unexpected { doing: "making TLS", got: "octets in clear".to_owned() });
        }
        let (link, ear) = self.talk.into_parts();
        let Link::Clear(stream) = link else {
            return Err(VisitError::Unexpected {
                doing: "making TLS",
                got: "STARTTLS within TLS".to_owned(),
            });
        };
        let link = Link::secured(stream, tls).await.map_err(handshake)?;
        Ok(Self { talk: Talk::calling(link, ear), doing: "going on under TLS" })
    }

    async fn say(&mut self, octets: impl AsRef<[u8]>) -> Result<(), VisitError> {
        self.talk.say(octets).await.map_err(|error| self.stream(error))
    }

    /// The next line as text, without its end; octets that are no UTF-8 are replaced.
    async fn line(&mut self) -> Result<String, VisitError> {
        match self.talk.line().await {
            Ok(Some(line)) => Ok(String::from_utf8_lossy(&line).into_owned()),
            Ok(None) => Err(VisitError::Ended { doing: self.doing }),
            Err(error) => Err(self.stream(error)),
        }
    }

    async fn raw_line(&mut self) -> Result<Bytes, VisitError> {
        match self.talk.raw_line().await {
            Ok(line) => line.ok_or(VisitError::Ended { doing: self.doing }),
            Err(error) => Err(self.stream(error)),
        }
    }

    async fn octets(&mut self, count: usize) -> Result<Bytes, VisitError> {
        self.talk.octets(count).await.map_err(|error| self.stream(error))
    }

    /// Says the last word, hears the other side out to its end, and hangs up.
    async fn leave(mut self, word: &str) -> Result<Vec<String>, VisitError> {
        self.doing = "leaving";
        // The other side may have left first, as a proxy does behind a refusal; what it said is there to be read.
        let _ = self.talk.say(word).await;
        let mut farewell = Vec::new();
        while let Some(line) = self.talk.line().await.map_err(|error| self.stream(error))? {
            farewell.push(String::from_utf8_lossy(&line).into_owned());
        }
        self.talk.hang_up().await.map_err(|error| VisitError::Stream { doing: "leaving", error })?;
        Ok(farewell)
    }

    fn unexpected(&self, got: &str) -> VisitError {
        VisitError::Unexpected { doing: self.doing, got: got.to_owned() }
    }

    fn stream(&self, error: io::Error) -> VisitError {
        VisitError::Stream { doing: self.doing, error }
    }
}

fn handshake(error: io::Error) -> VisitError {
    VisitError::Stream { doing: "making TLS", error }
}

/// Says all of `steps`, each but the last answered by a line that `invites` the next; `behind` goes with the last one.
async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    call: &mut Call<S>,
    mut steps: Vec<String>,
    invites: fn(&str) -> bool,
    behind: Option<&str>,
) -> Result<(), VisitError> {
    call.doing = "logging in";
    if let Some(last) = steps.last_mut() {
        last.push_str(behind.unwrap_or_default());
    }
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            let line = call.line().await?;
            if !invites(&line) {
                return Err(call.unexpected(&line));
            }
        }
        call.say(step).await?;
    }
    Ok(())
}
