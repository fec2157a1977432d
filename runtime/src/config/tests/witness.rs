//! `nginx -t` as a witness: what the nginx of this machine says to a file, beside what Gatepost says to the same.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::all_lines;
use crate::config::{Options, Severity, Surroundings, System, load};

/// Where Debian keeps the mail module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";

/// The first line of every file, and what it begins with: all of it on one line, so that what follows keeps its numbers but for the
/// first.
const HEAD: [&str; 3] = ["error_log stderr;", "pid gatepost-test.pid;", "events {}"];

/// Whether nginx is there to be asked. A test that it is missing for says so, and fails where `CI` is `true`.
pub(super) fn is_there() -> bool {
    if Command::new("nginx").arg("-v").output().is_ok() {
        return true;
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nginx is not installed");
    let thread = std::thread::current();
    eprintln!("{}: skipped: nginx is not installed", thread.name().unwrap_or("test"));
    false
}

/// A folder of a test's own with one configuration in it, a certificate `desk.pem`, its key `desk.key`, a key
/// `other.key` that is nobody's, and a users file. Removed when dropped.
pub(super) struct Desk(PathBuf);

impl Desk {
    pub(super) fn new(test: &str) -> Self {
        static DESKS: AtomicUsize = AtomicUsize::new(0);
        let number = DESKS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gatepost-{test}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let new_key = || rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let key = new_key();
        let params = rcgen::CertificateParams::new(vec!["mx.test".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join("desk.pem"), certificate.pem()).expect("written");
        std::fs::write(folder.join("desk.key"), key.serialize_pem()).expect("written");
        std::fs::write(folder.join("other.key"), new_key().serialize_pem()).expect("written");
        std::fs::write(folder.join("users"), "joe:{PLAIN}hunter2:127.0.0.1\n").expect("written");
        Self(folder)
    }

    /// Changes who may do what with one of its files.
    pub(super) fn permit(&self, name: &str, permissions: std::fs::Permissions) {
        std::fs::set_permissions(self.0.join(name), permissions).expect("changed");
    }

    /// Writes `text` behind the usual first line, without those of its directives that are called `without`.
    pub(super) fn write(&self, text: &str, without: &[&str]) {
        let module =
            if Path::new(MODULE).exists() { format!("load_module {MODULE}; ") } else { String::new() };
        let left_out = |directive: &str| without.contains(&directive.split(' ').next().unwrap_or_default());
        let head: Vec<_> = HEAD.into_iter().filter(|directive| !left_out(directive)).collect();
        std::fs::write(self.file(), format!("{module}{} {text}", head.join(" "))).expect("written");
    }

    /// Adds a certificate and its key, which the test's password unlocks where it is locked; another key; and files for
    /// other purposes.
    pub(super) fn keys(&self) {
        let path = |name: &str| self.0.join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("written");
        let key = || rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let own = key();
        let params = rcgen::CertificateParams::new(vec!["mail.example".to_owned()]).expect("a name");
        write("own.crt", &params.self_signed(&own).expect("a certificate").pem());
        write("own.key", &own.serialize_pem());
        write("other.key", &key().serialize_pem());
        for (name, options) in [("locked.key", &["pkcs8", "-topk8"][..]), ("old.key", &["ec", "-aes256"])] {
            // What a wrong pass phrase makes of a key looks like padding now and then, and is called otherwise then.
            let locked = (0..100).any(|_| {
                let mut openssl = Command::new("openssl");
                openssl.args(options).args(["-passout", "pass:hunter2", "-in"]).arg(path("own.key"));
                assert!(openssl.arg("-out").arg(path(name)).output().expect("openssl").status.success());
                let mut openssl = Command::new("openssl");
                let said = openssl.args(["pkey", "-passin", "pass:wrong", "-in"]).arg(path(name)).output();
                String::from_utf8_lossy(&said.expect("openssl").stderr).contains("bad decrypt")
            });
            assert!(locked, "{name}");
        }
        write("right", "wrong\nhunter2\n");
        write("wrong", "wrong\n");
        write("empty", "");
        write("key48", &"k".repeat(48));
        write("key80", &"k".repeat(80));
    }

    fn file(&self) -> PathBuf {
        self.0.join("nginx.conf")
    }

    /// The first thing that nginx refuses the file for; none if it takes it.
    pub(super) fn nginx(&self) -> Option<String> {
        let mut command = Command::new("nginx");
        command.arg("-t").arg("-p").arg(&self.0).arg("-c").arg(self.file());
        let output = command.output().expect("nginx");
        if output.status.success() {
            return None;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find_map(|line| line.split_once("[emerg] ")).map_or("", |(_, line)| line);
        // nginx's log lines begin with its process id.
        Some(match line.split_once(": ") {
            Some((ids, rest)) if ids.contains('#') && ids.chars().all(|c| c == '#' || c.is_ascii_digit()) => {
                rest.to_owned()
            }
            _ => line.to_owned(),
        })
    }

    /// The first thing that Gatepost refuses the file for; none if it takes it and can open what it names.
    pub(super) fn gatepost(&self) -> Option<String> {
        match load(&self.file(), &Options::new(&self.0, &System)) {
            Ok(loaded) => System.try_out(&loaded.config).err().map(|error| error.to_string()),
            Err(told) => {
                let refusal = told.iter().find(|each| each.severity == Severity::Emerg);
                refusal.map(|refusal| refusal.message().to_string())
            }
        }
    }

    /// Everything that Gatepost has to say about the file, as if the folder were `/etc/nginx`.
    pub(super) fn told(&self) -> String {
        let told = match load(&self.file(), &Options::new(&self.0, &System)) {
            Ok(loaded) => loaded.warnings,
            Err(told) => told,
        };
        all_lines(&told).replace(&self.0.display().to_string(), "/etc/nginx")
    }

    /// `said` without the place behind it.
    pub(super) fn bare(&self, said: &str) -> String {
        let place = format!(" in {}:", self.file().display());
        said.rfind(&place).map_or(said, |at| &said[..at]).to_owned()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
