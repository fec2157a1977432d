//! What signals ask of a master (config.md 13).

use std::sync::Arc;
use std::time::Duration;

use gatepost_core::report::Level;
use nix::sys::signal::Signal;

use super::{Master, Stage};
use crate::net::even_clock;
use crate::process::signals::Received;
use crate::process::{notify, reopen};
use crate::server::Sockets;

/// How long workers that are to stop at once may take for it: a moment more than they give their sessions.
const STOP_MAX: Duration = Duration::from_secs(4);

impl Master {
    pub(super) fn obey(&mut self, received: Received) {
        match received.signal {
            Signal::SIGTERM | Signal::SIGINT => {
                self.say(&received.told(", exiting"));
                self.leave(Stage::Stopping);
            }
            Signal::SIGQUIT => {
                self.say(&received.told(", shutting down"));
                self.leave(Stage::Quitting);
            }
            Signal::SIGHUP => {
                self.say(&received.told(", reconfiguring"));
                // With another binary at work, or after WINCH, this one is wanted back as it was.
                self.reload |= self.accepting;
                self.accepting = true;
            }
            Signal::SIGUSR1 => {
                self.say(&received.told(", reopening logs"));
                self.say("reopening logs");
                self.reopen_logs();
            }
            Signal::SIGUSR2 => self.change_binary(received),
            Signal::SIGWINCH if self.daemon => {
                self.say(&received.told(", stop accepting connections"));
                self.accepting = false;
                self.reload = false;
                self.dismiss(|_| true);
            }
            _ => self.say(&received.told("")),
        }
    }

    /// Ends the workers, and then itself.
    fn leave(&mut self, stage: Stage) {
        if stage <= self.stage {
            return;
        }
        self.stage = stage;
        self.forget_coming();
        // The workers have theirs, and close them when nothing waits in them any more. Another binary goes on using the
        // files of UNIX sockets.
        let is_alone = self.successor.is_none() && !self.has_predecessor();
        if is_alone {
            self.current.server.sockets().files_beside(&Sockets::default()).remove();
        }
        self.current.server.close();
        match stage {
            Stage::Stopping => {
                if is_alone {
                    notify::stopping("stopping");
                }
                self.signal_workers(Signal::SIGTERM, |_| true);
                self.patience = Some(even_clock() + STOP_MAX);
            }
            _ => {
                if is_alone {
                    notify::going_on("letting sessions end");
                }
                self.dismiss(|_| true);
            }
        }
    }

    /// Opens the logs anew and gives them to the workers: also to those that let sessions end, which may have others than
    /// those that serve.
    fn reopen_logs(&self) {
        let mut all = vec![self.current.server.shared()];
        for worker in &self.workers {
            if !all.iter().any(|known| Arc::ptr_eq(known, &worker.shared)) {
                all.push(&worker.shared);
            }
        }
        all.into_iter().for_each(|shared| reopen(shared));
        for worker in &self.workers {
            let given = worker.shared.files().duplicates().and_then(|logs| worker.channel.give(&logs));
            if let Err(error) = given {
                self.log.system(Level::Alert, "sendmsg()", &error, " while reopening logs");
            }
        }
    }
}
