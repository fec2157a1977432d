//! What a pool of the kernel's sockets lets go of. The rest is in `driver/tests/auth_kept.rs`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use gatepost_core::Wire;
use tokio::task::yield_now;

use super::*;
use crate::net::{Kernel, Net, Socket};

/// A connection that waits for the next question, and the server at its other end.
struct Kept {
    pool: Pool<Socket>,
    key: Key,
    server: TcpStream,
}

impl Kept {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = Address::from(listener.local_addr().expect("its address"));
        let (socket, peer) = Kernel::new().connect(Wire::Auth, &address).await.expect("connected");
        let (server, _) = listener.accept().expect("accepted");
        let pool = Pool::of_sockets(1, Socket::is_silent);
        let key = Key::new(&Server { address, name: None }, &Scheme::Http);
        pool.put(key.clone(), (Stream::Plain(socket), peer), Rest::none());
        let kept = Self { pool, key, server };
        // The runtime has heard of the socket, and then that there is nothing to be read.
        for _ in 0..3 {
            yield_now().await;
            let connection = kept.pool.take(&kept.key).expect("nothing has happened");
            kept.pool.put(kept.key.clone(), connection, Rest::none());
        }
        kept
    }
}

/// Neither the runtime nor whoever tends the pool has had a moment to hear of it.
#[tokio::test]
async fn what_lies_in_the_kernel_is_no_answer_to_the_next_question() {
    for stray in [&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: OK\r\n\r\n"[..], b"H"] {
        let mut kept = Kept::new().await;
        kept.server.write_all(stray).expect("said");
        assert!(kept.pool.take(&kept.key).is_none());
        assert_eq!(kept.pool.len(), 0);
    }
}

#[tokio::test]
async fn a_connection_that_has_just_ended_is_not_used_again() {
    let kept = Kept::new().await;
    kept.server.shutdown(Shutdown::Write).expect("said");
    assert!(kept.pool.take(&kept.key).is_none());
}

#[tokio::test]
async fn a_connection_that_is_silent_serves_and_what_it_says_then_is_heard() {
    let mut kept = Kept::new().await;
    let (mut stream, _) = kept.pool.take(&kept.key).expect("nothing has happened");
    kept.server.write_all(b"HTTP/1.1").expect("said");
    let filled = poll_fn(|cx| scratch::poll_read(&mut stream, cx, READ_BYTES_MAX)).await.expect("octets");
    filled.show_and_wipe(|octets| assert_eq!(octets, b"HTTP/1.1"));
    drop(stream);
    assert_eq!(kept.server.read(&mut [0; 1]).expect("the end"), 0);
}
