//! TLS towards backends: `proxy_ssl` and its kin (divergences D6).

use std::sync::Arc;

use gatepost_core::{BackendTls, Protocol};

use super::Ground;
use super::client_ssl::{ClientSsl, Whom};
use super::scope::Said;
use super::server::{Block, effective};
use super::value::{argument, no_such};
use crate::config::diagnostic::Complaint;
use crate::config::tree::Directive;

/// What one block says of it.
#[derive(Debug, Default)]
pub(super) struct ProxySsl {
    pub(super) mode: Option<BackendTls>,
    /// `proxy_ssl off` asks for nothing, and is not said there.
    pub(super) client: ClientSsl,
}

impl ProxySsl {
    /// Takes in `proxy_ssl` itself.
    pub(super) fn take_mode(&mut self, directive: &Directive) -> Result<(), Complaint> {
        let mode = mode(directive)?;
        self.mode = Some(mode);
        if mode != BackendTls::Off {
            self.client.said = Some(Said::of(directive));
        }
        Ok(())
    }
}

/// Reads what a server needs to speak TLS to its backends, if it may come to that: an auth server can ask for it for
/// one user only, so whoever says anything about it is prepared.
///
/// # Errors
///
/// As [`ClientSsl::load`].
pub(super) fn load(
    block: &Block,
    mail: &ProxySsl,
    protocol: Protocol,
    ground: &Ground<'_>,
) -> Result<Option<Arc<rustls::ClientConfig>>, Complaint> {
    let own = &block.scope.proxy_ssl.client;
    if effective(own.said, mail.client.said).is_none() {
        return Ok(None);
    }
    let whom = Whom { prefix: "proxy_ssl", alpn: protocol.name() };
    ClientSsl::load(own, &mail.client, whom, block, ground).map(Some)
}

fn mode(directive: &Directive) -> Result<BackendTls, Complaint> {
    let word = argument(directive, 0)?;
    match word.text.to_ascii_lowercase().as_slice() {
        b"off" => Ok(BackendTls::Off),
        b"on" => Ok(BackendTls::On),
        b"starttls" => Ok(BackendTls::StartTls),
        _ => Err(no_such(directive, word).label("`off`, `on` or `starttls`")),
    }
}
