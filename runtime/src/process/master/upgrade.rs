//! USR2: another binary takes over, or does not.

use gatepost_core::report::Level;
use rustix::process::getppid;

use super::Master;
use crate::pid_file::PidFile;
use crate::process::pid_file;
use crate::process::signals::Received;

impl Master {
    /// Whether the binary that this one is to replace still runs.
    pub(super) fn has_predecessor(&self) -> bool {
        self.predecessor.is_some() && self.predecessor == getppid()
    }

    /// Starts the binary that is at its own place now, with the listeners open, under the name of this one.
    pub(super) fn change_binary(&mut self, received: Received) {
        if self.successor.is_some() || self.has_predecessor() {
            return self.say(
                &received
                    .told(", ignoring: the old or the new binary has to end before another can take over"),
            );
        }
        self.predecessor = None;
        self.say(&received.told(", changing binary"));
        self.say("changing binary");
        let old = self.pid_file.as_ref().map(PidFile::of_old_binary);
        if let (Some(file), Some(old)) = (&self.pid_file, &old)
            && let Err(error) = file.rename_to(old)
        {
            return self.log.line(Level::Alert, None, error);
        }
        let started = self.program.start(&self.current.server.sockets());
        self.pid_file = old;
        match started {
            Ok(process) => {
                self.say(&format!("start new binary process {process}"));
                self.successor = Some(process);
            }
            Err(error) => {
                let call = format!("execve(\"{}\")", self.program.path().display());
                self.log.system(Level::Alert, &call, &error, " while executing new binary process");
                self.keep_name();
            }
        }
    }

    /// The successor has come to nothing: the pid file names this process again.
    pub(super) fn keep_name(&mut self) {
        let wanted = pid_file(&self.current.config);
        if let (Some(old), Some(file)) = (&self.pid_file, &wanted)
            && old != file
            && let Err(error) = old.rename_to(file)
        {
            return self.log.line(Level::Alert, None, error);
        }
        self.pid_file = wanted;
    }
}
