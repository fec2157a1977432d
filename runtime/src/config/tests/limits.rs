//! What `limit_conn` and `limit_rate` come to.

use gatepost_core::report::Level;
use gatepost_core::{ConnLimit, LimitKey, Rate};

use super::{all_lines, fit, load_text, policies, policy};
use crate::limit_conn::Settings;

const ZONES: &str = "limit_conn_zone $remote_addr zone=addr:10m; limit_conn_zone $binary_remote_addr zone=net:1m; \
                     limit_conn_zone $remote_user zone=user:32k; limit_conn_zone $auth_http_X_Plan zone=plan:64k;";

fn limit(zone: &str, key: LimitKey, connections: u16, early: bool) -> ConnLimit {
    ConnLimit { zone: zone.into(), key, connections, early }
}

#[test]
fn limits_are_checked_in_their_order_by_the_keys_of_their_zones() {
    let limits = "limit_conn user 5; limit_conn addr 20 early; limit_conn plan 65535; limit_conn net 1;";
    // Zones may come last.
    let policy = policy(&format!("{limits} server {{ listen 143; }} {ZONES}"));
    let expected = [
        limit("user", LimitKey::Login, 5, false),
        limit("addr", LimitKey::Address, 20, true),
        limit("plan", LimitKey::Header("x_plan".into()), 65535, false),
        limit("net", LimitKey::Address, 1, false),
    ];
    assert_eq!(policy.conn_limits.limits, expected);
    assert_eq!((policy.conn_limits.dry_run, policy.conn_limits.log_level), (false, Level::Error));
    assert_eq!(policy.rate, Rate::default());
}

#[test]
fn the_process_has_the_zones_that_are_named() {
    let (config, _) = fit(&format!("mail {{ auth_http localhost; {ZONES} server {{ listen 143; }} }}"));
    let zone = |key, bytes| Settings { key, bytes };
    let expected = [
        ("addr".into(), zone(LimitKey::Address, 10 << 20)),
        // Another word for the same, of which a reload thinks nothing.
        ("net".into(), zone(LimitKey::Address, 1 << 20)),
        ("plan".into(), zone(LimitKey::Header("x_plan".into()), 64 << 10)),
        ("user".into(), zone(LimitKey::Login, 32 << 10)),
    ];
    assert_eq!(config.zones, expected.into());
    assert!(config.servers[0].policy.conn_limits.limits.is_empty(), "a zone alone limits nobody");
}

#[test]
fn what_a_server_says_of_limits_takes_the_place_of_what_mail_says() {
    let policies = policies(&format!(
        "{ZONES} limit_conn user 5; limit_conn addr 9; limit_conn_dry_run on; limit_conn_log_level Notice; \
         limit_rate 64k; limit_rate_after 1m; server {{ listen 143; }} \
         server {{ listen 25; limit_conn addr 3; limit_conn_dry_run off; limit_conn_log_level info; limit_rate 0; }}"
    ));
    let [inherited, own] = policies.as_slice() else { panic!() };
    assert_eq!(inherited.conn_limits.limits.len(), 2);
    assert_eq!((inherited.conn_limits.dry_run, inherited.conn_limits.log_level), (true, Level::Notice));
    assert_eq!(inherited.rate, Rate { bytes_per_second: 64 << 10, after_bytes: 1 << 20 });
    assert_eq!(own.conn_limits.limits, [limit("addr", LimitKey::Address, 3, false)]);
    assert_eq!((own.conn_limits.dry_run, own.conn_limits.log_level), (false, Level::Info));
    assert_eq!(own.rate, Rate { bytes_per_second: 0, after_bytes: 1 << 20 });
}

#[test]
fn pop3_promises_response_codes_where_there_are_limits_unless_told_otherwise() {
    let listed = |text: &str| policy(&format!("{ZONES} {text}")).capabilities.join(" ");
    assert_eq!(listed("server { listen 110; }"), "TOP USER UIDL");
    assert_eq!(listed("server { listen 110; limit_conn user 1; }"), "TOP USER UIDL RESP-CODES");
    assert_eq!(listed("limit_conn user 1; server { listen 110; }"), "TOP USER UIDL RESP-CODES");
    assert_eq!(listed("limit_conn user 1; server { listen 110; pop3_capabilities TOP; }"), "TOP");
    assert_eq!(listed("limit_conn user 1; server { listen 143; }"), "IMAP4 IMAP4rev1 UIDPLUS");
}

#[test]
fn what_is_known_only_after_a_login_cannot_be_early() {
    let text = format!(
        "mail {{\n    auth_http localhost;\n    {ZONES}\n    limit_conn user 1 early;\n    server {{ listen 143; }}\n}}\n"
    );
    let told = all_lines(&load_text(&text).unwrap_err());
    assert!(
        told.starts_with(
            "[emerg] \"early\" needs a zone that counts by \"$remote_addr\" in /etc/nginx/nginx.conf:4\n"
        ),
        "{told}"
    );
}

#[test]
fn a_limit_of_addresses_that_nobody_will_know_is_warned_of() {
    let told = |limit: &str, server: &str| {
        let (_, told) = fit(&format!(
            "mail {{ auth_http localhost; {ZONES} limit_conn {limit};\n    server {{ protocol imap;\n        {server} }} }}"
        ));
        told
    };
    let line = |text: &str| {
        format!(
            "[warn] \"limit_conn\" counts all clients of \"{text}\" as one address in /etc/nginx/nginx.conf:3"
        )
    };
    for (server, text) in [
        ("listen 143 proxy_protocol;", "0.0.0.0:143"),
        ("listen unix:/run/imap;", "unix:/run/imap"),
        ("listen unix:/run/imap; set_real_ip_from unix:;", "unix:/run/imap"),
        ("listen unix:/run/imap proxy_protocol; set_real_ip_from 10.0.0.0/8;", "unix:/run/imap"),
    ] {
        for limit in ["addr 9 early", "net 9"] {
            assert_eq!(told(limit, server), [line(text)], "{server}");
        }
        assert_eq!(told("user 9", server), [""; 0], "{server}");
    }
    for server in [
        "listen 143;",
        "listen 143 proxy_protocol; set_real_ip_from 10.0.0.0/8;",
        "listen unix:/run/imap proxy_protocol; set_real_ip_from unix:;",
    ] {
        assert_eq!(told("addr 9 early", server), [""; 0], "{server}");
    }
}
