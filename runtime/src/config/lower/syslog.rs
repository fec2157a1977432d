//! `syslog:server=…,…`: config.md 9.

use std::borrow::Cow;

use gatepost_core::Address;
use gatepost_core::report::Level;

use super::Ground;
use super::address::{Fault, sockets_of, unix_path};
use super::log::level_named;
use crate::config::Syslog;
use crate::config::diagnostic::Complaint;
use crate::config::lex::Word;
use crate::config::tree::Directive;

const DEFAULT_PORT: u16 = 514;

const TAG_CHARS_MAX: usize = 32;

/// Understands what stands behind `syslog:`.
pub(super) fn syslog(
    directive: &Directive,
    word: &Word,
    parameters: &str,
    ground: &Ground<'_>,
) -> Result<Syslog, Complaint> {
    let refused = |message: Cow<'static, str>| Complaint::of(directive, message).under(word.span);
    let (mut server, mut facility, mut severity, mut tag, mut nameless) = (None, None, None, None, false);
    for parameter in parameters.split(',') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_duplicate = match name {
            "server" => server.is_some(),
            "facility" => facility.is_some(),
            "severity" => severity.is_some(),
            "tag" => tag.is_some(),
            _ => false,
        };
        if is_duplicate {
            return Err(refused(format!("duplicate syslog \"{name}\"").into()));
        }
        match (name, parameter.contains('=')) {
            ("server", true) => {
                server = Some(address(value, ground).map_err(|fault| {
                    refused(format!("{fault} in syslog server \"{value}\"").into()).hint(fault.hint(value))
                })?);
            }
            ("facility", true) => {
                let known = Syslog::facility(value);
                facility = Some(
                    known.ok_or_else(|| refused(format!("unknown syslog facility \"{value}\"").into()))?,
                );
            }
            ("severity", true) => {
                let known = level_named(value);
                severity = Some(
                    known.ok_or_else(|| refused(format!("unknown syslog severity \"{value}\"").into()))?,
                );
            }
            ("tag", true) if value.len() > TAG_CHARS_MAX => {
                return Err(refused(format!("syslog tag length exceeds {TAG_CHARS_MAX}").into()));
            }
            ("tag", true) if !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                let message = r#"syslog "tag" only allows alphanumeric characters and underscore"#;
                return Err(refused(message.into()));
            }
            ("tag", true) => tag = Some(value),
            ("nohostname", false) => nameless = true,
            _ => {
                let complaint = refused(format!("unknown syslog parameter \"{parameter}\"").into());
                return Err(complaint.hint("known: server=, facility=, severity=, tag=, nohostname"));
            }
        }
    }
    let server = server.ok_or_else(|| {
        refused("no syslog server specified".into()).hint("as in syslog:server=unix:/dev/log,facility=mail")
    })?;
    Ok(Syslog {
        server,
        facility: facility.or_else(|| Syslog::facility("local7")).unwrap_or_default(),
        severity: severity.unwrap_or(Level::Info).into(),
        tag: tag.unwrap_or("nginx").into(),
        host: (!nameless).then(|| ground.surroundings.host_name().to_ascii_lowercase().into()),
    })
}

/// A host's first address, as with nginx: datagrams tell nobody that there is nobody to read them.
fn address(text: &str, ground: &Ground<'_>) -> Result<Address, Fault> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Address::Unix(unix_path(path)?.into()));
    }
    if text.contains(['/', '?']) {
        return Err(Fault::InvalidHost);
    }
    let sockets = sockets_of(text, DEFAULT_PORT, ground.surroundings)?;
    sockets.first().copied().map(Address::Inet).ok_or(Fault::HostNotFound)
}
