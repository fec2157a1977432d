//! A running Gatepost with a folder of its own.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How often and how long something is waited for.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(25);

/// A folder that is gone at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gatepost-process-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Something that happens within a bounded time, or the test fails with `what`.
pub(crate) fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if happens() {
            return;
        }
        sleep(PAUSE);
    }
    panic!("it did not come about: {what}");
}

/// An address that nobody listens on.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A process that serves, and all that it has started. Killed when dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) folder: Folder,
    /// A listener for POP3, in clear.
    pub(crate) address: SocketAddr,
    /// One with TLS from the first octet, where the configuration has it.
    pub(crate) secure: SocketAddr,
}

/// What the configuration of a test says beside what all have in common.
#[derive(Clone, Default)]
pub(crate) struct Said {
    /// Outermost. `LOG` stands for the log's path.
    pub(crate) main: String,
    /// In `events {}`.
    pub(crate) events: String,
    /// In `mail {}`. `FOLDER` stands for the folder.
    pub(crate) mail: String,
}

impl Said {
    pub(crate) fn main(text: &str) -> Self {
        Self { main: text.to_owned(), ..Self::default() }
    }
}

impl Served {
    /// Starts it with what `said` adds, and waits until it serves.
    pub(crate) fn start(said: &Said) -> Self {
        Self::start_by(said, |program, file| {
            let mut command = Command::new(program);
            command.arg("-c").arg(file);
            command
        })
    }

    /// The same where there is no worker.
    pub(crate) fn start_by_itself(said: &Said) -> Self {
        let served = Self::start_in(Folder::new(), free(), said, |program, file| {
            let mut command = Command::new(program);
            command.arg("-c").arg(file);
            command
        });
        served.wait_until_it_answers();
        served
    }

    /// The same by a command that is given the program and the configuration's path.
    pub(crate) fn start_by(said: &Said, by: impl FnOnce(&str, &Path) -> Command) -> Self {
        let served = Self::start_in(Folder::new(), free(), said, by);
        served.await_line("notice", "start worker process ");
        served.wait_until_it_answers();
        served
    }

    /// The same in a folder that exists, listening at an address that may be bound already, without waiting.
    pub(crate) fn start_in(
        folder: Folder,
        address: SocketAddr,
        said: &Said,
        by: impl FnOnce(&str, &Path) -> Command,
    ) -> Self {
        let secure = free();
        let file = folder.path("mail.conf");
        fs::write(&file, text(&folder, address, secure, said)).unwrap();
        let errors = fs::File::create(folder.path("stderr")).unwrap();
        let mut command = by(env!("CARGO_BIN_EXE_gatepost"), &file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0);
        let child = command.spawn().unwrap();
        Self { child, folder, address, secure }
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, said: &Said) {
        let text = text(&self.folder, self.address, self.secure, said);
        // In one step, as an operator should.
        let new = self.folder.write("mail.conf.new", &text);
        fs::rename(new, self.folder.path("mail.conf")).unwrap();
    }

    /// A connection is made where there is a listener; somebody who serves has something to say.
    pub(crate) fn wait_until_it_answers(&self) {
        eventually("it answers", || {
            TcpStream::connect(self.address).is_ok_and(|mut client| {
                client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                client.read(&mut [0; 64]).is_ok_and(|count| count > 0)
            })
        });
    }

    /// The process that signals go to.
    pub(crate) fn master(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.master(), signal).unwrap();
    }

    /// The workers there are, oldest first.
    pub(crate) fn workers(&self) -> Vec<Pid> {
        children(self.master())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path("error.log")).unwrap_or_default()
    }

    /// How many lines of the log have these words.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.log().lines().filter(|line| line.contains(words)).count()
    }

    /// Waits until the log has a line of this level with these words.
    pub(crate) fn await_line(&self, level: &str, words: &str) {
        let has =
            || self.log().lines().any(|line| line.contains(&format!("[{level}]")) && line.contains(words));
        if (0..TRIES).any(|_| {
            has() || {
                sleep(PAUSE);
                false
            }
        }) {
            return;
        }
        let errors = fs::read_to_string(self.folder.path("stderr")).unwrap_or_default();
        panic!("no {words:?} in the log:\n{}{errors}", self.log());
    }

    /// Waits until it has ended by itself; tells whether it went well.
    pub(crate) fn ended_well(&mut self) -> bool {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().success()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It leads its group, and so does one that went into the background.
        let _ = kill_process_group(self.master(), Signal::KILL);
        let _ = self.child.wait();
        for name in ["gatepost.pid", "gatepost.pid.oldbin"] {
            let number = fs::read_to_string(self.folder.path(name)).unwrap_or_default();
            if let Some(process) = number.trim().parse().ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(process, Signal::KILL);
                let _ = kill_process(process, Signal::KILL);
            }
        }
        if std::thread::panicking() {
            println!("the log:\n{}", self.log());
        }
    }
}

fn text(folder: &Folder, address: SocketAddr, secure: SocketAddr, said: &Said) -> String {
    let Said { main, events, mail } = said;
    let folder = folder.0.display();
    // What a test says itself must not be said twice.
    let daemon = if main.contains("daemon ") { "" } else { "daemon off;" };
    let level = if main.contains("LOG") { "" } else { "error_log LOG notice;" };
    let main = format!("{level} {main}").replace("LOG", &format!("{folder}/error.log"));
    let mail = mail.replace("FOLDER", &folder.to_string());
    let auth = if mail.contains("auth_http ") || mail.contains("auth_users ") {
        ""
    } else {
        "auth_http 127.0.0.1:9;"
    };
    let has_certificate = mail.split(';').any(|said| said.trim_start().starts_with("ssl_certificate "));
    let secure = match has_certificate {
        true => format!("server {{ listen {secure} ssl; protocol pop3; }}"),
        false => String::new(),
    };
    format!(
        "{daemon} {main}\npid {folder}/gatepost.pid;\nevents {{ {events} }}\nmail {{\n{auth} {mail}\n\
         server {{ listen {address}; protocol pop3; }}\n{secure}\n}}\n"
    )
}

/// The children of a process that run, oldest first.
pub(crate) fn children(process: Pid) -> Vec<Pid> {
    let number = process.as_raw_nonzero();
    let path = format!("/proc/{number}/task/{number}/children");
    let all = fs::read_to_string(path).unwrap_or_default();
    let all = all.split_whitespace().filter_map(|number| number.parse().ok()).filter_map(Pid::from_raw);
    all.filter(|&process| status(process, "State").is_some_and(|state| !state.starts_with('Z'))).collect()
}

/// A line of /proc/PID/status, without its name.
pub(crate) fn status(process: Pid, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether the tests may become somebody else.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
