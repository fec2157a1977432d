//! An address to listen on, and what its socket is like.

use std::sync::Arc;
use std::time::Duration;

use gatepost_core::Address;

/// nginx's listen queue on Linux.
const BACKLOG: i32 = 511;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: Address,
    /// The same as a log line shows it: `0.0.0.0:143`, `[::]:993`, `unix:/path`.
    pub text: Arc<str>,
    /// The name and the port, if this is one of several addresses of a name. The machine may lack it as long as it has one of the
    /// others (divergences R15).
    pub one_of: Option<Arc<str>>,
    /// `ssl`: TLS from the first octet.
    pub tls_first: bool,
    /// `proxy_protocol`: a PROXY header comes before everything else.
    pub proxy_protocol: bool,
    /// `backlog=`; nginx's default is 511.
    pub backlog: i32,
    /// `ipv6only=`; on unless said otherwise. Without meaning for others than IPv6.
    pub ipv6_only: bool,
    /// `rcvbuf=`, in octets; otherwise the system's.
    pub receive_buffer_bytes: Option<usize>,
    /// `sndbuf=`, in octets; otherwise the system's.
    pub send_buffer_bytes: Option<usize>,
    /// `so_keepalive=`; otherwise nobody asks whether a silent client is still there. Without meaning for UNIX sockets.
    pub keepalive: Option<Keepalive>,
    /// `multipath`: clients may come over several paths at once (MPTCP, RFC 8684), where the system can do that.
    pub multipath: bool,
}

impl Listener {
    /// At `address`, as it is without any parameter.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            text: address.to_string().into(),
            address,
            one_of: None,
            tls_first: false,
            proxy_protocol: false,
            backlog: BACKLOG,
            ipv6_only: true,
            receive_buffer_bytes: None,
            send_buffer_bytes: None,
            keepalive: None,
            multipath: false,
        }
    }
}

/// How a silent client is asked whether it is still there. What is not said is the system's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// How long it has been silent before it is asked.
    pub idle: Option<Duration>,
    /// The time between two questions.
    pub interval: Option<Duration>,
    /// How many of them go unanswered before it is gone.
    pub count: Option<u32>,
}
