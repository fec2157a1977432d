//! A mail server in a thread that takes every login, and says its name to whatever is asked.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::PATIENCE;

/// A running mail server. It stops when this is dropped; who is connected then may stay.
#[derive(Debug)]
pub struct MailServer {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MailServer {
    /// Starts one for `protocol`, which is `imap`, `pop3` or `smtp`, on a port of its own.
    ///
    /// # Errors
    ///
    /// The system's, of its socket.
    pub fn start(protocol: &'static str, name: &'static str) -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), protocol, name)
    }

    /// The same at this address.
    ///
    /// # Errors
    ///
    /// The system's, of its socket.
    pub fn start_at(address: SocketAddr, protocol: &'static str, name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let (address, stop) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (stopping, hearing) = (Arc::clone(&stop), Arc::clone(&heard));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                let hearing = Arc::clone(&hearing);
                thread::spawn(move || {
                    // Until the proxy hangs up, or keeps silent for too long.
                    let _ = serve(&stream, protocol, name, &hearing);
                });
            }
        });
        Ok(Self { address, heard, stop, thread: Some(thread) })
    }

    /// Every line that anybody said so far, without its end.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address)); // wakes the thread
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn serve(mut stream: &TcpStream, protocol: &str, name: &str, heard: &Mutex<Vec<String>>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut tag) = (String::new(), None::<String>);
    let greeting = match protocol {
        "imap" => "* OK backend ready",
        "pop3" => "+OK backend ready",
        _ => "220 backend ready",
    };
    let mut reply = greeting.to_owned();
    loop {
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim_end().to_owned());
        let word = line.split_whitespace().next().unwrap_or_default().to_owned();
        reply = match (protocol, tag.take()) {
            ("imap", login) if line.trim_end().ends_with('}') => {
                tag = login.or(Some(word));
                "+ ".to_owned()
            }
            ("imap", Some(login)) => format!("{login} OK logged in"),
            ("imap", None) => format!("{word} OK {name}"),
            ("pop3", _) => format!("+OK {name}"),
            (_, _) if word == "EHLO" => "250-backend\r\n250 XCLIENT NAME ADDR LOGIN".to_owned(),
            (_, _) if word == "XCLIENT" => "220 backend ready".to_owned(),
            _ => format!("250 {name}"),
        };
    }
}
