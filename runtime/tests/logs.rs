//! What a serving process writes into its logs: a line for each session, lines for syslog, and none for a name that was moved.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up has failed"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
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
        Self::start_as(env!("CARGO_BIN_EXE_gatepost"), name, main, mail)
    }

    /// The same with another program.
    fn start_as(program: &str, name: &str, main: &str, mail: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "{main} daemon off; master_process off; pid FOLDER/pid; mail {{ auth_http 127.0.0.1:9; {mail} \
             server {{ listen 127.0.0.1:{port}; protocol imap; }} }}"
        );
        fs::write(folder.join("mail.conf"), text.replace("FOLDER", folder.to_str().unwrap())).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(folder.join("mail.conf"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
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
fn a_reader_of_standard_error_that_stands_still_keeps_no_client_waiting() {
    let mut served = Served::start("stalled", "error_log stderr info;", "");
    let mut reader = served.child.stderr.take().unwrap();
    // Each leaves some 300 octets, of which a pipe takes 64 KiB.
    for _ in 0..400 {
        served.visit("a LOGIN joe hunter2\r\n");
    }
    let (sender, lines) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        for line in BufReader::new(&mut reader).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    let told = comes(|| {
        served.visit("a LOGOUT\r\n");
        lines
            .try_iter()
            .any(|line| line.contains("[alert] ") && line.ends_with(" lines of this log were lost"))
    });
    assert!(told, "what was lost is told of once there is room");
    drop((served, lines));
    reading.join().unwrap();
}

/// Has `program` serve with two syslog logs, and a client log in whom nobody can judge. Tells the datagrams about it, with what is of
/// the moment put aside: times, numbers of processes, ports.
fn datagrams(name: &str, program: &str, head: &str) -> Vec<String> {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = server.local_addr().unwrap();
    let main = format!(
        "{head} events {{ }} error_log syslog:server={address} info; \
         error_log syslog:server={address},facility=mail,tag=mx_1,severity=crit,nohostname error;"
    );
    let served = Served::start_as(program, name, &main, "");
    // The first connection asked whether it serves.
    let port = served.visit("a LOGIN joe hunter2\r\n").to_string();
    let (mut told, mut octets) = (Vec::new(), [0; 4096]);
    while told.len() < 3 {
        let length = server.recv(&mut octets).unwrap();
        let text = String::from_utf8(octets[..length].to_vec()).unwrap();
        let (before, message) = text.split_once(" *").unwrap_or((&text, ""));
        if message.contains(&format!(":{port} ")) || message.contains("login: ") {
            let (_, message) = message.split_once(' ').unwrap();
            // `<190>Nov 21 17:24:00 host nginx: 2026/11/21 17:24:00 [info] 18061#0:`, of which the times and the process differ.
            let (priority, rest) = before.split_once('>').unwrap();
            let words: Vec<_> = rest.split_whitespace().skip(3).collect();
            let kept = words.iter().filter(|word| !word.contains(['/', '#']));
            let kept: Vec<_> =
                kept.filter(|word| word.ends_with(':') || !word.contains(':')).copied().collect();
            let message = message.replace(&port, "PORT").replace(&served.port.to_string(), "LISTEN");
            told.push(format!("{priority}> {} {message}", kept.join(" ")));
        }
    }
    told
}

#[test]
fn lines_for_syslog_arrive_as_nginx_sends_them() {
    if Command::new("nginx").arg("-v").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nginx is not installed");
        eprintln!("skipped: nginx is not installed");
        return;
    }
    const MODULE: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";
    let module = if Path::new(MODULE).exists() { format!("load_module {MODULE};") } else { String::new() };
    let theirs = datagrams("syslog-nginx", "nginx", &module);
    let ours = datagrams("syslog", env!("CARGO_BIN_EXE_gatepost"), "");
    assert_eq!(ours, theirs);
    let failure = "recv() failed (111: Connection refused) while in http auth state, client: 127.0.0.1, \
                   server: 127.0.0.1:LISTEN, login: \"joe\"";
    assert_eq!(ours[2], format!("<19> mx_1: [error] {failure}"));
    assert!(ours.iter().all(|line| !line.contains("hunter2")));
}
