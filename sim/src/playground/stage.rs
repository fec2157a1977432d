//! The auth server and the backends on loopback sockets, and the users who have mail there.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use gatepost_core::Protocol;
use tokio::net::{TcpListener, TcpStream};

use crate::auth_server::{AuthServer, Refusal, User};
use crate::backend;
use crate::cast::PASSWORD;
use crate::dialogue::Dialogue;
use crate::post_office::PostOffice;

/// Who has a mailbox. Everybody's password is [`PASSWORD`].
pub(super) const USERS: [&str; 2] = ["john@example.com", "jane@example.com"];

/// Listens, and serves as long as the runtime lives. Tells where the auth server is.
pub(super) async fn open(dialogue: &Dialogue) -> io::Result<SocketAddr> {
    let office = PostOffice::default();
    let mut users = BTreeMap::new();
    for login in USERS {
        office.open(login, PASSWORD, mail(login));
        users.insert(login.to_owned(), User::new(PASSWORD));
    }
    let mut backends = Vec::new();
    for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Smtp] {
        let office = office.clone();
        let ear = dialogue.ear("gatepost", &format!("{} backend", protocol.name().to_uppercase()));
        let address = serve(move |stream| {
            let (office, ear) = (office.clone(), ear.clone());
            async move {
                match protocol {
                    Protocol::Imap => backend::imap::serve(stream, &office, ear).await,
                    Protocol::Pop3 => backend::pop3::serve(stream, &office, ear).await,
                    Protocol::Smtp => backend::smtp::serve(stream, &office, ear).await,
                }
            }
        });
        backends.push((protocol, address.await?));
    }
    let refusal = Refusal { wait_seconds: Some(1), ..Refusal::default() };
    let server = AuthServer::new(users, backends, refusal);
    let ear = dialogue.ear("gatepost", "auth server");
    serve(move |stream| {
        let (server, ear) = (server.clone(), ear.clone());
        async move { server.serve(stream, ear).await }
    })
    .await
}

/// Serves at a port that was free, a task for each connection. What goes wrong with one is its own affair: people try
/// strange things in a playground.
async fn serve<F>(mut task: impl FnMut(TcpStream) -> F + Send + 'static) -> io::Result<SocketAddr>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if stream.set_nodelay(true).is_ok() {
                tokio::spawn(task(stream));
            }
        }
    });
    Ok(address)
}

fn mail(login: &str) -> [Bytes; 2] {
    let message = |subject: &str, body: &str| {
        format!(
            "From: Gatepost <gatepost@example.com>\r\nTo: <{login}>\r\nSubject: {subject}\r\n\
             Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\n{body}\r\n"
        )
        .into()
    };
    [
        message("Welcome", "This came from a backend that has never heard of TLS."),
        message("Dots", ".A line that begins with a dot,\r\n..and one with two."),
    ]
}
