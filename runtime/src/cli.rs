//! The command line: nginx's options, its messages, its exit codes (config.md 12).

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};

use crate::config::{self, Config, Diagnostic, Loaded, Options, Severity, Surroundings, System};

/// Where Debian's nginx has its configuration.
const DEFAULT_PREFIX: &str = "/etc/nginx";

const DEFAULT_FILE: &str = "nginx.conf";

/// A mail proxy for IMAP, POP3 and SMTP that reads nginx.conf.
#[derive(Debug, Parser)]
#[command(
    name = "gatepost",
    disable_version_flag = true,
    disable_help_flag = true,
    args_override_self = true,
    after_help = "A relative FILE is taken from PREFIX, and so are the logs. Paths within FILE are taken from the folder \
                  it is in."
)]
struct Arguments {
    /// Show this and exit
    #[arg(short = 'h', visible_short_alias = '?', long, action = ArgAction::SetTrue)]
    help: bool,
    /// Show the version and exit
    #[arg(short = 'v', long, action = ArgAction::SetTrue)]
    version: bool,
    /// Show the version and what nginx's guides look for in it, and exit
    #[arg(short = 'V', action = ArgAction::SetTrue)]
    build: bool,
    /// Test the configuration and exit
    #[arg(short = 't', long, action = ArgAction::SetTrue)]
    test: bool,
    /// With -t, say only what is wrong
    #[arg(short = 'q', long, action = ArgAction::SetTrue)]
    quiet: bool,
    /// The folder that the configuration is in
    #[arg(short = 'p', long, value_name = "PREFIX", default_value = DEFAULT_PREFIX)]
    prefix: PathBuf,
    /// The configuration
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = DEFAULT_FILE)]
    file: PathBuf,
}

/// What the arguments ask for.
#[derive(Debug)]
pub enum Asked {
    /// To serve. Whatever there is to say about the configuration has been said on standard error.
    Serve(Box<Config>),
    /// Nothing more than was done; how the process should end.
    Done(ExitCode),
}

/// Does what the arguments of the process ask for, short of serving. Everything it says goes to standard error, as
/// nginx's words do.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Asked {
    // With nobody left to read it there is nobody to tell.
    run_on(arguments, &System, &mut |text| drop(std::io::stderr().write_all(text.as_bytes())))
}

/// The same on any machine, with any ear.
fn run_on(
    arguments: impl IntoIterator<Item = OsString>,
    machine: &dyn Surroundings,
    say: &mut dyn FnMut(&str),
) -> Asked {
    let mut arguments = arguments.into_iter().peekable();
    let me = name(arguments.peek());
    let parsed = Arguments::command().try_get_matches_from(arguments);
    let parsed = parsed.and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed {
        Ok(arguments) => obey(&arguments, me, machine, say),
        Err(error) => {
            say(&format!("{me}: {}\n", refusal(&error)));
            Asked::Done(ExitCode::FAILURE)
        }
    }
}

fn obey(arguments: &Arguments, me: &str, machine: &dyn Surroundings, say: &mut dyn FnMut(&str)) -> Asked {
    if arguments.help || arguments.version || arguments.build {
        say(&format!("{me} version: gatepost/{}\n", env!("CARGO_PKG_VERSION")));
    }
    if arguments.build {
        say("built with rustls and aws-lc\n");
        say("configure arguments: --with-mail --with-mail_ssl_module\n");
    }
    if arguments.help {
        say(&Arguments::command().render_help().to_string());
    }
    // As with nginx, these do not keep -t from its work.
    if (arguments.help || arguments.version || arguments.build) && !arguments.test {
        return Asked::Done(ExitCode::SUCCESS);
    }
    let path = arguments.prefix.join(&arguments.file);
    let loaded = config::load(&path, &Options { prefix: &arguments.prefix, surroundings: machine });
    match (loaded, arguments.test) {
        (Ok(Loaded { config, warnings }), false) => {
            tell(&warnings, me, Severity::Warn, say);
            Asked::Serve(Box::new(config))
        }
        (Ok(Loaded { config, warnings }), true) => {
            let least = if arguments.quiet { Severity::Emerg } else { Severity::Warn };
            tell(&warnings, me, least, say);
            let path = path.display();
            if !arguments.quiet {
                say(&format!("{me}: the configuration file {path} syntax is ok\n"));
            }
            if let Err(error) = machine.try_out(&config) {
                say(&format!("{me}: [emerg] {error}\n"));
                say(&format!("{me}: configuration file {path} test failed\n"));
                return Asked::Done(ExitCode::FAILURE);
            }
            if !arguments.quiet {
                say(&format!("{me}: configuration file {path} test is successful\n"));
            }
            Asked::Done(ExitCode::SUCCESS)
        }
        (Err(told), test) => {
            tell(&told, me, Severity::Warn, say);
            hint_at_working_folder(arguments, &path, machine, say);
            if test {
                say(&format!("{me}: configuration file {} test failed\n", path.display()));
            }
            Asked::Done(ExitCode::FAILURE)
        }
    }
}

fn tell(told: &[Diagnostic], me: &str, least: Severity, say: &mut dyn FnMut(&str)) {
    for each in told.iter().filter(|each| each.severity >= least) {
        say(&format!("{me}: {each}\n"));
    }
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

/// What is wrong with the arguments, in nginx's words.
fn refusal(error: &clap::Error) -> String {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        _ => "",
    };
    let option = argument.split_whitespace().next().unwrap_or_default();
    match (error.kind(), option) {
        (ErrorKind::InvalidValue, "-c" | "--config") => r#"option "-c" requires file name"#.to_owned(),
        (ErrorKind::InvalidValue, "-p" | "--prefix") => r#"option "-p" requires directory name"#.to_owned(),
        (ErrorKind::UnknownArgument, _) => format!("invalid option: \"{argument}\""),
        // clap's first line says it, behind "error: ".
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Memory;

    const FIT: &str = "mail { auth_http 127.0.0.1; server { listen 143; } }";

    /// What a command line leads to and what is said meanwhile.
    fn run_line(line: &[&str], machine: &Memory) -> (Asked, String) {
        let mut said = String::new();
        let asked = run_on(line.iter().map(OsString::from), machine, &mut |text| said.push_str(text));
        (asked, said)
    }

    fn succeeds(asked: &Asked) -> bool {
        matches!(asked, Asked::Done(code) if *code == ExitCode::SUCCESS)
    }

    fn fails(asked: &Asked) -> bool {
        matches!(asked, Asked::Done(code) if *code == ExitCode::FAILURE)
    }

    #[test]
    fn a_test_of_a_good_file_says_so_in_nginx_s_words() {
        let machine = Memory::new().file("/etc/nginx/nginx.conf", FIT).file("/srv/mail.conf", FIT);
        let (asked, said) = run_line(&["/usr/sbin/gatepost", "-t"], &machine);
        assert!(succeeds(&asked));
        assert_eq!(
            said,
            "gatepost: the configuration file /etc/nginx/nginx.conf syntax is ok\n\
             gatepost: configuration file /etc/nginx/nginx.conf test is successful\n"
        );
        for line in [
            &["gatepost", "-tc", "/srv/mail.conf"][..],
            &["gatepost", "-tc/srv/mail.conf"],
            &["gatepost", "-t", "-c", "mail.conf", "-p", "/srv"],
            &["gatepost", "-p/srv/", "-tcmail.conf"],
        ] {
            let (asked, said) = run_line(line, &machine);
            assert!(
                succeeds(&asked) && said.contains(" /srv/mail.conf test is successful"),
                "{line:?} {said}"
            );
        }
        assert_eq!(run_line(&["gatepost", "-tq"], &machine).1, "");
        let (_, said) = run_line(&["/usr/sbin/nginx", "-t"], &machine);
        assert!(said.starts_with("nginx: the configuration file"), "{said}");
    }

    #[test]
    fn a_test_of_a_bad_file_says_what_is_wrong_and_fails() {
        let machine = Memory::new().file("/etc/nginx/nginx.conf", "mail { foo; }");
        let (asked, said) = run_line(&["gatepost", "-t"], &machine);
        assert!(fails(&asked));
        let first = "gatepost: [emerg] unknown directive \"foo\" in /etc/nginx/nginx.conf:1\n   1 | mail {";
        assert!(said.starts_with(first), "{said}");
        assert!(
            said.ends_with("\ngatepost: configuration file /etc/nginx/nginx.conf test failed\n"),
            "{said}"
        );
        let (asked, said) = run_line(&["gatepost"], &machine);
        assert!(fails(&asked) && said.starts_with(first) && !said.contains("test failed"), "{said}");
    }

    #[test]
    fn a_good_file_is_served_after_its_warnings() {
        let machine = Memory::new().file("/etc/nginx/nginx.conf", format!("user www-data; {FIT}"));
        let (asked, said) = run_line(&["gatepost"], &machine);
        assert!(matches!(asked, Asked::Serve(config) if config.servers.len() == 1));
        assert!(said.starts_with("gatepost: [warn] the \"user\" directive has no effect yet"), "{said}");
        let (_, said) = run_line(&["gatepost", "-tq"], &machine);
        assert_eq!(said, "");
    }

    #[test]
    fn a_relative_file_is_taken_from_the_prefix_and_who_means_otherwise_is_told() {
        let machine = Memory::new().file("mail.conf", FIT);
        let (asked, said) = run_line(&["gatepost", "-c", "mail.conf"], &machine);
        assert!(fails(&asked));
        let missing = r#"[emerg] open() "/etc/nginx/mail.conf" failed (2: No such file or directory)"#;
        assert!(said.starts_with(&format!("gatepost: {missing}\nhint: ")), "{said}");
        let machine = machine.file("./mail.conf", FIT);
        let (asked, _) = run_line(&["gatepost", "-c", "mail.conf", "-p", "."], &machine);
        assert!(matches!(asked, Asked::Serve(_)));
    }

    #[test]
    fn wrong_options_are_told_in_nginx_s_words() {
        for (line, said) in [
            (&["nginx", "-x"][..], "nginx: invalid option: \"-x\"\n"),
            (&["gatepost", "-tx"], "gatepost: invalid option: \"-x\"\n"),
            (&["gatepost", "start"], "gatepost: invalid option: \"start\"\n"),
            (&["gatepost", "-c"], "gatepost: option \"-c\" requires file name\n"),
            (&["gatepost", "-tp"], "gatepost: option \"-p\" requires directory name\n"),
        ] {
            let (asked, told) = run_line(line, &Memory::new());
            assert!(fails(&asked));
            assert_eq!(told, said, "{line:?}");
        }
    }

    #[test]
    fn version_and_help_say_what_they_should() {
        let version = format!("gatepost version: gatepost/{}\n", env!("CARGO_PKG_VERSION"));
        let (asked, said) = run_line(&["gatepost", "-v"], &Memory::new());
        assert!(succeeds(&asked));
        assert_eq!(said, version);
        let (_, said) = run_line(&["gatepost", "-V"], &Memory::new());
        assert!(said.starts_with(&version) && said.contains("configure arguments: --with-mail "), "{said}");
        for help in ["-h", "-?", "--help"] {
            let (asked, said) = run_line(&["gatepost", help], &Memory::new());
            assert!(succeeds(&asked) && said.starts_with(&version), "{said}");
            assert!(
                said.contains("[default: /etc/nginx]") && said.contains("[default: nginx.conf]"),
                "{said}"
            );
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }
}
