//! Whole configurations: what they come to, and what is said about those that come to nothing.

mod agreement;
mod backends;
mod directives;
mod forms;
mod limits;
mod listeners;
mod logs;
mod meaning;
mod mistakes;
mod process;
mod reference;
mod ssl;
mod users;
mod witness;

use std::path::Path;

use gatepost_core::{AuthServer, Policy};
use proptest::prelude::*;

use super::{Diagnostic, Loaded, Memory, Options, Severity, load};

/// A machine that knows the names of the tests.
fn machine() -> Memory {
    let loopback = ["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    Memory::new()
        .host("localhost", &loopback)
        .host("auth.example.com", &["192.0.2.1".parse().unwrap()])
        .file("/etc/nginx/users", "joe:{PLAIN}hunter2:192.0.2.1\n")
}

/// Reads `text` as the main file of `machine`.
fn load_on(machine: Memory, text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    let machine = machine.file("/etc/nginx/nginx.conf", text);
    load(Path::new("nginx.conf"), &Options::new(Path::new("/etc/nginx"), &machine))
}

fn load_text(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    load_on(machine(), text)
}

/// A configuration that must be fit to run, and what is said about it, a line each.
fn fit(text: &str) -> (super::Config, Vec<String>) {
    match load_text(text) {
        Ok(Loaded { config, warnings, .. }) => (config, first_lines(&warnings)),
        Err(told) => panic!("{text}\n{}", all_lines(&told)),
    }
}

/// What is said about a configuration that must not be fit to run, a line each.
fn unfit(text: &str) -> Vec<String> {
    match load_text(text) {
        Ok(_) => panic!("{text}\nis taken"),
        Err(told) => first_lines(&told),
    }
}

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

fn first_lines(told: &[Diagnostic]) -> Vec<String> {
    told.iter().map(|each| each.to_string().lines().next().unwrap_or_default().to_owned()).collect()
}

fn all_lines(told: &[Diagnostic]) -> String {
    told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Text made of what configurations are made of, in any order.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "mail {",
        "server {",
        "events {",
        "http {",
        "}",
        ";",
        "\n",
        "listen ",
        "143",
        "[::1]:993 ",
        "ssl",
        "ssl ",
        "localhost:1-3 ",
        "unix:/a ",
        "imap {",
        "rcvbuf=8k ",
        "so_keepalive=1:2:3 ",
        "ipv6only=off ",
        "multipath ",
        "lingering_close ",
        "plaintext_auth ",
        "protocol ",
        "imap",
        "auth_http ",
        "auth_users ",
        "users ",
        "localhost:9000/auth",
        "starttls ",
        "on",
        "only",
        "ssl_certificate ",
        "ssl_certificate_key ",
        "ssl_ciphers ",
        "HIGH:!aNULL:@STRENGTH ",
        "ssl_ecdh_curve ",
        "X25519:",
        "ssl_conf_command ",
        "Options ",
        "MinProtocol ",
        "ssl_session_cache ",
        "shared:a:1m ",
        "builtin:",
        "data:x ",
        "/nonexistent",
        "timeout ",
        "1m30s",
        "imap_capabilities ",
        "\"A B\" ",
        "smtp_auth ",
        "plain ",
        "none",
        "error_log ",
        "stderr ",
        "info",
        "worker_processes ",
        "auto",
        "include ",
        "nginx.conf",
        "*",
        "proxy_buffer ",
        "8k",
        "auth_http_header ",
        "X-Key ",
        "'",
        "\\",
        "resolver ",
        "é",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_written_is_either_fit_or_refused_with_a_reason(text in text()) {
        match load_text(&text) {
            Ok(Loaded { warnings, .. }) => {
                prop_assert!(warnings.iter().all(|each| each.severity == Severity::Warn));
            }
            Err(told) => {
                prop_assert!(told.iter().any(|each| each.severity == Severity::Emerg));
                prop_assert!(!all_lines(&told).is_empty());
            }
        }
    }
}
