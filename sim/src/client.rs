//! Scripted clients: each connects, makes TLS if it is to, logs in, does what its protocol is for, takes its leave, and
//! tells what it saw. Whatever it did not expect is an error, an end without `close_notify` included.

pub mod imap;
mod link;
pub mod pop3;
pub mod rogue;
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
use crate::digest;
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
    /// Whether to ask what there is before the login, as most clients do.
    pub asks_first: bool,
    /// Whether to say the first command behind the login in one breath with it.
    pub pipelined: bool,
    /// Whether to half-close behind the last command, before its answer has come.
    pub half_closes: bool,
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
    /// CRAM-MD5 (RFC 2195): the name, and a digest of challenge and password.
    CramMd5,
}

/// One thing to say on the way in.
enum Step {
    Say(String),
    /// Answer the challenge with name and digest.
    Digest {
        login: String,
        password: String,
    },
}

impl Sasl {
    /// What to say, each but the last answered by a challenge.
    fn steps(self, command: &str, login: &str, password: &str) -> Vec<Step> {
        let plain = STANDARD.encode(format!("\0{login}\0{password}"));
        let say = |text: &str| Step::Say(format!("{text}\r\n"));
        match self {
            Self::PlainAtOnce => vec![say(&format!("{command} PLAIN {plain}"))],
            Self::Plain => vec![say(&format!("{command} PLAIN")), say(&plain)],
            Self::Login => vec![
                say(&format!("{command} LOGIN")),
                say(&STANDARD.encode(login)),
                say(&STANDARD.encode(password)),
            ],
            Self::CramMd5 => vec![
                say(&format!("{command} CRAM-MD5")),
                Step::Digest { login: login.to_owned(), password: password.to_owned() },
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
    half_closes: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Call<S> {
    /// Makes TLS first if `caller` wants that.
    async fn begin(stream: S, caller: &Caller, ear: Ear) -> Result<Self, VisitError> {
        let link = match &caller.security {
            Security::Clear | Security::StartTls(_) => Link::Clear(stream),
            Security::Implicit(tls) => secured(stream, tls, &ear).await?,
        };
        let half_closes = caller.half_closes;
        Ok(Self { talk: Talk::calling(link, ear), doing: "reading the greeting", half_closes })
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
        let link = secured(stream, tls, &ear).await?;
        Ok(Self { talk: Talk::calling(link, ear), doing: "going on under TLS", ..self })
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
        if self.half_closes {
            self.talk.half_close().await.map_err(|error| self.stream(error))?;
        }
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

async fn secured<S>(stream: S, tls: &Tls, ear: &Ear) -> Result<Link<S>, VisitError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    ear.hear(true, b"[TLS handshake]");
    Link::secured(stream, tls).await.map_err(|error| VisitError::Stream { doing: "making TLS", error })
}

/// Says all of `steps`, each but the last answered by a line that begins with `invitation`; `behind` goes with the last
/// one.
async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    call: &mut Call<S>,
    steps: Vec<Step>,
    invitation: &str,
    behind: Option<&str>,
) -> Result<(), VisitError> {
    call.doing = "logging in";
    let last = steps.len().saturating_sub(1);
    for (at, step) in steps.into_iter().enumerate() {
        let mut challenge = String::new();
        if at > 0 {
            let line = call.line().await?;
            match line.strip_prefix(invitation) {
                Some(rest) => challenge.push_str(rest),
                None => return Err(call.unexpected(&line)),
            }
        }
        let mut text = match step {
            Step::Say(text) => text,
            Step::Digest { login, password } => {
                let Ok(decoded) = STANDARD.decode(challenge.trim_start()) else {
                    return Err(call.unexpected(&challenge));
                };
                let digest = digest::cram_md5(password.as_bytes(), &decoded);
                STANDARD.encode(format!("{login} {digest}")) + "\r\n"
            }
        };
        if at == last {
            text.push_str(behind.unwrap_or_default());
        }
        call.say(text).await?;
    }
    Ok(())
}
