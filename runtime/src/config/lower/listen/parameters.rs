//! What stands behind the address of a `listen`.

use std::time::Duration;

use super::Listen;
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::lower::scope::Said;
use crate::config::lower::value::{digits, parse_seconds, parse_size};
use crate::config::surroundings::Surroundings;
use crate::config::tree::Directive;
use crate::config::{Keepalive, Listener};

/// Makes `listen` what `word`, one of its parameters, says.
pub(super) fn take(
    listen: &mut Listen,
    directive: &Directive,
    word: &Word,
    surroundings: &dyn Surroundings,
    complaints: &mut Complaints,
) -> Result<(), Complaint> {
    let text = word.shown();
    let invalid =
        |message: String| Complaint::of(directive, message).under(word.span).label(hint(&text).unwrap_or(""));
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text.as_str(), None),
    };
    let mut each = |change: &dyn Fn(&mut Listener)| listen.listeners.iter_mut().for_each(change);
    let own_socket = match (name, value) {
        ("ssl", None) => {
            each(&|listener| listener.tls_first = true);
            listen.ssl = Some(Said { end: directive.end, words: word.span });
            false
        }
        ("proxy_protocol", None) => {
            each(&|listener| listener.proxy_protocol = true);
            false
        }
        // Of every port each thread has a socket anyway: the parameter asks only that this one is not a wildcard's.
        ("bind" | "reuseport", None) => true,
        ("backlog", Some(value)) => {
            let number = digits(value.as_bytes()).and_then(|number| i32::try_from(number).ok());
            let backlog = number.filter(|&number| number > 0);
            let backlog = backlog.ok_or_else(|| invalid(format!("invalid backlog \"{text}\"")))?;
            each(&|listener| listener.backlog = backlog);
            true
        }
        ("rcvbuf", Some(value)) => {
            let octets = buffer(value).ok_or_else(|| invalid(format!("invalid rcvbuf \"{text}\"")))?;
            each(&|listener| listener.receive_buffer_bytes = Some(octets));
            true
        }
        ("sndbuf", Some(value)) => {
            let octets = buffer(value).ok_or_else(|| invalid(format!("invalid sndbuf \"{text}\"")))?;
            each(&|listener| listener.send_buffer_bytes = Some(octets));
            true
        }
        ("ipv6only", Some(value @ ("on" | "off"))) => {
            each(&|listener| listener.ipv6_only = value == "on");
            true
        }
        ("ipv6only", Some(value)) if value.starts_with('o') => {
            return Err(invalid(format!("invalid ipv6only flags \"{value}\"")));
        }
        ("so_keepalive", Some(value)) => {
            let message = format!("invalid so_keepalive value: \"{value}\"");
            let keepalive = keepalive(value).ok_or_else(|| invalid(message))?;
            each(&|listener| listener.keepalive = keepalive);
            listen.says_keepalive = true;
            true
        }
        ("multipath", None) => {
            let possible = surroundings.has_multipath();
            if !possible {
                let message = "multipath is not supported on this platform, ignored";
                complaints.push(Complaint::of(directive, message).under(word.span).warning());
            }
            each(&|listener| listener.multipath = possible);
            true
        }
        ("deferred", None) | ("fastopen", Some(_)) => {
            let message = format!("the parameter \"{text}\" of \"listen\" has no effect, ignored");
            let complaint = Complaint::of(directive, message).under(word.span).warning();
            complaints.push(complaint.label("connections are accepted as they come"));
            false
        }
        _ => return Err(invalid(format!("invalid parameter \"{text}\""))),
    };
    if own_socket {
        listen.own_socket = Some(word.span);
    }
    remark(listen, name, &text, directive, word, complaints);
    Ok(())
}

/// Warns of a parameter that means nothing to any of the addresses.
fn remark(
    listen: &Listen,
    name: &str,
    text: &str,
    directive: &Directive,
    word: &Word,
    complaints: &mut Complaints,
) {
    let all_are = |is: fn(&Listener) -> bool| listen.listeners.iter().all(is);
    let socket = match name {
        "so_keepalive" | "multipath" | "ipv6only" if all_are(|each| each.address.inet().is_none()) => {
            "a UNIX"
        }
        "ipv6only" if all_are(|each| each.address.ip().is_some_and(|ip| ip.is_ipv4())) => "an IPv4",
        _ => return,
    };
    let message = format!("the parameter \"{text}\" of \"listen\" has no effect on {socket} socket");
    complaints.push(Complaint::of(directive, message).under(word.span).warning());
}

/// What nginx's other modules take, and this one does not.
fn hint(text: &str) -> Option<&'static str> {
    match text {
        "default" | "default_server" => Some("a port of mail has one server"),
        "http2" | "quic" | "spdy" => Some("a protocol of the web"),
        _ => None,
    }
}

/// A size that a socket can be told.
fn buffer(value: &str) -> Option<usize> {
    let octets = parse_size(value.as_bytes())?;
    i32::try_from(octets).ok().and_then(|octets| usize::try_from(octets).ok())
}

/// `on`, `off`, or up to three values, of which one at least is not 0.
fn keepalive(value: &str) -> Option<Option<Keepalive>> {
    match value {
        "on" => return Some(Some(Keepalive::default())),
        "off" => return Some(None),
        _ => {}
    }
    let mut fields = value.splitn(3, ':');
    let mut field = || fields.next().filter(|field| !field.is_empty());
    let seconds =
        |text: &str| parse_seconds(text.as_bytes()).filter(|&seconds| i32::try_from(seconds).is_ok());
    let idle = field().map_or(Some(0), seconds)?;
    let interval = field().map_or(Some(0), seconds)?;
    let count = field()
        .map_or(Some(0), |text| digits(text.as_bytes()).and_then(|count| u32::try_from(count).ok()))?;
    let span = |seconds| Some(Duration::from_secs(seconds)).filter(|span| !span.is_zero());
    let count = Some(count).filter(|&count| count > 0);
    let keepalive = Keepalive { idle: span(idle), interval: span(interval), count };
    (keepalive != Keepalive::default()).then_some(Some(keepalive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalive_has_three_fields_of_which_one_at_least_is_said() {
        let seconds = Duration::from_secs;
        let said = |idle: u64, interval: u64, count: u32| Keepalive {
            idle: (idle > 0).then(|| seconds(idle)),
            interval: (interval > 0).then(|| seconds(interval)),
            count: (count > 0).then_some(count),
        };
        for (text, keepalive) in [
            ("on", Some(Some(Keepalive::default()))),
            ("off", Some(None)),
            ("30m::10", Some(Some(said(1800, 0, 10)))),
            ("60", Some(Some(said(60, 0, 0)))),
            (":5s", Some(Some(said(0, 5, 0)))),
            ("1:2:3", Some(Some(said(1, 2, 3)))),
            ("0::3", Some(Some(said(0, 0, 3)))),
            ("", None),
            ("::", None),
            ("0:0:0", None),
            ("ON", None),
            ("1ms", None),
            ("1:x", None),
            ("1:2:-3", None),
            ("1:2:3:4", None),
            ("9999999999", None),
        ] {
            assert_eq!(super::keepalive(text), keepalive, "{text:?}");
        }
    }
}
