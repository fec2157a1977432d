//! Lines as syslog datagrams, over UDP or a UNIX socket: config.md 9.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};

use gatepost_core::Address;
use jiff::Zoned;

use super::outlet::Line;
use crate::config::{Syslog, SyslogSeverity};

/// Sends to one server. A socket is made with the first line, and anew whenever the server was not there.
#[derive(Debug)]
pub(super) struct Sender {
    settings: Syslog,
    socket: Mutex<Option<Socket>>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Sender {
    pub(super) const fn new(settings: Syslog) -> Self {
        Self { settings, socket: Mutex::new(None) }
    }

    /// Whom it sends to.
    pub(super) const fn server(&self) -> &Address {
        &self.settings.server
    }

    /// Sends `<PRI>Mon DD HH:MM:SS HOST TAG: ` and the line as a file would have it, without its end.
    ///
    /// # Errors
    ///
    /// There is no server, or the socket's buffer is full. Over UDP the absence of a server is heard only with the next line: that one
    /// is sent again, and the error stands for the one before.
    pub(super) fn send(&self, line: Line<'_>) -> io::Result<()> {
        let octets = self.datagram(line);
        let mut place = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = match &*place {
            Some(socket) => match socket.send(&octets) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => Some(error),
            },
            None => None,
        };
        *place = None;
        let socket = Socket::connect(&self.settings.server)?;
        socket.send(&octets)?;
        *place = Some(socket);
        match failure {
            // The server of a UNIX socket that is gone has taken no line that it was not known to be there for.
            Some(error) if matches!(self.settings.server, Address::Inet(_)) => Err(error),
            _ => Ok(()),
        }
    }

    fn datagram(&self, line: Line<'_>) -> Vec<u8> {
        let text = line.octets.strip_suffix(b"\n").unwrap_or(line.octets);
        let mut octets = header(&self.settings, line.severity, line.time).into_bytes();
        // Writing to memory does not fail.
        let _ = octets.write_all(text);
        octets
    }
}

fn header(settings: &Syslog, severity: SyslogSeverity, time: &Zoned) -> String {
    let (priority, time) = (settings.priority(severity), time.strftime("%b %e %H:%M:%S"));
    match &settings.host {
        Some(host) => format!("<{priority}>{time} {host} {}: ", settings.tag),
        None => format!("<{priority}>{time} {}: ", settings.tag),
    }
}

impl Socket {
    fn connect(server: &Address) -> io::Result<Self> {
        match server {
            Address::Inet(server) => {
                let own: SocketAddr = match server {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(own)?;
                socket.connect(server)?;
                socket.set_nonblocking(true)?;
                Ok(Self::Udp(socket))
            }
            Address::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&**path)?;
                socket.set_nonblocking(true)?;
                Ok(Self::Unix(socket))
            }
        }
    }

    fn send(&self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(octets),
            Self::Unix(socket) => socket.send(octets),
        }
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gatepost_core::report::Level;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;

    fn settings(server: Address, host: Option<&str>) -> Syslog {
        Syslog {
            server,
            facility: 2,
            severity: Level::Info.into(),
            tag: "mailx".into(),
            host: host.map(Into::into),
        }
    }

    fn send(sender: &Sender, text: &str) -> io::Result<()> {
        // 2026-11-01 09:08:07 UTC.
        let time = Timestamp::from_second(1_793_524_087).expect("a time").to_zoned(TimeZone::UTC);
        sender.send(Line {
            octets: format!("{text}\n").as_bytes(),
            time: &time,
            severity: Level::Error.into(),
        })
    }

    fn server() -> (UdpSocket, Address) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("an option");
        let address = socket.local_addr().expect("an address");
        (socket, Address::Inet(address))
    }

    fn heard(socket: &UdpSocket) -> String {
        let mut octets = [0; 4096];
        let length = socket.recv(&mut octets).expect("a datagram");
        String::from_utf8_lossy(&octets[..length]).into_owned()
    }

    /// As Debian's nginx sends them. The day of the month has no zero before it.
    #[test]
    fn a_datagram_has_nginx_s_form() {
        let (socket, address) = server();
        send(&Sender::new(settings(address.clone(), Some("mx"))), "2026/11/01 the line").expect("sent");
        assert_eq!(heard(&socket), "<19>Nov  1 09:08:07 mx mailx: 2026/11/01 the line");
        send(&Sender::new(settings(address, None)), "it").expect("sent");
        assert_eq!(heard(&socket), "<19>Nov  1 09:08:07 mailx: it");
    }

    #[test]
    fn a_server_that_comes_back_is_found_again() {
        let path = std::env::temp_dir().join(format!("gatepost-syslog-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let sender = Sender::new(settings(Address::Unix(path.to_str().expect("UTF-8").into()), None));
        assert_eq!(send(&sender, "early").expect_err("nobody").raw_os_error(), Some(2));
        for life in 0..2 {
            let socket = UnixDatagram::bind(&path).expect("a socket");
            send(&sender, "a line").expect("sent");
            let mut octets = [0; 100];
            let length = socket.recv(&mut octets).expect("a datagram");
            assert!(octets[..length].ends_with(b"a line"), "{life}");
            std::fs::remove_file(&path).expect("removed");
        }
        assert!(send(&sender, "late").is_err());
    }

    #[test]
    fn a_reader_that_stands_still_keeps_nobody_waiting() {
        let path = std::env::temp_dir().join(format!("gatepost-syslog-slow-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let sender = Sender::new(settings(Address::Unix(path.to_str().expect("UTF-8").into()), None));
        let stopped = (0..10_000).find_map(|_| send(&sender, "a line").err()).expect("a bound");
        assert_eq!(stopped.kind(), io::ErrorKind::WouldBlock);
        drop(socket);
        std::fs::remove_file(&path).expect("removed");
    }
}
