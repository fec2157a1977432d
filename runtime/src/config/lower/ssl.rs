//! What TLS towards clients may choose from, and how its sessions are resumed: config.md 8.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use rustls::{CipherSuite, NamedGroup};

use super::Ground;
use super::conf_command::{self, Command};
use super::scope::{Named, Said, named};
use super::server::effective;
use super::value::{argument, flag, invalid, parse_seconds, parse_size, text};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::schema::SslWord;
use crate::config::tree::Directive;
use crate::tls::{Settings, Zone, ciphers, groups, ticket_lifetime_max};

/// nginx's least size of a zone: eight pages.
const ZONE_BYTES_MIN: u64 = 8 * 4096;

/// How many sessions OpenSSL keeps if it is not told, and here also if it is told to keep any number.
const BUILTIN_SESSIONS: usize = 20 * 1024;

/// What one block says of it.
#[derive(Debug, Default)]
pub(super) struct Ssl {
    ciphers: Option<Late<Vec<CipherSuite>>>,
    server_order: Option<bool>,
    /// `None` within for `auto`.
    groups: Option<Late<Option<Vec<NamedGroup>>>>,
    commands: Vec<Late<Vec<Command>>>,
    cache: Option<Cache>,
    timeout: Option<Duration>,
    tickets: Option<bool>,
    ticket_keys: Vec<Named>,
}

/// A value, and where it was said. nginx does not notice that it is wrong before a server wants TLS.
#[derive(Debug)]
struct Late<T> {
    value: Result<T, Fault>,
    said: Said,
}

/// What is wrong with a value: nginx's message, and what to do about it.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// `ssl_session_cache`.
#[derive(Clone, Debug)]
enum Cache {
    Off,
    /// One that each server has for itself, of so many sessions.
    Builtin(usize),
    Shared(Zone),
}

/// The zones of a configuration, by name, with their sizes.
#[derive(Debug, Default)]
pub(in crate::config) struct Zones(RefCell<BTreeMap<Vec<u8>, (u64, Zone)>>);

impl Ssl {
    /// Takes in one of the directives.
    pub(super) fn take(
        &mut self,
        word: SslWord,
        directive: &Directive,
        ground: &Ground<'_>,
        complaints: &mut Complaints,
    ) -> Result<(), Complaint> {
        let said = Said::of(directive);
        match word {
            SslWord::Ciphers => {
                self.ciphers = Some(Late { value: cipher_list(directive, complaints)?, said });
            }
            SslWord::PreferServerCiphers => self.server_order = Some(flag(directive)?),
            SslWord::EcdhCurve => self.groups = Some(Late { value: curves(directive, complaints)?, said }),
            SslWord::ConfCommand => {
                let value = conf_command::read(directive, complaints)?;
                self.commands.push(Late { value, said });
            }
            SslWord::Dhparam => {
                let message =
                    r#"the "ssl_dhparam" directive has no effect: there are no DHE ciphers, ECDHE is used"#;
                complaints.push(Complaint::of(directive, message).warning());
            }
            SslWord::SessionCache => self.cache = Some(session_cache(directive, ground)?),
            SslWord::SessionTimeout => self.timeout = Some(session_timeout(directive, complaints)?),
            SslWord::SessionTickets => self.tickets = Some(flag(directive)?),
            SslWord::SessionTicketKey => self.ticket_keys.push(named(directive, ground)?),
        }
        Ok(())
    }

    /// The files that it names.
    pub(super) fn files<'a>(own: &'a Self, mail: &'a Self) -> &'a [Named] {
        if own.ticket_keys.is_empty() { &mail.ticket_keys } else { &own.ticket_keys }
    }

    /// Puts what counts into `settings`.
    ///
    /// # Errors
    ///
    /// What OpenSSL or rustls would not take, and where it was said.
    pub(super) fn put_into(own: &Self, mail: &Self, settings: &mut Settings) -> Result<(), (Said, Fault)> {
        let preferences = &mut settings.preferences;
        if let Some(ciphers) = effective(own.ciphers.as_ref(), mail.ciphers.as_ref()) {
            preferences.tls12_suites = Some(ciphers.get()?.clone());
        }
        if let Some(groups) = effective(own.groups.as_ref(), mail.groups.as_ref()) {
            preferences.groups.clone_from(groups.get()?);
        }
        preferences.server_order = effective(own.server_order, mail.server_order).unwrap_or(false);

        let resumption = &mut settings.resumption;
        resumption.cache = match effective(own.cache.clone(), mail.cache.clone()) {
            Some(Cache::Shared(zone)) => Some(zone),
            Some(Cache::Builtin(sessions)) => Some(Zone::of_sessions(sessions)),
            Some(Cache::Off) | None => None,
        };
        if let Some(timeout) = effective(own.timeout, mail.timeout) {
            resumption.timeout = timeout;
        }
        resumption.tickets = effective(own.tickets, mail.tickets).unwrap_or(true);
        resumption.ticket_keys = Self::files(own, mail).iter().map(|file| file.path.clone()).collect();

        // As with nginx these come last, and have the last word.
        let commands = if own.commands.is_empty() { &mail.commands } else { &own.commands };
        for command in commands {
            command.get()?.iter().for_each(|command| command.put_into(settings));
        }
        Ok(())
    }
}

impl<T> Late<T> {
    fn get(&self) -> Result<&T, (Said, Fault)> {
        self.value.as_ref().map_err(|fault| (self.said, fault.clone()))
    }
}

/// `ssl_ciphers`.
fn cipher_list(
    directive: &Directive,
    complaints: &mut Complaints,
) -> Result<Result<Vec<CipherSuite>, Fault>, Complaint> {
    let word = argument(directive, 0)?;
    let list = text(directive, word)?;
    Ok(match ciphers::list(&list) {
        Ok(chosen) => {
            warn_of_ciphers(&chosen, directive, word, complaints);
            Ok(chosen.suites)
        }
        Err(refusal) => {
            let message = format!("SSL_CTX_set_cipher_list(\"{list}\") failed (SSL: {refusal})");
            Err(Fault { message, hint: CIPHERS_HINT })
        }
    })
}

pub(super) const CIPHERS_HINT: &str = "TLS 1.2 has ECDHE with AES-GCM or CHACHA20-POLY1305 here, as in `HIGH:!aNULL:!MD5` or \
                                       `ECDHE-RSA-AES256-GCM-SHA384`";

/// `ssl_ecdh_curve`.
fn curves(
    directive: &Directive,
    complaints: &mut Complaints,
) -> Result<Result<Option<Vec<NamedGroup>>, Fault>, Complaint> {
    let word = argument(directive, 0)?;
    let list = text(directive, word)?;
    if &*list == "auto" {
        return Ok(Ok(None));
    }
    Ok(match groups::list(&list) {
        Ok(chosen) => {
            warn_of_groups(&chosen, directive, word, complaints);
            // Those there are anyway, where all that were asked for are lacking.
            Ok(Some(chosen.groups).filter(|groups| !groups.is_empty()))
        }
        Err(refusal) => {
            let reason = refusal.to_string();
            let reason = if reason.is_empty() { reason } else { format!(" (SSL: {reason})") };
            let message = format!("SSL_CTX_set1_curves_list(\"{list}\") failed{reason}");
            Err(Fault { message, hint: GROUPS_HINT })
        }
    })
}

pub(super) const GROUPS_HINT: &str =
    "there are X25519MLKEM768, X25519, prime256v1 and secp384r1, between colons; `auto` takes them all";

/// The lacking ones, and whatever else there is to be said of a list of ciphers.
pub(super) fn warn_of_ciphers(
    chosen: &ciphers::Chosen,
    directive: &Directive,
    word: &Word,
    complaints: &mut Complaints,
) {
    warn_of_lacking("ciphers", &chosen.lacking, directive, word, complaints);
    for remark in &chosen.remarks {
        complaints.push(Complaint::of(directive, remark.clone()).under(word.span).warning());
    }
}

/// The lacking ones, and that the others are taken where there is none left.
pub(super) fn warn_of_groups(
    chosen: &groups::Chosen,
    directive: &Directive,
    word: &Word,
    complaints: &mut Complaints,
) {
    match chosen.groups.is_empty() {
        false => warn_of_lacking("groups", &chosen.lacking, directive, word, complaints),
        true => {
            let lacking = chosen.lacking.join(":");
            let message = format!("the groups \"{lacking}\" are not supported, those of `auto` are used");
            complaints.push(Complaint::of(directive, message).under(word.span).warning());
        }
    }
}

/// What rustls lacks stays off, and is said to.
pub(super) fn warn_of_lacking(
    what: &str,
    lacking: &[String],
    directive: &Directive,
    word: &Word,
    complaints: &mut Complaints,
) {
    if !lacking.is_empty() {
        let message = format!("the {what} \"{}\" are not supported and stay off", lacking.join(":"));
        complaints.push(Complaint::of(directive, message).under(word.span).warning());
    }
}

/// Of `off`, `none` and `builtin` the last counts. A zone serves with `builtin` or without, unless that is off.
fn session_cache(directive: &Directive, ground: &Ground<'_>) -> Result<Cache, Complaint> {
    let (mut off, mut builtin, mut shared) = (false, None, None);
    for word in &directive.args {
        match &*word.text {
            b"off" | b"none" => (off, builtin) = (true, None),
            b"builtin" => (off, builtin) = (false, Some(BUILTIN_SESSIONS)),
            text => match (text.strip_prefix(b"builtin:"), text.strip_prefix(b"shared:")) {
                (Some(count), _) => {
                    let count = super::value::digits(count).and_then(|count| usize::try_from(count).ok());
                    let count = count.ok_or_else(|| no_cache(directive, word))?;
                    (off, builtin) = (false, Some(if count == 0 { BUILTIN_SESSIONS } else { count }));
                }
                (_, Some(zone)) => shared = Some(shared_zone(zone, directive, word, ground.zones)?),
                _ => return Err(no_cache(directive, word)),
            },
        }
    }
    Ok(match (off, builtin, shared) {
        (false, _, Some(zone)) => Cache::Shared(zone),
        (false, Some(sessions), None) => Cache::Builtin(sessions),
        _ => Cache::Off,
    })
}

/// `NAME:SIZE`.
fn shared_zone(text: &[u8], directive: &Directive, word: &Word, zones: &Zones) -> Result<Zone, Complaint> {
    let invalid = || no_cache(directive, word);
    let at = text.iter().position(|&octet| octet == b':').filter(|&at| at > 0).ok_or_else(invalid)?;
    let (name, size) = text.split_at(at);
    let size = size.get(1..).and_then(parse_size).ok_or_else(invalid)?;
    if size < ZONE_BYTES_MIN {
        let message = format!("session cache \"{}\" is too small", word.shown());
        return Err(Complaint::of(directive, message).under(word.span).label("at least 32k"));
    }
    let mut zones = zones.0.borrow_mut();
    let bytes = usize::try_from(size).unwrap_or(usize::MAX);
    let (first, zone) = zones.entry(name.to_owned()).or_insert_with(|| (size, Zone::of_bytes(bytes)));
    if *first != size {
        let name = String::from_utf8_lossy(name);
        let message = format!(
            "the size {size} of shared memory zone \"{name}\" conflicts with already declared size {first}"
        );
        return Err(Complaint::of(directive, message).under(word.span));
    }
    Ok(zone.clone())
}

fn no_cache(directive: &Directive, word: &Word) -> Complaint {
    Complaint::of(directive, format!("invalid session cache \"{}\"", word.shown()))
        .under(word.span)
        .label("`off`, `none`, `builtin`, `builtin:SESSIONS` or `shared:NAME:SIZE`")
}

fn session_timeout(directive: &Directive, complaints: &mut Complaints) -> Result<Duration, Complaint> {
    let word = argument(directive, 0)?;
    let seconds = parse_seconds(&word.text).ok_or_else(|| {
        invalid(directive, word)
            .label("seconds, or numbers with `y`, `M`, `w`, `d`, `h`, `m`, `s`, largest first")
    })?;
    let timeout = Duration::from_secs(seconds);
    if timeout > ticket_lifetime_max() {
        let message =
            r#""ssl_session_timeout" is longer than a day, which is how long tickets are good at most"#;
        complaints.push(Complaint::of(directive, message).under(word.span).warning());
    }
    Ok(timeout)
}
