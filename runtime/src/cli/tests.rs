//! Command lines, and what they lead to.

use super::*;
use crate::config::{LogSink, Memory};

const FIT: &str = "mail { auth_http 127.0.0.1; server { listen 143; } }";

/// What a command line leads to and what is said meanwhile.
fn run_line(line: &[&str], machine: &Memory) -> (Asked, String) {
    let (asked, said, printed) = run_and_print(line, machine);
    assert_eq!(printed, "", "{line:?}");
    (asked, said)
}

/// The same with what goes to standard output.
fn run_and_print(line: &[&str], machine: &Memory) -> (Asked, String, String) {
    let (mut said, mut printed) = (String::new(), Vec::new());
    let ears = Ears {
        output: &mut |octets| printed.extend_from_slice(octets),
        say: &mut |text| said.push_str(text),
    };
    let asked = run_on(line.iter().map(OsString::from), machine, ears);
    (asked, said, String::from_utf8(printed).expect("text"))
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
        assert!(succeeds(&asked) && said.contains(" /srv/mail.conf test is successful"), "{line:?} {said}");
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
    assert!(said.ends_with("\ngatepost: configuration file /etc/nginx/nginx.conf test failed\n"), "{said}");
    let (asked, said) = run_line(&["gatepost"], &machine);
    assert!(fails(&asked) && said.starts_with(first) && !said.contains("test failed"), "{said}");
}

#[test]
fn a_good_file_is_served_after_its_warnings() {
    let machine = Memory::new().file("/etc/nginx/nginx.conf", format!("timer_resolution 1s; {FIT}"));
    let (asked, said) = run_line(&["gatepost"], &machine);
    assert!(matches!(asked, Asked::Serve(config, _) if config.servers.len() == 1));
    assert!(
        said.starts_with("gatepost: [warn] the \"timer_resolution\" directive has no effect yet"),
        "{said}"
    );
    // As with nginx, -q leaves out that all is well, and nothing else.
    let (_, said) = run_line(&["gatepost", "-tq"], &machine);
    assert!(said.starts_with("gatepost: [warn] the ") && said.lines().count() == 3, "{said}");
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
    assert!(matches!(asked, Asked::Serve(..)));
}

#[test]
fn wrong_options_are_told_in_nginx_s_words() {
    for (line, said) in [
        (&["nginx", "-x"][..], "nginx: invalid option: \"x\"\n"),
        (&["gatepost", "-tx"], "gatepost: invalid option: \"x\"\n"),
        (&["gatepost", "--tset"], "gatepost: invalid option: \"--tset\"\n"),
        (&["gatepost", "-h", "-x"], "gatepost: invalid option: \"x\"\n"),
        (&["gatepost", "-e"], "gatepost: option \"-e\" requires file name\n"),
        (&["gatepost", "-tg"], "gatepost: option \"-g\" requires parameter\n"),
        (&["gatepost", "-s"], "gatepost: option \"-s\" requires parameter\n"),
        (&["gatepost", "-s", "foo"], "gatepost: invalid option: \"-s foo\"\n"),
        (&["gatepost", "-sSTOP"], "gatepost: invalid option: \"-s STOP\"\n"),
        (&["gatepost", "--config"], "gatepost: option \"-c\" requires file name\n"),
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
        assert!(said.contains("[default: /etc/nginx]") && said.contains("[default: nginx.conf]"), "{said}");
    }
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn long_options_mean_what_the_short_ones_do() {
    let machine = Memory::new().file("/srv/mail.conf", FIT);
    let (asked, said) = run_line(&["gatepost", "--test", "--config", "mail.conf", "--prefix=/srv"], &machine);
    assert!(succeeds(&asked) && said.ends_with(" /srv/mail.conf test is successful\n"), "{said}");
    assert_eq!(run_line(&["gatepost", "--test", "--quiet", "--config=/srv/mail.conf"], &machine).1, "");
    assert_eq!(run_line(&["gatepost", "--version"], &machine).1, run_line(&["gatepost", "-v"], &machine).1);
}

#[test]
fn an_option_s_argument_may_look_like_an_option() {
    let machine = Memory::new().file("/srv/-t", FIT);
    let (asked, _) = run_line(&["gatepost", "-p", "/srv", "-c", "-t"], &machine);
    assert!(matches!(asked, Asked::Serve(..)));
    let (asked, said) = run_line(&["gatepost", "-g", "-t"], &machine);
    assert!(fails(&asked) && said.contains("unexpected end of parameter"), "{said}");
}

#[test]
fn a_dump_holds_every_file_once_and_as_it_is() {
    let machine = Memory::new()
        .file("/etc/nginx/nginx.conf", format!("include one; include *wo;\n{FIT} include one;"))
        .file("/etc/nginx/one", "# one")
        .file("/etc/nginx/two", "# two\n");
    let (asked, said, printed) = run_and_print(&["gatepost", "-T", "-g", "worker_processes 2;"], &machine);
    assert!(succeeds(&asked) && said.ends_with("test is successful\n"), "{said}");
    assert_eq!(
        printed,
        format!(
            "# configuration file /etc/nginx/nginx.conf:\ninclude one; include *wo;\n{FIT} include one;\n\
             # configuration file /etc/nginx/one:\n# one\n\
             # configuration file /etc/nginx/two:\n# two\n\n"
        )
    );
    let (asked, _, printed) = run_and_print(&["gatepost", "-T", "-g", "foo;"], &machine);
    assert!(fails(&asked) && printed.is_empty(), "nothing of what is not fit: {printed}");
}

#[test]
fn directives_of_the_command_line_come_before_the_file_s() {
    let machine = Memory::new().file("/etc/nginx/nginx.conf", format!("pid /run/a.pid;\n{FIT}"));
    let (asked, said) = run_line(&["gatepost", "-g", "worker_processes 3;"], &machine);
    let Asked::Serve(config, _) = asked else { panic!("{said}") };
    assert_eq!(config.worker_processes.get(), 3);
    for (given, first_line, rest) in [
        (
            "pid off;",
            "\"pid\" directive is duplicate in /etc/nginx/nginx.conf:1",
            "the first is in command line",
        ),
        ("foo;", "unknown directive \"foo\" in command line", "   1 | foo;\n"),
        ("foo", "unexpected end of parameter, expecting \";\" in command line", "`;` is missing"),
        ("events {}", "block directives are not supported in -g option in command line", "^"),
        ("{", "unexpected \"{\" in command line", "a name is missing"),
        ("env A; }", "unexpected \"}\" in command line", "no block is open here"),
        ("pid 'x", "unexpected end of parameter, expecting \";\" in command line", "never closed"),
        (
            "include none;",
            "open() \"/etc/nginx/none\" failed (2: No such file or directory) in command line",
            "",
        ),
    ] {
        let (asked, said) = run_line(&["gatepost", "-tg", given], &machine);
        assert!(fails(&asked), "{given}");
        let refusal = said.lines().find_map(|line| line.strip_prefix("gatepost: [emerg] "));
        assert_eq!(refusal, Some(first_line), "{given}: {said}");
        assert!(said.contains(rest), "{given}: {said}");
    }
}

/// A file of the test's own, removed when dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("gatepost-cli-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).expect("a file")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_log_of_the_start_hears_what_nginx_would_have_said() {
    let log = Scratch::new("initial.log");
    let machine = Memory::new().file("/etc/nginx/nginx.conf", "mail { foo; }");
    let (asked, _) = run_line(&["gatepost", "-te", log.path()], &machine);
    assert!(fails(&asked));
    let text = log.text();
    let line =
        format!(" [emerg] {}#0: unknown directive \"foo\" in /etc/nginx/nginx.conf:1\n", std::process::id());
    assert!(text.ends_with(&line) && text.lines().count() == 1, "{text}");
}

#[test]
fn the_log_of_the_start_goes_on_where_no_other_is_named() {
    let log = Scratch::new("default.log");
    let other = "error_log /srv/error.log;";
    for (text, named) in [(FIT.to_owned(), log.path()), (format!("{other} {FIT}"), "/srv/error.log")] {
        let machine = Memory::new().file("/etc/nginx/nginx.conf", text);
        let (asked, said) = run_line(&["gatepost", "-e", log.path()], &machine);
        let Asked::Serve(config, _) = asked else { panic!("{said}") };
        assert_eq!(config.servers[0].logs.len(), 1);
        assert_eq!(config.servers[0].logs[0].sink, LogSink::File(named.into()));
    }
    let machine = Memory::new().file("/etc/nginx/nginx.conf", FIT);
    let (asked, said) = run_line(&["gatepost", "-e", "stderr"], &machine);
    assert!(matches!(asked, Asked::Serve(config, _) if config.logs[0].sink == LogSink::Stderr), "{said}");
    let (asked, said) = run_line(&["gatepost", "-te", "/nowhere/at/all"], &machine);
    let told = "gatepost: [alert] could not open error log file: open() \"/nowhere/at/all\" failed \
                (2: No such file or directory)\n";
    assert!(succeeds(&asked) && said.starts_with(told), "{said}");
}

#[test]
fn a_signal_that_finds_nobody_is_told_in_nginx_s_words() {
    let (pid, log) = (Scratch::new("order.pid"), Scratch::new("order.log"));
    let machine = Memory::new().file("/etc/nginx/nginx.conf", format!("pid {}; {FIT}", pid.path()));
    let missing = format!("[error] open() \"{}\" failed (2: No such file or directory)", pid.path());
    let (asked, said) = run_line(&["gatepost", "-s", "stop", "-e", log.path()], &machine);
    assert!(fails(&asked));
    assert_eq!(said, format!("gatepost: {missing}\n"));
    let text = log.text();
    let lines: Vec<_> = text.lines().filter_map(|line| line.split_once("#0: ")).collect();
    assert_eq!(lines[0].1, "signal process started");
    assert_eq!(lines[1].1, missing.strip_prefix("[error] ").expect("a level"));
    std::fs::write(&pid.0, "1x\n").expect("written");
    let (_, said) = run_line(&["gatepost", "-s", "reload"], &machine);
    assert_eq!(said, format!("gatepost: [error] invalid PID number \"1x\" in \"{}\"\n", pid.path()));
    // More than Linux ever gives out.
    std::fs::write(&pid.0, "99999999\n").expect("written");
    for (order, signal) in [("stop", 15), ("quit", 3), ("reopen", 10), ("reload", 1)] {
        let (asked, said) = run_line(&["nginx", "-s", order], &machine);
        assert!(fails(&asked));
        assert_eq!(said, format!("nginx: [alert] kill(99999999, {signal}) failed (3: No such process)\n"));
    }
    let machine = Memory::new().file("/etc/nginx/nginx.conf", format!("pid off; {FIT}"));
    let (asked, said) = run_line(&["gatepost", "-s", "stop"], &machine);
    assert!(fails(&asked) && said.starts_with("gatepost: [error] with \"pid off\" nothing tells"), "{said}");
}
