//! A directory of a test's own, gone afterwards.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed, with everything in it, when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

/// Makes an empty directory for `name`, which should be short: UNIX sockets in it have 108 octets for their path.
/// Other users may enter it, as mail servers that drop root's rights must.
///
/// # Errors
///
/// The file system's.
pub fn scratch_directory(name: &str) -> io::Result<Scratch> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gatepost-{name}-{}-{number}", std::process::id()));
        // An existing one may be anybody's, so it is left alone.
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        let scratch = Scratch(path);
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755))?;
        return Ok(scratch);
    }
}

impl Scratch {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `name` in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file into it, its parent directories too, and tells its path.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, contents)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing to be done about a failure: the directory is in the system's place for such leftovers.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_goes_with_its_owner() {
        let scratch = scratch_directory("scratch").unwrap();
        let file = scratch.write("a/b", "c").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"c");
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }
}
