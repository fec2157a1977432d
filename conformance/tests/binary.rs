//! Every transcript against the `gatepost` program, over sockets and with real TLS.

use std::process::ExitCode;

use gatepost_conformance::subject::binary::Binary;
use gatepost_conformance::suite;
use gatepost_conformance::transcript::Runner;

fn main() -> ExitCode {
    match Binary::build() {
        Ok(binary) => suite::run(Runner::Binary, Ok(binary)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
