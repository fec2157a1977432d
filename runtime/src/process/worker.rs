//! The worker: from a copy of the master to a process that serves and ends.

use std::io::{self, PipeWriter, Write};

use gatepost_core::report::Level;
use nix::sys::signal::Signal;

use super::signals::{Received, Signals};
use super::{privileges, sandbox};
use crate::config::Config;
use crate::server::{Running, Server, Shared};

/// How a worker ends that cannot become one; nginx's way to say that another would fare no better.
pub(super) const FATAL: i32 = 2;

/// Serves in this process, which has just been forked, until it is told to end; tells how it should end.
/// `ready` is whom to tell when it serves.
pub(super) fn run(config: &Config, server: Server, ready: PipeWriter) -> i32 {
    let shared = server.shared().clone();
    let log = shared.log();
    privileges::have_descriptors(&config.process, shared.descriptors_wanted(), log);
    if let Err(error) = privileges::give_up(&config.process, log) {
        log.line(Level::Emerg, None, error);
        return FATAL;
    }
    sandbox::confine(shared.files().paths(), log);
    match serve(server, ready) {
        Ok(()) => {
            log.line(Level::Notice, None, "exit");
            0
        }
        Err(error) => {
            log.line(Level::Emerg, None, error);
            FATAL
        }
    }
}

fn serve(server: Server, mut ready: PipeWriter) -> Result<(), super::Error> {
    // Those of the master are its own.
    let signals = Signals::take().map_err(super::failed("signalfd()"))?;
    server.install_debug_lines();
    let shared = server.shared().clone();
    let running = server.start()?;
    // A master that is gone will not be told.
    let _ = ready.write_all(b"+");
    drop(ready);
    let running = [running];
    while let Some(received) = signals.next_while(&running) {
        obey(received, &running, &shared);
    }
    shared.log().line(Level::Notice, None, "exiting");
    Ok(running.into_iter().map(Running::join).fold(Ok(()), Result::and)?)
}

/// Does what a worker does on a signal. What is for the master is passed over.
pub(super) fn obey(received: Received, running: &[Running], shared: &Shared) {
    let log = shared.log();
    let say = |text: &str| log.line(Level::Notice, None, text);
    match received.signal {
        Signal::SIGTERM | Signal::SIGINT => {
            say(&received.told(", exiting"));
            running.iter().for_each(|running| running.control().stop());
        }
        Signal::SIGQUIT => {
            say(&received.told(", shutting down"));
            say("gracefully shutting down");
            running.iter().for_each(|running| running.control().quit());
        }
        Signal::SIGUSR1 => {
            say(&received.told(", reopening logs"));
            say("reopening logs");
            reopen(shared);
        }
        _ => {}
    }
}

/// Opens the logs anew, and says which could not be.
pub(super) fn reopen(shared: &Shared) {
    let failed: Vec<io::Error> = shared.files().reopen();
    for error in failed {
        shared.log().line(Level::Emerg, None, error);
    }
}
