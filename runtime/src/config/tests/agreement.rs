//! Files that nginx and Gatepost take alike, or refuse with the same words, wherever the words stand.
//!
//! nginx's words are those of 1.31; where the installed one has others, `OTHERWISE` knows how they differ.

use super::witness::{Desk, is_there};

/// A server without fault, to go with a fault elsewhere in `mail {}`.
const SERVER: &str = "server { listen 127.0.0.1:14143; protocol imap; }";

/// Arguments for a directive of `mail {}`.
const VALUES: &[(&str, &[&str])] = &[
    (
        "timeout",
        &[
            "0",
            "60",
            "60s",
            "500ms",
            "1m30s",
            "\"1m 30s\"",
            "\"1m 30\"",
            "\"1m \"",
            "1w2d3h4m5s6ms",
            "24h",
            "\"\"",
            "s",
            "\" 1s\"",
            "1s1m",
            "1s1s",
            "1y",
            "1M",
            "1.5s",
            "-1s",
            "\"1 s\"",
            "1sec",
            "1ms1",
            "1h1h",
            "99999999999999999999w",
            "9223372036854775807ms",
            "9223372036854775807",
        ],
    ),
    (
        "imap_client_buffer",
        &[
            "0",
            "4096",
            "8k",
            "8K",
            "1m",
            "\"\"",
            "k",
            "1g",
            "1kb",
            "-1",
            "\"1 k\"",
            "9223372036854775807",
            "9223372036854775808",
            "8796093022207m",
            "8796093022208m",
        ],
    ),
    ("max_errors", &["0", "5", "-1", "\"\"", "x", "1.5", "99999999999999999999"]),
    ("xclient", &["on", "off", "ON", "oN", "yes", "\"\"", "1"]),
    ("starttls", &["off", "OFF", "x", "\"\""]),
    ("imap_auth", &["plain", "login", "cram-md5", "PLAIN Login", "external", "apop", "none", "plain x"]),
    ("pop3_auth", &["plain apop", "external", "login", "none", "x"]),
    ("smtp_auth", &["plain login none", "EXTERNAL", "apop", "\"\""]),
    (
        "set_real_ip_from",
        &[
            "192.0.2.1",
            "127.0.0.1/8",
            "10.0.0.0/08",
            "0.0.0.0/0",
            "::1",
            "2001:db8::/32",
            "::/0",
            "localhost",
            "unix:",
            "unix:/a",
            "[::1]",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/x",
            "10.0.0.0/",
            "1.2.3/8",
            "10.0.0.1:5",
            "x.invalid",
            "\"\"",
            "",
        ],
    ),
    (
        "resolver",
        &[
            "off",
            "off x",
            "OFF",
            "127.0.0.1",
            "127.0.0.1:53 127.0.0.2 valid=300s ipv6=off",
            "[::1]:5353",
            "localhost",
            "127.0.0.1:0",
            "127.0.0.1:",
            "::1",
            "127.0.0.1/x",
            "127.0.0.1?x",
            "x.invalid",
            "*",
            ":53",
            "\"\"",
            "127.0.0.1 off",
            "valid=1s",
            "ipv6=off",
            "127.0.0.1 valid=",
            "127.0.0.1 valid=x",
            "127.0.0.1 valid=1ms",
            "127.0.0.1 valid=0",
            "127.0.0.1 valid=1M1d",
            "127.0.0.1 valid=1d1M",
            "127.0.0.1 valid=1m30",
            "127.0.0.1 Valid=1",
            "127.0.0.1 ipv6=",
            "127.0.0.1 ipv6=ON",
            "",
        ],
    ),
    ("resolver_timeout", &["5s", "0", "x", "1y"]),
    ("proxy_protocol", &["on", "ON", "off"]),
    ("ssl_protocols", &["TLSv1.2 TLSv1.3", "tlsv1.2", "x"]),
    ("ssl_verify_client", &["off", "ON", "optional", "Optional_No_CA", "x", "\"\""]),
    ("ssl_verify_depth", &["0", "2", "-1", "x"]),
    (
        "ssl_session_cache",
        &[
            "off",
            "none",
            "OFF",
            "builtin",
            "builtin:1000 shared:SSL:10m",
            "builtin:0",
            "builtin:",
            "builtin:x",
            "shared:SSL:32k",
            "shared:SSL",
            "shared::1m",
            "shared:SSL:x",
            "shared:SSL:",
            "off off",
            "\"\"",
            "",
            "off off off",
        ],
    ),
    ("ssl_session_timeout", &["0", "1d", "10y", "1m30", "1ms", "x", "99999999999"]),
    ("ssl_session_tickets", &["off", "yes"]),
    ("ssl_prefer_server_ciphers", &["ON", "1"]),
    ("ssl_ciphers", &["HIGH:!aNULL", "nonsense-but-unused", "a b"]),
    ("ssl_ecdh_curve", &["nonsense-but-unused"]),
    ("ssl_dhparam", &["/nonexistent/unused"]),
    ("ssl_session_ticket_key", &["/nonexistent/unused"]),
    ("ssl_conf_command", &["Foo bar", "Foo"]),
    ("ssl_client_certificate", &["/nonexistent/unused"]),
    ("ssl_trusted_certificate", &["/nonexistent/unused"]),
    ("auth_http_pass_client_cert", &["on", "yes"]),
    ("server_name", &["a b", "\"\"", "${x}", "a${x}b", "\\;", "a\\ b", ""]),
    ("auth_http_header", &["a b", "a", "a b c"]),
    ("imap_capabilities", &["IMAP4 \"X Y\"", ""]),
];

/// Every directive of nginx's for mail, with arguments that it takes.
const DIRECTIVES: &[(&str, &str)] = &[
    ("auth_http", "127.0.0.1:14080"),
    ("auth_http_header", "a b"),
    ("auth_http_pass_client_cert", "on"),
    ("auth_http_timeout", "5s"),
    ("error_log", "stderr"),
    ("imap_auth", "plain"),
    ("imap_capabilities", "IMAP4"),
    ("imap_client_buffer", "4k"),
    ("listen", "127.0.0.1:14144"),
    ("max_errors", "5"),
    ("pop3_auth", "plain"),
    ("pop3_capabilities", "TOP"),
    ("protocol", "imap"),
    ("proxy", "on"),
    ("proxy_buffer", "4k"),
    ("proxy_pass_error_message", "on"),
    ("proxy_protocol", "off"),
    ("proxy_smtp_auth", "off"),
    ("proxy_timeout", "1h"),
    ("resolver", "off"),
    ("resolver_timeout", "5s"),
    ("server_name", "x"),
    ("set_real_ip_from", "127.0.0.1"),
    ("smtp_auth", "plain"),
    ("smtp_capabilities", "SIZE"),
    ("smtp_client_buffer", "4k"),
    ("smtp_greeting_delay", "1s"),
    ("ssl", "off"),
    ("ssl_certificate", "x"),
    ("ssl_certificate_key", "x"),
    ("ssl_ciphers", "HIGH"),
    ("ssl_client_certificate", "x"),
    ("ssl_conf_command", "MinProtocol TLSv1.2"),
    ("ssl_dhparam", "x"),
    ("ssl_ecdh_curve", "auto"),
    ("ssl_prefer_server_ciphers", "on"),
    ("ssl_protocols", "TLSv1.2"),
    ("ssl_session_cache", "none"),
    ("ssl_session_ticket_key", "x"),
    ("ssl_session_tickets", "on"),
    ("ssl_session_timeout", "5m"),
    ("ssl_trusted_certificate", "x"),
    ("ssl_verify_client", "off"),
    ("ssl_verify_depth", "1"),
    ("starttls", "off"),
    ("timeout", "60s"),
    ("xclient", "on"),
];

/// Where a directive may stand, or may not: once, too often, with too little or too much behind it.
fn placed(name: &str, value: &str) -> Vec<String> {
    let head = "auth_http 127.0.0.1:14080;";
    let head = if name == "auth_http" { "" } else { head };
    let listen = if name == "listen" { "" } else { "listen 127.0.0.1:14143;" };
    let protocol = if name == "protocol" { "" } else { "protocol imap;" };
    let in_server = |inside: String| format!("mail {{ {head} server {{ {listen} {protocol} {inside} }} }}\n");
    let auth = if name == "auth_http" { "auth_http 127.0.0.1:14080;" } else { "" };
    vec![
        in_server(format!("{name} {value};")),
        in_server(format!("{auth} {name};")),
        in_server(format!("{auth} {name} {};", "x ".repeat(9))),
        in_server(format!("{auth} {name} {value} {{ }}")),
        in_server(format!("{name} {value}; {name} {value};")),
        format!("mail {{ {head} {name} {value}; {SERVER} }}\n"),
        format!("mail {{ {head} {name} {value}; {name} {value}; {SERVER} }}\n"),
        format!("{name} {value};\nmail {{ {head} {auth} {SERVER} }}\n"),
    ]
}

/// Arguments of `auth_http`.
const URLS: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1:80",
    "127.0.0.1:0",
    "127.0.0.1:",
    "127.0.0.1:x/y",
    "127.0.0.1/x:y",
    "127.0.0.1:80?x",
    "[::1]",
    "[::1]:80/x",
    "[::1]/x",
    "[::1",
    "[::zz]",
    "[::1]x",
    "[]:80",
    "[::1]:",
    "[::1]:80x",
    "::1",
    "127.0.0.1:99999",
    "HTTP://127.0.0.1/",
    "http://127.0.0.1/",
    "http://",
    "http://http://x.invalid",
    "",
    "/x",
    "?x",
    ":80",
    "*",
    "*:80",
    "unix:",
    "unix:/a",
    "unix:/a:/b",
    "unix::/b",
];

/// Arguments of `listen`.
const LISTENS: &[&str] = &[
    "127.0.0.1:14144",
    "0",
    "65536",
    "127.0.0.1:",
    "127.0.0.1:x",
    "[::1",
    "[::zz]:14144",
    "[::1]14144",
    "[]:14144",
    "127.0.0.1:14150-14152",
    "127.0.0.1:14152-14150",
    "127.0.0.1:14150-",
    "127.0.0.1:-14150",
    "127.0.0.1:14150-x",
    "14152-14150",
    "14150-70000",
    "0-14150",
    "14144-a",
    "14144a",
    "-14144",
    "+14144",
    ":14144",
    "\"\"",
    "\" 14144\"",
    "127.0.0.1/8",
    "127.0.0.1:14144/x",
    "127.0.0.1?x:14144",
    "127.0.0.1:14144:1",
    "a:b:c",
    "unix:",
    "127.0.0.1:14144 backlog=0",
    "127.0.0.1:14144 backlog=x",
    "127.0.0.1:14144 backlog=-1",
    "127.0.0.1:14144 backlog=",
    "127.0.0.1:14144 backlog=100",
    "127.0.0.1:14144 bind",
    "127.0.0.1:14144 bind=1",
    "127.0.0.1:14144 ipv6only=on",
    "127.0.0.1:14144 ipv6only=ox",
    "127.0.0.1:14144 ipv6only=x",
    "127.0.0.1:14144 rcvbuf=8k sndbuf=0",
    "127.0.0.1:14144 rcvbuf=",
    "127.0.0.1:14144 rcvbuf=8g",
    "127.0.0.1:14144 rcvbuf",
    "127.0.0.1:14144 sndbuf=-1",
    "127.0.0.1:14144 sndbuf=x",
    "127.0.0.1:14144 so_keepalive=on",
    "127.0.0.1:14144 so_keepalive=off",
    "127.0.0.1:14144 so_keepalive=30m::10",
    "127.0.0.1:14144 so_keepalive=60",
    "127.0.0.1:14144 so_keepalive=:5",
    "127.0.0.1:14144 so_keepalive=1:2:3",
    "127.0.0.1:14144 so_keepalive=1:2:3:4",
    "127.0.0.1:14144 so_keepalive=",
    "127.0.0.1:14144 so_keepalive=::",
    "127.0.0.1:14144 so_keepalive=0:0:0",
    "127.0.0.1:14144 so_keepalive=ON",
    "127.0.0.1:14144 so_keepalive=1ms",
    "127.0.0.1:14144 so_keepalive=1:x",
    "127.0.0.1:14144 so_keepalive",
    "127.0.0.1:14144 ssl=",
    "unix:/nonexistent/dir/sock",
    "unix:/tmp/gatepost-nginx-agrees.sock",
    "unix:/tmp/gatepost-nginx-agrees.sock bind backlog=5 rcvbuf=4k",
    "unix:/tmp/gatepost-nginx-agrees.sock default",
    "127.0.0.1:14144 proxy_protocol",
    "127.0.0.1:14144 proxy_protocol=on",
    "127.0.0.1:14144 default_server",
    "127.0.0.1:14144 ssl=on",
    "127.0.0.1:14144 14145",
    "",
];

/// What stands in `mail {}`, with an auth server before it.
const IN_MAIL: &[&str] = &[
    "server { }",
    "server { listen 127.0.0.1:14143; }",
    "server { listen 127.0.0.1:14143; protocol IMAP; }",
    "server { listen 127.0.0.1:14143; protocol imap; protocol smtp; }",
    "server { listen 127.0.0.1:14143; listen 127.0.0.1:14143; protocol imap; }",
    "server { listen 127.0.0.1:14143; protocol imap; }\nserver {\nlisten 127.0.0.1:14143\n; protocol imap; }",
    "server { listen 127.0.0.1:14143; listen 127.0.0.1:14100-14200; protocol imap; }",
    "server { listen *:14143; listen 14143; protocol imap; }",
    "server { listen unix:/tmp/a; listen unix:/tmp/a; protocol imap; }",
    "server { listen unix:/tmp/gatepost-nginx-agrees.sock; }",
    "\nserver {\nlisten 127.0.0.1:14143\nssl; protocol imap;\n}\nserver { listen 127.0.0.1:14110; }",
    "\nserver {\nlisten 127.0.0.1:14143; protocol imap;\nstarttls\non;\n}",
    "starttls only;\nserver { listen 127.0.0.1:14143; protocol imap; }",
    "ssl_certificate x; server { listen 127.0.0.1:14143 ssl; protocol imap; }",
    "ssl_certificate_key x; server { listen 127.0.0.1:14143 ssl; protocol imap; }",
    "ssl_certificate x; ssl_certificate y; ssl_certificate_key z; server { listen 127.0.0.1:14143 ssl; protocol imap; }",
    "ssl_certificate x; ssl_certificate_key y; server { listen 127.0.0.1:14143; protocol imap; }",
    "auth_http 127.0.0.2; server { listen 127.0.0.1:14143; protocol imap; }",
    "timeout 1; timeout 2;",
    "timeout x; timeout 2;",
    "foo;",
    "foo {}",
    "foo\nbar\n;",
    "location / {}",
    "listen 1;",
    "server;",
    "server x {}",
    "auth_http;",
    "auth_http a b c d e f g h i;",
    "events {}",
    "http {}",
    "worker_processes 1;",
    "use epoll;",
    "set $a b;",
    "resolver off; resolver off;",
    "resolver 127.0.0.1; server { listen 127.0.0.1:14143; protocol smtp; resolver off; }",
    "proxy_protocol off; proxy_protocol on;",
    "set_real_ip_from 192.0.2.1; set_real_ip_from 192.0.2.1;",
    "ssl_verify_client off;",
    "ssl_session_tickets on;",
    "ssl_session_cache off; ssl_session_cache shared:SSL:1m;",
    "ssl_session_cache shared:SSL:1m; server { listen 127.0.0.1:14143; protocol imap; ssl_session_cache shared:SSL:2m; }",
    "ssl_session_ticket_key a; ssl_session_ticket_key b;",
    "ssl_ciphers HIGH; ssl_ciphers HIGH;",
    "proxy on;",
    "proxy_buffer 1k; proxy_timeout 1s; proxy_pass_error_message on; proxy_smtp_auth on;",
    "smtp_greeting_delay 1s;",
];

/// What stands outermost.
const OUTERMOST: &[&str] = &[
    "",
    "mail {}",
    "mail {} mail {}",
    "mail;",
    "mail x {}",
    "\"mail\" {}",
    "mail{}",
    "server_name x;",
    "foo;",
    "worker_processes;",
    "worker_processes x;",
    "worker_processes auto;",
    "worker_processes 2 3;",
    "worker_processes 1; worker_processes 1;",
    "daemon x;",
    "daemon off;",
    "master_process off;",
    "pcre_jit on;",
    "pcre_jit 1;",
    "timer_resolution 100ms;",
    "timer_resolution x;",
    "worker_rlimit_nofile x;",
    "worker_rlimit_nofile 100;",
    "worker_rlimit_core 1g;",
    "worker_rlimit_core x;",
    "worker_shutdown_timeout 10s;",
    "worker_shutdown_timeout x;",
    "worker_priority 0;",
    "env FOO; env BAR=1;",
    "error_log;",
    "error_log stderr x;",
    "error_log stderr warn info;",
    "error_log stderr WARN;",
    "error_log stderr debug_mail debug_http;",
    "error_log stderr debug_mail debug;",
    "error_log stderr debug_event info;",
    "error_log syslog:;",
    "error_log syslog:facility=mail;",
    "error_log syslog:server=;",
    "error_log syslog:server=x.invalid;",
    "error_log syslog:server=127.0.0.1:99999;",
    "error_log syslog:server=127.0.0.1:0;",
    "error_log syslog:server=127.0.0.1:;",
    "error_log syslog:server=:514;",
    "error_log syslog:server=*:514;",
    "error_log syslog:server=127.0.0.1/x;",
    "error_log syslog:server=[::1];",
    "error_log syslog:server=::1;",
    "error_log syslog:server=unix:;",
    "error_log syslog:server=unix:/tmp/a,b;",
    "error_log syslog:server=127.0.0.1,server=127.0.0.1;",
    "error_log syslog:server=127.0.0.1,facility=mail,facility=mail;",
    "error_log syslog:server=127.0.0.1,facility=MAIL;",
    "error_log syslog:server=127.0.0.1,facility=local7,severity=crit,tag=mail_1,nohostname debug;",
    "error_log syslog:server=127.0.0.1,severity=warning;",
    "error_log syslog:server=127.0.0.1,tag=;",
    "error_log syslog:server=127.0.0.1,tag=a-b;",
    "error_log syslog:server=127.0.0.1,tag=aaaaaaaaaabbbbbbbbbbccccccccccdd;",
    "error_log syslog:server=127.0.0.1,tag=aaaaaaaaaabbbbbbbbbbccccccccccdde;",
    "error_log syslog:server=127.0.0.1,foo;",
    "error_log syslog:server=127.0.0.1,;",
    "error_log syslog:server=127.0.0.1,nohostname,nohostname;",
    "error_log syslog:server=127.0.0.1,nohostname=1;",
    "error_log syslog:server=127.0.0.1 foo;",
    "working_directory a b;",
    "events {}",
    "http { }",
    "http x;",
    ";",
    "}",
    "{",
    "{}",
    "mail",
    "mail {",
    "mail {\n",
    "mail { server {",
    "mail { server { listen 1",
    "mail \"x",
    "mail { \"",
    "mail { \"a\"b; }",
    "mail { a}b; }",
    "mail {}}",
    "mail { ; }",
    "mail { timeout 1 }",
    "mail { timeout \"1s\"} }",
    "mail { \"timeout\"1s; }",
    "mail { 'a'\"b\"; }",
    "mail { timeout 1s;; }",
    "# comment",
    "mail { # }\n }",
    "mail { timeout 1s # x\n ; }",
    "mail { timeout\n1s\n}\n",
    "mail { server_name $ {} }",
    "include nothere;",
    "include nothere*;",
    "include;",
    "include a b;",
    "include {",
    "mail { include x {} }",
];

/// What stands in a server that speaks TLS, beside nothing but what these files do not say themselves.
const UNDER_TLS: &[&str] = &[
    "ssl_certificate own.crt; ssl_certificate_key own.key;",
    "ssl_certificate none.crt; ssl_certificate_key own.key;",
    "ssl_certificate own.crt; ssl_certificate_key none.key;",
    "ssl_certificate own.crt/x; ssl_certificate_key own.key;",
    "ssl_certificate empty; ssl_certificate_key own.key;",
    "ssl_certificate own.key; ssl_certificate_key own.key;",
    "ssl_certificate own.crt; ssl_certificate_key empty;",
    "ssl_certificate own.crt; ssl_certificate_key own.crt;",
    "ssl_certificate own.crt; ssl_certificate_key other.key;",
    "ssl_certificate own.crt; ssl_certificate_key locked.key; ssl_password_file right;",
    "ssl_certificate own.crt; ssl_certificate_key locked.key; ssl_password_file wrong;",
    "ssl_certificate own.crt; ssl_certificate_key old.key; ssl_password_file right;",
    "ssl_certificate own.crt; ssl_certificate_key old.key; ssl_password_file wrong;",
    "ssl_password_file none;",
    "ssl_ciphers HIGH:!aNULL:!MD5;",
    "ssl_ciphers 'EECDH+AESGCM EECDH+CHACHA20, @STRENGTH';",
    "ssl_ciphers nonsense;",
    "ssl_ciphers '';",
    "ssl_ciphers TLS_AES_128_GCM_SHA256;",
    "ssl_ciphers !ALL;",
    "ssl_ciphers HIGH:@FOO;",
    "ssl_ciphers HIGH:%;",
    "ssl_ciphers HIGH+nonsense;",
    "ssl_ciphers HIGH:!aNULL:!MD5@STRENGTH;",
    "ssl_ciphers HIGH!aNULL@SECLEVEL=1;",
    "ssl_ciphers AES128-SHA;",
    "ssl_ciphers SUITEB128;",
    "ssl_ecdh_curve secp521r1;",
    "ssl_ecdh_curve auto;",
    "ssl_ecdh_curve x25519:P-384:secp521r1;",
    "ssl_ecdh_curve foo;",
    "ssl_ecdh_curve X25519:foo;",
    "ssl_ecdh_curve p-256;",
    "ssl_ecdh_curve X25519,P-256;",
    "ssl_ecdh_curve '';",
    "ssl_ecdh_curve P-256:prime256v1;",
    "ssl_conf_command ciphersuites TLS_AES_128_GCM_SHA256:foo;",
    "ssl_conf_command Ciphersuites '';",
    "ssl_conf_command Ciphersuites foo;",
    "ssl_conf_command Groups X25519;",
    "ssl_conf_command Groups foo;",
    "ssl_conf_command MinProtocol TLSv1.2;",
    "ssl_conf_command MaxProtocol None;",
    "ssl_conf_command MinProtocol foo;",
    "ssl_conf_command Protocol -ALL,TLSv1.2;",
    "ssl_conf_command Options ServerPreference,PrioritizeChaCha,-SessionTicket;",
    "ssl_conf_command Options Foo;",
    "ssl_conf_command SignatureAlgorithms RSA+SHA256:ed25519:ECDSA+SHA384;",
    "ssl_conf_command SignatureAlgorithms foo;",
    "ssl_conf_command SignatureAlgorithms 'RSA+SHA256 ed25519';",
    "ssl_conf_command CipherString HIGH;",
    "ssl_conf_command Options ClientRenegotiation;",
    "ssl_conf_command VerifyMode None;",
    "ssl_conf_command NumTickets 1;",
    "ssl_conf_command NumTickets x;",
    "ssl_conf_command Foo x;",
    "ssl_conf_command -cipher HIGH;",
    "ssl_session_ticket_key right;",
    "ssl_session_ticket_key none;",
    "ssl_session_ticket_key key48; ssl_session_ticket_key key80;",
    "ssl_session_cache builtin:1000 shared:SSL:10m; ssl_session_timeout 1d; ssl_session_tickets off;",
    "ssl_verify_client on; ssl_client_certificate own.crt; ssl_trusted_certificate own.crt;",
    "ssl_verify_client on; ssl_client_certificate none;",
    "ssl_verify_client on; ssl_client_certificate empty;",
    "ssl_verify_client on; ssl_client_certificate own.crt; ssl_trusted_certificate none;",
    "ssl_verify_client on; ssl_client_certificate own.crt; ssl_crl none;",
    "ssl_verify_client on; ssl_client_certificate own.crt; ssl_crl empty;",
    "ssl_crl none;",
];

/// How older nginx words a message: what it begins with there, and here.
const OTHERWISE: &[(&str, &str)] = &[("the invalid \"", "invalid parameter \"")];

#[test]
fn nginx_and_gatepost_take_and_refuse_the_same() {
    if !is_there() {
        return;
    }
    let desk = Desk::new("agreement");
    let auth = "auth_http 127.0.0.1:14080;";
    let mail = |inside: String| format!("mail {{ {inside} }}\n");
    let mut texts: Vec<String> = OUTERMOST.iter().map(ToString::to_string).collect();
    for (directive, values) in VALUES {
        texts.extend(values.iter().map(|value| mail(format!("{auth} {directive} {value}; {SERVER}"))));
    }
    texts.extend(DIRECTIVES.iter().flat_map(|(name, value)| placed(name, value)));
    texts.extend(URLS.iter().map(|url| mail(format!("auth_http \"{url}\"; {SERVER}"))));
    let listen = |listen: &&str| mail(format!("{auth} server {{ listen {listen}; protocol imap; }}"));
    texts.extend(LISTENS.iter().map(listen));
    texts.extend(IN_MAIL.iter().map(|inside| mail(format!("{auth} {inside}"))));
    texts.extend([4093, 4094, 4095, 4096, 5000].iter().flat_map(|&length| {
        let word = "x".repeat(length);
        [
            mail(format!("server_name {word};")),
            mail(format!("server_name '{word}';")),
            format!("mail {{\nserver_name {word}"),
            format!("mail {{\nserver_name \"{}", word.replace("xx", "x\n")),
        ]
    }));
    let differing: Vec<_> = texts.iter().filter_map(|text| disagreement(&desk, text)).collect();
    assert!(differing.is_empty(), "{} of {}:\n{}", differing.len(), texts.len(), differing.join("\n"));
}

/// OpenSSL has more to say behind its first reason than is worth repeating: what is said here is how nginx begins.
#[test]
fn nginx_and_gatepost_say_the_same_of_keys_certificates_and_ciphers() {
    if !is_there() {
        return;
    }
    let desk = Desk::new("agreement-tls");
    desk.keys();
    let differing: Vec<_> = UNDER_TLS
        .iter()
        .filter_map(|inside| {
            let pair = match inside.contains("ssl_certificate ") {
                true => "",
                false => "ssl_certificate own.crt; ssl_certificate_key own.key;",
            };
            let server = format!("server {{ listen 127.0.0.1:14143 ssl; protocol imap; {pair} {inside} }}");
            desk.write(&format!("mail {{ auth_http 127.0.0.1:14080; {server} }}\n"), &[]);
            let [nginx, gatepost] = [desk.nginx(), desk.gatepost()]
                .map(|said| said.map(|line| line.split(" in /").next().unwrap_or_default().to_owned()));
            let agree = match (&nginx, &gatepost) {
                (Some(nginx), Some(gatepost)) => {
                    nginx.starts_with(gatepost.strip_suffix(')').unwrap_or(gatepost))
                }
                (nginx, gatepost) => nginx == gatepost,
            };
            (!agree).then(|| format!("{inside:?}\n  nginx    {nginx:?}\n  gatepost {gatepost:?}"))
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What nginx and Gatepost each say about `text`, if that is not the same.
fn disagreement(desk: &Desk, text: &str) -> Option<String> {
    desk.write(text, &[]);
    let (nginx, gatepost) = (desk.nginx().map(|said| newer(&said)), desk.gatepost());
    let text = text.get(..120).unwrap_or(text);
    (nginx != gatepost).then(|| format!("{text:?}\n  nginx    {nginx:?}\n  gatepost {gatepost:?}"))
}

/// What a newer nginx would have said.
fn newer(said: &str) -> String {
    for (there, here) in OTHERWISE {
        if let Some((value, rest)) = said.strip_prefix(there).and_then(|rest| rest.split_once('"')) {
            return format!("{here}{value}\"{}", rest.strip_prefix(" parameter").unwrap_or(rest));
        }
    }
    said.to_owned()
}
