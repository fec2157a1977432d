//! A real Dovecot: IMAP and POP3 for two users, in plaintext, on ports of its own.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::maildir::{self, NOBODY};
use super::{Child, PATIENCE, Scratch, Skip, free_address, require, scratch_directory};

/// The users it knows. Their password is always `hunter2`.
pub const USERS: [&str; 2] = ["fred", "wilma"];

/// A running Dovecot. It stops when this is dropped.
#[derive(Debug)]
pub struct Dovecot {
    /// Where it speaks IMAP.
    pub imap: SocketAddr,
    /// Where it speaks POP3.
    pub pop3: SocketAddr,
    owner: Option<u32>,
    config: PathBuf,
    // Stopped before its directory goes.
    child: Option<Child>,
    scratch: Scratch,
}

impl Dovecot {
    /// Whether it can be started here.
    ///
    /// # Errors
    ///
    /// A [`Skip`] if it is not installed, or not with IMAP and POP3.
    pub fn available() -> Result<(), Skip> {
        let program = require("dovecot")?;
        // Debian keeps the two protocols in packages of their own, whose programs say whether they are there.
        let libexec = ["/usr/lib/dovecot", "/usr/libexec/dovecot", "/usr/local/libexec/dovecot"];
        let has = |name: &str| libexec.iter().any(|directory| Path::new(directory).join(name).exists());
        match (has("imap-login"), has("pop3-login")) {
            (false, _) => Err(Skip::because(format!("{} has no IMAP", program.display()))),
            (_, false) => Err(Skip::because(format!("{} has no POP3", program.display()))),
            (true, true) => Ok(()),
        }
    }

    /// Starts one, as root or as anybody, and waits until it listens on both ports.
    ///
    /// # Errors
    ///
    /// If it cannot be started; the error holds what it said.
    pub fn start() -> io::Result<Self> {
        let scratch = scratch_directory("dovecot")?;
        let (imap, pop3) = (free_address(), free_address());
        let uid = rustix::process::geteuid();
        let owner = uid.is_root().then_some(NOBODY);
        let users: String = USERS.iter().map(|user| format!("{user}:{{PLAIN}}hunter2::::::\n")).collect();
        scratch.write("users", users)?;
        let (uid, gid) = match owner {
            Some(nobody) => (nobody, nobody),
            None => (uid.as_raw(), rustix::process::getegid().as_raw()),
        };
        let mut config = configuration(&scratch, imap.port(), pop3.port(), uid, gid);
        if owner.is_none() {
            // Without root nothing can change its user, so all of it runs as the one there is.
            config.push_str(&format!(
                "default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n",
                user = said_by("id", &["-un"])?,
                group = said_by("id", &["-gn"])?,
            ));
        }
        let config = scratch.write("dovecot.conf", config)?;
        let child = Some(launch(&config, &[imap, pop3])?);
        Ok(Self { imap, pop3, owner, config, child, scratch })
    }

    /// Stops it. Its mail stays, and so do its ports.
    pub fn stop(&mut self) {
        self.child = None;
    }

    /// Starts it again, and waits until it listens.
    ///
    /// # Errors
    ///
    /// As [`Dovecot::start`].
    pub fn start_again(&mut self) -> io::Result<()> {
        self.child = Some(launch(&self.config, &[self.imap, self.pop3])?);
        Ok(())
    }

    /// Puts `message`, with CRLF line ends, into `user`'s mailbox as new mail.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn deliver(&self, user: &str, message: &[u8]) -> io::Result<()> {
        maildir::deliver(&self.scratch.join("mail").join(user), self.owner, message)
    }

    /// What it logged since it was started last.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.as_ref().map(Child::output).unwrap_or_default()
    }
}

fn launch(config: &Path, listens: &[SocketAddr]) -> io::Result<Child> {
    let mut command = Command::new(require("dovecot").map_err(io::Error::other)?);
    command.arg("-F").arg("-c").arg(config);
    let mut child = Child::start("dovecot", command)?;
    listens.iter().try_for_each(|&address| child.wait_until_listening(address, PATIENCE))?;
    Ok(child)
}

/// Chroots are off, as they need root and prove nothing here. Mailboxes take any user id, as `nobody`'s is high.
/// Failed logins cost no time: tests make them on purpose.
fn configuration(scratch: &Scratch, imap: u16, pop3: u16, uid: u32, gid: u32) -> String {
    let directory = scratch.path().display();
    format!(
        "base_dir = {directory}/run
state_dir = {directory}/state
instance_name = gatepost-test-{imap}
log_path = /dev/stderr
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0 secs
first_valid_uid = 1
last_valid_uid = 0
first_valid_gid = 1
last_valid_gid = 0
mail_location = maildir:{directory}/mail/%u
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {directory}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"
    )
}

fn said_by(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{curl, unless_skipped};

    const MESSAGE: &[u8] = b"Subject: known\r\n\r\n.a line that begins with a dot\r\nna\xC3\xAFve\r\n";

    #[test]
    fn a_user_reads_what_was_delivered_over_both_protocols() {
        let wanted = Dovecot::available().and_then(|()| require("curl"));
        if unless_skipped(wanted).is_none() {
            return;
        }
        let dovecot = Dovecot::start().unwrap();
        dovecot.deliver("fred", MESSAGE).unwrap();
        for url in
            [format!("imap://{}/INBOX;MAILINDEX=1", dovecot.imap), format!("pop3://{}/1", dovecot.pop3)]
        {
            let read = curl(&["--user", "fred:hunter2", &url]).unwrap();
            assert_eq!(read.stdout, MESSAGE, "{url}: {}\n{}", read.said(), dovecot.log());
            let refused = curl(&["--user", "wilma:hunter3", &url]).unwrap();
            assert_eq!(refused.code, Some(67), "{url}: {}", refused.said());
        }
    }
}
