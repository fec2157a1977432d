use super::*;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A DNS server with a few records. Gone when dropped.
struct Fake {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Fake {
    async fn begin() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("its address");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let serving = tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(reply) = reply(&query[..length]) {
                    socket.send_to(&reply, from).await.expect("sent");
                }
            }
        });
        Self { address, asked, serving }
    }

    fn resolver(&self, ipv4: bool, ipv6: bool) -> Resolver {
        let settings = Settings { servers: vec![self.address], valid: None, ipv4, ipv6 };
        Resolver::new(&settings).expect("a resolver")
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What there is: for names and kinds of record, a code, and data with its length in front.
const RECORDS: &[(&str, u16, u8, &[&[u8]])] = &[
    ("7.2.0.192.in-addr.arpa", 12, 0, &[b"\x00\x0e\x04mail\x07example\x00", b"\x00\x0b\x05other\x03net\x00"]),
    ("8.2.0.192.in-addr.arpa", 12, 0, &[b"\x00\x07\x05a\rb c\x00"]),
    ("9.2.0.192.in-addr.arpa", 12, 0, &[]),
    ("mail.example", 1, 0, &[b"\x00\x04\xc0\x00\x02\x07", b"\x00\x04\xc0\x00\x02\x08"]),
    ("mail.example", 28, 0, &[b"\x00\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"]),
    ("four.example", 1, 0, &[b"\x00\x04\xc0\x00\x02\x07"]),
    ("four.example", 28, 0, &[]),
    ("half.example", 1, 0, &[b"\x00\x04\xc0\x00\x02\x07"]),
    ("half.example", 28, 2, &[]),
    ("192.0.2.7", 1, 3, &[]),
    ("192.0.2.7", 28, 3, &[]),
    ("format.example", 1, 1, &[]),
    ("servfail.example", 1, 2, &[]),
    ("nxdomain.example", 1, 3, &[]),
    ("notimp.example", 1, 4, &[]),
    ("refused.example", 1, 5, &[]),
];

/// RFC 1035 section 4.1: the header, the question again, the records.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        name += if name.is_empty() { "" } else { "." };
        name += std::str::from_utf8(&query[at + 1..end]).expect("ASCII");
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let known = |record: &&(&str, u16, u8, _)| record.0 == name.to_ascii_lowercase() && record.1 == kind;
    let (_, _, code, data) = RECORDS.iter().find(known)?;
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(data.len()).expect("few"), 0, 0, 0, 0]);
    reply.extend(&query[12..at + 5]);
    for data in *data {
        reply.extend([0xc0, 12]); // the name asked for
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 1, 0]); // IN, 256 seconds
        reply.extend(*data);
    }
    Some(reply)
}

async fn name_of(resolver: &Resolver, last: u8) -> Result<String, ResolveError> {
    let question = Question::NameOf(Ipv4Addr::new(192, 0, 2, last).into());
    let Answer::Name(name) = resolver.clone().answer(question).await else { panic!("a name was asked for") };
    name.map(|name| String::from_utf8(name).expect("text"))
}

async fn addresses_of(resolver: &Resolver, name: &str, family: Family) -> Result<Vec<String>, ResolveError> {
    let question = Question::AddressesOf(name.into(), family);
    let Answer::Addresses(found) = resolver.clone().answer(question).await else {
        panic!("addresses were asked for")
    };
    found.map(|found| found.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn the_first_name_counts_and_odd_octets_do_not_pass_for_a_name() {
    let fake = Fake::begin().await;
    let resolver = fake.resolver(true, true);
    assert_eq!(name_of(&resolver, 7).await.as_deref(), Ok("mail.example."));
    let odd = name_of(&resolver, 8).await.expect("a name");
    assert!(odd.contains('\\') && !odd.contains(['\r', '\n', '\0']), "{odd:?}");
    assert_eq!(name_of(&resolver, 9).await, Err(ResolveError::NotFound));
}

#[tokio::test]
async fn addresses_are_of_the_family_asked_for_if_that_is_wanted() {
    let fake = Fake::begin().await;
    let four = Ok(vec!["192.0.2.7".to_owned(), "192.0.2.8".to_owned()]);
    let six = Ok(vec!["2001:db8::1".to_owned()]);
    for (ipv4, ipv6, of_four, of_six) in [
        (true, true, four.clone(), six.clone()),
        (true, false, four, Err(ResolveError::NotFound)),
        (false, true, Err(ResolveError::NotFound), six),
    ] {
        let resolver = fake.resolver(ipv4, ipv6);
        assert_eq!(addresses_of(&resolver, "mail.example", Family::V4).await, of_four);
        assert_eq!(addresses_of(&resolver, "mail.example", Family::V6).await, of_six);
    }
}

/// A server that does not know AAAA, of which there are many, would hide every client otherwise.
#[tokio::test]
async fn a_family_that_fails_does_not_hide_the_other() {
    let fake = Fake::begin().await;
    let resolver = fake.resolver(true, true);
    let found = addresses_of(&resolver, "half.example", Family::V4).await;
    assert_eq!(found.expect("addresses"), ["192.0.2.7"]);
    assert_eq!(addresses_of(&resolver, "half.example", Family::V6).await, Err(ResolveError::Server));
    assert_eq!(addresses_of(&resolver, "four.example", Family::V6).await, Err(ResolveError::NotFound));
}

/// Otherwise an address that names itself would be confirmed without the DNS.
#[tokio::test]
async fn a_name_that_looks_like_an_address_is_asked_for_all_the_same() {
    let fake = Fake::begin().await;
    let resolver = fake.resolver(true, true);
    assert_eq!(addresses_of(&resolver, "192.0.2.7", Family::V4).await, Err(ResolveError::NotFound));
    assert_ne!(fake.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn each_refusal_has_its_reason() {
    let fake = Fake::begin().await;
    let resolver = fake.resolver(true, false);
    for (name, expected) in [
        ("format.example", ResolveError::Format),
        ("servfail.example", ResolveError::Server),
        ("nxdomain.example", ResolveError::NotFound),
        ("notimp.example", ResolveError::Unimplemented),
        ("refused.example", ResolveError::Refused),
    ] {
        assert_eq!(addresses_of(&resolver, name, Family::V4).await, Err(expected), "{name}");
    }
}

#[tokio::test]
async fn an_answer_is_remembered() {
    let fake = Fake::begin().await;
    let resolver = fake.resolver(true, false);
    for _ in 0..3 {
        addresses_of(&resolver, "four.example", Family::V4).await.expect("addresses");
    }
    assert_eq!(fake.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_a_name_is_at_present_holds_for_its_time_to_live() {
    let fake = Fake::begin().await;
    let resolver = fake.resolver(true, true);
    let current = |name: &str, family| resolver.clone().current(name.into(), family);
    let found = current("mail.example", Family::V4).await.expect("addresses");
    assert_eq!((found.addresses.len(), found.holds.as_secs()), (2, 256));
    assert_eq!(current("four.example", Family::V6).await, Err(ResolveError::NotFound));
    assert_eq!(current("half.example", Family::V6).await, Err(ResolveError::Server));
}

#[test]
fn a_name_is_one_if_the_dns_could_have_it() {
    let long = "a".repeat(64);
    for (text, is) in [("mail.example.com", true), ("ma_il", true), ("a..b", false), (&*long, false)] {
        assert_eq!(is_name(text), is, "{text}");
    }
}
