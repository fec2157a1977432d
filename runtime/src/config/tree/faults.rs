//! What is said about files whose words and braces do not go together: config.md 1.2.

use super::{Directive, Mark, NESTING_MAX, Reader, Within};
use crate::config::diagnostic::Complaint;
use crate::config::lex::LexError;
use crate::config::source::Span;

impl Reader<'_> {
    /// What is said about octets of which no token can be made.
    pub(super) fn lex_complaint(&mut self, error: LexError, within: Within) -> Complaint {
        match error {
            LexError::BehindQuote(octet, at) => {
                let message = format!("unexpected \"{}\"", String::from_utf8_lossy(&[octet]));
                Complaint::at(self.mark(at), message)
                    .label("a space or `;` is missing behind the closing quote")
            }
            LexError::TooLong(at) => {
                let start = self.sources.line(at).map(|line| line.text.get(line.start..line.end));
                let start = String::from_utf8_lossy(start.flatten().unwrap_or_default()).into_owned();
                Complaint::at(self.mark(at), format!("too long parameter \"{start}...\" started"))
            }
            LexError::TooLongInQuote(quote, at) => {
                let quote = char::from(quote);
                let message =
                    format!("too long parameter, probably missing terminating \"{quote}\" character");
                Complaint::at(self.mark(at), message)
            }
            LexError::Unterminated(quote, end) => {
                Complaint::at(self.mark(end), within.ended()).under(quote).label("this quote is never closed")
            }
        }
    }
}

/// A `}` behind words without a `;`.
pub(super) fn unfinished_before_brace(directive: &Directive, brace: Mark) -> Complaint {
    let words = directive.name.span.to(directive.args_span());
    Complaint::at(brace, r#"unexpected "}""#).under(words).label("`;` is missing behind this")
}

/// A `}` too many.
pub(super) fn brace_too_many(brace: Mark) -> Complaint {
    Complaint::at(brace, r#"unexpected "}""#).label("no block is open here")
}

impl Within {
    /// What nginx says of an end that comes too early.
    const fn ended(self) -> &'static str {
        match self {
            Self::CommandLine => r#"unexpected end of parameter, expecting ";""#,
            Self::File | Self::Block(_) => r#"unexpected end of file, expecting ";" or "}""#,
        }
    }
}

/// A block without a name.
pub(super) fn nameless(open: Mark) -> Complaint {
    Complaint::at(open, r#"unexpected "{""#).label("a name is missing before it")
}

/// A block where there is only room for directives.
pub(super) fn block_in_command_line(open: Mark) -> Complaint {
    Complaint::at(open, "block directives are not supported in -g option")
}

/// A file that ends behind words without a `;`.
pub(super) fn unfinished_at_end(directive: &Directive, end: Mark, within: Within) -> Complaint {
    let words = directive.name.span.to(directive.args_span());
    Complaint::at(end, within.ended()).under(words).label("`;` is missing behind this")
}

/// A file that ends within a block.
pub(super) fn open_at_end(open: Span, end: Mark) -> Complaint {
    Complaint::at(end, r#"unexpected end of file, expecting "}""#)
        .under(open)
        .label("this block is never closed")
}

/// One block too many within others.
pub(super) fn too_deep(at: Mark) -> Complaint {
    Complaint::at(at, format!("more than {NESTING_MAX} blocks and included files within each other"))
}
