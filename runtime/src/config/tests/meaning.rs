//! What a configuration that can be run comes to.

use std::num::NonZeroU32;
use std::time::Duration;

use gatepost_core::report::Level;
use gatepost_core::{
    Address, AuthServer, BackendTls, Guest, Instant, Mechanism, Peers, Place, Policy, Protocol, ProxyHeader,
    Seed, StartTls, Target, Verdict,
};

use super::{fit, unfit};
use crate::config::{
    Escape, Keepalive, Listener, LogFormat, LogSink, LogTarget, Pid, Piece, Syslog, Variable,
};
use crate::pid_file::PidFile;
use crate::upstream::Die;

/// The policies of the servers of a `mail {}`, in order.
fn policies(mail: &str) -> Vec<Policy> {
    let (config, told) = fit(&format!("mail {{ auth_http localhost; {mail} }}"));
    assert_eq!(told, [""; 0], "{mail}");
    config.servers.iter().map(|server| (*server.policy).clone()).collect()
}

fn policy(mail: &str) -> Policy {
    policies(mail).remove(0)
}

fn auth(policy: &Policy) -> &AuthServer {
    policy.auth.as_ref().expect("an auth server")
}

#[test]
fn nothing_said_means_nginx_s_defaults() {
    for (port, protocol) in [(143, Protocol::Imap), (110, Protocol::Pop3), (25, Protocol::Smtp)] {
        let policy = policy(&format!("server {{ listen {port}; }}"));
        let plain = Policy::new(protocol, "localhost", policy.auth.clone());
        assert_eq!(policy, plain);
    }
}

#[test]
fn the_port_tells_the_protocol_unless_the_server_does() {
    for (server, protocol) in [
        ("listen 993;", Protocol::Imap),
        ("listen 127.0.0.1:995;", Protocol::Pop3),
        ("listen 465;", Protocol::Smtp),
        ("listen 587;", Protocol::Smtp),
        ("listen 4000; listen 110; listen 143;", Protocol::Pop3),
        ("listen 143; protocol smtp;", Protocol::Smtp),
        ("listen 143; protocol smtp; protocol pop3;", Protocol::Pop3),
    ] {
        assert_eq!(policy(&format!("server {{ {server} }}")).protocol, protocol, "{server}");
    }
    assert!(!fit("mail { auth_http localhost; server { listen 993; } }").0.servers[0].listeners[0].tls_first);
}

#[test]
fn a_server_s_own_word_counts_and_the_order_does_not() {
    let policies = policies(
        "server { listen 143; timeout 10s; imap_capabilities IMAP4; } server { listen 110; server_name own; } \
         timeout 20s; server_name mail.example.com; imap_capabilities A B; imap_capabilities C;",
    );
    let [imap, pop3] = policies.as_slice() else { panic!() };
    assert_eq!((imap.timeout.as_secs(), pop3.timeout.as_secs()), (10, 20));
    assert_eq!((&*imap.server_name, &*pop3.server_name), ("mail.example.com", "own"));
    assert_eq!(imap.capabilities, ["IMAP4".into()]);
    assert_eq!(pop3.capabilities.len(), 3);
}

#[test]
fn each_setting_reaches_the_policy() {
    let policy = policy(
        r#"server { listen 587; starttls off; timeout 1m30s; smtp_greeting_delay 500ms; max_errors 0; max_commands 7;
           server_name ""; smtp_client_buffer 8k; smtp_capabilities "SIZE 10485760" 8BITMIME; smtp_auth NONE cram-md5;
           auth_http http://auth.example.com:9000/auth?x; auth_http_timeout 5; auth_http_header X-Key "a b";
           auth_http_header X-Other ""; proxy on; proxy_buffer 1m; proxy_timeout 2h;
           proxy_pass_error_message ON; xclient off; proxy_smtp_auth on; }"#,
    );
    assert_eq!(policy.starttls, StartTls::Off);
    assert_eq!((policy.timeout.as_secs(), policy.greeting_delay), (90, Duration::from_millis(500)));
    assert_eq!((policy.errors_max, policy.commands_max), (1, 7));
    assert_eq!((&*policy.server_name, policy.client_buffer_bytes), ("localhost", 8192));
    assert_eq!(policy.capabilities, ["SIZE 10485760".into(), "8BITMIME".into()]);
    assert!(policy.unauthenticated);
    assert!(policy.mechanisms.has(Mechanism::CramMd5) && !policy.mechanisms.has(Mechanism::Plain));
    assert_eq!(
        auth(&policy).target,
        Target::Address(std::net::SocketAddr::from(([192, 0, 2, 1], 9000)).into())
    );
    assert_eq!((&*auth(&policy).host, &*auth(&policy).uri), ("auth.example.com", "/auth?x"));
    assert_eq!(auth(&policy).timeout.as_secs(), 5);
    let headers = [("X-Key".into(), "a b".into()), ("X-Other".into(), "".into())];
    assert_eq!(auth(&policy).headers, headers);
    let backend = policy.backend;
    assert_eq!((backend.buffer_bytes, backend.idle_timeout.as_secs()), (1 << 20, 7200));
    assert!(backend.pass_error_message && !backend.xclient && backend.smtp_auth);
}

#[test]
fn lists_of_a_server_replace_those_of_mail() {
    let policies = policies(
        "auth_http_header A 1; auth_http_header B 2; pop3_auth plain; pop3_auth apop; \
         server { listen 110; auth_http_header C 3; pop3_auth cram-md5; } server { listen 995; }",
    );
    let [own, inherited] = policies.as_slice() else { panic!() };
    assert_eq!((auth(own).headers.len(), auth(inherited).headers.len()), (1, 2));
    let listed = |policy: &Policy| {
        [Mechanism::Plain, Mechanism::CramMd5, Mechanism::Apop].map(|each| policy.mechanisms.has(each))
    };
    assert_eq!((listed(own), listed(inherited)), ([false, true, false], [true, false, true]));
}

#[test]
fn each_protocol_has_its_mechanisms() {
    use Mechanism::{Apop, CramMd5, External, Login, OauthBearer, Plain, XOauth2};
    let oauth = [Plain, CramMd5, External, XOauth2, OauthBearer];
    for (port, directive, words, mechanisms) in [
        (143, "imap_auth", "plain cram-md5 EXTERNAL xoauth2 OAuthBearer", &oauth[..]),
        (110, "pop3_auth", "oauthbearer xoauth2 external cram-md5 plain", &oauth),
        (25, "smtp_auth", "plain cram-md5 external xoauth2 oauthbearer", &oauth),
        (143, "imap_auth", "external", &[External]),
        (143, "imap_auth", "login", &[Login]),
        (110, "pop3_auth", "apop xoauth2", &[Apop, XOauth2]),
    ] {
        let (config, _) =
            fit(&format!("mail {{ auth_http localhost; {directive} {words}; server {{ listen {port}; }} }}"));
        let policy = &config.servers[0].policy;
        let wanted = mechanisms.iter().fold(gatepost_core::Mechanisms::none(), |set, &each| set.with(each));
        assert_eq!(policy.mechanisms, wanted, "{directive} {words}");
    }
}

#[test]
fn methods_that_no_server_can_offer_are_remarked_on() {
    let at = "/etc/nginx/nginx.conf:1";
    let (_, told) = fit(
        "mail { auth_http localhost; imap_auth plain xoauth2; pop3_auth oauthbearer; server { listen 143; } \
         server { listen 110; pop3_auth plain; } server { listen 25; smtp_auth External; } }",
    );
    assert_eq!(
        told,
        [
            format!("[warn] the method \"xoauth2\" has no effect without TLS in {at}"),
            format!("[warn] the method \"External\" has no effect without \"ssl_verify_client\" in {at}"),
        ]
    );
}

#[test]
fn which_mechanisms_are_refused_is_each_server_s_own_affair() {
    let policies = policies(
        "auth_strict on; server { listen 143; } server { listen 110; auth_strict off; plaintext_auth on; }",
    );
    let said: Vec<_> = policies.iter().map(|policy| (policy.auth_strict, policy.plaintext_auth)).collect();
    assert_eq!(said, [(true, true), (false, true)]);
}

#[test]
fn a_server_where_nobody_could_log_in_over_a_network_is_remarked_on() {
    let told = |mail: &str| fit(&format!("mail {{ auth_http localhost;\n{mail} }}")).1;
    let warning = "[warn] \"plaintext_auth off\" without TLS lets nobody log in but from this machine in \
                   /etc/nginx/nginx.conf:2";
    for (mail, warnings) in [
        ("plaintext_auth off; server { listen 143; } server { listen 110; }", &[warning][..]),
        ("plaintext_auth off; server { listen 143; plaintext_auth on; }", &[]),
        ("server { listen 143; plaintext_auth off; } server { listen 110; }", &[warning]),
        ("plaintext_auth off;", &[]),
    ] {
        assert_eq!(told(mail), warnings, "{mail}");
    }
}

#[test]
fn tokens_go_to_backends_as_tokens_where_that_is_asked_for() {
    let (config, told) = fit(
        "mail { auth_http localhost; proxy_oauth on; imap_auth external xoauth2; ssl_verify_client off;\n\
         server { listen 143; } server { listen 110; proxy_oauth off; }\n\
         server { listen 25; proxy_oauth on; smtp_auth oauthbearer; }\n\
         server { listen 587; proxy_oauth on; proxy_smtp_auth on; } }",
    );
    let oauth: Vec<_> = config.servers.iter().map(|server| server.policy.backend.oauth).collect();
    assert_eq!(oauth, [true, false, true, true]);
    let told: Vec<_> = told.iter().filter(|line| line.contains("proxy_oauth")).collect();
    let at = "/etc/nginx/nginx.conf";
    assert_eq!(
        told,
        [
            &format!("[warn] \"proxy_oauth\" has no effect on SMTP without \"proxy_smtp_auth\" in {at}:3"),
            &format!(
                "[warn] \"proxy_oauth\" has no effect without the method \"xoauth2\" or \"oauthbearer\" in {at}:4"
            ),
        ]
    );
}

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
fn names_of_long_ago_are_taken_and_remarked_on() {
    let (config, told) = fit(
        "events { connections 100; }\nimap { auth_http localhost; auth apop;\nserver { listen 127.0.0.1:1143; } \
         server { listen 110; } server { listen 4000; protocol smtp; } }",
    );
    let protocols: Vec<_> = config.servers.iter().map(|server| server.policy.protocol).collect();
    assert_eq!(protocols, [Protocol::Imap, Protocol::Pop3, Protocol::Smtp]);
    assert!(config.servers[1].policy.mechanisms.has(Mechanism::Apop));
    let obsolete = |old, today, line| {
        let at = format!("/etc/nginx/nginx.conf:{line}");
        format!("[warn] the \"{old}\" directive is obsolete, use the \"{today}\" directive instead in {at}")
    };
    let told: Vec<_> = told.into_iter().filter(|line| line.contains("obsolete")).collect();
    let wanted = [
        obsolete("connections", "worker_connections", 1),
        obsolete("imap", "mail", 2),
        obsolete("auth", "pop3_auth", 2),
    ];
    assert_eq!(told, wanted);
    let told = unfit("mail {} imap {}\nmail {}\nevents { connections 1; worker_connections 2; }");
    let duplicates: Vec<_> = told.into_iter().filter(|line| line.contains("duplicate")).collect();
    let at = "/etc/nginx/nginx.conf";
    assert_eq!(
        duplicates,
        [
            format!("[emerg] \"mail\" directive is duplicate in {at}:1"),
            format!("[emerg] \"mail\" directive is duplicate in {at}:2"),
            format!("[emerg] \"worker_connections\" directive is duplicate in {at}:3"),
        ]
    );
}

#[test]
fn how_clients_are_taken_leave_of_is_each_server_s_own_affair() {
    let policies = policies(
        "lingering_close Off; lingering_time 1m; server { listen 143; } \
         server { listen 110; lingering_close always; lingering_timeout 500ms; } server { listen 25; lingering_close on; }",
    );
    let said: Vec<_> = policies
        .iter()
        .map(|policy| {
            (policy.lingering.close, policy.lingering.time.as_secs(), policy.lingering.silence.as_millis())
        })
        .collect();
    assert_eq!(said, [(false, 60, 5000), (true, 60, 500), (true, 60, 5000)]);
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
fn a_backend_is_told_of_the_client_in_the_version_that_was_asked_for() {
    let policies = policies(
        "proxy_protocol V2; server { listen 143; } server { listen 110; proxy_protocol On; } \
         server { listen 25; proxy_protocol off; }",
    );
    let headers: Vec<_> = policies.iter().map(|policy| policy.backend.proxy_header).collect();
    assert_eq!(headers, [ProxyHeader::V2, ProxyHeader::V1, ProxyHeader::Off]);
}

#[test]
fn the_dns_is_asked_for_names_of_backends_and_of_smtp_clients() {
    let text = "resolver 192.0.2.53 [2001:db8::53]:5353 localhost valid=300s ipv6=off; \
                server { listen 25; } server { listen 143; } server { listen 587; resolver off; } \
                server { listen 465; resolver 192.0.2.54:54 valid=0 ipv4=off; resolver_timeout 5s; }";
    let (config, told) = fit(&format!("mail {{ auth_http localhost; {text} }}"));
    assert_eq!(told, [""; 0]);
    let [inherited, imap, off, own] = config.servers.as_slice() else { panic!() };
    let settings = inherited.resolver.as_ref().unwrap();
    let servers: Vec<_> = settings.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:5353", "[::1]:53", "127.0.0.1:53"]);
    assert_eq!((settings.valid, settings.ipv4, settings.ipv6), (Some(Duration::from_secs(300)), true, false));
    let settings = own.resolver.as_ref().unwrap();
    assert_eq!(settings.servers, ["192.0.2.54:54".parse().unwrap()]);
    assert_eq!((settings.valid, settings.ipv4, settings.ipv6), (None, false, true));
    assert!(imap.resolver.is_some() && off.resolver.is_none());
    let (config, _) = fit(
        "mail { auth_http localhost; server { listen 25; resolver 192.0.2.53 valid=9223372036854775807; } }",
    );
    let longest = config.servers[0].resolver.as_ref().and_then(|settings| settings.valid);
    assert_eq!(longest, Some(Duration::from_secs(0x7FFF_FFFF)), "no clock overflows");
    let seconds = [inherited, imap, off, own].map(|server| server.policy.backend.resolve_timeout.as_secs());
    assert_eq!(seconds, [30, 30, 30, 5]);
    let timeouts = [inherited, imap, off, own].map(|server| server.policy.resolver_timeout);
    assert_eq!(timeouts, [Some(Duration::from_secs(30)), None, None, Some(Duration::from_secs(5))]);
}

#[test]
fn backends_are_spoken_to_as_proxy_ssl_says() {
    let text = "proxy_ssl STARTTLS; proxy_ssl_name backend.example.com; proxy_ssl_verify off; \
                server { listen 143; } server { listen 110; proxy_ssl on; proxy_ssl_name 192.0.2.1; } \
                server { listen 25; proxy_ssl off; }";
    let (config, told) = fit(&format!("mail {{ auth_http localhost; {text} }}"));
    assert_eq!(told, [""; 0]);
    let all: Vec<_> = config
        .servers
        .iter()
        .map(|server| (server.policy.backend.tls, server.policy.backend.tls_name.as_deref()))
        .collect();
    let name = Some("backend.example.com");
    let wanted = [(BackendTls::StartTls, name), (BackendTls::On, Some("192.0.2.1")), (BackendTls::Off, name)];
    assert_eq!(all, wanted);
    assert!(config.servers.iter().all(|server| server.backend_tls.is_some()), "a user may need it");
}

#[test]
fn tls_towards_backends_is_ready_only_where_something_was_said_about_it() {
    for (text, ready) in [
        ("", false),
        ("proxy_ssl off;", false),
        ("proxy_ssl on; proxy_ssl_verify off;", true),
        ("proxy_ssl off; proxy_ssl_verify off;", true),
    ] {
        let (config, _) = fit(&format!(
            "mail {{ auth_http localhost; server {{ listen 143; {text} }} server {{ listen 110; }} }}"
        ));
        let found: Vec<_> = config.servers.iter().map(|server| server.backend_tls.is_some()).collect();
        assert_eq!(found, [ready, false], "{text}");
    }
}

#[test]
fn a_name_of_several_addresses_is_tried_at_all_of_them() {
    let policy = policy("server { listen 143; auth_http localhost:9000/auth; }");
    let Target::AnyOf(all) = &auth(&policy).target else { panic!() };
    let sockets: [std::net::SocketAddr; 2] =
        ["[::1]:9000", "127.0.0.1:9000"].map(|text| text.parse().unwrap());
    assert_eq!(**all, sockets.map(|socket| Place::At(socket.into())));
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

#[test]
fn a_log_may_be_a_syslog_server_and_have_a_limit() {
    let (config, told) =
        fit("error_log syslog:server=localhost,facility=mail,tag=mx,severity=crit,nohostname info;\n\
         error_log syslog:server=unix:/dev/log debug_mail debug_http; error_log error.log rate=100; \
         error_log error.log info rate=7m/s; error_log error.log rate=0;\n mail { }");
    assert_eq!(told, [""; 0]);
    let [udp, unix, limited, slow, free] = &*config.logs else { panic!("{:?}", config.logs) };
    let syslog = |server, facility, severity: Level, tag: &str, host: Option<&str>| {
        let (tag, host) = (tag.into(), host.map(Into::into));
        LogSink::Syslog(Syslog { server, facility, severity: severity.into(), tag, host })
    };
    let address = Address::Inet("[::1]:514".parse().unwrap());
    assert_eq!(*udp, LogTarget::new(syslog(address, 2, Level::Crit, "mx", None), Level::Info));
    let address = Address::Unix("/dev/log".into());
    let local = syslog(address, 23, Level::Info, "nginx", Some("localhost"));
    assert_eq!(*unix, LogTarget::new(local, Level::Debug));
    let rates = [limited, slow, free].map(|log| (log.level, log.rate.map(NonZeroU32::get)));
    assert_eq!(rates, [(Level::Error, Some(100)), (Level::Info, Some(7)), (Level::Error, None)]);
}

#[test]
fn access_logs_are_inherited_and_their_formats_may_come_later() {
    let (config, told) = fit(
        "mail { auth_http localhost; access_log logs/mail.log; access_log syslog:server=unix:/dev/log,severity=notice short;\n\
         server { listen 143; } server { listen 110; access_log off; }\n\
         server { listen 25; access_log /srv/smtp.json json; }\n\
         log_format short '$remote_addr ' \"${status}\"; log_format json escape=json '{\"user\":\"$remote_user\"}'; }",
    );
    assert_eq!(told, [""; 0]);
    let [imap, pop3, smtp] = &*config.servers else { panic!("three") };
    let short = [
        Piece::Variable(Variable::RemoteAddr),
        Piece::Text(b" ".as_slice().into()),
        Piece::Variable(Variable::Status),
    ];
    let [file, syslog] = &*imap.access_logs else { panic!("{imap:?}") };
    assert_eq!(file.sink, LogSink::File("/etc/nginx/logs/mail.log".into()));
    assert!(file.format.pieces.contains(&Piece::Variable(Variable::Outcome)), "the default: {file:?}");
    assert!(matches!(&syslog.sink, LogSink::Syslog(syslog) if syslog.severity == Level::Notice.into()));
    assert_eq!(*syslog.format, LogFormat { escape: Escape::Default, pieces: short.into() });
    assert!(pop3.access_logs.is_empty());
    let [json] = &*smtp.access_logs else { panic!("{smtp:?}") };
    assert_eq!((json.format.escape, json.format.pieces.len()), (Escape::Json, 3));
}

#[test]
fn a_format_s_name_may_begin_as_a_parameter_does() {
    let (config, told) =
        fit("mail { auth_http localhost; log_format gzipped $pid; log_format buffered $status; \
         access_log a gzipped; access_log b buffered; server { listen 143; } }");
    assert_eq!(told, [""; 0]);
    let formats: Vec<_> =
        config.servers[0].access_logs.iter().map(|log| log.format.pieces.as_slice()).collect();
    assert_eq!(formats, [[Piece::Variable(Variable::Pid)], [Piece::Variable(Variable::Status)]]);
}

#[test]
fn an_access_log_that_cannot_be_is_refused() {
    let at = "/etc/nginx/nginx.conf";
    for (said, complaint) in [
        ("access_log a b;", "unknown log format \"b\""),
        ("access_log a mail c;", "invalid parameter \"c\""),
        ("access_log a mail buffer=32k;", "invalid parameter \"buffer=32k\""),
        ("access_log a gzip;", "invalid parameter \"gzip\""),
        ("access_log a gzip=9;", "invalid parameter \"gzip=9\""),
        ("access_log a if=$status;", "invalid parameter \"if=$status\""),
        ("access_log off mail;", "invalid parameter \"mail\""),
        ("access_log syslog:tag=x;", "no syslog server specified"),
        ("log_format a;", "invalid number of arguments in \"log_format\" directive"),
        ("log_format a escape=json;", "invalid number of arguments in \"log_format\" directive"),
        ("log_format a escape=xml $pid;", "unknown log format escaping \"xml\""),
        ("log_format a $pid; log_format a $pid;", "duplicate \"log_format\" name \"a\""),
        ("log_format a '$request';", "unknown \"request\" variable"),
        ("log_format a '${pid';", "the closing bracket in \"pid\" variable is missing"),
        ("log_format a 'US$ 5';", "invalid variable name"),
    ] {
        let told = unfit(&format!("mail {{ auth_http localhost; {said} server {{ listen 143; }} }}"));
        assert_eq!(told, [format!("[emerg] {complaint} in {at}:1")], "{said}");
    }
}

#[test]
fn a_log_that_cannot_be_is_refused() {
    let at = "/etc/nginx/nginx.conf";
    for (log, said) in [
        ("memory:1m", "nginx was built without debug support"),
        ("stderr rate=x", "invalid rate \"x\""),
        ("stderr rate=-1", "invalid rate \"-1\""),
        ("stderr info burst=7", "invalid parameter \"burst=7\""),
        ("syslog:facility=mail", "no syslog server specified"),
        ("syslog:server=127.0.0.1,colour=red", "unknown syslog parameter \"colour=red\""),
    ] {
        let text = format!("error_log {log}; mail {{ }}");
        assert_eq!(unfit(&text), [format!("[emerg] {said} in {at}:1")], "{log}");
    }
}

#[test]
fn logs_are_inherited_as_a_whole() {
    let (config, told) = fit(
        "error_log logs/error.log; mail { auth_http localhost; error_log /var/log/mail.log debug_mail debug_core; \
         error_log stderr warn; server { listen 143; } server { listen 110; error_log own info; } }",
    );
    let file = |path: &str, level| LogTarget::new(LogSink::File(path.into()), level);
    assert_eq!(*config.logs, [file("/etc/nginx/logs/error.log", Level::Error)]);
    let stderr = LogTarget::new(LogSink::Stderr, Level::Warn);
    assert_eq!(*config.servers[0].logs, [file("/var/log/mail.log", Level::Debug), stderr]);
    assert_eq!(*config.servers[1].logs, [file("/etc/nginx/own", Level::Info)]);
    assert_eq!(told, [""; 0]);
    let (config, _) = fit("mail { auth_http localhost; server { listen 143; } }");
    let default = [LogTarget::new(LogSink::Stderr, Level::Error)];
    assert_eq!((&*config.logs, &*config.servers[0].logs), (&default[..], &default[..]));
}

#[test]
fn what_has_no_effect_is_said() {
    let (config, told) = fit(
        "timer_resolution 1s; daemon on; pid /run/nginx.pid; worker_processes 3; pcre_jit on; master_process off;\n\
         events { worker_connections 768; use epoll; multi_accept on; }\nhttp { server { listen 80; } }\n\
         load_module modules/ngx_mail_module.so;\nmail { auth_http localhost; timeout 0; smtp_auth plain PLAIN; \
         server { listen 143; } }",
    );
    assert_eq!(config.worker_processes.get(), 3);
    assert_eq!(
        (config.process.daemon, config.process.master, config.process.connections),
        (true, false, 768)
    );
    assert_eq!(config.pid, Pid::File(PidFile::new("/run/nginx.pid")));
    let at = "/etc/nginx/nginx.conf";
    assert_eq!(
        told,
        [
            format!(
                "[warn] the \"timer_resolution\" directive has no effect yet: the clock is read whenever it is needed in {at}:1"
            ),
            format!("[warn] the \"http\" block is ignored in {at}:3"),
            format!("[warn] \"timeout\" of 0 expires at once in {at}:5"),
            format!("[warn] duplicate value \"PLAIN\" in {at}:5"),
        ]
    );
}

#[test]
fn a_pid_file_is_taken_from_the_prefix_and_may_be_off() {
    for (said, means) in [
        ("", Pid::Unsaid),
        ("pid off;", Pid::Off),
        ("pid /run/mail.pid;", Pid::File(PidFile::new("/run/mail.pid"))),
        ("pid logs/nginx.pid;", Pid::File(PidFile::new("/etc/nginx/logs/nginx.pid"))),
    ] {
        let (config, told) = fit(&format!("{said} mail {{}}"));
        assert_eq!(config.pid, means, "{said}");
        assert_eq!(told, [""; 0]);
    }
}

#[test]
fn what_only_tunes_nginx_is_passed_over_and_what_an_operator_relies_on_is_not() {
    let told = fit("worker_cpu_affinity auto; worker_priority -5; working_directory /tmp;\n\
         timer_resolution 100ms; thread_pool default threads=32; ssl_engine x; lock_file logs/lock;\n\
         events { debug_connection 127.0.0.1; accept_mutex on; worker_aio_requests 32; } mail {}")
    .1;
    let at = "/etc/nginx/nginx.conf";
    let no_effect = |name, what, line| {
        format!("[warn] the \"{name}\" directive has no effect yet: {what} in {at}:{line}")
    };
    assert_eq!(
        told,
        [
            no_effect("timer_resolution", "the clock is read whenever it is needed", 2),
            no_effect("thread_pool", "there are no pools of threads", 2),
            no_effect("ssl_engine", "no engine is loaded", 2),
        ]
    );
}

#[test]
fn everything_can_be_wanted_of_some_clients() {
    let text = "events { debug_connection 192.0.2.0/24; debug_connection unix:; debug_connection localhost; } mail {}";
    let (config, told) = fit(text);
    assert_eq!(told, [""; 0]);
    let ip = |text: &str| text.parse().unwrap();
    let wanted = [
        Peers::Network(ip("192.0.2.0"), 24),
        Peers::Unix,
        Peers::Network(ip("::1"), 128),
        Peers::Network(ip("127.0.0.1"), 32),
    ];
    assert_eq!(config.process.debugged, wanted);
    assert_eq!(
        unfit("events { debug_connection x.invalid; } mail {}"),
        ["[emerg] host not found in debug_connection \"x.invalid\" in /etc/nginx/nginx.conf:1"]
    );
}

#[test]
fn a_buffer_too_small_for_a_line_is_made_larger_and_said() {
    let (config, told) = fit("mail { auth_http localhost; proxy_buffer 511; pop3_client_buffer 512;\n\
         server { listen 143; imap_client_buffer 0; } server { listen 110; proxy_buffer 1k; } }");
    let sizes = |at: usize| {
        let policy = &config.servers[at].policy;
        (policy.client_buffer_bytes, policy.backend.buffer_bytes)
    };
    assert_eq!((sizes(0), sizes(1)), ((512, 512), (512, 1024)));
    let at = "/etc/nginx/nginx.conf";
    assert_eq!(
        told,
        [
            format!("[warn] \"proxy_buffer\" is too small for a line, 512 is used in {at}:1"),
            format!("[warn] \"imap_client_buffer\" is too small for a line, 512 is used in {at}:2"),
        ]
    );
}

#[test]
fn chunking_is_warned_of_where_mail_is_taken_without_a_login() {
    let told = |mail: &str| fit(&format!("mail {{ auth_http localhost;\n{mail} }}")).1;
    let warning = "[warn] CHUNKING in \"smtp_capabilities\" is not supported yet under \"smtp_auth none\" \
                   in /etc/nginx/nginx.conf:2";
    for (mail, warnings) in [
        ("smtp_capabilities SIZE Chunking; smtp_auth none; server { listen 25; }", &[warning][..]),
        (
            "smtp_capabilities CHUNKING; server { listen 25; smtp_auth none; } server { listen 587; }",
            &[warning],
        ),
        ("smtp_capabilities CHUNKING; server { listen 587; }", &[]),
        ("smtp_capabilities CHUNKING; smtp_auth none; server { listen 25; smtp_capabilities SIZE; }", &[]),
        ("imap_capabilities CHUNKING; smtp_auth none; server { listen 143; }", &[]),
    ] {
        assert_eq!(told(mail), warnings, "{mail}");
    }
}

#[test]
fn a_file_without_mail_can_be_run_but_is_remarked_on() {
    let (config, told) = fit("events {}");
    assert!(config.servers.is_empty());
    assert_eq!(told, [r#"[warn] no "mail" section in configuration, there is nothing to do"#]);
    assert!(fit("mail {}").1.is_empty());
}

#[test]
fn the_first_complaint_is_the_one_nginx_stops_at() {
    let at = "/etc/nginx/nginx.conf";
    let told = unfit("mail {\nserver {\nlisten 143;\n}\nserver {\nlisten x:1;\n}\n}\nfoo;\n}\n");
    assert_eq!(
        told,
        [
            format!("[emerg] host not found in \"x:1\" of the \"listen\" directive in {at}:6"),
            format!("[emerg] unknown directive \"foo\" in {at}:9"),
            format!("[emerg] unexpected \"}}\" in {at}:10"),
        ]
    );
    let told = unfit("mail {\nserver {\nlisten 143 ssl;\n}\nserver {\nlisten 4000;\n}\n}\n");
    assert_eq!(
        told,
        [
            format!("[emerg] unknown mail protocol for server in {at}:5"),
            format!(
                "[emerg] no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in {at}:3"
            ),
            format!("[emerg] no \"auth_http\" is defined for server in {at}:2"),
            format!("[emerg] no \"auth_http\" is defined for server in {at}:5"),
        ]
    );
}

/// Where the `proxy_pass` of a server leads.
fn passed_to(policy: &Policy) -> String {
    match policy.backend.pass.as_ref().expect("a proxy_pass") {
        Target::Address(address) => address.to_string(),
        Target::AnyOf(places) => format!("{places:?}"),
        Target::Group(group) => format!("{} of {}", group.name, group.servers),
    }
}

#[test]
fn proxy_pass_names_a_group_an_address_or_a_host() {
    let policies = policies(
        "proxy_pass backends; server { listen 143; proxy_connect_timeout 5s; } \
         server { listen 110; proxy_pass 192.0.2.7; } server { listen 25; proxy_pass [::1]:2525; } \
         server { listen 465; proxy_pass unix:/run/smtp; } server { listen 993; proxy_pass localhost; } \
         upstream backends { server 192.0.2.1; server localhost:1143 weight=3; }",
    );
    let passed: Vec<_> = policies.iter().map(passed_to).collect();
    let expected = ["backends of 3", "192.0.2.7:110", "[::1]:2525", "unix:/run/smtp", "localhost of 2"];
    assert_eq!(passed, expected);
    assert_eq!(policies[0].backend.connect_timeout, Some(Duration::from_secs(5)));
    let known: Vec<_> = policies[0].upstreams.iter().map(|(name, servers)| (&**name, *servers)).collect();
    assert_eq!(known, [("backends", 3)], "the auth server can name those that were given a name");
}

#[test]
fn a_group_is_one_for_all_servers_of_a_protocol_and_has_the_protocol_s_port() {
    let (config, told) =
        fit("mail { proxy_pass backends; upstream backends { server 192.0.2.1; server 192.0.2.2:1 down; } \
         server { listen 143; } server { listen 993; } server { listen 110; } server { listen 25; } }");
    assert_eq!(told, [""; 0]);
    let group = |at: usize| config.servers[at].upstreams["backends"].clone();
    assert!(std::sync::Arc::ptr_eq(&group(0), &group(1)));
    for (at, port) in [(0, 143), (2, 110), (3, 25)] {
        let (mut tried, mut die) = (Default::default(), Die::new(Seed([0; 16])));
        let now = Instant::from_unix_millis(0);
        let lease = group(at).pick(&Guest::default(), &mut tried, now, &mut die).expect("a server");
        assert_eq!(lease.server().address.to_string(), format!("192.0.2.1:{port}"));
        assert!(group(at).pick(&Guest::default(), &mut tried, now, &mut die).is_none(), "the other is down");
    }
}

#[test]
fn without_an_auth_server_the_backend_checks_and_its_word_is_passed_on() {
    let (config, told) =
        fit("mail { proxy_pass 192.0.2.1; server { listen 143; } server { listen 25; smtp_auth plain; } \
         server { listen 587; auth_http localhost; smtp_auth cram-md5; } }");
    assert_eq!(told, [""; 0]);
    let backend = |at: usize| {
        let policy = &config.servers[at].policy;
        (policy.auth.is_some(), policy.backend.pass_error_message, policy.backend.smtp_auth)
    };
    assert_eq!(
        [backend(0), backend(1), backend(2)],
        [(false, true, true), (false, true, true), (true, false, false)]
    );
}

#[test]
fn what_a_group_does_not_need_is_said() {
    let (_, told) = fit("mail { proxy_pass backends; server { listen 143; } \
         upstream backends { zone backends 64k; keepalive 16; random; least_conn; server 192.0.2.1; } }");
    let [keepalive, redefined] = told.as_slice() else { panic!("{told:?}") };
    assert!(keepalive.contains("\"keepalive\" directive has no effect"), "{keepalive}");
    assert!(redefined.contains("load balancing method redefined"), "{redefined}");
}

#[test]
fn an_auth_server_may_be_a_group_further_down() {
    let (config, told) = fit("mail { auth_http http://auths/check; server { listen 143; } \
         upstream auths { server 192.0.2.1:9000; server 192.0.2.2 backup; } }");
    assert_eq!(told, [""; 0]);
    let [server] = config.servers.as_slice() else { panic!() };
    let auth = auth(&server.policy);
    assert_eq!((&*auth.host, &*auth.uri), ("auths", "/check"));
    let Target::Group(group) = &auth.target else { panic!() };
    assert_eq!((&*group.name, group.servers), ("auths", 2));
    let (mut tried, mut die) = (Default::default(), Die::new(Seed([0; 16])));
    let mut pick = || {
        let now = Instant::from_unix_millis(0);
        let lease = server.auth_upstreams["auths"].pick(&Guest::default(), &mut tried, now, &mut die)?;
        Some(lease.server().address.to_string())
    };
    let picked = [pick(), pick(), pick()];
    assert_eq!(picked, [Some("192.0.2.1:9000".to_owned()), Some("192.0.2.2:80".to_owned()), None]);
}
