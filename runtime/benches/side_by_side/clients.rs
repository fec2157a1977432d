//! The clients: all in one process, on one thread.

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio::time::Instant;

use crate::Outcome;
use crate::dialogue::{self, Session};
use crate::door::Door;
use crate::fixture::{self, Resuming};
use crate::job::{Done, Job, Ports, Way};
use crate::pattern;
use crate::role;
use crate::wire::Talk;

/// So many logins are made at once where many are to be held.
const AT_ONCE: u32 = 64;
/// No job takes longer.
const JOB_TIME_MAX: Duration = Duration::from_secs(600);

pub(crate) fn run() -> Outcome<()> {
    role::on_one_thread(async {
        let backends: Ports = role::instructions()?;
        let mut clients = Clients { backends, held: Vec::new(), dribbling: Vec::new() };
        while let Some(job) = role::next_instructions().await? {
            let done = tokio::time::timeout(JOB_TIME_MAX, clients.perform(job)).await;
            let done = match done {
                Ok(Ok(done)) => done,
                Ok(Err(error)) => Done { failure: Some(error.to_string()), ..Done::default() },
                Err(_) => Done { failure: Some("not done in time".into()), ..Done::default() },
            };
            role::report(&done)?;
        }
        Ok(())
    })
}

struct Clients {
    backends: Ports,
    held: Vec<Session>,
    dribbling: Vec<JoinHandle<()>>,
}

impl Clients {
    async fn perform(&mut self, job: Job) -> Outcome<Done> {
        match job {
            Job::LogIn { door, count, at_once } => {
                let tls = tls_for(door, at_once)?;
                let sessions = many(count, at_once, move |number| {
                    let tls = tls.clone();
                    async move {
                        let begun = Instant::now();
                        let lane = usize::try_from(number % at_once).unwrap_or_default();
                        let tls = tls.get(lane).ok_or("no lane")?;
                        let session = dialogue::log_in(door, tls, number).await?;
                        let took = begun.elapsed();
                        let resumed = session.resumed;
                        session.leave().await?;
                        Ok((took, resumed))
                    }
                })
                .await?;
                let resumed = sessions.iter().filter(|(_, resumed)| *resumed).count();
                let times = sessions.into_iter().map(|(took, _)| took).collect();
                Ok(Done { median_us: median(times), resumed: u32::try_from(resumed)?, failure: None })
            }
            Job::Hold { door, count } => {
                let tls = fixture::client(door, Resuming::Never)?;
                let have = u32::try_from(self.held.len())?;
                let more = many(count.saturating_sub(have), AT_ONCE, move |number| {
                    let tls = Arc::clone(&tls);
                    async move { dialogue::log_in(door, &tls, have + number).await }
                })
                .await?;
                self.held.extend(more);
                Ok(Done::default())
            }
            Job::Dribble { door, count } => {
                let more = many(count, AT_ONCE, move |_| async move { dialogue::knock(door).await }).await?;
                self.dribbling.extend(more.into_iter().zip(0..).map(|(stream, number)| {
                    // Spread over the second, as strangers would be.
                    let late = Duration::from_micros(u64::from(number % 1000_u32) * 1000);
                    spawn_local(async move {
                        tokio::time::sleep(late).await;
                        role::complain("slow client", dribble(stream).await);
                    })
                }));
                Ok(Done::default())
            }
            Job::Release => {
                self.dribbling.drain(..).for_each(|client| client.abort());
                let mut leaving = JoinSet::new();
                for session in self.held.drain(..) {
                    leaving.spawn_local(session.leave());
                    if leaving.len() >= AT_ONCE as usize
                        && let Some(left) = leaving.join_next().await
                    {
                        left??;
                    }
                }
                while let Some(left) = leaving.join_next().await {
                    left??;
                }
                Ok(Done::default())
            }
            Job::Relay { door, way, octets, streams } => {
                let tls = fixture::client(door, Resuming::Never)?;
                many(streams, streams, move |number| {
                    let tls = Arc::clone(&tls);
                    async move {
                        let mut session = dialogue::log_in(door, &tls, number).await?;
                        carry(&mut session.talk, way, octets).await?;
                        session.leave().await
                    }
                })
                .await?;
                Ok(Done::default())
            }
            Job::Echo { door, direct, count, per_second } => {
                let mut talk = if direct {
                    let [imap, ..] = self.backends.ports;
                    let stream = TcpStream::connect(("127.0.0.1", imap)).await?;
                    stream.set_nodelay(true)?;
                    let mut talk = Talk::new(stream);
                    talk.expect("* OK").await?;
                    talk.say(format!("a LOGIN direct {}\r\n", crate::backend::PASSWORD)).await?;
                    talk.expect("a OK").await?;
                    talk
                } else {
                    dialogue::log_in(door, &fixture::client(door, Resuming::Never)?, 0).await?.talk
                };
                talk.say("ECHO\r\n").await?;
                talk.expect("ECHO").await?;
                let times = echoes(&mut talk, count, per_second).await?;
                Ok(Done { median_us: median(times), ..Done::default() })
            }
        }
    }
}

/// A client's configuration for each of `at_once` lanes: a ticket is one's own, and nobody is in two places at once.
fn tls_for(door: Door, at_once: u32) -> Outcome<Vec<Arc<ClientConfig>>> {
    let resuming = if door.resumes { Resuming::Always } else { Resuming::Never };
    let one = fixture::client(door, resuming)?;
    (0..at_once)
        .map(|_| if door.resumes { fixture::client(door, resuming) } else { Ok(Arc::clone(&one)) })
        .collect()
}

/// Does a thing `count` times, `at_once` at a time: each lane does every `at_once`th of them, one after the other.
async fn many<T, F>(count: u32, at_once: u32, thing: impl Fn(u32) -> F + Clone + 'static) -> Outcome<Vec<T>>
where
    T: 'static,
    F: Future<Output = Outcome<T>> + 'static,
{
    let mut lanes = JoinSet::new();
    for lane in 0..at_once.min(count) {
        let thing = thing.clone();
        lanes.spawn_local(async move {
            let mut made = Vec::new();
            for number in (lane..count).step_by(at_once.max(1) as usize) {
                made.push(thing(number).await?);
            }
            Outcome::Ok(made)
        });
    }
    let mut all = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        all.extend(lane??);
    }
    Ok(all)
}

async fn dribble(mut stream: TcpStream) -> Outcome<()> {
    // A command that is not finished for as long as anybody measures.
    for octet in b"a LOGIN ".iter().chain(std::iter::repeat(&b'u')) {
        stream.write_all(std::slice::from_ref(octet)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn carry(talk: &mut Talk, way: Way, octets: u64) -> Outcome<()> {
    match way {
        Way::Down => {
            talk.say(format!("DOWN {octets}\r\n")).await?;
            talk.octets(octets, pattern::check).await
        }
        Way::Up => {
            talk.say(format!("UP {octets}\r\n")).await?;
            let mut sent = 0;
            while sent < octets {
                let piece = pattern::piece(sent, octets - sent);
                talk.say(piece).await?;
                sent += piece.len() as u64;
            }
            talk.expect(&format!("GOT {octets}")).await.map(drop)
        }
    }
}

/// Sends by the clock and not when the last echo came: who is late makes those behind him late.
async fn echoes(talk: &mut Talk, count: u32, per_second: u32) -> Outcome<Vec<Duration>> {
    const MESSAGE: u64 = 64;
    let begun = Instant::now();
    let mut times = Vec::new();
    for number in 0..count {
        let due = begun + Duration::from_secs(1) * number / per_second.max(1);
        // The thread has nothing else to do, and a thread wakes up more exactly than a timer of the runtime.
        let early = due.saturating_duration_since(Instant::now());
        thread::sleep(early);
        // That it overslept is not the proxy's doing; that the last echo was late is.
        let sent = if early.is_zero() { due } else { Instant::now() };
        let place = u64::from(number) * MESSAGE;
        talk.say(pattern::piece(place, MESSAGE)).await?;
        talk.octets(MESSAGE, |done, octets| pattern::check(place + done, octets)).await?;
        times.push(sent.elapsed());
    }
    Ok(times)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
