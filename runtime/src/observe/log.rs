//! `error_log`, in nginx's form: `2026/11/21 10:25:22 [info] 5908#0: *1 client logged in, client: …`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use gatepost_core::Report;
use gatepost_core::report::Level;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Observer;
use crate::config::{LogSink, LogTarget};
use crate::system_error::{system_error, text_of};

/// A line with its end. The rest of a longer one is cut off, as nginx does.
const LINE_BYTES_MAX: usize = 2048;

/// Where a log's times come from.
pub type Clock = fn() -> SystemTime;

/// Opens log files, each path once however many `error_log`s name it.
#[derive(Debug)]
pub struct LogFiles {
    open: BTreeMap<PathBuf, Arc<RwLock<File>>>,
    clock: Clock,
    zone: TimeZone,
}

impl LogFiles {
    /// None yet. `zone` is that of the times in the lines; look it up before a sandbox hides the system's.
    #[must_use]
    pub fn new(clock: Clock, zone: TimeZone) -> Self {
        Self { open: BTreeMap::new(), clock, zone }
    }

    /// The log that writes to all of `targets`, each line to those whose level admits it. Files are made if need be and
    /// appended to.
    ///
    /// # Errors
    ///
    /// A file that cannot be opened, in nginx's words: `open() "/var/log/x" failed (13: Permission denied)`.
    pub fn log(&mut self, targets: &[LogTarget]) -> io::Result<Arc<Log>> {
        let targets = targets
            .iter()
            .map(|target| Ok((target.level, self.sink(&target.sink)?)))
            .collect::<io::Result<_>>()?;
        Ok(Arc::new(Log { targets, clock: self.clock, zone: self.zone.clone() }))
    }

    fn sink(&mut self, sink: &LogSink) -> io::Result<Sink> {
        let LogSink::File(path) = sink else { return Ok(Sink::Stderr) };
        if let Some(file) = self.open.get(path) {
            return Ok(Sink::File(file.clone()));
        }
        let file = Arc::new(RwLock::new(open(path)?));
        self.open.insert(path.clone(), file.clone());
        Ok(Sink::File(file))
    }

    /// Opens every file anew by its path, for whoever has renamed it meanwhile. Every [`Log`] made here goes on in the
    /// new files. One that cannot be opened stays as it was; these are returned, in nginx's words.
    pub fn reopen(&self) -> Vec<io::Error> {
        let mut failed = Vec::new();
        for (path, file) in &self.open {
            match open(path) {
                Ok(new) => *file.write().unwrap_or_else(PoisonError::into_inner) = new,
                Err(error) => failed.push(error),
            }
        }
        failed
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
        let told = system_error("open()", &error);
        let text = format!("open() \"{}\" failed ({}: {})", path.display(), told.code, told.text);
        io::Error::new(error.kind(), text)
    })
}

/// The `error_log`s of one `server {}`, or of the process. A line goes out in one write, so that those of several
/// threads and processes do not mix.
#[derive(Debug)]
pub struct Log {
    targets: Box<[(Level, Sink)]>,
    clock: Clock,
    zone: TimeZone,
}

#[derive(Debug)]
enum Sink {
    Stderr,
    /// Replaced when logs are reopened.
    File(Arc<RwLock<File>>),
}

impl Log {
    /// Whether any target wants lines of this level.
    #[must_use]
    pub fn admits(&self, level: Level) -> bool {
        self.targets.iter().any(|&(least, _)| level >= least)
    }

    /// Writes a line, with the connection's number if it belongs to one. A line that cannot be written is lost: no
    /// session ends because a disk is full.
    pub fn line(&self, level: Level, number: Option<u64>, message: impl fmt::Display) {
        thread_local! { static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) }; }
        if !self.admits(level) {
            return;
        }
        // Taken rather than borrowed: printing the message may itself come back here.
        let mut line = LINE.take();
        line.clear();
        self.format(&mut line, level, number, &message);
        for (least, sink) in &self.targets {
            if level >= *least {
                let _ = match sink {
                    Sink::Stderr => write_once(&mut io::stderr().lock(), &line),
                    Sink::File(file) => {
                        write_once(&mut &*file.read().unwrap_or_else(PoisonError::into_inner), &line)
                    }
                };
            }
        }
        LINE.set(line);
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

    fn format(&self, line: &mut Vec<u8>, level: Level, number: Option<u64>, message: &dyn fmt::Display) {
        let now = Timestamp::try_from((self.clock)()).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = now.to_zoned(self.zone.clone());
        let (level, process) = (level.name(), std::process::id());
        // Writing to memory does not fail.
        let _ = write!(line, "{} [{level}] {process}#0: ", time.strftime("%Y/%m/%d %H:%M:%S"));
        if let Some(number) = number {
            let _ = write!(line, "*{number} ");
        }
        let _ = write!(line, "{message}");
        if line.len() >= LINE_BYTES_MAX {
            // Not within a character.
            let cut =
                (0..LINE_BYTES_MAX).rev().find(|&at| line.get(at).is_none_or(|octet| octet & 0xc0 != 0x80));
            line.truncate(cut.unwrap_or_default());
        }
        for octet in line.iter_mut().filter(|octet| octet.is_ascii_control()) {
            *octet = b' ';
        }
        line.push(b'\n');
    }
}

/// One write(2); what it leaves over is not worth mixing lines for.
fn write_once(sink: &mut impl Write, line: &[u8]) -> io::Result<usize> {
    loop {
        match sink.write(line) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

/// The log as one session writes it.
#[derive(Clone, Debug)]
pub struct SessionLog {
    log: Arc<Log>,
    number: u64,
}

impl SessionLog {
    /// For the connection with this number.
    #[must_use]
    pub fn new(log: Arc<Log>, number: u64) -> Self {
        Self { log, number }
    }
}

impl Observer for SessionLog {
    fn report(&self, report: &Report) {
        self.log.line(report.level(), Some(self.number), report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn noon() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_176_000)
    }

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gatepost-{}-{name}", std::process::id()));
            let _ = std::fs::remove_file(&path);
            Self(path)
        }
        fn target(&self, level: Level) -> LogTarget {
            LogTarget { sink: LogSink::File(self.0.clone()), level }
        }
        fn text(&self) -> String {
            std::fs::read_to_string(&self.0).expect("a log")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_line_has_nginx_form() {
        let file = Scratch::new("form.log");
        let mut files = LogFiles::new(noon, TimeZone::fixed(jiff::tz::offset(1)));
        let log = files.log(&[file.target(Level::Info)]).expect("a log");
        log.line(Level::Info, Some(7), "client logged in");
        log.line(Level::Crit, None, "two\nlines");
        log.line(Level::Debug, Some(7), "unheard");
        let process = std::process::id();
        assert_eq!(
            file.text(),
            format!(
                "2026/11/20 13:00:00 [info] {process}#0: *7 client logged in\n\
                 2026/11/20 13:00:00 [crit] {process}#0: two lines\n"
            )
        );
    }

    #[test]
    fn every_target_gets_what_its_level_admits() {
        let (all, some) = (Scratch::new("all.log"), Scratch::new("some.log"));
        let mut files = LogFiles::new(noon, TimeZone::UTC);
        let targets = [all.target(Level::Debug), some.target(Level::Error), all.target(Level::Crit)];
        let log = files.log(&targets).expect("a log");
        log.line(Level::Warn, None, "warned");
        log.line(Level::Crit, None, "broke");
        assert_eq!(all.text().lines().count(), 3);
        assert_eq!(some.text().lines().count(), 1);
        assert!(log.admits(Level::Debug));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let file = Scratch::new("long.log");
        let log = LogFiles::new(noon, TimeZone::UTC).log(&[file.target(Level::Info)]).expect("a log");
        for shift in 0..4 {
            log.line(Level::Info, None, format_args!("{}{}", "x".repeat(shift), "ü€".repeat(2000)));
        }
        let text = file.text();
        assert_eq!(text.lines().count(), 4);
        for line in text.lines() {
            assert!((LINE_BYTES_MAX - 4..LINE_BYTES_MAX).contains(&line.len()), "{}", line.len());
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_told_in_nginx_words() {
        let target = LogTarget { sink: LogSink::File("/nowhere/at/all".into()), level: Level::Info };
        let error = LogFiles::new(noon, TimeZone::UTC).log(&[target]).expect_err("no such directory");
        assert_eq!(error.to_string(), "open() \"/nowhere/at/all\" failed (2: No such file or directory)");
    }

    #[test]
    fn a_file_that_was_renamed_is_made_anew_when_logs_are_reopened() {
        let (file, rotated) = (Scratch::new("rotated.log"), Scratch::new("rotated.log.1"));
        let mut files = LogFiles::new(noon, TimeZone::UTC);
        let log = files.log(&[file.target(Level::Info)]).expect("a log");
        std::fs::rename(&file.0, &rotated.0).expect("renamed");
        log.line(Level::Info, None, "before");
        assert!(files.reopen().is_empty());
        log.line(Level::Info, None, "after");
        assert!(rotated.text().ends_with("before\n"), "{}", rotated.text());
        assert!(file.text().ends_with("after\n"), "{}", file.text());
    }

    #[test]
    fn a_log_that_cannot_be_reopened_goes_on_in_the_old_file() {
        let (folder, rotated) = (Scratch::new("folder"), Scratch::new("moved"));
        std::fs::create_dir(&folder.0).expect("a folder");
        let path = folder.0.join("a.log");
        let mut files = LogFiles::new(noon, TimeZone::UTC);
        let target = LogTarget { sink: LogSink::File(path.clone()), level: Level::Info };
        let log = files.log(&[target]).expect("a log");
        std::fs::rename(&path, &rotated.0).expect("moved");
        std::fs::remove_dir(&folder.0).expect("removed");
        let failed: Vec<_> = files.reopen().iter().map(ToString::to_string).collect();
        let told = format!("open() \"{}\" failed (2: No such file or directory)", path.display());
        assert_eq!(failed, [told]);
        log.line(Level::Info, None, "still here");
        assert!(rotated.text().ends_with("still here\n"), "{}", rotated.text());
    }

    #[test]
    fn a_full_disk_silences_only_itself() {
        let file = Scratch::new("second.log");
        let full = LogTarget { sink: LogSink::File("/dev/full".into()), level: Level::Info };
        let targets = [full, file.target(Level::Info)];
        let log = LogFiles::new(noon, TimeZone::UTC).log(&targets).expect("a log");
        log.line(Level::Info, None, "told");
        assert_eq!(file.text().lines().count(), 1);
    }
}
