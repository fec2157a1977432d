//! The options: one definition, from which the manual page and the shells' completions are made too.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Parser, ValueEnum, ValueHint};

/// Where Debian's nginx has its configuration.
const DEFAULT_PREFIX: &str = "/etc/nginx";

const DEFAULT_FILE: &str = "nginx.conf";

/// A mail proxy for IMAP, POP3 and SMTP that reads nginx.conf.
#[derive(Debug, Parser)]
#[command(
    name = "gatepost",
    version,
    disable_version_flag = true,
    disable_help_flag = true,
    args_override_self = true,
    override_usage = "gatepost [-?hvVtTq] [-s SIGNAL] [-p PREFIX] [-e FILE] [-c FILE] [-g DIRECTIVES]",
    after_help = "A relative FILE is taken from PREFIX, and so are the logs. Paths within the configuration are taken from the \
                  folder it is in."
)]
pub(super) struct Arguments {
    /// Show this and exit
    #[arg(short = 'h', visible_short_alias = '?', long, action = ArgAction::SetTrue)]
    pub(super) help: bool,
    /// Show the version and exit
    #[arg(short = 'v', long, action = ArgAction::SetTrue)]
    pub(super) version: bool,
    /// Show the version and what nginx's guides look for in it, and exit
    #[arg(short = 'V', long, action = ArgAction::SetTrue)]
    pub(super) build: bool,
    /// Test the configuration, open what it names, and exit
    #[arg(short = 't', long, action = ArgAction::SetTrue)]
    pub(super) test: bool,
    /// The same, and print every file that was read
    #[arg(short = 'T', long, action = ArgAction::SetTrue)]
    pub(super) dump: bool,
    /// With -t or -T, say only what is wrong
    #[arg(short = 'q', long, action = ArgAction::SetTrue)]
    pub(super) quiet: bool,
    /// Send a signal to the running process and exit
    #[arg(short = 's', long, value_name = "SIGNAL", allow_hyphen_values = true)]
    pub(super) signal: Option<Order>,
    /// The folder that relative paths on the command line, logs and the pid file are taken from
    #[arg(short = 'p', long, value_name = "PREFIX", default_value = DEFAULT_PREFIX, allow_hyphen_values = true,
          value_hint = ValueHint::DirPath)]
    pub(super) prefix: PathBuf,
    /// The log until the configuration names others, and where it names none; `stderr` is standard error
    #[arg(short = 'e', long, value_name = "FILE", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    pub(super) error_log: Option<PathBuf>,
    /// The configuration
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = DEFAULT_FILE, allow_hyphen_values = true,
          value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
    /// Directives to be read before the configuration, such as `daemon off;`
    #[arg(short = 'g', long, value_name = "DIRECTIVES", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub(super) directives: Option<OsString>,
}

/// What a running process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Order {
    /// End at once
    Stop,
    /// End when every session has ended
    Quit,
    /// Open the logs anew
    Reopen,
    /// Read the configuration anew
    Reload,
}

/// What is wrong with the arguments, in nginx's words.
pub(super) fn refusal(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let (argument, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    // clap names an option with its value: `-c <FILE>`, `--config <FILE>`.
    let option = argument.split_whitespace().next().unwrap_or_default();
    let required = match option {
        "-c" | "--config" => r#"option "-c" requires file name"#,
        "-p" | "--prefix" => r#"option "-p" requires directory name"#,
        "-e" | "--error-log" => r#"option "-e" requires file name"#,
        "-g" | "--directives" => r#"option "-g" requires parameter"#,
        "-s" | "--signal" => r#"option "-s" requires parameter"#,
        _ => "",
    };
    match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() && !required.is_empty() => required.to_owned(),
        ErrorKind::InvalidValue => format!("invalid option: \"-s {value}\""),
        ErrorKind::UnknownArgument => {
            // nginx knows letters, and names an unknown one without its dash.
            let letter = argument.strip_prefix('-').filter(|rest| rest.chars().count() == 1);
            format!("invalid option: \"{}\"", letter.unwrap_or(argument))
        }
        // clap's first line says it, behind "error: ".
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}
