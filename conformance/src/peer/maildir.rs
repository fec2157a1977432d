//! Maildir, as far as a test puts a message there for a server to find, or finds what a server delivered.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use super::eventually;

/// The user and group that own mailboxes when the servers run as root: `nobody`, who may be root's delegate
/// nowhere else. Servers refuse to handle mail as root.
pub(super) const NOBODY: u32 = 65_534;

/// Puts `message` into the maildir as new mail, owned by `owner` if given.
///
/// # Errors
///
/// The file system's.
pub(super) fn deliver(maildir: &Path, owner: Option<u32>, message: &[u8]) -> io::Result<()> {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(part))?;
    }
    let name = format!("{}.known", fs::read_dir(maildir.join("new"))?.count());
    let (written, ready) = (maildir.join("tmp").join(&name), maildir.join("new").join(&name));
    fs::write(&written, message)?;
    for path in [maildir, &maildir.join("cur"), &maildir.join("new"), &maildir.join("tmp"), &written] {
        chown(path, owner, owner)?;
    }
    fs::rename(written, ready)
}

/// Waits for a message in the maildir that holds `text`, and gives it as it is stored, with LF line ends.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`] if none has come `within` this time.
pub(super) fn find(maildir: &Path, text: &str, within: Duration) -> io::Result<String> {
    let mut found = None;
    eventually(within, || {
        let entries = fs::read_dir(maildir.join("new")).into_iter().flatten().flatten();
        found = entries
            .filter_map(|entry| fs::read(entry.path()).ok())
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .find(|message| message.contains(text));
        found.is_some()
    });
    found.ok_or_else(|| {
        let what = format!("no message with {text:?} in {} after {within:?}", maildir.display());
        io::Error::new(io::ErrorKind::TimedOut, what)
    })
}
