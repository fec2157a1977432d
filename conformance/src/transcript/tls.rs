//! TLS handshakes in transcripts: the client's with the proxy, and the proxy's with a backend.

use serde::Deserialize;

use crate::octets::Octets;

/// A client's handshake, and how it ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsTry {
    /// The server name the client asks for.
    #[serde(default)]
    pub sni: Option<String>,
    /// The protocols it offers.
    #[serde(default)]
    pub alpn: Vec<String>,
    /// The certificate it shows, where `ssl_verify_client` asks for one. The core is only told of it.
    #[serde(default)]
    pub certificate: Option<ClientCertificate>,
    /// Whether the session is resumed, and the certificate the one it was begun with. Where TLS comes first.
    #[serde(default)]
    pub resumed: bool,
    /// How the handshake begins, where the client has sent that already: behind its PROXY header. For the core alone.
    #[serde(default)]
    pub begun: Octets,
    /// How it ends.
    pub expect: TlsResult,
}

/// How a handshake ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum TlsResult {
    /// Well, and no protocol was agreed on.
    Ok,
    /// Well, with this protocol.
    OkAlpn(String),
    /// With this fatal alert, by its name in RFC 8446 section 6.
    Alert(String),
    /// Not well.
    Fails,
}

/// A client's certificate: `CN=client one,O=Org`, number `0A1B`, from the authority `CN=ca`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum ClientCertificate {
    /// It leads to a trusted authority.
    Verified,
    /// It does not, and this is OpenSSL's number and text for the reason. On sockets: 10, 18, 21.
    Unverified(i32, String),
}

/// The proxy's handshake with a backend.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendTls {
    /// The name that the backend's certificate has to be for; its address if absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Why the handshake fails, if it does; on sockets the reason is whatever it is.
    #[serde(default)]
    pub fails: Option<String>,
}
