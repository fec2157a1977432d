//! The command line beside nginx's own: the same options, the same words, the same exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How often and how long something is waited for.
const TRIES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(25);

/// A folder of the test's own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Gatepost, calling itself nginx.
fn gatepost(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gatepost")).arg0("/usr/sbin/nginx").args(arguments).output().unwrap()
}

fn nginx_is_missing() -> bool {
    let missing = Command::new("nginx").arg("-v").output().is_err();
    if missing {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nginx is not installed");
        eprintln!("skipped: nginx is not installed");
    }
    missing
}

/// What was said on standard error, without the lines that Debian's nginx, whose log is standard error by default, says
/// twice: once for the terminal, once for the log.
fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| line.starts_with("nginx: ")).map(str::to_owned).collect()
}

/// Every one of these ends by itself: none may leave a process that serves.
#[test]
fn options_are_taken_and_refused_as_nginx_does() {
    if nginx_is_missing() {
        return;
    }
    let folder = Folder::new("options");
    let (pid, log) = (folder.path("pid"), folder.path("log"));
    let fit = folder.file("fit.conf", &format!("pid {pid}; error_log {log}; events {{ }}\n"));
    folder.file("unfit.conf", "events { }\nfoo;\n");
    folder.file("part.inc", "# one");
    folder.file(
        "dumped.conf",
        &format!("pid {pid}; error_log {log}; include part.inc;\nevents {{}} include *.inc;"),
    );
    let prefix = folder.0.to_str().unwrap();
    let lines: &[&[&str]] = &[
        &["-x"],
        &["-tx"],
        &["start"],
        &["-t", "start"],
        &["-c"],
        &["-tc"],
        &["-p"],
        &["-e"],
        &["-g"],
        &["-s"],
        &["-s", "foo"],
        &["-sfoo"],
        &["-h", "-x"],
        &["-t", "-c", "fit.conf", "-p", prefix],
        &["-tqc", "fit.conf", "-p", prefix],
        &["-tcfit.conf", "-p", prefix],
        &["-qtc", &fit],
        &["-T", "-p", prefix, "-c", "dumped.conf"],
        &["-qTp", prefix, "-c", "dumped.conf"],
        &["-T", "-p", prefix, "-c", "unfit.conf"],
        &["-t", "-p", prefix, "-c", "none.conf"],
        &["-t", "-c", &fit, "-c", "/nonexistent/last.conf"],
        &["-t", "-c", &fit, "-e", "/nonexistent/error.log"],
        &["-t", "-c", &fit, "-g", "pid /nonexistent/pid;"],
        &["-t", "-c", &fit, "-g", "foo"],
        &["-t", "-c", &fit, "-g", "foo;"],
        &["-t", "-c", &fit, "-g", "events {}"],
        &["-t", "-c", &fit, "-g", "daemon off; }"],
        &["-t", "-c", &fit, "-g", "daemon off; {"],
        &["-t", "-c", &fit, "-g", "pid \"x"],
        &["-t", "-c", &fit, "-g", "daemon x;"],
        &["-t", "-c", &fit, "-g", "daemon off; daemon on;"],
        &["-t", "-c", &fit, "-g", ";"],
        &["-t", "-c", &fit, "-g", ""],
        &["-t", "-c", &fit, "-g", "# x"],
        &["-t", "-c", &fit, "-g", "include /nonexistent;"],
        &["-t", "-c", &fit, "-g", "\"a\"b;"],
        &["-s", "stop", "-c", &fit],
        &["-sreload", "-c", &fit],
        &["-s", "quit", "-p", prefix, "-c", "unfit.conf"],
    ];
    let mut differing = Vec::new();
    for line in lines {
        // Neither may find the file of the other.
        let mut outputs = [nginx_with_log(line, &folder), gatepost_with_log(line, &folder)];
        let [theirs, ours] = &mut outputs;
        // What nginx does not say: the place, and what to do. That there is no mail to serve.
        let words = |output: &Output| {
            let words = said(output);
            words.into_iter().filter(|line| !line.contains("no \"mail\" section")).collect::<Vec<_>>()
        };
        let is_same =
            words(theirs) == words(ours) && theirs.status == ours.status && theirs.stdout == ours.stdout;
        if !is_same {
            differing.push(format!("{line:?}\n  nginx    {theirs:?}\n  gatepost {ours:?}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Debian's nginx logs to standard error, unless told otherwise.
fn nginx_with_log(line: &[&str], folder: &Folder) -> Output {
    drop(fs::remove_file(folder.0.join("pid")));
    let mut command = Command::new("nginx");
    if takes_a_log(line) {
        command.arg("-e").arg(folder.path("initial.log"));
    }
    command.args(line).output().unwrap()
}

fn gatepost_with_log(line: &[&str], folder: &Folder) -> Output {
    drop(fs::remove_file(folder.0.join("pid")));
    let log = folder.path("initial.log");
    let mut all = if takes_a_log(line) { vec!["-e", &log] } else { Vec::new() };
    all.extend(line);
    gatepost(&all)
}

fn takes_a_log(line: &[&str]) -> bool {
    line.len() > 2 && !line.contains(&"-e")
}

/// A process that serves; killed when dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether something becomes true in time.
fn comes(mut done: impl FnMut() -> bool) -> bool {
    (0..TRIES).any(|_| {
        let done = done();
        if !done {
            std::thread::sleep(PAUSE);
        }
        done
    })
}

#[test]
fn a_serving_process_does_what_another_tells_it() {
    let folder = Folder::new("orders");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (log, pid) = (folder.path("error.log"), folder.path("gatepost.pid"));
    let text = format!(
        "error_log {log} notice; mail {{ auth_http 127.0.0.1:9; \
         server {{ listen 127.0.0.1:{port}; protocol imap; }} }}"
    );
    let file = folder.file("mail.conf", &text);
    let directives = format!("daemon off; pid {pid};");
    let line = ["-c", &file, "-g", &directives];
    let child = Command::new(env!("CARGO_BIN_EXE_gatepost")).args(line).stdin(Stdio::null()).spawn().unwrap();
    let mut served = Served(child);
    assert!(comes(|| Path::new(&pid).exists() && TcpStream::connect(("127.0.0.1", port)).is_ok()));
    let order = |what| gatepost(&[&line[..], &["-s", what]].concat());
    fs::rename(&log, folder.path("error.log.1")).unwrap();
    assert!(order("reopen").status.success());
    assert!(comes(|| Path::new(&log).exists()), "the log is made anew");
    let output = order("quit");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(comes(|| served.0.try_wait().unwrap().is_some()), "it has ended");
    assert!(!Path::new(&pid).exists());
    let gone = order("stop");
    assert!(!gone.status.success());
    let missing = format!("nginx: [error] open() \"{pid}\" failed (2: No such file or directory)\n");
    assert_eq!(String::from_utf8_lossy(&gone.stderr), missing);
}

/// What a port in use means: nothing for a test, everything for serving.
#[test]
fn a_test_opens_what_is_named_and_a_port_in_use_is_no_fault_of_the_file() {
    let folder = Folder::new("tried");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let (log, pid) = (folder.path("error.log"), folder.path("pid"));
    let server = |listen: &str| {
        format!(
            "error_log {log}; pid {pid}; daemon off; master_process off; \
             mail {{ auth_http 127.0.0.1:9; server {{ listen {listen}; protocol imap; }} }}"
        )
    };
    let file = folder.file("held.conf", &server(&format!("127.0.0.1:{port}")));
    let output = gatepost(&["-t", "-c", &file]);
    assert!(output.status.success(), "{output:?}");
    assert!(Path::new(&log).exists() && fs::read(&pid).unwrap().is_empty(), "made, and nothing written");
    let output = gatepost(&["-c", &file]);
    let told = format!("nginx: [emerg] bind() to 127.0.0.1:{port} failed (98: Address already in use)");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(&told), "{text}");
    let logged = fs::read_to_string(&log).unwrap();
    let lines = logged.lines().filter(|line| line.contains("[emerg] "));
    assert_eq!(lines.count(), 1, "{logged}");
    assert!(logged.contains(told.strip_prefix("nginx: [emerg] ").unwrap()), "{logged}");
    // An address that is nobody's (RFC 5737).
    let file = folder.file("elsewhere.conf", &server("192.0.2.1:143"));
    let output = gatepost(&["-t", "-c", &file]);
    let text = String::from_utf8_lossy(&output.stderr);
    let told = "nginx: [emerg] bind() to 192.0.2.1:143 failed (99: Cannot assign requested address)";
    assert!(!output.status.success() && text.contains(told) && text.contains("test failed"), "{text}");
}
