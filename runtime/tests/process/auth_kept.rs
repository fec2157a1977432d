//! Kept connections to an auth server, met by the process as operators run it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::served::{Said, Served, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// A question, up to its empty line; none if the connection ends before.
fn question(stream: &mut TcpStream) -> Option<String> {
    let (mut asked, mut octet) = (Vec::new(), [0]);
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read(&mut octet).unwrap() {
            0 if asked.is_empty() => return None,
            0 => panic!("half a question"),
            _ => asked.extend_from_slice(&octet),
        }
    }
    Some(String::from_utf8(asked).unwrap())
}

/// What somebody who gives a password hears.
fn log_in(served: &Served, login: &str) -> String {
    let mut client = TcpStream::connect(served.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(format!("USER {login}\r\nPASS hunter2\r\n").as_bytes()).unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    heard
}

/// The questions that came on each connection.
type Asked = Arc<Mutex<Vec<Vec<String>>>>;

/// Refuses everybody by name. It hangs up on its first visitor behind the tenth question.
fn serve(listener: TcpListener, asked: &Asked) {
    let asked = asked.clone();
    // Ends with the process of the tests.
    thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            asked.lock().unwrap().push(Vec::new());
            let (asked, mut stream) = (asked.clone(), stream.unwrap());
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let has_enough = || at == 0 && asked.lock().unwrap()[0].len() == 10;
                while !has_enough()
                    && let Some(question) = question(&mut stream)
                {
                    let login = question.split("Auth-User: ").nth(1).unwrap().split("\r\n").next().unwrap();
                    let head =
                        format!("HTTP/1.1 200 OK\r\nAuth-Status: {login}\r\nContent-Length: 2\r\n\r\n");
                    asked.lock().unwrap()[at].push(question);
                    stream.write_all(head.as_bytes()).unwrap();
                    stream.write_all(b"no").unwrap();
                }
            });
        }
    });
}

#[test]
fn logins_share_connections_until_the_auth_server_or_a_reload_ends_them() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let said = Said {
        mail: format!("auth_http {}; auth_http_keepalive 4;", listener.local_addr().unwrap()),
        ..Said::default()
    };
    let asked = Asked::default();
    serve(listener, &asked);
    let served = Served::start(&said);
    let ask = |logins: std::ops::Range<usize>| {
        for login in logins {
            let heard = log_in(&served, &format!("user{login}"));
            assert_eq!(heard, format!("+OK POP3 ready\r\n+OK\r\n-ERR user{login}\r\n"));
            // The rest of the answer comes right behind it.
            thread::sleep(Duration::from_millis(20));
        }
    };
    ask(0..25);
    let before = asked.lock().unwrap().len();
    served.signal(Signal::HUP);
    eventually("a new worker", || served.count("start worker process ") > 1);
    eventually("the old one is gone", || served.workers().len() == 1);
    served.wait_until_it_answers();
    ask(25..30);
    let asked = asked.lock().unwrap();
    assert_eq!((asked[0].len(), asked.iter().flatten().count()), (10, 30));
    // A busy machine may be late with the rest of an answer now and then.
    assert!(before >= 2 && asked.len() > before && asked.len() < 15, "{} connections", asked.len());
    for question in asked.iter().flatten() {
        let start = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n";
        assert!(question.starts_with(start), "{question}");
    }
    assert_eq!(served.count("[error]"), 0);
}
