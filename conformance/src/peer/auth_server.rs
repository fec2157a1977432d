//! An `auth_http` server in a thread, answering as its test says.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::PATIENCE;
use crate::digest::{cram_md5, md5};

/// The most octets of a request that are read. nginx's largest, with a client certificate, is far below.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// One request, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Request(String);

impl Request {
    /// The request of these octets.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        Self(String::from_utf8_lossy(octets).into_owned())
    }

    /// The value of the header `name`, spelt exactly so; none if it was not sent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.split("\r\n").skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Whether the client knows `password`, or token, which has no octet that this protocol escapes: it said so itself, or
    /// showed the digest of its method, for which the proxy hands on the challenge.
    #[must_use]
    pub fn shows(&self, password: &str) -> bool {
        let salt = self.header("Auth-Salt");
        let expected = match (self.header("Auth-Method"), salt) {
            (Some("plain" | "xoauth2" | "oauthbearer"), None) => password.to_owned(),
            (Some("cram-md5"), Some(salt)) => cram_md5(password.as_bytes(), salt.as_bytes()),
            (Some("apop"), Some(salt)) => md5(format!("{salt}{password}").as_bytes()),
            _ => return false,
        };
        self.header("Auth-Pass") == Some(&*expected)
    }

    /// Whether the client logs in with a certificate of this subject (as RFC 2253 writes it), which the proxy has verified,
    /// and with nothing else.
    #[must_use]
    pub fn shows_certificate_of(&self, subject: &str) -> bool {
        let said = ["Auth-Method", "Auth-Pass", "Auth-SSL-Verify", "Auth-SSL-Subject"];
        said.map(|name| self.header(name)) == [Some("external"), Some(""), Some("SUCCESS"), Some(subject)]
    }

    /// All of it, up to and including the empty line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The user is known and belongs to this backend.
    Granted(SocketAddr),
    /// As [`Answer::Granted`], and the backend is to be told this password: behind a digest only the auth server knows it.
    GrantedWith(SocketAddr, &'static str),
    /// As [`Answer::GrantedWith`], and the backend is to be told this user name, whatever the client said: backend, user,
    /// password.
    GrantedAs(SocketAddr, &'static str, &'static str),
    /// The text that the client is to see; the session ends.
    Refused(&'static str),
    /// The text that the client is to see after this many seconds; then it may try again.
    RefusedFor(&'static str, u32),
    /// Nothing: the connection stays open until the other side or the server ends.
    Silence,
}

/// A running auth server. It stops when this is dropped.
#[derive(Debug)]
pub struct AuthServer {
    /// Where it is.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AuthServer {
    /// Starts one that asks `decide` about each request.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn start(decide: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (heard, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (record, stopping) = (Arc::clone(&heard), Arc::clone(&stop));
        let decide = Arc::new(decide);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                let (record, decide) = (Arc::clone(&record), Arc::clone(&decide));
                // A thread each, so that one that is kept waiting holds up nobody.
                thread::spawn(move || serve(stream, &record, &*decide));
            }
        });
        Ok(Self { address, heard, stop, thread: Some(thread) })
    }

    /// The requests so far, in the order in which they were complete.
    #[must_use]
    pub fn heard(&self) -> Vec<Request> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A proxy that hangs up early is its own affair, so errors end the exchange and nothing else.
fn serve(mut stream: TcpStream, record: &Mutex<Vec<Request>>, decide: &dyn Fn(&Request) -> Answer) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut octets = Vec::new();
    let mut buffer = [0; 4096];
    while !octets.ends_with(b"\r\n\r\n") && octets.len() < REQUEST_BYTES_MAX {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => octets.extend(buffer.iter().take(count)),
            _ => return,
        }
    }
    let request = Request::of(&octets);
    let answer = decide(&request);
    record.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let mut say = |headers: String| write!(stream, "HTTP/1.0 200 OK\r\nAuth-Status: {headers}\r\n\r\n");
    let granted =
        |backend: SocketAddr| format!("OK\r\nAuth-Server: {}\r\nAuth-Port: {}", backend.ip(), backend.port());
    let _ = match answer {
        Answer::Granted(backend) => say(granted(backend)),
        Answer::GrantedWith(backend, password) => {
            say(format!("{}\r\nAuth-Pass: {password}", granted(backend)))
        }
        Answer::GrantedAs(backend, user, password) => {
            say(format!("{}\r\nAuth-User: {user}\r\nAuth-Pass: {password}", granted(backend)))
        }
        Answer::Refused(text) => say(text.to_owned()),
        Answer::RefusedFor(text, seconds) => say(format!("{text}\r\nAuth-Wait: {seconds}")),
        // Ends when the proxy hangs up, or by the time limit above.
        Answer::Silence => stream.read(&mut buffer).map(drop),
    };
}

impl Drop for AuthServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread from its accept.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_kept_and_answered() {
        let backend = (Ipv4Addr::LOCALHOST, 143).into();
        let server = AuthServer::start(move |request| match request.header("Auth-User") {
            Some("fred") => Answer::Granted(backend),
            _ => Answer::Refused("Who?"),
        })
        .unwrap();
        let ask = |user: &str| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            write!(stream, "GET / HTTP/1.0\r\nHost: auth\r\nAuth-User: {user}\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(ask("fred").ends_with("Auth-Server: 127.0.0.1\r\nAuth-Port: 143\r\n\r\n"));
        assert!(ask("barney").contains("Auth-Status: Who?\r\n"));
        assert_eq!(server.heard().len(), 2);
    }

    /// The digests are those of RFC 2195 section 2 and RFC 1939 section 7.
    #[test]
    fn a_password_is_shown_by_itself_or_by_the_digest_of_its_challenge() {
        let shows = |method: &str, pass: &str, salt: &str, password: &str| {
            let text = format!("GET / HTTP/1.0\r\nAuth-Method: {method}\r\nAuth-Pass: {pass}\r\n{salt}\r\n");
            Request(text).shows(password)
        };
        let (cram, apop) = ("b913a602c7eda7a495b4e6e7334d3890", "c4c9334bac560ecc979e58001b3e22fb");
        let challenge = "Auth-Salt: <1896.697170952@postoffice.reston.mci.net>\r\n";
        let timestamp = "Auth-Salt: <1896.697170952@dbc.mtview.ca.us>\r\n";
        assert!(shows("plain", "hunter2", "", "hunter2"));
        assert!(!shows("plain", "hunter3", "", "hunter2"));
        assert!(shows("cram-md5", cram, challenge, "tanstaaftanstaaf"));
        assert!(!shows("cram-md5", cram, timestamp, "tanstaaftanstaaf"), "the challenge counts");
        assert!(!shows("cram-md5", "tanstaaftanstaaf", challenge, "tanstaaftanstaaf"));
        assert!(!shows("cram-md5", cram, "", "tanstaaftanstaaf"), "no challenge was handed on");
        assert!(shows("apop", apop, timestamp, "tanstaaf"));
        assert!(!shows("apop", cram, timestamp, "tanstaaf"));
        for method in ["xoauth2", "oauthbearer"] {
            assert!(shows(method, "hunter2", "", "hunter2"));
            assert!(!shows(method, "hunter3", "", "hunter2"));
            assert!(!shows(method, "hunter2", timestamp, "hunter2"), "no challenge precedes a token");
        }
        assert!(!shows("external", "hunter2", "", "hunter2"), "a certificate is no password");
    }

    #[test]
    fn a_certificate_counts_once_it_is_verified() {
        let shows = |method: &str, verdict: &str, subject: &str| {
            let tls = format!("Auth-SSL-Verify: {verdict}\r\nAuth-SSL-Subject: {subject}\r\n");
            let text = format!("GET / HTTP/1.0\r\nAuth-Method: {method}\r\nAuth-Pass: \r\n{tls}\r\n");
            Request(text).shows_certificate_of("CN=fred")
        };
        assert!(shows("external", "SUCCESS", "CN=fred"));
        assert!(!shows("external", "SUCCESS", "CN=barney"));
        assert!(!shows("external", "FAILED:certificate has expired", "CN=fred"));
        assert!(!shows("plain", "SUCCESS", "CN=fred"));
    }
}
