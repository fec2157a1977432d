//! Where Gatepost listens, and the configuration that says so.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use gatepost_core::Protocol;

use super::home::Home;

/// The two listeners of a protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Door {
    pub(super) protocol: Protocol,
    /// Begins in plaintext and offers STARTTLS.
    pub(super) clear: SocketAddr,
    /// Begins with TLS.
    pub(super) tls: SocketAddr,
}

/// Six ports of loopback that are free now. Another process may take one before Gatepost does, which then says so.
pub(super) fn free() -> io::Result<[Door; 3]> {
    // Held until all are known, or the kernel might name one twice.
    let mut held = Vec::new();
    let mut free = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        held.push(listener);
        Ok::<_, io::Error>(address)
    };
    Ok([
        Door { protocol: Protocol::Imap, clear: free()?, tls: free()? },
        Door { protocol: Protocol::Pop3, clear: free()?, tls: free()? },
        Door { protocol: Protocol::Smtp, clear: free()?, tls: free()? },
    ])
}

/// A configuration as an operator would write it.
pub(super) fn configuration(doors: &[Door], auth_server: SocketAddr, home: &Home) -> String {
    let file = |name: &str| home.file(name).display().to_string();
    let mut text = format!(
        "error_log \"{}\" info;\nworker_processes 1;\n\nevents {{}}\n\nmail {{\n    \
         server_name playground.example;\n    auth_http 127.0.0.1:{}/auth;\n\n    \
         ssl_certificate \"{}\";\n    ssl_certificate_key \"{}\";\n    starttls on;\n",
        file("error.log"),
        auth_server.port(),
        file("cert.pem"),
        file("key.pem"),
    );
    for Door { protocol, clear, tls } in doors {
        // A write to a String cannot fail.
        let _ = write!(
            text,
            "\n    server {{\n        protocol {};\n        listen {clear};\n        listen {tls} ssl;\n    }}\n",
            protocol.name()
        );
    }
    text.push_str("}\n");
    text
}
