//! What config.md and divergences.md say of each directive, and where the nginx that Debian 12 has (1.22.1) is not of that opinion.

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Main,
    Events,
    Mail,
    Server,
    /// In an `upstream {}`, which nginx does not have for mail.
    Upstream,
    /// In `mail {}` and in its servers.
    Both,
    /// In these, and outermost.
    Any,
}

/// What a second one of the same name in the same block means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    /// `is duplicate`.
    Refused,
    /// Nothing out of the ordinary.
    Taken,
}

/// What Debian's nginx has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// The same, but for these arguments: what it says of them, nothing if it takes them.
    Same(&'static [(&'static str, &'static str)]),
    /// It does not know the directive: newer, freenginx's, ours, or a module's that it lacks.
    Unknown,
    /// It knows the directive elsewhere, as one of HTTP's.
    Misplaced,
    /// It cannot be asked, for this reason.
    Absent(&'static str),
}

/// One directive.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) at: At,
    /// The default, as it can be written; empty where it cannot.
    pub(super) default: &'static str,
    /// Arguments that are fine. The first and the last make a pair of the same name.
    pub(super) valid: &'static [&'static str],
    /// Arguments that are too few or too many; a `{}` at the end is the block.
    pub(super) miscounted: &'static [&'static str],
    pub(super) second: Second,
    /// Arguments that are not fine, and what is said of them.
    pub(super) bad: &'static [(&'static str, &'static str)],
    pub(super) witness: Witness,
}

use At::{Any, Both, Events, Mail, Main, Server, Upstream};
use Second::{Refused, Taken};
use Witness::{Absent, Misplaced, Same, Unknown};

type Said = &'static [(&'static str, &'static str)];

#[expect(clippy::too_many_arguments, reason = "a line of the table")]
const fn entry(
    name: &'static str,
    at: At,
    default: &'static str,
    valid: &'static [&'static str],
    miscounted: &'static [&'static str],
    second: Second,
    bad: Said,
    witness: Witness,
) -> Entry {
    Entry { name, at, default, valid, miscounted, second, bad, witness }
}

/// One argument is wanted.
const ONE: &[&str] = &["", "a b"];
/// Two are.
const TWO: &[&str] = &["", "a", "a b c"];
/// At least one is.
const SOME: &[&str] = &[""];

/// `on` or `off`.
const FLAG: &[&str] = &["on", "OFF"];
const NO_FLAG: Said = &[("yes", r#"invalid value "yes" in "*" directive, it must be "on" or "off""#)];
const NO_TIME: Said = &[("1s1m", r#""*" directive invalid value"#), ("x", r#""*" directive invalid value"#)];
const NO_SIZE: Said = &[("1g", r#""*" directive invalid value"#), ("-1", r#""*" directive invalid value"#)];
const NO_NUMBER: Said =
    &[("-1", r#""*" directive invalid number"#), ("x", r#""*" directive invalid number"#)];
const NO_WORD: Said = &[("plain x", r#"invalid value "x""#)];
const NO_VALUE: Said = &[("x", r#"invalid value "x""#)];
/// Nothing is wrong as long as it is one word.
const NOTHING: Said = &[];
const ALIKE: Witness = Same(&[]);

/// Every directive, in the order of the schema. `*` in what is said stands for the name.
#[rustfmt::skip]
pub(super) const TABLE: &[Entry] = &[
    entry("user", Main, "", &["root", "root root"], &["", "a b c"], Refused, NOTHING, ALIKE),
    entry(
        "worker_processes", Main, "1", &["2", "auto"], ONE, Refused, &[("x", r#""*" directive invalid value"#)], ALIKE,
    ),
    entry("worker_cpu_affinity", Main, "", &["auto", "01"], SOME, Refused, NOTHING, ALIKE),
    entry("worker_priority", Main, "0", &["5"], ONE, Refused, NOTHING, ALIKE),
    entry("worker_rlimit_nofile", Main, "", &["1024"], ONE, Refused, NO_NUMBER, ALIKE),
    entry("worker_rlimit_core", Main, "", &["500m", "1g"], ONE, Refused, &[("x", r#""*" directive invalid value"#)], ALIKE),
    entry("working_directory", Main, "", &["/tmp"], ONE, Refused, NOTHING, ALIKE),
    entry("worker_shutdown_timeout", Main, "", &["10s"], ONE, Refused, NO_TIME, ALIKE),
    entry("daemon", Main, "", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("master_process", Main, "on", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("pid", Main, "", &["gatepost.pid"], ONE, Refused, NOTHING, ALIKE),
    entry("lock_file", Main, "logs/nginx.lock", &["/tmp/lock"], ONE, Refused, NOTHING, ALIKE),
    entry(
        "error_log", Any, "", &["stderr", "stderr info"], SOME, Taken,
        &[("stderr WARN", r#"invalid log level "WARN""#), ("stderr warn info", r#"duplicate log level "info""#)], ALIKE,
    ),
    entry("env", Main, "", &["A", "B=1"], ONE, Taken, NOTHING, ALIKE),
    entry("load_module", Main, "", &["modules/a.so", "b.so"], ONE, Taken, NOTHING, Absent("it would open the module")),
    entry("timer_resolution", Main, "", &["100ms"], ONE, Refused, NO_TIME, ALIKE),
    entry("debug_points", Main, "", &["stop"], ONE, Refused, NO_VALUE, ALIKE),
    entry("thread_pool", Main, "", &["a threads=2", "b threads=2"], &["", "a", "a b c d"], Taken, NOTHING, ALIKE),
    entry("pcre_jit", Main, "off", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("ssl_engine", Main, "", &["dynamic"], ONE, Refused, NOTHING, Absent("it would load the engine")),
    entry("google_perftools_profiles", Main, "", &["/tmp/profile"], ONE, Refused, NOTHING, Unknown),
    entry("ssl_object_cache_inheritable", Main, "on", FLAG, ONE, Refused, NO_FLAG, Unknown),
    entry("quic_bpf", Main, "off", FLAG, ONE, Refused, NO_FLAG, Unknown),
    entry(
        "events", Main, "", &["{}"], &["x {}"], Refused, &[("", r#"directive "*" has no opening "{""#)], ALIKE,
    ),
    entry("mail", Main, "", &["{}"], &["x {}"], Refused, &[("", r#"directive "*" has no opening "{""#)], ALIKE),
    entry("http", Main, "", &["{}"], &[], Refused, &[("", r#"directive "*" has no opening "{""#)], Same(&[])),
    entry("stream", Main, "", &["{}"], &[], Refused, &[("", r#"directive "*" has no opening "{""#)], Unknown),
    entry(
        "worker_connections", Events, "512", &["1024"], ONE, Refused,
        &[("-1", r#"invalid number "-1""#), ("x", r#"invalid number "x""#)], ALIKE,
    ),
    entry("multi_accept", Events, "off", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("use", Events, "epoll", &["epoll"], ONE, Refused, &[("kqueue", r#"invalid event type "kqueue""#)], ALIKE),
    entry("accept_mutex", Events, "off", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("accept_mutex_delay", Events, "500ms", &["1s"], ONE, Refused, NO_TIME, ALIKE),
    entry("worker_aio_requests", Events, "32", &["64"], ONE, Refused, NO_NUMBER, ALIKE),
    entry("epoll_events", Events, "512", &["64"], ONE, Refused, NO_NUMBER, ALIKE),
    entry("debug_connection", Events, "", &["127.0.0.1", "10.0.0.0/8"], ONE, Taken, NOTHING, ALIKE),
    entry(
        "server", Mail, "", &["{ listen 127.0.0.1:14144; protocol imap; }", "{ listen 127.0.0.1:14145; protocol imap; }"],
        &["x {}"], Taken, &[("{}", r#"no "listen" is defined for server"#), ("", r#"directive "*" has no opening "{""#)], ALIKE,
    ),
    entry(
        "listen", Server, "", &["127.0.0.1:14144", "[::1]:14144 proxy_protocol backlog=10"], SOME, Taken,
        &[
            ("127.0.0.1:x", r#"invalid port in "127.0.0.1:x" of the "listen" directive"#),
            ("14144 x", r#"invalid parameter "x""#),
            ("127.0.0.1:14143", r#"duplicate "127.0.0.1:14143" address and port pair"#),
        ],
        Same(&[("14144 x", r#"the invalid "x" parameter"#)]),
    ),
    entry("protocol", Server, "", &["pop3", "smtp"], ONE, Taken, &[("IMAP", r#"unknown protocol "IMAP""#)], ALIKE),
    entry("server_name", Both, "\"\"", &["mx.example.com"], ONE, Refused, NOTHING, ALIKE),
    entry("timeout", Both, "60s", &["1m30s", "0"], ONE, Refused, NO_TIME, ALIKE),
    entry("max_errors", Both, "5", &["1"], ONE, Refused, NO_NUMBER, ALIKE),
    entry("max_commands", Both, "1000", &["7"], ONE, Refused, NO_NUMBER, Unknown),
    entry(
        "resolver", Both, "off", &["127.0.0.1", "[::1]:5353 valid=30s ipv6=off"], SOME, Refused,
        &[
            ("127.0.0.1:x", r#"invalid port in resolver "127.0.0.1:x""#),
            ("127.0.0.1 valid=x", "invalid parameter: valid=x"),
            ("127.0.0.1 ipv4=off ipv6=off", r#""ipv4" and "ipv6" cannot both be "off""#),
            ("valid=1s", "no name servers defined"),
        ],
        Same(&[("127.0.0.1 ipv4=off ipv6=off", r#"host not found in resolver "ipv4=off""#)]),
    ),
    entry("resolver_timeout", Both, "30s", &["5s"], ONE, Refused, NO_TIME, ALIKE),
    entry("so_keepalive", Both, "off", FLAG, ONE, Refused, NO_FLAG, Unknown),
    entry(
        "set_real_ip_from", Both, "", &["192.0.2.1", "2001:db8::/32"], ONE, Taken,
        &[
            ("10.0.0.0/33", r#"host not found in set_real_ip_from "10.0.0.0/33""#),
            ("x.invalid", r#"host not found in set_real_ip_from "x.invalid""#),
        ],
        ALIKE,
    ),
    entry("access_log", Both, "off", &["off"], SOME, Taken, NOTHING, Misplaced),
    entry("log_format", Mail, "", &["a '$remote_addr'", "b '$remote_addr'"], SOME, Taken, NOTHING, Misplaced),
    entry("allow", Both, "", &["192.0.2.1", "all"], ONE, Taken, &[("10.0.0.0/33", r#"invalid parameter "10.0.0.0/33""#)], Misplaced),
    entry("deny", Both, "", &["2001:db8::/32", "all"], ONE, Taken, &[("x.invalid", r#"invalid parameter "x.invalid""#)], Misplaced),
    entry(
        "auth_http", Both, "", &["127.0.0.1:14080/auth", "https://127.0.0.1/auth", "127.0.0.1 https://[::1]", "[::1]"],
        &["", "a b c d e f g h i"], Taken,
        &[("127.0.0.1:x", r#"invalid port in auth_http "127.0.0.1:x""#), ("x.invalid", r#"host not found in auth_http "x.invalid""#)],
        Same(&[
            ("https://127.0.0.1/auth", r#"invalid port in auth_http "https://127.0.0.1/auth""#),
            ("127.0.0.1 https://[::1]", r#"invalid number of arguments in "*" directive"#),
        ]),
    ),
    entry("auth_http_timeout", Both, "60s", &["5s"], ONE, Refused, NO_TIME, ALIKE),
    entry("auth_http_header", Both, "", &["A b", "C d"], TWO, Taken, NOTHING, ALIKE),
    entry("auth_http_pass_client_cert", Both, "off", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("auth_http_keepalive", Both, "0", &["16"], ONE, Refused, NO_NUMBER, Unknown),
    entry("auth_http_ssl_verify", Both, "on", FLAG, ONE, Refused, NO_FLAG, Unknown),
    entry("auth_http_ssl_trusted_certificate", Both, "", &["desk.pem"], ONE, Refused, NOTHING, Unknown),
    entry("auth_http_ssl_name", Both, "", &["auth.example.com"], ONE, Refused, &[("a..test", r#""*" directive invalid value"#)], Unknown),
    entry("auth_http_ssl_certificate", Both, "", &["desk.pem; auth_http_ssl_certificate_key desk.key"], ONE, Refused, NOTHING, Unknown),
    entry("auth_http_ssl_certificate_key", Both, "", &["desk.key; auth_http_ssl_certificate desk.pem"], ONE, Refused, NOTHING, Unknown),
    entry("auth_users", Both, "", &["users"], ONE, Refused, &[("/nonexistent", r#"open() "/nonexistent" failed (2: No such file or directory)"#)], Unknown),
    entry("auth_strict", Both, "off", FLAG, ONE, Refused, NO_FLAG, Unknown),
    entry("plaintext_auth", Both, "on", FLAG, ONE, Refused, NO_FLAG, Unknown),
    entry("proxy", Both, "off", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("proxy_buffer", Both, "4k", &["8k", "1M"], ONE, Refused, NO_SIZE, ALIKE),
    entry("proxy_timeout", Both, "24h", &["1d"], ONE, Refused, NO_TIME, ALIKE),
    entry("proxy_pass_error_message", Both, "off", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("xclient", Both, "on", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("proxy_smtp_auth", Both, "off", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry(
        "proxy_protocol", Both, "off", &["on", "v2"], ONE, Refused, NO_VALUE,
        Same(&[
            ("v2", r#"invalid value "v2" in "*" directive, it must be "on" or "off""#),
            ("x", r#"invalid value "x" in "*" directive, it must be "on" or "off""#),
        ]),
    ),
    entry("proxy_pass", Both, "", &["127.0.0.1:143"], ONE, Refused, NOTHING, Misplaced),
    entry("upstream", Mail, "", &["a { server 127.0.0.1:143; }", "b { server 127.0.0.1:143; }"], &["{}", "a b {}"], Taken, NOTHING, Misplaced),
    entry(
        "server", Upstream, "", &["127.0.0.1:144 weight=2 max_conns=1 max_fails=0 fail_timeout=1s", "[::1] down"], &[""], Taken,
        &[("127.0.0.1 weight=x", r#"invalid parameter "weight=x""#), ("127.0.0.1 best", r#"invalid parameter "best""#)], Misplaced,
    ),
    entry("least_conn", Upstream, "", &[""], &["a"], Taken, NOTHING, Misplaced),
    entry("ip_hash", Upstream, "", &[""], &["a"], Taken, NOTHING, Misplaced),
    entry("random", Upstream, "", &["", "two", "two least_conn"], &["a b c"], Taken, &[("three", r#"invalid parameter "three""#)], Misplaced),
    entry(
        "hash", Upstream, "", &["$remote_user", "$remote_addr consistent"], &["", "a b c"], Taken,
        &[("$request_uri", r#"invalid parameter "$request_uri""#)], Misplaced,
    ),
    entry("zone", Upstream, "", &["a 64k"], &["", "a b c"], Refused, NOTHING, Misplaced),
    entry("keepalive", Upstream, "", &["16"], &["", "a b c"], Refused, NOTHING, Misplaced),
    entry("keepalive_requests", Upstream, "", &["100"], ONE, Refused, NO_NUMBER, Misplaced),
    entry("keepalive_time", Upstream, "", &["1h"], ONE, Refused, NO_TIME, Misplaced),
    entry("keepalive_timeout", Upstream, "", &["60s"], ONE, Refused, NO_TIME, Misplaced),
    entry("resolver", Upstream, "off", &["127.0.0.1"], SOME, Refused, NOTHING, Misplaced),
    entry("resolver_timeout", Upstream, "", &["5s"], ONE, Refused, NO_TIME, Misplaced),
    entry("proxy_connect_timeout", Both, "", &["5s"], ONE, Refused, NO_TIME, Misplaced),
    entry("proxy_oauth", Both, "off", FLAG, ONE, Refused, NO_FLAG, Unknown),
    entry("proxy_pipelining", Both, "off", FLAG, ONE, Refused, NO_FLAG, Unknown),
    // What is said of `proxy_ssl` at all makes a difference: users may have TLS then (`Auth-Server-TLS`).
    entry("proxy_ssl", Both, "", &["off", "on", "StartTLS"], ONE, Refused, NO_VALUE, Unknown),
    entry("proxy_ssl_verify", Both, "", FLAG, ONE, Refused, NO_FLAG, Misplaced),
    entry(
        "proxy_ssl_trusted_certificate", Both, "", &["desk.pem"], ONE, Refused,
        &[("/nonexistent", r#"SSL_CTX_load_verify_locations("/nonexistent") failed (SSL: error:80000002:system library::No such file or directory:calling fopen(/nonexistent, r) error:10000080:BIO routines::no such file error:05880002:x509 certificate routines::system lib)"#)], Misplaced,
    ),
    entry("proxy_ssl_name", Both, "", &["mx.example.com"], ONE, Refused, NOTHING, Misplaced),
    entry("proxy_ssl_server_name", Both, "", FLAG, ONE, Refused, NO_FLAG, Misplaced),
    entry(
        "proxy_ssl_certificate", Both, "", &["desk.pem; proxy_ssl_certificate_key desk.key"], ONE, Refused,
        &[("desk.pem", r#"no "proxy_ssl_certificate_key" is defined for certificate "desk.pem""#)], Misplaced,
    ),
    entry(
        "proxy_ssl_certificate_key", Both, "", &["desk.key; proxy_ssl_certificate desk.pem"], ONE, Refused,
        &[("desk.key", r#"no "proxy_ssl_certificate" is defined for key "desk.key""#)], Misplaced,
    ),
    entry("imap_client_buffer", Both, "4k", &["8k"], ONE, Refused, NO_SIZE, ALIKE),
    entry("imap_capabilities", Both, "IMAP4 IMAP4rev1 UIDPLUS", &["IMAP4rev1", "\"X Y\" Z"], SOME, Taken, NOTHING, ALIKE),
    entry("imap_auth", Both, "plain", &["plain LOGIN", "cram-md5 external"], SOME, Taken, NO_WORD, ALIKE),
    entry("pop3_client_buffer", Both, "4k", &["1k"], ONE, Refused, NO_SIZE, Unknown),
    entry("pop3_capabilities", Both, "TOP USER UIDL", &["TOP", "UIDL"], SOME, Taken, NOTHING, ALIKE),
    entry("pop3_auth", Both, "plain", &["apop", "cram-md5"], SOME, Taken, &[("login", r#"invalid value "login""#)], ALIKE),
    entry("smtp_client_buffer", Both, "4k", &["8k"], ONE, Refused, NO_SIZE, ALIKE),
    entry("smtp_capabilities", Both, "", &["\"SIZE 10\"", "8BITMIME"], SOME, Taken, NOTHING, ALIKE),
    entry("smtp_auth", Both, "plain login", &["none", "login"], SOME, Taken, &[("apop", r#"invalid value "apop""#)], ALIKE),
    entry("smtp_greeting_delay", Both, "0", &["1s"], ONE, Refused, NO_TIME, ALIKE),
    entry("starttls", Both, "off", &["OFF"], ONE, Refused, NO_VALUE, ALIKE),
    entry("ssl", Both, "", &["off"], ONE, Refused, NO_FLAG, ALIKE),
    entry("ssl_certificate", Both, "", &["unused.pem", "other.pem"], ONE, Taken, NOTHING, ALIKE),
    entry("ssl_certificate_key", Both, "", &["unused.key", "other.key"], ONE, Taken, NOTHING, ALIKE),
    entry("ssl_protocols", Both, "TLSv1.2 TLSv1.3", &["tlsv1.2", "TLSv1.3"], SOME, Taken, NO_VALUE, ALIKE),
    entry("ssl_password_file", Both, "", &["/etc/hostname"], ONE, Refused, NOTHING, ALIKE),
    entry("ssl_ciphers", Both, "HIGH:!aNULL:!MD5", &["ECDHE-RSA-AES128-GCM-SHA256"], ONE, Refused, NOTHING, ALIKE),
    entry("ssl_prefer_server_ciphers", Both, "off", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("ssl_dhparam", Both, "", &["unused.pem"], ONE, Refused, NOTHING, ALIKE),
    entry("ssl_ecdh_curve", Both, "auto", &["X25519:prime256v1"], ONE, Refused, NOTHING, ALIKE),
    entry(
        "ssl_session_cache", Both, "none", &["off", "builtin:1000 shared:A:10m"], &["", "a b c"], Taken,
        &[("x", r#"invalid session cache "x""#), ("shared:A:1k", r#"session cache "shared:A:1k" is too small"#)], ALIKE,
    ),
    entry("ssl_session_timeout", Both, "5m", &["1d"], ONE, Refused, NO_TIME, ALIKE),
    entry("ssl_session_tickets", Both, "on", FLAG, ONE, Refused, NO_FLAG, ALIKE),
    entry("ssl_session_ticket_key", Both, "", &["unused.key", "other.key"], ONE, Taken, NOTHING, ALIKE),
    entry("ssl_verify_client", Both, "off", &["OFF"], ONE, Refused, NO_VALUE, ALIKE),
    entry("ssl_verify_depth", Both, "1", &["2"], ONE, Refused, NO_NUMBER, ALIKE),
    entry("ssl_client_certificate", Both, "", &["unused.pem"], ONE, Refused, NOTHING, ALIKE),
    entry("ssl_trusted_certificate", Both, "", &["unused.pem"], ONE, Refused, NOTHING, ALIKE),
    entry("ssl_crl", Both, "", &["unused.pem"], ONE, Refused, NOTHING, ALIKE),
    entry("ssl_conf_command", Both, "", &["MinProtocol TLSv1.2", "Options ServerPreference"], TWO, Taken, NOTHING, ALIKE),
    entry("ssl_certificate_compression", Both, "off", FLAG, ONE, Refused, NO_FLAG, Unknown),
    entry("limit_rate", Both, "0", &["10k"], ONE, Refused, NO_SIZE, Misplaced),
    entry("limit_rate_after", Both, "0", &["10k"], ONE, Refused, NO_SIZE, Misplaced),
    entry(
        "limit_conn_zone", Mail, "", &["$remote_addr zone=a:1m", "$remote_user zone=b:1m"], TWO, Taken,
        &[
            ("x zone=a:1m", r#"invalid parameter "x""#), ("$remote_port zone=a:1m", r#"invalid parameter "$remote_port""#),
            ("$auth_http_ zone=a:1m", r#"invalid parameter "$auth_http_""#), ("$remote_addr a:1m", r#"invalid parameter "a:1m""#),
            ("$remote_addr zone=a", r#"invalid zone size "zone=a""#), ("$remote_addr zone=a:x", r#"invalid zone size "zone=a:x""#),
            ("$remote_addr zone=a:1k", r#"zone "zone=a:1k" is too small"#),
            ("$remote_addr zone=:1m", r#""*" must have "zone" parameter"#),
        ],
        Misplaced,
    ),
    // A zone `z` is there for it.
    entry(
        "limit_conn", Both, "", &["z 1", "z 65535 early"], &["", "a", "a b c d"], Refused,
        &[
            ("z 0", r#"invalid number of connections "0""#), ("z x", r#"invalid number of connections "x""#),
            ("z 65536", "connection limit must be less 65536"), ("z 1 late", r#"invalid parameter "late""#),
            ("y 1", r#"zero size shared memory zone "y""#),
        ],
        Misplaced,
    ),
    entry("limit_conn_log_level", Both, "error", &["warn", "Info", "notice"], ONE, Refused, NO_VALUE, Misplaced),
    entry("limit_conn_dry_run", Both, "off", FLAG, ONE, Refused, NO_FLAG, Misplaced),
    entry("lingering_close", Both, "on", &["on", "off"], ONE, Refused, NO_VALUE, Misplaced),
    entry("lingering_time", Both, "30s", &["10s"], ONE, Refused, NO_TIME, Misplaced),
    entry("lingering_timeout", Both, "5s", &["1s"], ONE, Refused, NO_TIME, Misplaced),
];
