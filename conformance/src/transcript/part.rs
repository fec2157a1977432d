//! Octets that are computed while a transcript is played.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::proxy::{ProxyV2, field};
use crate::digest::{cram_md5, md5};
use crate::octets::Octets;

/// One of the parts that are computed and joined.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum Part {
    /// These octets, variables expanded.
    Lit(Octets),
    /// The base64 of the parts.
    B64(Vec<Part>),
    /// The HMAC-MD5 of the parts under a key, in lower-case hexadecimal (CRAM-MD5).
    HmacMd5(Octets, Vec<Part>),
    /// The MD5 of the parts, in lower-case hexadecimal (APOP).
    Md5Hex(Vec<Part>),
    /// So many copies.
    Repeat(Octets, usize),
    /// A value that was saved.
    Var(String),
    /// A PROXY protocol header of version 2.
    ProxyV2(ProxyV2),
    /// One of its fields: type, length, and the parts as value.
    Field(u8, Vec<Part>),
}

/// Names and their values: addresses and ports of the run, and what was saved.
pub type Variables = BTreeMap<String, Vec<u8>>;

impl Part {
    /// What `parts` come to.
    ///
    /// # Errors
    ///
    /// Names the variable that has no value.
    pub fn join(parts: &[Self], variables: &Variables) -> Result<Vec<u8>, String> {
        let mut octets = Vec::new();
        for part in parts {
            octets.extend(part.octets(variables)?);
        }
        Ok(octets)
    }

    fn octets(&self, variables: &Variables) -> Result<Vec<u8>, String> {
        Ok(match self {
            Self::Lit(octets) => expand(octets, variables)?,
            Self::B64(parts) => STANDARD.encode(Self::join(parts, variables)?).into_bytes(),
            Self::HmacMd5(key, parts) => cram_md5(key, &Self::join(parts, variables)?).into_bytes(),
            Self::Md5Hex(parts) => md5(&Self::join(parts, variables)?).into_bytes(),
            Self::Repeat(octets, times) => octets.repeat(*times),
            Self::ProxyV2(header) => header.octets(variables)?,
            Self::Field(kind, parts) => field(*kind, &Self::join(parts, variables)?)?,
            Self::Var(name) => {
                variables.get(name).cloned().ok_or_else(|| format!("nothing was saved as {name:?}"))?
            }
        })
    }
}

/// What base64 `text` stands for, if it is base64.
#[must_use]
pub fn base64_of(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// `text` with each `${name}` replaced by its value, and `$${` by `${`.
///
/// # Errors
///
/// Names the variable that has no value.
pub fn expand(text: &[u8], variables: &Variables) -> Result<Vec<u8>, String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        if let Some(literal) = rest.strip_prefix(b"$${") {
            octets.extend(b"${");
            rest = literal;
        } else if let Some(named) = rest.strip_prefix(b"${") {
            let end = named.iter().position(|&octet| octet == b'}').ok_or("a ${ without its }")?;
            let (name, after) = named.split_at(end);
            let name = String::from_utf8_lossy(name);
            let value = variables.get(&*name).ok_or_else(|| format!("there is no variable {name:?}"))?;
            octets.extend(value);
            rest = after.get(1..).unwrap_or_default();
        } else {
            octets.push(*first);
            rest = after;
        }
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> Octets {
        Octets::of(text).unwrap()
    }

    #[test]
    fn variables_are_expanded_and_doubled_dollars_are_not() {
        let variables = Variables::from([("client.ip".to_owned(), b"192.0.2.7".to_vec())]);
        assert_eq!(expand(b"a ${client.ip} $${x} $", &variables).unwrap(), b"a 192.0.2.7 ${x} $");
        assert!(expand(b"${nobody}", &variables).is_err());
        assert!(expand(b"${client.ip", &variables).is_err());
    }

    /// The examples of RFC 2195 section 2 and RFC 1939 section 7.
    #[test]
    fn digests_are_those_of_the_standards() {
        let variables = Variables::new();
        let challenge = vec![Part::Lit(octets("<1896.697170952@postoffice.reston.mci.net>"))];
        let cram = Part::HmacMd5(octets("tanstaaftanstaaf"), challenge);
        assert_eq!(cram.octets(&variables).unwrap(), b"b913a602c7eda7a495b4e6e7334d3890");
        let apop = Part::Md5Hex(vec![Part::Lit(octets("<1896.697170952@dbc.mtview.ca.us>tanstaaf"))]);
        assert_eq!(apop.octets(&variables).unwrap(), b"c4c9334bac560ecc979e58001b3e22fb");
    }
}
