//! What the standards ask (`rows.ron`), what of it is waived (`waived.ron`), why Gatepost is not nginx (`divergences.ron`), and which nginx that is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The requirements, by their ids.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Rows(BTreeMap<String, Row>);

/// One requirement of a standard on what a mail proxy says before its relay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The document and section; `design` where the rule is ours.
    pub source: String,
    /// What is asked, in our words.
    pub title: String,
    /// Whether nginx can be a witness.
    pub oracle: Oracle,
}

/// Whether nginx can be a witness for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Oracle {
    /// It does the same.
    Same,
    /// It does something else.
    Differs,
    /// It cannot be asked, or it cannot be seen on the wire.
    Unseen,
}

impl Rows {
    /// The row of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Row> {
        self.0.get(id)
    }

    /// All of them, by their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.0.iter().map(|(id, row)| (id.as_str(), row))
    }
}

/// The rows that no transcript proves, and why not (`waived.ron`).
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Waivers(BTreeMap<String, String>);

impl Waivers {
    /// Why the row of this id is waived, if it is.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// The ids of all waived rows.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The deliberate differences from nginx, by row, D, S, R or K id, or decision.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Divergences(BTreeMap<String, Divergence>);

/// One deliberate difference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divergence {
    /// Why, in a sentence.
    pub reason: String,
    /// Why no transcript can show it, if none can.
    #[serde(default)]
    pub unseen: Option<String>,
}

impl Divergences {
    /// The difference of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Divergence> {
        self.0.get(key)
    }

    /// All of them, by their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Divergence)> {
        self.0.iter().map(|(key, divergence)| (key.as_str(), divergence))
    }
}

/// A program's version, `1.22.1`. Numbers left out are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

/// A text that is no version, or no span of versions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not what a version looks like")]
pub struct VersionError(String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let mut version = Self::default();
        let mut numbers = text.split('.');
        for place in &mut version.0 {
            if let Some(number) = numbers.next() {
                *place = number.parse().map_err(|_| error())?;
            }
        }
        numbers.next().map_or(Ok(version), |_| Err(error()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// A span of versions: bounds like `<1.29.2` or `>=1.22`, all of which hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span(Vec<(Bound, Version)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Before,
    From,
}

impl Span {
    /// Whether `version` lies within.
    #[must_use]
    pub fn holds(&self, version: Version) -> bool {
        self.0.iter().all(|&(bound, edge)| match bound {
            Bound::Before => version < edge,
            Bound::From => version >= edge,
        })
    }
}

impl FromStr for Span {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let bound = |word: &str| {
            if let Some(edge) = word.strip_prefix(">=") {
                Ok((Bound::From, edge.parse()?))
            } else if let Some(edge) = word.strip_prefix('<') {
                Ok((Bound::Before, edge.parse()?))
            } else {
                Err(VersionError(word.to_owned()))
            }
        };
        text.split_whitespace().map(bound).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hold_what_lies_between_their_bounds() {
        let debian: Version = "1.22.1".parse().unwrap();
        let span = |text: &str| text.parse::<Span>().unwrap();
        assert!(span("<1.29.2").holds(debian));
        assert!(span(">=1.22 <1.27.3").holds(debian));
        assert!(!span(">=1.22.2").holds(debian));
        assert!(!span("<1.22.1").holds(debian));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        assert!("1.2.3.4".parse::<Version>().is_err());
        assert!("1.x".parse::<Version>().is_err());
        assert!("=1.2".parse::<Span>().is_err());
        assert!(">=".parse::<Span>().is_err());
    }
}
