//! Flags, numbers, sizes, times, texts: config.md 2.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::diagnostic::Complaint;
use crate::config::lex::Word;
use crate::config::schema::Value;
use crate::config::tree::Directive;

/// The `index`th argument, counted from 0.
///
/// # Errors
///
/// There is none; the table of directives lets none such pass.
pub(super) fn argument(directive: &Directive, index: usize) -> Result<&Word, Complaint> {
    directive.args.get(index).ok_or_else(|| {
        let message = format!("invalid number of arguments in \"{}\" directive", directive.shown());
        Complaint::of(directive, message)
    })
}

/// `on` or `off`, in any case.
pub(super) fn flag(directive: &Directive) -> Result<bool, Complaint> {
    let word = argument(directive, 0)?;
    match word.text.to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => {
            let (value, name) = (word.shown(), directive.shown());
            let message =
                format!("invalid value \"{value}\" in \"{name}\" directive, it must be \"on\" or \"off\"");
            Err(Complaint::of(directive, message).under(word.span))
        }
    }
}

/// Decimal digits.
pub(super) fn number(directive: &Directive) -> Result<u64, Complaint> {
    let word = argument(directive, 0)?;
    digits(&word.text).ok_or_else(|| {
        let message = format!("\"{}\" directive invalid number", directive.shown());
        Complaint::of(directive, message).under(word.span)
    })
}

/// A number of octets: digits and perhaps `k` or `m`.
pub(super) fn size(directive: &Directive) -> Result<usize, Complaint> {
    let word = argument(directive, 0)?;
    let octets = parse_size(&word.text).and_then(|octets| usize::try_from(octets).ok());
    octets.ok_or_else(|| {
        invalid(directive, word).label("a number of bytes, or of KiB with `k`, or of MiB with `m`")
    })
}

/// A number of octets that may be of several GiB.
pub(super) fn offset(directive: &Directive) -> Result<u64, Complaint> {
    const GIB: u64 = 1024 * 1024 * 1024;
    let word = argument(directive, 0)?;
    let octets = match word.text.strip_suffix(b"g").or(word.text.strip_suffix(b"G")) {
        Some(number) => digits(number).and_then(|number| number.checked_mul(GIB)),
        None => parse_size(&word.text),
    };
    octets.filter(|&octets| i64::try_from(octets).is_ok()).ok_or_else(|| invalid(directive, word))
}

/// A span of time with a precision of milliseconds.
pub(super) fn time(directive: &Directive) -> Result<Duration, Complaint> {
    let word = argument(directive, 0)?;
    let millis = parse_time(&word.text);
    millis.map(Duration::from_millis).ok_or_else(|| {
        invalid(directive, word)
            .label("seconds, or numbers with `w`, `d`, `h`, `m`, `s`, `ms`, largest first")
    })
}

/// Text that may be sent over a line-based protocol: UTF-8 without control characters.
pub(super) fn text(directive: &Directive, word: &Word) -> Result<Box<str>, Complaint> {
    match std::str::from_utf8(&word.text) {
        Ok(text) if !text.contains(char::is_control) => Ok(text.into()),
        Ok(_) => Err(invalid(directive, word).label("it must not contain line breaks or control characters")),
        Err(_) => Err(invalid(directive, word).label("it is not UTF-8")),
    }
}

/// A path, taken from `folder` unless it is absolute.
pub(super) fn path(directive: &Directive, word: &Word, folder: &Path) -> Result<PathBuf, Complaint> {
    match word.text.is_empty() || word.text.contains(&0) {
        true => Err(invalid(directive, word).label("it is not a path")),
        false => Ok(folder.join(OsStr::from_bytes(&word.text))),
    }
}

/// Looks at an argument that has no consequence.
pub(super) fn check(directive: &Directive, value: Value) -> Result<(), Complaint> {
    match value {
        Value::Any => Ok(()),
        Value::Number => number(directive).map(drop),
        Value::Time => time(directive).map(drop),
        Value::EventMethod => {
            let word = argument(directive, 0)?;
            match &*word.text {
                b"epoll" | b"poll" | b"select" => Ok(()),
                _ => {
                    let message = format!("invalid event type \"{}\"", word.shown());
                    Err(Complaint::of(directive, message).under(word.span))
                }
            }
        }
        Value::DebugPoint => {
            let word = argument(directive, 0)?;
            match word.text.to_ascii_lowercase().as_slice() {
                b"stop" | b"abort" => Ok(()),
                _ => Err(no_such(directive, word).label("`stop` or `abort`")),
            }
        }
    }
}

/// nginx's most general complaint about an argument.
pub(super) fn invalid(directive: &Directive, word: &Word) -> Complaint {
    Complaint::of(directive, format!("\"{}\" directive invalid value", directive.shown())).under(word.span)
}

/// The complaint about a word that is none of those there are.
pub(super) fn no_such(directive: &Directive, word: &Word) -> Complaint {
    Complaint::of(directive, format!("invalid value \"{}\"", word.shown())).under(word.span)
}

/// A decimal number without sign.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, octet| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Seconds, for the few values that nginx keeps in seconds: `1y 2M 3d`, without milliseconds.
pub(super) fn parse_seconds(text: &[u8]) -> Option<u64> {
    parse_span(text, SECOND_UNITS, 1)
}

pub(super) fn parse_size(text: &[u8]) -> Option<u64> {
    let (number, scale) = match text {
        [number @ .., b'k' | b'K'] => (number, 1024),
        [number @ .., b'm' | b'M'] => (number, 1024 * 1024),
        number => (number, 1),
    };
    digits(number)?.checked_mul(scale).filter(|&octets| i64::try_from(octets).is_ok())
}

/// A unit of time, and how much it is.
type Unit = (&'static [u8], u64);

/// The units of time, largest first, in milliseconds.
const MILLI_UNITS: &[Unit] = &[
    (b"w", 7 * 24 * 60 * 60 * 1000),
    (b"d", 24 * 60 * 60 * 1000),
    (b"h", 60 * 60 * 1000),
    (b"m", 60 * 1000),
    (b"s", 1000),
    (b"ms", 1),
];

/// The same in seconds; months and years are of a constant length.
const SECOND_UNITS: &[Unit] = &[
    (b"y", 365 * 24 * 60 * 60),
    (b"M", 30 * 24 * 60 * 60),
    (b"w", 7 * 24 * 60 * 60),
    (b"d", 24 * 60 * 60),
    (b"h", 60 * 60),
    (b"m", 60),
    (b"s", 1),
];

/// Milliseconds.
fn parse_time(text: &[u8]) -> Option<u64> {
    parse_span(text, MILLI_UNITS, 1000)
}

/// Numbers with units, each smaller than the one before, and at the end perhaps a bare number of seconds.
fn parse_span(text: &[u8], mut units: &[Unit], second: u64) -> Option<u64> {
    let (mut rest, mut total) = (text, 0u64);
    loop {
        let number;
        (number, rest) = rest.split_at(rest.iter().take_while(|octet| octet.is_ascii_digit()).count());
        let unit;
        (unit, rest) = rest.split_at(rest.iter().take_while(|octet| octet.is_ascii_alphabetic()).count());
        let scale = match unit {
            [] if rest.is_empty() => second,
            _ => {
                let at = units.iter().position(|(name, _)| *name == unit)?;
                let (_, scale) = units.get(at)?;
                units = units.get(at + 1..)?;
                *scale
            }
        };
        let part = digits(number)?.checked_mul(scale)?;
        total = total.checked_add(part).filter(|&total| i64::try_from(total).is_ok())?;
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_one_unit() {
        for (text, octets) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("8k", Some(8192)),
            ("8K", Some(8192)),
            ("1m", Some(1 << 20)),
            ("1M", Some(1 << 20)),
            ("", None),
            ("k", None),
            ("1g", None),
            ("1kb", None),
            ("-1", None),
            ("+1", None),
            ("1 k", None),
            ("9223372036854775807", Some(i64::MAX as u64)),
            ("9223372036854775808", None),
            ("99999999999999999999m", None),
        ] {
            assert_eq!(parse_size(text.as_bytes()), octets, "{text:?}");
        }
    }

    #[test]
    fn times_are_sums_of_ever_smaller_units() {
        for (text, millis) in [
            ("0", Some(0)),
            ("60", Some(60_000)),
            ("60s", Some(60_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1m 30s", Some(90_000)),
            ("1m 30", Some(90_000)),
            ("1m ", Some(60_000)),
            ("1w2d3h4m5s6ms", Some(788_645_006)),
            ("24h", Some(86_400_000)),
            ("", None),
            ("s", None),
            (" 1s", None),
            ("1s1m", None),
            ("1s1s", None),
            ("1y", None),
            ("1M", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("1sec", None),
            ("99999999999999999999w", None),
        ] {
            assert_eq!(parse_time(text.as_bytes()), millis, "{text:?}");
        }
    }

    #[test]
    fn spans_of_seconds_know_months_and_years_but_no_milliseconds() {
        for (text, seconds) in [
            ("300s", Some(300)),
            ("300", Some(300)),
            ("1m30", Some(90)),
            ("1M1d", Some(31 * 86_400)),
            ("1y1M1w", Some((365 + 30 + 7) * 86_400)),
            ("0", Some(0)),
            ("", None),
            ("1ms", None),
            ("1s1m", None),
            ("x", None),
            ("9223372036854775808", None),
        ] {
            assert_eq!(parse_seconds(text.as_bytes()), seconds, "{text:?}");
        }
    }
}
