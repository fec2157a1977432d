//! What a serving process writes into its logs: a line for each session, lines for syslog, and none for a name that was moved.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often and how long something is waited for.
const TRIES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(25);

/// A process that serves, with a folder of its own; killed when dropped.
struct Served {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Served {
    /// `mail` stands in `mail {}`, with `FOLDER` for the folder's path.
    fn start(name: &str, main: &str, mail: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "daemon off; pid FOLDER/pid; {main} mail {{ auth_http 127.0.0.1:9; {mail} \
             server {{ listen 127.0.0.1:{port}; protocol imap; }} }}"
        );
        fs::write(folder.join("mail.conf"), text.replace("FOLDER", folder.to_str().unwrap())).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .arg("-c")
            .arg(folder.join("mail.conf"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let served = Self { child, folder, port };
        assert!(comes(|| TcpStream::connect(("127.0.0.1", port)).is_ok()), "it serves");
        served
    }

    /// A client that says `words` and hears everything up to the end; tells its port.
    fn visit(&self, words: &str) -> u16 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(words.as_bytes()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        stream.local_addr().unwrap().port()
    }

    fn text(&self, log: &str) -> String {
        fs::read_to_string(self.folder.join(log)).unwrap_or_default()
    }

    /// The line of a log that begins so, once it is there.
    fn line(&self, log: &str, beginning: &str) -> String {
        let found = || self.text(log).lines().find(|line| line.starts_with(beginning)).map(str::to_owned);
        if comes(|| found().is_some()) {
            return found().unwrap();
        }
        panic!("no {beginning:?} in {log}: {}", self.text(log));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether something becomes true in time.
fn comes(done: impl Fn() -> bool) -> bool {
    (0..TRIES).any(|_| {
        let done = done();
        if !done {
            std::thread::sleep(PAUSE);
        }
        done
    })
}

#[test]
fn every_session_has_its_line_and_the_file_may_be_moved_away() {
    let served = Served::start(
        "access",
        "error_log FOLDER/error.log;",
        "log_format own escape=json '$remote_port {\"user\":\"$remote_user\",\"in\":$bytes_received,\"status\":$status}'; \
         access_log FOLDER/own.log own; access_log FOLDER/default.log;",
    );
    let port = served.visit("a LOGOUT\r\n");
    let line = served.line("own.log", &format!("{port} "));
    assert_eq!(line, format!("{port} {{\"user\":\"\",\"in\":10,\"status\":499}}"));
    // The auth server is not there.
    let port = served.visit("a LOGIN \"j\\\"oe\" hunter2\r\n");
    let line = served.line("own.log", &format!("{port} "));
    assert_eq!(line, format!("{port} {{\"user\":\"j\\\"oe\",\"in\":25,\"status\":502}}"));
    let default = served.line("default.log", "127.0.0.1 - j\\x22oe [");
    assert!(default.contains("] imap 502 auth-server-error plain \"- -\" - 25 "), "{default}");
    fs::rename(served.folder.join("own.log"), served.folder.join("own.log.1")).unwrap();
    kill_process(Pid::from_child(&served.child), Signal::USR1).unwrap();
    assert!(comes(|| served.folder.join("own.log").exists()), "it is made anew");
    let port = served.visit("a LOGOUT\r\n");
    served.line("own.log", &format!("{port} "));
    for log in ["own.log", "own.log.1", "default.log", "error.log"] {
        assert!(!served.text(log).contains("hunter2"), "{log}");
    }
}

#[test]
fn lines_for_syslog_arrive_as_nginx_sends_them() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let main =
        format!("error_log syslog:server={},facility=mail,nohostname notice;", server.local_addr().unwrap());
    let served = Served::start("syslog", &main, "");
    let mut octets = [0; 4096];
    let length = server.recv(&mut octets).unwrap();
    let text = String::from_utf8_lossy(&octets[..length]);
    // RFC 3164: 2 * 8 + 5, and a day without a leading zero.
    assert!(text.starts_with("<21>") && text.contains(" nginx: 20"), "{text}");
    assert!(
        text.contains(&format!(" [notice] {}#0: ", served.child.id())) && !text.ends_with('\n'),
        "{text}"
    );
}
