//! Why there is no TLS, in nginx's words and OpenSSL's as far as they have words for it.

use std::path::{Path, PathBuf};

use super::source::Source;
use super::tickets::NoRandomness;
use crate::system_error::text_of;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `ssl_certificate` cannot be used.
    #[error("cannot load certificate {place}: {reason}")]
    Certificate {
        /// Where it is.
        place: Source,
        /// What is wrong with it.
        reason: Reason,
    },
    /// `ssl_certificate_key` cannot be used.
    #[error("cannot load certificate key {place}: {reason}")]
    Key {
        /// Where it is.
        place: Source,
        /// What is wrong with it.
        reason: Reason,
    },
    /// A file of authorities cannot be used.
    #[error("SSL_CTX_load_verify_locations({path:?}) failed {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Reason,
    },
    /// `ssl_crl` cannot be used.
    #[error("X509_LOOKUP_load_file({path:?}) failed {reason}")]
    Crl {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Reason,
    },
    /// Certificate and key do not belong together.
    #[error(
        "SSL_CTX_use_PrivateKey({key}) failed (SSL: error:05800074:x509 certificate routines::key values mismatch)"
    )]
    Mismatch {
        /// Where the certificate is.
        certificate: Source,
        /// Where the key is.
        key: Source,
    },
    /// There is nothing to show to a client.
    #[error("no \"ssl_certificate\" is defined")]
    NoCertificate,
    /// A file cannot be read.
    #[error("open() {path:?} failed {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: Reason,
    },
    /// `ssl_session_ticket_key` is of another length.
    #[error("{path:?} must be 48 or 80 bytes")]
    TicketKey {
        /// The file.
        path: PathBuf,
    },
    /// There are no keys for tickets.
    #[error(transparent)]
    Tickets(#[from] NoRandomness),
    /// Neither TLS 1.2 nor TLS 1.3 is wanted.
    #[error("\"ssl_protocols\" leaves neither TLSv1.2 nor TLSv1.3")]
    NoVersion,
    /// TLS 1.2 is left without a cipher, and there is no TLS 1.3.
    #[error("\"ssl_ciphers\" leaves no cipher that is supported, and there is no TLSv1.3 either")]
    NoCipher,
    /// The TLS library refuses.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Error {
    /// What to do about it, where that is not plain.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Certificate { reason, .. }
            | Self::Key { reason, .. }
            | Self::Authorities { reason, .. }
            | Self::Crl { reason, .. }
            | Self::Open { reason, .. } => reason.hint.clone(),
            Self::Mismatch { certificate, key } => {
                Some(format!("the key in {key} is not that of the first certificate in {certificate}"))
            }
            Self::TicketKey { .. } => Some("make one by `openssl rand 80`".into()),
            _ => None,
        }
    }
}

/// What is wrong with a file, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Reason {
    text: String,
    hint: Option<String>,
}

impl Reason {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It cannot be opened; the system's number for it.
    Unopened(i32),
    /// Anything else.
    Other(String),
}

const NO_SUCH_FILE: i32 = 2;

impl Unreadable {
    /// As nginx has it where it opens the file itself.
    pub(super) fn by_nginx(self) -> Reason {
        Reason::new(match self {
            Self::Unopened(code) => format!("({code}: {})", text_of(code)),
            Self::Other(text) => text,
        })
    }

    /// As nginx has it where OpenSSL opens the file.
    pub(super) fn by_openssl(self, path: &Path) -> Reason {
        Reason::new(match self {
            Self::Unopened(_) => format!("BIO_new_file() failed {}", self.in_parentheses(path)),
            Self::Other(text) => text,
        })
    }

    /// The same where OpenSSL opens it deep within.
    pub(super) fn within_openssl(self, path: &Path) -> Reason {
        Reason::new(match self {
            Self::Unopened(_) => {
                let inner = self.in_parentheses(path);
                let inner = inner.strip_suffix(')').unwrap_or(&inner);
                format!("{inner} error:05880002:x509 certificate routines::system lib)")
            }
            Self::Other(text) => format!("(SSL: {text})"),
        })
    }

    fn in_parentheses(&self, path: &Path) -> String {
        match self {
            Self::Unopened(code) => {
                let bio = match *code {
                    NO_SUCH_FILE => "error:10000080:BIO routines::no such file",
                    _ => "error:10080002:BIO routines::system lib",
                };
                let (text, path) = (text_of(*code), path.display());
                format!(
                    "(SSL: error:{:08X}:system library::{text}:calling fopen({path}, r) {bio})",
                    0x8000_0000_u32 | code.unsigned_abs()
                )
            }
            Self::Other(text) => format!("(SSL: {text})"),
        }
    }
}
