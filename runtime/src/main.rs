//! `gatepost`: see `gatepost -h`.

use std::process::ExitCode;

use gatepost::cli::{self, Asked};

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Asked::Serve(_config) => ExitCode::SUCCESS,
        Asked::Done(code) => code,
    }
}
