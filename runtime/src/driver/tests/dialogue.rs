use super::*;
use crate::observe::{Ending, Tally};
use std::sync::Mutex;
use tokio::io::split;
use tracing_subscriber::fmt::MakeWriter;

/// From the greeting to both half-closes, through streams of any width.
fn imap_login(room: usize) -> Vec<String> {
    tell(async {
        let net = TestNet::new(room);
        let auth = answer_once(net.listen(AUTH), GRANTED);
        let mut backends = net.listen(BACKEND);
        let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
        let backend = spawn_local(async move {
            let mut stream = backends.recv().await.expect("a visitor");
            stream.write_all(b"* OK hello\r\n").await.expect("greeted");
            let login = login_at(&mut stream).await;
            // Said with the success reply, and heard with it.
            stream.write_all(b"* 3 EXISTS\r\n").await.expect("said");
            exchange(&mut stream, "", "b NOOP\r\nc LOGOUT\r\n").await;
            stream.write_all(b"b OK done\r\n* BYE\r\nc OK bye\r\n").await.expect("answered");
            (login, hear_out(&mut stream).await)
        });
        hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
        // Pipelined, and the last word: all of it must reach the backend, and its answer the client.
        let (mut ears, mut mouth) = split(scene.client);
        let say = async move {
            mouth.write_all(b"a LOGIN joe hunter2\r\nb NOOP\r\nc LOGOUT\r\n").await.expect("said");
            mouth.shutdown().await.expect("said");
        };
        let ((), heard) = tokio::join!(biased; say, hear_out(&mut ears));
        assert_eq!(heard, "a OK in\r\n* 3 EXISTS\r\nb OK done\r\n* BYE\r\nc OK bye\r\n");
        let (login, rest) = backend.await.expect("the backend is content");
        assert!(login.contains("joe") && login.contains("hunter2"), "{login}");
        assert_eq!(rest, "");
        let asked = auth.await.expect("the auth server is content");
        assert!(
            asked.contains("Auth-User: joe\r\n") && asked.contains("Client-IP: 198.51.100.7\r\n"),
            "{asked}"
        );
        scene.session.await.expect("no panic");
        scene.log.lines()
    })
}

/// Takes an IMAP login however it comes, and grants it.
async fn login_at(stream: &mut DuplexStream) -> String {
    let mut login = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.expect("a login"));
        }
        login.extend_from_slice(&line);
        if line.ends_with(b"}\r\n") {
            stream.write_all(b"+ go on\r\n").await.expect("said");
            continue;
        }
        let tag = login.split(|&octet| octet == b' ').next().expect("a tag").to_vec();
        stream.write_all(&[&tag, &b" OK in\r\n"[..]].concat()).await.expect("granted");
        return String::from_utf8(login).expect("text");
    }
}

const CONTEXT: &str = "client: 198.51.100.7, server: 0.0.0.0:143, login: \"joe\", upstream: 192.0.2.2:143";

#[test]
fn a_login_is_told_in_nginx_lines_whatever_the_width_of_the_streams() {
    for room in [1, 2, 7, 64, 4096] {
        assert_eq!(
            imap_login(room),
            [
                "info client 198.51.100.7:40000 connected to 0.0.0.0:143".to_owned(),
                format!("info client logged in, {CONTEXT}"),
                format!("info proxied session done, {CONTEXT}"),
            ],
            "streams of {room} octets"
        );
    }
}

#[derive(Clone, Default)]
struct Traced(Arc<Mutex<Vec<u8>>>);

impl io::Write for Traced {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("one thread").extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Traced {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn traces_tell_every_event_and_action_but_no_password() {
    let traced = Traced::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(traced.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        // Another test's thread, which has no subscriber, may be the first to come by a place that traces, and mark it
        // as of no interest. So: once to have every place known, then again with this thread's interest.
        imap_login(4096);
        tracing::callsite::rebuild_interest_cache();
        imap_login(4096)
    });
    let text = String::from_utf8(traced.0.lock().expect("one thread").clone()).expect("text");
    for told in ["Received(Client, 39 octets)", "Open(Auth", "Opened(Backend", "Relay(", "protocol=\"imap\""]
    {
        assert!(text.contains(told), "{told} is not in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn the_first_address_that_accepts_is_taken() {
    tell(async {
        let net = TestNet::new(4096);
        let auth = answer_once(net.listen(AUTH), "HTTP/1.0 200 OK\r\nAuth-Status: no such user\r\n\r\n");
        let mut policy = policy(Protocol::Pop3);
        let addresses = ["192.0.2.77:80", "192.0.2.78:80", AUTH].map(|text| Place::At(inet(text)));
        policy.auth = Some(AuthServer::new(Target::AnyOf(addresses.into()), "auth.example"));
        let mut scene = Scene::begin(&net, policy, None, false);
        hear(&mut scene.client, "+OK POP3 ready").await;
        scene.client.write_all(b"USER joe\r\nPASS hunter2\r\n").await.expect("said");
        let heard = hear_out(&mut scene.client).await;
        assert!(heard.contains("-ERR no such user\r\n"), "{heard}");
        auth.await.expect("asked");
        scene.ended().await;
    });
}

#[test]
fn a_clients_name_is_asked_of_the_dns_and_asked_back() {
    tell(async {
        let mut net = TestNet::new(4096);
        net.host = Some(("Client.Example.", "198.51.100.7".parse().expect("an address")));
        let mut policy = policy(Protocol::Smtp);
        policy.resolver_timeout = Some(Duration::from_secs(30));
        policy.unauthenticated = true;
        let auth = answer_once(net.listen(AUTH), "HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n");
        let mut scene = Scene::begin(&net, policy, None, false);
        hear(&mut scene.client, "220 mx.example ESMTP ready\r\n").await;
        exchange(&mut scene.client, "EHLO x\r\n", "250-mx.example\r\n").await;
        scene
            .client
            .write_all(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n")
            .await
            .expect("said");
        let asked = auth.await.expect("no panic");
        assert!(asked.contains("Client-Host: client.example\r\n"), "{asked}");
        scene.ended().await;
    });
}

/// Keeps the ending that it is told of.
#[derive(Clone, Default)]
struct Last(Rc<RefCell<Vec<Ending>>>);

impl Observer for Last {
    fn report(&self, _: &Report) {
        assert!(self.0.borrow().is_empty(), "nothing is reported behind the end");
    }

    fn awaits_ending(&self) -> bool {
        true
    }

    fn ended(&self, ending: &Ending) {
        self.0.borrow_mut().push(ending.clone());
    }
}

/// The one ending of a session whose client says `words`, whatever it hears.
fn ending_of(room: usize, words: &'static str) -> (Ending, Tally) {
    tell(async {
        let net = TestNet::new(room);
        let _auth = answer_once(net.listen(AUTH), GRANTED);
        let mut backends = net.listen(BACKEND);
        let (last, mut heard_by_backend) = (Last::default(), 0);
        let scene = Scene::observed(&net, policy(Protocol::Imap), last.clone(), |_| {});
        let backend = spawn_local(async move {
            let mut stream = backends.recv().await?;
            stream.write_all(b"* OK hello\r\n").await.ok()?;
            let login = login_at(&mut stream).await;
            let tag = login.split(' ').next()?;
            let prompts = login.matches("}\r\n").count();
            let mut said = 12 + prompts * 9 + tag.len() + 8;
            let rest = b"* 3 EXISTS\r\n* BYE\r\n";
            stream.write_all(rest).await.ok()?;
            said += rest.len();
            heard_by_backend += login.len() + hear_out(&mut stream).await.len();
            Some((said, heard_by_backend))
        });
        let (mut ears, mut mouth) = split(scene.client);
        let say = async move {
            mouth.write_all(words.as_bytes()).await.expect("said");
            mouth.shutdown().await.expect("said");
        };
        let ((), heard) = tokio::join!(biased; say, hear_out(&mut ears));
        scene.session.await.expect("no panic");
        let (said, heard_by_backend) = match backend.is_finished() {
            true => backend.await.expect("no panic").expect("a login"),
            false => (0, 0),
        };
        let seen = Tally {
            from_client: words.len() as u64,
            to_client: heard.len() as u64,
            from_backend: said as u64,
            to_backend: heard_by_backend as u64,
        };
        let mut endings = last.0.take();
        assert_eq!(endings.len(), 1, "told once");
        (endings.remove(0), seen)
    })
}

#[test]
fn the_ending_counts_what_went_over_the_wires_before_the_relay_and_in_it() {
    for room in [1, 7, 64, 4096] {
        let (ending, seen) = ending_of(room, "a LOGIN joe hunter2\r\nb NOOP\r\nc LOGOUT\r\n");
        assert_eq!(ending.tally, seen, "streams of {room} octets");
        assert_eq!(ending.facts.login.as_deref(), Some(&b"joe"[..]));
        assert_eq!(ending.facts.upstream, Some(inet(BACKEND)));
        assert_eq!((ending.facts.method, ending.facts.attempts), (Some("plain"), 1));
        let (ending, seen) = ending_of(room, "a NOOP\r\nb LOGOUT\r\n");
        assert_eq!((ending.tally, ending.facts.login), (seen, None), "streams of {room} octets");
    }
}
