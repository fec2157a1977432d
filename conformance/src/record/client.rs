//! The client's process.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use crate::peer::{Outcome, Scratch, require, run, run_command};
use crate::transcript::{Recorded, Variables, expand};

/// A client's run.
pub(super) enum Run {
    /// A program's.
    Program(JoinHandle<io::Result<Outcome>>),
    /// Somebody works it.
    ByHand,
}

impl Run {
    /// Starts the client of `recorded`, at home in `home`, which is to connect to `proxy`.
    pub(super) fn begin(
        recorded: &Recorded,
        home: &Scratch,
        proxy: SocketAddr,
        certificate: &Path,
    ) -> Result<Self, String> {
        let text = |path: &Path| path.display().to_string().into_bytes();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let variables = Variables::from([
            ("port".to_owned(), proxy.port().to_string().into_bytes()),
            ("certificate".to_owned(), text(certificate)),
            ("home".to_owned(), text(home.path())),
            ("scripts".to_owned(), text(&scripts)),
        ]);
        let filled = |text: &str| {
            expand(text.as_bytes(), &variables).map(|octets| String::from_utf8_lossy(&octets).into_owned())
        };
        for (name, contents) in &recorded.files {
            let file = home.write(name, filled(contents)?).map_err(|error| format!("{name}: {error}"))?;
            // fetchmail and msmtp insist on a file that nobody else can read.
            fs::set_permissions(&file, Permissions::from_mode(0o600))
                .map_err(|error| format!("{name}: {error}"))?;
        }
        let (program, arguments) = recorded.command.split_first().ok_or("there is no command")?;
        let arguments: Vec<_> = arguments.iter().map(|text| filled(text)).collect::<Result<_, _>>()?;
        let program = require(program).map_err(|skip| skip.to_string())?;
        let mut command = match recorded.terminal {
            false => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            true => in_a_terminal(&program, &arguments)?,
        };
        command.env("HOME", home.path()).env("TZ", "UTC").current_dir(home.path());
        let input = recorded.input.to_vec();
        Ok(Self::Program(thread::spawn(move || run_command(command, "", &input))))
    }
}

impl Run {
    /// Whether it has come to its end, given whether a client has `come`. What somebody works is done when it is gone.
    pub(super) fn is_over(&self, come: bool) -> bool {
        match self {
            Self::Program(thread) => thread.is_finished(),
            Self::ByHand => come,
        }
    }

    /// How it ended, if it is a program.
    ///
    /// # Errors
    ///
    /// If it could not be started, or had to be killed.
    pub(super) fn finish(self) -> Result<Option<Outcome>, String> {
        match self {
            Self::ByHand => Ok(None),
            Self::Program(thread) => match thread.join() {
                Ok(outcome) => outcome.map(Some).map_err(|error| error.to_string()),
                Err(_) => Err("nobody saw how the client ended".to_owned()),
            },
        }
    }
}

/// `program` with `arguments` in a terminal of its own.
fn in_a_terminal(program: &Path, arguments: &[String]) -> Result<Command, String> {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
    let words: Vec<_> =
        [program.display().to_string()].iter().chain(arguments).map(|word| quoted(word)).collect();
    let mut command = Command::new(require("script").map_err(|skip| skip.to_string())?);
    command.args(["--quiet", "--return", "--command"]).arg(format!("exec {}", words.join(" ")));
    command.arg("/dev/null").env("TERM", "xterm");
    Ok(command)
}

/// What the client of `recorded` says its version is; what is written there if somebody works it by hand.
///
/// # Errors
///
/// If it is not installed, or says nothing of the kind.
pub fn version(recorded: &Recorded) -> Result<String, String> {
    let Some(program) = recorded.command.first() else { return Ok(recorded.version.clone()) };
    let asks = match program.as_str() {
        "openssl" => "version",
        "mutt" | "neomutt" => "-v",
        _ => "--version",
    };
    let said = run(program, &[asks]).map_err(|error| error.to_string())?;
    let all = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = all.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
    // The programs that say more have their version among the first five words.
    let words: Vec<_> = line.unwrap_or_default().split_whitespace().take(5).collect();
    let last = words.iter().position(|word| word.contains(|c: char| c.is_ascii_digit()));
    match last.and_then(|last| words.get(..=last)) {
        Some(words) => Ok(words.join(" ")),
        None => Err(format!("{program} does not say its version: {all}")),
    }
}
