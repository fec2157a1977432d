use super::*;
use gatepost_core::Secret;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::net::UnixStream;
use tokio::time::{Sleep, advance, sleep, timeout};

use crate::net::Socket;

async fn relay<C, B>(client: &mut C, backend: &mut B, start: Start, idle: Duration) -> Outcome
where
    C: AsyncRead + AsyncWrite + AsSocket + Unpin,
    B: AsyncRead + AsyncWrite + AsSocket + Unpin,
{
    Relay::new(start).run(client, backend, idle, LINGER).await.expect("nothing that could be parked")
}

const LINGER: Duration = Duration::from_secs(30);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What one end of a relayed connection does: says its pieces, each after a pause, then half-closes; hears everything.
async fn talk(stream: DuplexStream, pieces: Vec<(Vec<u8>, u8)>) -> Vec<u8> {
    let (mut reader, mut writer) = split(stream);
    let say = async move {
        for (piece, pause) in pieces {
            sleep(Duration::from_millis(pause.into())).await;
            writer.write_all(&piece).await.expect("the relay takes everything");
        }
        writer.shutdown().await.expect("a half-close");
    };
    let mut heard = Vec::new();
    let (_, read) = tokio::join!(say, reader.read_to_end(&mut heard));
    read.expect("everything is heard");
    heard
}

fn all(first: &[u8], pieces: &[(Vec<u8>, u8)]) -> Vec<u8> {
    pieces.iter().fold(first.to_vec(), |mut all, (piece, _)| {
        all.extend_from_slice(piece);
        all
    })
}

fn pieces() -> impl Strategy<Value = Vec<(Vec<u8>, u8)>> {
    vec((vec(any::<u8>(), 0..200), 0..3u8), 0..12)
}

fn held(octets: &[u8]) -> Unsent {
    let mut unsent = Unsent::default();
    unsent.push(Payload::Secret(Secret::from(octets)));
    unsent
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However both sides cut what they say, whatever was left over, and however little the streams hold, everything
    /// arrives, in order, and so does the end (RELAY-002, -003, -004, -006).
    #[test]
    fn everything_arrives_in_order_both_ways(
        up in pieces(),
        down in pieces(),
        left_up in vec(any::<u8>(), 0..100),
        left_down in vec(any::<u8>(), 0..100),
        rooms in (1..300usize, 1..300usize),
    ) {
        run(async {
            let (client, mut near) = duplex(rooms.0);
            let (backend, mut far) = duplex(rooms.1);
            let start =
                Start { to_backend: held(&left_up), to_client: held(&left_down), ..Start::default() };
            let (expected_up, expected_down) = (all(&left_up, &up), all(&left_down, &down));
            let (from_client, from_backend) =
                (expected_up.len() - left_up.len(), expected_down.len() - left_down.len());
            let (outcome, at_client, at_backend) = timeout(
                Duration::from_secs(3600),
                async { tokio::join!(relay(&mut near, &mut far, start, DAY), talk(client, up), talk(backend, down)) },
            )
            .await
            .expect("the relay ends by itself");
            assert_eq!(at_backend, expected_up);
            assert_eq!(at_client, expected_down);
            assert_eq!(outcome, Outcome {
                from_client: from_client as u64,
                from_backend: from_backend as u64,
                ..Outcome::default()
            });
        });
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_reaches_a_client_that_has_said_its_last_word() {
    let (mut client, mut near) = duplex(64);
    let (mut backend, mut far) = duplex(64);
    let relaying = tokio::spawn(async move { relay(&mut near, &mut far, Start::default(), DAY).await });
    client.write_all(b"b LOGOUT\r\n").await.expect("said");
    client.shutdown().await.expect("half-closed");
    let mut asked = Vec::new();
    backend.read_to_end(&mut asked).await.expect("the half-close goes on");
    assert_eq!(asked, b"b LOGOUT\r\n");
    backend.write_all(b"* BYE\r\nb OK done\r\n").await.expect("answered");
    drop(backend);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("heard");
    assert_eq!(answer, b"* BYE\r\nb OK done\r\n");
    assert_eq!(relaying.await.expect("no panic").failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ended_before_the_relay_still_hears_the_backend() {
    let (mut client, mut near) = duplex(64);
    let (mut backend, mut far) = duplex(64);
    let start = Start { to_backend: held(b"QUIT\r\n"), client_ended: true, ..Start::default() };
    let relaying = tokio::spawn(async move { relay(&mut near, &mut far, start, DAY).await });
    let mut asked = Vec::new();
    backend.read_to_end(&mut asked).await.expect("what it had said arrives, then its end");
    assert_eq!(asked, b"QUIT\r\n");
    backend.write_all(b"+OK bye\r\n").await.expect("answered");
    drop(backend);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("heard");
    assert_eq!(answer, b"+OK bye\r\n");
    relaying.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_after_proxy_timeout_and_progress_either_way_puts_that_off() {
    let (mut client, mut near) = duplex(64);
    let (mut backend, mut far) = duplex(64);
    let begun = Instant::now();
    let relaying =
        tokio::spawn(
            async move { relay(&mut near, &mut far, Start::default(), Duration::from_secs(60)).await },
        );
    // A long download with a silent client (D30), then a client that talks to a silent backend.
    for _ in 0..5 {
        sleep(Duration::from_secs(50)).await;
        backend.write_all(b"x").await.expect("still open");
        client.read_u8().await.expect("still open");
    }
    sleep(Duration::from_secs(50)).await;
    client.write_all(b"y").await.expect("still open");
    assert_eq!(backend.read_u8().await.expect("still open"), b'y');
    let outcome = relaying.await.expect("no panic");
    assert!(outcome.timed_out);
    assert_eq!(begun.elapsed().as_secs(), 6 * 50 + 60);
}

#[tokio::test(start_paused = true)]
async fn the_second_side_may_be_silent_for_a_linger_only() {
    let (mut client, mut near) = duplex(64);
    let (_backend, mut far) = duplex(64);
    let begun = Instant::now();
    let relaying = tokio::spawn(async move { relay(&mut near, &mut far, Start::default(), DAY).await });
    sleep(Duration::from_secs(100)).await;
    client.shutdown().await.expect("half-closed");
    let outcome = relaying.await.expect("no panic");
    assert!(!outcome.timed_out);
    assert_eq!(begun.elapsed(), Duration::from_secs(100) + LINGER);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_stops_the_writer() {
    const ROOM: usize = 64;
    let (mut client, mut near) = duplex(ROOM);
    let (backend, mut far) = duplex(ROOM);
    tokio::spawn(async move { relay(&mut near, &mut far, Start::default(), DAY).await });
    let mut taken = 0;
    while let Ok(Ok(octets)) = timeout(Duration::from_millis(5), client.write(&[0; 16])).await {
        taken += octets;
        advance(Duration::from_millis(1)).await;
    }
    // Two streams' worth and what the relay holds, which is no more than it read at once.
    assert!(taken <= 3 * ROOM, "{taken} octets were taken for a backend that reads none");
    drop(backend);
}

/// Reads some octets, then fails; writes are taken.
struct Breaking(&'static [u8]);

impl AsSocket for Breaking {}

impl AsyncRead for Breaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        buffer.put_slice(self.0);
        self.0 = &[];
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_said_before_it_was_reset_is_delivered() {
    let (mut client, mut near) = duplex(4);
    let relaying = tokio::spawn(async move {
        relay(&mut near, &mut Breaking(b"* BYE overloaded\r\n"), Start::default(), DAY).await
    });
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.expect("heard");
    assert_eq!(heard, b"* BYE overloaded\r\n");
    let Some((Wire::Backend, End::Broken(error))) = relaying.await.expect("no panic").failure else {
        panic!("the reset is not told");
    };
    assert_eq!(error.to_string(), "recv() failed (104: Connection reset by peer)");
}

/// Takes what is written at once, as TLS does, and delivers it at a certain moment; reads some octets, and is reset at
/// that moment.
struct Late {
    says: &'static [u8],
    moment: Pin<Box<Sleep>>,
    delivered: bool,
}

impl Late {
    fn new(says: &'static [u8], seconds: u64) -> Self {
        Self { says, moment: Box::pin(sleep(Duration::from_secs(seconds))), delivered: false }
    }
}

impl AsSocket for Late {}

impl AsyncRead for Late {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.says.is_empty() {
            ready!(self.moment.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        buffer.put_slice(std::mem::take(&mut self.says));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Late {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.moment.as_mut().poll(cx));
        self.delivered = true;
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_client_has_a_linger_to_take_what_a_reset_backend_said_long_ago() {
    let begun = Instant::now();
    let (mut client, mut backend) = (Late::new(b"", 110), Late::new(b"* BYE overloaded\r\n", 100));
    relay(&mut client, &mut backend, Start::default(), DAY).await;
    assert!(client.delivered, "cut after {:?}", begun.elapsed());
    assert_eq!(begun.elapsed().as_secs(), 110);
}

/// A socket in clear is told of the end by being closed, if that is next; whichever side ends first.
#[tokio::test]
async fn who_is_closed_next_is_not_half_closed_before_that() {
    for client_is_first in [true, false] {
        let pair = || UnixStream::pair().expect("two ends");
        let ((mut at_client, client), (mut at_backend, backend)) = (pair(), pair());
        let (mut client, mut backend) = (Socket::Unix(client), Socket::Unix(backend));
        let (first, last) = match client_is_first {
            true => (&mut at_client, &mut at_backend),
            false => (&mut at_backend, &mut at_client),
        };
        let mut relay = Relay::new(Start::default());
        let story = async {
            first.write_all(b"bye").await.expect("said");
            first.shutdown().await.expect("said");
            let mut heard = Vec::new();
            last.read_to_end(&mut heard).await.expect("an end");
            assert_eq!(heard, b"bye");
            last.shutdown().await.expect("said");
        };
        let (outcome, ()) = tokio::join!(relay.run(&mut client, &mut backend, DAY, LINGER), story);
        let outcome = outcome.expect("they are half-closed");
        assert!(outcome.failure.is_none() && relay.client_has_left(), "{outcome:?}");
        let early = timeout(Duration::from_millis(50), first.read(&mut [0])).await;
        assert!(early.is_err(), "{early:?} before it was closed");
        drop((client, backend));
        assert_eq!(first.read(&mut [0]).await.expect("the end"), 0);
    }
}

/// Its relay cannot tell whether a client that said `close_notify` has hung up; one that was cut has not left either.
#[test]
fn a_client_whose_socket_is_not_known_to_have_ended_has_not_left() {
    run(async {
        let (mut at_client, mut client) = duplex(64);
        let (at_backend, mut backend) = duplex(64);
        drop(at_backend);
        at_client.shutdown().await.expect("said");
        let mut relay = Relay::new(Start::default());
        relay.run(&mut client, &mut backend, DAY, LINGER).await;
        assert!(!relay.client_has_left());
    });
}

/// Takes what it is given and gets rid of an octet now and then, as TLS does whose client has a slow line.
struct Dripping {
    left: usize,
    has_sent: bool,
    every: Duration,
    next: Pin<Box<Sleep>>,
}

impl Dripping {
    fn every(every: Duration) -> Self {
        Self { left: 0, has_sent: false, every, next: Box::pin(sleep(every)) }
    }
}

impl AsyncRead for Dripping {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Dripping {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.left += octets.len();
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.left > 0 {
            ready!(self.next.as_mut().poll(cx));
            let next = Instant::now() + self.every;
            self.next.as_mut().reset(next);
            self.left -= 1;
            self.has_sent = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsSocket for Dripping {
    fn has_sent(&mut self) -> bool {
        std::mem::take(&mut self.has_sent)
    }
}

#[tokio::test(start_paused = true)]
async fn until_what_tls_took_has_gone_nothing_more_is_read() {
    let (mut backend, mut far) = duplex(8 * SCRATCH_BYTES);
    backend.write_all(&vec![7; 5 * SCRATCH_BYTES]).await.expect("said");
    let mut client = Dripping::every(DAY);
    let relaying = relay(&mut client, &mut far, Start::default(), DAY);
    assert!(timeout(Duration::from_secs(1), relaying).await.is_err());
    assert_eq!(client.left, SCRATCH_BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_an_octet_now_and_then_is_not_silent() {
    let (mut backend, mut far) = duplex(64);
    backend.write_all(b"ten octets").await.expect("said");
    backend.shutdown().await.expect("said");
    let mut client = Dripping::every(Duration::from_secs(20));
    let outcome = relay(&mut client, &mut far, Start::default(), LINGER).await;
    assert_eq!(client.left, 0, "cut too early: {outcome:?}");
}

#[tokio::test]
async fn what_parked_sockets_have_brought_counts_though_it_is_seen_too_late() {
    let pair = || UnixStream::pair().expect("two ends");
    let ((mut at_client, client), (mut at_backend, backend)) = (pair(), pair());
    let (mut client, mut backend) = (Socket::Unix(client), Socket::Unix(backend));
    let idle = CALM + Duration::from_millis(50);
    let mut relay = Relay::new(Start::default());
    assert!(relay.run(&mut client, &mut backend, idle, LINGER).await.is_none(), "it is not calm");
    for socket in [&mut client, &mut backend] {
        socket.park().expect("parked");
    }
    at_backend.write_all(b"* 1 EXISTS\r\n").await.expect("said");
    // Nobody looks meanwhile, as on a machine that was stopped.
    sleep(Duration::from_millis(100)).await;
    for socket in [&mut client, &mut backend] {
        socket.unpark().expect("known again");
    }
    let outcome = relay.run(&mut client, &mut backend, idle, LINGER).await;
    assert!(outcome.is_none(), "{outcome:?}");
    let mut heard = [0; 12];
    at_client.read_exact(&mut heard).await.expect("it was carried");
    assert_eq!(&heard, b"* 1 EXISTS\r\n");
}
