//! `ssl_conf_command NAME VALUE`: OpenSSL's own settings (SSL_CONF_cmd(3)), as far as there is such a thing here.

use rustls::{CipherSuite, NamedGroup, SignatureScheme};

use super::ssl::{CIPHERS_HINT, Fault, GROUPS_HINT, warn_of_ciphers, warn_of_groups, warn_of_lacking};
use super::value::{argument, digits, text};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::tree::Directive;
use crate::tls::{Settings, Versions, ciphers, groups};

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Tls12Suites(Vec<CipherSuite>),
    Tls13Suites(Vec<CipherSuite>),
    /// `None` for those there are anyway.
    Groups(Option<Vec<NamedGroup>>),
    Signatures(Vec<SignatureScheme>),
    /// Only these of the versions that are on stay so.
    Only(Versions),
    /// Turns versions on or off.
    Turn(Versions, bool),
    ServerOrder(bool),
    Tickets(bool),
    Tls13Tickets(usize),
}

impl Command {
    pub(super) fn put_into(&self, settings: &mut Settings) {
        let (preferences, versions) = (&mut settings.preferences, &mut settings.versions);
        match self {
            Self::Tls12Suites(suites) => preferences.tls12_suites = Some(suites.clone()),
            Self::Tls13Suites(suites) => preferences.tls13_suites = Some(suites.clone()),
            Self::Groups(groups) => preferences.groups.clone_from(groups),
            Self::Signatures(schemes) => preferences.signatures = Some(schemes.clone()),
            Self::Only(only) => {
                versions.tls12 &= only.tls12;
                versions.tls13 &= only.tls13;
            }
            Self::Turn(turned, on) => {
                versions.tls12 = if turned.tls12 { *on } else { versions.tls12 };
                versions.tls13 = if turned.tls13 { *on } else { versions.tls13 };
            }
            Self::ServerOrder(on) => preferences.server_order = *on,
            Self::Tickets(on) => settings.resumption.tickets = *on,
            Self::Tls13Tickets(count) => settings.resumption.tls13_tickets = *count,
        }
    }
}

/// What becomes of a value, unless it is OpenSSL that would not take it.
type Read = Result<Vec<Command>, Fault>;

/// Reads a command; warns of what has no effect.
pub(super) fn read(directive: &Directive, complaints: &mut Complaints) -> Result<Read, Complaint> {
    let (name_word, value_word) = (argument(directive, 0)?, argument(directive, 1)?);
    let (name, value) = (text(directive, name_word)?, text(directive, value_word)?);
    let failed = |reason: &str, hint| {
        let message = format!("SSL_CONF_cmd(\"{name}\", \"{value}\") failed (SSL: {reason})");
        Fault { message, hint }
    };
    let bad = |before: String, hint| {
        let space = if before.is_empty() { "" } else { " " };
        failed(
            &format!("{before}{space}error:0A000180:SSL routines::bad value:cmd={name}, value={value}"),
            hint,
        )
    };
    let tickets = digits(value.as_bytes()).and_then(|count| usize::try_from(count).ok());
    let tickets = tickets.filter(|&count| count <= TLS13_TICKETS_MAX);
    let read = match name.to_ascii_lowercase().as_str() {
        "ciphersuites" => {
            ciphers::suites(&value).map_err(|why| bad(why.to_string(), SUITES_HINT)).map(|chosen| {
                warn_of_ciphers(&chosen, directive, value_word, complaints);
                vec![Command::Tls13Suites(chosen.suites)]
            })
        }
        "cipherstring" => {
            ciphers::list(&value).map_err(|why| bad(why.to_string(), CIPHERS_HINT)).map(|chosen| {
                warn_of_ciphers(&chosen, directive, value_word, complaints);
                vec![Command::Tls12Suites(chosen.suites)]
            })
        }
        "groups" | "curves" => {
            groups::list(&value).map_err(|why| bad(why.to_string(), GROUPS_HINT)).map(|chosen| {
                warn_of_groups(&chosen, directive, value_word, complaints);
                vec![Command::Groups(Some(chosen.groups).filter(|groups| !groups.is_empty()))]
            })
        }
        "minprotocol" => version(&value)
            .map(|version| vec![Command::Only(Versions { tls12: version <= 12, tls13: true })])
            .ok_or_else(|| bad(String::new(), VERSIONS_HINT)),
        "maxprotocol" => version(&value)
            .map(|version| if version == 0 { 13 } else { version })
            .map(|version| vec![Command::Only(Versions { tls12: version >= 12, tls13: version >= 13 })])
            .ok_or_else(|| bad(String::new(), VERSIONS_HINT)),
        "protocol" => protocols(&value).ok_or_else(|| bad(String::new(), VERSIONS_HINT)),
        "signaturealgorithms" => match signatures(&value) {
            Some((schemes, without)) if !schemes.is_empty() => {
                warn_of_lacking("signature algorithms", &without, directive, value_word, complaints);
                Ok(vec![Command::Signatures(schemes)])
            }
            _ => Err(bad(String::new(), SIGNATURES_HINT)),
        },
        "numtickets" if tickets.is_some() => Ok(tickets.map(Command::Tls13Tickets).into_iter().collect()),
        "options" => {
            let read = options(&value, directive, value_word, complaints);
            read.ok_or_else(|| bad(String::new(), "see SSL_CONF_cmd(3) of OpenSSL"))
        }
        "verifymode" if !value.split(',').all(is_verify_mode) => Err(bad(String::new(), VERIFY_MODE_HINT)),
        guard @ ("verifymode" | "verifycafile" | "verifycapath" | "verifycastore") => {
            let hint = if guard == "verifymode" { VERIFY_MODE_HINT } else { VERIFY_CA_HINT };
            let message = format!("\"{name}\" of \"ssl_conf_command\" is not supported");
            Err(Fault { message, hint })
        }
        known if WITHOUT_EFFECT.contains(&known) => {
            let message = format!("\"{name}\" of \"ssl_conf_command\" has no effect");
            complaints.push(Complaint::of(directive, message).under(name_word.span).warning());
            Ok(Vec::new())
        }
        _ => {
            let reason = format!("error:0A000182:SSL routines::unknown cmd name:cmd={name}");
            Err(failed(&reason, "see SSL_CONF_cmd(3) of OpenSSL"))
        }
    };
    Ok(read)
}

/// More would only make handshakes long.
const TLS13_TICKETS_MAX: usize = 100;

const SUITES_HINT: &str =
    "TLS 1.3 has TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256 and TLS_AES_128_GCM_SHA256";
const VERSIONS_HINT: &str = "`TLSv1.2` or `TLSv1.3`";
const SIGNATURES_HINT: &str = "such as `ECDSA+SHA256:ed25519:RSA-PSS+SHA256:RSA+SHA256`";

/// Who may come in is not to depend on what is passed over.
const VERIFY_MODE_HINT: &str = "`ssl_verify_client` asks clients for certificates";
const VERIFY_CA_HINT: &str = "`ssl_client_certificate` and `ssl_trusted_certificate` name the authorities";

/// `Peer,Require`. OpenSSL has no word for not asking.
fn is_verify_mode(word: &str) -> bool {
    let modes = ["peer", "request", "require", "once", "requestpostha", "requirepostha"];
    modes.contains(&word.trim().to_ascii_lowercase().as_str())
}

/// Commands that OpenSSL knows and that there is no such thing for here.
const WITHOUT_EFFECT: &[&str] = &[
    "clientsignaturealgorithms",
    "ecdhparameters",
    "certificate",
    "privatekey",
    "serverinfofile",
    "chaincapath",
    "chaincafile",
    "chaincastore",
    "requestcapath",
    "clientcapath",
    "requestcafile",
    "requestcastore",
    "clientcafile",
    "clientcastore",
    "dhparameters",
    "recordpadding",
    // OpenSSL takes any word for a number.
    "numtickets",
];

/// The version times ten; 0 for `None`, which is no bound.
fn version(name: &str) -> Option<u8> {
    Some(match name {
        "None" => 0,
        "SSLv3" => 3,
        "TLSv1" => 10,
        "TLSv1.1" => 11,
        "TLSv1.2" => 12,
        "TLSv1.3" => 13,
        _ => return None,
    })
}

/// `-ALL,TLSv1.2`: what has no sign is turned on.
fn protocols(list: &str) -> Option<Vec<Command>> {
    let items = list.split(',').map(|item| {
        let (on, name) = signed(item);
        let turned = match name.to_ascii_lowercase().as_str() {
            "all" => Versions { tls12: true, tls13: true },
            "tlsv1.2" => Versions { tls12: true, tls13: false },
            "tlsv1.3" => Versions { tls12: false, tls13: true },
            "sslv2" | "sslv3" | "tlsv1" | "tlsv1.1" => Versions { tls12: false, tls13: false },
            _ => return None,
        };
        Some(Command::Turn(turned, on))
    });
    items.collect()
}

/// `ServerPreference,-SessionTicket`. Some ask for what happens anyway; of the others it is said that they have no effect.
fn options(
    list: &str,
    directive: &Directive,
    word: &Word,
    complaints: &mut Complaints,
) -> Option<Vec<Command>> {
    let mut commands = Vec::new();
    for item in list.split(',').map(str::trim) {
        let (on, name) = signed(item);
        let so_anyway = match name.to_ascii_lowercase().as_str() {
            "serverpreference" => {
                commands.push(Command::ServerOrder(on));
                true
            }
            "sessionticket" => {
                commands.push(Command::Tickets(on));
                true
            }
            "norenegotiation"
            | "noresumptiononrenegotiation"
            | "ecdhsingle"
            | "dhsingle"
            | "emptyfragments"
            | "encryptthenmac"
            | "extendedmastersecret"
            | "middleboxcompat"
            | "antireplay"
            | "canames" => on,
            "compression"
            | "clientrenegotiation"
            | "ktlstxzerocopysendfile"
            | "unsafelegacyrenegotiation"
            | "unsafelegacyserverconnect"
            | "allownodhekex"
            | "prefernodhekex"
            | "ktls"
            | "strictx509"
            | "bugs"
            | "txcertificatecompression"
            | "rxcertificatecompression" => !on,
            "prioritizechacha" | "ignoreunexpectedeof" => false,
            _ => return None,
        };
        if !so_anyway {
            let message = format!("the option \"{item}\" of \"ssl_conf_command\" has no effect");
            complaints.push(Complaint::of(directive, message).under(word.span).warning());
        }
    }
    Some(commands)
}

fn signed(item: &str) -> (bool, &str) {
    match item.strip_prefix('-') {
        Some(name) => (false, name),
        None => (true, item.strip_prefix('+').unwrap_or(item)),
    }
}

/// Names between colons, as in RFC 8446 section 4.2.3 or as `RSA+SHA256`; and those that OpenSSL has and rustls has not.
/// `None` if OpenSSL knows one not either.
fn signatures(list: &str) -> Option<(Vec<SignatureScheme>, Vec<String>)> {
    let (mut schemes, mut lacking) = (Vec::new(), Vec::new());
    for name in list.split(':') {
        let scheme = match name.to_ascii_lowercase().as_str() {
            "ecdsa_secp256r1_sha256" | "ecdsa+sha256" => SignatureScheme::ECDSA_NISTP256_SHA256,
            "ecdsa_secp384r1_sha384" | "ecdsa+sha384" => SignatureScheme::ECDSA_NISTP384_SHA384,
            "ecdsa_secp521r1_sha512" | "ecdsa+sha512" => SignatureScheme::ECDSA_NISTP521_SHA512,
            "ed25519" => SignatureScheme::ED25519,
            "rsa_pss_rsae_sha256" | "rsa-pss+sha256" | "pss+sha256" => SignatureScheme::RSA_PSS_SHA256,
            "rsa_pss_rsae_sha384" | "rsa-pss+sha384" | "pss+sha384" => SignatureScheme::RSA_PSS_SHA384,
            "rsa_pss_rsae_sha512" | "rsa-pss+sha512" | "pss+sha512" => SignatureScheme::RSA_PSS_SHA512,
            "rsa_pkcs1_sha256" | "rsa+sha256" => SignatureScheme::RSA_PKCS1_SHA256,
            "rsa_pkcs1_sha384" | "rsa+sha384" => SignatureScheme::RSA_PKCS1_SHA384,
            "rsa_pkcs1_sha512" | "rsa+sha512" => SignatureScheme::RSA_PKCS1_SHA512,
            "ed448" | "rsa_pss_pss_sha256" | "rsa_pss_pss_sha384" | "rsa_pss_pss_sha512" | "ecdsa_sha1"
            | "ecdsa_sha224" | "rsa_pkcs1_sha1" | "rsa_pkcs1_sha224" | "rsa+sha1" | "rsa+sha224"
            | "ecdsa+sha1" | "ecdsa+sha224" | "dsa+sha1" | "dsa+sha224" | "dsa+sha256" | "dsa+sha384"
            | "dsa+sha512" => {
                lacking.push(name.to_owned());
                continue;
            }
            _ => return None,
        };
        if !schemes.contains(&scheme) {
            schemes.push(scheme);
        }
    }
    Some((schemes, lacking))
}
