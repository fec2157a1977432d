//! The worker: from a copy of the master to a process that serves and ends.

use std::os::fd::AsFd;

use gatepost_core::report::Level;
use nix::sys::signal::Signal;

use super::channel::ToMaster;
use super::signals::{Heard, Received, Signals};
use super::{privileges, sandbox};
use crate::config::Config;
use crate::server::{Running, Server, Shared};

/// How a worker ends that cannot become one; nginx's way to say that another would fare no better.
pub(super) const FATAL: i32 = 2;

/// Serves in this process, which has just been forked, until it is told to end; tells how it should end.
pub(super) fn run(config: &Config, server: Server, master: ToMaster) -> i32 {
    let shared = server.shared().clone();
    let log = shared.log();
    privileges::have_descriptors(&config.process, shared.descriptors_wanted(), log);
    if let Err(error) = privileges::give_up(&config.process, log) {
        log.line(Level::Emerg, None, error);
        return FATAL;
    }
    sandbox::confine(log);
    match serve(server, master) {
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

fn serve(server: Server, master: ToMaster) -> Result<(), super::Error> {
    // Those of the master are its own.
    let signals = Signals::take().map_err(super::failed("signalfd()"))?;
    server.install_debug_lines();
    let shared = server.shared().clone();
    let running = [server.start()?];
    master.serves();
    let mut master = Some(master);
    loop {
        match signals.next_while(&running, master.as_ref().map(AsFd::as_fd)) {
            Heard::Signal(received) => obey(received, &running, &shared),
            Heard::Other => match master.as_ref().and_then(ToMaster::taken) {
                Some((first, logs)) => {
                    shared.log().line(Level::Notice, None, "reopening logs");
                    shared.files().replace(first, logs);
                }
                // It is gone. Whoever is served is not the worse for it.
                None => master = None,
            },
            Heard::End => break,
        }
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
        _ => {}
    }
}
