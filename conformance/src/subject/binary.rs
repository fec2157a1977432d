//! The `gatepost` program as a subject.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::sockets::SocketStage;
use super::{Stage, Subject};
use crate::divergence::Version;
use crate::peer::gatepost_binary;
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
    pub fn build() -> io::Result<Self> {
        Ok(Self { program: gatepost_binary()? })
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
