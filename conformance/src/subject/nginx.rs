//! nginx with its mail module, the witness for what the two have in common.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::sockets::SocketStage;
use super::{Stage, Subject};
use crate::divergence::Version;
use crate::peer::{Skip, require};
use crate::transcript::{Runner, Transcript};

/// Where distributions keep the mail module when it is not built in.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";

/// An nginx of this machine.
#[derive(Clone, Debug)]
pub struct Nginx {
    program: PathBuf,
    version: Version,
}

impl Nginx {
    /// Looks for nginx and its mail module, and asks it for its version.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn find() -> Result<Self, Skip> {
        let program = require("nginx")?;
        if !Path::new(MODULE).is_file() {
            return Err(Skip::because("libnginx-mod-mail is not installed"));
        }
        let asked = Command::new(&program).arg("-v").output();
        let said =
            asked.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
        let version =
            said.split_once("nginx/").map(|(_, rest)| rest.split_whitespace().next().unwrap_or(rest));
        match version.and_then(|version| version.parse().ok()) {
            Some(version) => Ok(Self { program, version }),
            None => Err(Skip::because(format!("nginx does not tell its version: {said:?}"))),
        }
    }
}

impl Subject for Nginx {
    fn runner(&self) -> Runner {
        Runner::Nginx
    }

    fn version(&self) -> Version {
        self.version
    }

    fn stage(&self, transcript: &Transcript) -> Result<Box<dyn Stage>, String> {
        let preamble = format!("load_module {MODULE};\n");
        let stage = SocketStage::new("nginx", transcript, &preamble, |files, configuration| {
            let mut command = Command::new(&self.program);
            command.arg("-p").arg(files.path()).arg("-c").arg(configuration).args(["-e", "stderr"]);
            command
        })?;
        Ok(Box::new(stage))
    }
}
