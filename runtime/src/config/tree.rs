//! Tokens to directives and blocks, over all included files: config.md 1.2 and 1.3. Knows no mail.

mod faults;
mod include;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::faults::{
    block_in_command_line, brace_too_many, nameless, open_at_end, too_deep, unfinished_at_end,
    unfinished_before_brace,
};
use super::diagnostic::{Complaint, Complaints};
use super::lex::{Lexer, Token, Word};
use super::source::{Sources, Span};
use super::surroundings::Surroundings;

/// How many blocks and included files may be within each other. Mail needs two blocks; nginx stops at no number.
const NESTING_MAX: usize = 32;

/// Everything the main file holds, included files in place of the `include`s.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// In the order of reading.
    pub(super) directives: Vec<Directive>,
    /// Whether everything was read; false after an error behind which nothing could be trusted.
    pub(super) whole: bool,
}

/// A name, its arguments, and what is between its braces if it has any.
#[derive(Debug)]
pub(super) struct Directive {
    /// The first word.
    pub(super) name: Word,
    /// The other words.
    pub(super) args: Vec<Word>,
    /// The `;` or `{` behind the words.
    pub(super) end: Mark,
    /// What is between the braces.
    pub(super) block: Option<Block>,
}

/// What is between `{` and `}`.
#[derive(Debug)]
pub(super) struct Block {
    /// In the order of reading.
    pub(super) directives: Vec<Directive>,
    /// The `}`.
    pub(super) end: Mark,
}

/// A point of the reading: nginx looks at a directive once it has read the token behind it, and names the line of
/// that token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Whose line is named.
    pub(super) line: Span,
    /// How many such points came before, over all files.
    pub(super) step: u32,
}

impl Directive {
    /// The name as a message may show it.
    pub(super) fn shown(&self) -> String {
        self.name.shown()
    }

    /// All arguments as one place, the name if there are none.
    pub(super) fn args_span(&self) -> Span {
        match (self.args.first(), self.args.last()) {
            (Some(first), Some(last)) if first.span != last.span => first.span.to(last.span),
            (Some(only), _) => only.span,
            (None, _) => self.name.span,
        }
    }
}

/// What the reader of a tree has to be told.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Where files come from.
    pub(super) surroundings: &'a dyn Surroundings,
    /// Blocks of the outermost level that belong to somebody else.
    pub(super) skipped: &'a [&'a str],
    /// Directives that come before the main file's (`-g`).
    pub(super) global: &'a [u8],
}

/// Reads what the command line has to say, the file `main`, and whatever they include.
pub(super) fn read(
    main: &Path,
    rules: Rules<'_>,
    sources: &mut Sources,
    complaints: &mut Complaints,
) -> Tree {
    let folder = main.parent().unwrap_or(Path::new("")).to_owned();
    let mut reader = Reader {
        rules,
        folder,
        sources,
        complaints,
        step: 0,
        chain: Vec::new(),
        skipped: BTreeSet::new(),
        whole: true,
        exhausted: false,
    };
    let mut tree = Tree::default();
    reader.command_line(&mut tree.directives);
    match reader.open(main) {
        Ok(lexer) => reader.file(main, lexer, &mut tree.directives, 0),
        Err(message) => {
            reader.complaints.push(Complaint::general(message));
            reader.whole = false;
        }
    }
    tree.whole = reader.whole;
    tree
}

struct Reader<'a> {
    rules: Rules<'a>,
    /// The main file's folder: relative paths are taken from there.
    folder: PathBuf,
    sources: &'a mut Sources,
    complaints: &'a mut Complaints,
    step: u32,
    /// The file being read and those that include it, innermost last.
    chain: Vec<PathBuf>,
    /// The blocks that were skipped, of which there may be one each.
    skipped: BTreeSet<String>,
    whole: bool,
    /// There is no room for another file.
    exhausted: bool,
}

/// Nothing more of this file is of use; the reason was told.
struct Stopped;

/// What a run of directives is within.
#[derive(Clone, Copy)]
enum Within {
    CommandLine,
    File,
    /// The name and the `{` of the block.
    Block(Span),
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, mut lexer: Lexer, into: &mut Vec<Directive>, depth: usize) {
        self.chain.push(path.to_owned());
        if self.directives(&mut lexer, into, Within::File, depth).is_err() {
            self.whole = false;
        }
        self.chain.pop();
    }

    fn command_line(&mut self, into: &mut Vec<Directive>) {
        if self.rules.global.is_empty() {
            return;
        }
        match self.sources.add_command_line(self.rules.global) {
            Some(id) => {
                let mut lexer = Lexer::new(id, self.sources.text(id));
                if self.directives(&mut lexer, into, Within::CommandLine, 0).is_err() {
                    self.whole = false;
                }
            }
            None => {
                self.complaints.push(Complaint::general("too much in command line"));
                self.whole = false;
            }
        }
    }

    /// Reads up to the end of what it is `within`.
    fn directives(
        &mut self,
        lexer: &mut Lexer,
        into: &mut Vec<Directive>,
        within: Within,
        depth: usize,
    ) -> Result<Mark, Stopped> {
        let mut words = Vec::new();
        loop {
            let token = match lexer.next() {
                Ok(token) => token,
                Err(error) => return self.stop(|reader| reader.lex_complaint(error, within)),
            };
            match token {
                Token::Word(word) => words.push(word),
                Token::Semicolon(at) => {
                    let end = self.mark(at);
                    match directive(&mut words, end) {
                        Some(directive) if &*directive.name.text == b"include" => {
                            self.include(&directive, into, depth);
                        }
                        Some(directive) => into.push(directive),
                        None => self.complaints.push(Complaint::at(end, r#"unexpected ";""#)),
                    }
                }
                Token::Open(at) => {
                    let end = self.mark(at);
                    let directive = directive(&mut words, end);
                    if matches!(within, Within::CommandLine) {
                        return self.stop(|_| match directive {
                            Some(_) => block_in_command_line(end),
                            None => nameless(end),
                        });
                    }
                    let (directive, read) = self.block(lexer, directive, end, depth);
                    into.extend(directive);
                    read?;
                }
                Token::Close(at) => {
                    let end = self.mark(at);
                    let unfinished = directive(&mut words, end);
                    if let Some(directive) = &unfinished {
                        self.complaints.push(unfinished_before_brace(directive, end));
                    }
                    into.extend(unfinished);
                    match within {
                        Within::Block(_) => return Ok(end),
                        Within::CommandLine | Within::File => return self.stop(|_| brace_too_many(end)),
                    }
                }
                Token::End(at) => {
                    let end = self.mark(at);
                    match directive(&mut words, end) {
                        Some(directive) => return self.stop(|_| unfinished_at_end(&directive, end, within)),
                        None => match within {
                            Within::CommandLine | Within::File => return Ok(end),
                            Within::Block(open) => return self.stop(|_| open_at_end(open, end)),
                        },
                    }
                }
            }
            if self.exhausted || self.complaints.is_full() {
                return Err(Stopped);
            }
        }
    }

    /// Reads what follows a `{`: a block, unless there is no name before it or it is somebody else's. What was read of
    /// a block is worth looking at even if its end is missing.
    fn block(
        &mut self,
        lexer: &mut Lexer,
        directive: Option<Directive>,
        open: Mark,
        depth: usize,
    ) -> (Option<Directive>, Result<(), Stopped>) {
        let Some(mut directive) = directive else {
            self.complaints.push(nameless(open));
            return (None, self.skip(lexer, open));
        };
        let name = directive.shown();
        if name == "include" {
            let message = r#"directive "include" is not terminated by ";""#;
            self.complaints.push(Complaint::of(&directive, message));
            return (None, self.skip(lexer, open));
        }
        if depth == 0 && self.rules.skipped.contains(&name.as_str()) {
            let complaint = match self.skipped.insert(name.clone()) {
                true => Complaint::of(&directive, format!("the \"{name}\" block is ignored")).warning(),
                false => Complaint::of(&directive, format!("\"{name}\" directive is duplicate")),
            };
            self.complaints.push(complaint);
            return (None, self.skip(lexer, open));
        }
        if depth >= NESTING_MAX {
            return (Some(directive), self.stop(|_| too_deep(open)));
        }
        let mut directives = Vec::new();
        let opening = directive.name.span.to(open.line);
        let end = self.directives(lexer, &mut directives, Within::Block(opening), depth + 1);
        let read = end.as_ref().map(|_| ()).map_err(|_| Stopped);
        directive.block = Some(Block { directives, end: end.unwrap_or_else(|_| self.mark(open.line)) });
        (Some(directive), read)
    }

    fn skip(&mut self, lexer: &mut Lexer, open: Mark) -> Result<(), Stopped> {
        match lexer.skip_block() {
            Ok(end) => {
                self.mark(end);
                Ok(())
            }
            Err(end) => self.stop(|reader| open_at_end(open.line, reader.mark(end))),
        }
    }

    fn stop<T>(&mut self, why: impl FnOnce(&mut Self) -> Complaint) -> Result<T, Stopped> {
        let complaint = why(self);
        self.complaints.push(complaint);
        Err(Stopped)
    }

    fn mark(&mut self, line: Span) -> Mark {
        self.step += 1;
        Mark { line, step: self.step }
    }
}

fn directive(words: &mut Vec<Word>, end: Mark) -> Option<Directive> {
    let mut words = std::mem::take(words).into_iter();
    let name = words.next()?;
    Some(Directive { name, args: words.collect(), end, block: None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::source::BYTES_MAX;
    use super::super::surroundings::Memory;
    use super::*;

    pub(super) fn tree(machine: &Memory) -> (Tree, Vec<String>) {
        let (mut sources, mut complaints) = (Sources::default(), Complaints::default());
        let rules = Rules { surroundings: machine, skipped: &["http"], global: b"" };
        let tree = read(Path::new("/etc/main.conf"), rules, &mut sources, &mut complaints);
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let told = complaints.told(&sources).into_iter().map(|each| first_line(each.to_string()));
        (tree, told.collect())
    }

    fn main_file(text: &str) -> (String, Vec<String>) {
        let (tree, told) = tree(&Memory::new().file("/etc/main.conf", text));
        (outline(&tree.directives), told)
    }

    pub(super) fn outline(directives: &[Directive]) -> String {
        let one = |directive: &Directive| {
            let words = std::iter::once(&directive.name).chain(&directive.args).map(Word::shown);
            let words = words.collect::<Vec<_>>().join(" ");
            match &directive.block {
                Some(block) => format!("{words} {{{}}}", outline(&block.directives)),
                None => words,
            }
        };
        directives.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn directives_nest() {
        let (outline, told) = main_file("a b c; d { e f; g h { } } i;");
        assert_eq!(outline, "a b c; d {e f; g h {}}; i");
        assert_eq!(told, [""; 0]);
    }

    #[test]
    fn structure_errors_are_nginx_s_and_the_rest_is_still_read() {
        for (text, read, complaints) in [
            (";a;", "a", &[r#"[emerg] unexpected ";" in /etc/main.conf:1"#][..]),
            ("{ x; }\na;", "a", &[r#"[emerg] unexpected "{" in /etc/main.conf:1"#]),
            ("a {\nb\n}\nc;", "a {b}; c", &[r#"[emerg] unexpected "}" in /etc/main.conf:3"#]),
            ("a;\n}\nb;", "a", &[r#"[emerg] unexpected "}" in /etc/main.conf:2"#]),
            ("a {\nb;\n", "a {b}", &[r#"[emerg] unexpected end of file, expecting "}" in /etc/main.conf:3"#]),
            (
                "a {\nb;\nc",
                "a {b}",
                &[r#"[emerg] unexpected end of file, expecting ";" or "}" in /etc/main.conf:3"#],
            ),
            ("a 'b'c;", "", &[r#"[emerg] unexpected "c" in /etc/main.conf:1"#]),
            (
                "a;\nb '\n\n",
                "a",
                &[r#"[emerg] unexpected end of file, expecting ";" or "}" in /etc/main.conf:4"#],
            ),
            (
                "http { a 'b'c; }\nd; http {",
                "d",
                &[
                    r#"[warn] the "http" block is ignored in /etc/main.conf:1"#,
                    r#"[emerg] "http" directive is duplicate in /etc/main.conf:2"#,
                    r#"[emerg] unexpected end of file, expecting "}" in /etc/main.conf:2"#,
                ],
            ),
        ] {
            let (outline, told) = main_file(text);
            let told: Vec<_> = told.iter().map(String::as_str).collect();
            assert_eq!((outline.as_str(), told.as_slice()), (read, complaints), "{text:?}");
        }
    }

    #[test]
    fn a_foreign_block_is_skipped_only_outermost() {
        assert_eq!(main_file("mail { http { a; } }").0, "mail {http {a}}");
    }

    #[test]
    fn blocks_within_blocks_have_a_bound() {
        let (_, told) = main_file(&"a {".repeat(100_000));
        assert_eq!(
            told,
            ["[emerg] more than 32 blocks and included files within each other in /etc/main.conf:1"]
        );
    }

    #[test]
    fn steps_follow_the_reading_across_files() {
        let machine = Memory::new().file("/etc/main.conf", "a; b { include c; d; } e;").file("/etc/c", "f;");
        let (tree, _) = tree(&machine);
        fn steps(directives: &[Directive], into: &mut Vec<(String, u32)>) {
            for directive in directives {
                into.push((directive.shown(), directive.end.step));
                directive.block.iter().for_each(|block| steps(&block.directives, into));
            }
        }
        let mut all = Vec::new();
        steps(&tree.directives, &mut all);
        assert!(all.is_sorted_by_key(|(_, step)| *step), "{all:?}");
        assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<String>(), "abfde");
    }

    /// Octets that are likely to be a configuration, more or less.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let pieces: [&[u8]; 15] = [
            b"mail ",
            b"http",
            b"{",
            b"}",
            b";",
            b"\"",
            b"'",
            b"\\",
            b"#",
            b"$",
            b"\n",
            b" ",
            b"include main.conf;",
            b"include *;",
            b"\xff",
        ];
        let piece = prop::sample::select(pieces.to_vec());
        prop_oneof![
            prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat()),
            prop::collection::vec(any::<u8>(), 0..200),
        ]
    }

    proptest! {
        #[test]
        fn no_octets_make_the_reader_panic_or_keep_more_than_they_are(main in text(), other in text()) {
            let octets = main.len() + other.len();
            let machine = Memory::new().file("/etc/main.conf", main).file("/etc/other", other);
            let (mut sources, mut complaints) = (Sources::default(), Complaints::default());
            let rules = Rules { surroundings: &machine, skipped: &["http"], global: b"" };
            let tree = read(Path::new("/etc/main.conf"), rules, &mut sources, &mut complaints);
            fn kept(directives: &[Directive]) -> usize {
                let words = |each: &Directive| each.name.text.len() + each.args.iter().map(|arg| arg.text.len()).sum::<usize>();
                directives.iter().map(|each| words(each) + each.block.as_ref().map_or(0, |block| kept(&block.directives))).sum()
            }
            // A file may be included more than once, though never within itself.
            prop_assert!(sources.room() <= BYTES_MAX);
            prop_assert!(kept(&tree.directives) <= BYTES_MAX - sources.room());
            prop_assert!(octets < 4096);
            for each in complaints.told(&sources) {
                prop_assert!(each.to_string().len() < 10_000);
            }
        }
    }
}
