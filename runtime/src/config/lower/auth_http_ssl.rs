//! TLS towards auth servers: `auth_http_ssl_*` (divergences D1).

use std::sync::Arc;

use gatepost_core::{AuthServer, Scheme};

use super::Ground;
use super::client_ssl::{ClientSsl, Whom};
use super::scope::Said;
use super::scope::Scope;
use super::server::{Block, effective};
use crate::config::diagnostic::{Complaint, Complaints};

const WHOM: Whom = Whom { prefix: "auth_http_ssl", alpn: "http/1.1" };

/// Whether any of its URLs begins with `https://`.
pub(super) fn is_wanted(auth: Option<&AuthServer>) -> bool {
    auth.is_some_and(|auth| auth.urls.iter().any(|url| url.scheme != Scheme::Http))
}

/// Reads what a server needs to speak TLS to its auth servers, if it does. Servers that say nothing of it themselves have the same,
/// which is `inherited` by the next one.
///
/// # Errors
///
/// As [`ClientSsl::load`].
pub(super) fn load(
    block: &Block,
    mail: &Scope,
    inherited: &mut Option<Arc<rustls::ClientConfig>>,
    ground: &Ground<'_>,
) -> Result<Option<Arc<rustls::ClientConfig>>, Complaint> {
    let auth = effective(block.scope.auth_http.as_ref(), mail.auth_http.as_ref());
    if !is_wanted(auth) {
        return Ok(None);
    }
    let (own, mail) = (&block.scope.auth_http_ssl, &mail.auth_http_ssl);
    if own.said.is_some() {
        return ClientSsl::load(own, mail, WHOM, block, ground).map(Some);
    }
    if inherited.is_none() {
        *inherited = Some(ClientSsl::load(own, mail, WHOM, block, ground)?);
    }
    Ok(inherited.clone())
}

/// The certificates have to be for `auth_http_ssl_name`, if that is said.
pub(super) fn name(auth: &mut AuthServer, own: &ClientSsl, mail: &ClientSsl) {
    let Some(said) = effective(own.name.as_deref(), mail.name.as_deref()) else { return };
    for url in &mut auth.urls {
        if let Scheme::Https { name } = &mut url.scheme {
            *name = Some(said.into());
        }
    }
}

/// What is said of TLS by a server that has no use for it, or of all servers where none has.
pub(super) fn warn_of_no_use(mail: &Scope, blocks: &[Block], complaints: &mut Complaints) {
    let uses = |block: &Block| is_wanted(effective(block.scope.auth_http.as_ref(), mail.auth_http.as_ref()));
    let mut warn = |said: Said| {
        let message = r#"TLS towards auth servers has no effect: no "auth_http" begins with "https://""#;
        complaints.push(Complaint::at(said.end, message).under(said.words).warning());
    };
    if !blocks.iter().any(uses) {
        mail.auth_http_ssl.said.into_iter().for_each(&mut warn);
    }
    blocks
        .iter()
        .filter(|block| !uses(block))
        .filter_map(|block| block.scope.auth_http_ssl.said)
        .for_each(warn);
}
