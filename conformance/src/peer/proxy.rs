//! Gatepost, or nginx with the very same file, in front of three mail protocols.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{
    Certificate, Child, Ends, PATIENCE, Scratch, Skip, free_address, gatepost_binary, require,
    scratch_directory,
};

/// Where Debian's `libnginx-mod-mail` puts nginx's mail module. Other builds have it inside.
const NGINX_MAIL_MODULE: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Ours.
    Gatepost,
    /// nginx: a witness that the test asks for the right thing.
    Nginx,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gatepost => "gatepost",
            Self::Nginx => "nginx",
        })
    }
}

/// A running mail proxy. It stops when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// IMAP, with STARTTLS.
    pub imap: SocketAddr,
    /// IMAP under TLS.
    pub imaps: SocketAddr,
    /// POP3, with STLS.
    pub pop3: SocketAddr,
    /// POP3 under TLS.
    pub pop3s: SocketAddr,
    /// SMTP, with STARTTLS.
    pub smtp: SocketAddr,
    /// SMTP under TLS.
    pub smtps: SocketAddr,
    // Stopped before its directory goes.
    child: Child,
    certificate: Certificate,
    scratch: Scratch,
}

impl Proxy {
    /// The mechanisms it offers unless told otherwise.
    pub const USUAL_MECHANISMS: &str = "imap_auth plain login; pop3_auth plain; smtp_auth plain login;";

    /// Whether it can be started here.
    ///
    /// # Errors
    ///
    /// A [`Skip`] if nginx is asked for and is not installed, or has no mail module.
    pub fn available(which: Which) -> Result<(), Skip> {
        if which == Which::Gatepost {
            return Ok(());
        }
        let nginx = require("nginx")?;
        if Path::new(NGINX_MAIL_MODULE).exists() {
            return Ok(());
        }
        let version = Command::new(nginx).arg("-V").output();
        let version =
            version.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
        match version.split_whitespace().any(|option| option == "--with-mail") {
            true => Ok(()),
            false => Err(Skip::because("libnginx-mod-mail is not installed")),
        }
    }

    /// Starts one that asks the auth server at `auth`, and waits until it listens everywhere. `directives` go into
    /// `mail {}`.
    ///
    /// # Errors
    ///
    /// If it cannot be started; the error holds what it said.
    pub fn start(which: Which, auth: SocketAddr, directives: &str) -> io::Result<Self> {
        Self::start_offering(which, auth, Self::USUAL_MECHANISMS, directives)
    }

    /// As [`Proxy::start`], with the directives that name mechanisms in place of the usual ones.
    ///
    /// # Errors
    ///
    /// As [`Proxy::start`].
    pub fn start_offering(
        which: Which,
        auth: SocketAddr,
        mechanisms: &str,
        directives: &str,
    ) -> io::Result<Self> {
        let directives = &format!("{mechanisms}\n    {directives}");
        let scratch = scratch_directory(&which.to_string())?;
        let certificate = Certificate::make(&scratch)?;
        let listeners @ [imap, imaps, pop3, pop3s, smtp, smtps] = std::array::from_fn(|_| free_address());
        let config = configuration(&scratch, &certificate, auth, directives, &listeners);
        let config = scratch.write("nginx.conf", config)?;
        let mut command = match which {
            Which::Gatepost => Command::new(gatepost_binary()?),
            Which::Nginx => {
                let mut command = Command::new(require("nginx").map_err(io::Error::other)?);
                // Or it complains about a log of the system's that it may not open.
                command.arg("-e").arg(scratch.join("error.log"));
                command
            }
        };
        command.arg("-p").arg(scratch.path()).arg("-c").arg(config);
        let mut child = Child::start(&which.to_string(), command)?;
        for listener in listeners {
            child.wait_until_listening(listener, PATIENCE)?;
        }
        Ok(Self { imap, imaps, pop3, pop3s, smtp, smtps, child, certificate, scratch })
    }

    /// The file that a client should trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.certificate.certificate.clone()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn lives(&mut self) -> io::Result<bool> {
        Ok(self.child.ended()?.is_none())
    }

    /// How many files and sockets it holds open.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn descriptors(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// The lines of its `error_log` about the latest connection between these ends, without what every line begins
    /// with. The first says that it connected; no lines if it was not accepted yet.
    #[must_use]
    pub fn log_of(&self, client: Ends) -> Vec<String> {
        let log = self.log();
        let arrived = format!(" client {} connected to {}", client.local, client.remote);
        let number = log.lines().rfind(|line| line.ends_with(&arrived)).and_then(|line| {
            line.split_whitespace().find(|word| word.starts_with('*')).map(|number| format!(" {number} "))
        });
        let Some(number) = number else { return Vec::new() };
        log.lines()
            .filter_map(|line| line.split_once(&number))
            .map(|(_, message)| message.to_owned())
            .collect()
    }

    /// Its `error_log` so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.scratch.join("error.log")).unwrap_or_default()).into_owned()
    }

    /// What it wrote elsewhere: a panic, above all.
    #[must_use]
    pub fn output(&self) -> String {
        self.child.output()
    }
}

fn configuration(
    scratch: &Scratch,
    certificate: &Certificate,
    auth: SocketAddr,
    directives: &str,
    [imap, imaps, pop3, pop3s, smtp, smtps]: &[SocketAddr; 6],
) -> String {
    let module = match Path::new(NGINX_MAIL_MODULE).exists() {
        true => format!("load_module {NGINX_MAIL_MODULE};\n"),
        false => String::new(),
    };
    format!(
        "{module}daemon off;
master_process off;
pid {directory}/proxy.pid;
error_log {directory}/error.log info;

events {{
    worker_connections 256;
}}

mail {{
    server_name mx.test;
    auth_http {auth}/auth;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    {directives}

    server {{ listen {imap}; protocol imap; starttls on; }}
    server {{ listen {imaps} ssl; protocol imap; }}
    server {{ listen {pop3}; protocol pop3; starttls on; }}
    server {{ listen {pop3s} ssl; protocol pop3; }}
    server {{ listen {smtp}; protocol smtp; starttls on; }}
    server {{ listen {smtps} ssl; protocol smtp; }}
}}
",
        directory = scratch.path().display(),
        certificate = certificate.certificate.display(),
        key = certificate.key.display(),
    )
}
