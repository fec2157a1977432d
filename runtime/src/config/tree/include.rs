//! `include`: config.md 1.3.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Directive, NESTING_MAX, Reader};
use crate::config::diagnostic::Complaint;
use crate::config::lex::{Lexer, Word};
use crate::config::source::{BYTES_MAX, FILES_MAX};

impl Reader<'_> {
    /// Reads the files that an `include` names in its place.
    pub(super) fn include(&mut self, directive: &Directive, into: &mut Vec<Directive>, depth: usize) {
        let [word] = directive.args.as_slice() else {
            let message = r#"invalid number of arguments in "include" directive"#;
            self.complaints.push(Complaint::of(directive, message).under(directive.args_span()));
            return;
        };
        let paths = match self.named(word) {
            Ok(paths) => paths,
            Err(message) => return self.leave_out(directive, word, message),
        };
        for path in paths {
            if depth >= NESTING_MAX {
                let message = format!("more than {NESTING_MAX} blocks and included files within each other");
                return self.leave_out(directive, word, message);
            }
            if self.chain.contains(&path) {
                return self.leave_out(directive, word, format!("\"{}\" includes itself", path.display()));
            }
            match self.open(&path) {
                Ok(lexer) => self.file(&path, lexer, into, depth + 1),
                Err(message) => self.leave_out(directive, word, message),
            }
            if self.exhausted {
                return;
            }
        }
    }

    /// Opens a file for reading; tells why it cannot.
    pub(super) fn open(&mut self, path: &Path) -> Result<Lexer, String> {
        let room = self.sources.room();
        let text = self.rules.surroundings.read(path, room + 1).map_err(|error| {
            format!("{} \"{}\" failed ({}: {})", error.call, path.display(), error.code, error.text)
        })?;
        let Some(id) = self.sources.add(path, text) else {
            self.exhausted = true;
            let mebibytes = BYTES_MAX / (1024 * 1024);
            return Err(format!("the configuration has more than {FILES_MAX} files or {mebibytes} MiB"));
        };
        Ok(Lexer::new(id, self.sources.text(id)))
    }

    /// The files that `path` names: one, or those that match.
    fn named(&self, path: &Word) -> Result<Vec<PathBuf>, String> {
        let full = self.folder.join(OsStr::from_bytes(&path.text));
        if !path.text.iter().any(|octet| matches!(octet, b'*' | b'?' | b'[')) {
            return Ok(vec![full]);
        }
        let pattern = full.to_str().ok_or("the pattern is not UTF-8".to_owned())?;
        let matching = self.rules.surroundings.matching(pattern);
        matching.map_err(|reason| format!("invalid pattern \"{pattern}\": {reason}"))
    }

    fn leave_out(&mut self, directive: &Directive, path: &Word, message: String) {
        self.complaints.push(Complaint::of(directive, message).under(path.span));
        self.whole = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{outline, tree};
    use crate::config::surroundings::Memory;

    #[test]
    fn included_files_stand_in_place_of_the_directive() {
        let machine = Memory::new()
            .file("/etc/main.conf", "a; mail { include sub/mail.conf; } include /opt/*.conf; z;")
            .file("/etc/sub/mail.conf", "b; include other.conf;")
            .file("/etc/other.conf", "c;")
            .file("/opt/2.conf", "e;")
            .file("/opt/1.conf", "d;")
            .file("/opt/.hidden.conf", "x;");
        let (tree, told) = tree(&machine);
        assert_eq!(outline(&tree.directives), "a; mail {b; c}; d; e; z");
        assert_eq!((told, tree.whole), (vec![], true));
    }

    #[test]
    fn no_match_is_no_error_but_a_missing_file_is() {
        let machine = Memory::new().file("/etc/main.conf", "include none/*.conf;\ninclude\nnone;\na;");
        let (tree, told) = tree(&machine);
        assert_eq!(outline(&tree.directives), "a");
        assert_eq!(
            told,
            [r#"[emerg] open() "/etc/none" failed (2: No such file or directory) in /etc/main.conf:3"#]
        );
    }

    #[test]
    fn a_file_within_itself_is_refused() {
        let machine =
            Memory::new().file("/etc/main.conf", "include a;").file("/etc/a", "b;\ninclude main.conf;");
        let (_, told) = tree(&machine);
        assert_eq!(told, [r#"[emerg] "/etc/main.conf" includes itself in /etc/a:2"#]);
    }

    #[test]
    fn files_that_multiply_each_other_meet_the_bound() {
        let mut machine = Memory::new().file("/etc/main.conf", "include 0; include 0;");
        for level in 0..30 {
            let next = format!("include {0}; include {0};", level + 1);
            machine = machine.file(format!("/etc/{level}"), next);
        }
        let (_, told) = tree(&machine.file("/etc/30", "a;"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("more than 4096 files"), "{told:?}");
    }

    #[test]
    fn an_included_file_holds_whole_blocks() {
        let machine = Memory::new().file("/etc/main.conf", "mail { include a; }").file("/etc/a", "b; }");
        let (tree, told) = tree(&machine);
        assert_eq!(outline(&tree.directives), "mail {b}");
        assert_eq!((told, tree.whole), (vec![r#"[emerg] unexpected "}" in /etc/a:1"#.to_owned()], false));
    }
}
