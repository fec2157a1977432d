//! Every transcript against the core, without I/O: octet by octet where the transcript asks for it.

use std::process::ExitCode;

use gatepost_conformance::subject::core::Core;
use gatepost_conformance::suite;
use gatepost_conformance::transcript::Runner;

fn main() -> ExitCode {
    suite::run(Runner::Core, Ok(Core))
}
