//! What an auth server's answer may lack, in nginx's words (auth-http.md section 7).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Level;
use super::escaped::Quoted;

/// What was wrong with an auth server's answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFault {
    /// It ended before its headers did.
    #[error("prematurely closed connection")]
    Closed,
    /// The status line is broken.
    #[error("sent invalid response")]
    InvalidResponse,
    /// A header line is broken.
    #[error("sent invalid header in response")]
    InvalidHeader,
    /// More than [`AUTH_HEAD_BYTES_MAX`](crate::limits::AUTH_HEAD_BYTES_MAX).
    #[error("sent too big header")]
    TooBig,
    /// Success without an address to go to.
    #[error("did not send server or port")]
    NoServer,
    /// Success without a password for the backend.
    #[error("did not send password")]
    NoPassword,
    /// Success without a user name, where the client gave none.
    #[error("did not send user")]
    NoUser,
    /// `Auth-Server` is no address.
    #[error("sent invalid server address:{}", Quoted(.0))]
    InvalidServer(Vec<u8>),
    /// `Auth-Server` is the name of a host that cannot be found.
    #[error("sent unresolvable server name:{}", Quoted(.0.as_bytes()))]
    UnresolvableServer(Arc<str>),
    /// `Auth-Port` is no port.
    #[error("sent invalid server port:{}", Quoted(.0))]
    InvalidPort(Vec<u8>),
    /// `Auth-Server-TLS` is neither `on`, `off` nor `starttls`.
    #[error("sent invalid server TLS:{}", Quoted(.0))]
    InvalidServerTls(Vec<u8>),
    /// `Auth-Error-SASL` is not base64.
    #[error("sent invalid SASL error")]
    InvalidSaslError,
    /// `Auth-User` holds control octets.
    #[error("sent invalid user")]
    InvalidUser,
    /// `Auth-Pass` holds control octets.
    #[error("sent invalid password")]
    InvalidPassword,
    /// An HTTP status that is neither success nor refusal, and nothing that would say more.
    #[error("returned status {0}")]
    Status(u16),
    /// A refusing HTTP status with `Auth-Status: OK`: refused (table R3).
    #[error("sent status {0} with \"Auth-Status: OK\"")]
    OkDespiteStatus(u16),
    /// An odd HTTP status with `Auth-Status: OK`: accepted, as nginx does (table R3).
    #[error("sent status {0} with \"Auth-Status: OK\", accepted")]
    OddStatus(u16),
    /// `Auth-Wait` for longer than anybody is kept waiting; in seconds.
    #[error("sent too long wait: {0} seconds, cut")]
    LongWait(u64),
    /// `WAIT` more often than anybody waits (S8).
    #[error("said WAIT for too long")]
    WaitedTooLong,
}

impl AuthFault {
    pub(super) const fn level(&self) -> Level {
        match self {
            Self::OddStatus(_) | Self::InvalidSaslError | Self::LongWait(_) => Level::Warn,
            _ => Level::Error,
        }
    }
}
