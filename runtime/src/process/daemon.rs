//! Into the background, as nginx goes by default, but so that whoever started it learns whether it serves.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::Error;
use super::raw::{self, Forked};
use crate::observe::Log;

/// Which of the two processes this is.
pub(super) enum Side {
    /// The one that was started, which should end with this.
    Foreground(Result<(), Error>),
    /// The one that stays.
    Background(Waiting),
}

/// Whoever started this process and waits for it to serve. Dropped without a word, it is told that nothing came of it.
#[derive(Debug)]
pub(super) struct Waiting(io::PipeWriter);

impl Waiting {
    /// Lets it go.
    pub(super) fn tell(mut self) {
        // It may have gone already.
        let _ = self.0.write_all(b"+");
    }
}

/// Makes a process in the background, the leader of its own session, without a terminal. Standard input and output lead
/// nowhere; standard error leads to the first file of `log`, if it has any.
///
/// The umask stays: logs and the pid file are made as before.
///
/// # Errors
///
/// The system's.
pub(super) fn detach(log: &Log) -> io::Result<Side> {
    let (mut outcome, waiting) = io::pipe()?;
    if let Forked::Parent(_) = raw::fork()? {
        drop(waiting);
        let mut said = [0];
        return Ok(Side::Foreground(match outcome.read(&mut said) {
            Ok(1) => Ok(()),
            _ => Err(Error::Background),
        }));
    }
    drop(outcome);
    setsid()?;
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nowhere)?;
    dup2_stdout(&nowhere)?;
    if let Some(redirected) = log.with_first_file(|file| dup2_stderr(file)) {
        redirected?;
    }
    Ok(Side::Background(Waiting(waiting)))
}
