//! OpenSSL's names of groups for the key exchange (`ssl_ecdh_curve`, `ssl_conf_command Groups`), as far as rustls has them.

use rustls::NamedGroup;

/// What a list of groups comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The groups, best first. There may be none, where all that were asked for are lacking.
    pub(crate) groups: Vec<NamedGroup>,
    /// What was asked for and is not to be had.
    pub(crate) lacking: Vec<String>,
}

/// OpenSSL's reasons to refuse a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No group has this name.
    #[error("error:0A080106:SSL routines::passed invalid argument:group '{0}' cannot be set")]
    Unknown(String),
    /// It is empty, or has one twice.
    #[error("")]
    Malformed,
}

/// A list of names between colons. As of OpenSSL 3.5 a slash separates too, and `?` and `*` may stand before a name: take
/// it if it is known, and guess that the client has it. Both say what happens anyway.
///
/// # Errors
///
/// As OpenSSL's.
pub(crate) fn list(text: &str) -> Result<Chosen, Refusal> {
    let mut chosen = Chosen { groups: Vec::new(), lacking: Vec::new() };
    for item in text.split([':', '/']) {
        let name = item.trim_start_matches(['?', '*']);
        let optional = item.starts_with(['?', '*']) && item.contains('?');
        match find(name) {
            Some(group) if chosen.groups.contains(&group) => return Err(Refusal::Malformed),
            Some(group) => chosen.groups.push(group),
            None if name.is_empty() => return Err(Refusal::Malformed),
            None if is_known(name) || optional => chosen.lacking.push(name.to_owned()),
            None => return Err(Refusal::Unknown(name.to_owned())),
        }
    }
    Ok(chosen)
}

/// The group of that name. NIST's names are told by their case, the others are not.
fn find(name: &str) -> Option<NamedGroup> {
    match name {
        "P-256" => return Some(NamedGroup::secp256r1),
        "P-384" => return Some(NamedGroup::secp384r1),
        _ => {}
    }
    Some(match name.to_ascii_lowercase().as_str() {
        "x25519" => NamedGroup::X25519,
        "prime256v1" | "secp256r1" => NamedGroup::secp256r1,
        "secp384r1" => NamedGroup::secp384r1,
        "x25519mlkem768" => NamedGroup::X25519MLKEM768,
        "secp256r1mlkem768" => NamedGroup::secp256r1MLKEM768,
        "mlkem768" => NamedGroup::MLKEM768,
        _ => return None,
    })
}

/// Whether OpenSSL has a group of that name.
fn is_known(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let families = ["brainpool", "ffdhe", "sect", "mlkem", "secp384r1mlkem", "x448mlkem"];
    ["P-192", "P-224", "P-521"].contains(&name)
        || ["prime192v1", "secp521r1", "x448"].contains(&lower.as_str())
        || ["secp160", "secp192", "secp224", "secp256k1"].iter().any(|start| lower.starts_with(start))
        || families.iter().any(|start| lower.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use NamedGroup::{X25519, X25519MLKEM768, secp256r1, secp384r1};
    use proptest::prelude::*;

    #[test]
    fn groups_are_known_by_openssls_names() {
        for (text, groups) in [
            ("X25519:prime256v1:secp384r1", &[X25519, secp256r1, secp384r1][..]),
            ("x25519", &[X25519]),
            ("P-384:P-256", &[secp384r1, secp256r1]),
            ("X25519MLKEM768:X25519", &[X25519MLKEM768, X25519]),
            ("?X25519MLKEM768:?nonsense/*X25519", &[X25519MLKEM768, X25519]),
        ] {
            assert_eq!(list(text).expect(text).groups, groups, "{text}");
        }
        let chosen = list("X448:X25519:secp521r1:P-521:ffdhe2048:brainpoolP256r1").expect("groups");
        assert_eq!(chosen.groups, [X25519]);
        let none = list("secp521r1").expect("a group that OpenSSL knows");
        assert_eq!((none.groups, none.lacking), (Vec::new(), vec!["secp521r1".to_owned()]));
        assert_eq!(chosen.lacking, ["X448", "secp521r1", "P-521", "ffdhe2048", "brainpoolP256r1"]);
    }

    proptest! {
        #[test]
        fn whatever_is_written_comes_to_something_or_is_refused(text in "[-A-Za-z0-9+!@=:, _.?*/é]{0,60}") {
            if let Ok(chosen) = list(&text) {
                prop_assert!(!chosen.groups.is_empty() || !chosen.lacking.is_empty());
            }
        }
    }

    #[test]
    fn refusals_are_openssls() {
        let unknown = |name: &str| Err(Refusal::Unknown(name.to_owned()));
        assert_eq!(list("foo"), unknown("foo"));
        assert_eq!(list("X25519:foo"), unknown("foo"));
        assert_eq!(list("p-256"), unknown("p-256"));
        assert_eq!(list("X25519,P-256"), unknown("X25519,P-256"));
        assert_eq!(list(""), Err(Refusal::Malformed));
        assert_eq!(list("X25519:P-256:prime256v1"), Err(Refusal::Malformed));
    }
}
