//! A proxy under test: its configuration, its start and its end.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::Outcome;
use crate::cost::Tree;
use crate::door::{Door, Protocol, Security};
use crate::fixture;

/// A proxy that is not there by then is not coming.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// A proxy that can be started.
pub(crate) struct Program {
    pub(crate) name: String,
    path: PathBuf,
    /// What its configuration begins with.
    prologue: String,
    is_gatepost: bool,
}

impl Program {
    pub(crate) fn gatepost(path: PathBuf) -> Self {
        Self { name: "gatepost".into(), path, prologue: String::new(), is_gatepost: true }
    }

    pub(crate) fn peer(path: PathBuf, modules: &Path) -> Self {
        let module = modules.join("ngx_mail_module.so");
        let prologue = match module.exists() {
            true => format!("load_module {};\n", module.display()),
            false => String::new(),
        };
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self { name, path, prologue, is_gatepost: false }
    }

    /// What it says of itself.
    pub(crate) fn version(&self) -> Outcome<String> {
        let said = Command::new(&self.path).arg("-v").output().map_err(|error| self.cannot_start(&error))?;
        let said = [said.stdout, said.stderr].concat();
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    fn cannot_start(&self, error: &std::io::Error) -> String {
        format!("{} cannot be started: {error}", self.path.display())
    }

    /// Starts it at `host` before an auth server, and waits until it serves. `opt_in` are Gatepost's own lines.
    pub(crate) fn start(&self, host: Ipv4Addr, auth_port: u16, opt_in: &str) -> Outcome<Running> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("side-by-side-{}-{count}", process::id()));
        fs::create_dir(&directory)?;
        let directory = Directory(directory);
        fixture::write(&directory.0)?;
        let file = directory.0.join("nginx.conf");
        let opt_in = if self.is_gatepost { opt_in } else { "" };
        fs::write(&file, configuration(&self.prologue, &directory.0, host, auth_port, opt_in)?)?;
        let child = Command::new(&self.path)
            .arg("-p")
            .arg(&directory.0)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| self.cannot_start(&error))?;
        let mut running = Running { child, directory };
        running.wait_until_it_serves(host)?;
        Ok(running)
    }
}

fn configuration(
    prologue: &str,
    directory: &Path,
    host: Ipv4Addr,
    auth_port: u16,
    opt_in: &str,
) -> Outcome<String> {
    let mut text = format!(
        "{prologue}user root;\ndaemon off;\nworker_processes 2;\nworker_rlimit_nofile 20000;\n\
         pid {0}/pid;\nerror_log {0}/error.log error;\nevents {{ worker_connections 20000; }}\n\
         mail {{\n  server_name mail.example.org;\n  auth_http 127.0.0.1:{auth_port}/;\n{opt_in}  timeout 120s;\n  \
         proxy_timeout 1h;\n  ssl_protocols TLSv1.2 TLSv1.3;\n  ssl_session_tickets on;\n  smtp_auth plain;\n",
        directory.display(),
    );
    for door in Door::all(host) {
        let security = match door.security {
            Security::Plain => "",
            Security::Tls => " ssl",
            Security::StartTls => "",
        };
        let protocol = match door.protocol {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Smtp => "smtp",
            Protocol::SmtpNone => "smtp; smtp_auth none",
        };
        write!(text, "  server {{ listen {}{security}; protocol {protocol};", door.address())?;
        if door.security == Security::StartTls {
            write!(text, " starttls on;")?;
        }
        if door.security != Security::Plain {
            let [certificate, key] = fixture::files(door.key);
            write!(
                text,
                " ssl_certificate {0}/{certificate}; ssl_certificate_key {0}/{key};",
                directory.display()
            )?;
        }
        writeln!(text, " }}")?;
    }
    text.push_str("}\n");
    Ok(text)
}

/// A directory that goes with its value.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A proxy that serves. It is stopped with this.
pub(crate) struct Running {
    child: Child,
    directory: Directory,
}

impl Running {
    /// Its processes.
    pub(crate) fn tree(&self) -> Tree {
        Tree::of(self.child.id())
    }

    fn wait_until_it_serves(&mut self, host: Ipv4Addr) -> Outcome<()> {
        let begun = Instant::now();
        for door in Door::all(host) {
            while TcpStream::connect(door.address()).is_err() {
                if let Some(status) = self.child.try_wait()? {
                    return Err(format!("it ended with {status}: {}", self.log()).into());
                }
                if begun.elapsed() > START_TIME_MAX {
                    return Err(format!("it does not serve: {}", self.log()).into());
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.0.join("error.log")).unwrap_or_default()
    }

    /// Stops it; complains if it wrote anything to its log.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        self.end();
        let log = self.log();
        match log.lines().next() {
            None => Ok(()),
            Some(line) => Err(format!("it logged {} lines, the first: {line}", log.lines().count()).into()),
        }
    }

    /// First politely, and then not.
    fn end(&mut self) {
        let begun = Instant::now();
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > Duration::from_secs(10) {
                self.tree().kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
