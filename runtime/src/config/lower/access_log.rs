//! `access_log` and `log_format` (divergences D43), as in nginx's `stream`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Ground;
use super::log::sink;
use super::value::argument;
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::log_format::{self, DEFAULT, Fault};
use crate::config::source::Span;
use crate::config::tree::{Directive, Mark};
use crate::config::{AccessTarget, Escape, LogFormat, LogSink};

/// The name of the format that needs no `log_format`.
const DEFAULT_NAME: &str = "mail";

/// What nginx has for its other logs and has no place here, and why. What has a value ends in `=`; any other is a whole word.
const FOREIGN: &[(&str, &str)] = &[
    ("buffer=", "each line is written when its session ends"),
    ("flush=", "each line is written when its session ends"),
    ("gzip", "compress logs when they are rotated"),
    ("gzip=", "compress logs when they are rotated"),
    ("if=", "every session has its line: pick by $status afterwards"),
];

/// Every `log_format` by its name.
pub(super) type Formats = BTreeMap<String, (Arc<LogFormat>, Span)>;

/// One `access_log` as read; its format may be defined further down.
#[derive(Clone, Debug)]
pub(super) enum AccessLog {
    /// `off`: there is none here, whatever the outer block says.
    Off,
    /// A log.
    To(LogSink, Option<Named>),
}

/// A format that is named, and where.
#[derive(Clone, Debug)]
pub(super) struct Named {
    name: String,
    span: Span,
    mark: Mark,
}

/// Understands an `access_log`.
pub(super) fn access_log(directive: &Directive, ground: &Ground<'_>) -> Result<AccessLog, Complaint> {
    let word = argument(directive, 0)?;
    if &*word.text == b"off" {
        return match directive.args.get(1) {
            None => Ok(AccessLog::Off),
            Some(more) => {
                let message = format!("invalid parameter \"{}\"", more.shown());
                Err(Complaint::of(directive, message).under(more.span).label("`off` stands alone"))
            }
        };
    }
    let to = sink(directive, word, ground)?;
    let mut format = None;
    for word in directive.args.iter().skip(1) {
        let text = word.shown();
        let is = |name: &str| match name.ends_with('=') {
            true => text.starts_with(name),
            false => text == name,
        };
        if let Some((_, why)) = FOREIGN.iter().find(|(name, _)| is(name)) {
            let message = format!("invalid parameter \"{text}\"");
            return Err(Complaint::of(directive, message).under(word.span).label(*why));
        }
        if format.is_some() {
            let message = format!("invalid parameter \"{text}\"");
            return Err(Complaint::of(directive, message).under(word.span));
        }
        format = Some(Named { name: text, span: word.span, mark: directive.end });
    }
    Ok(AccessLog::To(to, format))
}

/// Understands a `log_format` and adds it to the others.
pub(super) fn log_format(directive: &Directive, formats: &mut Formats) -> Result<(), Complaint> {
    let name = argument(directive, 0)?;
    let shown = name.shown();
    let refused = |message: String, at: Span| Err(Complaint::of(directive, message).under(at));
    if let Some((_, first)) = formats.get(&shown) {
        let message = format!("duplicate \"log_format\" name \"{shown}\"");
        return Err(Complaint::of(directive, message).under(name.span).first(*first));
    }
    let mut words = directive.args.iter().skip(1).peekable();
    let mut format = LogFormat { escape: Escape::Default, pieces: Vec::new() };
    let escape = words.next_if(|word| word.text.starts_with(b"escape="));
    if let Some(word) = escape {
        format.escape = match word.text.get(b"escape=".len()..) {
            Some(b"default") => Escape::Default,
            Some(b"json") => Escape::Json,
            Some(b"none") => Escape::None,
            _ => {
                let text = word.shown();
                let name = text.strip_prefix("escape=").unwrap_or(&text);
                return refused(format!("unknown log format escaping \"{name}\""), word.span);
            }
        };
    }
    for word in words {
        if let Err(fault) = log_format::parse(&word.text, &mut format.pieces) {
            let complaint = Complaint::of(directive, fault.to_string()).under(word.span);
            return Err(match fault {
                Fault::Unknown(name) => match log_format::likely(&name) {
                    Some(likely) => complaint.label(format!("did you mean `${likely}`?")),
                    None => complaint.hint("the README lists the variables there are"),
                },
                _ => complaint,
            });
        }
    }
    if format.pieces.is_empty() {
        return refused(r#"invalid number of arguments in "log_format" directive"#.to_owned(), name.span);
    }
    formats.insert(shown, (Arc::new(format), name.span));
    Ok(())
}

/// What the `access_log`s of one block come to.
pub(super) fn targets(
    said: &[AccessLog],
    formats: &Formats,
    complaints: &mut Complaints,
) -> Arc<[AccessTarget]> {
    // As with nginx, `off` puts out what stands beside it too.
    if said.iter().any(|log| matches!(log, AccessLog::Off)) {
        return Arc::new([]);
    }
    let targets = said.iter().filter_map(|log| match log {
        AccessLog::Off => None,
        AccessLog::To(sink, named) => {
            Some(AccessTarget { sink: sink.clone(), format: format(named.as_ref(), formats, complaints)? })
        }
    });
    targets.collect()
}

fn format(named: Option<&Named>, formats: &Formats, complaints: &mut Complaints) -> Option<Arc<LogFormat>> {
    let name = named.map_or(DEFAULT_NAME, |named| &named.name);
    match (formats.get(name), named) {
        (Some((format, _)), _) => Some(format.clone()),
        (None, Some(named)) if name != DEFAULT_NAME => {
            let message = format!("unknown log format \"{name}\"");
            let complaint = Complaint::at(named.mark, message).under(named.span);
            complaints.push(
                complaint.hint(format!("define it: log_format {name} '$remote_addr $remote_user $status';")),
            );
            None
        }
        _ => {
            let mut pieces = Vec::new();
            // A test shows that it is sound.
            let _ = log_format::parse(DEFAULT.as_bytes(), &mut pieces);
            Some(Arc::new(LogFormat { escape: Escape::Default, pieces }))
        }
    }
}
