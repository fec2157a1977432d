//! A real web server as the auth server: nginx, under TLS, by connections that are kept.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::net::SocketAddr;
use std::process::Command;

use gatepost_conformance::peer::{
    Certificate, Child, PATIENCE, Scratch, Talk, eventually, free_address, gatepost_binary, require,
    scratch_directory, unless_skipped,
};

/// How many questions nginx takes on one connection before it says that it is the last.
const QUESTIONS_MAX: usize = 5;

/// How many logins each way of answering is tried by.
const LOGINS: usize = 7;

/// An answer without a body, one with a length, one in chunks, and a page for people.
const WAYS: [&str; 4] = [
    "add_header Auth-Status no always; return 204;",
    "add_header Auth-Status no always; return 200 body;",
    "add_header Auth-Status no always; ssi on; ssi_types *; return 200 body;",
    "return 401;",
];

/// nginx as an auth server that answers at `/0`, `/1` and so on.
fn nginx(files: &Scratch, certificate: &Certificate, at: SocketAddr) -> Child {
    let folder = files.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|of| format!("    {of}_temp_path {folder}/{of};\n"))
        .concat();
    let ways: String = WAYS
        .iter()
        .enumerate()
        .map(|(way, does)| format!("        location = /{way} {{ {does} }}\n"))
        .collect();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\nevents {{ }}\n\
         http {{\n{temporary}    log_format questions '$connection $request';\n    \
         access_log {folder}/questions questions;\n    \
         server {{\n        listen {at} ssl;\n        ssl_certificate {};\n        ssl_certificate_key {};\n        \
         keepalive_requests {QUESTIONS_MAX};\n{ways}    }}\n}}\n",
        certificate.certificate.display(),
        certificate.key.display(),
    );
    let config = files.write("nginx.conf", text).unwrap();
    let mut command = Command::new(require("nginx").unwrap());
    command.arg("-p").arg(files.path()).arg("-e").arg(files.join("nginx.log")).arg("-c").arg(config);
    let mut nginx = Child::start("nginx", command).unwrap();
    nginx.wait_until_listening(at, PATIENCE).unwrap();
    nginx
}

/// Gatepost with a listener for each way of answering.
fn gatepost(
    files: &Scratch,
    certificate: &Certificate,
    auth: SocketAddr,
) -> (Child, [SocketAddr; WAYS.len()]) {
    let listeners = WAYS.map(|_| free_address());
    let servers: String = listeners
        .iter()
        .enumerate()
        .map(|(way, listener)| {
            format!("    server {{ listen {listener}; protocol pop3; auth_http https://{auth}/{way}; }}\n")
        })
        .collect();
    let text = format!(
        "daemon off;\nmaster_process off;\npid off;\nerror_log {} info;\n\
         mail {{\n    auth_http_keepalive 2;\n    auth_http_ssl_trusted_certificate {};\n{servers}}}\n",
        files.join("gatepost.log").display(),
        certificate.certificate.display(),
    );
    let config = files.write("gatepost.conf", text).unwrap();
    let mut command = Command::new(gatepost_binary().unwrap());
    command.arg("-p").arg(files.path()).arg("-c").arg(config);
    let mut gatepost = Child::start("gatepost", command).unwrap();
    for listener in listeners {
        gatepost.wait_until_listening(listener, PATIENCE).unwrap();
    }
    (gatepost, listeners)
}

#[test]
fn nginx_is_asked_as_often_as_it_likes_on_a_connection_however_it_ends_its_answers() {
    if unless_skipped(require("nginx")).is_none() {
        return;
    }
    let files = scratch_directory("auth-nginx").unwrap();
    let certificate = Certificate::make(&files).unwrap();
    let auth = free_address();
    let _nginx = nginx(&files, &certificate, auth);
    let (_gatepost, listeners) = gatepost(&files, &certificate, auth);
    for (way, listener) in WAYS.iter().zip(listeners) {
        for _ in 0..LOGINS {
            let mut talk = Talk::to(listener).unwrap();
            talk.hear("+OK").unwrap();
            talk.ask("USER joe", "+OK").unwrap();
            let reply = talk.ask("PASS hunter2", "-ERR").unwrap();
            let refusal = if way.contains("Auth-Status") { "-ERR no" } else { "-ERR Authentication failed" };
            assert_eq!(reply.lines().last(), Some(refusal), "{way}");
        }
    }
    let questions = || std::fs::read_to_string(files.join("questions")).unwrap_or_default();
    let logins = WAYS.len() * LOGINS;
    assert!(eventually(PATIENCE, || questions().lines().count() == logins), "{}", questions());
    let questions = questions();
    assert!(questions.lines().all(|line| line.ends_with(" HTTP/1.1")), "{questions}");
    let mut connections: Vec<_> = questions.lines().filter_map(|line| line.split(' ').next()).collect();
    connections.sort_unstable();
    connections.dedup();
    // A busy machine may be late with the rest of an answer now and then.
    let fewest = logins.div_ceil(QUESTIONS_MAX);
    assert!((fewest..=logins / 2).contains(&connections.len()), "{questions}");
    let log = std::fs::read_to_string(files.join("gatepost.log")).unwrap();
    assert!(!log.contains("[error]"), "{log}");
    println!("{logins} logins on {} connections", connections.len());
}
