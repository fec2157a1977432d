//! Which directives there are: their names, where they may stand, how many arguments they take, whether they may
//! be repeated, and what becomes of them. A table; config.md 5 and 10.

mod foreign;

use super::diagnostic::Complaint;
use super::tree::Directive;

/// Where a directive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Outermost.
    Main,
    /// In `events {}`.
    Events,
    /// In `mail {}`.
    Mail,
    /// In a `server {}` of `mail {}`.
    Server,
}

/// One directive.
#[derive(Debug)]
pub(super) struct Row {
    /// Its name.
    pub(super) name: &'static str,
    contexts: &'static [Context],
    shape: Shape,
    /// What a second one in the same block means.
    pub(super) again: Again,
    /// What becomes of it.
    pub(super) fate: Fate,
}

/// What follows the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// So many arguments and `{`.
    Block(usize),
    /// `on` or `off`.
    Flag,
    /// So many arguments, at least and at most.
    Args(usize, usize),
}

/// What a second directive of the same name in the same block means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// `is duplicate`.
    Refused,
    /// It replaces the first.
    Replaces,
    /// It is added to the first.
    Adds,
}

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It takes effect.
    Honoured(Keyword),
    /// Its argument is looked at and then of no consequence.
    Accepted(Value),
    /// The same, and unless the argument is the first text, the operator is told the second.
    Ineffective(Value, &'static str, &'static str),
    /// It is refused unless its argument is this one, which asks for what happens anyway.
    NotYet(&'static str),
}

/// What an argument without consequence must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Like anything.
    Any,
    /// A number.
    Number,
    /// A size.
    Size,
    /// A time, in milliseconds.
    Time,
    /// A method of waiting for events on Linux.
    EventMethod,
}

/// The directives that take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table below says which directive each is")]
pub(super) enum Keyword {
    Events,
    Mail,
    WorkerProcesses,
    ErrorLog,
    Server,
    Listen,
    Protocol,
    ServerName,
    Timeout,
    MaxErrors,
    MaxCommands,
    AuthHttp,
    AuthHttpTimeout,
    AuthHttpHeader,
    ProxyBuffer,
    ProxyTimeout,
    ProxyPassErrorMessage,
    Xclient,
    ProxySmtpAuth,
    ClientBuffer(gatepost_core::Protocol),
    Capabilities(gatepost_core::Protocol),
    Auth(gatepost_core::Protocol),
    SmtpGreetingDelay,
    Starttls,
    Ssl,
    SslCertificate,
    SslCertificateKey,
    SslProtocols,
}

/// Finds what `directive` is, if it may stand in `context` with the arguments it has.
///
/// # Errors
///
/// nginx's complaint, with a guess at what was meant.
pub(super) fn admit(directive: &Directive, context: Context) -> Result<&'static Row, Complaint> {
    let name = directive.shown();
    let Some(row) = find(&name) else { return Err(unknown(directive, &name, context)) };
    if !row.contexts.contains(&context) {
        return Err(misplaced(directive, &name, row.contexts));
    }
    match (row.shape, directive.block.is_some()) {
        (Shape::Block(_), false) => {
            let message = format!("directive \"{name}\" has no opening \"{{\"");
            return Err(Complaint::of(directive, message));
        }
        (Shape::Flag | Shape::Args(..), true) => {
            let message = format!("directive \"{name}\" is not terminated by \";\"");
            return Err(Complaint::of(directive, message).under(directive.args_span()));
        }
        _ => {}
    }
    let (least, most) = row.shape.args();
    if !(least..=most).contains(&directive.args.len()) {
        return Err(miscounted(directive, &name, context, (least, most)));
    }
    Ok(row)
}

impl Shape {
    const fn args(self) -> (usize, usize) {
        match self {
            Self::Block(args) => (args, args),
            Self::Flag => (1, 1),
            Self::Args(least, most) => (least, most),
        }
    }
}

impl Row {
    /// Whether the argument is `on` or `off`.
    pub(super) const fn is_flag(&self) -> bool {
        matches!(self.shape, Shape::Flag)
    }
}

/// The directive's name, if there is a directive of that name anywhere.
pub(super) fn known(directive: &Directive) -> Option<&'static str> {
    find(&directive.shown()).map(|row| row.name)
}

fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

fn unknown(directive: &Directive, name: &str, context: Context) -> Complaint {
    if foreign::is_foreign(name) {
        return misplaced(directive, name, &[]);
    }
    let complaint = Complaint::of(directive, format!("unknown directive \"{name}\""));
    if name.starts_with('\u{feff}') {
        return complaint.hint("the file begins with a byte order mark (U+FEFF): save it without");
    }
    match (name, likely(name, context)) {
        ("imap", _) => complaint.hint("nginx calls this block `mail` since 0.5.15"),
        ("auth", _) => complaint.hint("nginx calls this `pop3_auth` since 0.5.15"),
        ("connections", _) => complaint.hint("nginx calls this `worker_connections`"),
        (_, Some(likely)) => complaint.label(format!("did you mean `{likely}`?")),
        (_, None) => complaint,
    }
}

/// The name that is allowed here and nearest to `name`, if it is near.
fn likely(name: &str, context: Context) -> Option<&'static str> {
    let allowed = ROWS.iter().filter(|row| row.contexts.contains(&context)).map(|row| row.name);
    let farthest = (name.chars().count() / 3).clamp(1, 3);
    let near = allowed.map(|row| (strsim::osa_distance(name, row), row));
    near.filter(|(distance, _)| *distance <= farthest).min().map(|(_, row)| row)
}

fn misplaced(directive: &Directive, name: &str, contexts: &[Context]) -> Complaint {
    let complaint = Complaint::of(directive, format!("\"{name}\" directive is not allowed here"));
    match contexts {
        [] => complaint.label("not a directive for mail"),
        _ => {
            let places: Vec<_> = contexts.iter().map(|context| context.place()).collect();
            complaint.label(format!("belongs {}", places.join(" or ")))
        }
    }
}

fn miscounted(directive: &Directive, name: &str, context: Context, wanted: (usize, usize)) -> Complaint {
    let message = format!("invalid number of arguments in \"{name}\" directive");
    let complaint = Complaint::of(directive, message).under(directive.args_span());
    // A word that is a directive's name and stands further down was probably meant to begin one.
    let swallowed = directive.args.iter().position(|arg| {
        find(&arg.shown()).is_some_and(|row| row.contexts.contains(&context) && row.name != name)
    });
    if let Some(at) = swallowed.filter(|_| directive.args.len() > wanted.1) {
        let before = directive.args.get(..at).and_then(<[_]>::last).unwrap_or(&directive.name);
        return complaint.under(before.span).label("is a `;` missing behind this?");
    }
    complaint.label(match wanted {
        (0, 0) => "it takes no argument".to_owned(),
        (1, 1) => "it takes one argument".to_owned(),
        (least, usize::MAX) => format!("it takes {least} or more arguments"),
        (least, most) if least == most => format!("it takes {least} arguments"),
        (least, most) => format!("it takes {least} to {most} arguments"),
    })
}

impl Context {
    const fn place(self) -> &'static str {
        match self {
            Self::Main => "outside of all blocks",
            Self::Events => "into `events {}`",
            Self::Mail => "into `mail {}`",
            Self::Server => "into a `server {}` of `mail {}`",
        }
    }
}

const MAIN: &[Context] = &[Context::Main];
const EVENTS: &[Context] = &[Context::Events];
const MAIL: &[Context] = &[Context::Mail];
const SERVER: &[Context] = &[Context::Server];
const BOTH: &[Context] = &[Context::Mail, Context::Server];
const ANY: &[Context] = &[Context::Main, Context::Mail, Context::Server];

const FLAG: Shape = Shape::Flag;
const ONE: Shape = Shape::Args(1, 1);
const TWO: Shape = Shape::Args(2, 2);
const SOME: Shape = Shape::Args(1, usize::MAX);

const NO_FORK: &str = "Gatepost stays in the foreground";
const NO_PID: &str = "no pid file is written";
const NO_USER: &str = "no privileges are given up";
const NO_LIMIT: &str = "the number of connections is not limited";
const NO_RLIMIT: &str = "the limit of open files stays as it is";
const NO_SHUTDOWN: &str = "sessions may take as long as they like to end";
const NO_ENV: &str = "the environment stays as it is";

const fn row(
    name: &'static str,
    contexts: &'static [Context],
    shape: Shape,
    again: Again,
    fate: Fate,
) -> Row {
    Row { name, contexts, shape, again, fate }
}

use self::Again::{Adds, Refused, Replaces};
use self::Fate::{Accepted, Honoured, Ineffective, NotYet};
use gatepost_core::Protocol::{Imap, Pop3, Smtp};

const ROWS: &[Row] = &[
    // Outermost.
    row("user", MAIN, Shape::Args(1, 2), Refused, Ineffective(Value::Any, "", NO_USER)),
    row("worker_processes", MAIN, ONE, Refused, Honoured(Keyword::WorkerProcesses)),
    row("worker_cpu_affinity", MAIN, SOME, Refused, Accepted(Value::Any)),
    row("worker_priority", MAIN, ONE, Refused, Accepted(Value::Any)),
    row("worker_rlimit_nofile", MAIN, ONE, Refused, Ineffective(Value::Number, "", NO_RLIMIT)),
    row("worker_rlimit_core", MAIN, ONE, Refused, Accepted(Value::Size)),
    row("working_directory", MAIN, ONE, Refused, Accepted(Value::Any)),
    row("worker_shutdown_timeout", MAIN, ONE, Refused, Ineffective(Value::Time, "", NO_SHUTDOWN)),
    row("daemon", MAIN, FLAG, Refused, Ineffective(Value::Any, "off", NO_FORK)),
    row("master_process", MAIN, FLAG, Refused, Accepted(Value::Any)),
    row("pid", MAIN, ONE, Refused, Ineffective(Value::Any, "off", NO_PID)),
    row("lock_file", MAIN, ONE, Refused, Accepted(Value::Any)),
    row("error_log", ANY, SOME, Adds, Honoured(Keyword::ErrorLog)),
    row("env", MAIN, ONE, Adds, Ineffective(Value::Any, "TZ", NO_ENV)),
    row("load_module", MAIN, ONE, Adds, Accepted(Value::Any)),
    row("timer_resolution", MAIN, ONE, Refused, Accepted(Value::Time)),
    row("debug_points", MAIN, ONE, Refused, Accepted(Value::Any)),
    row("thread_pool", MAIN, Shape::Args(2, 3), Adds, Accepted(Value::Any)),
    row("pcre_jit", MAIN, FLAG, Refused, Accepted(Value::Any)),
    row("ssl_engine", MAIN, ONE, Refused, Accepted(Value::Any)),
    row("google_perftools_profiles", MAIN, ONE, Refused, Accepted(Value::Any)),
    row("ssl_object_cache_inheritable", MAIN, FLAG, Refused, Accepted(Value::Any)),
    row("quic_bpf", MAIN, FLAG, Refused, Accepted(Value::Any)),
    row("events", MAIN, Shape::Block(0), Refused, Honoured(Keyword::Events)),
    row("mail", MAIN, Shape::Block(0), Refused, Honoured(Keyword::Mail)),
    // The reader skips these two where they may stand, so only misplaced ones come to be looked up.
    row("http", MAIN, Shape::Block(0), Refused, Accepted(Value::Any)),
    row("stream", MAIN, Shape::Block(0), Refused, Accepted(Value::Any)),
    // events {}
    row("worker_connections", EVENTS, ONE, Refused, Ineffective(Value::Number, "", NO_LIMIT)),
    row("multi_accept", EVENTS, FLAG, Refused, Accepted(Value::Any)),
    row("use", EVENTS, ONE, Refused, Accepted(Value::EventMethod)),
    row("accept_mutex", EVENTS, FLAG, Refused, Accepted(Value::Any)),
    row("accept_mutex_delay", EVENTS, ONE, Refused, Accepted(Value::Time)),
    row("worker_aio_requests", EVENTS, ONE, Refused, Accepted(Value::Number)),
    row("epoll_events", EVENTS, ONE, Refused, Accepted(Value::Number)),
    row("debug_connection", EVENTS, ONE, Adds, Accepted(Value::Any)),
    // mail {}: the core.
    row("server", MAIL, Shape::Block(0), Adds, Honoured(Keyword::Server)),
    row("listen", SERVER, SOME, Adds, Honoured(Keyword::Listen)),
    row("protocol", SERVER, ONE, Replaces, Honoured(Keyword::Protocol)),
    row("server_name", BOTH, ONE, Refused, Honoured(Keyword::ServerName)),
    row("timeout", BOTH, ONE, Refused, Honoured(Keyword::Timeout)),
    row("max_errors", BOTH, ONE, Refused, Honoured(Keyword::MaxErrors)),
    row("max_commands", BOTH, ONE, Refused, Honoured(Keyword::MaxCommands)),
    row("resolver", BOTH, SOME, Refused, NotYet("off")),
    row("resolver_timeout", BOTH, ONE, Refused, NotYet("")),
    row("so_keepalive", BOTH, FLAG, Refused, NotYet("off")),
    row("set_real_ip_from", BOTH, ONE, Adds, NotYet("")),
    row("access_log", BOTH, SOME, Adds, NotYet("off")),
    row("log_format", MAIL, SOME, Adds, NotYet("")),
    row("allow", BOTH, ONE, Adds, NotYet("")),
    row("deny", BOTH, ONE, Adds, NotYet("")),
    // The auth server.
    row("auth_http", BOTH, ONE, Replaces, Honoured(Keyword::AuthHttp)),
    row("auth_http_timeout", BOTH, ONE, Refused, Honoured(Keyword::AuthHttpTimeout)),
    row("auth_http_header", BOTH, TWO, Adds, Honoured(Keyword::AuthHttpHeader)),
    row("auth_http_pass_client_cert", BOTH, FLAG, Refused, NotYet("off")),
    row("auth_http_keepalive", BOTH, ONE, Refused, NotYet("")),
    row("auth_http_ssl_verify", BOTH, FLAG, Refused, NotYet("")),
    row("auth_http_ssl_trusted_certificate", BOTH, ONE, Refused, NotYet("")),
    row("auth_http_ssl_name", BOTH, ONE, Refused, NotYet("")),
    row("auth_http_ssl_certificate", BOTH, ONE, Refused, NotYet("")),
    row("auth_http_ssl_certificate_key", BOTH, ONE, Refused, NotYet("")),
    row("auth_users", BOTH, ONE, Refused, NotYet("")),
    row("auth_strict", BOTH, FLAG, Refused, NotYet("off")),
    row("plaintext_auth", BOTH, FLAG, Refused, NotYet("on")),
    // The backend. `proxy` has never had an effect; K and R2 of divergences.md keep it so.
    row("proxy", BOTH, FLAG, Refused, Accepted(Value::Any)),
    row("proxy_buffer", BOTH, ONE, Refused, Honoured(Keyword::ProxyBuffer)),
    row("proxy_timeout", BOTH, ONE, Refused, Honoured(Keyword::ProxyTimeout)),
    row("proxy_pass_error_message", BOTH, FLAG, Refused, Honoured(Keyword::ProxyPassErrorMessage)),
    row("xclient", BOTH, FLAG, Refused, Honoured(Keyword::Xclient)),
    row("proxy_smtp_auth", BOTH, FLAG, Refused, Honoured(Keyword::ProxySmtpAuth)),
    row("proxy_protocol", BOTH, ONE, Refused, NotYet("off")),
    row("proxy_pass", BOTH, ONE, Refused, NotYet("")),
    row("upstream", MAIL, Shape::Block(1), Adds, NotYet("")),
    row("proxy_connect_timeout", BOTH, ONE, Refused, NotYet("")),
    row("proxy_oauth", BOTH, FLAG, Refused, NotYet("off")),
    row("proxy_pipelining", BOTH, FLAG, Refused, NotYet("off")),
    row("proxy_ssl", BOTH, ONE, Refused, NotYet("off")),
    row("proxy_ssl_verify", BOTH, FLAG, Refused, NotYet("")),
    row("proxy_ssl_trusted_certificate", BOTH, ONE, Refused, NotYet("")),
    row("proxy_ssl_name", BOTH, ONE, Refused, NotYet("")),
    row("proxy_ssl_server_name", BOTH, FLAG, Refused, NotYet("")),
    row("proxy_ssl_certificate", BOTH, ONE, Refused, NotYet("")),
    row("proxy_ssl_certificate_key", BOTH, ONE, Refused, NotYet("")),
    // The three protocols.
    row("imap_client_buffer", BOTH, ONE, Refused, Honoured(Keyword::ClientBuffer(Imap))),
    row("imap_capabilities", BOTH, SOME, Adds, Honoured(Keyword::Capabilities(Imap))),
    row("imap_auth", BOTH, SOME, Adds, Honoured(Keyword::Auth(Imap))),
    row("pop3_client_buffer", BOTH, ONE, Refused, Honoured(Keyword::ClientBuffer(Pop3))),
    row("pop3_capabilities", BOTH, SOME, Adds, Honoured(Keyword::Capabilities(Pop3))),
    row("pop3_auth", BOTH, SOME, Adds, Honoured(Keyword::Auth(Pop3))),
    row("smtp_client_buffer", BOTH, ONE, Refused, Honoured(Keyword::ClientBuffer(Smtp))),
    row("smtp_capabilities", BOTH, SOME, Adds, Honoured(Keyword::Capabilities(Smtp))),
    row("smtp_auth", BOTH, SOME, Adds, Honoured(Keyword::Auth(Smtp))),
    row("smtp_greeting_delay", BOTH, ONE, Refused, Honoured(Keyword::SmtpGreetingDelay)),
    // TLS.
    row("starttls", BOTH, ONE, Refused, Honoured(Keyword::Starttls)),
    row("ssl", BOTH, FLAG, Refused, Honoured(Keyword::Ssl)),
    row("ssl_certificate", BOTH, ONE, Adds, Honoured(Keyword::SslCertificate)),
    row("ssl_certificate_key", BOTH, ONE, Adds, Honoured(Keyword::SslCertificateKey)),
    row("ssl_protocols", BOTH, SOME, Adds, Honoured(Keyword::SslProtocols)),
    row("ssl_password_file", BOTH, ONE, Refused, NotYet("")),
    row("ssl_ciphers", BOTH, ONE, Refused, NotYet("")),
    row("ssl_prefer_server_ciphers", BOTH, FLAG, Refused, NotYet("off")),
    row("ssl_dhparam", BOTH, ONE, Refused, NotYet("")),
    row("ssl_ecdh_curve", BOTH, ONE, Refused, NotYet("auto")),
    row("ssl_session_cache", BOTH, Shape::Args(1, 2), Replaces, NotYet("")),
    row("ssl_session_timeout", BOTH, ONE, Refused, NotYet("")),
    row("ssl_session_tickets", BOTH, FLAG, Refused, NotYet("on")),
    row("ssl_session_ticket_key", BOTH, ONE, Adds, NotYet("")),
    row("ssl_verify_client", BOTH, ONE, Refused, NotYet("off")),
    row("ssl_verify_depth", BOTH, ONE, Refused, NotYet("")),
    row("ssl_client_certificate", BOTH, ONE, Refused, NotYet("")),
    row("ssl_trusted_certificate", BOTH, ONE, Refused, NotYet("")),
    row("ssl_crl", BOTH, ONE, Refused, NotYet("")),
    row("ssl_conf_command", BOTH, TWO, Adds, NotYet("")),
    row("ssl_certificate_compression", BOTH, FLAG, Refused, NotYet("off")),
    // Limits.
    row("limit_rate", BOTH, ONE, Refused, NotYet("0")),
    row("limit_rate_after", BOTH, ONE, Refused, NotYet("0")),
    row("limit_conn_zone", MAIL, TWO, Adds, NotYet("")),
    row("limit_conn", BOTH, TWO, Adds, NotYet("")),
    row("limit_conn_log_level", BOTH, ONE, Refused, NotYet("error")),
    row("limit_conn_dry_run", BOTH, FLAG, Refused, NotYet("off")),
    row("lingering_close", BOTH, FLAG, Refused, NotYet("on")),
    row("lingering_time", BOTH, ONE, Refused, NotYet("30s")),
    row("lingering_timeout", BOTH, ONE, Refused, NotYet("5s")),
];
