//! `-s`: a running process is told what to do.

use std::process::ExitCode;

use gatepost_core::report::Level;
use rustix::process::{Signal, kill_process};

use super::arguments::Order;
use super::invocation::Invocation;
use crate::config::{Config, Pid};
use crate::pid_file::{self, PidFile};
use crate::system_error::text_of;

/// Sends the signal to the process whose number is in the pid file of `config`.
pub(super) fn send(
    order: Order,
    config: &Config,
    invocation: &Invocation,
    say: &mut dyn FnMut(&str),
) -> ExitCode {
    invocation.note(Level::Notice, &"signal process started");
    let file = match &config.pid {
        Pid::File(file) => file.clone(),
        Pid::Unsaid => PidFile::new(pid_file::DEFAULT),
        Pid::Off => {
            let why = "with \"pid off\" nothing tells which process is meant: send it the signal by kill(1)";
            invocation.tell(Level::Error, &why, say);
            return ExitCode::FAILURE;
        }
    };
    let process = match file.read() {
        Ok(process) => process,
        Err(error) => {
            invocation.tell(Level::Error, &error, say);
            if config.pid == Pid::Unsaid && !config.process.daemon {
                let why = "without \"pid\" a process with \"daemon off\" writes no number anywhere: set \"pid\", or send it the signal by kill(1)";
                invocation.tell(Level::Error, &why, say);
            }
            return ExitCode::FAILURE;
        }
    };
    let signal = order.signal();
    match kill_process(process, signal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            let (process, signal, code) = (process.as_raw_pid(), signal.as_raw(), errno.raw_os_error());
            let why = format_args!("kill({process}, {signal}) failed ({code}: {})", text_of(code));
            invocation.tell(Level::Alert, &why, say);
            ExitCode::FAILURE
        }
    }
}

impl Order {
    const fn signal(self) -> Signal {
        match self {
            Self::Stop => Signal::TERM,
            Self::Quit => Signal::QUIT,
            Self::Reopen => Signal::USR1,
            Self::Reload => Signal::HUP,
        }
    }
}
