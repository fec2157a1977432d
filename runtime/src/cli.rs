//! The command line: nginx's options, its messages, its exit codes (config.md 12).

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use gatepost_core::report::Level;

use self::arguments::{Arguments, refusal};
pub use self::invocation::Invocation;
use crate::config::{Config, Loaded, Surroundings, System};

mod arguments;
mod invocation;
mod order;
#[cfg(test)]
mod tests;

/// What the arguments ask for.
#[derive(Debug)]
pub enum Asked {
    /// To serve this configuration. Whatever there is to say about it has been said.
    Serve(Box<Config>, Invocation),
    /// Nothing more than was done; how the process should end.
    Done(ExitCode),
}

/// Where it is heard what the process says.
struct Ears<'a> {
    /// Standard output: what `-T` prints.
    output: &'a mut dyn FnMut(&[u8]),
    /// Standard error: everything else, as with nginx.
    say: &'a mut dyn FnMut(&str),
}

/// Does what the arguments of the process ask for, short of serving.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Asked {
    // With nobody left to read it there is nobody to tell.
    let output = &mut |octets: &[u8]| drop(std::io::stdout().write_all(octets));
    let say = &mut |text: &str| drop(std::io::stderr().write_all(text.as_bytes()));
    run_on(arguments, &System, Ears { output, say })
}

/// The definition of the options, for those who make a manual page or completions of it.
#[must_use]
pub fn definition() -> clap::Command {
    Arguments::command()
}

/// The same as [`run`] on any machine, with any ears.
fn run_on(
    arguments: impl IntoIterator<Item = OsString>,
    machine: &dyn Surroundings,
    ears: Ears<'_>,
) -> Asked {
    let mut arguments = arguments.into_iter().peekable();
    let name = name(arguments.peek());
    let parsed = Arguments::command().try_get_matches_from(arguments);
    let parsed = parsed.and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed {
        Ok(arguments) => obey(&arguments, name, machine, ears),
        Err(error) => {
            (ears.say)(&format!("{name}: {}\n", refusal(&error)));
            Asked::Done(ExitCode::FAILURE)
        }
    }
}

fn obey(arguments: &Arguments, name: &'static str, machine: &dyn Surroundings, ears: Ears<'_>) -> Asked {
    let is_test = arguments.test || arguments.dump;
    if introduce(arguments, name, ears.say) && !is_test {
        // As with nginx, these do not keep -t from its work.
        return Asked::Done(ExitCode::SUCCESS);
    }
    let invocation = Invocation::new(name, arguments, ears.say);
    let loaded = match invocation.load_on(machine) {
        Ok(loaded) => loaded,
        Err(told) => {
            invocation.tell_all(&told, ears.say);
            hint_at_working_folder(arguments, invocation.file(), machine, ears.say);
            if is_test {
                failed(&invocation, ears.say);
            }
            return Asked::Done(ExitCode::FAILURE);
        }
    };
    invocation.tell_all(&loaded.warnings, ears.say);
    if is_test {
        return Asked::Done(test(arguments, &invocation, &loaded, machine, ears));
    }
    match arguments.signal {
        Some(order) => Asked::Done(order::send(order, &loaded.config, &invocation, ears.say)),
        None => {
            let invocation = invocation.serving(&loaded.config);
            Asked::Serve(Box::new(loaded.config), invocation)
        }
    }
}

/// Says what this is, as far as that is asked; tells whether it was.
fn introduce(arguments: &Arguments, name: &str, say: &mut dyn FnMut(&str)) -> bool {
    let Arguments { help, version, build, .. } = *arguments;
    if !(help || version || build) {
        return false;
    }
    say(&format!("{name} version: gatepost/{}\n", env!("CARGO_PKG_VERSION")));
    if build {
        say("built with rustls and aws-lc\n");
        say("TLS SNI support enabled\n");
        say("configure arguments: --with-mail --with-mail_ssl_module\n");
    }
    if help {
        say(&Arguments::command().render_help().to_string());
    }
    true
}

/// Opens what the configuration names, and prints it if that is asked.
fn test(
    arguments: &Arguments,
    invocation: &Invocation,
    loaded: &Loaded,
    machine: &dyn Surroundings,
    ears: Ears<'_>,
) -> ExitCode {
    let path = invocation.file().display();
    if !arguments.quiet {
        invocation.say(&format_args!("the configuration file {path} syntax is ok"), ears.say);
    }
    if let Err(error) = machine.try_out(&loaded.config) {
        invocation.tell(Level::Emerg, &error, ears.say);
        failed(invocation, ears.say);
        return ExitCode::FAILURE;
    }
    if !arguments.quiet {
        invocation.say(&format_args!("configuration file {path} test is successful"), ears.say);
    }
    if arguments.dump {
        for (path, text) in &loaded.files {
            (ears.output)(format!("# configuration file {}:\n", path.display()).as_bytes());
            (ears.output)(text);
            (ears.output)(b"\n");
        }
    }
    ExitCode::SUCCESS
}

fn failed(invocation: &Invocation, say: &mut dyn FnMut(&str)) {
    invocation.say(&format_args!("configuration file {} test failed", invocation.file().display()), say);
}

/// nginx takes a relative `-c` from the prefix, whoever types it means the folder they are in.
fn hint_at_working_folder(
    arguments: &Arguments,
    path: &Path,
    machine: &dyn Surroundings,
    say: &mut dyn FnMut(&str),
) {
    let (file, prefix) = (&arguments.file, arguments.prefix.display());
    let meant = file.is_relative() && machine.read(path, 1).is_err() && machine.read(file, 1).is_ok();
    if meant {
        say(&format!(
            "hint: a relative path is taken from {prefix}; for the file in this folder add `-p .`\n"
        ));
    }
}

/// What the process calls itself: a process started as `nginx` says so, for those who grep for it.
fn name(argv0: Option<&OsString>) -> &'static str {
    match argv0.map(Path::new).and_then(Path::file_name) {
        Some(name) if name == OsStr::new("nginx") => "nginx",
        _ => "gatepost",
    }
}
