//! Listening on UNIX sockets: who is behind them, and what becomes of their files.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often and how long something is waited for.
const TRIES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that serves IMAP at `imap` and behind a PROXY header at `proxied`, in a folder of its own; killed when dropped.
struct Served {
    child: Child,
    folder: PathBuf,
}

impl Served {
    /// In the folder named for `test`, which may be there already, with what a predecessor left.
    fn start(test: &str, auth: SocketAddr) -> Self {
        Self::start_with(test, "", auth)
    }

    /// The same with `pid`, unless empty, instead of a file in the folder.
    fn start_with(test: &str, pid: &str, auth: SocketAddr) -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-unix-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let own = format!("pid {}/pid;", folder.display());
        let pid = if pid.is_empty() { &own } else { pid };
        let text = format!(
            "daemon off; master_process off; {pid} error_log {0}/error.log info;\n\
             mail {{ auth_http {auth}; set_real_ip_from unix:;\n\
             server {{ protocol imap; listen unix:{0}/imap; listen unix:{0}/proxied proxy_protocol; }} }}",
            folder.display()
        );
        fs::write(folder.join("mail.conf"), text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .arg("-c")
            .arg(folder.join("mail.conf"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn connect(&self, name: &str) -> UnixStream {
        for _ in 0..TRIES {
            if let Ok(stream) = UnixStream::connect(self.folder.join(name)) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            thread::sleep(PAUSE);
        }
        panic!("nobody listens: {}", self.log());
    }

    /// Waits until it serves: before, a signal ends it as it ends any process.
    fn greets(&self) {
        let mut greeting = [0; 4];
        self.connect("imap").read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"* OK");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("error.log")).unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An auth server for so many questions, which it answers by no; tells what it was asked.
fn auth_server(questions: usize) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            asked.extend_from_slice(&octet);
        }
        stream.write_all(b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n").unwrap();
        String::from_utf8(asked).unwrap()
    };
    (address, thread::spawn(move || (0..questions).map(|_| answer()).collect()))
}

#[test]
fn a_client_is_nobody_in_particular_unless_a_trusted_header_says_who_it_is() {
    let (auth, asked) = auth_server(2);
    let served = Served::start("clients", auth);
    for (name, header) in [("imap", ""), ("proxied", "PROXY TCP4 192.0.2.9 198.51.100.1 4000 143\r\n")] {
        let mut client = served.connect(name);
        client.write_all(format!("{header}a LOGIN fred hunter2\r\n").as_bytes()).unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert!(heard.starts_with("* OK IMAP4 ready\r\na NO [AUTHENTICATIONFAILED] no\r\n* BYE"), "{heard}");
    }
    let asked = asked.join().unwrap();
    let [direct, proxied] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(direct.contains("\r\nClient-IP: unix:\r\n"), "{direct}");
    assert!(proxied.contains("\r\nClient-IP: 192.0.2.9\r\nProxy-Protocol-Addr: 192.0.2.9\r\n"), "{proxied}");
    let (log, folder) = (served.log(), served.folder.display());
    for line in [
        format!(": *1 client unix: connected to unix:{folder}/imap\n"),
        format!("client: unix:, server: unix:{folder}/imap, login: \"fred\"\n"),
        format!(": *2 client unix: connected to unix:{folder}/proxied\n"),
        format!("client: 192.0.2.9, server: unix:{folder}/proxied, login: \"fred\"\n"),
    ] {
        assert!(log.contains(&line), "{line} is not in\n{log}");
    }
}

#[test]
fn a_predecessor_that_was_killed_is_in_nobodys_way_and_one_that_ended_leaves_nothing() {
    let (auth, _) = auth_server(0);
    let mut killed = Served::start("files", auth);
    killed.connect("imap");
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert!(killed.folder.join("imap").exists(), "who is killed cannot tidy up");
    let mut successor = Served::start("files", auth);
    successor.greets();
    successor.connect("proxied");
    kill_process(Pid::from_child(&successor.child), Signal::TERM).unwrap();
    assert!(successor.child.wait().unwrap().success());
    assert!(!successor.folder.join("imap").exists() && !successor.folder.join("proxied").exists());
}

#[test]
fn who_ends_does_not_remove_the_file_of_another_who_has_come_since() {
    let (auth, _) = auth_server(0);
    let mut served = Served::start("successor", auth);
    served.greets();
    served.connect("proxied");
    let path = served.folder.join("imap");
    fs::remove_file(&path).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    kill_process(Pid::from_child(&served.child), Signal::TERM).unwrap();
    assert!(served.child.wait().unwrap().success());
    assert!(path.exists() && !served.folder.join("proxied").exists());
}

#[test]
fn a_start_that_fails_leaves_no_files_in_the_way_of_the_next() {
    let (auth, _) = auth_server(0);
    let mut served = Served::start_with("vain", "pid /nowhere/at/all;", auth);
    assert!(!served.child.wait().unwrap().success());
    assert!(!served.folder.join("imap").exists() && !served.folder.join("proxied").exists());
}

#[test]
fn a_pid_file_is_not_taken_from_who_serves_nor_removed_once_it_names_another() {
    let (auth, _) = auth_server(0);
    let mut first = Served::start("first", auth);
    first.greets();
    let file = first.folder.join("pid");
    let number = |process: u32| format!("{process}\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), number(first.child.id()));
    let mut second = Served::start_with("second", &format!("pid {};", file.display()), auth);
    assert!(!second.child.wait().unwrap().success());
    let told = format!("names another process, {} (gatepost), which serves", first.child.id());
    assert!(second.log().contains(&told), "{}", second.log());
    assert!(!second.folder.join("imap").exists());
    assert_eq!(fs::read_to_string(&file).unwrap(), number(first.child.id()));
    fs::write(&file, number(std::process::id())).unwrap();
    kill_process(Pid::from_child(&first.child), Signal::TERM).unwrap();
    assert!(first.child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&file).unwrap(), number(std::process::id()));
}
