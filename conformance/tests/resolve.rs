//! A name in an `upstream {}` that moves while Gatepost serves: `server … resolve`.

use std::net::SocketAddr;
use std::process::Command;

use gatepost_conformance::peer::{
    Child, MailServer, NameServer, PATIENCE, Talk, eventually, free_address, gatepost_binary,
    scratch_directory,
};

/// Logs in; gives the session, which is still open, and where it is.
fn log_in(gatepost: SocketAddr) -> std::io::Result<(Talk, String)> {
    let mut talk = Talk::to(gatepost)?;
    talk.hear("* OK")?;
    talk.ask("a LOGIN fred hunter2", "a OK")?;
    let place = place(&mut talk)?;
    Ok((talk, place))
}

fn place(talk: &mut Talk) -> std::io::Result<String> {
    let reply = talk.ask("b NOOP", "b OK")?;
    Ok(reply.trim_end().trim_start_matches("b OK ").to_owned())
}

#[test]
fn logins_follow_a_name_that_moves_and_sessions_stay() {
    let dns = NameServer::start("mail.gatepost.test").unwrap();
    let port = free_address().port();
    let old = MailServer::start_at(([127, 0, 0, 2], port).into(), "imap", "at the old one").unwrap();
    let new = MailServer::start_at(([127, 0, 0, 3], port).into(), "imap", "at the new one").unwrap();
    let (listener, files) = (free_address(), scratch_directory("resolve").unwrap());
    let log = files.join("log");
    let told = || std::fs::read_to_string(&log).unwrap();
    let text = format!(
        "daemon off;\npid {};\nworker_processes 2;\nworker_shutdown_timeout 1s;\nerror_log {} info;\nmail {{\n    \
         resolver {};\n    upstream backends {{ server mail.gatepost.test:{port} resolve; }}\n    \
         proxy_pass backends;\n    server {{ listen {listener}; protocol imap; }}\n}}\n",
        files.join("pid").display(),
        log.display(),
        dns.address
    );
    let config = files.write("gatepost.conf", text).unwrap();
    let mut command = Command::new(gatepost_binary().unwrap());
    command.arg("-p").arg(files.path()).arg("-c").arg(config);
    let mut gatepost = Child::start("gatepost", command).unwrap();
    gatepost.wait_until_listening(listener, PATIENCE).unwrap();

    // The name does not exist, which keeps nobody from starting.
    let warning = format!("host not found in upstream \"mail.gatepost.test:{port}\"");
    assert!(gatepost.output().contains(&warning), "{}", gatepost.output());
    let line = "\"mail.gatepost.test\" could not be resolved (3: Host not found) while renewing upstream \"backends\"";
    assert!(eventually(PATIENCE, || told().contains(line)), "{}", told());
    let mut talk = Talk::to(listener).unwrap();
    talk.hear("* OK").unwrap();
    talk.ask("a LOGIN fred hunter2", "a NO [UNAVAILABLE]").unwrap();

    dns.moves_to(&[old.address.ip()]);
    let is_now = |place: &str| format!("\"mail.gatepost.test\" is now {place} in upstream \"backends\"");
    assert!(eventually(PATIENCE, || told().contains(&is_now("127.0.0.2"))), "{}", told());
    let (mut staying, place_before) = log_in(listener).unwrap();
    assert_eq!(place_before, "at the old one");

    dns.moves_to(&[new.address.ip()]);
    assert!(eventually(PATIENCE, || told().contains(&is_now("127.0.0.3"))), "{}", told());
    let (_session, place_after) = log_in(listener).unwrap();
    assert_eq!(place_after, "at the new one");
    assert_eq!(place(&mut staying).unwrap(), "at the old one");

    // A name that is gone is no reason to send anybody away.
    dns.moves_to(&[]);
    assert!(eventually(PATIENCE, || told().matches(line).count() == 2), "{}", told());
    assert_eq!(log_in(listener).unwrap().1, "at the new one");
    let lines = told();
    assert_eq!(lines.matches(" is now ").count(), 2, "one of the threads looks it up: {lines}");
}
