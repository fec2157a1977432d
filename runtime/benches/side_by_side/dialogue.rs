//! A client's side of a login, with TLS where the door has it.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Outcome;
use crate::backend::PASSWORD;
use crate::door::{Door, Protocol, Security};
use crate::fixture::SERVER_NAME;
use crate::wire::Talk;

/// A session that is logged in.
pub(crate) struct Session {
    pub(crate) talk: Talk,
    pub(crate) resumed: bool,
    user: String,
}

/// Connects to the door and begins TLS where that comes first.
async fn connect(door: Door, tls: &Arc<ClientConfig>) -> Outcome<(Talk, bool)> {
    let stream = TcpStream::connect(door.address()).await?;
    stream.set_nodelay(true)?;
    match door.security {
        Security::Plain => Ok((Talk::new(stream), false)),
        Security::Tls => secure(stream, tls).await,
        Security::StartTls => {
            let mut talk = Talk::new(stream);
            talk.expect("* OK").await?;
            talk.say("s STARTTLS\r\n").await?;
            talk.expect("s OK").await?;
            let (stream, early) = talk.into_parts();
            match early.is_empty() {
                true => secure(stream, tls).await,
                false => Err("octets behind the answer to STARTTLS".into()),
            }
        }
    }
}

async fn secure(
    stream: impl crate::wire::Octets + 'static,
    tls: &Arc<ClientConfig>,
) -> Outcome<(Talk, bool)> {
    let name = ServerName::try_from(SERVER_NAME)?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
    let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    Ok((Talk::new(stream), resumed))
}

/// A connection that says nothing yet.
pub(crate) async fn knock(door: Door) -> Outcome<TcpStream> {
    Ok(TcpStream::connect(door.address()).await?)
}

/// Logs in as the `number`th user.
pub(crate) async fn log_in(door: Door, tls: &Arc<ClientConfig>, number: u32) -> Outcome<Session> {
    let user = format!("user{number:06}@example.org");
    let (mut talk, resumed) = connect(door, tls).await?;
    match door.protocol {
        Protocol::Imap => {
            if door.security != Security::StartTls {
                talk.expect("* OK").await?;
            }
            talk.say(format!("a LOGIN {user} {PASSWORD}\r\n")).await?;
            talk.expect("a OK").await?;
        }
        Protocol::Pop3 => {
            talk.expect("+OK").await?;
            talk.say(format!("USER {user}\r\n")).await?;
            talk.expect("+OK").await?;
            talk.say(format!("PASS {PASSWORD}\r\n")).await?;
            talk.expect("+OK").await?;
        }
        Protocol::Smtp => {
            talk.expect_reply("220").await?;
            talk.say("EHLO client\r\n").await?;
            talk.expect_reply("250").await?;
            let response = BASE64_STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
            talk.say(format!("AUTH PLAIN {response}\r\n")).await?;
            talk.expect_reply("235").await?;
        }
        Protocol::SmtpNone => {
            talk.expect_reply("220").await?;
            talk.say("EHLO client\r\n").await?;
            talk.expect_reply("250").await?;
            talk.say("MAIL FROM:<sender@example.org>\r\n").await?;
            talk.expect_reply("250").await?;
            talk.say(format!("RCPT TO:<{user}>\r\n")).await?;
            talk.expect_reply("250").await?;
        }
    }
    let mut session = Session { talk, resumed, user };
    session.check_user().await?;
    Ok(session)
}

impl Session {
    /// Complains unless the backend knows this session by its own user.
    async fn check_user(&mut self) -> Outcome<()> {
        self.talk.say("WHOAMI\r\n").await?;
        match self.talk.line().await? {
            Some(line) if line == self.user => Ok(()),
            other => Err(format!("logged in as {}, and the backend says {other:?}", self.user).into()),
        }
    }

    /// Says goodbye and waits until the backend has.
    pub(crate) async fn leave(mut self) -> Outcome<()> {
        self.talk.say("BYE\r\n").await?;
        self.talk.expect_end().await
    }
}
