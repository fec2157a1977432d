//! Signals, as nginx operators send them.

use std::io;

use gatepost_core::report::Level;
use tokio::runtime::{Builder, Runtime};
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Control;
use crate::observe::{Log, LogFiles};

/// Every signal that nginx knows, taken from the moment this exists: none of them ends the process by itself any more.
#[derive(Debug)]
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    window: Signal,
}

impl Signals {
    /// Takes them. Those that come before [`Signals::follow`] are obeyed there.
    ///
    /// # Errors
    ///
    /// The handlers could not be set up.
    pub(super) fn take() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let guard = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let quit = signal(SignalKind::quit())?;
        let hangup = signal(SignalKind::hangup())?;
        let user1 = signal(SignalKind::user_defined1())?;
        let user2 = signal(SignalKind::user_defined2())?;
        let window = signal(SignalKind::window_change())?;
        drop(guard);
        Ok(Self { runtime, terminate, interrupt, quit, hangup, user1, user2, window })
    }

    /// Does what they ask until every thread has ended. What is not supported is said and changes nothing.
    pub(super) fn follow(self, control: &Control, log: &Log, files: &LogFiles) {
        let Self { runtime, mut terminate, mut interrupt, mut quit, .. } = self;
        let (mut hangup, mut user1, mut user2, mut window) =
            (self.hangup, self.user1, self.user2, self.window);
        let note = |level, text: &str| log.line(level, None, text);
        runtime.block_on(async {
            loop {
                select! {
                    biased;
                    () = control.ended() => return,
                    () = next(&mut terminate) => {
                        note(Level::Notice, "signal 15 (SIGTERM) received, exiting");
                        control.stop();
                    }
                    () = next(&mut interrupt) => {
                        note(Level::Notice, "signal 2 (SIGINT) received, exiting");
                        control.stop();
                    }
                    () = next(&mut quit) => {
                        note(Level::Notice, "signal 3 (SIGQUIT) received, shutting down");
                        control.quit();
                    }
                    () = next(&mut user1) => {
                        note(Level::Notice, "signal 10 (SIGUSR1) received, reopening logs");
                        for error in files.reopen() {
                            log.line(Level::Emerg, None, error);
                        }
                    }
                    () = next(&mut hangup) => note(
                        Level::Warn,
                        "signal 1 (SIGHUP) received, reloading is not supported yet: nothing changed",
                    ),
                    () = next(&mut user2) => note(
                        Level::Warn,
                        "signal 12 (SIGUSR2) received, changing binary is not supported yet: nothing changed",
                    ),
                    // As nginx in the foreground; a terminal sends it whenever its size changes.
                    () = next(&mut window) => note(Level::Notice, "signal 28 (SIGWINCH) received"),
                }
            }
        });
    }
}

/// The next signal of this kind. Where no more can come there is none to wait for.
async fn next(signals: &mut Signal) {
    if signals.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}
