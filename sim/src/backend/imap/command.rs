//! One IMAP command: a line, and the literals and lines that follow where it ends in one (RFC 3501 section 4.3).

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::backend::literals::Literals;
use crate::backend::number;
use crate::talk::Talk;

/// The longest literal taken, in octets.
const LITERAL_BYTES_MAX: usize = 64 * 1024;

/// The most arguments of a command.
const ARGUMENTS_MAX: usize = 16;

/// A whole command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) tag: String,
    /// In upper case; `UID` with the word behind it.
    pub(super) verb: String,
    /// Strings without their quotes; lists as written, parentheses and brackets included.
    pub(super) arguments: Vec<Vec<u8>>,
    /// Whether there was no literal in it that had to be asked for.
    pub(super) in_one_step: bool,
}

/// What makes a line no command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("no command")]
    NoCommand(String),
    #[error("open quote")]
    OpenQuote(String),
    #[error("bad literal")]
    BadLiteral(String),
    #[error("too many arguments")]
    TooMany(String),
}

impl Fault {
    /// The tag to answer with: the client's, or `*` where there was none.
    pub(super) fn tag(&self) -> &str {
        match self {
            Self::NoCommand(tag) | Self::OpenQuote(tag) | Self::BadLiteral(tag) | Self::TooMany(tag) => tag,
        }
    }
}

/// Reads the next command; `None` at the end of the stream.
pub(super) async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<S>,
    literals: Literals,
) -> io::Result<Option<Result<Command, Fault>>> {
    let (mut words, mut in_one_step): (Vec<Vec<u8>>, _) = (Vec::new(), true);
    let tag_of = |words: &[Vec<u8>]| match words.first() {
        Some(tag) => String::from_utf8_lossy(tag).into_owned(),
        None => "*".to_owned(),
    };
    loop {
        let Some(line) = talk.line().await? else { return Ok(None) };
        let (text, literal) = match literal(&line) {
            Some((text, literal)) => (text, Some(literal)),
            None => (&line[..], None),
        };
        match split(text) {
            Some(more) => words.extend(more),
            None => {
                words.extend(text.split(|&octet| octet == b' ').take(1).map(<[u8]>::to_vec));
                return Ok(Some(Err(Fault::OpenQuote(tag_of(&words)))));
            }
        }
        if words.len() > ARGUMENTS_MAX {
            return Ok(Some(Err(Fault::TooMany(tag_of(&words)))));
        }
        match literal {
            None => return Ok(Some(command(words, in_one_step))),
            Some(Literal { octets, .. }) if octets > LITERAL_BYTES_MAX => {
                return Ok(Some(Err(Fault::BadLiteral(tag_of(&words)))));
            }
            Some(Literal { octets, synchronising: false }) if !literals.takes(octets) => {
                return Ok(Some(Err(Fault::BadLiteral(tag_of(&words)))));
            }
            Some(Literal { octets, synchronising }) => {
                in_one_step &= !synchronising;
                if synchronising {
                    talk.say("+ go on\r\n").await?;
                }
                words.push(talk.octets(octets).await?.to_vec());
            }
        }
    }
}

fn command(words: Vec<Vec<u8>>, in_one_step: bool) -> Result<Command, Fault> {
    let mut words = words.into_iter();
    let text = |word: Vec<u8>| String::from_utf8_lossy(&word).into_owned();
    let tag = words.next().map_or_else(|| "*".to_owned(), text);
    let Some(verb) = words.next() else { return Err(Fault::NoCommand(tag)) };
    let mut verb = text(verb).to_ascii_uppercase();
    if verb == "UID" {
        let Some(behind) = words.next() else { return Err(Fault::NoCommand(tag)) };
        verb = format!("UID {}", text(behind).to_ascii_uppercase());
    }
    Ok(Command { tag, verb, arguments: words.collect(), in_one_step })
}

struct Literal {
    octets: usize,
    synchronising: bool,
}

/// A line that ends with `{n}` or `{n+}`, and what is before that.
fn literal(line: &[u8]) -> Option<(&[u8], Literal)> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|&octet| octet == b'{')?;
    let (before, count) = (inner.get(..open)?, inner.get(open + 1..)?);
    let (digits, synchronising) = match count.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (count, true),
    };
    Some((before, Literal { octets: number(digits)?, synchronising }))
}

/// Splits at spaces that are not within quotes, parentheses or brackets; `None` if a quote stays open.
fn split(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut word, mut depth, mut any) = (Vec::new(), Vec::new(), 0_usize, false);
    let mut rest = text.iter().copied();
    while let Some(octet) = rest.next() {
        match octet {
            b'"' if depth == 0 => {
                any = true;
                loop {
                    match rest.next()? {
                        b'"' => break,
                        b'\\' => word.push(rest.next()?),
                        other => word.push(other),
                    }
                }
            }
            b' ' if depth == 0 => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            other => {
                match other {
                    b'(' | b'[' => depth += 1,
                    b')' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                any = true;
                word.push(other);
            }
        }
    }
    if any {
        words.push(word);
    }
    Some(words)
}
