//! Whether the other end of a connection has read what was sent to it. Segments that are sent one right after the other may be
//! read together; segments that wait for this are read apart, however busy the machine is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How long to wait for a reader. One that does not want to read now sees fewer cuts, which is no failure.
const READS_WITHIN: Duration = Duration::from_millis(5);

/// How long an acknowledgement is waited for. It may be put off for longer than it is worth.
const ACKNOWLEDGES_WITHIN: Duration = Duration::from_millis(2);

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_micros(100);

/// Waits until the socket at `reader` has read all that came from `sender`, both of this machine; for 5 ms at most.
///
/// # Errors
///
/// If the kernel does not tell of its sockets.
pub(super) fn wait_until_read(sender: SocketAddr, reader: SocketAddr) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let waited = begun.elapsed();
        let sockets = std::fs::read_to_string("/proc/net/tcp")?;
        // What is on its way is not in the reader's queue yet.
        let on_its_way = waiting(&sockets, sender, reader).map_or(0, |(sent, _)| sent);
        let unread = waiting(&sockets, reader, sender).map_or(0, |(_, received)| received);
        if waited >= READS_WITHIN || (unread == 0 && (on_its_way == 0 || waited >= ACKNOWLEDGES_WITHIN)) {
            return Ok(());
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// How many octets of the socket at `own`, connected to `other`, are not acknowledged, and how many are not read; nothing if
/// there is no such socket.
fn waiting(sockets: &str, own: SocketAddr, other: SocketAddr) -> Option<(u64, u64)> {
    let [own, other] = [own, other].map(as_the_kernel_writes);
    let (own, other) = (own?, other?);
    sockets.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, _state, queues) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        if local != own || remote != other {
            return None;
        }
        let (sent, received) = queues.split_once(':')?;
        Some((u64::from_str_radix(sent, 16).ok()?, u64::from_str_radix(received, 16).ok()?))
    })
}

/// The address as the number that its four octets are in memory, and the port.
fn as_the_kernel_writes(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// The pieces that a reader gets who comes late for each of them.
    fn read_late(between: impl Fn(SocketAddr, SocketAddr)) -> Vec<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        sender.set_nodelay(true).unwrap();
        let (mut reader, _) = listener.accept().unwrap();
        let late = thread::spawn(move || {
            let mut pieces = Vec::new();
            let mut buffer = [0; 64];
            loop {
                thread::sleep(Duration::from_millis(1));
                match reader.read(&mut buffer).unwrap() {
                    0 => return pieces,
                    count => pieces.push(buffer[..count].to_vec()),
                }
            }
        });
        for piece in ["a", "bc", "d", "efg", "h"] {
            sender.write_all(piece.as_bytes()).unwrap();
            between(sender.local_addr().unwrap(), sender.peer_addr().unwrap());
        }
        drop(sender);
        late.join().unwrap()
    }

    #[test]
    fn what_waits_to_be_read_is_read_apart_and_what_does_not_is_read_together() {
        let apart = read_late(|sender, reader| wait_until_read(sender, reader).unwrap());
        assert_eq!(apart, [&b"a"[..], b"bc", b"d", b"efg", b"h"]);
        assert!(read_late(|_, _| {}).len() < 5);
    }

    #[test]
    fn a_reader_that_never_reads_or_has_gone_does_not_keep_the_sender() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (reader, _) = listener.accept().unwrap();
        sender.write_all(b"a").unwrap();
        let addresses = (sender.local_addr().unwrap(), sender.peer_addr().unwrap());
        let begun = Instant::now();
        wait_until_read(addresses.0, addresses.1).unwrap();
        assert!(begun.elapsed() >= READS_WITHIN);
        drop((reader, listener));
        wait_until_read(addresses.0, addresses.1).unwrap();
    }
}
