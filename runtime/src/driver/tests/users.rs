use super::*;
use crate::users::{Bench, Users};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_core::{Mechanism, Mechanisms};
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncBufReadExt, BufReader, Chain, Join, ReadBuf, ReadHalf, WriteHalf, join, split};

const FILE: &str = "/etc/users";

/// `hunter2`.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";

const DENIED: &str = "HTTP/1.0 200 OK\r\nAuth-Status: Invalid login or password\r\nAuth-Wait: 3\r\n\r\n";
const GRANTED_WITH_PASSWORD: &str = "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.2\r\nAuth-Port: 143\r\nAuth-Pass: hunter2\r\n\r\n";

/// Whom a session asks.
#[derive(Clone, Copy)]
enum Asked {
    /// A users file with these lines.
    File(&'static str),
    /// An auth server that gives these answers, one after another.
    Server(&'static [&'static str]),
}

/// What somebody says who wants to log in, after each line that the server says. `<plain>` and the like stand for what proves that they are
/// joe, and have the password.
#[derive(Clone, Copy)]
struct Talk(Protocol, &'static [&'static str]);

const BY_PASSWORD: &[Talk] = &[
    Talk(Protocol::Imap, &["a LOGIN joe <password>"]),
    Talk(Protocol::Imap, &["a AUTHENTICATE PLAIN", "<plain>"]),
    Talk(Protocol::Imap, &["a AUTHENTICATE LOGIN", "am9l", "<base64>"]),
    Talk(Protocol::Pop3, &["USER joe", "PASS <password>"]),
    Talk(Protocol::Pop3, &["AUTH PLAIN <plain>"]),
    Talk(Protocol::Smtp, &["AUTH PLAIN <plain>"]),
    Talk(Protocol::Smtp, &["AUTH LOGIN", "am9l", "<base64>"]),
];

const BY_DIGEST: &[Talk] = &[
    Talk(Protocol::Imap, &["a AUTHENTICATE CRAM-MD5", "<cram>"]),
    Talk(Protocol::Pop3, &["AUTH CRAM-MD5", "<cram>"]),
    Talk(Protocol::Pop3, &["APOP joe <apop>"]),
    Talk(Protocol::Smtp, &["AUTH CRAM-MD5", "<cram>"]),
];

/// All that can be seen of a session from outside.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    client: Vec<String>,
    backend: Vec<String>,
    log: Vec<String>,
    seconds: u64,
}

fn file(text: &str) -> Arc<Users> {
    let bench = Arc::new(Bench::new(NonZeroUsize::MIN));
    Arc::new(Users::read(FILE, text.as_bytes(), &[], bench).expect("users"))
}

fn policy_of(protocol: Protocol, asked: Asked) -> Policy {
    let target = match asked {
        Asked::File(_) => Address::Unix(FILE.into()),
        Asked::Server(_) => inet(AUTH),
    };
    let mut policy =
        Policy::new(protocol, "mx.example", AuthServer::new(Target::Address(target), "auth.example"));
    let all = [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5, Mechanism::Apop];
    policy.mechanisms = all.into_iter().fold(Mechanisms::none(), Mechanisms::with);
    (policy.backend.xclient, policy.backend.smtp_auth) = (false, true);
    policy
}

/// What `word` stands for, behind what was said last.
fn put(word: &str, password: &str, said: &str) -> String {
    let hexadecimal = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let base64 = |octets: &str| STANDARD.encode(octets);
    let challenge = said.trim_end().rsplit(' ').next().unwrap_or_default();
    match word {
        "<password>" => password.into(),
        "<plain>" => base64(&format!("\0joe\0{password}")),
        "<base64>" => base64(password),
        "<cram>" => {
            let challenge = STANDARD.decode(challenge).expect("a challenge");
            let mac =
                Hmac::<Md5>::new_from_slice(password.as_bytes()).expect("a key").chain_update(challenge);
            base64(&format!("joe {}", hexadecimal(&mac.finalize().into_bytes())))
        }
        "<apop>" => hexadecimal(&Md5::new().chain_update(challenge).chain_update(password).finalize()),
        other => other.into(),
    }
}

/// A server that lets everybody in; tells what it heard.
async fn backend(protocol: Protocol, mut visitors: mpsc::UnboundedReceiver<DuplexStream>) -> Vec<String> {
    let Some(stream) = visitors.recv().await else { return Vec::new() };
    let (mut stream, mut heard) = (BufReader::new(stream), Vec::new());
    let mut answer: &str = match protocol {
        Protocol::Imap => "* OK hello\r\n",
        Protocol::Pop3 => "+OK hello\r\n",
        Protocol::Smtp => "220 hello\r\n",
    };
    loop {
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return heard;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.is_ok_and(|octets| octets == 0) {
            return heard;
        }
        answer = match protocol {
            Protocol::Imap if line.ends_with("}\r\n") => "+ go on\r\n",
            Protocol::Imap if heard.len() < 2 => "",
            Protocol::Imap => "a OK in\r\n",
            Protocol::Pop3 => "+OK\r\n",
            Protocol::Smtp if line.starts_with("AUTH") => "235 in\r\n",
            Protocol::Smtp => "250-hello\r\n250 AUTH PLAIN\r\n",
        };
        heard.push(line);
    }
}

/// One session in which somebody tries `passwords`, one after another.
async fn watch(Talk(protocol, words): Talk, passwords: &[&str], asked: Asked) -> Seen {
    let (net, begun) = (TestNet::new(4096), Instant::now());
    let backend = spawn_local(backend(protocol, net.listen(BACKEND)));
    let mut visitors = net.listen(AUTH);
    let policy = policy_of(protocol, asked);
    let mut scene = Scene::begin_as(&net, policy, |arrival| {
        if let Asked::File(text) = asked {
            arrival.users = Some(file(text));
        }
    });
    if let Asked::Server(answers) = asked {
        spawn_local(async move {
            for answer in answers {
                let (door, one) = mpsc::unbounded_channel();
                door.send(visitors.recv().await.expect("a visitor")).expect("room for it");
                answer_once(one, answer).await.expect("no panic");
            }
        });
    }
    let mut heard = Vec::new();
    {
        let mut stream = BufReader::new(&mut scene.client);
        let mut said = String::new();
        stream.read_line(&mut said).await.expect("a greeting");
        heard.push(said.clone());
        for password in passwords {
            for line in words.iter() {
                let line: Vec<_> = line.split(' ').map(|word| put(word, password, &said)).collect();
                let line = format!("{}\r\n", line.join(" "));
                stream.write_all(line.as_bytes()).await.expect("said");
                said.clear();
                stream.read_line(&mut said).await.expect("an answer");
                heard.push(said.clone());
            }
        }
    }
    let seconds = begun.elapsed().as_secs();
    drop(net);
    let log = scene.ended().await;
    let backend = if backend.is_finished() || heard.last().is_some_and(|last| !last.contains("login")) {
        backend.await.expect("no panic")
    } else {
        Vec::new()
    };
    Seen { client: heard, backend, log, seconds }
}

#[test]
fn a_users_file_is_indistinguishable_from_an_auth_server_that_knows_the_same() {
    for (talks, file, granted) in [
        (BY_PASSWORD, "ann:{PLAIN}x\njoe:{PLAIN}hunter2:192.0.2.2:143\n", GRANTED),
        (BY_DIGEST, "joe:{PLAIN}hunter2:192.0.2.2:143\n", GRANTED_WITH_PASSWORD),
    ] {
        let server: &'static [_] = if granted == GRANTED { &[GRANTED] } else { &[GRANTED_WITH_PASSWORD] };
        for &talk in talks {
            let of_file = tell(watch(talk, &["hunter2"], Asked::File(file)));
            let of_server = tell(watch(talk, &["hunter2"], Asked::Server(server)));
            assert_eq!(of_file, of_server, "{:?}", talk.1);
            assert!(of_file.log.iter().any(|line| line.starts_with("info client logged in")), "{of_file:?}");
            let proof = of_file.backend.concat();
            assert!(proof.contains("hunter2") || proof.contains("AGpvZQBodW50ZXIy"), "{proof}");
            for (passwords, lines) in
                [(&["hunter3"][..], file), (&["hunter2"], "ann:{PLAIN}hunter2:192.0.2.2:143")]
            {
                let of_file = tell(watch(talk, passwords, Asked::File(lines)));
                let of_server = tell(watch(talk, passwords, Asked::Server(&[DENIED])));
                assert_eq!(of_file, of_server, "{:?}", talk.1);
                assert_eq!((of_file.seconds, of_file.backend.len()), (3, 0), "{of_file:?}");
            }
        }
    }
}

#[test]
fn who_errs_once_may_try_again_and_is_told_in_the_words_of_nginx_s_documentation() {
    let joe = Asked::File("joe:{PLAIN}hunter2:192.0.2.2:143");
    for (talk, refusal) in [
        (BY_PASSWORD[0], "a NO [AUTHENTICATIONFAILED] Invalid login or password\r\n"),
        (BY_PASSWORD[3], "-ERR Invalid login or password\r\n"),
        (BY_PASSWORD[5], "535 5.7.0 Invalid login or password\r\n"),
    ] {
        let seen = tell(watch(talk, &["hunter3", "hunter2"], joe));
        assert_eq!(seen.client[talk.1.len()], refusal);
        assert_eq!(seen.seconds, 3);
        let [_, failed, logged_in, _] = seen.log.as_slice() else { panic!("{:?}", seen.log) };
        let line = "info client login failed: \"Invalid login or password\" while in http auth state, \
                    client: 198.51.100.7, server: 0.0.0.0:143, login: \"joe\"";
        assert_eq!(failed, line);
        assert!(logged_in.starts_with("info client logged in"), "{logged_in}");
    }
}

#[test]
fn whose_password_is_hashed_logs_in_with_it_alone() {
    let line: &'static str = Box::leak(format!("joe:{BCRYPT}:192.0.2.2:143").into_boxed_str());
    for &talk in BY_PASSWORD {
        let seen = tell(watch(talk, &["hunter3", "hunter2"], Asked::File(line)));
        assert!(seen.log.iter().any(|line| line.starts_with("info client logged in")), "{seen:?}");
    }
}

/// A users file with joe in it, by a hash, and the one seat of its bench taken until word comes.
struct Gated {
    users: Arc<Users>,
    bench: Arc<Bench>,
    go: std::sync::mpsc::Sender<()>,
    taken: JoinHandle<bool>,
}

impl Gated {
    async fn new() -> Self {
        let bench = Arc::new(Bench::new(NonZeroUsize::MIN));
        let text = format!("joe:{BCRYPT}:192.0.2.2:143");
        let users = Arc::new(Users::read(FILE, text.as_bytes(), &[], bench.clone()).expect("users"));
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let taken = spawn_local({
            let bench = bench.clone();
            async move { bench.run(1, move || gate.recv().is_ok()).await.is_ok() }
        });
        while bench.free_seats() > 0 {
            tokio::task::yield_now().await;
        }
        Self { users, bench, go, taken }
    }

    /// A session that has come as far as to wait for the seat.
    async fn waiting(&self, net: &TestNet) -> Scene {
        let users = self.users.clone();
        let policy = policy_of(Protocol::Imap, Asked::File(""));
        let mut scene = Scene::begin_as(net, policy, |arrival| arrival.users = Some(users));
        exchange(&mut scene.client, "a LOGIN joe hunter2\r\n", "* OK IMAP4 ready\r\n").await;
        self.await_waiting(1).await;
        scene
    }

    async fn await_waiting(&self, count: usize) {
        for _ in 0..1000 {
            if self.bench.waiting() == count {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} wait, not {count}", self.bench.waiting());
    }

    async fn open(self) {
        self.go.send(()).expect("it waits");
        assert!(self.taken.await.expect("no panic"));
    }
}

#[test]
fn while_passwords_are_checked_others_of_the_same_thread_are_served() {
    tell(async {
        let (gated, net) = (Gated::new().await, TestNet::new(4096));
        // The seat is taken by work that blocks its thread until it is let go, which only happens further down: were it done on
        // this thread, nobody would come so far.
        let first = gated.waiting(&net).await;
        let mut other = Scene::begin(&net, policy_of(Protocol::Imap, Asked::File("")), None, false);
        exchange(&mut other.client, "a NOOP\r\n", "* OK IMAP4 ready\r\n").await;
        hear(&mut other.client, "a OK completed\r\n").await;
        other.ended().await;
        first.drain.ask();
        first.ended().await;
        gated.open().await;
    });
}

#[test]
fn when_too_many_want_to_log_in_nobody_is_told_that_their_password_is_wrong() {
    tell(async {
        let bench = Arc::new(Bench::new(NonZeroUsize::MIN));
        let text = format!("joe:{BCRYPT}:192.0.2.2:143");
        let users = Arc::new(Users::read(FILE, text.as_bytes(), &[], bench.clone()).expect("users"));
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let mut crowd = vec![spawn_local({
            let bench = bench.clone();
            async move { bench.run(1, move || gate.recv().is_ok()).await.is_ok() }
        })];
        tokio::task::yield_now().await;
        for _ in 0..1024 {
            let bench = bench.clone();
            crowd.push(spawn_local(async move { bench.run(1, || ()).await.is_ok() }));
        }
        tokio::task::yield_now().await;
        let net = TestNet::new(4096);
        let policy = policy_of(Protocol::Imap, Asked::File(""));
        let mut scene = Scene::begin_as(&net, policy, |arrival| arrival.users = Some(users));
        exchange(&mut scene.client, "a LOGIN joe hunter2\r\n", "* OK IMAP4 ready\r\n").await;
        let heard = hear_out(&mut scene.client).await;
        assert!(heard.starts_with("a NO [UNAVAILABLE] internal server error\r\n"), "{heard}");
        let log = scene.ended().await;
        let line = "error auth http server unix:/etc/users returned status 503 while in http auth state";
        assert!(log[1].starts_with(line), "{log:?}");
        go.send(()).expect("it waits");
        for one in crowd {
            assert!(one.await.expect("no panic"));
        }
    });
}

/// What is read of a stream that was reset.
struct Reset;

impl AsyncRead for Reset {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::from_raw_os_error(104)))
    }
}

/// A stream that was reset where others have an end.
type Cut = Join<Chain<ReadHalf<DuplexStream>, Reset>, WriteHalf<DuplexStream>>;

impl crate::net::AsSocket for Cut {}

/// A network whose clients reset their connections where others only end them.
#[derive(Clone)]
struct Rough(TestNet);

impl Net for Rough {
    type Stream = Cut;

    fn connect(
        &self,
        _: Wire,
        _: &Address,
    ) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + 'static {
        std::future::ready(Err(io::ErrorKind::ConnectionRefused.into()))
    }

    fn resolve(&self, question: Question) -> impl Future<Output = Answer> + 'static {
        self.0.resolve(question)
    }

    fn now(&self) -> Moment {
        self.0.now()
    }
}

#[test]
fn who_is_cut_off_while_waiting_gives_the_place_back() {
    tell(async {
        let gated = Gated::new().await;
        let (mut client, stream) = duplex(4096);
        let (reader, writer) = split(stream);
        let policy = policy_of(Protocol::Imap, Asked::File(""));
        let mut arrival = arrival(join(reader.chain(Reset), writer), policy);
        arrival.users = Some(gated.users.clone());
        let (log, net) = (Kept::default(), Rough(TestNet::new(4096)));
        let session = spawn_local(drive(net, arrival, log.clone(), Drain::default()));
        exchange(&mut client, "a LOGIN joe hunter2\r\n", "* OK IMAP4 ready\r\n").await;
        gated.await_waiting(1).await;
        drop(client);
        session.await.expect("no panic");
        assert_eq!(gated.bench.waiting(), 0);
        assert!(
            log.lines().iter().any(|line| line.contains("104: Connection reset by peer")),
            "{:?}",
            log.lines()
        );
        gated.open().await;
    });
}

#[test]
fn who_waits_when_the_process_stops_gives_the_place_back() {
    tell(async {
        let (gated, net) = (Gated::new().await, TestNet::new(4096));
        let scene = gated.waiting(&net).await;
        scene.drain.ask();
        scene.ended().await;
        assert_eq!(gated.bench.waiting(), 0);
        gated.open().await;
    });
}

#[test]
fn who_has_said_the_last_word_is_waited_for_and_gives_the_place_back_with_the_answer() {
    tell(async {
        let (gated, net) = (Gated::new().await, TestNet::new(4096));
        let mut scene = gated.waiting(&net).await;
        scene.client.shutdown().await.expect("said");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gated.bench.waiting(), 1);
        let bench = gated.bench.clone();
        gated.open().await;
        // Nobody listens at the backend: what the client hears is that it could not be reached, not that the password was wrong.
        let heard = hear_out(&mut scene.client).await;
        assert!(heard.starts_with("a NO [UNAVAILABLE]"), "{heard}");
        assert_eq!((bench.waiting(), bench.free_seats()), (0, 1));
        let log = scene.ended().await;
        assert!(log.iter().any(|line| line.contains("while connecting to upstream")), "{log:?}");
    });
}
