//! The `gatepost` program as a subject.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use super::sockets::SocketStage;
use super::{Stage, Subject};
use crate::divergence::Version;
use crate::transcript::{Runner, Transcript};

/// A built `gatepost`.
#[derive(Clone, Debug)]
pub struct Binary {
    program: PathBuf,
}

impl Binary {
    /// The program of `GATEPOST_BIN`, or one that cargo builds beside the running test.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn build() -> Result<Self, String> {
        if let Some(program) = env::var_os("GATEPOST_BIN") {
            return Ok(Self { program: program.into() });
        }
        // target/debug/deps/binary-0123456789abcdef
        let test = env::current_exe().map_err(|error| error.to_string())?;
        let profile = test.ancestors().nth(2).ok_or("the test is nowhere")?;
        let target = profile.parent().ok_or("the test has no target directory")?;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "-p", "gatepost", "--bin", "gatepost"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR")).arg("--target-dir").arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.status().map_err(|error| format!("cargo does not run: {error}"))?;
        match built.success() {
            true => Ok(Self { program: profile.join("gatepost") }),
            false => Err(format!("gatepost does not build: {built}")),
        }
    }
}

impl Subject for Binary {
    fn runner(&self) -> Runner {
        Runner::Binary
    }

    fn version(&self) -> Version {
        Version::default()
    }

    fn stage(&self, transcript: &Transcript) -> Result<Box<dyn Stage>, String> {
        let stage = SocketStage::new("gatepost", transcript, "", |files, configuration| {
            let mut command = Command::new(&self.program);
            command.arg("-p").arg(files.path()).arg("-c").arg(configuration);
            command
        })?;
        Ok(Box::new(stage))
    }
}
