//! A DNS server on loopback whose every answer is a step of a transcript.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

use crate::octets::Octets;
use crate::transcript::{Lookup, LookupAnswer, LookupFailure, LookupQuestion};

/// The longest query; nobody here has a longer name to ask for (RFC 6891 section 6.2.5).
const QUERY_BYTES_MAX: usize = 4096;

/// For how many seconds an answer may be remembered: the next transcript step may answer otherwise.
const TIME_TO_LIVE: u32 = 0;

/// Answers by UDP, when it is told to; then again, if it is asked again.
pub(super) struct NameServer {
    socket: UdpSocket,
    address: SocketAddr,
    last: Option<Lookup>,
}

impl NameServer {
    /// On a port of its own.
    pub(super) async fn bind() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, last: None })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next query, and answers it as `lookup` says, or not at all.
    ///
    /// # Errors
    ///
    /// What else was asked, or why `lookup` cannot be said in the DNS.
    pub(super) async fn answer(&mut self, lookup: &Lookup) -> Result<(), String> {
        self.last = Some(lookup.clone());
        let mut buffer = [0; QUERY_BYTES_MAX];
        let told = |error: io::Error| error.to_string();
        let (count, from) = self.socket.recv_from(&mut buffer).await.map_err(told)?;
        match reply(buffer.get(..count).unwrap_or_default(), lookup)? {
            Some(reply) => self.socket.send_to(&reply, from).await.map(drop).map_err(told),
            None => Ok(()),
        }
    }

    /// Answers the last question as before, however often it comes, and leaves others for later steps. Never ends. Cancel-safe.
    pub(super) async fn repeat(&self) -> io::Result<Infallible> {
        let mut buffer = [0; QUERY_BYTES_MAX];
        while let Some(last) = &self.last {
            let (count, from) = self.socket.peek_from(&mut buffer).await?;
            let Ok(reply) = reply(buffer.get(..count).unwrap_or_default(), last) else { break };
            self.socket.recv_from(&mut buffer).await?; // which is there
            if let Some(reply) = reply {
                self.socket.send_to(&reply, from).await?;
            }
        }
        pending().await
    }

    /// The next question is another client's, and its answer another step's.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

/// What `lookup` says to `query`; none is silence.
fn reply(query: &[u8], lookup: &Lookup) -> Result<Option<Vec<u8>>, String> {
    let query = Message::from_vec(query).map_err(|error| format!("the proxy's query: {error}"))?;
    let [question] = query.queries.as_slice() else {
        return Err(format!("the proxy asks {} questions at once", query.queries.len()));
    };
    if !is_asked(question, &lookup.asks)? {
        return Err(format!("the proxy asks the DNS for {question}"));
    }
    let Some((code, data)) = said(&lookup.gets)? else { return Ok(None) };
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    reply.add_query(question.clone());
    let own = data.into_iter().filter(|data| data.record_type() == question.query_type());
    reply.add_answers(own.map(|data| Record::from_rdata(question.name().clone(), TIME_TO_LIVE, data)));
    reply.to_vec().map(Some).map_err(|error| error.to_string())
}

fn is_asked(question: &Query, wanted: &LookupQuestion) -> Result<bool, String> {
    let (name, kinds) = match wanted {
        LookupQuestion::NameOf(address) => (Name::from(*address), &[RecordType::PTR][..]),
        LookupQuestion::AddressesOf(name) => {
            let name = Name::from_ascii(name).map_err(|error| format!("{name:?}: {error}"))?;
            (name, &[RecordType::A, RecordType::AAAA][..])
        }
    };
    Ok(question.name().eq_ignore_root(&name) && kinds.contains(&question.query_type()))
}

/// The code and the records of an answer; none is silence.
fn said(answer: &LookupAnswer) -> Result<Option<(ResponseCode, Vec<RData>)>, String> {
    Ok(Some(match answer {
        LookupAnswer::Silence => return Ok(None),
        LookupAnswer::Name(name) => (ResponseCode::NoError, vec![RData::PTR(PTR(raw(name)?))]),
        LookupAnswer::Addresses(addresses) => {
            (ResponseCode::NoError, addresses.iter().copied().map(RData::from).collect())
        }
        LookupAnswer::Fails(failure) => (code(*failure), Vec::new()),
    }))
}

/// A name of any octets but the dot, which parts its labels.
fn raw(name: &Octets) -> Result<Name, String> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let labels = name.split(|&octet| octet == b'.').filter(|label| !label.is_empty());
    let mut name = Name::from_labels(labels).map_err(|error| format!("no DNS name: {error}"))?;
    name.set_fqdn(true);
    Ok(name)
}

const fn code(failure: LookupFailure) -> ResponseCode {
    match failure {
        LookupFailure::FormErr => ResponseCode::FormErr,
        LookupFailure::ServFail => ResponseCode::ServFail,
        LookupFailure::NxDomain => ResponseCode::NXDomain,
        LookupFailure::NotImp => ResponseCode::NotImp,
        LookupFailure::Refused => ResponseCode::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_out_as_it_is_written() {
        let name = |text| raw(&Octets::of(text).unwrap());
        assert_eq!(name("Mail.Example.ORG.").unwrap().to_ascii(), "Mail.Example.ORG.");
        assert_eq!(name(".").unwrap().to_ascii(), ".");
        let odd = name("a\r\nb.t\u{E9}st").unwrap();
        assert_eq!(odd.iter().collect::<Vec<_>>(), [b"a\r\nb".as_slice(), b"t\xe9st"]);
        assert!(name(&"a".repeat(64)).is_err());
    }

    #[tokio::test]
    async fn only_the_question_of_the_step_is_answered() {
        let mut server = NameServer::bind().await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let lookup = Lookup {
            asks: LookupQuestion::AddressesOf("mx.test".to_owned()),
            gets: LookupAnswer::Addresses(vec!["192.0.2.7".parse().unwrap(), "::1".parse().unwrap()]),
        };
        for (name, kind, answers) in [
            ("MX.test.", RecordType::A, Some(1)),
            ("mx.test.", RecordType::AAAA, Some(1)),
            ("mx.test.", RecordType::PTR, None),
            ("other.test.", RecordType::A, None),
        ] {
            let mut query = Message::query();
            query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
            client.send_to(&query.to_vec().unwrap(), server.address()).await.unwrap();
            let answered = server.answer(&lookup).await;
            assert_eq!(answered.is_ok(), answers.is_some(), "{name} {kind}: {answered:?}");
            if let Some(answers) = answers {
                let mut buffer = [0; 512];
                let count = client.recv(&mut buffer).await.unwrap();
                let reply = Message::from_vec(&buffer[..count]).unwrap();
                assert_eq!((reply.metadata.id, reply.answers.len()), (query.metadata.id, answers));
            }
        }
    }
}
