//! Every transcript that nginx has a part in against a real nginx: what the two share, and where they differ.

use std::process::ExitCode;

use gatepost_conformance::subject::nginx::Nginx;
use gatepost_conformance::suite;
use gatepost_conformance::transcript::Runner;

fn main() -> ExitCode {
    suite::run(Runner::Nginx, Nginx::find())
}
