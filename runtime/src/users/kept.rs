//! What a users file keeps of a password: a hash of it or, where digests are to be checked, the password itself.

use std::fmt;

use argon2::{Argon2, PasswordHash};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use gatepost_core::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha_crypt::password_hash;
use sha_crypt::{PasswordVerifier, ShaCrypt};

use super::bench::MEMORY_KIB;

/// The most that one check may cost: a few seconds of a processor of today. More would be a slip of the file's, and one login could
/// keep all others waiting.
const ARGON2_KIB_MAX: u32 = MEMORY_KIB;
const ARGON2_KIB_TIMES_PASSES_MAX: u64 = 4 * 1024 * 1024;
const ARGON2_LANES_MAX: u32 = 64;
const BCRYPT_LOG2_MAX: u32 = 16;
const SHA512_ROUNDS_MAX: u32 = 5_000_000;

/// crypt(3) takes anything less for this.
const SHA512_ROUNDS_MIN: u32 = 1000;

/// The rounds of a hash that does not say how many.
const SHA512_ROUNDS: u32 = 5000;

/// What crypt(3) takes of a salt.
const SHA512_SALT_BYTES_MAX: usize = 16;

/// SHA-512 in crypt(3)'s base64.
const SHA512_BASE64_BYTES: usize = 86;

/// What is kept of one password. `Debug` shows no more than the kind.
pub(super) enum Kept {
    Argon2id(Box<PasswordHash>, Cost),
    Bcrypt(Box<str>, Cost),
    Sha512Crypt(Box<str>, Cost),
    Plain(Secret),
}

/// All that the time of a check depends on, beside the length of what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    /// Next to nothing.
    Plain,
    Argon2id {
        kib: u32,
        passes: u32,
        lanes: u32,
    },
    Bcrypt {
        log2: u32,
    },
    Sha512Crypt {
        rounds: u32,
    },
}

impl Cost {
    /// The memory that a check takes, in KiB.
    pub(super) const fn kib(self) -> u32 {
        match self {
            Self::Argon2id { kib, .. } => kib,
            // Of bcrypt it is four, and the others take less.
            Self::Plain | Self::Bcrypt { .. } | Self::Sha512Crypt { .. } => 4,
        }
    }
}

/// What is wrong with the second field of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeptFault {
    #[error("no password")]
    Missing,
    #[error("a password that is neither hashed nor marked as {{PLAIN}}")]
    Unmarked,
    #[error("an unknown kind of password, {0}")]
    Unknown(&'static str),
    #[error("{{{0}}} before a hash of another kind")]
    Mismatched(String),
    #[error("a broken {0} hash")]
    Broken(&'static str),
    #[error("a hash that is too costly to check, {0}")]
    TooCostly(String),
    #[error("{{PLAIN.B64}} before something that is not base64")]
    NotBase64,
    #[error("a password with blanks around it, or control characters in it")]
    NotOneWord,
}

/// Why it could not be checked: there is no memory for it, or a bug. Says nothing about the password, nor shows what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unchecked {
    #[error("no check of argon2id: {0}")]
    Argon2id(password_hash::Error),
    #[error("no check of SHA-512-crypt: {0}")]
    Sha512Crypt(password_hash::Error),
    #[error("no check of bcrypt")]
    Bcrypt,
    /// Which the configuration should not have let anybody use.
    #[error("a login by other means than a password")]
    Method,
}

impl Kept {
    /// Understands a hash, by itself or behind Dovecot's name of its scheme, or `{PLAIN}` and a password.
    pub(super) fn parse(text: &str) -> Result<Self, KeptFault> {
        if text.is_empty() {
            return Err(KeptFault::Missing);
        }
        let Some((scheme, rest)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else {
            return Self::hash(text);
        };
        if Self::is_as_typed(text) {
            return Self::plain(rest.into());
        }
        let scheme = scheme.to_ascii_uppercase();
        let hash = match scheme.as_str() {
            "PLAIN.B64" | "CLEAR.B64" | "CLEARTEXT.B64" => {
                return Self::plain(STANDARD.decode(rest).map_err(|_| KeptFault::NotBase64)?);
            }
            "ARGON2ID" | "BLF-CRYPT" | "SHA512-CRYPT" | "CRYPT" => Self::hash(rest)?,
            _ => return Err(KeptFault::Unknown(name_of(&format!("{{{scheme}}}")))),
        };
        let fits = match hash {
            Self::Argon2id(..) => scheme == "ARGON2ID",
            Self::Bcrypt(..) => matches!(scheme.as_str(), "BLF-CRYPT" | "CRYPT"),
            Self::Sha512Crypt(..) => matches!(scheme.as_str(), "SHA512-CRYPT" | "CRYPT"),
            Self::Plain(_) => false,
        };
        if fits { Ok(hash) } else { Err(KeptFault::Mismatched(scheme)) }
    }

    /// Whether this is a password as one types it, behind `{PLAIN}` or another name of it. Any octet may be in such a one, and a colon
    /// ends it too early; hashes and base64 have none.
    pub(super) fn is_as_typed(text: &str) -> bool {
        let scheme = text.strip_prefix('{').and_then(|text| text.split_once('}')).map(|(scheme, _)| scheme);
        let is = |name: &str| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(name));
        ["PLAIN", "CLEAR", "CLEARTEXT"].into_iter().any(is)
    }

    fn plain(password: Vec<u8>) -> Result<Self, KeptFault> {
        let password = Secret::from(password);
        let octets = password.expose();
        let blank = |octet: Option<&u8>| octet.is_some_and(|octet| matches!(octet, b' ' | b'\t'));
        match octets {
            [] => Err(KeptFault::Missing),
            // It may have to stand in a line of the backend's protocol, and in a header of the answer, which is trimmed.
            _ if octets.iter().any(u8::is_ascii_control) || blank(octets.first()) || blank(octets.last()) => {
                Err(KeptFault::NotOneWord)
            }
            _ => Ok(Self::Plain(password)),
        }
    }

    fn hash(text: &str) -> Result<Self, KeptFault> {
        let Some((id, _)) = text.strip_prefix('$').and_then(|text| text.split_once('$')) else {
            return Err(KeptFault::Unmarked);
        };
        match id {
            "argon2id" => argon2id(text),
            "2a" | "2b" | "2y" => bcrypt(text),
            "6" => sha512_crypt(text),
            _ => Err(KeptFault::Unknown(name_of(&format!("${id}$")))),
        }
    }

    /// What a check costs.
    pub(super) const fn cost(&self) -> Cost {
        match self {
            Self::Argon2id(_, cost) | Self::Bcrypt(_, cost) | Self::Sha512Crypt(_, cost) => *cost,
            Self::Plain(_) => Cost::Plain,
        }
    }

    /// The password itself, if that is what is kept.
    pub(super) const fn plain_text(&self) -> Option<&Secret> {
        match self {
            Self::Plain(password) => Some(password),
            Self::Argon2id(..) | Self::Bcrypt(..) | Self::Sha512Crypt(..) => None,
        }
    }

    /// Whether this is the password. Takes as long whether it is or not.
    pub(super) fn is(&self, password: &[u8]) -> Result<bool, Unchecked> {
        match self {
            Self::Argon2id(hash, _) => {
                verdict(Argon2::default().verify_password(password, &**hash), Unchecked::Argon2id)
            }
            // Of more than 72 octets the rest does not count, as with everybody who makes such hashes.
            Self::Bcrypt(hash, _) => bcrypt::verify(password, hash).map_err(|_| Unchecked::Bcrypt),
            Self::Sha512Crypt(hash, _) => {
                verdict(ShaCrypt::SHA512.verify_password(password, &**hash), Unchecked::Sha512Crypt)
            }
            Self::Plain(own) => {
                // Of the same length whatever the passwords', so that the comparison does not tell theirs.
                let (own, given) = (digest(&SHA256, own.expose()), digest(&SHA256, password));
                Ok(verify_slices_are_equal(own.as_ref(), given.as_ref()).is_ok())
            }
        }
    }

    /// Whether `answer`, in hexadecimal digits of either case, is what this password makes of CRAM-MD5's challenge (RFC 2195).
    /// Nobody's answer is where there is a hash only.
    pub(super) fn answers_cram_md5(&self, challenge: &[u8], answer: &[u8]) -> bool {
        let (Some(password), Some(answer)) = (self.plain_text(), md5_of_hex(answer)) else { return false };
        let Ok(mac) = Hmac::<Md5>::new_from_slice(password.expose()) else { return false };
        mac.chain_update(challenge).verify_slice(&answer).is_ok()
    }

    /// The same of APOP's timestamp (RFC 1939 section 7).
    pub(super) fn answers_apop(&self, timestamp: &[u8], answer: &[u8]) -> bool {
        let (Some(password), Some(answer)) = (self.plain_text(), md5_of_hex(answer)) else { return false };
        let own = Md5::new().chain_update(timestamp).chain_update(password.expose()).finalize();
        verify_slices_are_equal(&own, &answer).is_ok()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({:?})", self.cost())
    }
}

/// `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
fn argon2id(text: &str) -> Result<Kept, KeptFault> {
    let broken = || KeptFault::Broken("argon2id");
    let hash = PasswordHash::new(text).map_err(|_| broken())?;
    // Without a version it would be of the first one, which nobody makes any more.
    if hash.version != Some(19) || hash.salt.is_none() || hash.hash.is_none() {
        return Err(broken());
    }
    let mut names: Vec<_> = hash.params.iter().map(|(name, _)| name.as_str().to_owned()).collect();
    names.sort_unstable();
    if names != ["m", "p", "t"] {
        return Err(broken());
    }
    let params = argon2::Params::try_from(&hash).map_err(|_| broken())?;
    let (kib, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    let work = u64::from(kib) * u64::from(passes);
    if kib > ARGON2_KIB_MAX || work > ARGON2_KIB_TIMES_PASSES_MAX || lanes > ARGON2_LANES_MAX {
        return Err(KeptFault::TooCostly(format!("m={kib},t={passes},p={lanes}")));
    }
    Ok(Kept::Argon2id(Box::new(hash), Cost::Argon2id { kib, passes, lanes }))
}

/// `$2y$12$salt and hash`, and likewise `$2a$` and `$2b$`, which are the same to whoever checks.
fn bcrypt(text: &str) -> Result<Kept, KeptFault> {
    let broken = || KeptFault::Broken("bcrypt");
    let log2 = text.parse::<HashParts>().map_err(|_| broken())?.get_cost();
    match log2 {
        4..=BCRYPT_LOG2_MAX => Ok(Kept::Bcrypt(text.into(), Cost::Bcrypt { log2 })),
        17..=31 => Err(KeptFault::TooCostly(format!("a cost of {log2}"))),
        _ => Err(broken()),
    }
}

/// `$6$salt$hash` or `$6$rounds=…$salt$hash`.
fn sha512_crypt(text: &str) -> Result<Kept, KeptFault> {
    let broken = || KeptFault::Broken("SHA-512-crypt");
    let fields: Vec<_> = text.split('$').skip(2).collect();
    let (rounds, salt, hash) = match *fields.as_slice() {
        [salt, hash] => (SHA512_ROUNDS, salt, hash),
        [rounds, salt, hash] => {
            let rounds = rounds
                .strip_prefix("rounds=")
                .filter(|rounds| rounds.bytes().all(|octet| octet.is_ascii_digit()));
            let rounds = rounds.and_then(|rounds| rounds.parse().ok());
            (rounds.filter(|&rounds| rounds >= SHA512_ROUNDS_MIN).ok_or_else(broken)?, salt, hash)
        }
        _ => return Err(broken()),
    };
    let is_base64 =
        |text: &str| text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'/'));
    let fits = (1..=SHA512_SALT_BYTES_MAX).contains(&salt.len()) && hash.len() == SHA512_BASE64_BYTES;
    // 512 bits are 85 digits of six and two more: any other last digit stands for no hash.
    if !fits || !is_base64(salt) || !is_base64(hash) || !hash.ends_with(['.', '/', '0', '1']) {
        return Err(broken());
    }
    if rounds > SHA512_ROUNDS_MAX {
        return Err(KeptFault::TooCostly(format!("{rounds} rounds")));
    }
    Ok(Kept::Sha512Crypt(text.into(), Cost::Sha512Crypt { rounds }))
}

fn verdict(
    checked: password_hash::Result<()>,
    unchecked: impl FnOnce(password_hash::Error) -> Unchecked,
) -> Result<bool, Unchecked> {
    match checked {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(unchecked(error)),
    }
}

/// The name of a scheme, if it is one that there is: anything else may be a piece of a password.
fn name_of(scheme: &str) -> &'static str {
    SCHEMES.iter().find(|name| **name == scheme).copied().unwrap_or("which has no name")
}

/// The schemes of crypt(3), htpasswd and Dovecot that are not known here.
const SCHEMES: &[&str] = &[
    "$1$",
    "$2$",
    "$2x$",
    "$5$",
    "$7$",
    "$apr1$",
    "$argon2d$",
    "$argon2i$",
    "$gy$",
    "$md5$",
    "$sha1$",
    "$y$",
    "{ARGON2I}",
    "{CRAM-MD5}",
    "{DES-CRYPT}",
    "{DIGEST-MD5}",
    "{HMAC-MD5}",
    "{LDAP-MD5}",
    "{MD5}",
    "{MD5-CRYPT}",
    "{PBKDF2}",
    "{PLAIN-MD4}",
    "{PLAIN-MD5}",
    "{SCRAM-SHA-1}",
    "{SCRAM-SHA-256}",
    "{SHA}",
    "{SHA1}",
    "{SHA256}",
    "{SHA256-CRYPT}",
    "{SHA512}",
    "{SMD5}",
    "{SSHA}",
    "{SSHA256}",
    "{SSHA512}",
];

/// The 16 octets that 32 hexadecimal digits stand for.
fn md5_of_hex(digits: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|c| c.is_ascii_hexdigit()))?;
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests;
