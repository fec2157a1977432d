//! Listeners: which sockets there are, and who may come in by them.

use std::time::Duration;

use gatepost_core::{Address, Peers, Verdict};

use super::{fit, policies, unfit};
use crate::config::{Keepalive, Listener};

#[test]
fn a_proxy_in_front_is_believed_where_it_is_trusted() {
    let text = "set_real_ip_from 192.0.2.0/24; set_real_ip_from ::1; set_real_ip_from unix:; \
                server { listen 143 proxy_protocol; } \
                server { listen 110; listen 995 proxy_protocol bind; set_real_ip_from localhost; }";
    let (config, told) = fit(&format!("mail {{ auth_http localhost; {text} }}"));
    assert_eq!(told, [""; 0]);
    let [imap, pop3] = config.servers.as_slice() else { panic!() };
    let ip = |text: &str| text.parse().unwrap();
    let own = [Peers::Network(ip("::1"), 128), Peers::Network(ip("127.0.0.1"), 32)];
    let inherited = [Peers::Network(ip("192.0.2.0"), 24), Peers::Network(ip("::1"), 128), Peers::Unix];
    assert_eq!((&imap.policy.real_ip_from[..], &pop3.policy.real_ip_from[..]), (&inherited[..], &own[..]));
    let headers = |server: &crate::config::Server| {
        server.listeners.iter().map(|listener| listener.proxy_protocol).collect::<Vec<_>>()
    };
    assert_eq!((headers(imap), headers(pop3)), (vec![true], vec![false, true]));
}

#[test]
fn every_parameter_of_listen_reaches_its_sockets() {
    let (config, told) = fit(
        "mail { auth_http localhost; server { listen 127.0.0.1:143 bind reuseport backlog=7 rcvbuf=8k sndbuf=1m \
         so_keepalive=30m::10 ipv6only=on proxy_protocol; listen unix:/run/imap backlog=9; } \
         server { listen localhost:110; listen [::]:995 ipv6only=off so_keepalive=off; so_keepalive on; } }",
    );
    let [imap, pop3] = config.servers.as_slice() else { panic!() };
    let [tcp, unix] = imap.listeners.as_slice() else { panic!() };
    let keepalive = Keepalive { idle: Some(Duration::from_secs(1800)), interval: None, count: Some(10) };
    let wanted = Listener {
        backlog: 7,
        receive_buffer_bytes: Some(8192),
        send_buffer_bytes: Some(1 << 20),
        keepalive: Some(keepalive),
        proxy_protocol: true,
        ..Listener::new(std::net::SocketAddr::from(([127, 0, 0, 1], 143)).into())
    };
    assert_eq!(*tcp, wanted);
    assert_eq!(*unix, Listener { backlog: 9, ..Listener::new(Address::Unix("/run/imap".into())) });
    assert_eq!(&*unix.text, "unix:/run/imap");
    let [six, four, all] = pop3.listeners.as_slice() else { panic!() };
    assert_eq!(
        (six.one_of.as_deref(), four.one_of.as_deref()),
        (Some("localhost:110"), Some("localhost:110"))
    );
    assert_eq!((six.keepalive, four.keepalive), (Some(Keepalive::default()), Some(Keepalive::default())));
    assert_eq!((all.keepalive, all.ipv6_only, &all.one_of), (None, false, &None));
    let at = "/etc/nginx/nginx.conf:1";
    assert_eq!(
        told,
        [
            format!(
                "[warn] the parameter \"ipv6only=on\" of \"listen\" has no effect on an IPv4 socket in {at}"
            ),
            format!(
                "[warn] the \"so_keepalive\" directive is deprecated, use the \"listen ... so_keepalive=\" parameter instead in {at}"
            ),
        ]
    );
}

#[test]
fn parameters_without_effect_are_taken_and_remarked_on() {
    let (config, told) =
        fit("mail { auth_http localhost; server { listen 143 deferred fastopen=5 multipath;\n\
         listen unix:/run/imap so_keepalive=on ipv6only=off; } }");
    assert!(config.servers[0].listeners.iter().all(|listener| !listener.multipath));
    let no_effect = |parameter, on, line| {
        format!(
            "[warn] the parameter \"{parameter}\" of \"listen\" has no effect{on} in /etc/nginx/nginx.conf:{line}"
        )
    };
    assert_eq!(
        told,
        [
            no_effect("deferred", ", ignored", 1),
            no_effect("fastopen=5", ", ignored", 1),
            "[warn] multipath is not supported on this platform, ignored in /etc/nginx/nginx.conf:1"
                .to_owned(),
            no_effect("so_keepalive=on", " on a UNIX socket", 2),
            no_effect("ipv6only=off", " on a UNIX socket", 2),
        ]
    );
}

#[test]
fn a_network_with_bits_that_do_not_count_is_taken_and_remarked_on() {
    let (config, told) =
        fit("mail { auth_http localhost; set_real_ip_from 192.0.2.7/24; server { listen 143; } }");
    assert_eq!(told, ["[warn] low address bits of 192.0.2.7/24 are meaningless in /etc/nginx/nginx.conf:1"]);
    let [trusted] = config.servers[0].policy.real_ip_from[..] else { panic!() };
    assert!(trusted.includes(&std::net::SocketAddr::from(([192, 0, 2, 200], 1)).into()));
}

#[test]
fn a_server_with_rules_of_its_own_forgets_the_inherited_ones() {
    let policies = policies(
        "allow 192.0.2.0/24; deny all; server { listen 143; } \
         server { listen 110; deny unix:; allow 2001:db8::/32; deny 192.0.2.7; }",
    );
    let ip = |text: &str| text.parse().unwrap();
    let inherited = [(Verdict::Allow, Peers::Network(ip("192.0.2.0"), 24)), (Verdict::Deny, Peers::All)];
    let own = [
        (Verdict::Deny, Peers::Unix),
        (Verdict::Allow, Peers::Network(ip("2001:db8::"), 32)),
        (Verdict::Deny, Peers::Network(ip("192.0.2.7"), 32)),
    ];
    let rules: Vec<_> = policies.iter().map(|policy| policy.access.0.as_slice()).collect();
    assert_eq!(rules, [&inherited[..], &own[..]]);
}

#[test]
fn a_rule_is_for_addresses_and_not_for_names() {
    let at = "/etc/nginx/nginx.conf:1";
    let told = unfit(
        "mail { auth_http localhost; allow localhost; deny ALL; allow [::1]; deny 10.0.0.0/33; \
         allow 10.0.0.1/8; server { listen 143; } }",
    );
    let invalid = |word| format!("[emerg] invalid parameter \"{word}\" in {at}");
    let mut expected: Vec<_> = ["localhost", "ALL", "[::1]", "10.0.0.0/33"].map(invalid).into();
    expected.push(format!("[warn] low address bits of 10.0.0.1/8 are meaningless in {at}"));
    assert_eq!(told, expected);
}

#[test]
fn a_listen_by_name_opens_every_address() {
    let (config, _) = fit(
        "mail { auth_http localhost; server { listen localhost:143 bind backlog=7; listen [::]:4000 ipv6only=off; } }",
    );
    let listeners = &config.servers[0].listeners;
    let texts: Vec<_> = listeners.iter().map(|listener| &*listener.text).collect();
    assert_eq!(texts, ["[::1]:143", "127.0.0.1:143", "[::]:4000"]);
    let details: Vec<_> = listeners.iter().map(|listener| (listener.backlog, listener.ipv6_only)).collect();
    assert_eq!(details, [(7, true), (7, true), (511, false)]);
}

#[test]
fn an_address_beside_a_wildcard_of_its_family_may_share_its_socket_or_have_its_own_where_there_is_none() {
    for listens in [
        "listen 143; listen 127.0.0.1:143; listen [::]:143; listen [::1]:143;",
        "listen 143; listen [::1]:143 bind; listen 127.0.0.1:144 bind backlog=5;",
        "listen 143 bind; listen 127.0.0.1:143; listen [::]:143 ipv6only=on;",
    ] {
        let text = format!("mail {{ auth_http localhost; server {{ protocol imap; {listens} }} }}");
        assert_eq!(fit(&text).1, [""; 0], "{listens}");
    }
}

#[test]
fn nobody_listens_on_more_addresses_than_there_are_ports() {
    let told = unfit(
        "mail { auth_http localhost; server { protocol imap; listen 127.0.0.1:1-65535; listen 127.0.0.2:1-2; } }",
    );
    assert_eq!(told, ["[emerg] more than 65536 addresses to listen on in /etc/nginx/nginx.conf:1"]);
}
