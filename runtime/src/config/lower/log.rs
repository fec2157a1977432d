//! `error_log`: config.md 9.

use std::path::Path;

use gatepost_core::report::Level;

use super::value::{argument, path};
use crate::config::diagnostic::Complaint;
use crate::config::tree::Directive;
use crate::config::{LogSink, LogTarget};

/// Words that mean `debug` for a part of nginx; here they mean it for everything.
const DEBUG_PARTS: &[&str] =
    &["debug_core", "debug_alloc", "debug_mutex", "debug_event", "debug_http", "debug_mail", "debug_stream"];

const LEVELS: &[Level] = &[
    Level::Debug,
    Level::Info,
    Level::Notice,
    Level::Warn,
    Level::Error,
    Level::Crit,
    Level::Alert,
    Level::Emerg,
];

/// Where the lines go if no `error_log` says so: to what `-e` has chosen. Where that says nothing either, nginx has a file fixed when it was built; a process that stays in
/// the foreground is better heard on standard error.
pub(super) fn default_target(chosen: Option<&LogSink>) -> LogTarget {
    LogTarget { sink: chosen.cloned().unwrap_or(LogSink::Stderr), level: Level::Error }
}

/// Understands an `error_log`; a relative path is taken from `prefix`.
pub(super) fn error_log(directive: &Directive, prefix: &Path) -> Result<LogTarget, Complaint> {
    let word = argument(directive, 0)?;
    let sink = match &*word.text {
        b"stderr" => LogSink::Stderr,
        text if text.starts_with(b"syslog:") || text.starts_with(b"memory:") => {
            let kind = if text.starts_with(b"syslog:") { "syslog" } else { "memory" };
            let message = format!("a {kind} log in \"error_log\" is not supported yet");
            return Err(Complaint::of(directive, message).under(word.span));
        }
        _ => LogSink::File(path(directive, word, prefix)?),
    };
    let mut level = None;
    for word in directive.args.iter().skip(1) {
        let text = word.shown();
        let named = LEVELS.iter().copied().find(|level| level.name() == text);
        let named = named.or_else(|| DEBUG_PARTS.contains(&text.as_str()).then_some(Level::Debug));
        let refused =
            |what| Err(Complaint::of(directive, format!("{what} log level \"{text}\"")).under(word.span));
        let is_part = text != Level::Debug.name();
        match (named, level) {
            (None, _) => return refused("invalid"),
            // Several parts may be debugged.
            (Some(Level::Debug), Some((Level::Debug, true))) if is_part => {}
            (Some(_), Some(_)) => return refused("duplicate"),
            (Some(named), None) => level = Some((named, is_part)),
        }
    }
    Ok(LogTarget { sink, level: level.map_or(Level::Error, |(level, _)| level) })
}
