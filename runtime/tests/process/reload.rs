//! HUP and QUIT under load: nobody is refused, nothing is lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;

use crate::load::Load;
use crate::peers::Peers;
use crate::served::{Said, Served, eventually};

/// A certificate and its key, as PEM, and the certificate as it is shown.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key: String,
    pub(crate) shown: Vec<u8>,
}

pub(crate) fn certificate() -> Certificate {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["mail.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    Certificate { pem: certificate.pem(), key: key.serialize_pem(), shown: certificate.der().to_vec() }
}

/// Replaces certificate and key in a folder, and tells what the configuration says of them.
pub(crate) fn put(certificate: &Certificate, folder: &crate::served::Folder) -> String {
    let (file, key) =
        (folder.write("mail.crt", &certificate.pem), folder.write("mail.key", &certificate.key));
    format!("ssl_certificate {}; ssl_certificate_key {};", file.display(), key.display())
}

/// For the load: everybody may log in, by TLS too.
pub(crate) fn said(peers: &Peers, folder: &crate::served::Folder, threads: usize, main: &str) -> Said {
    let tls = format!("ssl_certificate {0}/mail.crt; ssl_certificate_key {0}/mail.key;", folder.0.display());
    Said {
        main: format!("worker_processes {threads}; {main}"),
        events: "worker_connections 4096;".to_owned(),
        mail: format!("auth_http {}; {tls}", peers.auth),
    }
}

/// Starts it with a first certificate.
pub(crate) fn start(peers: &Peers, main: &str) -> (Served, Certificate) {
    let (folder, first) = (crate::served::Folder::new(), certificate());
    put(&first, &folder);
    let said = said(peers, &folder, 2, main);
    let served = Served::start_in(folder, crate::served::free(), &said, |program, file| {
        let mut command = std::process::Command::new(program);
        command.arg("-c").arg(file);
        command
    });
    served.await_line("notice", "start worker process ");
    served.wait_until_it_answers();
    (served, first)
}

#[test]
fn twenty_reloads_disturb_nobody_and_a_new_certificate_is_shown_at_once() {
    let peers = Peers::start();
    let (mut served, first) = start(&peers, "");
    let load = Load::start(served.address, served.secure);
    let mut workers = served.workers();
    assert_eq!(workers.len(), 1);
    let second = certificate();
    for round in 1..=20 {
        match round {
            // A file that is broken changes nothing.
            5 => drop(served.folder.write("mail.conf", "mail { server { listen 1; protcol imap; } }")),
            // A key that does not belong to the certificate neither.
            8 => drop(served.folder.write("mail.crt", &second.pem)),
            12 => drop(put(&second, &served.folder)),
            // With more threads, with fewer, as before.
            _ => served.configure(&said(&peers, &served.folder, [2, 4, 1][round % 3], "")),
        }
        let (before, changed) = (served.count("start worker process "), load.elapsed());
        served.signal(Signal::HUP);
        match round {
            5 => served.await_line("emerg", "unknown directive \"protcol\" in "),
            8..12 => {
                eventually("it is refused", || served.count("key values mismatch") >= round - 7);
            }
            _ => eventually("a new worker", || served.count("start worker process ") > before),
        }
        match round {
            5 | 8..12 => assert_eq!(served.count("start worker process "), before, "in round {round}"),
            _ => {
                let newest = |served: &Served| *served.workers().last().unwrap();
                eventually("it is another", || !workers.contains(&newest(&served)));
                workers.push(newest(&served));
            }
        }
        load.await_logins(10);
        load.nothing_broke();
        if round == 12 {
            eventually("the new one is shown", || load.last_shown(&second.shown).is_some());
            load.await_logins(400);
            let last = load.last_shown(&first.shown).unwrap();
            assert!(
                last < changed + Duration::from_secs(1),
                "the old one was shown at {last:?}, changed at {changed:?}"
            );
        }
    }
    let seen = load.end();
    let (logins, octets) = (seen.logins.load(Ordering::Relaxed), seen.octets.load(Ordering::Relaxed));
    println!("{logins} logins, {octets} octets said back to those who stayed");
    // Those who stayed were with the first worker; with them it ends.
    eventually("only the newest is left", || served.workers() == workers[workers.len() - 1..]);
    served.signal(Signal::QUIT);
    assert!(served.ended_well());
}

#[test]
fn quit_accepts_who_waits_and_lets_everybody_finish() {
    let peers = Peers::start();
    let (mut served, _) = start(&peers, "");
    let load = Load::start(served.address, served.secure);
    load.await_logins(100);
    load.nobody_comes_any_more();
    served.signal(Signal::QUIT);
    eventually("nobody new is let in", || std::net::TcpStream::connect(served.address).is_err());
    let octets = load.seen.octets.load(Ordering::Relaxed);
    eventually("those who are there go on", || load.seen.octets.load(Ordering::Relaxed) > octets + 100_000);
    load.end();
    assert!(served.ended_well());
    served.await_line("notice", "exit");
}
