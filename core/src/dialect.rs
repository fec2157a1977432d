//! The manners of a protocol: what a command asks for, and in which words to answer. A dialect decides nothing about limits, TLS, attempts
//! or whom to ask; the phases do, once for all three. The three files are parallel: the same items in the same order.

#[cfg(feature = "imap")]
pub(crate) mod imap;
#[cfg(feature = "pop3")]
pub(crate) mod pop3;
#[cfg(feature = "smtp")]
pub(crate) mod smtp;

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::auth::credentials::Credentials;
use crate::auth::request::Envelope;
use crate::auth::response::Denied;
use crate::backend::Dialogue;
use crate::limits::REFUSAL_LINE_BYTES_MAX;
use crate::phase::Context;
use crate::policy::Mechanism;
use crate::report::Notice;
use crate::sasl::{self, Outcome};
use crate::secret::Secret;

/// One protocol's front end. A value of it is what the client has said so far and still counts.
pub(crate) trait Dialect: Default + fmt::Debug {
    /// The command with which a SASL exchange begins.
    const AUTHENTICATE: &'static [u8];
    /// Whether commands can hold literals. A line that was too long then cannot be skipped: what follows it may be a
    /// literal that would be taken for commands.
    const LITERALS: bool;
    /// How to log in at a backend of this protocol.
    #[cfg(not(feature = "fuzzing"))]
    type Login: Dialogue<Self>;
    /// How to log in at a backend of this protocol.
    #[cfg(feature = "fuzzing")]
    type Login: Dialogue<Self> + Clone + core::hash::Hash;

    /// What the server says first.
    fn greeting(cx: &mut Context<'_>) -> Bytes;

    /// The command word of what may be less or more than a whole command.
    fn verb(front: &[u8]) -> &[u8];

    /// Whether there is a command of this word.
    fn knows(verb: &[u8]) -> bool;

    /// The command word of what may be less or more than a whole command, for the log; nothing where there is no such command, for then
    /// it may be a password where a command belongs (divergences S5).
    fn loggable(front: &[u8]) -> &[u8] {
        Some(Self::verb(front)).filter(|verb| Self::knows(verb)).unwrap_or_default()
    }

    /// Learns from the beginning of a command that will not be read what a reply to it has to name.
    fn identify(&mut self, front: &[u8]);

    /// What a whole frame asks for.
    fn on_frame(&mut self, frame: &[u8], cx: &Context<'_>) -> Step;

    /// Whether a command that has come up to a literal's announcement may go on with the literal.
    fn on_announced(&mut self, announced: &[u8], cx: &Context<'_>) -> Result<(), Refusal>;

    /// The last words in clear before a handshake.
    fn ready_for_tls(&self) -> Bytes;

    /// A SASL challenge, already base64, on its line.
    fn challenge(&self, challenge: &[u8]) -> Bytes;

    /// A command that is refused.
    fn refuse(&self, refusal: Refusal) -> Bytes;

    /// A login that the auth server refused.
    fn deny(&self, text: &[u8], code: Option<&[u8]>, cx: &Context<'_>) -> Bytes;

    /// Whether `code` is one with which this protocol can refuse (decision 2).
    fn takes_error_code(code: &[u8]) -> bool;

    /// A login that failed for reasons of our own (decision 3): never in words that mean a wrong password.
    fn trouble(&self, cx: &Context<'_>) -> Bytes;

    /// A login for which there is no place (`limit_conn`).
    fn too_many_connections(&self, cx: &Context<'_>) -> Bytes;

    /// What a client hears instead of a greeting for which there is no place (IMAP-003, divergences S7).
    fn no_place(cx: &Context<'_>) -> Bytes;

    /// What a client hears instead of a greeting that may not come in (divergences R7).
    fn access_denied() -> Bytes;

    /// What a client hears instead of a greeting, or behind STARTTLS, whose certificate is not what it should be.
    fn certificate_refused(refusal: CertificateRefusal) -> Bytes;

    /// What is said before hanging up (decision 4).
    fn farewell(farewell: Farewell, cx: &Context<'_>) -> Bytes;

    /// What the auth server is told of mail that needs no login.
    fn envelope(&self) -> Option<Envelope<'_>> {
        None
    }

    /// The login attempt is over and the client may make another.
    fn attempt_over(&mut self);
}

/// What a frame asks for.
#[derive(Debug)]
pub(crate) enum Step {
    /// To be answered so, and nothing else.
    Reply(Bytes),
    /// Something that is not to be had.
    Refuse { refusal: Refusal, notice: Option<Notice> },
    /// Something that is not to be had, with so many octets behind it that are no commands.
    Swallow(u64, Refusal),
    /// TLS.
    Upgrade,
    /// A SASL exchange. No mechanism means one that nobody here has heard of.
    Authenticate { mechanism: Option<Mechanism>, initial: Option<Secret> },
    /// A login, complete in itself.
    Authorize(Credentials),
    /// To leave.
    Quit(Bytes),
}

impl From<Refusal> for Step {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse { refusal, notice: None }
    }
}

impl Step {
    /// What comes of credentials given outside SASL.
    pub(crate) fn from_outcome(outcome: Outcome, mechanism: Mechanism) -> Self {
        match outcome {
            Outcome::Credentials(credentials) => Self::Authorize(credentials),
            Outcome::Failed(fault) => {
                Self::Refuse { refusal: fault.refusal(), notice: Some(fault.notice(mechanism)) }
            }
            Outcome::Challenge(..) => Refusal::BadCredentials.into(),
        }
    }
}

/// Why a command is refused; each dialect has its words for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no command.
    Malformed,
    /// It came before the greeting.
    TooSoon,
    /// It is longer than any command.
    TooLong,
    /// A line of a SASL exchange is longer than any.
    SaslTooLong,
    /// A literal is longer than any, and on its way.
    LiteralTooBig,
    /// A literal that would be longer than any is not to be sent.
    LiteralNotGranted,
    /// It is a command with a wrong argument.
    BadArgument,
    /// It is a command, but not for now.
    NotNow,
    /// It needs a login first.
    LoginRequired,
    /// It needs TLS first.
    TlsRequired,
    /// There is no TLS to be had.
    TlsUnavailable,
    /// There is TLS already.
    TlsActive,
    /// It names a mechanism that is not to be had.
    UnknownMechanism,
    /// The mechanism takes no initial response.
    InitialResponse,
    /// The client took its SASL exchange back.
    Cancelled,
    /// What should be base64 is not.
    BadBase64,
    /// What should be credentials cannot be any.
    BadCredentials,
    /// The client wants to act as somebody else than it says it is.
    ActsAsAnother,
}

impl Refusal {
    /// Whether it counts towards `max_errors`: what is no command does, a refused command does not (decision 17).
    pub(crate) const fn is_error(self) -> bool {
        matches!(self, Self::Malformed | Self::TooLong | Self::LiteralTooBig | Self::LiteralNotGranted)
    }
}

/// Why we hang up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    TimedOut,
    TooManyErrors,
    TooManyCommands,
    TooLong,
    LiteralTooBig,
    Denied,
    Trouble,
    ShuttingDown,
    ForeignProtocol,
    /// The reply before it says why.
    Told,
}

/// Why a client's certificate will not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateRefusal {
    /// There is none and there must be.
    Missing,
    /// It does not verify.
    Invalid,
}

impl CertificateRefusal {
    /// nginx's words, the same in every protocol.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Missing => "No required SSL certificate",
            Self::Invalid => "SSL certificate error",
        }
    }
}

/// One line, or several that already hold their line ends, made of `parts`.
pub(crate) fn line(parts: &[&[u8]]) -> Bytes {
    let mut octets = Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 2);
    for part in parts {
        octets.extend_from_slice(part);
    }
    octets.extend_from_slice(b"\r\n");
    octets.into()
}

/// The auth server's text, fit for a line: without controls (divergences S4).
pub(crate) fn presentable(denied: &Denied) -> Vec<u8> {
    denied.text.iter().map(|&octet| if octet.is_ascii_control() { b' ' } else { octet }).collect()
}

/// One line that ends in as much of `text` as it has room for: at most [`REFUSAL_LINE_BYTES_MAX`]. It is not cut within a character.
pub(crate) fn refusal_line(beginning: &[&[u8]], text: &[u8]) -> Bytes {
    let begun = beginning.iter().map(|part| part.len()).sum::<usize>() + 2;
    let mut end = REFUSAL_LINE_BYTES_MAX.saturating_sub(begun).min(text.len());
    let continues = |at: usize| text.get(at).is_some_and(|octet| octet & 0xC0 == 0x80);
    // What is no UTF-8 may have any number of such octets, a character three.
    let character = (end.saturating_sub(3)..=end).rev().find(|&at| !continues(at));
    end = character.unwrap_or(end);
    let mut parts = beginning.to_vec();
    parts.push(text.get(..end).unwrap_or_default());
    line(&parts)
}

/// The mechanisms to list as things are, in the order in which lists name them.
pub(crate) fn listed(cx: &Context<'_>) -> impl Iterator<Item = Mechanism> {
    sasl::MECHANISMS
        .into_iter()
        .filter(|&mechanism| cx.policy.mechanisms.has(mechanism) && cx.is_secure_enough_for(mechanism))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_its_line_is_full_and_never_within_a_character() {
        let room = REFUSAL_LINE_BYTES_MAX - "-ERR \r\n".len();
        for (text, kept) in [
            ("x".repeat(room), room),
            ("x".repeat(room + 1), room),
            (alloc::format!("{}\u{e9}", "x".repeat(room - 2)), room),
            (alloc::format!("{}\u{e9}", "x".repeat(room - 1)), room - 1),
            (alloc::format!("{}\u{1f600}", "x".repeat(room - 1)), room - 1),
            (alloc::format!("{}\u{1f600}", "x".repeat(room - 3)), room - 3),
        ] {
            let line = refusal_line(&[b"-ERR "], text.as_bytes());
            assert_eq!(line, alloc::format!("-ERR {}\r\n", &text[..kept]));
        }
    }

    #[test]
    fn what_is_no_utf_8_is_cut_anywhere() {
        let line = refusal_line(&[b"-ERR "], &[0xBF; 1000]);
        assert_eq!(line.len(), REFUSAL_LINE_BYTES_MAX);
    }
}
