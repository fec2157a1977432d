//! What a service manager does: it passes sockets, and wants to be told.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Signal;

use crate::served::{Folder, Said, Served};

/// The next message to the service manager, a line each.
fn told(manager: &UnixDatagram) -> Vec<String> {
    let mut octets = [0; 4096];
    let count = manager.recv(&mut octets).expect("a message");
    String::from_utf8_lossy(&octets[..count]).lines().map(str::to_owned).collect()
}

#[test]
fn it_serves_on_the_socket_that_was_passed_and_tells_how_it_is() {
    let folder = Folder::new();
    let manager = UnixDatagram::bind(folder.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It waits from before there is anybody to serve it.
    let mut early = TcpStream::connect(address).unwrap();
    early.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    fcntl_setfd(&listener, FdFlags::empty()).unwrap();
    let number = listener.as_raw_fd();
    let notify = folder.path("notify");
    let mut served = Served::start_in(
        folder,
        address,
        &Said::main("worker_processes 2;"),
        |program, file| {
            let mut command = Command::new("/bin/bash");
            let script = "exec 3<&\"$2\"; [ \"$2\" = 3 ] || exec {2}<&-; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" -c \"$1\"";
            let script = script.replace("exec {2}<&-", "eval \"exec $2<&-\"");
            command
                .args(["-c", &script, program])
                .arg(file)
                .arg(number.to_string())
                .env("NOTIFY_SOCKET", &notify);
            command
        },
    );
    // Whoever passed it has no more to do with it.
    drop(listener);
    let ready = told(&manager);
    assert_eq!(ready[..2], ["READY=1".to_owned(), format!("MAINPID={}", served.child.id())]);
    assert!(ready[2].starts_with("STATUS="), "{ready:?}");
    let mut greeting = [0; 16];
    early.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"+OK POP3 ready\r\n");
    served.signal(Signal::HUP);
    let reloading = told(&manager);
    assert_eq!(reloading[0], "RELOADING=1");
    assert!(reloading[1].strip_prefix("MONOTONIC_USEC=").is_some_and(|time| time.parse::<u64>().is_ok()));
    assert_eq!(told(&manager)[0], "READY=1");
    served.folder.write("mail.conf", "mail {");
    served.signal(Signal::HUP);
    assert_eq!(told(&manager)[0], "RELOADING=1");
    let refused = told(&manager);
    assert_eq!(refused[0], "READY=1");
    assert!(refused[2].contains("was refused"), "{refused:?}");
    let mut late = TcpStream::connect(address).unwrap();
    late.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    late.read_exact(&mut greeting).unwrap();
    // While sessions are let end, the manager is not to count the seconds.
    served.signal(Signal::QUIT);
    let quitting = told(&manager);
    assert!(quitting.iter().all(|said| said.starts_with("STATUS=")), "{quitting:?}");
    served.signal(Signal::TERM);
    assert_eq!(told(&manager)[0], "STOPPING=1");
    assert!(served.ended_well());
}
