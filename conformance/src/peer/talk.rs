//! A client that says exactly these octets, when a mail client would know better.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// Both ends of a connection: what tells it from any other that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Ours.
    pub local: SocketAddr,
    /// The listener's.
    pub remote: SocketAddr,
}

/// A TCP connection, spoken by hand.
#[derive(Debug)]
pub struct Talk {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Talk {
    /// Connects. Nothing that follows waits longer than [`PATIENCE`].
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, heard: Vec::new() })
    }

    /// Both its ends.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ends(&self) -> io::Result<Ends> {
        Ok(Ends { local: self.stream.local_addr()?, remote: self.stream.peer_addr()? })
    }

    /// Says `octets`, all of them.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn say(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(octets.as_ref())
    }

    /// Listens until a line begins with `start`; gives what was heard since the last such call, up to the end of
    /// that line.
    ///
    /// # Errors
    ///
    /// If the other side ends first or is silent for too long; the error holds what it did say.
    pub fn hear(&mut self, start: &str) -> io::Result<String> {
        loop {
            let mut end = 0;
            for line in self.heard.split_inclusive(|&octet| octet == b'\n') {
                end += line.len();
                if line.starts_with(start.as_bytes()) && line.ends_with(b"\n") {
                    let heard = self.heard.drain(..end).collect::<Vec<_>>();
                    return Ok(String::from_utf8_lossy(&heard).into_owned());
                }
            }
            let error = match self.more() {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => continue,
                Err(error) => error,
            };
            let heard = String::from_utf8_lossy(&self.heard).into_owned();
            return Err(io::Error::new(
                error.kind(),
                format!("waiting for {start:?}: {error} after {heard:?}"),
            ));
        }
    }

    /// Says a line, CRLF added, and listens as [`Talk::hear`].
    ///
    /// # Errors
    ///
    /// As [`Talk::hear`].
    pub fn ask(&mut self, line: &str, start: &str) -> io::Result<String> {
        self.say(format!("{line}\r\n"))?;
        self.hear(start)
    }

    /// Says no more, and gives what the other side says until it ends too.
    ///
    /// # Errors
    ///
    /// If it does not end, or with a reset.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        // The other side may be gone already, which is its right; how it ended shows below.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.until_end()
    }

    /// Gives what the other side says until it ends, though it could still be spoken to.
    ///
    /// # Errors
    ///
    /// If it does not end, or with a reset.
    pub fn until_end(&mut self) -> io::Result<Vec<u8>> {
        while self.more()? > 0 {}
        Ok(std::mem::take(&mut self.heard))
    }

    /// Vanishes with a reset, as a client does whose process or network is gone.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn reset(self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))?)
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer)?;
        self.heard.extend(buffer.iter().take(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    #[test]
    fn lines_are_heard_one_after_the_other_until_the_end() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"* OK\r\n* 1\r\na OK\r\nrest").unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).unwrap();
            said
        });
        let mut talk = Talk::to(address).unwrap();
        assert_eq!(talk.hear("* ").unwrap(), "* OK\r\n");
        assert_eq!(talk.ask("a NOOP", "a ").unwrap(), "* 1\r\na OK\r\n");
        assert_eq!(talk.finish().unwrap(), b"rest");
        assert_eq!(server.join().unwrap(), b"a NOOP\r\n");
    }

    #[test]
    fn a_reset_is_one() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let talk = Talk::to(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        talk.reset().unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
