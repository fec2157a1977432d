//! How sessions are resumed: by tickets, by a cache, or not at all; and what keeps one server's from another.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use gatepost_core::VerifyClient;
use rustls::time_provider::TimeProvider;
use zeroize::Zeroizing;

use super::begun::Means;
use super::certificates::Certificates;
use super::sessions::{Cache, Zone};
use super::source::read;
use super::tickets::{TicketKeys, Tickets};
use super::{Error, Settings};

/// nginx's default of `ssl_session_timeout`.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// OpenSSL's default of `NumTickets`.
const TLS13_TICKETS: usize = 2;

/// `ssl_session_…`.
#[derive(Clone, Debug)]
pub struct Resumption {
    /// `ssl_session_tickets`.
    pub tickets: bool,
    /// `ssl_conf_command NumTickets`: how many a client is given under TLS 1.3, of which each is good for one connection. Who came with
    /// one gets no more than one.
    pub tls13_tickets: usize,
    /// `ssl_session_ticket_key`: files of 48 or 80 octets, of which the first seals and all open. Without any, the keys
    /// are made by the process.
    pub ticket_keys: Vec<PathBuf>,
    /// `ssl_session_cache`.
    pub cache: Option<Zone>,
    /// `ssl_session_timeout`: how long a session can be resumed. For tickets a day at most; none at all if it is 0.
    pub timeout: Duration,
}

impl Default for Resumption {
    fn default() -> Self {
        Self {
            tickets: true,
            tls13_tickets: TLS13_TICKETS,
            ticket_keys: Vec::new(),
            cache: None,
            timeout: TIMEOUT,
        }
    }
}

impl Resumption {
    /// What the sessions of `context`, and only those, are resumed from.
    ///
    /// # Errors
    ///
    /// Key files that cannot be read or are none; there is no randomness for keys in memory.
    pub(super) fn means(&self, context: [u8; 32], time: &Arc<dyn TimeProvider>) -> Result<Means, Error> {
        // Keys are looked at though they be of no use: whoever names a file that is none is to know.
        let files = self.ticket_keys.iter().map(|path| key_in(path)).collect::<Result<Vec<_>, _>>()?;
        if self.timeout.is_zero() {
            return Ok(Means::default());
        }
        let zone = self.cache.clone();
        let cache = zone.map(|zone| Arc::new(Cache::new(zone, context, self.timeout, time.clone())));
        let tickets = match (self.tickets, files.is_empty()) {
            (false, _) => None,
            (true, false) => Tickets::of_files(
                files.iter().map(|file| file.as_slice()),
                context,
                self.timeout,
                time.clone(),
            ),
            (true, true) => {
                let keys = TicketKeys::of_the_process()?;
                keys.advance();
                Some(Tickets::new(keys, context, self.timeout, time.clone()))
            }
        };
        Ok(Means { tickets: tickets.map(Arc::new), cache })
    }
}

/// A ticket key file's octets, 48 or 80 of them.
fn key_in(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let octets = read(path).map_err(|error| Error::Open { path: path.into(), reason: error.by_nginx() })?;
    match octets.len() {
        48 | 80 => Ok(octets),
        _ => Err(Error::TicketKey { path: path.into() }),
    }
}

/// What a session is bound to: what the server shows, and what it asks of clients. A session that began elsewhere is
/// begun anew (CVE-2014-3616, CVE-2025-23419). The same files make the same context in every process.
pub(super) fn context(settings: &Settings, certificates: &Certificates) -> Result<[u8; 32], Error> {
    let mut hash = Context::new(&SHA256);
    let mut add = |octets: &[u8]| {
        hash.update(&(octets.len() as u64).to_be_bytes());
        hash.update(octets);
    };
    add(settings.protocol.name().as_bytes());
    certificates.chains().flatten().for_each(|certificate| add(certificate));
    add(&[settings.verify_client as u8]);
    add(&settings.depth.to_be_bytes());
    if settings.verify_client != VerifyClient::Off {
        for files in [&settings.client_ca[..], settings.trusted.as_slice(), settings.crl.as_slice()] {
            add(&files.len().to_be_bytes());
            for path in files {
                let unusable = |reason| Error::Authorities { path: path.clone(), reason };
                add(&read(path).map_err(|error| unusable(error.within_openssl(path)))?);
            }
        }
    }
    let mut context = [0; 32];
    context.copy_from_slice(hash.finish().as_ref());
    Ok(context)
}
