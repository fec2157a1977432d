//! A DNS server in a thread that knows one host, whose addresses its test may change.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record};

/// For how many seconds an answer may be remembered: as short as can be.
const TIME_TO_LIVE: u32 = 1;

/// A running DNS server. It stops when this is dropped.
#[derive(Debug)]
pub struct NameServer {
    /// Where it is asked, by UDP.
    pub address: SocketAddr,
    known: Arc<Mutex<Vec<IpAddr>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one that knows `host`, which has no address yet and so does not exist.
    ///
    /// # Errors
    ///
    /// The system's, of its socket; or what is wrong with the host's name.
    pub fn start(host: &str) -> io::Result<Self> {
        let host = Name::from_ascii(host).map_err(io::Error::other)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, known) = (socket.local_addr()?, Arc::new(Mutex::new(Vec::new())));
        let (stop, addresses) = (Arc::new(AtomicBool::new(false)), Arc::clone(&known));
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut query = [0; 4096];
            while let Ok((count, from)) = socket.recv_from(&mut query) {
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                let addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(reply) = reply(query.get(..count).unwrap_or_default(), &host, &addresses) {
                    // Whoever asked may be gone.
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Ok(Self { address, known, stop, thread: Some(thread) })
    }

    /// From now on these are the host's addresses.
    pub fn moves_to(&self, addresses: &[IpAddr]) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = addresses.to_vec();
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let wake =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(b"", self.address));
        if wake.is_ok() {
            drop(self.thread.take().map(JoinHandle::join));
        }
    }
}

/// What there is to say to `query`; nothing if it is none.
fn reply(query: &[u8], host: &Name, addresses: &[IpAddr]) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let question = query.queries.first()?;
    let known = question.name().eq_ignore_root(host) && !addresses.is_empty();
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
    reply.add_query(question.clone());
    let records = addresses.iter().copied().map(RData::from);
    let own = records.filter(|data| known && data.record_type() == question.query_type());
    reply.add_answers(own.map(|data| Record::from_rdata(question.name().clone(), TIME_TO_LIVE, data)));
    reply.to_vec().ok()
}
