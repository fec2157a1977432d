//! An auth server, and a POP3 server that says everything back.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Both, on a thread of their own, until dropped.
pub(crate) struct Peers {
    /// Where the auth server is: it lets everybody in.
    pub(crate) auth: SocketAddr,
    /// Where the POP3 server is.
    pub(crate) backend: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Peers {
    pub(crate) fn start() -> Self {
        let (ready, made) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let auth = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let (at, home) = (auth.local_addr().unwrap(), backend.local_addr().unwrap());
                ready.send((at, home)).unwrap();
                let port = home.port();
                tokio::spawn(serve(auth, move |stream| authorize(stream, port)));
                tokio::spawn(serve(backend, echo));
                let _ = stopped.await;
            });
        });
        let (auth, backend) = made.recv().unwrap();
        Self { auth, backend, _stop: stop }
    }
}

async fn serve<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    listener: TcpListener,
    with: impl Fn(TcpStream) -> F,
) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        // Who goes away half-way is for the clients to judge.
        tokio::spawn(with(stream));
    }
}

async fn authorize(mut stream: TcpStream, port: u16) -> std::io::Result<()> {
    let (mut asked, mut octets) = (Vec::new(), [0; 1024]);
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read(&mut octets).await? {
            0 => return Ok(()),
            count => asked.extend_from_slice(&octets[..count]),
        }
    }
    let answer =
        format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {port}\r\n\r\n");
    stream.write_all(answer.as_bytes()).await
}

async fn echo(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    stream.write_all(b"+OK\r\n").await?;
    stream.flush().await?;
    for _ in ["USER", "PASS"] {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        stream.write_all(b"+OK\r\n").await?;
        stream.flush().await?;
    }
    let mut octets = [0; 4096];
    loop {
        match stream.read(&mut octets).await? {
            0 => return stream.shutdown().await,
            count => stream.write_all(&octets[..count]).await?,
        }
        stream.flush().await?;
    }
}
