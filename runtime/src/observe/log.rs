//! `error_log`, in nginx's form: `2026/11/21 10:25:22 [info] 5908#0: *1 client logged in, client: …`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use gatepost_core::report::Level;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::access::AccessLog;
use super::outlet::{Fate, Line, Loss, Outlet};
use super::rate::{Limit, Verdict};
use crate::config::{AccessTarget, LogSink, LogTarget, Syslog};
use crate::system_error::{system_error, text_of};

/// A line with its end. The rest of a longer one is cut off, as nginx does.
const LINE_BYTES_MAX: usize = 2048;

/// Where a log's times come from.
pub type Clock = fn() -> SystemTime;

/// Opens logs, each file and each server once however many directives name it.
#[derive(Debug)]
pub struct LogFiles {
    files: BTreeMap<PathBuf, Arc<Outlet>>,
    servers: Vec<(Syslog, Arc<Outlet>)>,
    /// Logs whose lines are counted: who inherits one counts with it.
    limited: Vec<(Box<[LogTarget]>, Arc<Log>)>,
    stderr: Arc<Outlet>,
    stamp: Stamp,
}

/// Where times come from, and in which zone they are told.
#[derive(Clone, Debug)]
struct Stamp {
    clock: Clock,
    zone: TimeZone,
}

impl Stamp {
    fn now(&self) -> Zoned {
        let now = Timestamp::try_from((self.clock)()).unwrap_or(Timestamp::UNIX_EPOCH);
        now.to_zoned(self.zone.clone())
    }
}

impl LogFiles {
    /// None yet. `zone` is that of the times in the lines; look it up before a sandbox hides the system's.
    #[must_use]
    pub fn new(clock: Clock, zone: TimeZone) -> Self {
        Self {
            files: BTreeMap::new(),
            servers: Vec::new(),
            limited: Vec::new(),
            stderr: Arc::new(Outlet::stderr()),
            stamp: Stamp { clock, zone },
        }
    }

    /// The log that writes to all of `targets`, each line to those whose level admits it. Files are made if need be and
    /// appended to; servers need not be there.
    ///
    /// # Errors
    ///
    /// A file that cannot be opened, in nginx's words: `open() "/var/log/x" failed (13: Permission denied)`.
    pub fn log(&mut self, targets: &[LogTarget]) -> io::Result<Arc<Log>> {
        let known = self.limited.iter().find(|(of, _)| **of == *targets);
        if let Some((_, log)) = known {
            return Ok(log.clone());
        }
        let branches = targets.iter().map(|target| self.branch(target)).collect::<io::Result<_>>()?;
        let log = Arc::new(Log { branches, stderr: self.stderr.clone(), stamp: self.stamp.clone() });
        if targets.iter().any(|target| target.rate.is_some()) {
            self.limited.push((targets.into(), log.clone()));
        }
        Ok(log)
    }

    /// The logs that get a line for each session.
    ///
    /// # Errors
    ///
    /// As [`LogFiles::log`].
    pub fn access_logs(&mut self, targets: &[AccessTarget]) -> io::Result<Arc<[AccessLog]>> {
        let logs = targets.iter().map(|AccessTarget { sink, format }| {
            let (outlet, stderr) = (self.outlet(sink)?, self.stderr.clone());
            Ok(AccessLog { outlet, stderr, severity: AccessLog::severity_of(sink), format: format.clone() })
        });
        logs.collect()
    }

    fn branch(&mut self, target: &LogTarget) -> io::Result<Branch> {
        let LogTarget { sink, level, rate } = target;
        let limit = rate.map(|rate| Limit::new(rate, (self.stamp.clock)()));
        Ok(Branch { least: *level, outlet: self.outlet(sink)?, limit })
    }

    fn outlet(&mut self, sink: &LogSink) -> io::Result<Arc<Outlet>> {
        match sink {
            LogSink::Stderr => Ok(self.stderr.clone()),
            LogSink::File(path) => {
                if let Some(known) = self.files.get(path) {
                    return Ok(known.clone());
                }
                let outlet = Arc::new(Outlet::file(path)?);
                self.files.insert(path.clone(), outlet.clone());
                Ok(outlet)
            }
            LogSink::Syslog(settings) => {
                if let Some((_, known)) = self.servers.iter().find(|(known, _)| known == settings) {
                    return Ok(known.clone());
                }
                let outlet = Arc::new(Outlet::syslog(settings));
                self.servers.push((settings.clone(), outlet.clone()));
                Ok(outlet)
            }
        }
    }

    /// The paths of the files, each once.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Another descriptor of each file, in the order of their paths.
    ///
    /// # Errors
    ///
    /// Descriptors are short.
    pub(crate) fn duplicates(&self) -> io::Result<Vec<File>> {
        self.files.values().filter_map(|outlet| outlet.with_file(File::try_clone)).collect()
    }

    /// Goes on in `files`, which somebody else has opened, in place of those from the one with the number `first` on, in the
    /// order of their paths. Every [`Log`] made here does.
    pub(crate) fn replace(&self, first: usize, files: impl IntoIterator<Item = OwnedFd>) {
        for (outlet, file) in self.files.values().skip(first).zip(files) {
            outlet.replace(file.into());
        }
    }

    /// Opens every file anew by its path, for whoever has renamed it meanwhile. Every [`Log`] made here goes on in the
    /// new files. One that cannot be opened stays as it was; these are returned, in nginx's words.
    pub fn reopen(&self) -> Vec<io::Error> {
        self.files.values().filter_map(|outlet| outlet.reopen().err()).collect()
    }
}

/// The `error_log`s of one `server {}`, or of the process.
///
/// No line waits for a disk, a reader or a server. One that cannot go at once is lost: standard error is told when that begins, and the
/// log itself, with how many they were, once it takes lines again.
#[derive(Debug)]
pub struct Log {
    branches: Box<[Branch]>,
    stderr: Arc<Outlet>,
    stamp: Stamp,
}

/// One `error_log`.
#[derive(Debug)]
struct Branch {
    least: Level,
    outlet: Arc<Outlet>,
    limit: Option<Limit>,
}

impl Log {
    /// The present moment, as lines tell it.
    pub(super) fn now(&self) -> Zoned {
        self.stamp.now()
    }

    /// Whether any target wants lines of this level.
    #[must_use]
    pub fn admits(&self, level: Level) -> bool {
        self.branches.iter().any(|branch| level >= branch.least)
    }

    /// Shows the first file that lines are written to, if there is one.
    pub(crate) fn with_first_file<T>(&self, show: impl FnOnce(&File) -> T) -> Option<T> {
        let mut show = Some(show);
        self.branches
            .iter()
            .find_map(|branch| branch.outlet.with_file(|file| show.take().map(|show| show(file))))?
    }

    /// Writes a line, with the connection's number if it belongs to one.
    pub fn line(&self, level: Level, number: Option<u64>, message: impl fmt::Display) {
        if self.admits(level) {
            self.write(level, number, &message, |branch| level >= branch.least);
        }
    }

    /// Writes a line to every target, whatever its level: what is wanted of a client of whom everything is (`debug_connection`).
    pub(super) fn line_in_full(&self, level: Level, number: Option<u64>, message: impl fmt::Display) {
        self.write(level, number, &message, |_| true);
    }

    fn write(
        &self,
        level: Level,
        number: Option<u64>,
        message: &dyn fmt::Display,
        admits: impl Fn(&Branch) -> bool,
    ) {
        thread_local! { static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) }; }
        // Taken rather than borrowed: printing the message may itself come back here.
        let (mut octets, time) = (LINE.take(), self.stamp.now());
        format(&mut octets, &time, level, number, message);
        for branch in self.branches.iter().filter(|branch| admits(branch)) {
            match branch.judge(level, &self.stamp) {
                Verdict::Write => self.put(branch, level, &octets, &time),
                Verdict::Refuse => {
                    let mut octets = Vec::new();
                    format(&mut octets, &time, level, None, &"too many log messages, limiting");
                    self.put(branch, level, &octets, &time);
                }
                Verdict::RefuseToo => {}
            }
        }
        LINE.set(octets);
    }

    /// Writes an operating system's error as nginx does: `accept4() failed (24: Too many open files) WHERE`.
    pub(crate) fn system(&self, level: Level, call: &str, error: &io::Error, place: impl fmt::Display) {
        match error.raw_os_error() {
            Some(code) => {
                self.line(level, None, format_args!("{call} failed ({code}: {}){place}", text_of(code)));
            }
            None => self.line(level, None, format_args!("{call} failed ({error}){place}")),
        }
    }

    fn put(&self, branch: &Branch, level: Level, octets: &[u8], time: &Zoned) {
        let lost = branch.outlet.take_lost();
        if lost > 0 {
            let mut words = Vec::new();
            format(&mut words, time, Level::Alert, None, &format_args!("{lost} lines of this log were lost"));
            let line = Line { octets: &words, time, severity: Level::Alert.into(), stands_for: lost };
            if let Fate::Lost(_) = branch.outlet.put(line) {
                branch.outlet.untold(1);
                return;
            }
        }
        let line = Line { octets, time, severity: level.into(), stands_for: 1 };
        if let Fate::Lost(Loss::First(error)) | Fate::SentAfterLoss(Loss::First(error)) =
            branch.outlet.put(line)
            && !Arc::ptr_eq(&branch.outlet, &self.stderr)
        {
            let mut words = Vec::new();
            let why = system_error(branch.outlet.call(), &error);
            let message = format_args!("{}: lines are being lost, {why}", branch.outlet);
            format(&mut words, time, Level::Alert, None, &message);
            // Where that is full too, nobody is left to tell.
            self.stderr.put(Line { octets: &words, time, severity: Level::Alert.into(), stands_for: 1 });
        }
    }
}

impl Branch {
    fn judge(&self, level: Level, stamp: &Stamp) -> Verdict {
        match &self.limit {
            Some(limit) => limit.judge(level, self.least, (stamp.clock)()),
            None => Verdict::Write,
        }
    }
}

/// Puts a line and its end in place of what `line` holds.
fn format(line: &mut Vec<u8>, time: &Zoned, level: Level, number: Option<u64>, message: &dyn fmt::Display) {
    line.clear();
    let (level, process) = (level.name(), std::process::id());
    // Writing to memory does not fail.
    let _ = write!(line, "{} [{level}] {process}#0: ", time.strftime("%Y/%m/%d %H:%M:%S"));
    if let Some(number) = number {
        let _ = write!(line, "*{number} ");
    }
    let _ = write!(line, "{message}");
    if line.len() >= LINE_BYTES_MAX {
        // Not within a character.
        let cut = (0..LINE_BYTES_MAX).rev().find(|&at| line.get(at).is_none_or(|octet| octet & 0xc0 != 0x80));
        line.truncate(cut.unwrap_or_default());
    }
    for octet in line.iter_mut().filter(|octet| octet.is_ascii_control()) {
        *octet = b' ';
    }
    line.push(b'\n');
}

#[cfg(test)]
mod tests;
