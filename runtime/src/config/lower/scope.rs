//! What may be said in `mail {}` and in `server {}`, and which of the two counts: config.md 3 and 5.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{AuthServer, Peers, Protocol, ProxyHeader, StartTls, Verdict, VerifyClient};
use zeroize::Zeroizing;

use super::access_log::AccessLog;
use super::client_ssl::ClientSsl;
use super::limits::Limits;
use super::methods::{Methods, duplicate_word};
use super::proxy_pass::ProxyPass;
use super::proxy_ssl::ProxySsl;
use super::resolver::Resolver;
use super::ssl::Ssl;
use super::value::{argument, flag, invalid, no_such, number, path, size, text, time};
use super::{Ground, access_log, auth_http, log, peers, resolver};
use crate::config::LogTarget;
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::schema::Keyword;
use crate::config::source::Span;
use crate::config::tree::{Directive, Mark};
use crate::tls::{Source, Versions};

/// A command or reply line that everyone must be able to take (RFC 5321 section 4.5.3.1.4).
const LINE_BYTES_MIN: usize = 512;

/// What one block says itself. What it does not say is `None` or empty.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) server_name: Option<Box<str>>,
    pub(super) keepalive: Option<bool>,
    pub(super) real_ip_from: Vec<Peers>,
    /// `allow` and `deny`, as they follow each other.
    pub(super) access: Vec<(Verdict, Peers)>,
    pub(super) resolver: Option<Resolver>,
    pub(super) resolver_timeout: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) errors_max: Option<u32>,
    pub(super) commands_max: Option<u32>,
    pub(super) greeting_delay: Option<Duration>,
    pub(super) lingering_close: Option<bool>,
    pub(super) lingering_time: Option<Duration>,
    pub(super) lingering_timeout: Option<Duration>,
    pub(super) limits: Limits,
    pub(super) client_buffer_bytes: BTreeMap<Protocol, usize>,
    pub(super) capabilities: BTreeMap<Protocol, Vec<Box<str>>>,
    /// Where CHUNKING stands in `smtp_capabilities`.
    pub(super) chunking: Option<Said>,
    pub(super) methods: BTreeMap<Protocol, Methods>,
    pub(super) auth_strict: Option<bool>,
    pub(super) plaintext_auth: Option<(bool, Said)>,
    pub(super) auth_http: Option<AuthServer>,
    pub(super) auth_users: Option<Named>,
    /// Where each of its URLs was said.
    pub(super) auth_http_said: Vec<Said>,
    pub(super) auth_http_timeout: Option<Duration>,
    pub(super) auth_http_headers: Vec<(Box<str>, Box<str>)>,
    pub(super) pass_client_cert: Option<bool>,
    pub(super) auth_http_keepalive: Option<usize>,
    pub(super) auth_http_ssl: ClientSsl,
    pub(super) proxy_buffer_bytes: Option<usize>,
    pub(super) proxy_timeout: Option<Duration>,
    pub(super) proxy_pass: Option<ProxyPass>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) pass_error_message: Option<bool>,
    pub(super) xclient: Option<bool>,
    pub(super) smtp_auth: Option<bool>,
    pub(super) oauth: Option<(bool, Said)>,
    pub(super) pipelining: Option<(bool, Said)>,
    pub(super) proxy_header: Option<ProxyHeader>,
    pub(super) proxy_ssl: ProxySsl,
    pub(super) starttls: Option<(StartTls, Said)>,
    pub(super) ssl: Option<(bool, Said)>,
    pub(super) certificates: Vec<Pem>,
    pub(super) keys: Vec<Pem>,
    pub(super) pass_phrases: Option<Named>,
    pub(super) crl: Option<Named>,
    pub(super) compress: Option<bool>,
    pub(super) versions: Option<(Versions, Said)>,
    pub(super) verify_client: Option<(VerifyClient, Said)>,
    pub(super) verify_depth: Option<usize>,
    pub(super) client_certificate: Option<Named>,
    pub(super) trusted_certificate: Option<Named>,
    pub(super) tuning: Ssl,
    pub(super) logs: Vec<LogTarget>,
    pub(super) access_logs: Vec<AccessLog>,
}

/// Where something was said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// The end of the directive, whose line nginx names.
    pub(super) end: Mark,
    /// The words that matter.
    pub(super) words: Span,
}

impl Said {
    /// By this directive.
    pub(super) fn of(directive: &Directive) -> Self {
        Self { end: directive.end, words: directive.name.span.to(directive.args_span()) }
    }
}

/// A file, as it was named.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Where that was written.
    pub(super) said: Said,
}

/// A certificate or key, as it was named.
#[derive(Clone, Debug)]
pub(super) struct Pem {
    /// Where it is.
    pub(super) source: Source,
    /// What was written, unless it may be a key.
    pub(super) shown: String,
    /// Where that was written.
    pub(super) said: Said,
}

impl Named {
    /// As messages about files have it.
    pub(super) fn quoted(&self) -> String {
        format!("{:?}", self.path)
    }
}

impl Scope {
    /// Takes in a directive that may stand in both blocks.
    pub(super) fn take(
        &mut self,
        keyword: Keyword,
        directive: &Directive,
        ground: &Ground<'_>,
        complaints: &mut Complaints,
    ) -> Result<(), Complaint> {
        match keyword {
            Keyword::ServerName => {
                let word = argument(directive, 0)?;
                let name = text(directive, word)?;
                if name.contains('$') {
                    let message =
                        format!("there are no variables in mail, \"{name}\" is the name as it stands");
                    complaints.push(Complaint::of(directive, message).under(word.span).warning());
                }
                // An empty name means the machine's, as none at all does.
                self.server_name = Some(name).filter(|name| !name.is_empty());
            }
            Keyword::SoKeepalive => self.take_keepalive(directive, complaints)?,
            Keyword::SetRealIpFrom => {
                let peers = peers::peers(directive, ground.surroundings, complaints)?;
                self.real_ip_from.extend(peers);
            }
            Keyword::Access(verdict) => self.access.push((verdict, peers::access(directive, complaints)?)),
            Keyword::Resolver => self.resolver = Some(resolver::resolver(directive, ground.surroundings)?),
            Keyword::ResolverTimeout => self.resolver_timeout = Some(nonzero(directive, complaints)?),
            Keyword::Timeout => self.timeout = Some(nonzero(directive, complaints)?),
            Keyword::MaxErrors => self.errors_max = Some(count(directive)?.max(1)),
            Keyword::MaxCommands => self.commands_max = Some(count(directive)?),
            Keyword::SmtpGreetingDelay => self.greeting_delay = Some(time(directive)?),
            Keyword::LingeringClose => self.lingering_close = Some(lingering_close(directive)?),
            Keyword::LingeringTime => self.lingering_time = Some(time(directive)?),
            Keyword::LingeringTimeout => self.lingering_timeout = Some(time(directive)?),
            Keyword::Limit(word) => self.limits.take(word, directive)?,
            Keyword::ClientBuffer(protocol) => {
                self.client_buffer_bytes.insert(protocol, buffer(directive, complaints)?);
            }
            Keyword::Capabilities(protocol) => {
                let words = directive.args.iter().map(|word| text(directive, word));
                let words = words.collect::<Result<Vec<_>, _>>()?;
                let chunking = words.iter().position(|word| word.eq_ignore_ascii_case("CHUNKING"));
                if let (Protocol::Smtp, Some(word)) =
                    (protocol, chunking.and_then(|at| directive.args.get(at)))
                {
                    self.chunking = Some(Said { end: directive.end, words: word.span });
                }
                let listed = self.capabilities.entry(protocol).or_default();
                listed.extend(words);
                if protocol == Protocol::Imap {
                    promise_one_literal(listed, directive, complaints);
                }
            }
            Keyword::Auth(protocol) => {
                self.methods.entry(protocol).or_default().take(protocol, directive, complaints)?;
            }
            Keyword::AuthStrict => self.auth_strict = Some(flag(directive)?),
            Keyword::PlaintextAuth => self.plaintext_auth = Some((flag(directive)?, Said::of(directive))),
            Keyword::AuthHttp => {
                let (auth, said) = auth_http::auth_http(directive, ground)?;
                (self.auth_http, self.auth_http_said) = (Some(auth), said);
                if self.auth_users.is_some() {
                    let message = r#""auth_http" directive conflicts with "auth_users""#;
                    return Err(Complaint::of(directive, message));
                }
            }
            Keyword::AuthUsers => {
                self.auth_users = Some(named(directive, ground)?);
                if self.auth_http.is_some() {
                    let message = r#""auth_users" directive conflicts with "auth_http""#;
                    return Err(Complaint::of(directive, message));
                }
            }
            Keyword::AuthHttpTimeout => self.auth_http_timeout = Some(nonzero(directive, complaints)?),
            Keyword::AuthHttpHeader => {
                let name = text(directive, argument(directive, 0)?)?;
                let value = text(directive, argument(directive, 1)?)?;
                self.auth_http_headers.push((name, value));
            }
            Keyword::AuthHttpPassClientCert => self.pass_client_cert = Some(flag(directive)?),
            Keyword::AuthHttpKeepalive => self.auth_http_keepalive = Some(auth_http::keepalive(directive)?),
            Keyword::AuthHttpSsl(word) => self.auth_http_ssl.take(word, directive, ground)?,
            Keyword::ProxyBuffer => self.proxy_buffer_bytes = Some(buffer(directive, complaints)?),
            Keyword::ProxyPass => self.proxy_pass = Some(ProxyPass::new(directive)?),
            Keyword::ProxyConnectTimeout => self.connect_timeout = Some(nonzero(directive, complaints)?),
            Keyword::ProxyTimeout => self.proxy_timeout = Some(nonzero(directive, complaints)?),
            Keyword::ProxyPassErrorMessage => self.pass_error_message = Some(flag(directive)?),
            Keyword::Xclient => self.xclient = Some(flag(directive)?),
            Keyword::ProxySmtpAuth => self.smtp_auth = Some(flag(directive)?),
            Keyword::ProxyOauth => self.oauth = Some((flag(directive)?, Said::of(directive))),
            Keyword::ProxyPipelining => self.pipelining = Some((flag(directive)?, Said::of(directive))),
            Keyword::ProxyProtocol => self.proxy_header = Some(proxy_header(directive)?),
            Keyword::ProxySslMode => self.proxy_ssl.take_mode(directive)?,
            Keyword::ProxySsl(word) => self.proxy_ssl.client.take(word, directive, ground)?,
            Keyword::Starttls => self.take_starttls(directive)?,
            Keyword::Ssl => self.take_ssl(directive, complaints)?,
            Keyword::SslCertificate => self.certificates.push(pem(directive, ground)?),
            Keyword::SslCertificateKey => self.keys.push(pem(directive, ground)?),
            Keyword::SslPasswordFile => self.pass_phrases = Some(named(directive, ground)?),
            Keyword::SslCertificateCompression => self.compress = Some(flag(directive)?),
            Keyword::SslCrl => self.crl = Some(named(directive, ground)?),
            Keyword::SslProtocols => self.take_versions(directive, complaints)?,
            Keyword::SslVerifyClient => {
                self.verify_client = Some((verify_client(directive)?, Said::of(directive)));
            }
            Keyword::SslVerifyDepth => {
                self.verify_depth = Some(usize::try_from(number(directive)?).unwrap_or(usize::MAX));
            }
            Keyword::SslClientCertificate => self.client_certificate = Some(named(directive, ground)?),
            Keyword::SslTrustedCertificate => self.trusted_certificate = Some(named(directive, ground)?),
            Keyword::SslTuning(word) => self.tuning.take(word, directive, ground, complaints)?,
            Keyword::ErrorLog => self.logs.push(log::error_log(directive, ground)?),
            Keyword::AccessLog => self.access_logs.push(access_log::access_log(directive, ground)?),
            // These belong to one block only and were dealt with there.
            Keyword::Events
            | Keyword::Mail
            | Keyword::Server
            | Keyword::UpstreamBlock
            | Keyword::Upstream(_)
            | Keyword::LogFormat
            | Keyword::LimitConnZone
            | Keyword::WorkerProcesses
            | Keyword::Process(_)
            | Keyword::Pid
            | Keyword::Listen
            | Keyword::Protocol => {}
        }
        Ok(())
    }

    fn take_starttls(&mut self, directive: &Directive) -> Result<(), Complaint> {
        let word = argument(directive, 0)?;
        let starttls = match word.text.to_ascii_lowercase().as_slice() {
            b"off" => StartTls::Off,
            b"on" => StartTls::On,
            b"only" => StartTls::Only,
            _ => return Err(no_such(directive, word).label("`off`, `on` or `only`")),
        };
        self.starttls = Some((starttls, Said::of(directive)));
        match self.ssl {
            Some((true, _)) if starttls != StartTls::Off => {
                Err(Complaint::of(directive, r#""starttls" directive conflicts with "ssl on""#))
            }
            _ => Ok(()),
        }
    }

    /// The directive that nginx dropped in 1.9.1 (divergences R13).
    fn take_keepalive(
        &mut self,
        directive: &Directive,
        complaints: &mut Complaints,
    ) -> Result<(), Complaint> {
        self.keepalive = Some(flag(directive)?);
        let message = "the \"so_keepalive\" directive is deprecated, use the \"listen ... so_keepalive=\" parameter instead";
        complaints.push(Complaint::of(directive, message).warning());
        Ok(())
    }

    /// The directive that nginx dropped in 1.25.1 (divergences R1).
    fn take_ssl(&mut self, directive: &Directive, complaints: &mut Complaints) -> Result<(), Complaint> {
        let on = flag(directive)?;
        let message = r#"the "ssl" directive is deprecated, use the "listen ... ssl" directive instead"#;
        complaints.push(Complaint::of(directive, message).warning());
        self.ssl = Some((on, Said::of(directive)));
        match self.starttls {
            Some((starttls, _)) if on && starttls != StartTls::Off => {
                Err(Complaint::of(directive, r#""ssl" directive conflicts with "starttls""#))
            }
            _ => Ok(()),
        }
    }

    fn take_versions(&mut self, directive: &Directive, complaints: &mut Complaints) -> Result<(), Complaint> {
        let (mut versions, _) =
            self.versions.unwrap_or((Versions { tls12: false, tls13: false }, Said::of(directive)));
        for word in &directive.args {
            let before = match word.text.to_ascii_lowercase().as_slice() {
                b"tlsv1.2" => std::mem::replace(&mut versions.tls12, true),
                b"tlsv1.3" => std::mem::replace(&mut versions.tls13, true),
                b"sslv2" | b"sslv3" | b"tlsv1" | b"tlsv1.1" => {
                    let message = format!("the protocol \"{}\" is not supported and stays off", word.shown());
                    complaints.push(Complaint::of(directive, message).under(word.span).warning());
                    false
                }
                _ => return Err(no_such(directive, word)),
            };
            if before {
                complaints.push(duplicate_word(directive, word));
            }
        }
        self.versions = Some((versions, Said::of(directive)));
        Ok(())
    }
}

fn verify_client(directive: &Directive) -> Result<VerifyClient, Complaint> {
    let word = argument(directive, 0)?;
    match word.text.to_ascii_lowercase().as_slice() {
        b"off" => Ok(VerifyClient::Off),
        b"on" => Ok(VerifyClient::On),
        b"optional" => Ok(VerifyClient::Optional),
        b"optional_no_ca" => Ok(VerifyClient::OptionalNoCa),
        _ => Err(no_such(directive, word).label("`off`, `on`, `optional` or `optional_no_ca`")),
    }
}

/// `always` is nginx's word in `http {}` for what `on` is here: every client is waited for, whether it was expected to say more or not.
fn lingering_close(directive: &Directive) -> Result<bool, Complaint> {
    let word = argument(directive, 0)?;
    match word.text.to_ascii_lowercase().as_slice() {
        b"off" => Ok(false),
        b"on" | b"always" => Ok(true),
        _ => Err(no_such(directive, word).label("`off`, `on` or `always`")),
    }
}

fn proxy_header(directive: &Directive) -> Result<ProxyHeader, Complaint> {
    let word = argument(directive, 0)?;
    match word.text.to_ascii_lowercase().as_slice() {
        b"off" => Ok(ProxyHeader::Off),
        b"on" => Ok(ProxyHeader::V1),
        b"v2" => Ok(ProxyHeader::V2),
        _ => Err(no_such(directive, word).label("`off`, `on` or `v2`")),
    }
}

/// A span of time; warns of none at all, which lets nothing happen (divergences D41).
pub(super) fn nonzero(directive: &Directive, complaints: &mut Complaints) -> Result<Duration, Complaint> {
    let span = time(directive)?;
    if span.is_zero() {
        let message = format!("\"{}\" of 0 expires at once", directive.shown());
        complaints.push(Complaint::of(directive, message).under(directive.args_span()).warning());
    }
    Ok(span)
}

/// The size of a buffer for lines. One that cannot hold a line every peer may send is made larger, which is said.
fn buffer(directive: &Directive, complaints: &mut Complaints) -> Result<usize, Complaint> {
    let octets = size(directive)?;
    if octets < LINE_BYTES_MIN {
        let message = format!("\"{}\" is too small for a line, {LINE_BYTES_MIN} is used", directive.shown());
        complaints.push(Complaint::of(directive, message).under(directive.args_span()).warning());
    }
    Ok(octets.max(LINE_BYTES_MIN))
}

/// LITERAL+ and LITERAL- must not both be promised (RFC 7888, section 5). The first allows all that the second does, so
/// it is the one that stays.
fn promise_one_literal(listed: &mut Vec<Box<str>>, directive: &Directive, complaints: &mut Complaints) {
    let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
    if ["LITERAL+", "LITERAL-"].iter().all(|name| listed.iter().any(|word| is(word, name))) {
        listed.retain(|word| !is(word, "LITERAL-"));
        let message = r#""imap_capabilities" has LITERAL+ and LITERAL-, only the first is used"#;
        complaints.push(Complaint::of(directive, message).warning());
    }
}

/// A number that need not be told exactly once it is large.
fn count(directive: &Directive) -> Result<u32, Complaint> {
    number(directive).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// Understands a file's name.
pub(super) fn named(directive: &Directive, ground: &Ground<'_>) -> Result<Named, Complaint> {
    let word = argument(directive, 0)?;
    let path = path(directive, word, ground.folder)?;
    let said = Said { end: directive.end, words: word.span };
    Ok(Named { path, said })
}

/// Understands where a certificate or key is.
pub(super) fn pem(directive: &Directive, ground: &Ground<'_>) -> Result<Pem, Complaint> {
    let word = argument(directive, 0)?;
    if [&b"engine:"[..], b"store:"].iter().any(|scheme| word.text.starts_with(scheme)) {
        let complaint = invalid(directive, word).label("engines and stores are not supported");
        return Err(complaint.hint("name a file in PEM form, or put the PEM text behind `data:`"));
    }
    let source = match word.text.strip_prefix(b"data:") {
        Some(text) => Source::Data(Arc::new(Zeroizing::new(text.to_vec()))),
        None => path(directive, word, ground.folder)?.into(),
    };
    let said = Said { end: directive.end, words: word.span };
    let shown = match &source {
        Source::File(_) => word.shown(),
        Source::Data(_) => "data:…".to_owned(),
    };
    Ok(Pem { source, shown, said })
}
