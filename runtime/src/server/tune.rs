//! What listening sockets are asked to be beyond being there. Who cannot have it is served without.

use std::io;

use socket2::{Socket, TcpKeepalive};

use crate::config::{Keepalive, Listener};
use crate::system_error::system_error;

/// A socket option that the system would not take, in nginx's words:
/// `setsockopt(TCP_KEEPIDLE, 40000) 0.0.0.0:143 failed, ignored (22: Invalid argument)`.
#[derive(Debug, thiserror::Error)]
#[error("setsockopt({option}, {value}) {address} failed, ignored ({code}: {text})",
    code = system_error("", .source).code, text = system_error("", .source).text)]
pub(super) struct Ignored {
    option: &'static str,
    value: u64,
    /// The address as the configuration says it.
    address: String,
    source: io::Error,
}

/// Makes `socket` what `listener` says, as far as the system goes along; tells where it does not. Accepted sockets inherit
/// all of it: a system call a listener instead of one a connection.
pub(super) fn tune(socket: &Socket, listener: &Listener) -> Vec<Ignored> {
    let mut ignored = Vec::new();
    let mut note = |option, value: u64, outcome: io::Result<()>| {
        let address = listener.text.to_string();
        ignored.extend(outcome.err().map(|source| Ignored { option, value, address, source }));
    };
    let octets = |octets: usize| u64::try_from(octets).unwrap_or(u64::MAX);
    if let Some(size) = listener.receive_buffer_bytes {
        note("SO_RCVBUF", octets(size), socket.set_recv_buffer_size(size));
    }
    if let Some(size) = listener.send_buffer_bytes {
        note("SO_SNDBUF", octets(size), socket.set_send_buffer_size(size));
    }
    if listener.address.inet().is_none() {
        return ignored;
    }
    note("TCP_NODELAY", 1, socket.set_tcp_nodelay(true));
    // Also off: a socket of before a reload may have been asked to.
    let wanted = listener.keepalive.is_some();
    note("SO_KEEPALIVE", wanted.into(), socket.set_keepalive(wanted));
    let Keepalive { idle, interval, count } = listener.keepalive.unwrap_or_default();
    let plain = TcpKeepalive::new();
    if let Some(idle) = idle {
        note("TCP_KEEPIDLE", idle.as_secs(), socket.set_tcp_keepalive(&plain.clone().with_time(idle)));
    }
    if let Some(interval) = interval {
        let asked = plain.clone().with_interval(interval);
        note("TCP_KEEPINTVL", interval.as_secs(), socket.set_tcp_keepalive(&asked));
    }
    if let Some(count) = count {
        note("TCP_KEEPCNT", count.into(), socket.set_tcp_keepalive(&plain.with_retries(count)));
    }
    ignored
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::time::Duration;

    use socket2::{Domain, Type};

    fn listener(keepalive: Option<Keepalive>) -> Listener {
        let address = SocketAddr::from(([127, 0, 0, 1], 143));
        Listener { keepalive, ..Listener::new(address.into()) }
    }

    fn told(socket: &Socket, listener: &Listener) -> Vec<String> {
        tune(socket, listener).iter().map(ToString::to_string).collect()
    }

    /// The texts are those of a real nginx.
    #[test]
    fn what_the_kernel_refuses_is_told_by_its_name_and_the_rest_is_done() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let seconds = Duration::from_secs;
        let all =
            Keepalive { idle: Some(seconds(40_000)), interval: Some(seconds(40_000)), count: Some(200) };
        assert_eq!(
            told(&socket, &listener(Some(all))),
            [
                "setsockopt(TCP_KEEPIDLE, 40000) 127.0.0.1:143 failed, ignored (22: Invalid argument)",
                "setsockopt(TCP_KEEPINTVL, 40000) 127.0.0.1:143 failed, ignored (22: Invalid argument)",
                "setsockopt(TCP_KEEPCNT, 200) 127.0.0.1:143 failed, ignored (22: Invalid argument)",
            ]
        );
        assert!(socket.keepalive().expect("an option"));
        let one = Keepalive { interval: Some(seconds(7)), ..all };
        assert_eq!(told(&socket, &listener(Some(one))).len(), 2);
        assert_eq!(socket.tcp_keepalive_interval().expect("an option"), seconds(7));
    }

    #[test]
    fn what_is_not_asked_for_any_more_is_off() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        assert!(told(&socket, &listener(Some(Keepalive::default()))).is_empty());
        assert!(socket.keepalive().expect("an option"));
        assert!(told(&socket, &listener(None)).is_empty());
        assert!(!socket.keepalive().expect("an option"));
    }
}
