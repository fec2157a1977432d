//! What systemd is told, where it has asked for it (sd_notify(3)).

use rustix::process::Pid;
use sd_notify::{NotifyState, notify};

// That a service manager does not listen is no reason not to serve.

/// Somebody serves, as `status` says.
pub(super) fn ready(status: &str) {
    let _ =
        notify(&[NotifyState::Ready, NotifyState::MainPid(std::process::id()), NotifyState::Status(status)]);
}

/// The configuration is being read anew.
pub(super) fn reloading() {
    // The time lets it tell this reload from the one before; without one it would not believe either.
    if let Ok(time) = NotifyState::monotonic_usec_now() {
        let _ =
            notify(&[NotifyState::Reloading, time, NotifyState::Status("reading the configuration anew")]);
    }
}

/// What goes on, as `status` says; nothing follows from it.
pub(super) fn going_on(status: &str) {
    let _ = notify(&[NotifyState::Status(status)]);
}

/// The service ends, and at once: from now on the manager counts the seconds, and then kills every process of it. Not for
/// sessions that are let end, nor where another binary goes on.
pub(super) fn stopping(status: &str) {
    let _ = notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Another process goes on in place of this one.
pub(super) fn succeeded_by(process: Pid) {
    if let Ok(process) = u32::try_from(process.as_raw_nonzero().get()) {
        let _ = notify(&[NotifyState::MainPid(process)]);
    }
}
