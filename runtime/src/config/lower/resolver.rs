//! `resolver`: config.md 7.2.

use std::net::SocketAddr;
use std::time::Duration;

use super::address::{Fault, sockets_of};
use super::value::{argument, parse_seconds};
use crate::config::diagnostic::Complaint;
use crate::config::lex::Word;
use crate::config::surroundings::Surroundings;
use crate::config::tree::Directive;
use crate::resolve::Settings;

const DEFAULT_PORT: u16 = 53;

/// nginx's default of `resolver_timeout`.
pub(super) const RESOLVER_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest time to live there is (RFC 2181 section 8), in seconds: some 68 years.
const VALID_SECONDS_MAX: u64 = 0x7FFF_FFFF;

/// What a `resolver` says.
#[derive(Clone, Debug)]
pub(super) enum Resolver {
    /// `off`: there is none, whatever the outer block says.
    Off,
    /// These servers are asked.
    Ask(Settings),
}

/// Understands a `resolver`. A server's name becomes all its addresses.
pub(super) fn resolver(
    directive: &Directive,
    surroundings: &dyn Surroundings,
) -> Result<Resolver, Complaint> {
    if &*argument(directive, 0)?.text == b"off" {
        return Ok(Resolver::Off);
    }
    let mut settings = Settings { servers: Vec::new(), valid: None, ipv4: true, ipv6: true };
    for word in &directive.args {
        let text = word.shown();
        match text.split_once('=') {
            // Of 0, too, nginx makes that answers are kept for as long as they say.
            Some(("valid", span)) => match parse_seconds(span.as_bytes()) {
                Some(seconds) => {
                    settings.valid = Some(Duration::from_secs(seconds.min(VALID_SECONDS_MAX)))
                        .filter(|valid| !valid.is_zero());
                }
                None => {
                    return Err(invalid(directive, word)
                        .label("seconds, or numbers with `y`, `M`, `w`, `d`, `h`, `m`, `s`, largest first"));
                }
            },
            Some(("ipv4", flag)) => {
                settings.ipv4 = on_or_off(flag).ok_or_else(|| invalid(directive, word))?;
            }
            Some(("ipv6", flag)) => {
                settings.ipv6 = on_or_off(flag).ok_or_else(|| invalid(directive, word))?;
            }
            _ => {
                let found = servers(&text, surroundings).map_err(|fault| {
                    let message = format!("{fault} in resolver \"{text}\"");
                    let complaint = Complaint::of(directive, message).under(word.span);
                    match text.eq_ignore_ascii_case("off") {
                        true => complaint.label("`off` stands alone and in lower case"),
                        false => complaint.hint(fault.hint(&text)),
                    }
                })?;
                settings.servers.extend(found);
            }
        }
    }
    if !settings.ipv4 && !settings.ipv6 {
        return Err(Complaint::of(directive, r#""ipv4" and "ipv6" cannot both be "off""#));
    }
    if settings.servers.is_empty() {
        return Err(Complaint::of(directive, "no name servers defined"));
    }
    Ok(Resolver::Ask(settings))
}

fn servers(text: &str, surroundings: &dyn Surroundings) -> Result<Vec<SocketAddr>, Fault> {
    if text.contains(['/', '?']) {
        return Err(Fault::InvalidHost);
    }
    sockets_of(text, DEFAULT_PORT, surroundings)
}

/// In lower case only, as nginx has it here.
fn on_or_off(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn invalid(directive: &Directive, word: &Word) -> Complaint {
    Complaint::of(directive, format!("invalid parameter: {}", word.shown())).under(word.span)
}
