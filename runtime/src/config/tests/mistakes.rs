//! What people get wrong, and what they are told.

use super::witness::Desk;
use super::{all_lines, load_text};

/// What went wrong, and how it was written. `…` stands for a server without fault.
const MISTAKES: &[(&str, &str)] = &[
    (
        "a typo in a directive",
        "mail {\n    server {\n        protcol imap;\n        listen 143;\n    }\n    auth_http localhost;\n}\n",
    ),
    ("a missing semicolon", "mail {\n    auth_http localhost\n    server_name mail.example.com;\n    …\n}\n"),
    (
        "a missing semicolon before a brace",
        "mail {\n    auth_http localhost;\n    server { listen 143; protocol imap }\n}\n",
    ),
    ("a brace too many", "mail {\n    auth_http localhost;\n    …\n    }\n}\n"),
    ("a brace too few", "mail {\n    auth_http localhost;\n    server {\n        listen 143;\n}\n"),
    (
        "a quote that is never closed",
        "mail {\n    auth_http_header X-Key \"secret;\n    auth_http localhost;\n    …\n}\n",
    ),
    (
        "limits of zones that are not there, or twice",
        "mail {\n    auth_http localhost;\n    limit_conn_zone $remote_addr zone=addr:1m;\n    \
         limit_conn_zone $remote_user zone=addr:1m;\n    limit_conn_zone $request_uri zone=uri:1m;\n    \
         limit_conn user 5;\n    limit_conn addr 5;\n    limit_conn addr 6;\n    …\n}\n",
    ),
    ("something behind a quote", "mail {\n    auth_http_header X-Key \"secret\"1;\n}\n"),
    ("a block without braces", "mail;\n"),
    ("braces behind a simple directive", "mail {\n    auth_http { localhost; }\n    …\n}\n"),
    (
        "a directive of another module",
        "mail {\n    auth_http localhost;\n    server {\n        listen 143;\n        location / { root /var; }\n    }\n}\n",
    ),
    (
        "a directive in the wrong block",
        "mail {\n    auth_http localhost;\n    listen 143;\n    …\n}\nserver_name mail.example.com;\n",
    ),
    (
        "no listen and no protocol",
        "mail {\n    auth_http localhost;\n    server { protocol imap; }\n    server { listen 4000; }\n}\n",
    ),
    ("no auth server", "mail {\n    server {\n        listen 143;\n    }\n}\n"),
    (
        "an unknown protocol",
        "mail {\n    auth_http localhost;\n    server { listen 143; protocol IMAP; }\n}\n",
    ),
    (
        "a flag that is none",
        "mail {\n    auth_http localhost;\n    xclient yes;\n    proxy_pass_error_message 1;\n    …\n}\n",
    ),
    (
        "a time without a known unit",
        "mail {\n    auth_http localhost;\n    timeout 1min;\n    proxy_timeout 1s1h;\n    …\n}\n",
    ),
    (
        "a size with a wrong unit",
        "mail {\n    auth_http localhost;\n    imap_client_buffer 1g;\n    max_errors -1;\n    …\n}\n",
    ),
    (
        "too many names",
        "mail {\n    server_name mail.example.com imap.example.com;\n    auth_http localhost;\n    …\n}\n",
    ),
    (
        "a duplicate",
        "mail {\n    timeout 60s;\n    auth_http localhost;\n    timeout\n        30s;\n    …\n}\n",
    ),
    (
        "an address twice",
        "mail {\n    auth_http localhost;\n    server { listen 143; }\n    server { listen *:143 ssl; }\n}\n",
    ),
    (
        "a port that is none",
        "mail {\n    auth_http localhost:0/auth;\n    server { listen 99999; }\n    server { listen 2001:db8::1:143; }\n    server { listen 127.0.0.1; }\n}\n",
    ),
    ("a host nobody knows", "mail {\n    auth_http auth.exmaple.com:9000/auth;\n    …\n}\n"),
    (
        "several auth servers",
        "mail {\n    auth_http https://auth.example.com/auth https://auth.example.com:0/auth;\n    …\n}\n",
    ),
    (
        "a listen parameter of http",
        "mail {\n    auth_http localhost;\n    server { listen 143 default_server; protocol imap; }\n}\n",
    ),
    (
        "sockets as they cannot be",
        "mail {\n    auth_http localhost;\n    server { listen 143 rcvbuf=8g; }\n    server { listen 144 sndbuf=; protocol imap; }\n    server { listen 145 so_keepalive=0::; protocol imap; }\n    server { listen unix:; protocol imap; }\n    server { listen unix:/a; listen unix:/a ssl; protocol imap; }\n    server { listen unix:/b; }\n}\n",
    ),
    (
        "a method that POP3 has not",
        "mail {\n    auth_http localhost;\n    pop3_auth login digest-md5;\n    imap_auth plain apop;\n    …\n}\n",
    ),
    (
        "TLS without a certificate",
        "mail {\n    auth_http localhost;\n    server { listen 993 ssl; }\n    server {\n        listen 143;\n        starttls on;\n    }\n}\n",
    ),
    (
        "a certificate without a key",
        "mail {\n    auth_http localhost;\n    ssl_certificate a.pem;\n    ssl_certificate b.pem;\n    ssl_certificate_key a.key;\n    server { listen 993 ssl; }\n    server { listen 995 ssl; ssl_certificate c.pem; ssl_certificate_key c.key; }\n    server { listen 143; starttls on; }\n}\n",
    ),
    (
        "a certificate that is not there",
        "mail {\n    auth_http localhost;\n    server {\n        listen 993 ssl;\n        ssl_certificate     /nonexistent/mail.crt;\n        ssl_certificate_key /nonexistent/mail.key;\n    }\n}\n",
    ),
    ("TLS twice", "mail {\n    auth_http localhost;\n    server { listen 143; ssl on; starttls on; }\n}\n"),
    (
        "a configuration of Zimbra's",
        "memcache {\n    servers 127.0.0.1:11211;\n}\nmail {\n    zm_auth_http;\n    proxy_ctimeout 120000ms;\n    imap_id \"NAME\" \"Zimbra\";\n    sasl_app_name \"nginx\";\n    mail_login_ip_max 20;\n    proxy_issue_pop3_xoip on;\n    auth_http localhost;\n    …\n}\n",
    ),
    (
        "an include that is not there",
        "include modules/*.conf;\nmail {\n    auth_http localhost;\n    include servers.conf;\n}\n",
    ),
    ("a log level in capitals", "error_log /var/log/mail.log WARN;\nmail { auth_http localhost; … }\n"),
    ("too many workers", "worker_processes 0;\nmail { auth_http localhost; … }\n"),
    (
        "a proxy that nobody knows",
        "mail {\n    auth_http localhost;\n    set_real_ip_from 10.0.0.0/33;\n    set_real_ip_from [::1];\n    set_real_ip_from 10.1;\n    set_real_ip_from proxy.exmaple.com;\n    proxy_protocol v3;\n    …\n}\n",
    ),
    (
        "a resolver that is none",
        "mail {\n    auth_http localhost;\n    resolver 192.0.2.53:0 valid=5m;\n    server { listen 25; resolver OFF; }\n    server { listen 465; resolver 192.0.2.53 valid=100ms; }\n    server { listen 587; resolver 192.0.2.53 ipv4=off ipv6=off; }\n    server { listen 2525; protocol smtp; resolver valid=5m; resolver_timeout 5; resolver_timeout 6; }\n    server { listen 2526; protocol smtp; resolver 192.0.2.53 ipv6=no; }\n}\n",
    ),
    (
        "TLS to backends by halves",
        "mail {\n    auth_http localhost;\n    server { listen 143; proxy_ssl tls; }\n    server { listen 110; proxy_ssl on; proxy_ssl_certificate a.pem; }\n    server { listen 25; proxy_ssl on; proxy_ssl_certificate_key a.key; }\n    server { listen 465; proxy_ssl_name *.example.com; proxy_ssl_verify yes; }\n    server { listen 587; proxy_ssl starttls; proxy_ssl_trusted_certificate\n        /nonexistent/ca.pem; }\n}\n",
    ),
    (
        "client certificates that nothing can be held against",
        "mail {\n    auth_http localhost;\n    ssl_certificate a.pem;\n    ssl_certificate_key a.key;\n    server { listen 993 ssl; ssl_verify_client on; }\n    server { listen 995 ssl; ssl_verify_client required; ssl_verify_depth x; }\n}\n",
    ),
    (
        "groups of servers that are none",
        "mail {\n    auth_http localhost;\n    upstream a { }\n    upstream b {\n        server localhost;\n        server nowhere.example.com:143;\n        server 192.0.2.1:0 weight=2;\n        server 192.0.2.1 weight=0;\n        server 192.0.2.1 max_conns=x;\n        server 192.0.2.1 fail_timeout=1x;\n        server 192.0.2.1 resolve;\n        server 192.0.2.1 slow;\n        listen 143;\n    }\n    upstream b { server 192.0.2.1; }\n    upstream c { hash $host; random three; random two least_time; hash $remote_user consistant; server 192.0.2.1; }\n    upstream d {\n        ip_hash;\n        least_conn;\n        ip_hash;\n        server 192.0.2.1 backup;\n    }\n    least_conn;\n    server { listen 143; proxy_pass nowhere.example.com; }\n    server { listen 110; proxy_pass b; proxy_pass b; }\n}\n",
    ),
    (
        "names that nobody is there to look up, or could",
        "mail {\n    upstream a {\n        server localhost resolve;\n        server ex..ample:143 resolve;\n        server localhost:x resolve;\n        server unix: resolve;\n        resolver_timeout soon;\n    }\n    upstream b { resolver off; server nowhere.example.com resolve; }\n    upstream c { resolver 192.0.2.53; server localhost; }\n    proxy_pass a;\n    server { listen 143; resolver 192.0.2.53; }\n}\n",
    ),
    (
        "logins that no backend can check",
        "mail {\n    imap_auth plain cram-md5;\n    proxy_pass 192.0.2.1;\n    server { listen 143; }\n    server { listen 110; pop3_auth apop external; }\n    server { listen 25; proxy_smtp_auth off; }\n    server { listen 587; auth_http localhost; smtp_auth cram-md5; proxy_smtp_auth off; }\n}\n",
    ),
    (
        "keys that are somewhere else",
        "mail {\n    auth_http localhost;\n    server { listen 993 ssl; ssl_certificate engine:pkcs11:id; ssl_certificate_key store:pkcs11:id; }\n    server { listen 995 ssl; ssl_certificate data:x; ssl_certificate_key \"data:y\"; }\n    server { listen 465 ssl; ssl_certificate data:x; }\n}\n",
    ),
    (
        "ciphers and groups that nobody knows",
        "mail {\n    auth_http localhost;\n    ssl_certificate a.pem;\n    ssl_certificate_key a.key;\n    server { listen 993 ssl; ssl_ciphers modern; }\n    server { listen 995 ssl; ssl_ecdh_curve p-256; }\n    server { listen 465 ssl; ssl_conf_command Curve X25519; }\n    server { listen 25; starttls on; ssl_conf_command MinProtocol 1.2; }\n    server { listen 587; starttls on; ssl_ciphers RC4:!AES128; }\n}\n",
    ),
    (
        "session caches that are none",
        "mail {\n    auth_http localhost;\n    ssl_session_timeout 10min;\n    server { listen 993; ssl_session_cache on; }\n    server { listen 995; ssl_session_cache shared:SSL:16k; }\n    server { listen 143; ssl_session_cache shared:1m; }\n}\n",
    ),
    (
        "something that is not supported yet",
        "mail {\n    auth_http localhost;\n    error_log memory:32m;\n    server { listen 143; }\n}\n",
    ),
    (
        "sockets that cannot be bound beside a wildcard's",
        "mail {\n    auth_http localhost;\n    server { protocol imap; listen 127.0.0.1:143 bind; listen 4000; }\n    server {\n        listen 143;\n        listen [::]:4000 ipv6only=off;\n        listen 127.0.0.2:143;\n    }\n}\n",
    ),
    (
        "a line break in a header",
        "mail {\n    auth_http localhost;\n    auth_http_header X-Key \"a\\r\\nX-Admin: yes\";\n    …\n}\n",
    ),
    ("a file that includes itself", "mail {\n    auth_http localhost;\n    include nginx.conf;\n    …\n}\n"),
    (
        "a variable, which mail has not",
        "mail {\n    server_name ${hostname};\n    auth_http http://${backend}/auth;\n    …\n}\n",
    ),
    (
        "a variable's brace in the wrong place",
        "mail {\n    server_name $ {hostname};\n    auth_http localhost;\n    …\n}\n",
    ),
    (
        "line ends of another system, and a typo",
        "mail {\r\n    auth_http localhost;\r\n    tiemout 60s;\r\n    …\r\n}\r\n",
    ),
    (
        "a path too long for a UNIX socket",
        "mail {\n    auth_http unix:/run/a-very-long-name-of-a-directory/that-goes-on-and-on/until-no-system-takes-it-any-more/for-a-socket.sock;\n    …\n}\n",
    ),
    (
        "a UNIX socket without a path",
        "mail {\n    auth_http unix:;\n    server { listen unix:; protocol imap; }\n}\n",
    ),
    ("an auth server without a host", "mail {\n    auth_http http:///auth;\n    …\n}\n"),
    ("two blocks for mail", "mail {\n    auth_http localhost;\n    …\n}\nmail {\n}\n"),
    ("events twice", "events {\n}\nevents { worker_connections x; }\nmail { auth_http localhost; … }\n"),
    ("a semicolon that is a colon", "mail {\n    auth_http localhost:\n    timeout 60s;\n    …\n}\n"),
    (
        "settings of another kind",
        "mail {\n    auth_http = localhost;\n    timeout: 60s;\n    server_name => mail.example.com;\n    …\n}\n",
    ),
    ("a comment of another language", "mail {\n    // the auth server\n    auth_http localhost;\n    …\n}\n"),
    (
        "too few words",
        "mail {\n    auth_http localhost;\n    auth_http_header X-Key;\n    server { listen; protocol; }\n    imap_capabilities;\n}\n",
    ),
    ("the name of a block misspelt", "mial {\n    server {\n        listen 143;\n    }\n}\n"),
    (
        "a directive of the server's block outside of it",
        "mail {\n    auth_http localhost;\n    protocol imap;\n    listen 143;\n}\n",
    ),
    (
        "a port that is a word",
        "mail {\n    auth_http localhost;\n    server { listen imaps ssl; protocol imap; }\n    server { listen localhost:imap; protocol imap; }\n}\n",
    ),
    (
        "a certificate's file for another's",
        "mail {\n    auth_http localhost;\n    server {\n        listen 993 ssl;\n        ssl_certificate /dev/null;\n        ssl_certificate_key /dev/null;\n    }\n}\n",
    ),
    ("a byte order mark", "\u{feff}mail {\n}\n"),
    ("a file of another kind", "<?xml version=\"1.0\"?>\n<mail>\n  <server port=\"143\"/>\n</mail>\n"),
];

#[test]
fn every_mistake_is_told_with_its_place_and_what_to_do() {
    let mut all = String::new();
    for (title, text) in MISTAKES {
        let text = text.replace('…', "server { listen 143; }");
        let told = load_text(&text).expect_err(title);
        all.push_str(&format!("# {title}\n\n{}\n\n\n", all_lines(&told)));
    }
    insta::assert_snapshot!("mistakes", all);
}

/// What is wrong with the contents of files, real ones.
const WRONG_FILES: &[(&str, &str)] = &[
    (
        "a key that does not match",
        "mail {\n    auth_http 127.0.0.1;\n    server {\n        listen 993 ssl;\n        ssl_certificate     desk.pem;\n        ssl_certificate_key other.key;\n    }\n}\n",
    ),
    (
        "key and certificate the wrong way round",
        "mail {\n    auth_http 127.0.0.1;\n    ssl_certificate     desk.key;\n    ssl_certificate_key desk.pem;\n    server { listen 993 ssl; }\n}\n",
    ),
    (
        "a folder for a file",
        "mail {\n    auth_http 127.0.0.1;\n    ssl_certificate     .;\n    ssl_certificate_key desk.key;\n    server { listen 993 ssl; }\n}\n",
    ),
    (
        "an authority that is a key",
        "mail {\n    auth_http 127.0.0.1;\n    ssl_certificate     desk.pem;\n    ssl_certificate_key desk.key;\n    ssl_client_certificate other.key;\n    ssl_verify_client on;\n    server { listen 993 ssl; }\n}\n",
    ),
    ("an include that is a folder", "mail {\n    auth_http 127.0.0.1;\n    include .;\n}\n"),
];

#[test]
fn files_that_are_not_what_they_should_be_are_told_by_name() {
    let desk = Desk::new("wrong-files");
    let mut all = String::new();
    for (title, text) in WRONG_FILES {
        desk.write(text, &[]);
        assert!(desk.gatepost().is_some(), "{title}");
        all.push_str(&format!("# {title}\n\n{}\n\n\n", desk.told()));
    }
    insta::assert_snapshot!("wrong_files", all);
}

#[test]
fn a_flood_of_warnings_hides_no_mistake() {
    let told = load_text(&format!("{}foo;", "thread_pool x threads=1;\n".repeat(1000))).unwrap_err();
    assert_eq!(told.len(), 102);
    assert!(told[100].to_string().starts_with("[emerg] unknown directive \"foo\""), "{}", told[100]);
    assert_eq!(told[101].to_string(), "[warn] more than 100 warnings, the rest is not shown");
}

#[test]
fn a_flood_of_mistakes_is_cut() {
    let told = load_text(&"x;\n".repeat(100_000)).unwrap_err();
    assert_eq!(told.len(), super::super::diagnostic::COMPLAINTS_MAX + 1);
    let last = told.last().unwrap().to_string();
    assert_eq!(last, "[emerg] more than 100 complaints, the rest is not shown");
}
