//! What the arguments say about the configuration, to be read at the start and whenever it is read anew; and where it
//! is said what comes of that.

use std::fmt::Display;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost_core::report::Level;
use jiff::tz::TimeZone;

use super::arguments::Arguments;
use crate::config::{
    self, Config, Diagnostic, Loaded, LogSink, LogTarget, Options, Severity, Surroundings, System,
};
use crate::net::wall_clock;
use crate::observe::{Log, LogFiles};

/// How the process was started.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What the process calls itself: `gatepost`, or `nginx` if it was started under that name.
    name: &'static str,
    prefix: PathBuf,
    file: PathBuf,
    directives: Vec<u8>,
    error_log: Option<LogSink>,
    /// The log that `-e` names.
    log: Option<Arc<Log>>,
    /// The logs of the configuration that is to be served.
    configured: Arc<[LogTarget]>,
}

impl Invocation {
    /// Takes what `arguments` say, and opens the log that they name. One that cannot be opened is said and does not count.
    pub(super) fn new(name: &'static str, arguments: &Arguments, say: &mut dyn FnMut(&str)) -> Self {
        let Arguments { prefix, file, directives, error_log, .. } = arguments;
        let mut invocation = Self {
            name,
            prefix: prefix.clone(),
            file: prefix.join(file),
            directives: directives.as_deref().map(|text| text.as_bytes().to_owned()).unwrap_or_default(),
            error_log: None,
            log: None,
            configured: Arc::new([]),
        };
        match error_log.as_deref() {
            None => {}
            Some(path) if path == Path::new("stderr") => invocation.error_log = Some(LogSink::Stderr),
            Some(path) => {
                let sink = LogSink::File(prefix.join(path));
                let target = LogTarget::new(sink.clone(), Level::Notice);
                match LogFiles::new(wall_clock, TimeZone::system()).log(&[target]) {
                    Ok(log) => invocation.log = Some(log),
                    Err(error) => {
                        let message = format!("could not open error log file: {error}");
                        invocation.tell(Level::Alert, &message, say);
                    }
                }
                invocation.error_log = Some(sink);
            }
        }
        invocation
    }

    /// The configuration's path.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the configuration, as it is now.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, warnings included.
    pub fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        self.load_on(&System)
    }

    pub(super) fn load_on(&self, machine: &dyn Surroundings) -> Result<Loaded, Vec<Diagnostic>> {
        let mut options = Options::new(&self.prefix, machine);
        options.directives = &self.directives;
        options.error_log = self.error_log.as_ref();
        config::load(&self.file, &options)
    }

    /// Remembers the logs of the configuration that is to be served.
    pub(super) fn serving(self, config: &Config) -> Self {
        Self { configured: config.logs.clone(), ..self }
    }

    /// Says why the process ends, on standard error, in the log that `-e` names and in those of the configuration.
    pub fn fail(&self, why: &dyn Display) {
        // With nobody left to read it there is nobody to tell.
        self.tell(Level::Emerg, why, &mut |text| drop(std::io::stderr().write_all(text.as_bytes())));
        let is_told = |sink: &LogSink| *sink == LogSink::Stderr || Some(sink) == self.error_log.as_ref();
        let others = self.configured.iter().filter(|target| !is_told(&target.sink)).cloned();
        // A log that cannot be opened may be the very reason.
        if let Ok(log) = LogFiles::new(wall_clock, TimeZone::system()).log(&others.collect::<Vec<_>>()) {
            log.line(Level::Emerg, None, why);
        }
    }

    /// Says something on standard error under the name of the process.
    pub(super) fn say(&self, what: &dyn Display, say: &mut dyn FnMut(&str)) {
        say(&format!("{}: {what}\n", self.name));
    }

    /// Says something that matters so much, and writes it to the log that `-e` names.
    pub(super) fn tell(&self, level: Level, what: &dyn Display, say: &mut dyn FnMut(&str)) {
        self.say(&format_args!("[{}] {what}", level.name()), say);
        self.note(level, what);
    }

    /// Writes something to the log that `-e` names.
    pub(super) fn note(&self, level: Level, what: &dyn Display) {
        if let Some(log) = &self.log {
            log.line(level, None, what);
        }
    }

    /// Says what there is to say about the configuration; the log hears what nginx would have said.
    pub(super) fn tell_all(&self, told: &[Diagnostic], say: &mut dyn FnMut(&str)) {
        for each in told {
            self.say(each, say);
            let level = match each.severity {
                Severity::Warn => Level::Warn,
                Severity::Emerg => Level::Emerg,
            };
            self.note(level, &each.message());
        }
    }
}
