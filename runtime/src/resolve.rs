//! Names and addresses: by the DNS servers of a `resolver`, or by the system's own.

mod system;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{Answer, Family, Question, ResolveError};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

pub(crate) use self::system::System;

/// How long a server may take before it is asked again, or another one.
const TRY: Duration = Duration::from_secs(5);

/// How often a question is asked again in vain. The session's deadline (`resolver_timeout`) bounds the whole.
const AGAIN_MAX: usize = 5;

/// How many answers are remembered, each until its time to live is over.
const ANSWERS_MAX: u64 = 8192;

/// `resolver`. Two that are equal can share one cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Settings {
    /// The servers, asked in turn; at least one.
    pub servers: Vec<SocketAddr>,
    /// `valid=`: how long an answer is remembered, whatever its time to live.
    pub valid: Option<Duration>,
    /// `ipv4=`: whether names are asked for their IPv4 addresses.
    pub ipv4: bool,
    /// `ipv6=`: whether names are asked for their IPv6 addresses.
    pub ipv6: bool,
}

/// What the DNS says of a name at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    /// At least one.
    pub(crate) addresses: Vec<IpAddr>,
    /// What is left of the answer's time to live.
    pub(crate) holds: Duration,
}

/// Asks the DNS servers of a `resolver` and remembers what they say. Belongs to the runtime that it is first used in. Loopback
/// addresses are `localhost`, and that is loopback, without anybody being asked (RFC 6761 section 6.3); nginx asks for these too.
#[derive(Clone)]
pub struct Resolver {
    /// Shared, for each session has a clone of the resolver, and its options are large.
    resolver: Arc<TokioResolver>,
    ipv4: bool,
    ipv6: bool,
}

impl Resolver {
    /// Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// The DNS library's, which has none for settings like these.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let servers = settings.servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.ndots = 0;
        options.timeout = TRY;
        options.attempts = AGAIN_MAX;
        options.cache_size = ANSWERS_MAX;
        options.use_hosts_file = ResolveHosts::Never;
        options.server_ordering_strategy = ServerOrderingStrategy::RoundRobin;
        (options.positive_min_ttl, options.positive_max_ttl) = (settings.valid, settings.valid);
        let resolver = Arc::new(builder.build().map_err(io::Error::other)?);
        Ok(Self { resolver, ipv4: settings.ipv4, ipv6: settings.ipv6 })
    }

    /// The addresses of a name of one family, and for how long that holds. The other family is not asked for.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub(crate) async fn current(self, name: Arc<str>, family: Family) -> Result<Current, ResolveError> {
        let records = self.records_of(&name, family).await?;
        // Also the links of a chain of names run out.
        let holds = records.iter().map(|record| record.ttl).min().unwrap_or_default();
        let addresses = addresses_in(&records);
        match addresses.is_empty() {
            true => Err(ResolveError::NotFound),
            false => Ok(Current { addresses, holds: Duration::from_secs(holds.into()) }),
        }
    }

    /// Asks, unless the answer is remembered.
    pub async fn answer(self, question: Question) -> Answer {
        match question {
            Question::NameOf(address) => Answer::Name(self.name_of(address).await),
            Question::AddressesOf(name, family) => Answer::Addresses(self.addresses_of(&name, family).await),
        }
    }

    async fn name_of(&self, address: IpAddr) -> Result<Vec<u8>, ResolveError> {
        let names = self.records(address.into(), RecordType::PTR).await?;
        let first = names.iter().find_map(|record| match &record.data {
            // Octets that no host name has come out escaped, and core knows them by their backslash.
            RData::PTR(name) => Some(name.to_ascii().into_bytes()),
            _ => None,
        });
        first.ok_or(ResolveError::NotFound)
    }

    /// The name's addresses of one family. The other is not asked for: it may fail, or be slow, and confirms nobody.
    async fn addresses_of(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
        self.records_of(name, family).await.map(|records| addresses_in(&records))
    }

    async fn records_of(&self, name: &str, family: Family) -> Result<Vec<Record>, ResolveError> {
        let (wanted, kind) = match family {
            Family::V4 => (self.ipv4, RecordType::A),
            Family::V6 => (self.ipv6, RecordType::AAAA),
        };
        if !wanted {
            return Err(ResolveError::NotFound);
        }
        let mut name = Name::from_ascii(name).map_err(|_| ResolveError::Format)?;
        // With its final dot: not to be looked for in this machine's domain.
        name.set_fqdn(true);
        self.records(name, kind).await
    }

    async fn records(&self, name: Name, kind: RecordType) -> Result<Vec<Record>, ResolveError> {
        match self.resolver.lookup(name, kind).await {
            Ok(found) => Ok(found.answers().to_vec()),
            Err(error) => Err(reason(&error)),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

fn addresses_in(records: &[Record]) -> Vec<IpAddr> {
    records.iter().filter_map(|record| record.data.ip_addr()).collect()
}

/// Whether this can be looked up at all.
pub(crate) fn is_name(text: &str) -> bool {
    Name::from_ascii(text).is_ok()
}

/// A server, asked by UDP, and by TCP where an answer is too long for that (RFC 1035 section 4.2.1).
fn name_server(address: &SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

fn reason(error: &NetError) -> ResolveError {
    let code = match error {
        NetError::Timeout => return ResolveError::TimedOut,
        NetError::Dns(DnsError::NoRecordsFound(_)) => return ResolveError::NotFound,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        _ => return ResolveError::Server,
    };
    match code {
        ResponseCode::FormErr => ResolveError::Format,
        ResponseCode::NXDomain => ResolveError::NotFound,
        ResponseCode::NotImp => ResolveError::Unimplemented,
        ResponseCode::Refused => ResolveError::Refused,
        _ => ResolveError::Server,
    }
}

#[cfg(test)]
mod tests;
