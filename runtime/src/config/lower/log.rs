//! `error_log`: config.md 9.

use std::num::NonZeroU32;

use gatepost_core::report::Level;

use super::Ground;
use super::syslog::syslog;
use super::value::{argument, digits, path};
use crate::config::diagnostic::Complaint;
use crate::config::lex::Word;
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

/// The level of that name.
pub(super) fn level_named(name: &str) -> Option<Level> {
    LEVELS.iter().copied().find(|level| level.name() == name)
}

/// Where the lines go if no `error_log` says so: to what `-e` has chosen. Where that says nothing either, nginx has a
/// file fixed when it was built; a process that stays in the foreground is better heard on standard error.
pub(super) fn default_target(chosen: Option<&LogSink>) -> LogTarget {
    LogTarget::new(chosen.cloned().unwrap_or(LogSink::Stderr), Level::Error)
}

/// Understands an `error_log`.
pub(super) fn error_log(directive: &Directive, ground: &Ground<'_>) -> Result<LogTarget, Complaint> {
    let word = argument(directive, 0)?;
    let sink = match &*word.text {
        b"stderr" => LogSink::Stderr,
        text if text.starts_with(b"memory:") => {
            let complaint =
                Complaint::of(directive, "nginx was built without debug support").under(word.span);
            return Err(complaint.hint("a log in memory is for debuggers: name a file"));
        }
        _ => sink(directive, word, ground)?,
    };
    let (mut level, mut rate) = (None, None);
    for word in directive.args.iter().skip(1) {
        let text = word.shown();
        let refused = |message: String| Err(Complaint::of(directive, message).under(word.span));
        if let Some(number) = text.strip_prefix("rate=") {
            match parse_rate(number) {
                Some(lines) => rate = Some(lines),
                None => {
                    let complaint = Complaint::of(directive, format!("invalid rate \"{number}\""));
                    return Err(complaint.under(word.span).label("lines a second, or 0 for no limit"));
                }
            }
            continue;
        }
        let named =
            level_named(&text).or_else(|| DEBUG_PARTS.contains(&text.as_str()).then_some(Level::Debug));
        let is_part = text != Level::Debug.name();
        match (named, level) {
            (None, Some(_)) if rate.is_some() || text.contains('=') => {
                return refused(format!("invalid parameter \"{text}\""));
            }
            (None, _) => return refused(format!("invalid log level \"{text}\"")),
            // Several parts may be debugged.
            (Some(Level::Debug), Some((Level::Debug, true))) if is_part => {}
            (Some(_), Some(_)) => return refused(format!("duplicate log level \"{text}\"")),
            (Some(named), None) => level = Some((named, is_part)),
        }
    }
    let level = level.map_or(Level::Error, |(level, _)| level);
    Ok(LogTarget { rate: rate.flatten(), ..LogTarget::new(sink, level) })
}

/// A syslog server or a file; a relative path is taken from the prefix.
pub(super) fn sink(directive: &Directive, word: &Word, ground: &Ground<'_>) -> Result<LogSink, Complaint> {
    match word.shown().strip_prefix("syslog:") {
        Some(parameters) => Ok(LogSink::Syslog(syslog(directive, word, parameters, ground)?)),
        None => Ok(LogSink::File(path(directive, word, ground.prefix)?)),
    }
}

/// `N` or `Nm/s`: so many lines a second; 0 is no limit.
fn parse_rate(text: &str) -> Option<Option<NonZeroU32>> {
    let number = digits(text.strip_suffix("m/s").unwrap_or(text).as_bytes())?;
    Some(NonZeroU32::new(u32::try_from(number).ok()?))
}
