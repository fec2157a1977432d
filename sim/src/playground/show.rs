//! One login a protocol, with everything said on every leg.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gatepost_core::Protocol;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::doors::Door;
use super::home::Home;
use super::stage::USERS;
use crate::cast::PASSWORD;
use crate::client::{self, Caller, Sasl, Security, Seen, Tls};
use crate::dialogue::Dialogue;
use crate::post_office::Letter;

/// Logs in at `door` in the manner of its protocol: IMAP under TLS from the start, POP3 and SMTP after STARTTLS.
///
/// # Errors
///
/// Whatever went other than it should.
pub(super) async fn log_in(
    door: &Door,
    home: &Home,
    dialogue: &Dialogue,
) -> Result<Seen, Box<dyn std::error::Error>> {
    let tls = tls(home)?;
    let [john, jane] = USERS;
    let (address, security) = match door.protocol {
        Protocol::Imap => (door.tls, Security::Implicit(tls)),
        Protocol::Pop3 | Protocol::Smtp => (door.clear, Security::StartTls(tls)),
    };
    let caller = Caller {
        login: john.into(),
        passwords: vec![PASSWORD.into()],
        security,
        asks_first: false,
        pipelined: false,
        half_closes: false,
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let ear = dialogue.ear("client", "gatepost");
    let seen = match door.protocol {
        Protocol::Imap => client::imap::visit(stream, &caller, client::imap::How::Quoted, ear).await?,
        Protocol::Pop3 => client::pop3::visit(stream, &caller, client::pop3::How::UserPass, ear).await?,
        Protocol::Smtp => {
            let letter = Letter {
                login: Some(john.into()),
                from: john.into(),
                to: vec![jane.into()],
                octets: Bytes::from_static(b"Subject: Lunch?\r\n\r\nAt noon.\r\n"),
            };
            client::smtp::visit(stream, &caller, Sasl::PlainAtOnce, &letter, ear).await?
        }
    };
    match (&seen.admitted, seen.refusals.first()) {
        (Some(_), _) => Ok(seen),
        (None, refusal) => Err(format!("the login was refused: {refusal:?}").into()),
    }
}

/// The log, once it has the closing line of each of `sessions`, for which it may take a moment.
pub(super) async fn log(home: &Home, sessions: usize) -> io::Result<String> {
    for _ in 0..200 {
        let log = fs::read_to_string(home.file("error.log"))?;
        if log.matches("proxied session done").count() >= sessions {
            return Ok(log);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(io::Error::other("error.log does not tell how the sessions ended"))
}

/// Trust in the playground's certificate and nothing else.
fn tls(home: &Home) -> Result<Tls, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&fs::read(home.file("cert.pem"))?).map_err(io::Error::other)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name: ServerName::try_from("localhost")? })
}
