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
    ("ssl_client_certificate", &["/nonexistent/unused"]),
    ("ssl_trusted_certificate", &["/nonexistent/unused"]),
    ("auth_http_pass_client_cert", &["on", "yes"]),
    ("server_name", &["a b", "\"\"", "${x}", "a${x}b", "\\;", "a\\ b", ""]),
    ("auth_http_header", &["a b", "a", "a b c"]),
    ("imap_capabilities", &["IMAP4 \"X Y\"", ""]),
];

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
    "https://127.0.0.1/x",
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
    "auth_http a b;",
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
