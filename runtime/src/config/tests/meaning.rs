//! What a configuration that can be run comes to, where no file beside this one is about it.

use std::time::Duration;

use gatepost_core::{Mechanism, Place, Policy, Protocol, StartTls, Target};

use super::{auth, fit, policies, policy, unfit};
use crate::config::Pid;
use crate::pid_file::PidFile;

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
        auth(&policy).urls[0].target,
        Target::Address(std::net::SocketAddr::from(([192, 0, 2, 1], 9000)).into())
    );
    assert_eq!((&*auth(&policy).urls[0].host, &*auth(&policy).urls[0].uri), ("auth.example.com", "/auth?x"));
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
fn a_name_of_several_addresses_is_tried_at_all_of_them() {
    let policy = policy("server { listen 143; auth_http localhost:9000/auth; }");
    let Target::AnyOf(all) = &auth(&policy).urls[0].target else { panic!() };
    let sockets: [std::net::SocketAddr; 2] =
        ["[::1]:9000", "127.0.0.1:9000"].map(|text| text.parse().unwrap());
    assert_eq!(**all, sockets.map(|socket| Place::At(socket.into())));
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
fn two_kinds_of_literals_are_not_promised_at_once() {
    let warning = "[warn] \"imap_capabilities\" has LITERAL+ and LITERAL-, only the first is used \
                   in /etc/nginx/nginx.conf:2";
    for (mail, promised, warnings) in [
        ("imap_capabilities IDLE literal- LITERAL+;", &["IDLE", "LITERAL+"][..], &[warning][..]),
        ("imap_capabilities LITERAL-;", &["LITERAL-"], &[]),
        ("smtp_capabilities LITERAL+ LITERAL-;", &["IMAP4", "IMAP4rev1", "UIDPLUS"], &[]),
    ] {
        let text = format!("mail {{ auth_http localhost;\n{mail} server {{ listen 143; }} }}");
        let (config, told) = fit(&text);
        let capabilities: Vec<_> = config.servers[0].policy.capabilities.iter().map(AsRef::as_ref).collect();
        assert_eq!(capabilities, promised, "{mail}");
        assert_eq!(told, warnings, "{mail}");
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
