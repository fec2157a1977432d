//! `gatepost`: see `gatepost -h`.

use std::process::ExitCode;

use gatepost::cli::{self, Asked};
use gatepost::process;

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Asked::Serve(config, invocation) => match process::run(*config, &|| invocation.load()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                invocation.fail(&error);
                ExitCode::FAILURE
            }
        },
        Asked::Done(code) => code,
    }
}
