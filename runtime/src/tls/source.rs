//! Where certificates and keys come from: files, or the configuration itself.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::{Reason, Unreadable};

/// The most that is read of a file: far more than any chain has, and a bound on what a directive that names a device or a
/// mailbox can do.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where a certificate or a key is. Prints as messages have it, without what may be a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// `data:…`: the text itself.
    Data(Arc<Zeroizing<Vec<u8>>>),
}

impl Source {
    /// The text, wiped when dropped: it may be a key.
    pub(super) fn read(&self) -> Result<Zeroizing<Vec<u8>>, Reason> {
        match self {
            Self::File(path) => read(path).map_err(|error| error.by_openssl(path)),
            Self::Data(text) => Ok(Zeroizing::clone(text)),
        }
    }
}

impl Source {
    fn octets(&self) -> (bool, &[u8]) {
        match self {
            Self::File(path) => (false, path.as_os_str().as_bytes()),
            Self::Data(text) => (true, text),
        }
    }
}

impl Ord for Source {
    fn cmp(&self, other: &Self) -> Ordering {
        self.octets().cmp(&other.octets())
    }
}

impl PartialOrd for Source {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{path:?}"),
            Self::Data(_) => f.write_str("\"data:…\""),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The file's octets, wiped when dropped.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let file = File::open(path).map_err(|error| match error.raw_os_error() {
        Some(code) => Unreadable::Unopened(code),
        None => Unreadable::Other(error.to_string()),
    })?;
    let mut octets = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut octets).map_err(|error| reason_of(&error))?;
    match octets.len() as u64 > FILE_BYTES_MAX {
        true => Err(Unreadable::Other(format!("it is larger than {FILE_BYTES_MAX} bytes"))),
        false => Ok(octets),
    }
}

fn reason_of(error: &io::Error) -> Unreadable {
    let told = crate::system_error::system_error("read()", error);
    Unreadable::Other(told.to_string())
}
