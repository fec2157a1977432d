//! Octets to tokens, by nginx's rules: config.md 1.1.

use std::sync::Arc;

use super::source::{SourceId, Span};

/// What one word may measure, in octets as written, the closing quote included and the opening one not: nginx reads
/// through a buffer of 4096 octets and wants to see the octet behind the word too.
pub(super) const WORD_BYTES_MAX: usize = 4095;

/// One word: a directive's name or an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Its octets, quotes removed and escapes undone.
    pub(super) text: Box<[u8]>,
    /// Where it stands, quotes included.
    pub(super) span: Span,
}

impl Word {
    /// The word as a message may show it.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// What a file is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or an argument.
    Word(Word),
    /// `;`
    Semicolon(Span),
    /// `{`
    Open(Span),
    /// `}`
    Close(Span),
    /// Nothing more follows.
    End(Span),
}

/// Why no token can be made of what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LexError {
    /// This octet stands behind a closing quote.
    BehindQuote(u8, Span),
    /// A word longer than [`WORD_BYTES_MAX`]; its first octets.
    TooLong(Span),
    /// The same within this quote, so that its end is probably missing.
    TooLongInQuote(u8, Span),
    /// The file ends within this quote. Where the quote stands, and the end.
    Unterminated(Span, Span),
}

/// Hands out a file's tokens in order.
#[derive(Debug)]
pub(super) struct Lexer {
    text: Arc<[u8]>,
    source: SourceId,
    at: usize,
}

impl Lexer {
    /// Starts at the beginning of `text`, which is what `source` holds.
    pub(super) const fn new(source: SourceId, text: Arc<[u8]>) -> Self {
        Self { text, source, at: 0 }
    }

    /// The next token. After an error no further token is of use.
    pub(super) fn next(&mut self) -> Result<Token, LexError> {
        self.skip_blanks();
        let start = self.at;
        let Some(first) = self.peek() else {
            return Ok(Token::End(self.source.span(start, start)));
        };
        if let b'"' | b'\'' = first {
            return self.quoted(first);
        }
        if let b';' | b'{' | b'}' = first {
            self.at += 1;
            let span = self.source.span(start, self.at);
            return Ok(match first {
                b';' => Token::Semicolon(span),
                b'{' => Token::Open(span),
                _ => Token::Close(span),
            });
        }
        self.bare()
    }

    /// The end of the block whose `{` was just handed out, without understanding what is in it. Words may be as long
    /// as they like and quotes may be followed by anything: other modules bring their own languages.
    ///
    /// # Errors
    ///
    /// Where the file ends, if it does before the block.
    pub(super) fn skip_block(&mut self) -> Result<Span, Span> {
        let mut depth = 1usize;
        loop {
            match self.next() {
                Ok(Token::Open(_)) => depth += 1,
                Ok(Token::Close(at)) => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(at);
                    }
                }
                Ok(Token::End(at)) | Err(LexError::Unterminated(_, at)) => return Err(at),
                Ok(Token::Word(_) | Token::Semicolon(_)) => {}
                // The lexer stands behind the word; what follows begins another.
                Err(LexError::BehindQuote(..) | LexError::TooLong(_) | LexError::TooLongInQuote(..)) => {}
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(octet) = self.peek() {
            match octet {
                octet if is_blank(octet) => self.at += 1,
                b'#' => self.at = self.find(self.at, |octet| octet == b'\n'),
                _ => return,
            }
        }
    }

    /// Where the first octet like that is, from `from` on; the end if there is none.
    fn find(&self, from: usize, like: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        rest.iter().position(|&octet| like(octet)).map_or(self.text.len(), |distance| from + distance)
    }

    fn bare(&mut self) -> Result<Token, LexError> {
        let start = self.at;
        let mut behind_dollar = false;
        while let Some(octet) = self.peek() {
            match octet {
                b'\\' => {
                    behind_dollar = false;
                    self.at += 1;
                }
                // `${name}` is one word.
                b'{' if behind_dollar => {}
                b'{' | b';' => break,
                octet if is_blank(octet) => break,
                octet => behind_dollar = octet == b'$',
            }
            self.at += 1;
        }
        self.at = self.at.min(self.text.len());
        match self.is_too_long(start) {
            true => Err(LexError::TooLong(self.source.span(start, start + 10))),
            false => Ok(self.word(start, start, self.at)),
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Token, LexError> {
        let opened = self.at;
        let start = opened + 1;
        self.at = start;
        loop {
            match self.peek() {
                None => {
                    let end = self.text.len();
                    self.at = end;
                    let opened_at = self.source.span(opened, start);
                    return Err(match self.is_too_long(start) {
                        true => LexError::TooLongInQuote(quote, opened_at),
                        false => LexError::Unterminated(opened_at, self.source.span(end, end)),
                    });
                }
                Some(b'\\') => self.at += 2,
                Some(octet) if octet == quote => break,
                Some(_) => self.at += 1,
            }
        }
        let end = self.at;
        self.at += 1;
        if end - start > WORD_BYTES_MAX {
            return Err(LexError::TooLongInQuote(quote, self.source.span(opened, start)));
        }
        match self.peek() {
            _ if self.is_too_long(start) => Err(LexError::TooLong(self.source.span(start, start + 10))),
            Some(octet) if !is_blank(octet) && !matches!(octet, b';' | b'{' | b')') => {
                Err(LexError::BehindQuote(octet, self.source.span(self.at, self.at + 1)))
            }
            _ => Ok(self.word(opened, start, end)),
        }
    }

    /// Whether what lies between `start` and here fills nginx's buffer, so that it does not see what follows.
    fn is_too_long(&self, start: usize) -> bool {
        let room = if self.at < self.text.len() { WORD_BYTES_MAX } else { WORD_BYTES_MAX + 1 };
        self.at - start > room
    }

    /// The word whose octets are `start..end`; it and its quotes begin at `from` and end where the lexer stands.
    fn word(&self, from: usize, start: usize, end: usize) -> Token {
        let raw = self.text.get(start..end).unwrap_or_default();
        Token::Word(Word { text: unescaped(raw), span: self.source.span(from, self.at) })
    }
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// Undoes the escapes that nginx knows; a backslash before anything else stays.
fn unescaped(raw: &[u8]) -> Box<[u8]> {
    if !raw.contains(&b'\\') {
        return raw.into();
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied().peekable();
    while let Some(octet) = rest.next() {
        let meant = match (octet, rest.peek()) {
            (b'\\', Some(&escaped @ (b'"' | b'\'' | b'\\'))) => Some(escaped),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            _ => None,
        };
        if meant.is_some() {
            rest.next();
        }
        text.push(meant.unwrap_or(octet));
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::source::Sources;
    use super::*;

    /// The tokens in short: words as they are, `;`, `{`, `}`, and an error as its message's essence.
    fn lexed(text: &str) -> String {
        let mut sources = Sources::default();
        let id = sources.add(Path::new("t"), text.into()).unwrap();
        let mut lexer = Lexer::new(id, sources.text(id));
        let mut all = Vec::new();
        loop {
            all.push(match lexer.next() {
                Ok(Token::Word(word)) => format!("<{}>", word.shown()),
                Ok(Token::Semicolon(_)) => ";".into(),
                Ok(Token::Open(_)) => "{".into(),
                Ok(Token::Close(_)) => "}".into(),
                Ok(Token::End(_)) => return all.join(" "),
                Err(LexError::BehindQuote(octet, _)) => return format!("unexpected {}", char::from(octet)),
                Err(LexError::TooLong(_)) => return "too long".into(),
                Err(LexError::TooLongInQuote(quote, _)) => return format!("no end of {}", char::from(quote)),
                Err(LexError::Unterminated(..)) => return "unterminated".into(),
            });
        }
    }

    #[test]
    fn words_end_where_nginx_says() {
        for (text, tokens) in [
            ("", ""),
            (" \t\r\n", ""),
            ("a b;", "<a> <b> ;"),
            ("a{b;}", "<a> { <b> ; }"),
            ("a}b;", "<a}b> ;"),
            ("a;}b;", "<a> ; } <b> ;"),
            ("a#b # c; {\nd;", "<a#b> <d> ;"),
            ("#only", ""),
            ("a ${b}c{d};", "<a> <${b}c> { <d}> ;"),
            ("a$ {", "<a$> {"),
            ("a${{b;", "<a${{b> ;"),
            ("listen\r\n143;\r\n", "<listen> <143> ;"),
            ("\u{feff}mail {}", "<\u{feff}mail> { }"),
        ] {
            assert_eq!(lexed(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn quotes_count_only_where_a_word_begins() {
        for (text, tokens) in [
            (r#"a "b c;{}#" 'd"e';"#, r#"<a> <b c;{}#> <d"e> ;"#),
            (r#"a b"c d"e;"#, r#"<a> <b"c> <d"e> ;"#),
            (r#"a "" '';"#, "<a> <> <> ;"),
            ("a \"b\nc\";", "<a> <b\nc> ;"),
            (r#""a"{"b";}"#, "<a> { <b> ; }"),
            (r#"a ("b") c;"#, r#"<a> <("b")> <c> ;"#),
            (r#"a "b")c;"#, "<a> <b> <)c> ;"),
            (r#"a "b"c;"#, "unexpected c"),
            (r#"a "b""c";"#, "unexpected \""),
            (r#"a "b"}"#, "unexpected }"),
            (r#"a "b"#, "unterminated"),
            (r#"a "b\""#, "unterminated"),
        ] {
            assert_eq!(lexed(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn a_backslash_protects_the_next_octet_and_most_stay() {
        for (text, tokens) in [
            (r"a b\ c;", r"<a> <b\ c> ;"),
            (r"a b\;c;", r"<a> <b\;c> ;"),
            (r"a b\{c;", r"<a> <b\{c> ;"),
            (r#"a \"b;"#, r#"<a> <"b> ;"#),
            (r#"a "b\"c" 'd\'e' "f\\";"#, r#"<a> <b"c> <d'e> <f\> ;"#),
            (r"a \t\r\n\d\.;", "<a> <\t\r\n\\d\\.> ;"),
            (r"a b\", r"<a> <b\>"),
        ] {
            assert_eq!(lexed(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn a_word_of_4095_octets_is_the_longest() {
        let fits = "x".repeat(WORD_BYTES_MAX);
        assert_eq!(lexed(&format!("{fits};")), format!("<{fits}> ;"));
        assert_eq!(lexed(&format!("'{}';", &fits[1..])), format!("<{}> ;", &fits[1..]));
        assert_eq!(lexed(&format!("{fits}x;")), "too long");
        assert_eq!(lexed(&format!("{fits}xx")), "too long");
        assert_eq!(lexed(&format!("'{fits}';")), "too long");
        assert_eq!(lexed(&format!("'{fits}x';")), "no end of '");
        assert_eq!(lexed(&format!("\"{fits}x")), "unterminated");
        assert_eq!(lexed(&format!("\"{fits}xx")), "no end of \"");
        let comment = "x".repeat(2 * WORD_BYTES_MAX);
        assert_eq!(lexed(&format!("#{comment}\na;")), "<a> ;");
    }

    #[test]
    fn a_foreign_block_is_skipped_whatever_is_in_it() {
        let foreign = r#" server { return 200 "}"; } lua { x = "a".."b" if y then return end } ; ; '{' # }
            map { "~^x{2}" 1; } } mail {"#;
        let mut sources = Sources::default();
        let id = sources.add(Path::new("t"), foreign.into()).unwrap();
        let mut lexer = Lexer::new(id, sources.text(id));
        assert!(lexer.skip_block().is_ok());
        assert!(matches!(lexer.next(), Ok(Token::Word(word)) if &*word.text == b"mail"));
        assert!(matches!(lexer.next(), Ok(Token::Open(_))));
        assert!(lexer.skip_block().is_err());
    }
}
