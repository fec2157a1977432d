//! What an IMAP server lets a client send without being asked for it (RFC 7888).

use crate::chance::Chance;

/// The longest literal that LITERAL- lets be sent unasked, in octets (RFC 7888 section 5).
const LITERAL_MINUS_BYTES_MAX: usize = 4096;

/// Which literals are taken unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Literals {
    /// LITERAL+: all.
    #[default]
    Plus,
    /// LITERAL-: small ones.
    Minus,
    /// None is.
    Asked,
}

impl Literals {
    /// What backend `at` takes in the world of `seed`.
    #[must_use]
    pub fn of(seed: u64, at: usize) -> Self {
        let chance = Chance::of(seed, "literals", at as u64);
        chance.one_of(&[Self::Plus, Self::Plus, Self::Minus, Self::Asked], Self::Plus)
    }

    /// The server's capabilities.
    #[must_use]
    pub const fn capabilities(self) -> &'static str {
        match self {
            Self::Plus => "IMAP4rev1 LITERAL+ UIDPLUS",
            Self::Minus => "IMAP4rev1 LITERAL- UIDPLUS",
            Self::Asked => "IMAP4rev1 UIDPLUS",
        }
    }

    /// Whether a literal of so many octets is taken unasked.
    #[must_use]
    pub const fn takes(self, octets: usize) -> bool {
        match self {
            Self::Plus => true,
            Self::Minus => octets <= LITERAL_MINUS_BYTES_MAX,
            Self::Asked => false,
        }
    }
}
