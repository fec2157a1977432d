//! The configurations the product was asked for with, as their documents print them but for the paths of certificates.

use std::path::PathBuf;

use gatepost_core::{Protocol, StartTls, VerifyClient};

use super::super::{Memory, Place};
use super::{Loaded, Severity, all_lines, first_lines, load_on, machine};

/// A folder with a certificate and its key, removed when dropped.
struct Certificates(PathBuf);

impl Certificates {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let names = vec!["mail.example.com".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        std::fs::write(folder.join("mail.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.join("mail.key"), key.serialize_pem()).unwrap();
        Self(folder)
    }

    /// `text` with its certificates' paths replaced by those of the real files.
    fn in_place(&self, text: &str) -> String {
        let place = |text: String, printed: &str, file: &str| {
            text.replace(printed, &self.0.join(file).display().to_string())
        };
        let mut text = text.to_owned();
        for printed in [
            "/etc/letsencrypt/live/example.com/fullchain.pem",
            "/path/to/cert.pem",
            "/etc/nginx/ssl/mail.crt",
        ] {
            text = place(text, printed, "mail.crt");
        }
        for printed in
            ["/etc/letsencrypt/live/example.com/privkey.pem", "/path/to/key.pem", "/etc/nginx/ssl/mail.key"]
        {
            text = place(text, printed, "mail.key");
        }
        text
    }

    fn load(&self, text: &str) -> Loaded {
        self.load_on(machine(), text)
    }

    fn load_on(&self, machine: Memory, text: &str) -> Loaded {
        let text = self.in_place(text);
        match load_on(machine, &text) {
            Ok(loaded) => loaded,
            Err(told) => panic!("{text}\n{}", all_lines(&told)),
        }
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What every server comes to: its protocol, whether it has TLS, and whether that comes first.
fn servers(loaded: &Loaded) -> Vec<(Protocol, bool, bool)> {
    let one = |server: &crate::config::Server| {
        (
            server.policy.protocol,
            server.tls.is_some(),
            server.listeners.iter().any(|listener| listener.tls_first),
        )
    };
    loaded.config.servers.iter().map(one).collect()
}

#[test]
fn ssl_on_in_mail_makes_every_listener_speak_tls() {
    let text = "
mail {
    ssl on;
    ssl_certificate /etc/letsencrypt/live/example.com/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/example.com/privkey.pem;

    auth_http 127.0.0.1:9000/auth;

    server {
        listen     993 ssl;
        protocol   imap;
        proxy      on;
    }

    server {
        listen     995 ssl;
        protocol   pop3;
        proxy      on;
    }

    server {
        listen     465;
        protocol   smtp;
        proxy      on;
    }
}
";
    let loaded = Certificates::new("ssl-on").load(text);
    assert_eq!(
        servers(&loaded),
        [(Protocol::Imap, true, true), (Protocol::Pop3, true, true), (Protocol::Smtp, true, true)]
    );
    let deprecated = "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead";
    let at = "/etc/nginx/nginx.conf:3";
    assert_eq!(first_lines(&loaded.warnings), [format!("[warn] {deprecated} in {at}")]);
}

#[test]
fn a_server_of_each_protocol_with_and_without_tls() {
    let text = r#"
worker_processes auto;

mail {
    server_name mail.example.com;

    auth_http localhost:9000/cgi-bin/nginxauth.cgi;

    imap_capabilities IMAP4rev1 UIDPLUS IDLE LITERAL+ QUOTA;
    pop3_auth plain apop cram-md5;
    pop3_capabilities LAST TOP USER PIPELINING UIDL;
    smtp_auth login plain cram-md5;
    smtp_capabilities "SIZE 10485760" ENHANCEDSTATUSCODES 8BITMIME DSN;

    server {
        listen 143;
        protocol imap;
    }

    server {
        listen 110;
        protocol pop3;
        proxy_pass_error_message on;
    }

    server {
        listen 25;
        protocol smtp;
    }

    server {
        listen 587;
        protocol smtp;
    }

    server {
        listen 993 ssl;
        protocol imap;
        ssl_certificate     /path/to/cert.pem;
        ssl_certificate_key /path/to/key.pem;
    }

    server {
        listen 995 ssl;
        protocol pop3;
        ssl_certificate     /path/to/cert.pem;
        ssl_certificate_key /path/to/key.pem;
    }

    server {
        listen 465 ssl;
        protocol smtp;
        ssl_certificate     /path/to/cert.pem;
        ssl_certificate_key /path/to/key.pem;
    }
}
"#;
    let loaded = Certificates::new("basic").load(text);
    assert!(loaded.warnings.is_empty());
    let tls = |server: &(Protocol, bool, bool)| (server.1, server.2);
    let plain = (false, false);
    let first = (true, true);
    let found: Vec<_> = servers(&loaded).iter().map(tls).collect();
    assert_eq!(found, [plain, plain, plain, plain, first, first, first]);
    let smtp = &loaded.config.servers[2].policy;
    assert_eq!(smtp.capabilities[0], "SIZE 10485760".into());
    assert_eq!(
        (&*smtp.auth.as_ref().unwrap().urls[0].host, &*smtp.auth.as_ref().unwrap().urls[0].uri),
        ("localhost", "/cgi-bin/nginxauth.cgi")
    );
}

#[test]
fn the_only_certificate_serves_those_who_have_none() {
    let text = "
mail {
    imap_auth plain OAuthBearer xoauth2;
    server_name mail.example.com;
    auth_http http://auth.example.com/mail/auth;

    server {
        listen 143;
        protocol imap;
        starttls on;
        proxy_timeout 600s;
    }

    server {
        listen 993 ssl;
        protocol imap;
        ssl_certificate     /etc/nginx/ssl/mail.crt;
        ssl_certificate_key /etc/nginx/ssl/mail.key;
        ssl_protocols       TLSv1.2 TLSv1.3;
        proxy_timeout 600s;
    }
}
";
    let certificates = Certificates::new("only");
    let loaded = certificates.load(text);
    assert_eq!(servers(&loaded), [(Protocol::Imap, true, false), (Protocol::Imap, true, true)]);
    assert_eq!(loaded.config.servers[0].policy.starttls, StartTls::On);
    let file = certificates.0.join("mail.crt");
    let warning = format!(
        "[warn] no \"ssl_certificate\" is defined for the \"starttls\" directive, using \"{}\" in {}",
        file.display(),
        "/etc/nginx/nginx.conf:10"
    );
    assert_eq!(first_lines(&loaded.warnings), [warning]);
}

#[test]
fn an_enterprise_s_mail_servers_know_the_names_of_smtp_clients() {
    let text = r#"
worker_processes auto;

mail {
    server_name mail.example.com;

    auth_http http://auth.example.com/mail/auth;

    resolver 8.8.8.8 8.8.4.4 valid=300s;

    imap_capabilities IMAP4rev1 UIDPLUS IDLE LITERAL+ QUOTA;
    pop3_capabilities LAST TOP USER PIPELINING UIDL;
    smtp_capabilities "SIZE 52428800" ENHANCEDSTATUSCODES 8BITMIME DSN;

    pop3_auth plain apop cram-md5;
    smtp_auth login plain cram-md5;

    server {
        listen 143;
        protocol imap;
        starttls on;
        proxy_timeout 600s;
    }

    server {
        listen 993 ssl;
        protocol imap;
        ssl_certificate     /etc/nginx/ssl/mail.crt;
        ssl_certificate_key /etc/nginx/ssl/mail.key;
        ssl_protocols       TLSv1.2 TLSv1.3;
        proxy_timeout 600s;
    }

    server {
        listen 110;
        protocol pop3;
        starttls on;
        proxy_timeout 600s;
    }

    server {
        listen 995 ssl;
        protocol pop3;
        ssl_certificate     /etc/nginx/ssl/mail.crt;
        ssl_certificate_key /etc/nginx/ssl/mail.key;
        ssl_protocols       TLSv1.2 TLSv1.3;
        proxy_timeout 600s;
    }

    server {
        listen 25;
        protocol smtp;
        starttls on;
        xclient on;
    }

    server {
        listen 587;
        protocol smtp;
        starttls on;
    }

    server {
        listen 465 ssl;
        protocol smtp;
        ssl_certificate     /etc/nginx/ssl/mail.crt;
        ssl_certificate_key /etc/nginx/ssl/mail.key;
        ssl_protocols       TLSv1.2 TLSv1.3;
    }
}
"#;
    let loaded = Certificates::new("enterprise").load(text);
    let (reached, first) = ((true, false), (true, true));
    let found: Vec<_> = servers(&loaded).into_iter().map(|(_, tls, tls_first)| (tls, tls_first)).collect();
    assert_eq!(found, [reached, first, reached, first, reached, reached, first]);
    for server in &loaded.config.servers {
        let asked = server.resolver.as_ref().map(|settings| (settings.servers.as_slice(), settings.valid));
        let wanted = ["8.8.8.8:53".parse().unwrap(), "8.8.4.4:53".parse().unwrap()];
        let wanted = (&wanted[..], Some(std::time::Duration::from_secs(300)));
        assert_eq!(asked, Some(wanted));
        assert_eq!(server.policy.resolver_timeout.is_some(), server.policy.protocol == Protocol::Smtp);
    }
    assert_eq!(loaded.warnings.len(), 4, "one for each server without a certificate of its own");
    assert_eq!(loaded.config.servers[4].policy.capabilities[0], "SIZE 52428800".into());
}

#[test]
fn a_backend_can_be_shown_a_certificate_of_ours() {
    let text = "
mail {
    auth_http 127.0.0.1;
    proxy_ssl on;
    proxy_ssl_trusted_certificate /etc/nginx/ssl/mail.crt;
    proxy_ssl_certificate /etc/nginx/ssl/mail.crt;
    proxy_ssl_certificate_key /etc/nginx/ssl/mail.key;
    server { listen 143; }
    server { listen 110; proxy_ssl_server_name off; }
}
";
    let loaded = Certificates::new("backend").load(text);
    assert!(loaded.warnings.is_empty());
    let ready = |server: &crate::config::Server| {
        let tls = server.backend_tls.as_ref().unwrap();
        (tls.client_auth_cert_resolver.has_certs(), tls.enable_sni, tls.alpn_protocols.clone())
    };
    let all: Vec<_> = loaded.config.servers.iter().map(ready).collect();
    assert_eq!(all, [(true, true, vec![b"imap".to_vec()]), (true, false, vec![b"pop3".to_vec()])]);
}

#[test]
fn client_certificates_are_asked_for_where_that_was_said() {
    let text = "
mail {
    auth_http 127.0.0.1;
    ssl_certificate /etc/nginx/ssl/mail.crt;
    ssl_certificate_key /etc/nginx/ssl/mail.key;
    ssl_client_certificate /etc/nginx/ssl/mail.crt;
    ssl_verify_client optional;
    imap_auth plain external;
    pop3_auth external;
    ssl_verify_depth 3;
    auth_http_pass_client_cert on;
    server { listen 993 ssl; }
    server { listen 995 ssl; ssl_verify_client off; auth_http_pass_client_cert off; }
    server { listen 465 ssl; ssl_verify_client optional_no_ca; }
    server { listen 143; ssl_verify_client on; }
}
";
    let loaded = Certificates::new("client").load(text);
    let found: Vec<_> = loaded
        .config
        .servers
        .iter()
        .map(|server| (server.policy.verify_client, server.policy.auth.as_ref().unwrap().pass_client_cert))
        .collect();
    assert_eq!(
        found,
        [
            (VerifyClient::Optional, true),
            (VerifyClient::Off, false),
            (VerifyClient::OptionalNoCa, true),
            (VerifyClient::On, true)
        ]
    );
    let warning = "[warn] the method \"external\" has no effect without \"ssl_verify_client\"";
    assert_eq!(first_lines(&loaded.warnings), [format!("{warning} in /etc/nginx/nginx.conf:9")]);
    let missing =
        text.replace("ssl_client_certificate /etc/nginx/ssl/mail.crt", "ssl_client_certificate nothere.pem");
    let certificates = Certificates::new("client-missing");
    let told = load_on(machine(), &certificates.in_place(&missing)).unwrap_err();
    let refusal = told.iter().find(|each| each.severity == Severity::Emerg).unwrap();
    assert!(refusal.message.contains("nothere.pem"), "{refusal}");
    assert_eq!(refusal.place.as_ref().and_then(Place::line), Some(6), "{refusal}");
}

#[test]
fn a_certificate_and_another_s_key_are_refused() {
    let (one, other) = (Certificates::new("one"), Certificates::new("other"));
    let text = format!(
        "mail {{\n auth_http 127.0.0.1;\n ssl_certificate {};\n ssl_certificate_key {};\n server {{ listen 993 ssl; }}\n}}",
        one.0.join("mail.crt").display(),
        other.0.join("mail.key").display()
    );
    let told = load_on(machine(), &text).unwrap_err();
    assert_eq!(told.len(), 1);
    assert!(told[0].message.contains("key values mismatch"), "{}", told[0]);
    assert!(
        told[0].place.as_ref().and_then(Place::line).is_some_and(|line| [3, 4].contains(&line)),
        "{}",
        told[0]
    );
    assert!(told[0].hint.as_ref().is_some_and(|hint| hint.contains("mail.crt")), "{}", told[0]);
}

#[test]
fn the_core_module_s_example_has_one_directive_left_to_support() {
    let text = r#"# рекомендуется установить равным числу CPU
worker_processes  1;

error_log  /var/log/nginx/error.log info;

mail {
    server_name  mail.example.ru;
    auth_http    localhost:9000/cgi-bin/nginxauth.cgi;

    imap_capabilities "IMAP4rev1" "UIDPLUS" "IDLE" "LITERAL+" "QUOTA";
    imap_client_buffer 8k;

    pop3_auth         plain apop cram-md5;
    pop3_capabilities "LAST" "TOP" "USER" "PIPELINING" "UIDL";

    smtp_auth         login plain cram-md5;
    smtp_capabilities "SIZE 10485760" ENHANCEDSTATUSCODES 8BITMIME DSN;
    xclient off;
    so_keepalive on;

    server {
        listen               25;
        protocol           smtp;
        timeout            300s;
    }
    server {
        listen     *:110;
        protocol   pop3;
        proxy      on;
        proxy_pass_error_message  on;
    }
    server {
        listen     localhost:143 bind;
        protocol   imap;
        proxy      on;
    }
    server {
        listen              587;
        protocol           smtp;
        timeout            300s;
    }
}
"#;
    let loaded = load_on(machine(), text).unwrap();
    let deprecated = "the \"so_keepalive\" directive is deprecated, use the \"listen ... so_keepalive=\" parameter instead";
    let at = "/etc/nginx/nginx.conf:19";
    assert_eq!(first_lines(&loaded.warnings), [format!("[warn] {deprecated} in {at}")]);
    assert!(loaded.config.servers.iter().all(|server| {
        server.policy.backend.keepalive
            && server.listeners.iter().all(|listener| listener.keepalive.is_some())
    }));
    let imap = &loaded.config.servers[2];
    assert_eq!((imap.listeners.len(), imap.policy.client_buffer_bytes), (2, 8192));
    assert_eq!(loaded.config.servers[3].policy.timeout.as_secs(), 300);
}

#[test]
fn a_group_of_backends_behind_one_listener() {
    let text = "
mail {
    ssl on;
    ssl_certificate /etc/letsencrypt/live/example.com/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/example.com/privkey.pem;

    auth_http 127.0.0.1:9000/auth;

    upstream backend_mail {
        server mail1.example.com:143;
        server mail2.example.com:143;
    }

    server {
        listen     993 ssl;
        protocol   imap;
        proxy_pass backend_mail;
    }
}
";
    let machine = || {
        let at = |last: u8| [std::net::IpAddr::from([192, 0, 2, last])];
        machine().host("mail1.example.com", &at(1)).host("mail2.example.com", &at(2))
    };
    let loaded = Certificates::new("balancing").load_on(machine(), text);
    let server = &loaded.config.servers[0];
    let Some(gatepost_core::Target::Group(group)) = &server.policy.backend.pass else { panic!() };
    assert_eq!((&*group.name, group.servers), ("backend_mail", 2));
    assert!(server.policy.auth.is_some());
}

#[test]
fn protocols_of_long_ago_are_words_and_no_more() {
    let text = "mail { auth_http localhost; ssl_certificate /path/to/cert.pem; ssl_certificate_key /path/to/key.pem;\n\
                server { listen 993 ssl; ssl_protocols SSLv2 SSLv3 TLSv1; }\n\
                server { listen 995 ssl; ssl_protocols SSLv3 TLSv1.2; } }";
    let loaded = Certificates::new("old-protocols").load(text);
    assert_eq!(servers(&loaded), [(Protocol::Imap, true, true), (Protocol::Pop3, true, true)]);
    let at = "in /etc/nginx/nginx.conf";
    let off =
        |word, line| format!("[warn] the protocol \"{word}\" is not supported and stays off {at}:{line}");
    assert_eq!(
        first_lines(&loaded.warnings),
        [
            off("SSLv2", 2),
            off("SSLv3", 2),
            off("TLSv1", 2),
            off("SSLv3", 3),
            format!(
                "[warn] \"ssl_protocols\" leaves no protocol that is supported, \"TLSv1.2 TLSv1.3\" is used {at}:2"
            ),
        ]
    );
}

#[test]
fn servers_without_an_auth_server_are_refused_with_a_hint() {
    let text =
        "mail {\n    server {\n        listen 110;\n        protocol pop3;\n        proxy on;\n    }\n}\n";
    let told = load_on(machine(), text).unwrap_err();
    assert_eq!(
        first_lines(&told),
        ["[emerg] no \"auth_http\" is defined for server in /etc/nginx/nginx.conf:2"]
    );
    let hint = told[0].hint.as_deref().unwrap();
    assert!(hint.contains("auth_http") && hint.contains("proxy_pass"), "{hint}");
}

#[test]
fn routing_by_recipient_needs_no_login() {
    let text = "
mail {
    server_name mail.test.com;
    auth_http   http://127.0.0.1:8000;
    xclient off; server {
        listen     3333;
        protocol   smtp;
        smtp_auth  none;
    }
}
";
    let loaded = load_on(machine(), text).unwrap();
    assert!(loaded.warnings.is_empty());
    let policy = &loaded.config.servers[0].policy;
    assert!(policy.unauthenticated && !policy.backend.xclient);
    assert_eq!((policy.mechanisms, &*policy.auth.as_ref().unwrap().urls[0].uri), (Default::default(), "/"));
}
