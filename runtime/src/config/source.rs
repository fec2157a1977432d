//! The files that were read, kept whole, and positions in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What all files of one configuration may measure together, in octets. The largest seen in the wild stay under
/// one MiB; the bound keeps a mistaken `include /dev/zero` from eating the machine.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many files one configuration may consist of, a file counted each time it is included.
pub(super) const FILES_MAX: usize = 4096;

/// Some octets of one file; empty at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    source: SourceId,
    start: u32,
    end: u32,
}

impl Span {
    /// From the beginning of this one to the end of `last`, which follows in the same file.
    pub(super) const fn to(self, last: Self) -> Self {
        Self { end: last.end, ..self }
    }
}

/// One of the [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceId(u16);

impl SourceId {
    /// The octets `start..end` of this file.
    pub(super) fn span(self, start: usize, end: usize) -> Span {
        // No file is longer than BYTES_MAX, which fits.
        let offset = |octets: usize| u32::try_from(octets).unwrap_or(u32::MAX);
        Span { source: self, start: offset(start), end: offset(end) }
    }
}

/// Every file of one configuration.
#[derive(Debug, Default)]
pub(super) struct Sources {
    all: Vec<Source>,
    bytes: usize,
}

#[derive(Debug)]
struct Source {
    origin: Origin,
    text: Arc<[u8]>,
    /// Where each line begins; the first is 0.
    line_starts: Vec<u32>,
}

/// Where text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `-g`.
    CommandLine,
    /// A file.
    File(PathBuf),
}

/// A line of a file, and what of it a [`Span`] covers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Where the line is.
    pub(super) origin: &'a Origin,
    /// Counted from 1.
    pub(super) number: usize,
    /// Its octets without the line end.
    pub(super) text: &'a [u8],
    /// Where in `text` the span begins, in octets from 0.
    pub(super) start: usize,
    /// Where in `text` the span ends; at the end of the line if it goes on behind it.
    pub(super) end: usize,
}

impl Sources {
    /// How many octets may still be added; none if there are [`FILES_MAX`] files already.
    pub(super) fn room(&self) -> usize {
        if self.all.len() < FILES_MAX { BYTES_MAX.saturating_sub(self.bytes) } else { 0 }
    }

    /// Keeps a file. `None` if [`BYTES_MAX`] or [`FILES_MAX`] would be exceeded.
    pub(super) fn add(&mut self, path: &Path, text: Vec<u8>) -> Option<SourceId> {
        self.keep(Origin::File(path.to_owned()), text)
    }

    /// Keeps what `-g` says. `None` as with [`Sources::add`].
    pub(super) fn add_command_line(&mut self, text: &[u8]) -> Option<SourceId> {
        self.keep(Origin::CommandLine, text.to_owned())
    }

    fn keep(&mut self, origin: Origin, text: Vec<u8>) -> Option<SourceId> {
        if text.len() > self.room() || self.all.len() >= FILES_MAX {
            return None;
        }
        let id = SourceId(u16::try_from(self.all.len()).ok()?);
        let behind_line_ends =
            text.iter().zip(1u32..).filter(|(octet, _)| **octet == b'\n').map(|(_, at)| at);
        let line_starts = std::iter::once(0).chain(behind_line_ends).collect();
        self.bytes += text.len();
        self.all.push(Source { origin, text: text.into(), line_starts });
        Some(id)
    }

    /// The octets of a file.
    pub(super) fn text(&self, id: SourceId) -> Arc<[u8]> {
        self.all.get(usize::from(id.0)).map(|source| Arc::clone(&source.text)).unwrap_or_default()
    }

    /// The first line that `span` touches. `None` for a span of other sources.
    pub(super) fn line(&self, span: Span) -> Option<Line<'_>> {
        let source = self.all.get(usize::from(span.source.0))?;
        let number = source.line_starts.partition_point(|&start| start <= span.start);
        let start = *source.line_starts.get(number.checked_sub(1)?)? as usize;
        let next = source.line_starts.get(number).map_or(source.text.len(), |&next| next as usize);
        let text = source.text.get(start..next)?;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let within = |offset: u32| (offset as usize).saturating_sub(start).min(text.len());
        let (start, end) = (within(span.start), within(span.end));
        Some(Line { origin: &source.origin, number, text, start, end })
    }

    /// Every file and its text, in the order of reading; one that was read more than once stands where it was first.
    pub(super) fn into_files(self) -> Vec<(PathBuf, Arc<[u8]>)> {
        let mut seen = BTreeSet::new();
        let files = self.all.into_iter().filter_map(|source| match source.origin {
            Origin::File(path) => Some((path, source.text)),
            Origin::CommandLine => None,
        });
        files.filter(|(path, _)| seen.insert(path.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_line_and_what_of_it_is_meant() {
        let mut sources = Sources::default();
        let id = sources.add(Path::new("a.conf"), b"one\r\ntwo three\nfour".to_vec()).unwrap();
        let line = sources.line(id.span(9, 14)).unwrap();
        assert_eq!((line.number, line.text, line.start, line.end), (2, &b"two three"[..], 4, 9));
        let last = sources.line(id.span(19, 19)).unwrap();
        assert_eq!((last.number, last.text, last.start, last.end), (3, &b"four"[..], 4, 4));
    }

    #[test]
    fn a_span_over_several_lines_shows_the_first() {
        let mut sources = Sources::default();
        let id = sources.add(Path::new("a.conf"), b"\"one\ntwo\"".to_vec()).unwrap();
        let line = sources.line(id.span(0, 9)).unwrap();
        assert_eq!((line.number, line.text, line.start, line.end), (1, &b"\"one"[..], 0, 4));
    }

    #[test]
    fn the_end_of_a_file_lies_on_the_line_behind_its_last_line_end() {
        let mut sources = Sources::default();
        let id = sources.add(Path::new("a.conf"), b"one\n".to_vec()).unwrap();
        assert_eq!(sources.line(id.span(4, 4)).unwrap().number, 2);
        let empty = sources.add(Path::new("b.conf"), Vec::new()).unwrap();
        assert_eq!(sources.line(empty.span(0, 0)).unwrap().number, 1);
    }

    #[test]
    fn more_than_the_bounds_is_refused() {
        let mut sources = Sources::default();
        assert!(sources.add(Path::new("a.conf"), vec![b' '; BYTES_MAX + 1]).is_none());
        for _ in 0..FILES_MAX {
            assert!(sources.add(Path::new("a.conf"), vec![b' ']).is_some());
        }
        assert!(sources.add(Path::new("a.conf"), vec![b' ']).is_none());
        assert_eq!(sources.room(), 0);
    }
}
