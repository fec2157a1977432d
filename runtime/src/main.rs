//! `gatepost`: see `gatepost -h`.

use std::process::ExitCode;

use gatepost::cli::{self, Asked};
use gatepost::server;

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Asked::Serve(config) => match server::run(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("gatepost: [emerg] {error}");
                ExitCode::FAILURE
            }
        },
        Asked::Done(code) => code,
    }
}
