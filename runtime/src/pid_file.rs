//! The pid file: how those who would signal the process find it (config.md 10, 12 and 13).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use crate::system_error::system_error;

mod living;

/// Where the file is if no `pid` says otherwise.
pub const DEFAULT: &str = "/run/gatepost.pid";

/// What is read of a file at most: more than any number of a process has digits.
const BYTES_MAX: u64 = 22;

/// A file that holds the number of a process, in digits, and a line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PidFile(PathBuf);

/// What went wrong with a pid file, in nginx's words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system would not do something with it.
    #[error("{call} \"{path}\" failed ({code}: {text})", path = path.display())]
    System {
        /// What it would not do: `open()`, `read()`, `write()`, `unlink()`.
        call: &'static str,
        /// The file.
        path: PathBuf,
        /// `errno`.
        code: i32,
        /// The system's text for it.
        text: String,
    },
    /// The system would not rename it.
    #[error("rename() {from} to {to} failed ({code}: {text})", from = from.display(), to = to.display())]
    Rename {
        /// Its name.
        from: PathBuf,
        /// The name it was to have.
        to: PathBuf,
        /// `errno`.
        code: i32,
        /// The system's text for it.
        text: String,
    },
    /// It holds the number of another process that serves.
    #[error(
        "\"{path}\" names another process, {process} ({name}), which serves: stop that, or say another file by \"pid\"",
        path = path.display()
    )]
    Taken {
        /// The file.
        path: PathBuf,
        /// The other process.
        process: Pid,
        /// The name it goes by.
        name: String,
    },
    /// What it holds is not the number of a process.
    #[error("invalid PID number \"{text}\" in \"{path}\"", path = path.display())]
    Invalid {
        /// The first of what it holds.
        text: String,
        /// The file.
        path: PathBuf,
    },
}

impl PidFile {
    /// The file at `path`, whether it exists or not.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The name it has while another binary takes over (USR2): the same with `.oldbin` behind it.
    #[must_use]
    pub fn of_old_binary(&self) -> Self {
        let mut path = self.0.clone().into_os_string();
        path.push(".oldbin");
        Self(path.into())
    }

    /// Makes the file if it is not there, and leaves what it holds: whether it could be written (`-t`).
    ///
    /// # Errors
    ///
    /// It could not be opened.
    pub fn try_open(&self) -> Result<(), Error> {
        self.open(OpenOptions::new().write(true).create(true)).map(drop)
    }

    /// Looks whether the file is free for `process`: whether it names nobody who serves, but `process` and its `predecessor`.
    ///
    /// # Errors
    ///
    /// [`Error::Taken`]: an nginx, say, that goes on serving something else by the same configuration.
    pub fn must_be_free(&self, process: Pid, predecessor: Option<Pid>) -> Result<(), Error> {
        let Ok(other) = self.read() else { return Ok(()) };
        if other == process || Some(other) == predecessor {
            return Ok(());
        }
        match living::serving(other) {
            Some(name) => Err(Error::Taken { path: self.0.clone(), process: other, name }),
            None => Ok(()),
        }
    }

    /// Makes the file hold `process` and nothing else, whatever was in it; anybody may read it.
    ///
    /// # Errors
    ///
    /// It could not be opened or written.
    pub fn write(&self, process: Pid) -> Result<(), Error> {
        let mut file = self.open(OpenOptions::new().write(true).create(true).truncate(true))?;
        let text = format!("{}\n", process.as_raw_pid());
        file.write_all(text.as_bytes()).map_err(|error| self.failed("write()", &error))
    }

    /// The process whose number the file holds. Line ends behind the number do not matter.
    ///
    /// # Errors
    ///
    /// It could not be opened or read, or holds something else. Zero is no process: a signal to it would go to whoever
    /// sends it.
    pub fn read(&self) -> Result<Pid, Error> {
        let file = self.open(OpenOptions::new().read(true))?;
        let mut octets = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut octets).map_err(|error| self.failed("read()", &error))?;
        let text = String::from_utf8_lossy(&octets);
        let text = text.trim_end_matches(['\r', '\n']);
        let digits = text.bytes().all(|octet| octet.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits).and_then(Pid::from_raw);
        number.ok_or_else(|| {
            let text = text.replace(|c: char| c.is_control(), " ");
            Error::Invalid { text, path: self.0.clone() }
        })
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// It could not be removed.
    pub fn remove(&self) -> Result<(), Error> {
        fs::remove_file(&self.0).map_err(|error| self.failed("unlink()", &error))
    }

    /// Removes the file, unless it has come to name somebody else than `process`, or nobody.
    ///
    /// # Errors
    ///
    /// It could not be removed, or is gone.
    pub fn remove_of(&self, process: Pid) -> Result<(), Error> {
        match self.read() {
            Ok(other) if other != process => Ok(()),
            Err(Error::Invalid { .. }) => Ok(()),
            _ => self.remove(),
        }
    }

    /// Gives the file the name of `other`, in place of what may have that name.
    ///
    /// # Errors
    ///
    /// It could not be renamed.
    pub fn rename_to(&self, other: &Self) -> Result<(), Error> {
        fs::rename(&self.0, &other.0).map_err(|error| {
            let told = system_error("rename()", &error);
            Error::Rename { from: self.0.clone(), to: other.0.clone(), code: told.code, text: told.text }
        })
    }

    fn open(&self, how: &mut OpenOptions) -> Result<File, Error> {
        how.mode(0o644).open(&self.0).map_err(|error| self.failed("open()", &error))
    }

    fn failed(&self, call: &'static str, error: &io::Error) -> Error {
        let told = system_error(call, error);
        Error::System { call, path: self.0.clone(), code: told.code, text: told.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the test's own, removed when dropped.
    struct Scratch(PidFile);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("gatepost-pid-{}-{name}", std::process::id());
            Self(PidFile::new(std::env::temp_dir().join(name)))
        }

        fn holding(name: &str, text: &str) -> Self {
            let scratch = Self::new(name);
            fs::write(scratch.0.path(), text).expect("a file");
            scratch
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(self.0.path());
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_of_before_is_left() {
        let file = Scratch::holding("written", "1234567890123456789\nmore\n");
        let me = rustix::process::getpid();
        file.0.write(me).expect("written");
        assert_eq!(file.0.read().expect("read"), me);
        assert_eq!(fs::read_to_string(file.0.path()).expect("read"), format!("{}\n", std::process::id()));
        file.0.remove().expect("removed");
        let gone = file.0.read().expect_err("gone").to_string();
        let path = file.0.path().display();
        assert_eq!(gone, format!("open() \"{path}\" failed (2: No such file or directory)"));
        let gone = file.0.remove().expect_err("gone").to_string();
        assert_eq!(gone, format!("unlink() \"{path}\" failed (2: No such file or directory)"));
    }

    #[test]
    fn a_file_that_names_another_who_serves_is_not_free() {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let me = rustix::process::getpid();
        let file = Scratch::holding("taken", &format!("{me}\n"));
        let newcomer = Pid::INIT;
        let taken = file.0.must_be_free(newcomer, None).expect_err("this process serves").to_string();
        let path = file.0.path().display();
        assert!(taken.starts_with(&format!("\"{path}\" names another process, {me} (")), "{taken}");
        file.0.must_be_free(newcomer, Some(me)).expect("we are its predecessor");
        file.0.must_be_free(me, None).expect("it is ours");
        Scratch::new("absent").0.must_be_free(newcomer, None).expect("nobody's");
        Scratch::holding("nonsense", "x").0.must_be_free(newcomer, None).expect("nobody's");
    }

    #[test]
    fn a_file_that_names_another_is_not_removed() {
        let me = rustix::process::getpid();
        for text in ["1\n", "", "x"] {
            let file = Scratch::holding("other", text);
            file.0.remove_of(me).expect("nothing to do");
            assert_eq!(fs::read_to_string(file.0.path()).expect("still there"), text);
        }
        let file = Scratch::holding("own", &format!("{me}\n"));
        file.0.remove_of(me).expect("removed");
        assert!(file.0.remove_of(me).expect_err("gone").to_string().starts_with("unlink() "));
    }

    #[test]
    fn only_the_number_of_a_process_is_one() {
        for (text, number) in [("1\n", 1), ("4194304", 4_194_304), ("00012\r\n\n", 12)] {
            let file = Scratch::holding("good", text);
            assert_eq!(file.0.read().expect("a number").as_raw_pid(), number, "{text:?}");
        }
        for (text, shown) in [
            ("", ""),
            ("\n", ""),
            ("0\n", "0"),
            ("-1\n", "-1"),
            ("+1", "+1"),
            ("12 \n", "12 "),
            (" 12\n", " 12"),
            ("1\n2\n", "1 2"),
            ("4294967297", "4294967297"),
            ("99999999999999999999999999", "9999999999999999999999"),
            ("\x1b[2J", " [2J"),
        ] {
            let file = Scratch::holding("bad", text);
            let path = file.0.path().display().to_string();
            let told = file.0.read().expect_err("no number").to_string();
            assert_eq!(told, format!("invalid PID number \"{shown}\" in \"{path}\""), "{text:?}");
        }
    }

    #[test]
    fn trying_makes_the_file_and_keeps_what_it_holds() {
        let file = Scratch::new("tried");
        file.0.try_open().expect("made");
        assert_eq!(fs::read(file.0.path()).expect("there"), b"");
        file.0.write(rustix::process::getpid()).expect("written");
        file.0.try_open().expect("opened");
        assert_eq!(file.0.read().expect("kept"), rustix::process::getpid());
        let nowhere = PidFile::new("/nowhere/at/all.pid").try_open().expect_err("no such folder");
        assert_eq!(
            nowhere.to_string(),
            "open() \"/nowhere/at/all.pid\" failed (2: No such file or directory)"
        );
    }

    #[test]
    fn the_old_binarys_file_stands_beside_the_new_ones() {
        let file = Scratch::holding("replaced", "7\n");
        let old = Scratch(file.0.of_old_binary());
        assert_eq!(old.0.path().as_os_str().as_encoded_bytes(), {
            [file.0.path().as_os_str().as_encoded_bytes(), b".oldbin"].concat()
        });
        file.0.rename_to(&old.0).expect("renamed");
        assert_eq!(old.0.read().expect("still there").as_raw_pid(), 7);
        let (from, to) = (file.0.path().display(), old.0.path().display());
        assert_eq!(
            file.0.rename_to(&old.0).expect_err("renamed already").to_string(),
            format!("rename() {from} to {to} failed (2: No such file or directory)")
        );
    }
}
