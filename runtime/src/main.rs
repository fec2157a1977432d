//! `gatepost`: see `gatepost -h`.

use std::process::ExitCode;

use gatepost::cli::{self, Asked};
use gatepost::process::{self, Inherited};

mod allocator;

fn main() -> ExitCode {
    // First of all: what is open now was open before.
    let inherited = Inherited::take();
    allocator::give_back_at_once();
    match cli::run(std::env::args_os()) {
        Asked::Serve(config, invocation) => match process::run(*config, inherited, &|| invocation.load()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                invocation.fail(&error);
                ExitCode::FAILURE
            }
        },
        Asked::Done(code) => code,
    }
}
