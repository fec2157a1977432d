//! Directives of the nginx that comes with Zimbra, and with what was made of Zimbra. No other nginx knows them.

/// What to write instead of one.
pub(super) fn advice(name: &str) -> Option<&'static str> {
    let is_it = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    };
    DIRECTIVES.iter().find(|(pattern, _)| is_it(pattern)).map(|(_, advice)| *advice)
}

const LOOK_UP: &str = "a directive of Zimbra's nginx: set \"auth_http\" to a server that looks users up and answers with \"Auth-Server\"";
const MASTER: &str = "a directive of Zimbra's nginx: an auth server may answer with another \"Auth-User\" and \"Auth-Pass\" for the backend";
const CACHE: &str = "a directive of Zimbra's nginx: whatever is to be cached, the auth server may cache";
const GSSAPI: &str = "a directive of Zimbra's nginx: SASL GSSAPI is not supported";
const GREETING: &str = "a directive of Zimbra's nginx: leave it out, greetings are always the same";
const THROTTLE: &str = "a directive of Zimbra's nginx: the auth server counts logins, and delays the answer to those \
                        it refuses by \"Auth-Wait\"";
const CLIENT: &str = "a directive of Zimbra's nginx: \"proxy_protocol on\" tells backends who the client is, in all three protocols";

/// The first that fits counts; a star stands for any end.
const DIRECTIVES: &[(&str, &str)] = &[
    ("auth_wait", THROTTLE),
    ("auth_wait_intvl", THROTTLE),
    ("cyrus_sasl*", GSSAPI),
    ("default_realm", GSSAPI),
    ("imap_greeting", GREETING),
    ("imap_id", "a directive of Zimbra's nginx: leave it out, ID is always answered"),
    ("imap_literalauth", "a directive of Zimbra's nginx: leave it out, backends are always given literals"),
    ("mail_login_*", THROTTLE),
    ("mail_sasl_*", GSSAPI),
    ("mail_whitelist_*", THROTTLE),
    ("master_auth_*", MASTER),
    ("memcache", CACHE),
    ("memcache_*", CACHE),
    ("pop3_greeting", GREETING),
    ("proxy_ctimeout", "a directive of Zimbra's nginx: write \"proxy_connect_timeout\""),
    ("proxy_issue_imap_id", CLIENT),
    ("proxy_issue_pop3_xoip", CLIENT),
    ("sasl_app_name", GSSAPI),
    ("sasl_host_from_ip", GSSAPI),
    ("sasl_service_name", GSSAPI),
    ("zm_auth_http", LOOK_UP),
    ("zm_lookup_master_auth_*", MASTER),
    ("zm_lookup_caching", CACHE),
    ("zm_lookup*", LOOK_UP),
    ("zm_prefix_url", LOOK_UP),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_can_be_written_is_taken_for_zimbra_s() {
        let rows = crate::config::schema::rows::ROWS.iter().map(|row| row.name);
        let taken: Vec<_> = rows.filter(|name| advice(name).is_some()).collect();
        assert_eq!(taken, [""; 0]);
    }
}
