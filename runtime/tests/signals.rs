//! The process and the signals that operators and log rotation send it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often and how long something is waited for.
const TRIES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(50);

/// A process that serves, with a folder of its own; killed when dropped.
struct Served {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Served {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-signals-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "error_log {0}/error.log notice; pid {0}/pid; mail {{ auth_http 127.0.0.1:9; \
             server {{ listen 127.0.0.1:{port}; listen unix:{0}/imap; protocol imap; }} }}",
            folder.display()
        );
        fs::write(folder.join("mail.conf"), text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .arg("-c")
            .arg(folder.join("mail.conf"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, folder, port }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the log of that name holds `words`.
    fn await_line(&self, log: &str, words: &str) {
        let path = self.folder.join(log);
        for _ in 0..TRIES {
            if fs::read_to_string(&path).is_ok_and(|text| text.contains(words)) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("no {words:?} in {log}: {:?}", fs::read_to_string(&path));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn no_signal_that_nginx_knows_ends_the_process_unless_it_should() {
    let mut served = Served::start();
    served.await_line("error.log", "start 1 threads");
    for (signal, words) in [
        (
            Signal::HUP,
            "[warn] PID#0: signal 1 (SIGHUP) received, reloading is not supported yet: nothing changed",
        ),
        (
            Signal::USR2,
            "[warn] PID#0: signal 12 (SIGUSR2) received, changing binary is not supported yet: nothing changed",
        ),
        (Signal::WINCH, "[notice] PID#0: signal 28 (SIGWINCH) received"),
    ] {
        served.signal(signal);
        served.await_line("error.log", &words.replace("PID", &served.child.id().to_string()));
    }
    fs::rename(served.folder.join("error.log"), served.folder.join("error.log.1")).unwrap();
    served.signal(Signal::USR1);
    served.await_line("error.log.1", "signal 10 (SIGUSR1) received, reopening logs");
    // Made anew before any line needs it.
    served.await_line("error.log", "");
    TcpStream::connect(("127.0.0.1", served.port)).unwrap();
    UnixStream::connect(served.folder.join("imap")).unwrap();
    let pid = served.folder.join("pid");
    assert_eq!(fs::read_to_string(&pid).unwrap(), format!("{}\n", served.child.id()));
    served.signal(Signal::TERM);
    served.await_line("error.log", "signal 15 (SIGTERM) received, exiting");
    assert!(served.child.wait().unwrap().success());
    assert!(!pid.exists(), "a process that is gone has no pid file");
    assert!(!served.folder.join("imap").exists(), "nobody listens there any more");
}
