//! The tree to what the process runs on: every directive that the table of `schema.rs` admits is given its meaning.

mod access_log;
mod address;
mod auth_http;
mod auth_http_ssl;
mod auth_users;
mod certificates;
mod client_ssl;
mod conf_command;
mod limits;
mod listen;
mod log;
mod methods;
mod peers;
mod process;
mod proxy_pass;
mod proxy_ssl;
mod resolver;
mod scope;
mod server;
mod ssl;
mod syslog;
mod upstream;
mod value;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use gatepost_core::{Address, Protocol};

use self::scope::Scope;
pub(super) use self::ssl::Zones;
use super::diagnostic::{Complaint, Complaints};
use super::schema::{Again, Context, Fate, Keyword, admit, known};
use super::source::Span;
use super::surroundings::Surroundings;
use super::tree::{self, Directive, Mark, Tree};
use super::{Config, LogSink, LogTarget, Pid};
use crate::pid_file::PidFile;

/// nginx, too, starts no more workers than this.
const WORKERS_MAX: usize = 1024;

/// How many addresses one configuration may listen on: as many as there are ports. Each takes a descriptor.
const LISTENERS_MAX: usize = 65_536;

/// Where relative things are taken from.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    /// The machine.
    pub(super) surroundings: &'a dyn Surroundings,
    /// The folder that logs are taken from (`-p`).
    pub(super) prefix: &'a Path,
    /// The main file's folder, that certificates are taken from.
    pub(super) folder: &'a Path,
    /// The zones that were named so far.
    pub(super) zones: &'a Zones,
    /// Where lines go for which no `error_log` is in force (`-e`).
    pub(super) error_log: Option<&'a LogSink>,
    /// The names of every `upstream {}`, wherever it stands.
    pub(super) upstream_names: &'a [String],
}

/// Which directives a block has, understood or not: where the first of each name is, and how many there are.
#[derive(Debug, Default)]
struct Seen(BTreeMap<&'static str, (Span, usize)>);

impl Seen {
    fn has(&self, name: &str) -> bool {
        self.count(name) > 0
    }

    fn count(&self, name: &str) -> usize {
        self.0.get(name).map_or(0, |(_, count)| *count)
    }

    /// The name of each that there is.
    fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// Counts one more; tells where the first was, if there is one.
    fn add(&mut self, name: &'static str, at: Span) -> Option<Span> {
        let (first, count) = self.0.entry(name).or_insert((at, 0));
        *count += 1;
        (*count > 1).then_some(*first)
    }
}

/// Gives `tree` its meaning. `None` if that is impossible; the reasons are among the `complaints`.
pub(super) fn lower(tree: &Tree, ground: Ground<'_>, complaints: &mut Complaints) -> Option<Config> {
    let names = upstream::names(tree);
    let ground = Ground { upstream_names: &names, ..ground };
    let mut main = Main {
        ground,
        complaints,
        worker_processes: NonZeroUsize::MIN,
        process: process::Said::default(),
        pid: Pid::Unsaid,
        logs: Vec::new(),
        mail: None,
    };
    let mut seen = Seen::default();
    for directive in &tree.directives {
        if let Some(keyword) = admitted(directive, Context::Main, &mut seen, main.complaints) {
            let taken = main.take(keyword, directive);
            main.complaints.note(taken);
        }
    }
    main.finish(tree.whole, &seen)
}

/// What the table says about a directive, unless that settles it.
fn admitted(
    directive: &Directive,
    context: Context,
    seen: &mut Seen,
    complaints: &mut Complaints,
) -> Option<Keyword> {
    if complaints.is_full() {
        return None;
    }
    // A directive that is there and wrong is not missing.
    let first = known(directive).and_then(|name| seen.add(name, directive.name.span));
    let row = complaints.note(admit(directive, context))?;
    if *row.name.as_bytes() != *directive.name.text {
        let (old, today) = (directive.shown(), row.name);
        let message = format!("the \"{old}\" directive is obsolete, use the \"{today}\" directive instead");
        complaints.push(Complaint::of(directive, message).warning());
    }
    if let (Again::Refused, Some(first)) = (row.again, first) {
        let message = format!("\"{}\" directive is duplicate", row.name);
        complaints.push(Complaint::of(directive, message).first(first));
        return None;
    }
    if row.is_flag() {
        complaints.note(value::flag(directive))?;
    }
    let argument = directive.args.first().map(|word| word.text.to_ascii_lowercase()).unwrap_or_default();
    match row.fate {
        Fate::Honoured(keyword) => return Some(keyword),
        Fate::Accepted(kind) => {
            complaints.note(value::check(directive, kind));
        }
        Fate::Ineffective(kind, unless, what) => {
            let checked = complaints.note(value::check(directive, kind)).is_some();
            if checked && (unless.is_empty() || argument != unless.as_bytes()) {
                let message = format!("the \"{}\" directive has no effect yet: {what}", row.name);
                complaints.push(Complaint::of(directive, message).warning());
            }
        }
    }
    None
}

/// What stands outermost.
struct Main<'a> {
    ground: Ground<'a>,
    complaints: &'a mut Complaints,
    worker_processes: NonZeroUsize,
    process: process::Said,
    pid: Pid,
    logs: Vec<LogTarget>,
    mail: Option<Mail>,
}

/// A `mail {}` as read.
#[derive(Default)]
struct Mail {
    scope: Scope,
    formats: access_log::Formats,
    seen: Seen,
    /// The protocol of servers that neither say nor show which: IMAP in what was called `imap {}`.
    protocol: Option<Protocol>,
    blocks: Vec<server::Block>,
    addresses: BTreeMap<Address, listen::Place>,
    upstreams: upstream::Groups,
    zones: limits::Zones,
}

impl Main<'_> {
    fn take(&mut self, keyword: Keyword, directive: &Directive) -> Result<(), Complaint> {
        match keyword {
            Keyword::WorkerProcesses => self.worker_processes = worker_processes(directive, &self.ground)?,
            Keyword::Process(word) => self.process.take(word, directive, &self.ground, self.complaints)?,
            Keyword::Pid => self.pid = pid(directive, &self.ground)?,
            Keyword::ErrorLog => self.logs.push(log::error_log(directive, &self.ground)?),
            Keyword::Events => self.events(directive),
            Keyword::Mail => self.mail(directive),
            // The table admits no other here.
            _ => {}
        }
        Ok(())
    }

    fn events(&mut self, directive: &Directive) {
        let mut seen = Seen::default();
        for directive in inside(directive) {
            if let Some(keyword) = admitted(directive, Context::Events, &mut seen, self.complaints) {
                let taken = self.take(keyword, directive);
                self.complaints.note(taken);
            }
        }
    }

    fn mail(&mut self, directive: &Directive) {
        let Some(block) = &directive.block else { return };
        let protocol = (&*directive.name.text == b"imap").then_some(Protocol::Imap);
        let mut mail = Mail { protocol, ..Mail::default() };
        for directive in &block.directives {
            let Some(keyword) = admitted(directive, Context::Mail, &mut mail.seen, self.complaints) else {
                continue;
            };
            match keyword {
                Keyword::Server => self.server(directive, &mut mail),
                Keyword::UpstreamBlock => {
                    let taken = self.upstream(directive, &mut mail);
                    self.complaints.note(taken);
                }
                Keyword::LimitConnZone => {
                    let taken = limits::zone(directive, &mut mail.zones);
                    self.complaints.note(taken);
                }
                Keyword::LogFormat => {
                    let taken = access_log::log_format(directive, &mut mail.formats);
                    self.complaints.note(taken);
                }
                keyword => {
                    let taken = mail.scope.take(keyword, directive, &self.ground, self.complaints);
                    self.complaints.note(taken);
                }
            }
        }
        listen::check_wildcards(&mail.addresses, self.complaints);
        for server in &mut mail.blocks {
            server.mark.step = block.end.step;
        }
        self.mail = Some(mail);
    }

    fn upstream(&mut self, directive: &Directive, mail: &mut Mail) -> Result<(), Complaint> {
        let (name, group) = upstream::upstream(directive, &self.ground, self.complaints)?;
        let at = group.name;
        match mail.upstreams.get(&name) {
            Some(first) => {
                let message = format!("duplicate upstream \"{name}\"");
                Err(Complaint::of(directive, message).under(at).first(first.name))
            }
            None => {
                mail.upstreams.insert(name, group);
                Ok(())
            }
        }
    }

    fn server(&mut self, directive: &Directive, mail: &mut Mail) {
        let Some(tree::Block { directives, end }) = &directive.block else { return };
        let mut block = server::Block {
            scope: Scope::default(),
            protocol: None,
            protocol_if_unsaid: mail.protocol,
            listens: Vec::new(),
            seen: Seen::default(),
            name: directive.name.span,
            mark: Mark { line: directive.end.line, step: end.step },
        };
        for directive in directives {
            let Some(keyword) = admitted(directive, Context::Server, &mut block.seen, self.complaints) else {
                continue;
            };
            let taken = match keyword {
                Keyword::Protocol => protocol(directive).map(|protocol| block.protocol = Some(protocol)),
                Keyword::Listen => self.listen(directive, &mut block, &mut mail.addresses),
                keyword => block.scope.take(keyword, directive, &self.ground, self.complaints),
            };
            self.complaints.note(taken);
        }
        if !block.seen.has("listen") {
            let complaint = Complaint::at(block.mark, r#"no "listen" is defined for server"#);
            self.complaints.push(complaint.under(block.name));
        }
        mail.blocks.push(block);
    }

    fn listen(
        &mut self,
        directive: &Directive,
        block: &mut server::Block,
        addresses: &mut BTreeMap<Address, listen::Place>,
    ) -> Result<(), Complaint> {
        let listen = listen::listen(directive, self.ground.surroundings, self.complaints)?;
        let at = value::argument(directive, 0)?.span;
        if addresses.len() + listen.listeners.len() > LISTENERS_MAX {
            let message = format!("more than {LISTENERS_MAX} addresses to listen on");
            return Err(Complaint::of(directive, message).under(at));
        }
        for listener in &listen.listeners {
            let place = listen::Place::new(directive, at, &listen, listener);
            if let Some(first) = addresses.insert(listener.address.clone(), place) {
                let message = format!("duplicate \"{}\" address and port pair", listener.text);
                return Err(Complaint::of(directive, message).under(at).first(first.at));
            }
        }
        block.listens.push(listen);
        Ok(())
    }

    fn finish(self, whole: bool, seen: &Seen) -> Option<Config> {
        let Self { ground, complaints, worker_processes, process, pid, logs, mail } = self;
        let logs = server::main_logs(logs, &ground);
        // Nothing can be said to be missing in what was not read to its end.
        if !whole {
            return None;
        }
        let servers = match &mail {
            Some(mail) => server::servers(mail, &logs, &ground, complaints),
            None => {
                if seen.has("mail") || complaints.refuse() {
                    return None;
                }
                let message = "no \"mail\" section in configuration, there is nothing to do";
                complaints.push(Complaint::general(message).warning());
                Vec::new()
            }
        };
        let process = process.finish(worker_processes.get(), &ground, complaints);
        let zones = mail.map(|mail| limits::settings(mail.zones)).unwrap_or_default();
        (!complaints.refuse()).then_some(Config { worker_processes, process, pid, logs, zones, servers })
    }
}

fn inside(directive: &Directive) -> &[Directive] {
    directive.block.as_ref().map_or(&[], |block| &block.directives)
}

fn worker_processes(directive: &Directive, ground: &Ground<'_>) -> Result<NonZeroUsize, Complaint> {
    let word = value::argument(directive, 0)?;
    if &*word.text == b"auto" {
        return Ok(ground.surroundings.cores());
    }
    let number = value::digits(&word.text).and_then(|number| usize::try_from(number).ok());
    let number = number.filter(|&number| number <= WORKERS_MAX).and_then(NonZeroUsize::new);
    number.ok_or_else(|| {
        value::invalid(directive, word).label(format!("a number from 1 to {WORKERS_MAX}, or `auto`"))
    })
}

/// freenginx knows `off`, and so a file of that name needs a folder: `./off`.
fn pid(directive: &Directive, ground: &Ground<'_>) -> Result<Pid, Complaint> {
    let word = value::argument(directive, 0)?;
    match &*word.text {
        b"off" => Ok(Pid::Off),
        _ => Ok(Pid::File(PidFile::new(value::path(directive, word, ground.prefix)?))),
    }
}

/// The name of a protocol, in lower case.
fn protocol(directive: &Directive) -> Result<Protocol, Complaint> {
    let word = value::argument(directive, 0)?;
    let unknown = || {
        let message = format!("unknown protocol \"{}\"", word.shown());
        Complaint::of(directive, message).under(word.span)
    };
    match Protocol::ALL.into_iter().find(|protocol| protocol.name().as_bytes() == &*word.text) {
        Some(protocol) if protocol.is_built() => Ok(protocol),
        Some(_) => Err(unknown().label("this Gatepost was built without it")),
        None => Err(unknown().label("`imap`, `pop3` or `smtp`")),
    }
}
