//! What is wrong with a configuration, for whoever wrote it: nginx's own line first, then the place and what to do.
//!
//! ```text
//! [emerg] unknown directive "protcol" in mail.conf:2
//!    2 |     protcol imap;
//!      |     ^^^^^^^ did you mean `protocol`?
//! ```

mod complaint;

use std::fmt;
use std::path::PathBuf;

#[cfg(test)]
pub(super) use self::complaint::COMPLAINTS_MAX;
pub(super) use self::complaint::{Complaint, Complaints};
use super::source::{Line, Origin};

/// How many characters of a line are shown.
const EXCERPT_CHARS_MAX: usize = 110;

/// Whether a configuration can be run despite a [`Diagnostic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can.
    Warn,
    /// It cannot.
    Emerg,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warn => "warn",
            Self::Emerg => "emerg",
        })
    }
}

/// One thing to say about a configuration. Prints over several lines, without a line end behind the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it can be run despite this.
    pub severity: Severity,
    /// What is wrong, in nginx's words where nginx has any.
    pub message: String,
    /// The place that nginx would name: that of the `;` or `{` behind which it noticed.
    pub place: Option<Place>,
    /// The line that is meant, if it is known.
    pub excerpt: Option<Excerpt>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a [`Diagnostic`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `-g`.
    CommandLine,
    /// A line of a file, counted from 1.
    Line(PathBuf, usize),
}

impl Place {
    /// The line's number, if it is one of a file.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match self {
            Self::CommandLine => None,
            Self::Line(_, line) => Some(*line),
        }
    }

    fn of(line: &Line<'_>) -> Self {
        match line.origin {
            Origin::CommandLine => Self::CommandLine,
            Origin::File(path) => Self::Line(path.clone(), line.number),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Line(path, line) => write!(f, "{}:{line}", Printable(&path.to_string_lossy())),
        }
    }
}

/// A line of a file with something in it underlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line's number, counted from 1.
    pub line: usize,
    /// Where the underlined part begins in that line of the file, in octets, counted from 1.
    pub column: usize,
    /// The line, made fit for a terminal; a very long one in part.
    pub text: String,
    /// What is underlined: the first character in `text`, counted from 0, and how many.
    pub underlined: (usize, usize),
    /// What stands beside the underline; may be empty.
    pub label: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", self.severity)?;
        self.write_message(f)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", Printable(hint)),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    /// What nginx would say: the message and the place, on one line, without the severity.
    #[must_use]
    pub fn message(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| self.write_message(f))
    }

    fn write_message(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.message))?;
        match &self.place {
            Some(place) => write!(f, " in {place}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let (indent, marks) = self.underlined;
        writeln!(f, "{number:>4} | {}", self.text)?;
        write!(f, "{:>width$} | {:indent$}{:^<marks$}", "", "", "", width = number.len().max(4))?;
        match self.label.as_str() {
            "" => Ok(()),
            label => write!(f, " {}", Printable(label)),
        }
    }
}

/// How many octets before and behind the point in question may make up an excerpt.
const LOOKED_AT: usize = 4 * EXCERPT_CHARS_MAX;

impl Excerpt {
    fn new(line: &Line<'_>, label: &str) -> Self {
        let mut text = String::new();
        // Of a line of megabytes only what can be shown is looked at; a character has up to four octets.
        let (first, last) = (line.start.saturating_sub(LOOKED_AT), line.start.saturating_add(LOOKED_AT));
        let (last, end) = (last.min(line.text.len()), line.end.min(last));
        let before = line.text.get(first..line.start).unwrap_or_default();
        let within = line.text.get(line.start..end).unwrap_or_default();
        let behind = line.text.get(end..last).unwrap_or_default();
        let indent = shown(&mut text, before);
        let marks = shown(&mut text, within);
        shown(&mut text, behind);
        let (text, indent) = window(text, indent);
        let marks = marks.clamp(1, EXCERPT_CHARS_MAX.saturating_sub(indent).max(1));
        let underlined = (indent, marks);
        Self { line: line.number, column: line.start + 1, text, underlined, label: label.to_owned() }
    }
}

/// Appends octets as a terminal may show them, one character each; tells how many characters they became.
fn shown(text: &mut String, octets: &[u8]) -> usize {
    let mut chars = 0;
    for c in String::from_utf8_lossy(octets).chars() {
        text.push(match c {
            '\t' => ' ',
            c if is_unseen(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        });
        chars += 1;
    }
    chars
}

/// At most [`EXCERPT_CHARS_MAX`] characters of a line, among them the `point`th, and where that ended up.
fn window(text: String, point: usize) -> (String, usize) {
    if text.chars().count() <= EXCERPT_CHARS_MAX {
        return (text.trim_end().to_owned(), point);
    }
    let first = point.saturating_sub(EXCERPT_CHARS_MAX / 2);
    let part = text.chars().skip(first).take(EXCERPT_CHARS_MAX);
    match first {
        0 => (part.collect(), point),
        _ => (std::iter::once('…').chain(part.skip(1)).collect(), point - first),
    }
}

/// Characters that steer a terminal, or change how others are shown without being seen themselves.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text that may hold what a file holds: control characters are printed as `\xHH`.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            ..='\u{ff}' if is_unseen(c) => write!(f, "\\x{:02X}", u32::from(c)),
            c if is_unseen(c) => write!(f, "\\u{{{:X}}}", u32::from(c)),
            c => fmt::Write::write_char(f, c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(line: &[u8], start: usize, end: usize) -> String {
        let line = Line { origin: &Origin::CommandLine, number: 12, text: line, start, end };
        Excerpt::new(&line, "here").to_string()
    }

    #[test]
    fn the_underline_stands_below_what_it_means() {
        assert_eq!(excerpt(b"\tlisten 143;", 8, 11), "  12 |  listen 143;\n     |         ^^^ here");
        let cyrillic = "почта imap;".as_bytes();
        assert_eq!(excerpt(cyrillic, 11, 15), "  12 | почта imap;\n     |       ^^^^ here");
    }

    #[test]
    fn a_place_without_octets_is_still_marked() {
        assert_eq!(excerpt(b"", 0, 0), "  12 | \n     | ^ here");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert!(!excerpt(b"a \x1b[31m b", 2, 7).contains('\x1b'));
        let message = "unknown directive \"\x1b[2J\"".into();
        let all = Diagnostic { severity: Severity::Emerg, message, place: None, excerpt: None, hint: None };
        assert_eq!(all.to_string(), r#"[emerg] unknown directive "\x1B[2J""#);
    }

    #[test]
    fn of_a_long_line_the_part_that_is_meant_is_shown() {
        let line = [&[b'a'; 3000][..], b" here ", &[b'b'; 3000]].concat();
        let shown = excerpt(&line, 3001, 3005);
        let (text, marks) = shown.split_once('\n').unwrap();
        assert!(text.chars().count() <= EXCERPT_CHARS_MAX + 7, "{shown}");
        assert_eq!(text.chars().position(|c| c == 'h'), marks.find('^'), "{shown}");
        let all_marked = excerpt(&line, 0, 6000);
        assert!(all_marked.lines().all(|line| line.chars().count() < 130), "{all_marked}");
    }
}
