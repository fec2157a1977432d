//! A real Postfix: SMTP on a port of its own, XCLIENT from loopback, delivery to maildirs of two users.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::process::Command;

use super::maildir::{self, NOBODY};
use super::{
    Child, PATIENCE, Scratch, Skip, dovecot, free_address, require, require_root, scratch_directory,
};

/// The domain it takes mail for; the users are [`dovecot::USERS`].
pub const DOMAIN: &str = "example.org";

/// A running Postfix. It stops when this is dropped.
#[derive(Debug)]
pub struct Postfix {
    /// Where it speaks SMTP.
    pub smtp: SocketAddr,
    // Stopped before its directory goes.
    child: Child,
    scratch: Scratch,
}

impl Postfix {
    /// Whether it can be started here: its master insists on root.
    ///
    /// # Errors
    ///
    /// A [`Skip`] if it is not installed, or this is not root.
    pub fn available() -> Result<(), Skip> {
        require("postfix")?;
        require_root("postfix")
    }

    /// Starts one and waits until it listens. Its queue, its configuration and its log are its own; mail that is
    /// not for [`DOMAIN`] goes nowhere.
    ///
    /// # Errors
    ///
    /// If it cannot be started; the error holds what it said.
    pub fn start() -> io::Result<Self> {
        let scratch = scratch_directory("postfix")?;
        let smtp = free_address();
        for name in ["spool", "data", "mail"] {
            fs::create_dir(scratch.join(name))?;
        }
        chown(scratch.join("mail"), Some(NOBODY), Some(NOBODY))?;
        scratch.write("etc/main.cf", main_cf(&scratch))?;
        scratch.write("etc/master.cf", master_cf(smtp))?;
        let etc = scratch.join("etc");
        let found = Command::new(require("postconf").map_err(io::Error::other)?)
            .arg("-c")
            .arg(&etc)
            .args(["-h", "daemon_directory", "mail_owner"])
            .output()?;
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        let mut found = found.lines();
        let (Some(daemons), Some(owner)) = (found.next(), found.next()) else {
            return Err(io::Error::other("postconf does not know where Postfix keeps its programs"));
        };
        let owned = Command::new("chown").arg(owner).arg(scratch.join("data")).output()?;
        if !owned.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&owned.stderr).into_owned()));
        }
        // Makes the queue's directories. The script that usually starts the master would leave it behind in
        // a session of its own, out of our reach, hence the master itself below.
        let mut check = Command::new(require("postfix").map_err(io::Error::other)?);
        check.arg("-c").arg(&etc).arg("check");
        let mut check = Child::start("postfix check", check)?;
        if !check.wait(PATIENCE)?.success() {
            return Err(io::Error::other(format!("postfix check: {}", check.output())));
        }
        let mut command = Command::new(format!("{daemons}/master"));
        command.arg("-c").arg(&etc).arg("-d");
        let child = Child::start("postfix master", command)?;
        let mut postfix = Self { smtp, child, scratch };
        match postfix.child.wait_until_listening(smtp, PATIENCE) {
            Ok(()) => Ok(postfix),
            Err(error) => Err(io::Error::new(error.kind(), format!("{error}\n{}", postfix.log()))),
        }
    }

    /// Waits for a message to `user` that holds `text`, and gives it as delivered, with LF line ends.
    ///
    /// # Errors
    ///
    /// If none comes in time; the error holds Postfix's log.
    pub fn delivered(&self, user: &str, text: &str) -> io::Result<String> {
        maildir::find(&self.scratch.join("mail").join(user), text, PATIENCE)
            .map_err(|error| io::Error::new(error.kind(), format!("{error}\n{}", self.log())))
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.scratch.join("mail.log")).unwrap_or_default();
        format!("{}{}", self.child.output(), String::from_utf8_lossy(&log))
    }
}

fn main_cf(scratch: &Scratch) -> String {
    let directory = scratch.path().display();
    let mailboxes: Vec<_> = dovecot::USERS.iter().map(|user| format!("{user}@{DOMAIN}={user}/")).collect();
    format!(
        "compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
maillog_file = {directory}/mail.log
maillog_file_prefixes = {directory}
myhostname = mx.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
local_recipient_maps =
alias_maps =
alias_database =
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = inline:{{ {} }}
virtual_uid_maps = static:{NOBODY}
virtual_gid_maps = static:{NOBODY}
virtual_minimum_uid = 1
default_transport = error:no mail leaves this test
biff = no
",
        mailboxes.join(", ")
    )
}

/// Only what takes mail in and puts it into maildirs; nothing is chrooted, nothing listens but `smtpd`.
fn master_cf(smtp: SocketAddr) -> String {
    format!(
        "{smtp} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
showq unix n - n - - showq
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{run, unless_skipped};

    #[test]
    fn what_is_sent_is_found_delivered() {
        if unless_skipped(Postfix::available().and_then(|()| require("swaks"))).is_none() {
            return;
        }
        let postfix = Postfix::start().unwrap();
        let server = postfix.smtp.to_string();
        let sent = run(
            "swaks",
            &[
                "--server",
                &server,
                "--from",
                "a@example.net",
                "--to",
                "fred@example.org",
                "--body",
                "a stone age story",
            ],
        )
        .unwrap();
        assert_eq!(sent.code, Some(0), "{}\n{}", sent.said(), postfix.log());
        let message = postfix.delivered("fred", "a stone age story").unwrap();
        assert!(message.contains("\nReceived: from "), "{message}");
    }
}
