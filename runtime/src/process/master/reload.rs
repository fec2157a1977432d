//! From one configuration to the next.

use gatepost_core::report::Level;

use super::{Backoff, Generation, Master};
use crate::pid_file::PidFile;
use crate::process::{Reader, notify, pid_file, remove, tell};
use crate::server::Server;

impl Master {
    /// Reads the configuration and opens what it names; or says what is wrong with it.
    pub(super) fn read_anew(&self, read: &Reader<'_>) -> Option<Generation> {
        notify::reloading();
        self.say("reconfiguring");
        let loaded = match read() {
            Ok(loaded) => loaded,
            Err(told) => {
                tell(&told, &self.log);
                notify::ready("serving; the new configuration was refused, see the log");
                return None;
            }
        };
        tell(&loaded.warnings, &self.log);
        let server = &self.current.server;
        match Server::bind_beside(&loaded.config, &server.sockets(), server.shared().zones()) {
            Ok(server) => Some(Generation { number: self.current.number + 1, config: loaded.config, server }),
            Err(error) => {
                self.log.line(Level::Emerg, None, error);
                notify::ready("serving; the new configuration cannot be served, see the log");
                None
            }
        }
    }

    /// The new configuration is served; the old one may go.
    pub(super) fn succeed(&mut self, coming: Generation) {
        let number = coming.number;
        self.current.server.sockets().files_beside(&coming.server.sockets()).remove();
        self.current = coming;
        self.log = self.current.server.shared().log().clone();
        self.backoff = Backoff::default();
        self.dismiss(|worker| worker.generation != number);
        let wanted = pid_file(&self.current.config);
        // Between binaries names are as they are.
        if wanted != self.pid_file && self.successor.is_none() && self.predecessor.is_none() {
            let me = rustix::process::getpid();
            let claim = |file: &PidFile| file.must_be_free(me, None).and_then(|()| file.write(me));
            if let Some(Err(error)) = wanted.as_ref().map(claim) {
                return self.log.line(Level::Alert, None, error);
            }
            remove(self.pid_file.as_ref(), &self.log);
            self.pid_file = wanted;
        }
    }

    /// The new configuration comes to nothing.
    pub(super) fn abandon(&mut self) {
        self.forget_coming();
        self.log.line(Level::Alert, None, "the new configuration is not served: the old one goes on");
        notify::ready("serving; the new configuration could not be served, see the log");
    }

    /// Nobody will serve what was to come: what was opened for it alone is closed.
    pub(super) fn forget_coming(&mut self) {
        if let Some(coming) = self.coming.take() {
            coming.server.sockets().files_beside(&self.current.server.sockets()).remove();
        }
    }
}
