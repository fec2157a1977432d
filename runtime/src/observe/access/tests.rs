//! Lines of access logs.

use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{AuthServer, Client, Facts, LimitStatus, Peer, Policy, Protocol, Target};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::ending::Tally;
use super::*;

fn inet(text: &str) -> Address {
    Address::Inet(text.parse().expect("an address"))
}

/// A session that went as it should, over TLS and behind a balancer.
fn ending() -> Ending {
    let auth = AuthServer::new(Target::Address(inet("192.0.2.80:80")), "auth.example");
    let mut tls = TlsFacts::new("TLSv1.3", "TLS_AES_128_GCM_SHA256");
    tls.server_name = Some("mail.example".into());
    let facts = Facts {
        policy: Arc::new(Policy::new(Protocol::Imap, "mx.example", auth)),
        client: Client {
            peer: Peer { remote: inet("10.0.0.1:4000"), local: inet("10.0.0.2:993") },
            listener: "0.0.0.0:993".into(),
            proxy_protocol: true,
            tls_first: true,
        },
        address: inet("[2001:db8::7]:5000"),
        proxied: Some(Proxied {
            source: "2001:db8::7".into(),
            source_port: 5000,
            destination: "2001:db8::2".into(),
            destination_port: 993,
        }),
        host: "[UNAVAILABLE]".into(),
        tls: Some(tls),
        starttls: false,
        login: Some(b"joe".as_slice().into()),
        method: Some("plain"),
        attempts: 1,
        limit: Some(LimitStatus::Passed),
        upstream: Some(inet("192.0.2.9:143")),
    };
    let tally = Tally { from_client: 100, to_client: 2000, from_backend: 1990, to_backend: 70 };
    Ending { facts, tally, lasted: Duration::from_millis(61_007) }
}

fn format(text: &str, escape: Escape) -> LogFormat {
    let mut pieces = Vec::new();
    crate::config::parse_log_format(text.as_bytes(), &mut pieces).expect("a format");
    LogFormat { escape, pieces }
}

fn line(text: &str, escape: Escape, ending: &Ending) -> String {
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let time = Timestamp::from_millisecond(1_795_176_000_042).expect("a time").to_zoned(zone);
    let record = Record { ending, outcome: Outcome::Proxied, number: 7, time: &time };
    String::from_utf8(render(&format(text, escape), &record)).expect("UTF-8")
}

/// Every variable, with what it is in a session that has all of it.
#[test]
fn every_variable_tells_what_its_name_says() {
    let told: Vec<_> = Variable::ALL
        .iter()
        .filter(|(name, _)| !["pid", "hostname"].contains(name))
        .map(|(name, _)| format!("{name}={}", line(&format!("${name}"), Escape::Default, &ending())))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    remote_addr=2001:db8::7
    remote_port=5000
    realip_remote_addr=10.0.0.1
    realip_remote_port=4000
    remote_host=[UNAVAILABLE]
    server_addr=10.0.0.2
    server_port=993
    server_name=mx.example
    listen=0.0.0.0:993
    protocol=imap
    connection=7
    time_local=20/Nov/2026:13:00:00 +0100
    time_iso8601=2026-11-20T13:00:00+01:00
    msec=1795176000.042
    session_time=61.007
    bytes_received=100
    bytes_sent=2000
    status=200
    outcome=proxied
    remote_user=joe
    auth_method=plain
    auth_attempts=1
    starttls=-
    ssl_protocol=TLSv1.3
    ssl_cipher=TLS_AES_128_GCM_SHA256
    ssl_server_name=mail.example
    ssl_alpn_protocol=-
    ssl_session_reused=.
    ssl_client_verify=NONE
    ssl_client_s_dn=-
    ssl_client_i_dn=-
    ssl_client_serial=-
    ssl_client_fingerprint=-
    limit_conn_status=PASSED
    upstream_addr=192.0.2.9:143
    upstream_bytes_received=1990
    upstream_bytes_sent=70
    proxy_protocol_addr=2001:db8::7
    proxy_protocol_port=5000
    proxy_protocol_server_addr=2001:db8::2
    proxy_protocol_server_port=993
    ");
    assert_eq!(line("$pid", Escape::None, &ending()), std::process::id().to_string());
    assert!(!line("$hostname", Escape::Json, &ending()).is_empty());
}

#[test]
fn what_there_is_not_is_a_dash_or_nothing() {
    let mut ending = ending();
    (ending.facts.tls, ending.facts.login, ending.facts.upstream, ending.facts.method) =
        (None, None, None, None);
    ending.facts.proxied = None;
    let format = "<$ssl_cipher,$remote_user,$upstream_addr,$upstream_bytes_sent,$auth_method,\
                  $ssl_client_s_dn,$proxy_protocol_addr,$starttls>";
    assert_eq!(line(format, Escape::Default, &ending), "<-,-,-,-,-,-,-,->");
    for escape in [Escape::Json, Escape::None] {
        assert_eq!(line(format, escape, &ending), "<,,,,,,,>");
    }
}

#[test]
fn whatever_a_client_says_a_line_stays_a_line() {
    let mut ending = ending();
    ending.facts.login = Some("a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{7f}ü".as_bytes().into());
    for (escape, shown) in [
        (Escape::Default, r"a\x22b\x5Cc\x0A\x0D\x09\x08\x0C\x01\x7F\xC3\xBC"),
        (Escape::Json, r#"a\"b\\c\n\r\t\b\f\u0001\u007Fü"#),
        (Escape::None, "a\"b\\c       ü"),
    ] {
        assert_eq!(line("$remote_user", escape, &ending), shown);
    }
}

#[test]
fn certificates_and_resumption_are_told_as_nginx_does() {
    let mut ending = ending();
    let mut certificate = Certificate {
        verdict: Ok(()),
        subject: "CN=joe".into(),
        issuer: "CN=ca".into(),
        common_name: Some("joe".into()),
        serial: "0A".into(),
        fingerprint_sha1: "ab".into(),
        fingerprint_sha256: "cd".into(),
        pem: String::new(),
    };
    let mut told = |certificate: &Certificate| {
        let tls = ending.facts.tls.as_mut().expect("TLS");
        (tls.certificate, tls.resumed) = (Some(Arc::new(certificate.clone())), true);
        let format = "$ssl_client_verify $ssl_client_s_dn $ssl_client_i_dn $ssl_client_serial \
                      $ssl_client_fingerprint $ssl_session_reused";
        line(format, Escape::Default, &ending)
    };
    assert_eq!(told(&certificate), "SUCCESS CN=joe CN=ca 0A ab r");
    let text = "self-signed certificate".to_owned();
    certificate.verdict = Err(gatepost_core::VerifyError { code: 18, text });
    assert_eq!(told(&certificate), "FAILED:self-signed certificate CN=joe CN=ca 0A ab r");
}
