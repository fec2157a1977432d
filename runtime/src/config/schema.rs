//! Which directives there are: their names, where they may stand, how many arguments they take, whether they may
//! be repeated, and what becomes of them (config.md 5 and 10). The table itself is in `schema/rows.rs`.

mod foreign;
mod renamed;
mod rows;
mod zimbra;

use self::rows::ROWS;
use super::diagnostic::Complaint;
use super::lex::Word;
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
    /// In an `upstream {}` of `mail {}`.
    Upstream,
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
    /// One argument, and more of its kind, so many at most, which nginx does not take.
    OneOrMore(usize),
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
}

/// What an argument without consequence must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Like anything.
    Any,
    /// A number.
    Number,
    /// A time, in milliseconds.
    Time,
    /// A method of waiting for events on Linux.
    EventMethod,
    /// What nginx does where it finds a fault of its own.
    DebugPoint,
}

/// The directives that take effect. The table says which each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Events,
    Mail,
    WorkerProcesses,
    Process(ProcessWord),
    Pid,
    ErrorLog,
    AccessLog,
    LogFormat,
    Server,
    Listen,
    Protocol,
    ServerName,
    SoKeepalive,
    SetRealIpFrom,
    Access(gatepost_core::Verdict),
    Resolver,
    ResolverTimeout,
    Timeout,
    MaxErrors,
    MaxCommands,
    AuthHttp,
    AuthUsers,
    AuthHttpTimeout,
    AuthHttpHeader,
    AuthHttpPassClientCert,
    AuthHttpKeepalive,
    AuthHttpSsl(ClientSslWord),
    ProxyBuffer,
    ProxyTimeout,
    ProxyPassErrorMessage,
    Xclient,
    ProxySmtpAuth,
    ProxyOauth,
    ProxyPipelining,
    ProxyProtocol,
    ProxySslMode,
    ProxySsl(ClientSslWord),
    ProxyPass,
    ProxyConnectTimeout,
    UpstreamBlock,
    Upstream(UpstreamWord),
    ClientBuffer(gatepost_core::Protocol),
    Capabilities(gatepost_core::Protocol),
    Auth(gatepost_core::Protocol),
    AuthStrict,
    PlaintextAuth,
    SmtpGreetingDelay,
    LingeringClose,
    LingeringTime,
    LingeringTimeout,
    LimitConnZone,
    Limit(LimitWord),
    Starttls,
    Ssl,
    SslCertificate,
    SslCertificateKey,
    SslProtocols,
    SslVerifyClient,
    SslVerifyDepth,
    SslClientCertificate,
    SslTrustedCertificate,
    SslPasswordFile,
    SslCrl,
    SslCertificateCompression,
    SslTuning(SslWord),
}

/// The directives about what TLS towards clients may choose from, and how its sessions are resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SslWord {
    Ciphers,
    PreferServerCiphers,
    EcdhCurve,
    ConfCommand,
    Dhparam,
    SessionCache,
    SessionTimeout,
    SessionTickets,
    SessionTicketKey,
}

/// The directives about processes, their rights and their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcessWord {
    /// `daemon`
    Daemon,
    /// `master_process`
    Master,
    /// `user`
    User,
    /// `worker_connections`
    Connections,
    /// `worker_rlimit_nofile`
    Descriptors,
    /// `worker_rlimit_core`
    Core,
    /// `worker_shutdown_timeout`
    ShutdownTimeout,
    /// `worker_cpu_affinity`
    Affinity,
    /// `worker_priority`
    Priority,
    /// `working_directory`
    Directory,
    /// `env`
    Environment,
    /// `debug_connection`
    Debugged,
}

/// The directives about how much one client or user may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitWord {
    /// `limit_conn`
    Conn,
    /// `limit_conn_dry_run`
    DryRun,
    /// `limit_conn_log_level`
    LogLevel,
    /// `limit_rate`
    Rate,
    /// `limit_rate_after`
    RateAfter,
}

/// The directives of an `upstream {}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpstreamWord {
    Server,
    LeastConn,
    IpHash,
    Random,
    Hash,
    Resolver,
    ResolverTimeout,
}

/// The directives about TLS where we are the client: those that begin with `proxy_ssl_`, or `auth_http_ssl_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientSslWord {
    Verify,
    TrustedCertificate,
    Name,
    ServerName,
    Certificate,
    CertificateKey,
}

/// Finds what `directive` is, if it may stand in `context` with the arguments it has.
///
/// # Errors
///
/// nginx's complaint, with a guess at what was meant.
pub(super) fn admit(directive: &Directive, context: Context) -> Result<&'static Row, Complaint> {
    let name = directive.shown();
    let Some(row) = find_of_any_time(&name, context) else {
        return Err(unknown(directive, &name, context));
    };
    if !row.contexts.contains(&context) {
        return Err(misplaced(directive, &name, row.contexts));
    }
    match (row.shape, directive.block.is_some()) {
        (Shape::Block(_), false) => {
            let message = format!("directive \"{name}\" has no opening \"{{\"");
            return Err(Complaint::of(directive, message));
        }
        (Shape::Flag | Shape::Args(..) | Shape::OneOrMore(_), true) => {
            let message = format!("directive \"{name}\" is not terminated by \";\"");
            return Err(Complaint::of(directive, message).under(directive.args_span()));
        }
        _ => {}
    }
    let (least, most) = row.shape.args();
    if !(least..=most).contains(&directive.args.len()) {
        return Err(miscounted(directive, &name, context, (least, most)));
    }
    let is_odd = sign(directive).is_some() || swallowed(directive, &name, context).is_some();
    if let (Shape::OneOrMore(_), 2.., true) = (row.shape, directive.args.len(), is_odd) {
        return Err(miscounted(directive, &name, context, (1, 1)));
    }
    Ok(row)
}

impl Shape {
    const fn args(self) -> (usize, usize) {
        match self {
            Self::Block(args) => (args, args),
            Self::Flag => (1, 1),
            Self::Args(least, most) => (least, most),
            Self::OneOrMore(most) => (1, most),
        }
    }
}

impl Row {
    /// Whether the argument is `on` or `off`.
    pub(super) const fn is_flag(&self) -> bool {
        matches!(self.shape, Shape::Flag)
    }
}

/// The whole table.
#[cfg(test)]
pub(super) const fn rows() -> &'static [Row] {
    ROWS
}

/// The directive's name of today, if there is a directive of its name anywhere.
pub(super) fn known(directive: &Directive) -> Option<&'static str> {
    ROWS.iter().map(|row| row.name).find(|name| *name == of_today(&directive.shown()))
}

/// A name that nginx has given up is as good as the one it gave up for.
fn of_today(name: &str) -> &str {
    renamed::name_of_today(name).unwrap_or(name)
}

/// Like [`find`], also by a name that nginx has given up.
fn find_of_any_time(name: &str, context: Context) -> Option<&'static Row> {
    find(of_today(name), context)
}

/// The row of this name. Where there are several, as of `server`, the one for this place.
fn find(name: &str, context: Context) -> Option<&'static Row> {
    let named = || ROWS.iter().filter(|row| row.name == name);
    named().find(|row| row.contexts.contains(&context)).or_else(|| named().next())
}

fn unknown(directive: &Directive, name: &str, context: Context) -> Complaint {
    if foreign::is_foreign(name) {
        return misplaced(directive, name, &[]);
    }
    let complaint = Complaint::of(directive, format!("unknown directive \"{name}\""));
    if name.starts_with('\u{feff}') {
        return complaint.hint("the file begins with a byte order mark (U+FEFF): save it without");
    }
    if name.starts_with("//") || name.starts_with("/*") {
        return complaint.hint("a comment begins with `#`");
    }
    match (zimbra::advice(name), likely(name, context)) {
        (Some(advice), _) => complaint.hint(advice),
        (None, Some(likely)) => complaint.label(format!("did you mean `{likely}`?")),
        (None, None) => complaint,
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
    let swallowed = swallowed(directive, name, context);
    if let Some(at) = swallowed.filter(|_| directive.args.len() > wanted.1) {
        let before = directive.args.get(..at).and_then(<[_]>::last).unwrap_or(&directive.name);
        return complaint.under(before.span).label("is a `;` missing behind this?");
    }
    if let Some(sign) = sign(directive) {
        return complaint.under(sign.span).label("arguments follow a name without a sign between them");
    }
    complaint.label(match wanted {
        (0, 0) => "it takes no argument".to_owned(),
        (1, 1) => "it takes one argument".to_owned(),
        (least, usize::MAX) => format!("it takes {least} or more arguments"),
        (least, most) if least == most => format!("it takes {least} arguments"),
        (least, most) => format!("it takes {least} to {most} arguments"),
    })
}

/// Where among the arguments a word stands that is a directive's name, and was probably meant to begin one.
fn swallowed(directive: &Directive, name: &str, context: Context) -> Option<usize> {
    directive.args.iter().position(|arg| {
        find(&arg.shown(), context).is_some_and(|row| row.contexts.contains(&context) && row.name != name)
    })
}

/// The sign that stands between a name and its arguments, where there should be none.
fn sign(directive: &Directive) -> Option<&Word> {
    directive.args.first().filter(|arg| matches!(&*arg.text, b"=" | b"=>" | b":"))
}

impl Context {
    const fn place(self) -> &'static str {
        match self {
            Self::Main => "outside of all blocks",
            Self::Events => "into `events {}`",
            Self::Mail => "into `mail {}`",
            Self::Server => "into a `server {}` of `mail {}`",
            Self::Upstream => "into an `upstream {}` of `mail {}`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By their names, or as `proxy_ssl_…` for all that begin so.
    #[test]
    fn the_readme_names_every_directive_that_does_not_take_effect() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
        let readme = readme.expect("a README");
        let quoted = readme.split('`').skip(1).step_by(2);
        let named: Vec<_> = quoted.filter_map(|text| text.split(' ').next()).collect();
        let is_named = |name: &str| {
            named.iter().any(|&each| match each.strip_suffix('…') {
                Some(beginning) => !beginning.is_empty() && name.starts_with(beginning),
                None => each == name,
            })
        };
        let others = ROWS.iter().filter(|row| !matches!(row.fate, Fate::Honoured(_)));
        let unnamed: Vec<_> = others.map(|row| row.name).filter(|name| !is_named(name)).collect();
        assert_eq!(unnamed, [""; 0]);
    }
}
