//! `access_log`: a line for each session, at its end (divergences D43).

use std::fmt::{self, Display, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use gatepost_core::{Address, Certificate, LimitStatus, Proxied, TlsFacts};
use jiff::Zoned;

use super::ending::Ending;
use super::outcome::Outcome;
use super::outlet::{Fate, Line, Loss, Outlet};
use crate::config::{Escape, LogFormat, LogSink, Piece, SyslogSeverity, Variable};
use crate::system_error::system_error;

/// One `access_log`.
#[derive(Debug)]
pub struct AccessLog {
    pub(super) outlet: Arc<Outlet>,
    /// Who is told of lost lines: a format of somebody's own has no place for that.
    pub(super) stderr: Arc<Outlet>,
    pub(super) severity: SyslogSeverity,
    pub(super) format: Arc<LogFormat>,
}

/// A session that is over, as its lines tell it.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) ending: &'a Ending,
    pub(super) outcome: Outcome,
    /// The connection's number.
    pub(super) number: u64,
    /// When it ended.
    pub(super) time: &'a Zoned,
}

impl AccessLog {
    pub(super) fn severity_of(sink: &LogSink) -> SyslogSeverity {
        match sink {
            LogSink::Syslog(settings) => settings.severity,
            LogSink::Stderr | LogSink::File(_) => gatepost_core::report::Level::Info.into(),
        }
    }

    /// Writes a session's line. One that cannot go at once is lost; standard error is told when that begins, and how many they were
    /// once lines are taken again.
    pub(super) fn put(&self, record: &Record<'_>) {
        let mut octets = render(&self.format, record);
        octets.push(b'\n');
        let lost = self.outlet.take_lost();
        let line = Line { octets: &octets, time: record.time, severity: self.severity, stands_for: 1 };
        match self.outlet.put(line) {
            Fate::Written if lost > 0 => {
                self.tell(record.time, &format_args!("{}: {lost} lines were lost", self.outlet));
            }
            Fate::Written => {}
            Fate::Lost(_) | Fate::SentAfterLoss(_) if lost > 0 => self.outlet.untold(lost),
            Fate::Lost(Loss::Another) | Fate::SentAfterLoss(Loss::Another) => {}
            Fate::Lost(Loss::First(error)) | Fate::SentAfterLoss(Loss::First(error)) => {
                let why = system_error(self.outlet.call(), &error);
                self.tell(record.time, &format_args!("{}: lines are being lost, {why}", self.outlet));
            }
        }
    }

    fn tell(&self, time: &Zoned, what: &dyn Display) {
        let (when, process) = (time.strftime("%Y/%m/%d %H:%M:%S"), std::process::id());
        let text = format!("{when} [alert] {process}#0: {what}\n");
        // Where that is full too, nobody is left to tell.
        let severity = gatepost_core::report::Level::Alert.into();
        self.stderr.put(Line { octets: text.as_bytes(), time, severity, stands_for: 1 });
    }
}

/// A line, without its end.
fn render(format: &LogFormat, record: &Record<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => line.extend_from_slice(text),
            Piece::Variable(variable) => match value(*variable, record) {
                Some(value) => escape(&value, format.escape, &mut line),
                None if format.escape == Escape::Default => line.push(b'-'),
                None => {}
            },
        }
    }
    line
}

/// What a variable stands for; `None` if there is no such thing in this session.
fn value(variable: Variable, record: &Record<'_>) -> Option<Vec<u8>> {
    let Record { ending, outcome, number, time } = record;
    let Ending { facts, tally, lasted } = ending;
    let (client, tls) = (&facts.client, facts.tls.as_ref());
    match variable {
        Variable::RemoteAddr => text(facts.address.host()),
        Variable::RemotePort => port(&facts.address).and_then(text),
        Variable::PeerAddr => text(client.peer.remote.host()),
        Variable::PeerPort => port(&client.peer.remote).and_then(text),
        Variable::RemoteHost => text(&facts.host),
        Variable::ServerAddr => text(client.peer.local.host()),
        Variable::ServerPort => port(&client.peer.local).and_then(text),
        Variable::ServerName => text(&facts.policy.server_name),
        Variable::Listen => text(&client.listener),
        Variable::Protocol => text(facts.policy.protocol.name()),
        Variable::Connection => text(number),
        Variable::Pid => text(std::process::id()),
        Variable::HostName => text(rustix::system::uname().nodename().to_string_lossy()),
        Variable::TimeLocal => text(time.strftime("%d/%b/%Y:%H:%M:%S %z")),
        Variable::TimeIso8601 => text(time.strftime("%Y-%m-%dT%H:%M:%S%:z")),
        Variable::Msec => {
            let since = std::time::SystemTime::from(time.timestamp()).duration_since(UNIX_EPOCH);
            text(Seconds(since.unwrap_or_default()))
        }
        Variable::SessionTime => text(Seconds(*lasted)),
        Variable::BytesReceived => text(tally.from_client),
        Variable::BytesSent => text(tally.to_client),
        Variable::Status => text(outcome.status()),
        Variable::Outcome => text(outcome.name()),
        Variable::RemoteUser => facts.login.as_ref().map(|login| login.to_vec()),
        Variable::AuthMethod => facts.method.and_then(text),
        Variable::AuthAttempts => text(facts.attempts),
        Variable::StartTls => facts.starttls.then_some("on").and_then(text),
        Variable::LimitConnStatus => facts.limit.map(LimitStatus::name).and_then(text),
        Variable::UpstreamAddr => facts.upstream.as_ref().and_then(text),
        Variable::UpstreamBytesReceived => facts.upstream.as_ref().and_then(|_| text(tally.from_backend)),
        Variable::UpstreamBytesSent => facts.upstream.as_ref().and_then(|_| text(tally.to_backend)),
        Variable::SslProtocol
        | Variable::SslCipher
        | Variable::SslServerName
        | Variable::SslAlpnProtocol
        | Variable::SslSessionReused
        | Variable::SslClientVerify => tls_value(variable, tls?),
        Variable::SslClientSubject
        | Variable::SslClientIssuer
        | Variable::SslClientSerial
        | Variable::SslClientFingerprint => certificate_value(variable, tls?.certificate.as_deref()?),
        Variable::ProxyAddr | Variable::ProxyPort | Variable::ProxyServerAddr | Variable::ProxyServerPort => {
            proxied_value(variable, facts.proxied.as_ref()?)
        }
    }
}

fn tls_value(variable: Variable, tls: &TlsFacts) -> Option<Vec<u8>> {
    match variable {
        Variable::SslProtocol => text(tls.protocol),
        Variable::SslCipher => text(tls.cipher),
        Variable::SslServerName => tls.server_name.as_ref().and_then(text),
        Variable::SslAlpnProtocol => tls.alpn.as_ref().and_then(text),
        Variable::SslSessionReused => text(if tls.resumed { "r" } else { "." }),
        Variable::SslClientVerify => match tls.certificate.as_ref().map(|certificate| &certificate.verdict) {
            None => text("NONE"),
            Some(Ok(())) => text("SUCCESS"),
            Some(Err(error)) => text(format_args!("FAILED:{}", error.text)),
        },
        _ => None,
    }
}

fn certificate_value(variable: Variable, certificate: &Certificate) -> Option<Vec<u8>> {
    text(match variable {
        Variable::SslClientSubject => &certificate.subject,
        Variable::SslClientIssuer => &certificate.issuer,
        Variable::SslClientSerial => &certificate.serial,
        Variable::SslClientFingerprint => &certificate.fingerprint_sha1,
        _ => return None,
    })
}

fn proxied_value(variable: Variable, proxied: &Proxied) -> Option<Vec<u8>> {
    match variable {
        Variable::ProxyAddr => text(&proxied.source),
        Variable::ProxyPort => text(proxied.source_port),
        Variable::ProxyServerAddr => text(&proxied.destination),
        Variable::ProxyServerPort => text(proxied.destination_port),
        _ => None,
    }
}

/// What it prints; nothing is the same as none.
fn text(value: impl Display) -> Option<Vec<u8>> {
    let mut text = String::new();
    // Writing to memory does not fail.
    let _ = write!(text, "{value}");
    Some(text.into_bytes()).filter(|text| !text.is_empty())
}

const fn port(address: &Address) -> Option<u16> {
    match address {
        Address::Inet(address) => Some(address.port()),
        Address::Unix(_) => None,
    }
}

/// Prints as seconds with milliseconds.
struct Seconds(std::time::Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// Appends `value` such that a line stays a line and a field a field.
fn escape(value: &[u8], how: Escape, line: &mut Vec<u8>) {
    for &octet in value {
        // Writing to memory does not fail.
        let _ = match (how, octet) {
            (Escape::Default, b'"' | b'\\' | ..=0x1f | 0x7f..) => write!(line, "\\x{octet:02X}"),
            (Escape::Json, b'"' | b'\\') => line.write_all(&[b'\\', octet]),
            (Escape::Json, b'\n') => line.write_all(b"\\n"),
            (Escape::Json, b'\r') => line.write_all(b"\\r"),
            (Escape::Json, b'\t') => line.write_all(b"\\t"),
            (Escape::Json, 0x08) => line.write_all(b"\\b"),
            (Escape::Json, 0x0c) => line.write_all(b"\\f"),
            (Escape::Json, ..=0x1f | 0x7f) => write!(line, "\\u{octet:04X}"),
            (Escape::None, octet) if octet.is_ascii_control() => line.write_all(b" "),
            (_, octet) => line.write_all(&[octet]),
        };
    }
}

#[cfg(test)]
mod tests;
