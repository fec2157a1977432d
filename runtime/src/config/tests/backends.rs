//! Backends: how they are found, and what is said to them.

use std::time::Duration;

use gatepost_core::{AuthUrl, BackendTls, Guest, Instant, Policy, ProxyHeader, Scheme, Seed, Target};

use super::{auth, first_lines, fit, load_on, machine, policies, unfit};
use crate::upstream::Die;

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
fn logins_go_in_one_step_where_that_is_asked_for() {
    let (config, told) = fit("mail { auth_http localhost; proxy_pipelining on;\n\
         server { listen 143; } server { listen 110; } server { listen 993; protocol imap; proxy_pipelining off; }\n\
         server { listen 25; proxy_pipelining on; smtp_auth none; }\n\
         server { listen 587; proxy_pipelining on; } server { listen 995; protocol pop3; proxy_pipelining ON; } }");
    let pipelining: Vec<_> = config.servers.iter().map(|server| server.policy.backend.pipelining).collect();
    assert_eq!(pipelining, [true, true, false, true, true, true]);
    let warning =
        "[warn] \"proxy_pipelining\" has no effect but on IMAP, and on SMTP with the method \"none\"";
    let told: Vec<_> = told.iter().filter(|line| line.contains("proxy_pipelining")).collect();
    let expected = format!("{warning} in /etc/nginx/nginx.conf:4");
    assert_eq!(told, [&expected, &expected]);
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
    assert_eq!((&*auth.urls[0].host, &*auth.urls[0].uri), ("auths", "/check"));
    let Target::Group(group) = &auth.urls[0].target else { panic!() };
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

#[test]
fn an_auth_server_under_tls_is_checked_for_its_name_unless_that_is_not_wanted() {
    let text = "auth_http https://auth.example.com/auth; auth_http_ssl_verify off;
                server { listen 143; } server { listen 110; auth_http_ssl_name one.example.com; }
                server { listen 25; auth_http https://localhost:8443 http://192.0.2.7 https://[::1]/x; }
                server { listen 587; auth_http localhost; }";
    let (config, told) = fit(&format!("mail {{ {text} }}"));
    let clear = r#"[warn] passwords go to "192.0.2.7" in clear where a server under "https://" fails"#;
    assert_eq!(told, [format!("{clear} in /etc/nginx/nginx.conf:3")]);
    let found: Vec<Vec<String>> = config
        .servers
        .iter()
        .map(|server| {
            let urls = auth(&server.policy).urls.iter();
            let shown = |url: &AuthUrl| match &url.scheme {
                Scheme::Http => format!("{} in clear", url.host),
                Scheme::Https { name } => format!("{} as {name:?}", url.host),
            };
            urls.map(shown).collect()
        })
        .collect();
    let own = ["localhost as Some(\"localhost\")", "192.0.2.7 in clear", "[::1] as None"];
    let wanted: [&[&str]; 4] = [
        &["auth.example.com as Some(\"auth.example.com\")"],
        &["auth.example.com as Some(\"one.example.com\")"],
        &own,
        &["localhost in clear"],
    ];
    assert_eq!(found, wanted);
    let tls: Vec<_> = config.servers.iter().map(|server| server.auth_tls.is_some()).collect();
    assert_eq!(tls, [true, true, true, false]);
    let alpn = config.servers[0].auth_tls.as_ref().unwrap().alpn_protocols.clone();
    assert_eq!(alpn, [b"http/1.1"]);
}

#[test]
fn what_is_said_of_tls_towards_auth_servers_is_not_said_in_vain() {
    let told = |mail: &str| fit(&format!("mail {{ {mail} }}")).1;
    let warning = |line: &str| line.contains("TLS towards auth servers has no effect");
    let nobody =
        told("auth_http localhost; auth_http_ssl_verify off; server { listen 143; } server { listen 110; }");
    assert!(matches!(nobody.as_slice(), [line] if warning(line)), "{nobody:?}");
    let one =
        "auth_http localhost; auth_http_ssl_verify off; server { listen 143; auth_http https://localhost; }";
    assert_eq!(told(&format!("{one} server {{ listen 110; }}")), [""; 0]);
    let other = told(&format!("{one} server {{ listen 110; auth_http_ssl_name a.test; }}"));
    assert!(matches!(other.as_slice(), [line] if warning(line)), "{other:?}");
    for (said, complaint) in [
        (
            "auth_http_ssl_certificate a.pem;",
            "no \"auth_http_ssl_certificate_key\" is defined for certificate \"a.pem\"",
        ),
        (
            "auth_http_ssl_certificate_key a.key;",
            "no \"auth_http_ssl_certificate\" is defined for key \"a.key\"",
        ),
        (
            "auth_http_ssl_trusted_certificate none.pem;",
            "SSL_CTX_load_verify_locations(\"/etc/nginx/none.pem\") failed",
        ),
    ] {
        let text = format!("mail {{ auth_http https://localhost;\n{said}\nserver {{ listen 143; }} }}");
        let told = unfit(&text);
        assert!(
            matches!(told.as_slice(), [line] if line.contains(complaint) && line.ends_with(":2")),
            "{told:?}"
        );
    }
}

/// Whoever breaks the handshake of the one would be told by the other.
#[test]
fn an_auth_server_in_clear_beside_one_under_tls_is_remarked_on_unless_it_is_on_this_machine() {
    let told = |urls: &str| {
        fit(&format!(
            "mail {{ resolver 192.0.2.53; server {{ listen 143;\nauth_http {urls}; }} server {{ listen 110; auth_http [::1]; }}
             upstream near {{ server unix:/run/auth; server 127.0.0.1; }} upstream far {{ server unix:/run/auth; server 192.0.2.1; }}
             upstream wide {{ server 127.0.0.1; server localhost resolve; }} }}"
        ))
        .1
    };
    for urls in [
        "https://192.0.2.1 localhost",
        "127.8.9.10:80/x https://192.0.2.1",
        "https://192.0.2.1 unix:/run/auth:/x",
        "near https://192.0.2.1",
        "https://192.0.2.1 https://192.0.2.2",
        "192.0.2.1 192.0.2.2",
    ] {
        assert_eq!(told(urls), [""; 0], "{urls}");
    }
    for (urls, host) in [
        ("https://192.0.2.1 http://auth.example.com/x", "auth.example.com"),
        ("192.0.2.7 https://192.0.2.1", "192.0.2.7"),
        ("https://192.0.2.1 far", "far"),
        ("https://192.0.2.1 wide", "wide"),
    ] {
        let clear = format!(
            "[warn] passwords go to \"{host}\" in clear where a server under \"https://\" fails in /etc/nginx/nginx.conf:2"
        );
        assert_eq!(told(urls), [clear], "{urls}");
    }
}

#[test]
fn an_auth_server_that_no_certificate_could_be_for_is_refused() {
    for (urls, whom) in [
        ("https://auths", "unix:/run/auth"),
        ("http://127.0.0.1 https://auth-.test", "auth-.test"),
        ("https://odd", "auth-.test"),
    ] {
        let text = |name: &str| {
            format!(
                "mail {{ server {{ listen 143; {name}\nauth_http {urls}; }} upstream odd {{ server auth-.test; }}
                 upstream auths {{ server auth.example.com; server unix:/run/auth; }} }}"
            )
        };
        let machine = || machine().host("auth-.test", &["192.0.2.3".parse().unwrap()]);
        let told = load_on(machine(), &text("")).map(|_| ()).expect_err("no server");
        let complaint = format!("[emerg] no certificate could be for \"{whom}\" in \"auth_http\"");
        assert_eq!(first_lines(&told), [format!("{complaint} in /etc/nginx/nginx.conf:2")]);
        let loaded = load_on(machine(), &text("auth_http_ssl_name auth.example.com;")).expect("a server");
        assert_eq!(first_lines(&loaded.warnings), [""; 0], "{urls}");
    }
    // Its own URL calls it localhost.
    assert_eq!(fit("mail { auth_http https://unix:/run/auth; server { listen 143; } }").1, [""; 0]);
}

#[test]
fn mail_without_a_login_and_without_an_auth_server_is_remarked_on() {
    let told = |said: &str| fit(&format!("mail {{ proxy_pass 192.0.2.1; {said} }}")).1;
    let open = "server { listen 25; smtp_auth none; }";
    let line = "[warn] under \"smtp_auth none\" without \"auth_http\" it is for the backend alone to say who may send mail";
    assert_eq!(told(open), [format!("{line} in /etc/nginx/nginx.conf:1")]);
    assert_eq!(told(&format!("auth_http localhost; {open}")), [""; 0]);
    assert_eq!(told("smtp_auth none; server { listen 143; }"), [""; 0]);
    assert_eq!(told("server { listen 25; smtp_auth plain; }"), [""; 0]);
}

#[test]
fn a_group_of_auth_servers_under_tls_has_another_port() {
    let (config, told) = fit("mail { auth_http https://auths/check http://auths; server { listen 143; } \
         upstream auths { server auth.example.com; server 192.0.2.2:444; } }");
    let clear = r#"[warn] passwords go to "auths" in clear where a server under "https://" fails"#;
    assert_eq!(told, [format!("{clear} in /etc/nginx/nginx.conf:1")]);
    let server = &config.servers[0];
    let names: Vec<_> = auth(&server.policy)
        .urls
        .iter()
        .map(|url| match &url.target {
            Target::Group(group) => (&*group.name, group.servers),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, [("https://auths", 2), ("auths", 2)]);
    let first = |name: &str| {
        let (mut tried, mut die) = (Default::default(), Die::new(Seed([0; 16])));
        let now = Instant::from_unix_millis(0);
        let lease = server.auth_upstreams[name].pick(&Guest::default(), &mut tried, now, &mut die).unwrap();
        (lease.server().address.to_string(), lease.server().name.clone())
    };
    assert_eq!(first("https://auths"), ("192.0.2.1:443".to_owned(), Some("auth.example.com".into())));
    assert_eq!(first("auths").0, "192.0.2.1:80");
}

#[test]
fn names_that_are_looked_up_again_need_not_exist_yet() {
    let (config, told) = fit(
        "mail { proxy_pass backends; resolver 192.0.2.53 ipv6=off; resolver_timeout 5s; \
         server { listen 143; } server { listen 110; resolver off; } \
         upstream backends { server 192.0.2.1; server localhost weight=2 resolve; server 192.0.2.2:1 backup; \
         server nowhere.example.com:1143 resolve; } \
         upstream own { resolver 192.0.2.54:54 valid=1m; resolver_timeout 6s; server localhost:9000 resolve; } }",
    );
    let at = "in /etc/nginx/nginx.conf:1";
    let warning = format!("[warn] host not found in upstream \"nowhere.example.com:1143\" {at}");
    assert_eq!(told, [warning]);
    assert_eq!(passed_to(&config.servers[0].policy), "backends of 6");
    let names = |at: usize, group: &str| {
        let names = config.servers[at].upstreams[group].names().to_vec();
        names
            .into_iter()
            .map(|name| {
                let (server, seconds) = (name.resolver.servers[0].to_string(), name.timeout.as_secs());
                (
                    name.host.to_string(),
                    name.port,
                    name.before,
                    name.model.weight,
                    name.addresses,
                    server,
                    seconds,
                )
            })
            .collect::<Vec<_>>()
    };
    let dns = || "192.0.2.53:53".to_owned();
    let home = vec![std::net::IpAddr::from([127, 0, 0, 1])];
    for (at, port) in [(0, 143), (1, 110)] {
        let nowhere = ("nowhere.example.com".to_owned(), 1143, 2, 1, vec![], dns(), 5);
        assert_eq!(
            names(at, "backends"),
            [("localhost".to_owned(), port, 1, 2, home.clone(), dns(), 5), nowhere]
        );
    }
    let both = vec!["::1".parse().unwrap(), home[0]];
    assert_eq!(names(0, "own"), [("localhost".to_owned(), 9000, 0, 1, both, "192.0.2.54:54".to_owned(), 6)]);
    // In the order of the configuration, backups last.
    let (mut tried, mut die) = (Default::default(), Die::new(Seed([0; 16])));
    let mut pick = || {
        let now = Instant::from_unix_millis(0);
        let lease =
            config.servers[0].upstreams["backends"].pick(&Guest::default(), &mut tried, now, &mut die)?;
        Some(lease.server().address.to_string())
    };
    let picked: Vec<_> = std::iter::from_fn(&mut pick).collect();
    assert_eq!(picked, ["127.0.0.1:143", "192.0.2.1:143", "192.0.2.2:1"]);
}
