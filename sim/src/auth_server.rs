//! An auth server as nginx's `auth_http` knows it: one GET a login, the question and the answer in headers.
//!
//! It is strict where Gatepost has to be exact (spelling, `HTTP/1.0`, escapes) so that a slip is a refusal by HTTP status,
//! which fails the login loudly, rather than a puzzle.

mod manner;
pub mod mood;
mod request;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatepost_core::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use self::manner::Manner;
use self::request::{Malformed, heard};
pub use self::request::{Request, percent_encoded};
use crate::chance::Chance;
use crate::dialogue::Ear;
use crate::digest;
use crate::talk::Talk;

/// What the server knows of a user.
#[derive(Clone, Debug)]
pub struct User {
    /// What the client must give.
    pub password: String,
    /// Under which name the backend knows this user, if under another (`Auth-User`).
    pub backend_login: Option<String>,
    /// The password the backend wants, if another (`Auth-Pass`).
    pub backend_password: Option<String>,
    /// Where this user's mail is, by protocol. Where nothing is said, it is where everybody's is.
    pub homes: Vec<(Protocol, Home)>,
}

/// Where a user is sent.
#[derive(Clone, Debug)]
pub struct Home {
    /// `Auth-Server`: an address, or the name of a group.
    pub server: String,
    /// `Auth-Port`.
    pub port: Option<u16>,
    /// `Auth-Server-TLS`.
    pub tls: Option<&'static str>,
}

impl User {
    /// One who is the same everywhere.
    #[must_use]
    pub fn new(password: &str) -> Self {
        Self { password: password.to_owned(), backend_login: None, backend_password: None, homes: Vec::new() }
    }
}

/// How the server says no.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// `Auth-Status`; anything but `OK` and `WAIT`.
    pub text: String,
    /// `Auth-Wait`, in seconds.
    pub wait_seconds: Option<u32>,
    /// `Auth-Error-Code`, for SMTP.
    pub error_code: Option<String>,
}

impl Default for Refusal {
    fn default() -> Self {
        Self { text: "Invalid login or password".to_owned(), wait_seconds: None, error_code: None }
    }
}

/// The server. Cloning makes another handle to the same one.
#[derive(Clone, Debug)]
pub struct AuthServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    users: BTreeMap<String, User>,
    backends: Vec<(Protocol, SocketAddr)>,
    refusal: Refusal,
    requests: Mutex<Vec<Request>>,
    malformed: Mutex<Vec<&'static str>>,
    /// Where it is asked in HTTP/1.1, by connections that may be kept: how it answers is drawn from this.
    keeps: Option<Chance>,
    connections: AtomicUsize,
}

impl AuthServer {
    /// A server that sends `users` on to `backends` by protocol and refuses everybody else.
    #[must_use]
    pub fn new(
        users: BTreeMap<String, User>,
        backends: Vec<(Protocol, SocketAddr)>,
        refusal: Refusal,
    ) -> Self {
        Self::made(users, backends, refusal, None)
    }

    /// The same server, which is asked by connections that may be kept, and treats them as `chance` has it.
    #[must_use]
    pub fn keeping(
        users: BTreeMap<String, User>,
        backends: Vec<(Protocol, SocketAddr)>,
        refusal: Refusal,
        chance: Chance,
    ) -> Self {
        Self::made(users, backends, refusal, Some(chance))
    }

    fn made(
        users: BTreeMap<String, User>,
        backends: Vec<(Protocol, SocketAddr)>,
        refusal: Refusal,
        keeps: Option<Chance>,
    ) -> Self {
        let (requests, malformed) = (Mutex::default(), Mutex::default());
        let connections = AtomicUsize::default();
        Self(Arc::new(Inner { users, backends, refusal, requests, malformed, keeps, connections }))
    }

    /// How many connections there have been.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Every well-formed question so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was wrong with each question that was none.
    #[must_use]
    pub fn malformed(&self) -> Vec<&'static str> {
        self.0.malformed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers one request on `stream` and hangs up, as HTTP/1.0 does; or as many as may come, where connections are kept.
    ///
    /// # Errors
    ///
    /// The stream's own. A malformed request is answered with `400 Bad Request`.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, ear: Ear) -> io::Result<()> {
        self.serve_at(|| Duration::ZERO, stream, ear).await
    }

    /// The same, thinking about each question for as long as `pace` says by then.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn serve_at<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        pace: impl Fn() -> Duration,
        stream: S,
        ear: Ear,
    ) -> io::Result<()> {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        let mut talk = Talk::answering(stream, ear);
        let Some(mut request) = heard(&mut talk, self.0.keeps.is_some()).await? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        loop {
            let fields = match request {
                Ok(request) => self.answer(request),
                Err(Malformed(what)) => {
                    self.0.malformed.lock().unwrap_or_else(PoisonError::into_inner).push(what);
                    talk.say(format!("HTTP/1.0 400 Bad Request\r\nX-Reason: {what}\r\n\r\n")).await?;
                    return talk.hang_up().await;
                }
            };
            sleep(pace()).await;
            let Some(chance) = &self.0.keeps else {
                talk.say(format!("HTTP/1.0 200 OK\r\n{fields}\r\n")).await?;
                return talk.hang_up().await;
            };
            let manner = Manner::drawn(chance);
            talk.say(manner.head(&fields)).await?;
            let (pause, body) = manner.body();
            sleep(pause).await;
            if talk.say(body).await.is_err() {
                // Nobody is obliged to hear this.
                return Ok(());
            }
            let next = match manner.hangs_up {
                Some(Duration::ZERO) => None,
                Some(patience) => timeout(patience, heard(&mut talk, true)).await.ok(),
                None => Some(heard(&mut talk, true).await),
            };
            request = match next {
                // Whoever is cut in the middle of a question has not asked it.
                None => return talk.hang_up().await,
                Some(Ok(Some(next))) => next,
                Some(Ok(None) | Err(_)) => return Ok(()),
            };
        }
    }

    /// The headers that answer.
    fn answer(&self, mut request: Request) -> String {
        let granted = self.granted(&request);
        request.granted = granted.is_some();
        let password_said = request.header("Auth-Method") == Some("plain");
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let mut answer = String::new();
        let mut header = |name: &str, value: &str| answer.push_str(&format!("{name}: {value}\r\n"));
        match granted {
            Some((user, home)) => {
                header("Auth-Status", "OK");
                header("Auth-Server", &home.server);
                home.port.iter().for_each(|port| header("Auth-Port", &port.to_string()));
                home.tls.iter().for_each(|word| header("Auth-Server-TLS", word));
                user.backend_login.iter().for_each(|login| header("Auth-User", login));
                match &user.backend_password {
                    Some(password) => header("Auth-Pass", password),
                    // A digest does not open a backend.
                    None if !password_said => header("Auth-Pass", &user.password),
                    None => {}
                }
            }
            None => {
                header("Auth-Status", &self.0.refusal.text);
                self.0.refusal.wait_seconds.iter().for_each(|wait| header("Auth-Wait", &wait.to_string()));
                self.0.refusal.error_code.iter().for_each(|code| header("Auth-Error-Code", code));
            }
        }
        answer
    }

    fn granted(&self, request: &Request) -> Option<(&User, Home)> {
        let user = self.0.users.get(std::str::from_utf8(&request.login).ok()?)?;
        let protocol = request.header("Auth-Protocol")?;
        let own = user.homes.iter().find(|(known, _)| known.name() == protocol);
        let home = match own {
            Some((_, home)) => home.clone(),
            None => {
                let (_, backend) = self.0.backends.iter().find(|(known, _)| known.name() == protocol)?;
                Home { server: backend.ip().to_string(), port: Some(backend.port()), tls: None }
            }
        };
        user.is_proven(request).then_some((user, home))
    }
}

impl User {
    /// Whether the request shows that the client knows the password, in the manner of its `Auth-Method`.
    fn is_proven(&self, request: &Request) -> bool {
        let password = self.password.as_bytes();
        let given = request.password.expose();
        match (request.header("Auth-Method"), request.header("Auth-Salt")) {
            (Some("plain"), None) => given == password,
            (Some("cram-md5"), Some(salt)) => given == digest::cram_md5(password, salt.as_bytes()).as_bytes(),
            (Some("apop"), Some(salt)) => given == digest::apop(password, salt.as_bytes()).as_bytes(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn server() -> AuthServer {
        let mut users = BTreeMap::new();
        users.insert("john doe".to_owned(), User::new("hunter2"));
        let jane = User { backend_login: Some("jane@example.com".into()), ..User::new("hunter2") };
        users.insert("jane".to_owned(), jane);
        let backends = vec![(Protocol::Imap, SocketAddr::from(([198, 51, 100, 2], 143)))];
        AuthServer::new(users, backends, Refusal { wait_seconds: Some(3), ..Refusal::default() })
    }

    async fn asked(server: &AuthServer, request: &str) -> String {
        let (mut near, far) = tokio::io::duplex(4096);
        let serving = server.clone();
        let served = tokio::spawn(async move { serving.serve(far, Ear::default()).await });
        near.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        drop(near);
        served.await.unwrap().unwrap();
        answer
    }

    fn request(user: &str, protocol: &str) -> String {
        format!(
            "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: {user}\r\n\
             Auth-Pass: hunter2\r\nAuth-Protocol: {protocol}\r\nAuth-Login-Attempt: 1\r\n\
             Client-IP: 192.0.2.7\r\n\r\n"
        )
    }

    #[tokio::test]
    async fn a_known_user_is_sent_to_the_backend_of_the_protocol() {
        let server = server();
        assert_eq!(
            asked(&server, &request("john%20doe", "imap")).await,
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n"
        );
        assert_eq!(
            asked(&server, &request("jane", "imap")).await,
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\
             Auth-User: jane@example.com\r\n\r\n"
        );
        let requests = server.requests();
        assert_eq!(requests[0].login, b"john doe");
        assert_eq!(requests[0].header("Client-IP"), Some("192.0.2.7"));
        assert!(!format!("{requests:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_digest_counts_as_the_password_which_the_backend_is_given_instead() {
        for (method, digest) in [
            ("apop", digest::apop(b"hunter2", b"<1.2@mail.example.com>")),
            ("cram-md5", digest::cram_md5(b"hunter2", b"<1.2@mail.example.com>")),
        ] {
            let pass = format!("{digest}\r\nAuth-Salt: <1.2@mail.example.com>");
            let question = request("jane", "imap").replace("plain", method).replace("hunter2", &pass);
            let answer = asked(&server(), &question).await;
            assert!(answer.ends_with("Auth-Pass: hunter2\r\n\r\n"), "{answer}");
            let answer = asked(&server(), &question.replace("<1.2", "<1.3")).await;
            assert!(answer.contains("Auth-Status: Invalid"), "{answer}");
        }
    }

    #[tokio::test]
    async fn everybody_else_is_refused_in_the_words_given() {
        let refused = "HTTP/1.0 200 OK\r\nAuth-Status: Invalid login or password\r\nAuth-Wait: 3\r\n\r\n";
        assert_eq!(asked(&server(), &request("nobody", "imap")).await, refused);
        assert_eq!(asked(&server(), &request("jane", "pop3")).await, refused);
    }

    #[tokio::test]
    async fn what_nginx_would_not_have_written_is_a_bad_request() {
        for (right, wrong) in [
            ("HTTP/1.0", "HTTP/1.1"),
            ("john%20doe", "john doe"),
            ("john%20doe", "john%2"),
            ("john%20doe", "%6Aohn%20doe"),
            ("Host: ", "Host:"),
            ("Client-IP", "Client-Ip"),
            ("1\r\n", "1\n"),
        ] {
            let answer = asked(&server(), &request("john%20doe", "imap").replacen(right, wrong, 1)).await;
            assert!(answer.starts_with("HTTP/1.0 400 "), "{wrong}: {answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_kept_is_asked_again_and_each_answer_is_about_its_question() {
        let (mut asked, mut connections) = (0, 0);
        for seed in 0..20 {
            let AuthServer(inner) = server();
            let inner = Arc::into_inner(inner).unwrap();
            let server = AuthServer(Arc::new(Inner { keeps: Some(Chance::of(seed, "auth", 0)), ..inner }));
            let (mut near, far) = tokio::io::duplex(4096);
            let serving = server.clone();
            let served = tokio::spawn(async move { serving.serve(far, Ear::default()).await });
            let kept = |user| {
                let head = "HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive";
                request(user, "imap").replace("HTTP/1.0\r\nHost: 127.0.0.1", head)
            };
            for user in ["jane", "nobody", "jane"] {
                if near.write_all(kept(user).as_bytes()).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(200)).await;
            }
            near.shutdown().await.unwrap();
            let mut heard = String::new();
            near.read_to_string(&mut heard).await.unwrap();
            drop(near);
            served.await.unwrap().unwrap();
            let requests = server.requests();
            assert!(!requests.is_empty() && requests.iter().all(|one| one.granted == (one.login == b"jane")));
            assert_eq!(
                heard.matches("Auth-User: jane@example.com").count(),
                requests.iter().filter(|one| one.granted).count()
            );
            asked += requests.len();
            connections += server.connections();
        }
        assert!(asked > connections, "{asked} questions on {connections} connections");
    }
}
