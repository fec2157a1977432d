//! Three real Dovecots behind one `upstream {}`, and one of them is stopped and started while clients log in.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gatepost_conformance::peer::{
    Child, Dovecot, PATIENCE, Talk, eventually, free_address, gatepost_binary, scratch_directory,
    unless_skipped,
};

/// How many logins an ordinary run makes. `GATEPOST_LOGINS=2000` makes it so many.
const LOGINS: usize = 300;

/// How many clients there are at any time.
const CLIENTS: usize = 4;

/// Logs in and out; tells the last line of the reply to the login.
fn log_in(gatepost: SocketAddr) -> io::Result<String> {
    let mut talk = Talk::to(gatepost)?;
    talk.hear("* OK")?;
    let reply = talk.ask("a LOGIN fred hunter2", "a ")?;
    // A session on a server that stops may not come to this, and its login succeeded.
    let _ = talk.ask("b LOGOUT", "b OK");
    Ok(reply.lines().last().unwrap_or_default().to_owned())
}

/// Whoever the stopped one had already been told of is sent away with a temporary code: no other may be told. All others get in.
#[test]
fn nobody_is_turned_away_but_whom_the_stopped_server_had_by_the_hand() {
    if unless_skipped(Dovecot::available()).is_none() {
        return;
    }
    let logins = std::env::var("GATEPOST_LOGINS").map_or(LOGINS, |text| text.parse().unwrap());
    let mut dovecots = [(); 3].map(|()| Dovecot::start().unwrap());
    let servers: String =
        dovecots.iter().map(|each| format!("server {} fail_timeout=1s;", each.imap)).collect();
    let listener = free_address();
    let files = scratch_directory("failover").unwrap();
    let log = files.join("log");
    let told = || std::fs::read_to_string(&log).unwrap();
    let text = format!(
        "daemon off;\nmaster_process off;\npid off;\nerror_log {} info;\nmail {{\n    upstream dovecots {{ least_conn; {servers} }}\n    proxy_pass dovecots;\n    \
         server {{ listen {listener}; protocol imap; proxy_connect_timeout 2s; }}\n}}\n",
        log.display()
    );
    let config = files.write("gatepost.conf", text).unwrap();
    let mut command = Command::new(gatepost_binary().unwrap());
    command.arg("-p").arg(files.path()).arg("-c").arg(config);
    let mut gatepost = Child::start("gatepost", command).unwrap();
    gatepost.wait_until_listening(listener, PATIENCE).unwrap();

    let (done, finished, refused) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(Vec::new()));
    let stopped = dovecots.last_mut().unwrap();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while done.fetch_add(1, Ordering::Relaxed) < logins || !finished.load(Ordering::Relaxed) {
                    match log_in(listener).map_err(|error| error.to_string()) {
                        Ok(reply) if reply.starts_with("a OK") => {}
                        other => refused.lock().unwrap().push(other),
                    }
                }
            });
        }
        let wait_for = |part: usize| {
            while done.load(Ordering::Relaxed) < logins * part / 10 {
                thread::sleep(Duration::from_millis(5));
            }
        };
        wait_for(3);
        stopped.stop();
        wait_for(6);
        let started = stopped.start_again();
        let (stop, again) = (told().len(), format!("upstream: {}\n", stopped.imap));
        let is_back = || {
            let log = told();
            let later = log.get(stop..).unwrap_or_default();
            later
                .split_inclusive('\n')
                .any(|line| line.contains("client logged in") && line.ends_with(&again))
        };
        let came_back = started.is_ok() && eventually(PATIENCE, is_back);
        finished.store(true, Ordering::Relaxed);
        started.unwrap();
        assert!(came_back, "{}", told());
    });
    let refused = refused.into_inner().unwrap();
    let log = told();
    assert!(refused.len() <= CLIENTS, "{refused:?}\n{log}");
    for reply in &refused {
        let Ok(reply) = reply else { panic!("{reply:?}\n{log}") };
        assert!(reply.starts_with("a NO [UNAVAILABLE]"), "{reply}");
    }
    let address = stopped.imap;
    // How far a session got with it when it stopped is a matter of moments.
    let failed = log.lines().filter(|line| line.contains("[error]"));
    let failed: Vec<_> = failed.filter(|line| line.ends_with(&address.to_string())).collect();
    assert!(!failed.is_empty(), "somebody was to be sent there in vain\n{log}");
    println!("{} logins, {} sent away, {} tries in vain", done.into_inner(), refused.len(), failed.len());
}
