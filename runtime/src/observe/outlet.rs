//! Where lines go: standard error, a file, a syslog server. Nothing here waits: a line that cannot go at once is lost, and
//! the loss is counted and told.
//!
//! A write to a regular file lands in memory and so does not wait. Everything else a path may name, a FIFO or a terminal, is opened such
//! that it does not. Standard error is shared with whoever started us, so that it cannot be made so: it is asked before
//! each write whether it has room, which for a pipe means room for more than a line.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use jiff::Zoned;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::datagram::{Sender, Sent};
use crate::config::{Syslog, SyslogSeverity};
use crate::system_error::system_error;

/// One line for an outlet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// What it says, with a line feed behind it and no other in it.
    pub(super) octets: &'a [u8],
    /// When it was said, for syslog.
    pub(super) time: &'a Zoned,
    /// How much it matters, for syslog.
    pub(super) severity: SyslogSeverity,
    /// How many lines are lost with it: itself, or as many as it tells the loss of.
    pub(super) stands_for: u64,
}

/// A place that takes lines.
#[derive(Debug)]
pub(super) struct Outlet {
    to: To,
    /// How many lines were lost since that was last told.
    lost: AtomicU64,
}

#[derive(Debug)]
enum To {
    Stderr,
    File {
        path: PathBuf,
        /// Replaced when logs are reopened.
        file: RwLock<File>,
        /// The last line was not written to its end.
        torn: AtomicBool,
    },
    Syslog(Sender),
}

/// What became of a line.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is written, or sent.
    Written,
    /// It is sent, and by that it was heard that what was sent before is lost.
    SentAfterLoss(Loss),
    /// It is lost.
    Lost(Loss),
}

/// A loss, which has been counted.
#[derive(Debug)]
pub(super) enum Loss {
    /// None was counted that is not told of.
    First(io::Error),
    /// Others were.
    Another,
}

impl Outlet {
    pub(super) const fn stderr() -> Self {
        Self::new(To::Stderr)
    }

    /// Opens a file for appending; it is made if need be.
    ///
    /// # Errors
    ///
    /// In nginx's words: `open() "/var/log/x" failed (13: Permission denied)`. A FIFO needs somebody who reads it.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        let file = RwLock::new(open(path)?);
        Ok(Self::new(To::File { path: path.to_owned(), file, torn: AtomicBool::new(false) }))
    }

    /// A server that need not be there yet.
    pub(super) fn syslog(settings: &Syslog) -> Self {
        Self::new(To::Syslog(Sender::new(settings.clone())))
    }

    const fn new(to: To) -> Self {
        Self { to, lost: AtomicU64::new(0) }
    }

    /// Opens the file anew by its path, for whoever has renamed it meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Outlet::file`]; the old file goes on.
    pub(super) fn reopen(&self) -> io::Result<()> {
        if let To::File { path, .. } = &self.to {
            self.replace(open(path)?);
        }
        Ok(())
    }

    /// Goes on in another file, if it is one.
    pub(super) fn replace(&self, new: File) {
        if let To::File { file, torn, .. } = &self.to {
            *file.write().unwrap_or_else(PoisonError::into_inner) = new;
            torn.store(false, Ordering::Relaxed);
        }
    }

    /// Shows the file, if it is one.
    pub(super) fn with_file<T>(&self, show: impl FnOnce(&File) -> T) -> Option<T> {
        match &self.to {
            To::File { file, .. } => Some(show(&file.read().unwrap_or_else(PoisonError::into_inner))),
            To::Stderr | To::Syslog(_) => None,
        }
    }

    /// The call that fails where a line is lost.
    pub(super) const fn call(&self) -> &'static str {
        match self.to {
            To::Stderr | To::File { .. } => "write()",
            To::Syslog(_) => "send()",
        }
    }

    /// Writes a line, or counts it as lost, and what it stands for.
    pub(super) fn put(&self, line: Line<'_>) -> Fate {
        match self.write(line) {
            Ok(Sent::Sent) => Fate::Written,
            Ok(Sent::ButNotTheOneBefore { lost, error }) => Fate::SentAfterLoss(self.count(lost, error)),
            Err(error) => Fate::Lost(self.count(line.stands_for, error)),
        }
    }

    fn count(&self, lines: u64, error: io::Error) -> Loss {
        match self.lost.fetch_add(lines, Ordering::Relaxed) {
            0 => Loss::First(error),
            _ => Loss::Another,
        }
    }

    /// How many lines were lost and not told of. Telling that is the caller's, from now on; see [`Outlet::untold`].
    pub(super) fn take_lost(&self) -> u64 {
        match self.lost.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.lost.swap(0, Ordering::Relaxed),
        }
    }

    /// These are lost too, or could not be told of.
    pub(super) fn untold(&self, lost: u64) {
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    fn write(&self, line: Line<'_>) -> io::Result<Sent> {
        match &self.to {
            To::Stderr => {
                let mut stderr = io::stderr().lock();
                match has_room(&stderr)? {
                    true => write_once(&mut stderr, line.octets).map(|_| Sent::Sent),
                    false => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
            To::File { file, torn, .. } => {
                let mut file = &*file.read().unwrap_or_else(PoisonError::into_inner);
                if torn.swap(false, Ordering::Relaxed) && write_once(&mut file, b"\n").is_err() {
                    torn.store(true, Ordering::Relaxed);
                }
                write_line(&mut file, line.octets, torn).map(|()| Sent::Sent)
            }
            To::Syslog(sender) => sender.send(line),
        }
    }
}

impl fmt::Display for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Stderr => f.write_str("stderr"),
            To::File { path, .. } => path.display().fmt(f),
            To::Syslog(sender) => write!(f, "syslog:server={}", sender.server()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags).open(path);
    file.map_err(|error| {
        let told = system_error("open()", &error);
        let text = format!("open() \"{}\" failed ({}: {})", path.display(), told.code, told.text);
        io::Error::new(error.kind(), text)
    })
}

/// Whether a line can be written without waiting for a reader.
fn has_room(sink: &impl AsFd) -> io::Result<bool> {
    let mut asked = [PollFd::new(sink, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut asked, Some(&now))? > 0)
}

/// One write(2), so that the lines of several threads and processes do not mix.
fn write_once(sink: &mut impl Write, octets: &[u8]) -> io::Result<usize> {
    loop {
        match sink.write(octets) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

/// A line, in one write where that is possible. Of one that was cut off the rest is tried once: only then does the system say why.
///
/// # Errors
///
/// The system's; `written in part` where it gives none. `torn` is set if the line has begun and not ended.
fn write_line(sink: &mut impl Write, octets: &[u8], torn: &AtomicBool) -> io::Result<()> {
    let written = write_once(sink, octets)?;
    let rest = octets.get(written..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(());
    }
    match write_once(sink, rest) {
        Ok(more) if more == rest.len() => Ok(()),
        cut_off => {
            torn.store(true, Ordering::Relaxed);
            cut_off.and_then(|_| Err(io::Error::other("written in part")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;

    fn put(outlet: &Outlet, text: &str) -> Fate {
        let time = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        let severity = gatepost_core::report::Level::Info.into();
        outlet.put(Line { octets: format!("{text}\n").as_bytes(), time: &time, severity, stands_for: 1 })
    }

    /// A FIFO of the test's own, removed when dropped.
    struct Fifo(PathBuf);

    impl Fifo {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gatepost-fifo-{}-{name}", std::process::id()));
            let _ = std::fs::remove_file(&path);
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
            Self(path)
        }
    }

    impl Drop for Fifo {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_no_time() {
        let fifo = Fifo::new("stalled");
        // Both ends, so that opening waits for nobody.
        let mut reader = OpenOptions::new().read(true).write(true).open(&fifo.0).expect("a reader");
        let outlet = Outlet::file(&fifo.0).expect("a writer");
        let line = "x".repeat(1000);
        let fates: Vec<_> = (0..100).map(|_| put(&outlet, &line)).collect();
        let written = fates.iter().filter(|fate| matches!(fate, Fate::Written)).count();
        let first = fates.iter().position(|fate| matches!(fate, Fate::Lost(Loss::First(_))));
        assert_eq!(first, Some(written), "a pipe is full once: {written}");
        assert!((10..100).contains(&written), "{written}");
        let mut all = vec![0; written * 1001];
        reader.read_exact(&mut all).expect("whole lines");
        assert!(all.ends_with(b"x\n"));
        assert!(matches!(put(&outlet, &line), Fate::Written));
        assert_eq!(outlet.take_lost(), 100 - written as u64);
        assert_eq!(outlet.take_lost(), 0);
    }

    /// A sink that gives these answers, one after another.
    struct Answers(Vec<io::Result<usize>>);

    impl Write for Answers {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0.remove(0)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_told_by_what_stopped_its_rest() {
        let full = || Err(io::Error::from_raw_os_error(28));
        for (answers, told, is_torn) in [
            (vec![Ok(4)], None, false),
            (vec![Ok(1), Ok(3)], None, false),
            (vec![full()], Some("write() failed (28: No space left on device)"), false),
            (vec![Ok(1), full()], Some("write() failed (28: No space left on device)"), true),
            (vec![Ok(1), Ok(2)], Some("write() failed (0: written in part)"), true),
        ] {
            let (shown, torn) = (format!("{answers:?}"), AtomicBool::new(false));
            let written = write_line(&mut Answers(answers), b"line", &torn);
            let error = written.err().map(|error| system_error("write()", &error).to_string());
            assert_eq!((error.as_deref(), torn.into_inner()), (told, is_torn), "{shown}");
        }
    }

    #[test]
    fn a_line_that_fits_in_part_is_told_as_having_found_no_room() {
        let fifo = Fifo::new("partly");
        let mut reader = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag"))
            .open(&fifo.0)
            .expect("a reader");
        let outlet = Outlet::file(&fifo.0).expect("a writer");
        // Longer than what a pipe takes whole or not at all (PIPE_BUF), and three pages, which sixteen are no multiple of.
        let line = "x".repeat(3 * 4096 - 1);
        let lost = (0..100).find_map(|written| match put(&outlet, &line) {
            Fate::Lost(Loss::First(error)) => Some((written, error)),
            _ => None,
        });
        let (written, error) = lost.expect("a pipe is full once");
        assert_eq!(error.raw_os_error(), Some(11), "{error}");
        let mut all = vec![0; written * 3 * 4096];
        reader.read_exact(&mut all).expect("whole lines");
        let mut rest = [0; 3 * 4096];
        let torn = reader.read(&mut rest).expect("a part");
        assert!((1..3 * 4096).contains(&torn), "{torn}");
        assert!(matches!(put(&outlet, "next"), Fate::Written));
        let mut next = [0; 6];
        reader.read_exact(&mut next).expect("a line");
        assert_eq!(&next, b"\nnext\n");
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_told_rather_than_waited_for() {
        let fifo = Fifo::new("unread");
        let error = Outlet::file(&fifo.0).expect_err("nobody");
        let path = fifo.0.display();
        assert_eq!(error.to_string(), format!("open() \"{path}\" failed (6: No such device or address)"));
    }

    #[test]
    fn what_could_not_be_told_of_is_told_of_later() {
        let outlet = Outlet::file(Path::new("/dev/full")).expect("a device");
        assert!(
            matches!(put(&outlet, "a"), Fate::Lost(Loss::First(error)) if error.raw_os_error() == Some(28))
        );
        assert!(matches!(put(&outlet, "b"), Fate::Lost(Loss::Another)));
        let lost = outlet.take_lost();
        outlet.untold(lost);
        assert_eq!(outlet.take_lost(), 2);
    }
}
