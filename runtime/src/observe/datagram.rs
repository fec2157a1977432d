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
    link: Mutex<Link>,
}

#[derive(Debug)]
struct Link {
    socket: Option<Socket>,
    /// How many lines are lost if it turns out that the last datagram was.
    at_stake: u64,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// What came of sending a line.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is on its way.
    Sent,
    /// It is on its way, but the datagram before, of which that was said too, did not arrive.
    ButNotTheOneBefore {
        /// How many lines went with that one.
        lost: u64,
        /// Why.
        error: io::Error,
    },
}

impl Sender {
    pub(super) const fn new(settings: Syslog) -> Self {
        Self { settings, link: Mutex::new(Link { socket: None, at_stake: 0 }) }
    }

    /// Whom it sends to.
    pub(super) const fn server(&self) -> &Address {
        &self.settings.server
    }

    /// Sends `<PRI>Mon DD HH:MM:SS HOST TAG: ` and the line as a file would have it, without its end.
    ///
    /// Over UDP the absence of a server is heard only with the next line, which is then sent again. What was lost on the way
    /// without a word is not heard of at all.
    ///
    /// # Errors
    ///
    /// There is no server, or the socket's buffer is full: this line is lost.
    pub(super) fn send(&self, line: Line<'_>) -> io::Result<Sent> {
        let octets = self.datagram(line);
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = match &link.socket {
            Some(socket) => match socket.send(&octets) {
                Ok(()) => {
                    link.at_stake = line.stands_for;
                    return Ok(Sent::Sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => Some(error),
            },
            None => None,
        };
        link.socket = None;
        let socket = Socket::connect(&self.settings.server)?;
        socket.send(&octets)?;
        link.socket = Some(socket);
        let lost = std::mem::replace(&mut link.at_stake, line.stands_for);
        Ok(match failure {
            // The server of a UNIX socket that is gone has taken no line that it was not known to be there for.
            Some(error) if matches!(self.settings.server, Address::Inet(_)) => {
                Sent::ButNotTheOneBefore { lost, error }
            }
            _ => Sent::Sent,
        })
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

    fn send(sender: &Sender, text: &str) -> io::Result<Sent> {
        send_for(sender, text, 1)
    }

    fn send_for(sender: &Sender, text: &str, stands_for: u64) -> io::Result<Sent> {
        // 2026-11-01 09:08:07 UTC.
        let time = Timestamp::from_second(1_793_524_087).expect("a time").to_zoned(TimeZone::UTC);
        sender.send(Line {
            octets: format!("{text}\n").as_bytes(),
            time: &time,
            severity: Level::Error.into(),
            stands_for,
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
    fn a_datagram_that_did_not_arrive_is_told_of_with_all_that_went_with_it() {
        let (socket, address) = server();
        let sender = Sender::new(settings(address, None));
        for stands_for in [1, 5] {
            assert!(matches!(send_for(&sender, "heard", stands_for), Ok(Sent::Sent)));
            assert!(heard(&socket).ends_with("heard"));
        }
        drop(socket);
        // Whether, and when, the system hears that nobody is there is its own affair.
        let told = |stands_for| {
            (0..200).find_map(|_| {
                std::thread::sleep(Duration::from_millis(20));
                match send_for(&sender, "unheard", stands_for).expect("sent") {
                    Sent::ButNotTheOneBefore { lost, error } => Some((lost, error.raw_os_error())),
                    Sent::Sent => None,
                }
            })
        };
        assert_eq!(told(7), Some((7, Some(111))));
        assert!((0..20).any(|_| told(2) == Some((2, Some(111)))));
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
