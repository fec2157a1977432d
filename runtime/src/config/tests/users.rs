//! `auth_users`: where it may stand, what it may stand beside, and what is said of its file.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use super::witness::Desk;
use super::*;
use gatepost_core::{Address, Target};

const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";

/// A machine with a file of cleartext passwords, one of hashes, one without backends, and others with faults.
fn machine_with_users() -> Memory {
    machine()
        .file("/etc/nginx/plain", "joe:{PLAIN}hunter2:192.0.2.1\n")
        .file("/etc/nginx/hashed", format!("joe:{{PLAIN}}hunter2:192.0.2.1\n\nann:{HASH}:stores\n"))
        .file("/etc/nginx/homeless", "# everybody\njoe:{PLAIN}hunter2\n")
        .file("/etc/nginx/nobody", "# nobody\n")
        .file("/etc/nginx/broken", "joe:hunter2\nann\n")
        .file("/etc/nginx/large", vec![b'\n'; 16 * 1024 * 1024 + 1])
}

fn told(mail: &str) -> String {
    match load_on(machine_with_users(), &format!("mail {{\n{mail}\n}}\n")) {
        Ok(loaded) => all_lines(&loaded.warnings),
        Err(told) => all_lines(&told),
    }
}

#[test]
fn the_nearer_of_a_users_file_and_an_auth_server_counts() {
    let text = "mail { auth_users hashed; upstream stores { server 192.0.2.9; } server { listen 143; } \
                server { listen 110; auth_http localhost; } server { listen 25; auth_users /etc/nginx/plain; } }";
    let loaded = load_on(machine_with_users(), text).expect("a configuration");
    assert_eq!(first_lines(&loaded.warnings), [""; 0]);
    let who: Vec<_> = loaded
        .config
        .servers
        .iter()
        .map(|server| {
            let target = &auth(&server.policy).urls[0].target;
            match &server.users {
                Some(users) => {
                    assert_eq!(*target, Target::Address(Address::Unix(users.path().into())));
                    users.path().to_owned()
                }
                None => "a server".to_owned(),
            }
        })
        .collect();
    assert_eq!(who, ["/etc/nginx/hashed", "a server", "/etc/nginx/plain"]);
    let text = "mail { auth_http localhost; server { listen 143; auth_users plain; auth_http_timeout 5s; } server { listen 110; } }";
    let loaded = load_on(machine_with_users(), text).expect("a configuration");
    let [first, second] = loaded.config.servers.as_slice() else { panic!() };
    assert!(first.users.is_some() && second.users.is_none());
    assert_eq!(auth(&first.policy).timeout.as_secs(), 5);
}

#[test]
fn servers_that_name_the_same_file_share_what_is_in_it() {
    let text = "mail { auth_users plain; server { listen 143; } server { listen 110; auth_users plain; } }";
    let loaded = load_on(machine_with_users(), text).expect("a configuration");
    let [first, second] = loaded.config.servers.as_slice() else { panic!() };
    let both = first.users.as_ref().zip(second.users.as_ref()).expect("users");
    assert!(Arc::ptr_eq(both.0, both.1));
    assert!(loaded.files.iter().all(|(path, _)| !path.ends_with("plain")), "`-T` shows no passwords");
}

#[test]
fn what_a_users_file_can_keep_is_taken_without_a_word() {
    for mail in [
        "auth_users plain; pop3_auth plain apop cram-md5; server { listen 110; }",
        "auth_users homeless; proxy_pass 192.0.2.1; server { listen 143; }",
        "auth_users homeless; proxy_pass 192.0.2.1; server { listen 25; smtp_auth none login; }",
        "auth_users hashed; imap_auth plain login; upstream stores { server 192.0.2.9; } server { listen 143; }",
        "auth_users plain; smtp_auth none; server { listen 143; }",
    ] {
        assert_eq!(told(mail), "", "{mail}");
    }
}

#[test]
fn whatever_is_wrong_with_users_is_said_with_its_place() {
    let mut all = String::new();
    for mail in [
        "    auth_users plain;\n    auth_http localhost;\n    server { listen 143; }",
        "    server {\n        auth_http localhost;\n        listen 143;\n        auth_users plain;\n    }",
        "    auth_users nowhere;\n    server { listen 143; }\n    server { listen 110; }",
        "    auth_users broken;\n    server { listen 143; }\n    server { listen 110; }",
        "    auth_users large;\n    server { listen 143; }",
        "    auth_users nobody;\n    server { listen 143; }",
        "    auth_users homeless;\n    server { listen 143; }",
        "    auth_users hashed;\n    upstream stores { server 192.0.2.9; }\n    server {\n        listen 143;\n        imap_auth plain\n            cram-md5;\n    }\n    server { listen 110; pop3_auth apop; }",
        "    auth_users plain;\n    server { listen 143; imap_auth external xoauth2; }",
        "    auth_users plain;\n    server { listen 25; smtp_auth none; }",
        "    auth_users plain;\n    server { listen 143; auth_users plain; auth_http_header A b; auth_http_timeout 5s; }",
        "    server { listen 143; auth_users \"\"; }",
        "    auth_users plain;\n    auth_http_header A b;\n    server { listen 143; auth_http_keepalive 4; }\n    server { listen 110; }",
        "    auth_users plain;\n    auth_http_header A b;\n    server { listen 143; auth_http localhost; }\n    server { listen 110; auth_http_header C d; }",
        "    limit_conn_zone $auth_http_x zone=x:1m;\n    limit_conn_zone $remote_user zone=login:1m;\n    limit_conn_zone $auth_http_auth_server zone=home:1m;\n    limit_conn x 9;\n    limit_conn home 9;\n    limit_conn login 9;\n    server { listen 143; auth_users plain; }\n    server { listen 144; auth_users plain; protocol imap; }\n    server { listen 110; auth_http localhost; }\n    server { listen 25; auth_users plain; limit_conn login 3; }",
    ] {
        all.push_str(&format!("# {}\n\n{}\n\n\n", mail.trim(), told(mail)));
    }
    assert!(!all.contains("hunter") && !all.contains("$2b$"), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn a_file_that_everybody_may_read_or_write_is_warned_of() {
    let desk = Desk::new("users");
    let text = "mail { auth_users users; server { listen 127.0.0.1:14143; protocol imap; } }";
    desk.write(text, &[]);
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
        desk.permit("users", std::fs::Permissions::from_mode(mode));
        let told = desk.told();
        assert_eq!(told.contains("can be read or written by everybody"), warned, "{mode:o}: {told}");
    }
}
