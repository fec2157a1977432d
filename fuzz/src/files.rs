//! Inputs from files, for whoever wants to see a crash again without a fuzzer.

use std::fs;
use std::io;

/// Runs `target` on the contents of each file named on the command line.
///
/// # Errors
///
/// The file system's, or a reminder if no file is named.
pub fn replay_arguments(target: fn(&[u8])) -> io::Result<()> {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    if files.is_empty() {
        return Err(io::Error::other("name the files to replay; to fuzz, build with the flags of .ci/fuzz"));
    }
    for file in files {
        target(&fs::read(file)?);
    }
    Ok(())
}
