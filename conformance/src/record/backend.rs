//! The mail server behind a recording: a real one with a mailbox of its own for each session, or what a real one said when
//! the session was recorded first.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::peer::{Dovecot, PATIENCE, Postfix, run};
use crate::transcript::{Protocol, Step, Variables, expand};

/// The one message in `fred`'s mailbox: with a line that begins with a dot, which POP3 stuffs, and octets above 127.
const MESSAGE: &str = "From: barney@example.net\r\nTo: fred@example.org\r\nSubject: known\r\n\
                       Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.net>\r\n\r\n\
                       .hidden by a dot\r\nna\u{ef}ve\r\n";

/// A running mail server. It stops when this is dropped.
pub struct Backend {
    /// Where it is.
    pub address: SocketAddr,
    /// What it is, with its version.
    pub name: String,
    _kind: Kind,
}

#[expect(dead_code, reason = "kept so that they are stopped in the end")]
enum Kind {
    Dovecot(Dovecot),
    Postfix(Postfix),
    Scripted(Scripted),
}

impl Backend {
    /// Starts a real one that speaks `protocol`.
    ///
    /// # Errors
    ///
    /// If it is not installed or cannot be started.
    pub fn real(protocol: Protocol) -> io::Result<Self> {
        if protocol == Protocol::Smtp {
            Postfix::available().map_err(io::Error::other)?;
            let postfix = Postfix::start()?;
            let version = said_by("postconf", &["-d", "-h", "mail_version"])?;
            return Ok(Self {
                address: postfix.smtp,
                name: format!("Postfix {version}"),
                _kind: Kind::Postfix(postfix),
            });
        }
        Dovecot::available().map_err(io::Error::other)?;
        let dovecot = Dovecot::start()?;
        dovecot.deliver("fred", MESSAGE.as_bytes())?;
        let address = if protocol == Protocol::Imap { dovecot.imap } else { dovecot.pop3 };
        let version = said_by("dovecot", &["--version"])?;
        let version = version.split(' ').next().unwrap_or_default();
        Ok(Self { address, name: format!("Dovecot {version}"), _kind: Kind::Dovecot(dovecot) })
    }

    /// Starts one that says what the mail server of `script` said, as soon as it has been told what that was told. It hangs up
    /// on whoever tells it anything else. `variables` are those of the script.
    ///
    /// # Errors
    ///
    /// The system's, and an expectation with a variable that has no value.
    pub fn scripted(script: &[Step], variables: &Variables) -> io::Result<Self> {
        let scripted = Scripted::start(script, variables)?;
        Ok(Self { address: scripted.address, name: "a script".to_owned(), _kind: Kind::Scripted(scripted) })
    }
}

fn said_by(program: &str, arguments: &[&str]) -> io::Result<String> {
    let said = run(program, arguments)?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// What a mail server does next.
enum Act {
    Says(Vec<u8>),
    Gets(Vec<u8>),
    Ends,
}

struct Scripted {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    fn start(script: &[Step], variables: &Variables) -> io::Result<Self> {
        let mut connections = Vec::new();
        for step in script {
            let act = match step {
                Step::BackendOpens => {
                    connections.push(Vec::new());
                    continue;
                }
                Step::BackendSays(octets) => Act::Says(octets.to_vec()),
                Step::BackendGets(octets) => Act::Gets(expand(octets, variables).map_err(io::Error::other)?),
                Step::BackendFin => Act::Ends,
                _ => continue,
            };
            if let Some(acts) = connections.last_mut() {
                acts.push(act);
            }
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut streams = Vec::new();
            for acts in connections {
                let Ok((stream, _)) = listener.accept() else { return };
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                // Somebody who is told otherwise is hung up on, which shows in what comes of it.
                if let Ok(stream) = play(stream, &acts) {
                    streams.push(stream); // open until the end, unless it was said to end
                }
            }
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

fn play(mut stream: TcpStream, acts: &[Act]) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    for act in acts {
        match act {
            Act::Says(octets) => stream.write_all(octets)?,
            Act::Gets(octets) => {
                let mut got = vec![0; octets.len()];
                stream.read_exact(&mut got)?;
                if got != *octets {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            Act::Ends => stream.shutdown(Shutdown::Write)?,
        }
    }
    Ok(stream)
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread from its accept.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
