//! `master_process off`: one process that does everything, for those who look after it themselves.

use std::sync::Arc;

use gatepost_core::report::Level;
use nix::sys::signal::Signal;

use super::signals::Heard;
use super::{Error, Reader, Start, notify, privileges, remove, reopen, tell, worker};
use crate::server::{Running, Server, Shared, Sockets};

/// What serves, and what has served and lets its sessions end.
struct Generations {
    shared: Arc<Shared>,
    sockets: Sockets,
    /// The last of them serves.
    running: Vec<Running>,
}

/// Serves until a signal ends it.
pub(super) fn run(start: Start, read: &Reader<'_>) -> Result<(), Error> {
    let Start { config, server, signals, waiting, pid_file, .. } = start;
    let wanted = server.shared().descriptors_wanted();
    privileges::have_descriptors(&config.process, wanted, server.shared().log());
    server.install_debug_lines();
    let (shared, sockets) = (server.shared().clone(), server.sockets());
    let mut now = Generations { shared, sockets, running: vec![server.start()?] };
    let threads = now.running.iter().map(Running::threads).sum::<usize>();
    now.shared.log().line(Level::Notice, None, format_args!("start {threads} threads"));
    if let Some(waiting) = waiting {
        waiting.tell();
    }
    notify::ready("serving");
    let mut leaving = false;
    while let Heard::Signal(received) = signals.next_while(&now.running, None) {
        let say = |text: &str| now.shared.log().line(Level::Notice, None, text);
        match received.signal {
            Signal::SIGHUP if leaving => say(&received.told(", ignoring: sessions are let end")),
            Signal::SIGHUP => {
                say(&received.told(", reconfiguring"));
                now.reload(read);
            }
            Signal::SIGUSR2 => {
                say(&received.told(", ignoring: without a master process the binary cannot be changed"));
            }
            Signal::SIGWINCH => say(&received.told("")),
            Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => {
                leaving = true;
                match received.signal {
                    Signal::SIGQUIT => notify::going_on("letting sessions end"),
                    _ => notify::stopping("stopping"),
                }
                // Theirs are closed by the threads; these would keep the ports open.
                now.sockets.files_beside(&Sockets::default()).remove();
                now.sockets = Sockets::default();
                worker::obey(received, &now.running, &now.shared);
            }
            Signal::SIGUSR1 => {
                say(&received.told(", reopening logs"));
                say("reopening logs");
                // Sessions of before have logs of their own.
                now.running.iter().for_each(|running| reopen(running.shared()));
            }
            _ => worker::obey(received, &now.running, &now.shared),
        }
    }
    let shared = now.shared.clone();
    // If one has failed, others may still serve, or let sessions end.
    now.running.iter().for_each(|running| running.control().stop());
    let ended = now.running.into_iter().map(Running::join).fold(Ok(()), Result::and);
    remove(pid_file.as_ref(), shared.log());
    shared.log().line(Level::Notice, None, "exit");
    Ok(ended?)
}

impl Generations {
    /// Serves what the configuration says now, and lets the sessions of before end; or says what is wrong, and goes on.
    fn reload(&mut self, read: &Reader<'_>) {
        notify::reloading();
        self.shared.log().line(Level::Notice, None, "reconfiguring");
        match self.succeed(read) {
            Ok(()) => notify::ready("serving"),
            Err(()) => notify::ready("serving; the new configuration was refused, see the log"),
        }
        self.running.retain(|running| !running.has_ended());
    }

    fn succeed(&mut self, read: &Reader<'_>) -> Result<(), ()> {
        let log = self.shared.log().clone();
        let loaded = read().map_err(|told| tell(&told, &log))?;
        tell(&loaded.warnings, &log);
        let refused = |error| log.line(Level::Emerg, None, error);
        let server =
            Server::bind_beside(&loaded.config, &self.sockets, self.shared.zones()).map_err(refused)?;
        let (shared, sockets) = (server.shared().clone(), server.sockets());
        let made = sockets.files_beside(&self.sockets);
        let running = server.start().map_err(refused).inspect_err(|()| made.remove())?;
        self.running.iter().for_each(|old| old.control().quit());
        self.sockets.files_beside(&sockets).remove();
        (self.shared, self.sockets) = (shared, sockets);
        self.running.push(running);
        Ok(())
    }
}
