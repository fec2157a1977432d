//! A complaint while its place is still a span, and all of them together.

use std::path::{Path, PathBuf};

use super::{Diagnostic, Excerpt, Place, Severity};
use crate::config::source::{Sources, Span};
use crate::config::tree::{Directive, Mark};

/// How many complaints are kept of one configuration, and how many warnings. Whoever has more has a file of another
/// kind.
pub(in crate::config) const COMPLAINTS_MAX: usize = 100;

/// A [`Diagnostic`] in the making: knows places as spans, which need the sources to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Complaint {
    severity: Severity,
    message: Box<str>,
    mark: Option<Mark>,
    under: Option<Span>,
    label: Box<str>,
    hint: Box<str>,
    first: Option<Span>,
    /// A file that is not of the configuration's language, and a line of it.
    elsewhere: Option<Box<(PathBuf, usize)>>,
}

impl Complaint {
    /// About the configuration as a whole.
    pub(in crate::config) fn general(message: impl Into<Box<str>>) -> Self {
        Self {
            severity: Severity::Emerg,
            message: message.into(),
            mark: None,
            under: None,
            label: "".into(),
            hint: "".into(),
            first: None,
            elsewhere: None,
        }
    }

    /// Noticed at `mark`, which is underlined until something better is.
    pub(in crate::config) fn at(mark: Mark, message: impl Into<Box<str>>) -> Self {
        Self { mark: Some(mark), under: Some(mark.line), ..Self::general(message) }
    }

    /// About a directive; its name is underlined.
    pub(in crate::config) fn of(directive: &Directive, message: impl Into<Box<str>>) -> Self {
        Self::at(directive.end, message).under(directive.name.span)
    }

    /// Makes it a warning.
    pub(in crate::config) fn warning(self) -> Self {
        Self { severity: Severity::Warn, ..self }
    }

    /// Underlines this.
    pub(in crate::config) fn under(self, span: Span) -> Self {
        Self { under: Some(span), ..self }
    }

    /// Puts this beside the underline.
    pub(in crate::config) fn label(self, label: impl Into<Box<str>>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// Says what to do.
    pub(in crate::config) fn hint(self, hint: impl Into<Box<str>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Points to what was there first.
    pub(in crate::config) fn first(self, span: Span) -> Self {
        Self { first: Some(span), ..self }
    }

    /// Moves it to a line, counted from 1, of a file that a directive names. That line is not shown: it may be secret.
    pub(in crate::config) fn in_file(self, path: &Path, line: usize) -> Self {
        Self { elsewhere: Some(Box::new((path.to_owned(), line))), under: None, ..self }
    }

    fn told(self, sources: &Sources) -> Diagnostic {
        let line = |span| sources.line(span);
        let noticed = self.mark.and_then(|mark| line(mark.line)).map(|line| Place::of(&line));
        let place = self.elsewhere.map(|elsewhere| Place::Line(elsewhere.0, elsewhere.1)).or(noticed);
        let excerpt = self.under.and_then(line).map(|line| Excerpt::new(&line, &self.label));
        let first = self.first.and_then(line);
        let hint = first
            .map(|first| format!("the first is in {}", Place::of(&first)))
            .or_else(|| Some(self.hint.into_string()).filter(|hint| !hint.is_empty()));
        Diagnostic { severity: self.severity, message: self.message.into_string(), place, excerpt, hint }
    }
}

/// Everything there is to say about a configuration.
#[derive(Debug, Default)]
pub(in crate::config) struct Complaints {
    list: Vec<Complaint>,
    warnings: usize,
    refusals: usize,
}

impl Complaints {
    /// Adds one, or counts it if there are [`COMPLAINTS_MAX`] of its kind. What servers inherit is wrong in each of them,
    /// but is said once.
    pub(in crate::config) fn push(&mut self, complaint: Complaint) {
        if self.list.contains(&complaint) {
            return;
        }
        let count = match complaint.severity {
            Severity::Warn => &mut self.warnings,
            Severity::Emerg => &mut self.refusals,
        };
        *count += 1;
        if *count <= COMPLAINTS_MAX {
            self.list.push(complaint);
        }
    }

    /// Adds what went wrong, if something did.
    pub(in crate::config) fn note<T>(&mut self, result: Result<T, Complaint>) -> Option<T> {
        result.map_err(|complaint| self.push(complaint)).ok()
    }

    /// Whether there are so many reasons to refuse that looking for more is of no use.
    pub(in crate::config) const fn is_full(&self) -> bool {
        self.refusals > COMPLAINTS_MAX
    }

    /// Whether the configuration cannot be run.
    pub(in crate::config) const fn refuse(&self) -> bool {
        self.refusals > 0
    }

    /// Everything, in the order in which nginx would have come upon it.
    pub(in crate::config) fn told(mut self, sources: &Sources) -> Vec<Diagnostic> {
        self.list.sort_by_key(|complaint| complaint.mark.map_or(u32::MAX, |mark| mark.step));
        let mut told: Vec<_> = self.list.into_iter().map(|complaint| complaint.told(sources)).collect();
        for (count, severity, kind) in
            [(self.warnings, Severity::Warn, "warnings"), (self.refusals, Severity::Emerg, "complaints")]
        {
            if count > COMPLAINTS_MAX {
                let message = format!("more than {COMPLAINTS_MAX} {kind}, the rest is not shown");
                told.push(Diagnostic { severity, message, place: None, excerpt: None, hint: None });
            }
        }
        told
    }
}
