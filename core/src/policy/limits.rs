//! How much one client or user may have: sessions at a time (`limit_conn`), and octets a second (`limit_rate`).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::report::Level;

/// `limit_conn` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnLimits {
    /// Every `limit_conn`, in the order in which they are checked.
    pub limits: Vec<ConnLimit>,
    /// `limit_conn_dry_run`: whether a session that has no place is only told of in the log.
    pub dry_run: bool,
    /// `limit_conn_log_level`: how much it matters that a session has no place.
    pub log_level: Level,
}

impl Default for ConnLimits {
    fn default() -> Self {
        Self { limits: Vec::new(), dry_run: false, log_level: Level::Error }
    }
}

/// One `limit_conn`: how many sessions of one key there may be in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnLimit {
    /// The name of its `limit_conn_zone`.
    pub zone: Arc<str>,
    /// What it counts by.
    pub key: LimitKey,
    /// How many sessions there may be at a time, at least 1.
    pub connections: u16,
    /// `early`: whether that is looked at when the client comes (divergences S7), and not when it has logged in.
    pub early: bool,
}

/// What sessions are counted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKey {
    /// `$remote_addr`, `$binary_remote_addr`: the client's address.
    Address,
    /// `$remote_user`: the name by which it logs in, as the backend will hear it.
    Login,
    /// `$auth_http_NAME`: what the auth server says in this header. In lower case, `_` for `-`.
    Header(Box<str>),
}

/// As it is written.
impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("$remote_addr"),
            Self::Login => f.write_str("$remote_user"),
            Self::Header(name) => write!(f, "$auth_http_{name}"),
        }
    }
}

/// How fast a client is sent octets. The driver's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// `limit_rate`, in octets a second. 0: as fast as it takes them.
    pub bytes_per_second: u64,
    /// `limit_rate_after`: how many octets come before that counts.
    pub after_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_key_is_printed_as_it_is_configured() {
        let keys = [LimitKey::Address, LimitKey::Login, LimitKey::Header("x_domain".into())];
        let printed = keys.map(|key| key.to_string());
        assert_eq!(printed, ["$remote_addr", "$remote_user", "$auth_http_x_domain"]);
    }
}
