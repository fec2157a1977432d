//! Who serves, with what rights and within which limits: the outermost directives of config.md 10.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use rustix::thread::CpuSet;

use super::value::{argument, digits, flag, invalid, number, offset, path, time};
use super::{Ground, peers};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::process::{Affinity, Process, User};
use crate::config::schema::ProcessWord;
use crate::config::source::Span;
use crate::config::surroundings::Surroundings;
use crate::config::tree::Directive;

/// The user of a worker where nothing is said about it, as nginx's sources have it.
const DEFAULT_USER: &str = "nobody";

/// What was said about processes, and what can be judged only when all of it is known.
#[derive(Default)]
pub(super) struct Said {
    process: Process,
    /// What to say of `user` where there is no worker, if there is a `user`.
    user_without_worker: Option<Complaint>,
    /// How many masks `worker_cpu_affinity` has, and what to say if that is not the number of threads.
    unequal_masks: Option<(usize, Complaint)>,
}

impl Said {
    /// Understands one of them.
    pub(super) fn take(
        &mut self,
        word: ProcessWord,
        directive: &Directive,
        ground: &Ground<'_>,
        complaints: &mut Complaints,
    ) -> Result<(), Complaint> {
        let process = &mut self.process;
        match word {
            ProcessWord::Daemon => process.daemon = flag(directive)?,
            ProcessWord::Master => process.master = flag(directive)?,
            ProcessWord::User => self.user(directive, ground, complaints)?,
            ProcessWord::Connections => {
                process.connections = usize::try_from(connections(directive)?).unwrap_or(usize::MAX);
            }
            ProcessWord::Descriptors => process.descriptors = Some(number(directive)?),
            ProcessWord::Core => {
                process.core_bytes = Some(offset(directive)?);
                let message = "core files of the worker will hold passwords and keys";
                complaints.push(Complaint::of(directive, message).warning());
            }
            ProcessWord::ShutdownTimeout => process.shutdown_timeout = Some(time(directive)?),
            ProcessWord::Affinity => {
                process.affinity = affinity(directive)?;
                if let Affinity::Masks(masks) = &process.affinity {
                    let message = "the number of \"worker_processes\" is not equal to the number of \
                                   \"worker_cpu_affinity\" masks, using last mask for remaining worker processes";
                    self.unequal_masks = Some((masks.len(), Complaint::of(directive, message).warning()));
                }
            }
            ProcessWord::Debugged => {
                process.debugged.extend(peers::peers(directive, ground.surroundings, complaints)?);
            }
            ProcessWord::Priority => process.priority = Some(priority(directive)?),
            ProcessWord::Directory => {
                process.directory = Some(path(directive, argument(directive, 0)?, ground.prefix)?);
            }
            ProcessWord::Environment => {
                let word = argument(directive, 0)?;
                if word.text.is_empty() || word.text.contains(&0) || word.text.starts_with(b"=") {
                    return Err(invalid(directive, word).label("`NAME` or `NAME=VALUE`"));
                }
                let mut parts = word.text.splitn(2, |octet| *octet == b'=');
                let text = |part: &[u8]| OsStr::from_bytes(part).to_owned();
                let name = text(parts.next().unwrap_or_default());
                process.environment.push((name, parts.next().map(text)));
            }
        }
        Ok(())
    }

    fn user(
        &mut self,
        directive: &Directive,
        ground: &Ground<'_>,
        complaints: &mut Complaints,
    ) -> Result<(), Complaint> {
        let message = "the \"user\" directive has no effect with \"master_process off\": there is no worker";
        self.user_without_worker = Some(Complaint::of(directive, message).warning());
        if !ground.surroundings.is_root() {
            let message = "the \"user\" directive makes sense only if the master process runs with super-user \
                           privileges, ignored";
            complaints.push(Complaint::of(directive, message).warning());
            return Ok(());
        }
        let word = argument(directive, 0)?;
        let mut user = find(&word.text, ground.surroundings).ok_or_else(|| {
            Complaint::of(directive, format!("getpwnam(\"{}\") failed", word.shown()))
                .under(word.span)
                .label("no such user")
        })?;
        // nginx takes the group of the user's name, which need not be the user's own group, nor exist.
        let group = directive.args.get(1).unwrap_or(word);
        let found = text(group).and_then(|name| ground.surroundings.group(name));
        match found {
            Some(gid) => user.gid = gid,
            None if directive.args.len() > 1 => {
                let message = format!("getgrnam(\"{}\") failed", group.shown());
                return Err(Complaint::of(directive, message).under(group.span).label("no such group"));
            }
            None => {
                let message = format!("getgrnam(\"{}\") failed, using the user's own group", group.shown());
                complaints.push(Complaint::of(directive, message).warning());
            }
        }
        self.process.user = Some(user);
        Ok(())
    }

    /// All of it together. `threads` is `worker_processes`.
    pub(super) fn finish(
        mut self,
        threads: usize,
        ground: &Ground<'_>,
        complaints: &mut Complaints,
    ) -> Process {
        let root = ground.surroundings.is_root();
        match self.user_without_worker {
            Some(complaint) if root && !self.process.master => {
                self.process.user = None;
                complaints.push(complaint);
            }
            None if root && self.process.master => {
                self.process.user = find(DEFAULT_USER.as_bytes(), ground.surroundings);
                if self.process.user.is_none() {
                    let message = format!("getpwnam(\"{DEFAULT_USER}\") failed");
                    let hint = "say by `user` who the worker is to be";
                    complaints.push(Complaint::general(message).hint(hint));
                }
            }
            _ => {}
        }
        if let Some((masks, complaint)) = self.unequal_masks
            && masks != threads
        {
            complaints.push(complaint);
        }
        self.process
    }
}

fn text(word: &Word) -> Option<&str> {
    std::str::from_utf8(&word.text).ok()
}

/// The user of that name, with its own group.
fn find(name: &[u8], surroundings: &dyn Surroundings) -> Option<User> {
    let (uid, gid) = surroundings.user(std::str::from_utf8(name).ok()?)?;
    Some(User { name: CString::new(name).ok()?, uid, gid })
}

/// nginx has words of its own for what is no number here.
fn connections(directive: &Directive) -> Result<u64, Complaint> {
    let word = argument(directive, 0)?;
    digits(&word.text).ok_or_else(|| {
        let message = format!("invalid number \"{}\"", word.shown());
        Complaint::of(directive, message).under(word.span)
    })
}

/// As of nice(2): the less the sooner.
fn priority(directive: &Directive) -> Result<i32, Complaint> {
    let word = argument(directive, 0)?;
    let (sign, size) = match word.text.strip_prefix(b"-") {
        Some(size) => (-1, size),
        None => (1, &*word.text),
    };
    let size = digits(size).and_then(|size| i32::try_from(size).ok());
    size.map(|size| sign * size).ok_or_else(|| {
        let message = format!("\"{}\" directive invalid number", directive.shown());
        Complaint::of(directive, message).under(word.span)
    })
}

/// `auto`, `auto MASK`, or a mask for each thread.
fn affinity(directive: &Directive) -> Result<Affinity, Complaint> {
    let first = argument(directive, 0)?;
    if &*first.text != b"auto" {
        let masks = directive.args.iter().map(|word| mask(directive, word)).collect::<Result<_, _>>()?;
        return Ok(Affinity::Masks(masks));
    }
    match directive.args.get(1..).unwrap_or_default() {
        [] => Ok(Affinity::Auto(None)),
        [word] => Ok(Affinity::Auto(Some(mask(directive, word)?))),
        _ => {
            let message = format!("invalid number of arguments in \"{}\" directive", directive.shown());
            Err(Complaint::of(directive, message).under(directive.args_span()).label("`auto` takes one mask"))
        }
    }
}

/// Binary digits, the last of which is for CPU 0; spaces between them do not count.
fn mask(directive: &Directive, word: &Word) -> Result<CpuSet, Complaint> {
    let at: Span = word.span;
    let refused = |message: String| Err(Complaint::of(directive, message).under(at));
    let (mut set, mut cpu) = (CpuSet::new(), 0);
    for octet in word.text.iter().rev().filter(|octet| **octet != b' ') {
        if cpu >= CpuSet::MAX_CPU {
            return refused(format!("\"worker_cpu_affinity\" supports up to {} CPUs only", CpuSet::MAX_CPU));
        }
        match octet {
            b'0' => {}
            b'1' => set.set(cpu),
            other => {
                let shown = other.escape_ascii();
                return refused(format!("invalid character \"{shown}\" in \"worker_cpu_affinity\""));
            }
        }
        cpu += 1;
    }
    Ok(set)
}
