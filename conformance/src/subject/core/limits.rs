//! `limit_conn` in a transcript, and the counting that a driver does for the core.

use std::collections::BTreeMap;

use gatepost_core::{Claim, ConnLimit, LimitKey, NoPlace, Policy, Protocol};

use crate::subject::configuration::words;
use crate::transcript::Config;

/// What the directives say about limits.
pub(super) fn apply(config: &Config, policy: &mut Policy) -> Result<(), String> {
    let mut zones = BTreeMap::new();
    for directive in &config.directives {
        let words = words(directive)?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["limit_conn_zone", key, zone] => {
                let name = zone.strip_prefix("zone=").and_then(|zone| zone.split(':').next());
                let name = name.ok_or_else(|| format!("{zone:?} is no zone"))?.to_owned();
                zones.insert(name, self::key(key)?);
            }
            ["limit_conn", zone, connections, early @ ..] => {
                let key = zones.get(*zone).ok_or_else(|| format!("there is no zone {zone:?} so far"))?;
                policy.conn_limits.limits.push(ConnLimit {
                    zone: (*zone).into(),
                    key: key.clone(),
                    connections: connections.parse().map_err(|error| format!("{connections:?}: {error}"))?,
                    early: early == ["early"],
                });
            }
            ["limit_conn_dry_run", flag] => policy.conn_limits.dry_run = *flag == "on",
            _ => {}
        }
    }
    let is_said = config.directives.iter().any(|directive| directive.starts_with("pop3_capabilities"));
    if policy.protocol == Protocol::Pop3 && !policy.conn_limits.limits.is_empty() && !is_said {
        policy.capabilities.push("RESP-CODES".into());
    }
    Ok(())
}

fn key(word: &str) -> Result<LimitKey, String> {
    match word {
        "$remote_addr" | "$binary_remote_addr" => Ok(LimitKey::Address),
        "$remote_user" => Ok(LimitKey::Login),
        _ => match word.strip_prefix("$auth_http_") {
            Some(name) => Ok(LimitKey::Header(name.into())),
            None => Err(format!("nothing is counted by {word:?}")),
        },
    }
}

/// Who has a place, by zone and key.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The session's.
    own: Vec<(String, Vec<u8>)>,
    /// Those of sessions before it that stay.
    others: Vec<(String, Vec<u8>)>,
}

impl Places {
    /// Another session comes, and the one before stays or goes.
    pub(super) fn next(&mut self, stays: bool) {
        let own = std::mem::take(&mut self.own);
        match stays {
            true => self.others.extend(own),
            false => self.others.clear(),
        }
    }

    /// Takes a place for each of `claims`, or none.
    pub(super) fn admit(&mut self, claims: &[Claim]) -> Result<(), NoPlace> {
        let mut places = Vec::new();
        for Claim { zone, key, connections, early: _ } in claims {
            let place = (zone.to_string(), key.expose().to_vec());
            let taken = self.own.iter().chain(&self.others).filter(|other| **other == place).count();
            if taken >= usize::from(*connections) {
                return Err(NoPlace::Full(zone.clone()));
            }
            places.push(place);
        }
        self.own.extend(places);
        Ok(())
    }
}
