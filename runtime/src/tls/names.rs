//! Protocols and ciphers in OpenSSL's spelling, which auth servers and logs know.

use gatepost_core::TlsFacts;
use rustls::{CipherSuite, ClientConnection, CommonState, HandshakeKind, ProtocolVersion, ServerConnection};

/// What is known of a connection whose handshake is done.
#[must_use]
pub fn facts(connection: &ServerConnection) -> TlsFacts {
    TlsFacts { server_name: connection.server_name().map(Into::into), ..common_facts(connection) }
}

/// What is known of a connection to a backend whose handshake is done.
pub(crate) fn backend_facts(connection: &ClientConnection) -> TlsFacts {
    common_facts(connection)
}

fn common_facts(connection: &CommonState) -> TlsFacts {
    let protocol = connection.protocol_version().map_or("", protocol_name);
    let cipher = connection.negotiated_cipher_suite().map_or("", |suite| cipher_name(suite.suite()));
    TlsFacts {
        // It is one of ours, which are ASCII.
        alpn: connection.alpn_protocol().and_then(|name| std::str::from_utf8(name).ok()).map(Into::into),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        ..TlsFacts::new(protocol, cipher)
    }
}

/// `TLSv1.2`, `TLSv1.3`; empty for what rustls cannot negotiate.
#[must_use]
pub const fn protocol_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "",
    }
}

/// OpenSSL's name of each of the nine suites that rustls has; empty for others.
#[must_use]
pub const fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::aws_lc_rs;
    use std::collections::BTreeSet;

    #[test]
    fn every_suite_there_is_has_a_name_of_its_own() {
        let suites = aws_lc_rs::default_provider().cipher_suites;
        let names: BTreeSet<_> = suites.iter().map(|suite| cipher_name(suite.suite())).collect();
        assert_eq!(names.len(), suites.len());
        assert!(!names.contains(""));
    }
}
