//! A users file, understood: a line a user, `name:password:backend`.
//!
//! The form is that of htpasswd and of Dovecot's `passwd-file`, as far as these agree. Lines end in LF or CRLF; empty ones and those
//! that begin with `#` are passed over. The backend, and the colon before it, may be missing. A colon in a password would be taken for the
//! one before a backend: behind `{PLAIN}` a backend must be one that nobody takes for the rest of a password.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::net::IpAddr;

use gatepost_core::Target;
use gatepost_core::report::AuthFault;

use super::kept::{Cost, Kept, KeptFault};

/// What a file may measure, in octets: a hundred thousand users fit, and a mistaken `/dev/zero` does not fill the memory.
pub(crate) const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest line, in octets.
const LINE_BYTES_MAX: usize = 4096;

/// How many kinds and costs of hashes one file may mix. A login costs one check of each.
const COSTS_MAX: usize = 8;

/// Some editors begin a file with this.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Whose password this is, and where the mailbox lives.
#[derive(Debug)]
pub(super) struct Entry {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) kept: Kept,
    pub(super) backend: Option<Backend>,
}

/// A backend as `Auth-Server` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    /// A group's name, or servers, separated by commas.
    pub(super) servers: Box<str>,
    /// Whether there is no port with them, so that it is the protocol's own.
    pub(super) portless: bool,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What is wrong. Holds no password, nor a piece of one.
    pub(crate) text: String,
    /// What to do about it; may be empty.
    pub(crate) hint: &'static str,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("no \":\" behind the user name")]
    NoColon,
    #[error("no user name")]
    NoName,
    #[error("a user name with blanks around it")]
    BlankName,
    #[error("a control character")]
    Control,
    #[error("it is not UTF-8")]
    NotText,
    #[error("a line longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("duplicate user \"{0}\", who is in line {1} too")]
    Duplicate(Box<str>, usize),
    #[error("{0} for user \"{1}\"")]
    Kept(KeptFault, Box<str>),
    /// Which is not repeated: behind a password with a colon in it, it is the rest of that.
    #[error("a backend that is neither a server nor an upstream for user \"{0}\"")]
    Backend(Box<str>),
    /// Which is not repeated either.
    #[error("what may be a backend or the rest of the password for user \"{0}\"")]
    Ambiguous(Box<str>),
    #[error("more than {COSTS_MAX} kinds and costs of hashes in one file")]
    TooManyCosts,
}

impl Fault {
    const fn hint(&self) -> &'static str {
        match self {
            Self::NoColon => "a line is `name:password` or `name:password:backend`",
            Self::Kept(KeptFault::Unmarked | KeptFault::Unknown(_), _) => {
                "a password is hashed by argon2id (`$argon2id$`), bcrypt (`$2y$`) or SHA-512-crypt (`$6$`), or is `{PLAIN}` and itself"
            }
            Self::Kept(KeptFault::NotOneWord, _) => {
                "what begins or ends with a blank cannot be told to a backend"
            }
            Self::Kept(KeptFault::TooCostly(_), _) => {
                "at most m=524288 and m times t 4194304 for argon2id, a cost of 16 for bcrypt, 5000000 rounds for SHA-512-crypt"
            }
            Self::Backend(..) => {
                "an address, a host name, `unix:` and a path, or an `upstream`, with a port if it is not the protocol's own; \
                 a colon in a password needs {PLAIN.B64}"
            }
            Self::Ambiguous(..) => {
                "a password with a colon in it is written behind {PLAIN.B64}, in base64; behind {PLAIN} a host name needs its port, and \
                 no colon stands at the end"
            }
            Self::TooManyCosts => {
                "every login costs one check of each, so that none tells whether there is such a user"
            }
            _ => "",
        }
    }
}

/// Understands a file. `groups` are the names of every `upstream {}`.
///
/// # Errors
///
/// All that is wrong with it, in the order of the lines.
pub(super) fn read(text: &[u8], groups: &[String]) -> Result<BTreeMap<Box<str>, Entry>, Vec<Mistake>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let (mut users, mut mistakes) = (BTreeMap::<Box<str>, Entry>::new(), Vec::new());
    let mut costs = Vec::<Cost>::new();
    for (octets, line) in text.split(|&octet| octet == b'\n').zip(1..) {
        let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
        let taken = parse(octets, groups).and_then(|found| {
            let Some((name, kept, backend)) = found else { return Ok(()) };
            if !costs.contains(&kept.cost()) {
                costs.push(kept.cost());
                if costs.len() == COSTS_MAX + 1 {
                    return Err(Fault::TooManyCosts);
                }
            }
            match users.entry(name) {
                btree_map::Entry::Occupied(first) => {
                    Err(Fault::Duplicate(first.key().clone(), first.get().line))
                }
                btree_map::Entry::Vacant(place) => {
                    place.insert(Entry { line, kept, backend });
                    Ok(())
                }
            }
        });
        if let Err(fault) = taken {
            mistakes.push(Mistake { line, hint: fault.hint(), text: fault.to_string() });
        }
    }
    if mistakes.is_empty() { Ok(users) } else { Err(mistakes) }
}

/// Name, password and backend.
type Fields = (Box<str>, Kept, Option<Backend>);

/// One line, unless there is nobody in it.
fn parse(octets: &[u8], groups: &[String]) -> Result<Option<Fields>, Fault> {
    if octets.len() > LINE_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let text = std::str::from_utf8(octets).map_err(|_| Fault::NotText)?;
    if text.trim().is_empty() || text.trim_start().starts_with('#') {
        return Ok(None);
    }
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Fault::Control);
    }
    let (name, rest) = text.split_once(':').ok_or(Fault::NoColon)?;
    match name {
        "" => return Err(Fault::NoName),
        name if name.trim() != name || name.contains('\t') => return Err(Fault::BlankName),
        _ => {}
    }
    let (word, behind) = match rest.split_once(':') {
        Some((word, behind)) => (word, Some(behind.trim())),
        None => (rest, None),
    };
    let kept = Kept::parse(word).map_err(|fault| Fault::Kept(fault, name.into()))?;
    let as_typed = Kept::is_as_typed(word);
    let backend = match behind {
        Some("") if as_typed => return Err(Fault::Ambiguous(name.into())),
        None | Some("") => None,
        Some(servers) => {
            let backend = Backend::parse(servers, groups).ok_or_else(|| Fault::Backend(name.into()))?;
            if as_typed && !backend.is_unmistakable() {
                return Err(Fault::Ambiguous(name.into()));
            }
            Some(backend)
        }
    };
    Ok(Some((name.into(), kept, backend)))
}

impl Backend {
    fn parse(servers: &str, groups: &[String]) -> Option<Self> {
        if groups.iter().any(|name| name == servers) {
            return Some(Self { servers: servers.into(), portless: false });
        }
        let portless = match Target::of_servers(servers, None) {
            Ok(_) => false,
            Err(AuthFault::NoServer) => Target::of_servers(servers, Some(1)).map(|_| true).ok()?,
            Err(_) => return None,
        };
        Some(Self { servers: servers.into(), portless })
    }

    /// Whether this is more than a word or two, as anybody's password may have them: a group, or servers of which each has a port, is an
    /// IP address or a UNIX socket.
    fn is_unmistakable(&self) -> bool {
        let is_address = |server: &str| {
            let server = server.trim_matches([' ', '\t']);
            let bracketed = server.strip_prefix('[').and_then(|server| server.strip_suffix(']'));
            bracketed.unwrap_or(server).parse::<IpAddr>().is_ok()
        };
        !self.portless || self.servers.split(',').all(is_address)
    }
}

#[cfg(test)]
mod tests;
