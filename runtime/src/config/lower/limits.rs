//! `limit_conn_zone`, `limit_conn` and what belongs to it; `limit_rate` (config.md 5.6).

use std::collections::BTreeMap;
use std::sync::Arc;

use gatepost_core::report::Level;
use gatepost_core::{Address, ConnLimit, ConnLimits, LimitKey, Policy, Rate};

use super::listen::Listen;
use super::value::{argument, digits, flag, no_such, parse_size, size, text};
use crate::config::Listener;
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::schema::LimitWord;
use crate::config::source::Span;
use crate::config::tree::Directive;
use crate::limit_conn::{Settings, ZONE_BYTES_MIN};

/// The headers with which a users file lets somebody in, as keys have them.
const ANSWERED: &[&str] = &["auth_pass", "auth_port", "auth_server", "auth_status"];

/// The zones of a `mail {}`, by name.
pub(super) type Zones = BTreeMap<Arc<str>, Zone>;

/// A `limit_conn_zone`, and where its name is.
#[derive(Debug)]
pub(super) struct Zone {
    settings: Settings,
    /// Its key as it is written.
    written: Box<str>,
    at: Span,
}

/// What one block says about limits.
#[derive(Debug, Default)]
pub(super) struct Limits {
    conns: Vec<Conn>,
    dry_run: Option<bool>,
    log_level: Option<Level>,
    rate: Option<usize>,
    rate_after: Option<usize>,
}

/// A `limit_conn` whose zone was not looked for yet: it may stand further down.
#[derive(Debug)]
struct Conn {
    zone: Arc<str>,
    connections: u16,
    early: bool,
    unknown: Complaint,
    not_early: Complaint,
    headerless: Complaint,
}

impl Limits {
    /// Takes in one of the directives that may stand in both blocks.
    pub(super) fn take(&mut self, word: LimitWord, directive: &Directive) -> Result<(), Complaint> {
        match word {
            LimitWord::Conn => {
                let conn = conn(directive)?;
                if self.conns.iter().any(|other| other.zone == conn.zone) {
                    let message = "\"limit_conn\" directive is duplicate";
                    return Err(Complaint::of(directive, message).under(argument(directive, 0)?.span));
                }
                self.conns.push(conn);
            }
            LimitWord::DryRun => self.dry_run = Some(flag(directive)?),
            LimitWord::LogLevel => self.log_level = Some(log_level(directive)?),
            LimitWord::Rate => self.rate = Some(size(directive)?),
            LimitWord::RateAfter => self.rate_after = Some(size(directive)?),
        }
        Ok(())
    }

    /// Complains of what cannot be as these zones are.
    pub(super) fn check(&self, zones: &Zones, complaints: &mut Complaints) {
        for Conn { zone, early, unknown, not_early, .. } in &self.conns {
            match zones.get(zone) {
                None => complaints.push(unknown.clone()),
                Some(zone) if *early && zone.settings.key != LimitKey::Address => {
                    complaints.push(not_early.clone());
                }
                Some(_) => {}
            }
        }
    }

    /// Warns of limits that a server never comes to, because no auth server says what they count by.
    pub(super) fn warn_of_headers(own: &Self, mail: &Self, zones: &Zones, complaints: &mut Complaints) {
        for Conn { zone, headerless, .. } in Self::conns(own, mail) {
            let Some(LimitKey::Header(name)) = zones.get(zone).map(|zone| &zone.settings.key) else {
                continue;
            };
            if !ANSWERED.contains(&&**name) {
                complaints.push(headerless.clone());
            }
        }
    }

    /// The `limit_conn` that count in a server that says `own`.
    fn conns<'a>(own: &'a Self, mail: &'a Self) -> &'a [Conn] {
        if own.conns.is_empty() { &mail.conns } else { &own.conns }
    }

    /// Whether there is a `limit_conn`.
    pub(super) fn are_in_use(own: &Self, mail: &Self) -> bool {
        !own.conns.is_empty() || !mail.conns.is_empty()
    }

    /// What counts of `limit_conn` in a server that says `own`.
    pub(super) fn conn_limits(own: &Self, mail: &Self, zones: &Zones) -> ConnLimits {
        let limit = |conn: &Conn| {
            let Conn { zone, connections, early, .. } = conn;
            let key = zones.get(zone)?.settings.key.clone();
            Some(ConnLimit { zone: zone.clone(), key, connections: *connections, early: *early })
        };
        let default = ConnLimits::default();
        ConnLimits {
            limits: Self::conns(own, mail).iter().filter_map(limit).collect(),
            dry_run: own.dry_run.or(mail.dry_run).unwrap_or(default.dry_run),
            log_level: own.log_level.or(mail.log_level).unwrap_or(default.log_level),
        }
    }

    /// What counts of `limit_rate`.
    pub(super) fn rate(own: &Self, mail: &Self) -> Rate {
        let octets = |own: Option<usize>, mail: Option<usize>| own.or(mail).unwrap_or_default() as u64;
        Rate {
            bytes_per_second: octets(own.rate, mail.rate),
            after_bytes: octets(own.rate_after, mail.rate_after),
        }
    }
}

/// Who counts addresses has to know them: through a UNIX socket, or a proxy that is not believed, all clients come from one.
pub(super) fn warn_of_one_address(policy: &Policy, listens: &[Listen], complaints: &mut Complaints) {
    if !policy.conn_limits.limits.iter().any(|limit| limit.key == LimitKey::Address) {
        return;
    }
    let trusted = &policy.real_ip_from;
    let is_one_address = |listener: &&Listener| match (&listener.address, listener.proxy_protocol) {
        (Address::Inet(_), true) => trusted.is_empty(),
        (Address::Inet(_), false) => false,
        (socket @ Address::Unix(_), true) => !trusted.iter().any(|trusted| trusted.includes(socket)),
        (Address::Unix(_), false) => true,
    };
    for listen in listens {
        if let Some(Listener { address, text, proxy_protocol, .. }) =
            listen.listeners.iter().find(is_one_address)
        {
            let hint = match (address, proxy_protocol) {
                (Address::Inet(_), _) => {
                    "\"set_real_ip_from\" says whose PROXY headers tell the client's address"
                }
                (Address::Unix(_), true) => {
                    "\"set_real_ip_from unix:\" makes PROXY headers tell the client's address"
                }
                (Address::Unix(_), false) => {
                    "\"proxy_protocol\" and \"set_real_ip_from unix:\" make PROXY headers tell the client's address"
                }
            };
            let message = format!("\"limit_conn\" counts all clients of \"{text}\" as one address");
            let complaint = Complaint::at(listen.said.end, message).under(listen.said.words);
            complaints.push(complaint.warning().hint(hint));
        }
    }
}

/// The zones as the process has them.
pub(super) fn settings(zones: Zones) -> BTreeMap<Arc<str>, Settings> {
    zones.into_iter().map(|(name, zone)| (name, zone.settings)).collect()
}

/// `limit_conn_zone KEY zone=NAME:SIZE`.
pub(super) fn zone(directive: &Directive, zones: &mut Zones) -> Result<(), Complaint> {
    let refused = |word: &Word, message: String| Complaint::of(directive, message).under(word.span);
    let invalid = |word: &Word| refused(word, format!("invalid parameter \"{}\"", word.shown()));
    let (key_word, word) = (argument(directive, 0)?, argument(directive, 1)?);
    let written = text(directive, key_word)?;
    let key = key(&written)
        .ok_or_else(|| invalid(key_word).label("`$remote_addr`, `$remote_user` or `$auth_http_NAME`"))?;
    let whole = text(directive, word)?;
    let zone = whole.strip_prefix("zone=").ok_or_else(|| invalid(word).label("`zone=NAME:SIZE`"))?;
    let no_size = || refused(word, format!("invalid zone size \"{whole}\"")).label("`zone=NAME:SIZE`");
    let (name, size) = zone.split_once(':').ok_or_else(no_size)?;
    let bytes = parse_size(size.as_bytes()).ok_or_else(no_size)?;
    if bytes < ZONE_BYTES_MIN {
        return Err(refused(word, format!("zone \"{whole}\" is too small")).label("at least 32k"));
    }
    if name.is_empty() {
        let message = "\"limit_conn_zone\" must have \"zone\" parameter".to_owned();
        return Err(refused(word, message).label("it has no name"));
    }
    if let Some(first) = zones.get(name) {
        let message = format!("limit_conn_zone \"{name}\" is already bound to key \"{}\"", first.written);
        return Err(refused(word, message).first(first.at));
    }
    let settings = Settings { key, bytes };
    zones.insert(name.into(), Zone { settings, written, at: word.span });
    Ok(())
}

/// What there is to count by. `$binary_remote_addr`, which nginx's other modules count by to save memory, is the same
/// here as `$remote_addr`: keys are kept as digests.
fn key(written: &str) -> Option<LimitKey> {
    match written {
        "$remote_addr" | "$binary_remote_addr" => Some(LimitKey::Address),
        "$remote_user" => Some(LimitKey::Login),
        other => {
            let name = other.strip_prefix("$auth_http_").filter(|name| !name.is_empty())?;
            let is_of_name = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
            name.bytes().all(is_of_name).then(|| LimitKey::Header(name.to_ascii_lowercase().into()))
        }
    }
}

/// `limit_conn ZONE N [early]`.
fn conn(directive: &Directive) -> Result<Conn, Complaint> {
    let (zone_word, word) = (argument(directive, 0)?, argument(directive, 1)?);
    let zone = text(directive, zone_word)?;
    let refused = |message: &str| Complaint::of(directive, message).under(word.span);
    let number = digits(&word.text).filter(|&number| number > 0);
    let number = number.ok_or_else(|| {
        refused(&format!("invalid number of connections \"{}\"", word.shown())).label("a number from 1")
    })?;
    let connections = u16::try_from(number).map_err(|_| refused("connection limit must be less 65536"))?;
    let early = match directive.args.get(2) {
        None => false,
        Some(word) if &*word.text == b"early" => true,
        Some(word) => {
            let message = format!("invalid parameter \"{}\"", word.shown());
            return Err(Complaint::of(directive, message).under(word.span).label("`early`"));
        }
    };
    let unknown = format!("zero size shared memory zone \"{zone}\"");
    let not_early = "\"early\" needs a zone that counts by \"$remote_addr\"";
    let headerless = "\"limit_conn\" by a header has no effect with \"auth_users\"";
    Ok(Conn {
        headerless: Complaint::of(directive, headerless)
            .under(zone_word.span)
            .label("a users file answers without this header")
            .warning(),
        unknown: Complaint::of(directive, unknown)
            .under(zone_word.span)
            .label("there is no \"limit_conn_zone\" of this name"),
        not_early: Complaint::of(directive, not_early)
            .under(zone_word.span)
            .label("what it counts by is not known before a login"),
        zone: zone.into(),
        connections,
        early,
    })
}

/// `info`, `notice`, `warn` or `error`, in any case.
fn log_level(directive: &Directive) -> Result<Level, Complaint> {
    let word = argument(directive, 0)?;
    match word.text.to_ascii_lowercase().as_slice() {
        b"info" => Ok(Level::Info),
        b"notice" => Ok(Level::Notice),
        b"warn" => Ok(Level::Warn),
        b"error" => Ok(Level::Error),
        _ => Err(no_such(directive, word).label("`info`, `notice`, `warn` or `error`")),
    }
}
