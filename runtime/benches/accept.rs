//! How should the threads of one process share a port: all accept on one socket, or each on its own of a
//! `SO_REUSEPORT` group? `cargo bench -p gatepost --bench accept` prints what `server.rs` decided by:
//!
//! - wake-ups: how often threads were scheduled for each connection, and how many found nothing to accept;
//! - CPU: user and system time of the accepting threads for each connection, all told;
//! - balance: how connections that stay open are spread over the threads, the largest share against a fair one;
//! - hand-over: what becomes of connections that wait in the queue when a generation with fewer threads takes over.

use std::error::Error;
use std::fs;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone, Copy)]
enum Sharing {
    OneSocket,
    OneEach,
}

/// What the accepting threads did.
#[derive(Default)]
struct Tally {
    accepted: Vec<AtomicU64>,
    /// Returns to the accept loop with nothing to accept.
    idle_wakes: AtomicU64,
    switches: AtomicU64,
    cpu_nanos: AtomicU64,
}

fn main() -> Outcome<()> {
    println!("{:<62} {:>12} {:>12}", "", "one socket", "one each");
    for threads in [2, 8] {
        for work in [Duration::ZERO, Duration::from_micros(100)] {
            let cells = both(|sharing| {
                let tally = short_connections(sharing, threads, work)?;
                let accepted = tally.accepted.iter().map(|n| n.load(Ordering::Relaxed)).sum::<u64>().max(1);
                let per = |n: &AtomicU64| n.load(Ordering::Relaxed) as f64 / accepted as f64;
                Ok([
                    format!("{:.2}", per(&tally.switches)),
                    format!("{:.2}", per(&tally.idle_wakes)),
                    format!("{:.1} us", per(&tally.cpu_nanos) / 1000.0),
                    share(&tally),
                ])
            })?;
            let what = [
                "scheduled a connection",
                "woken for nothing a connection",
                "CPU a connection",
                "largest share",
            ];
            for (what, [shared, own]) in what.iter().zip(cells) {
                let label = format!("{threads} threads, {} us of work: {what}", work.as_micros());
                println!("{label:<62} {shared:>12} {own:>12}");
            }
        }
    }
    for clients in [4, 16, 100, 1000] {
        let [shared, own] = [Sharing::OneSocket, Sharing::OneEach].map(|sharing| held(sharing, 2, clients));
        let label = format!("2 threads, {clients} held open: largest share");
        println!("{label:<62} {:>12} {:>12}", shared?, own?);
    }
    let [shared, own] = [Sharing::OneSocket, Sharing::OneEach].map(handed_over);
    println!("{:<62} {:>12} {:>12}", "of 200 queued, lost as 2 threads become 1", shared?, own?);
    Ok(())
}

fn both<const N: usize>(
    measure: impl Fn(Sharing) -> Outcome<[String; N]>,
) -> Outcome<impl Iterator<Item = [String; 2]>> {
    let (shared, own) = (measure(Sharing::OneSocket)?, measure(Sharing::OneEach)?);
    Ok(shared.into_iter().zip(own).map(|(shared, own)| [shared, own]))
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(matches!(sharing, Sharing::OneEach))?;
    socket.bind(&address.into())?;
    socket.listen(511)?;
    Ok(socket.into())
}

/// A listening socket for each thread, and the address they share.
fn sockets(sharing: Sharing, threads: usize) -> io::Result<(Vec<TcpListener>, SocketAddr)> {
    let first = bind(SocketAddr::from(([127, 0, 0, 1], 0)), sharing)?;
    let address = first.local_addr()?;
    let mut all = vec![first];
    while all.len() < threads {
        all.push(match (sharing, all.first()) {
            (Sharing::OneSocket, Some(first)) => first.try_clone()?,
            _ => bind(address, sharing)?,
        });
    }
    Ok((all, address))
}

/// 20,000 clients one after another from four threads; each asks for one octet and gets it.
fn short_connections(sharing: Sharing, threads: usize, work: Duration) -> Outcome<Tally> {
    const CLIENTS: usize = 4;
    const EACH: usize = 5000;
    serve(sharing, threads, work, |address| {
        let clients = [(); CLIENTS].map(|()| {
            thread::spawn(move || -> io::Result<()> {
                for _ in 0..EACH {
                    let mut stream = TcpStream::connect(address)?;
                    // Closing with RST keeps the ports free for the next thousands.
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                    stream.write_all(b"?")?;
                    stream.read_exact(&mut [0])?;
                }
                Ok(())
            })
        });
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| "a client panicked")?.map_err(Into::into))
    })
}

/// The largest share of `clients` connections that come in quickly and stay.
fn held(sharing: Sharing, threads: usize, clients: usize) -> Outcome<String> {
    let tally = serve(sharing, threads, Duration::ZERO, |address| {
        let mut all = Vec::new();
        for _ in 0..clients {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(b"?")?;
            all.push(stream);
        }
        all.iter_mut().try_for_each(|stream| stream.read_exact(&mut [0]))?;
        Ok(())
    })?;
    Ok(share(&tally))
}

/// The most that one thread accepted, as a multiple of what is fair.
fn share(tally: &Tally) -> String {
    let counts: Vec<u64> = tally.accepted.iter().map(|n| n.load(Ordering::Relaxed)).collect();
    let fair = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    format!("{:.2} x", counts.iter().copied().max().unwrap_or(0) as f64 / fair.max(1.0))
}

/// Runs accepting threads while `clients` runs.
fn serve(
    sharing: Sharing,
    threads: usize,
    work: Duration,
    clients: impl FnOnce(SocketAddr) -> Outcome<()>,
) -> Outcome<Tally> {
    let (sockets, address) = sockets(sharing, threads)?;
    let tally =
        Arc::new(Tally { accepted: (0..threads).map(|_| AtomicU64::new(0)).collect(), ..Tally::default() });
    let (stop, stopped) = watch::channel(false);
    let ready = Arc::new(Barrier::new(threads + 1));
    let threads: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(index, socket)| {
            let (tally, stopped, ready) = (tally.clone(), stopped.clone(), ready.clone());
            thread::spawn(move || accept_all(index, socket, work, &tally, stopped, &ready))
        })
        .collect();
    ready.wait();
    let outcome = clients(address);
    stop.send_replace(true);
    for thread in threads {
        thread.join().map_err(|_| "an accepting thread panicked")??;
    }
    outcome?;
    Arc::into_inner(tally).ok_or_else(|| "a thread still counts".into())
}

/// One accepting thread.
fn accept_all(
    index: usize,
    socket: TcpListener,
    work: Duration,
    tally: &Arc<Tally>,
    mut stopped: watch::Receiver<bool>,
    ready: &Barrier,
) -> Outcome<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let tally = tally.clone();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(socket)?;
        ready.wait();
        let before = schedule()?;
        let counts = tally.clone();
        let accepting = tokio::task::spawn_local(async move {
            let mut fed = true;
            while let Ok(stream) = accept(&listener, &mut fed, &counts).await {
                if let Some(count) = counts.accepted.get(index) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::task::spawn_local(answer(stream, work));
            }
        });
        stopped.wait_for(|&stop| stop).await?;
        accepting.abort();
        let after = schedule()?;
        tally.cpu_nanos.fetch_add(after.0 - before.0, Ordering::Relaxed);
        tally.switches.fetch_add(after.1 - before.1, Ordering::Relaxed);
        Ok(())
    })
}

/// Accepts one connection. Counts each time the queue turns out to be empty though nothing was taken from it since the
/// last time: someone else was quicker.
async fn accept(
    listener: &tokio::net::TcpListener,
    fed: &mut bool,
    tally: &Tally,
) -> io::Result<tokio::net::TcpStream> {
    let (stream, _) = poll_fn(|cx| {
        let accepted = listener.poll_accept(cx);
        if accepted.is_pending() && !std::mem::take(fed) {
            tally.idle_wakes.fetch_add(1, Ordering::Relaxed);
        }
        accepted
    })
    .await?;
    *fed = true;
    Ok(stream)
}

/// Answers one octet with another after some work, then holds the connection until the client leaves.
async fn answer(mut stream: tokio::net::TcpStream, work: Duration) -> io::Result<u8> {
    stream.set_nodelay(true)?;
    stream.read_u8().await?;
    let until = Instant::now() + work;
    while Instant::now() < until {}
    stream.write_all(b"!").await?;
    stream.read_u8().await
}

/// This thread's CPU time in nanoseconds, and how often it was scheduled.
fn schedule() -> Outcome<(u64, u64)> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let mut numbers = text.split_whitespace();
    let cpu = numbers.next().ok_or("schedstat is empty")?.parse()?;
    let times = numbers.nth(1).ok_or("schedstat is short")?.parse()?;
    Ok((cpu, times))
}

/// 200 connections wait; the next generation has one thread. Tells how many of them are lost if it takes over only the
/// one socket that it needs, which is why it must take over all.
fn handed_over(sharing: Sharing) -> Outcome<String> {
    const QUEUED: usize = 200;
    let (mut old, address) = sockets(sharing, 2)?;
    let queued = (0..QUEUED).map(|_| TcpStream::connect(address)).collect::<io::Result<Vec<_>>>()?;
    let new = old.pop().ok_or("no socket")?;
    drop(old);
    let mut served = 0;
    while let Ok((stream, _)) = new.accept() {
        served += 1;
        drop(stream);
    }
    drop(queued);
    Ok(format!("{}", QUEUED - served))
}
