//! Signals, as nginx operators send them.

use std::io;

use gatepost_core::report::Level;
use tokio::runtime::Builder;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Control;
use crate::observe::Log;

/// Follows TERM, INT and QUIT until every thread has ended.
///
/// # Errors
///
/// The handlers could not be set up.
pub(super) fn follow(control: &Control, log: &Log) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        loop {
            select! {
                biased;
                () = control.ended() => return Ok(()),
                () = next(&mut terminate) => {
                    log.line(Level::Notice, None, "signal 15 (SIGTERM) received, exiting");
                    control.stop();
                }
                () = next(&mut interrupt) => {
                    log.line(Level::Notice, None, "signal 2 (SIGINT) received, exiting");
                    control.stop();
                }
                () = next(&mut quit) => {
                    log.line(Level::Notice, None, "signal 3 (SIGQUIT) received, shutting down");
                    control.quit();
                }
            }
        }
    })
}

/// The next signal of this kind. Where no more can come there is none to wait for.
async fn next(signals: &mut Signal) {
    if signals.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}
