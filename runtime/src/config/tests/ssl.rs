//! What `ssl_*` comes to, and what is said of it.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use rustls::{CipherSuite, NamedGroup, SignatureScheme};

use super::super::surroundings::Surroundings;
use super::*;
use crate::tls::{self, Acceptor, Settings};

/// A machine that makes nothing of certificates, but remembers what was to be made.
#[derive(Default)]
struct Recorder {
    machine: Memory,
    seen: RefCell<Vec<Settings>>,
}

impl Surroundings for Recorder {
    fn read(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, gatepost_core::SystemError> {
        self.machine.read(path, bytes_max)
    }

    fn tls(&self, settings: &Settings) -> Result<Acceptor, tls::Error> {
        self.seen.borrow_mut().push(settings.clone());
        Err(tls::Error::NoCertificate)
    }
}

/// What is made of a server that speaks TLS, with `text` in `mail {}`; and what is said about it, but for the certificate.
fn settings_of(text: &str) -> (Vec<Settings>, Vec<String>) {
    let text = format!("mail {{ auth_http 127.0.0.1; ssl_certificate c; ssl_certificate_key k;\n{text} }}");
    let machine = machine().file("/etc/nginx/nginx.conf", text);
    let recorder = Recorder { machine, seen: RefCell::default() };
    let options = Options::new(Path::new("/etc/nginx"), &recorder);
    let told = load(Path::new("nginx.conf"), &options).err().unwrap_or_default();
    let told =
        first_lines(&told).into_iter().filter(|line| !line.contains("no \"ssl_certificate\" is defined"));
    (recorder.seen.into_inner(), told.collect())
}

/// The same for what stands in the only server, and must be faultless.
fn one(text: &str) -> Settings {
    let (mut seen, told) = settings_of(&format!("server {{ listen 993 ssl; {text} }}"));
    assert_eq!((seen.len(), told), (1, Vec::new()), "{text}");
    seen.remove(0)
}

/// What is said of a directive beside others in a server that speaks TLS.
fn said(text: &str) -> Vec<String> {
    let place = " in /etc/nginx/nginx.conf:2";
    let (_, told) = settings_of(&format!("server {{ listen 993 ssl; {text} }}"));
    told.into_iter().map(|line| line.strip_suffix(place).map_or(line.clone(), str::to_owned)).collect()
}

#[test]
fn nothing_said_means_nginx_s_defaults() {
    let settings = one("");
    assert_eq!(settings.preferences, tls::Preferences::default());
    let resumption = settings.resumption;
    assert!(resumption.tickets && resumption.ticket_keys.is_empty() && resumption.cache.is_none());
    assert_eq!(resumption.timeout, Duration::from_secs(300));
}

#[test]
fn each_setting_of_tls_reaches_it() {
    let settings = one(
        "ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256; ssl_prefer_server_ciphers on; ssl_ecdh_curve secp384r1:X25519; \
         ssl_session_timeout 1h; ssl_session_tickets off; ssl_session_ticket_key a.key; ssl_session_ticket_key /b.key; \
         ssl_session_cache builtin:1000 shared:SSL:10m;",
    );
    let preferences = settings.preferences;
    assert_eq!(preferences.tls12_suites, Some(vec![CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]));
    assert_eq!((preferences.server_order, preferences.tls13_suites), (true, None));
    assert_eq!(preferences.groups, Some(vec![NamedGroup::secp384r1, NamedGroup::X25519]));
    let resumption = settings.resumption;
    assert_eq!((resumption.tickets, resumption.timeout), (false, Duration::from_secs(3600)));
    assert_eq!(resumption.ticket_keys, [Path::new("/etc/nginx/a.key"), Path::new("/b.key")]);
    assert!(resumption.cache.is_some());
    assert_eq!(one("ssl_ecdh_curve auto;").preferences.groups, None);
}

#[test]
fn files_and_flags_of_tls_reach_it() {
    let settings = one(
        "ssl_password_file pass; ssl_crl /crl.pem; ssl_certificate_compression on; ssl_verify_client optional_no_ca; \
         ssl_certificate a.crt; ssl_certificate data:CERT; ssl_certificate_key a.key; ssl_certificate_key data:KEY;",
    );
    let file = |path: &str| tls::Source::File(path.into());
    let data = |text: &str| tls::Source::Data(std::sync::Arc::new(text.as_bytes().to_vec().into()));
    assert_eq!(settings.pass_phrases.as_deref(), Some(Path::new("/etc/nginx/pass")));
    assert_eq!(settings.crl.as_deref(), Some(Path::new("/crl.pem")));
    assert!(settings.compress);
    let pairs = [(file("/etc/nginx/a.crt"), file("/etc/nginx/a.key")), (data("CERT"), data("KEY"))];
    assert_eq!(settings.certificates, pairs);
}

#[test]
fn commands_of_openssl_have_the_last_word() {
    let settings = one(
        "ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; ssl_conf_command CipherString CHACHA20+aRSA; \
         ssl_conf_command Groups P-256; ssl_conf_command SignatureAlgorithms ed25519:RSA+SHA256; \
         ssl_conf_command Options ServerPreference,-SessionTicket,NoRenegotiation; ssl_conf_command MaxProtocol TLSv1.2; \
         ssl_conf_command NumTickets 4; \
         ssl_ciphers HIGH; ssl_prefer_server_ciphers off; ssl_ecdh_curve X25519; ssl_session_tickets on;",
    );
    let preferences = settings.preferences;
    assert_eq!(preferences.tls13_suites, Some(vec![CipherSuite::TLS13_CHACHA20_POLY1305_SHA256]));
    assert_eq!(
        preferences.tls12_suites,
        Some(vec![CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256])
    );
    assert_eq!(preferences.groups, Some(vec![NamedGroup::secp256r1]));
    assert_eq!(settings.resumption.tls13_tickets, 4);
    let schemes = vec![SignatureScheme::ED25519, SignatureScheme::RSA_PKCS1_SHA256];
    assert_eq!((preferences.signatures, preferences.server_order), (Some(schemes), true));
    assert_eq!(
        (settings.resumption.tickets, settings.versions.tls12, settings.versions.tls13),
        (false, true, false)
    );
}

#[test]
fn versions_are_bounded_by_commands() {
    for (commands, tls12, tls13) in [
        ("ssl_conf_command MinProtocol TLSv1.3;", false, true),
        ("ssl_conf_command MinProtocol TLSv1;", true, true),
        ("ssl_conf_command maxprotocol None;", true, true),
        ("ssl_conf_command Protocol -ALL,TLSv1.2;", true, false),
        ("ssl_protocols TLSv1.2; ssl_conf_command Protocol +TLSv1.3,-TLSv1.2;", false, true),
        ("ssl_conf_command Protocol -TLSv1;", true, true),
    ] {
        let versions = one(commands).versions;
        assert_eq!((versions.tls12, versions.tls13), (tls12, tls13), "{commands}");
    }
    let none = "[emerg] \"ssl_protocols\" leaves no protocol that is supported";
    assert_eq!(said("ssl_conf_command MaxProtocol TLSv1.1;"), [none]);
}

#[test]
fn a_server_s_own_commands_and_keys_replace_those_of_mail() {
    let (seen, told) = settings_of(
        "ssl_conf_command Groups X25519; ssl_conf_command Options ServerPreference; ssl_session_ticket_key mail.key; \
         ssl_session_cache shared:a:1m; ssl_ciphers AES256; \
         server { listen 993 ssl; } \
         server { listen 995 ssl; ssl_conf_command Groups P-384; ssl_session_ticket_key own.key; ssl_session_cache off; }",
    );
    assert_eq!(told, [""; 0]);
    let [inherited, own] = seen.as_slice() else { panic!() };
    assert!(inherited.preferences.server_order && !own.preferences.server_order);
    assert_eq!(own.preferences.groups, Some(vec![NamedGroup::secp384r1]));
    assert_eq!(own.preferences.tls12_suites, inherited.preferences.tls12_suites);
    assert_eq!(own.resumption.ticket_keys, [Path::new("/etc/nginx/own.key")]);
    assert!(inherited.resumption.cache.is_some() && own.resumption.cache.is_none());
}

#[test]
fn what_rustls_lacks_is_named() {
    for (text, warning) in [
        (
            "ssl_ciphers EECDH+AESGCM:DHE-RSA-AES128-GCM-SHA256:AES128-SHA:!aNULL;",
            "the ciphers \"DHE-RSA-AES128-GCM-SHA256:AES128-SHA\" are not supported and stay off",
        ),
        ("ssl_ecdh_curve X25519:secp521r1;", "the groups \"secp521r1\" are not supported and stay off"),
        ("ssl_ecdh_curve secp521r1;", "the groups \"secp521r1\" are not supported, those of `auto` are used"),
        (
            "ssl_ciphers TLS_AES_128_GCM_SHA256:HIGH;",
            "\"TLS_AES_128_GCM_SHA256\" has no effect: it is of TLS 1.3, whose ciphers \"ssl_conf_command Ciphersuites\" has",
        ),
        ("ssl_ciphers PROFILE=SYSTEM;", "\"PROFILE=SYSTEM\" is taken for \"DEFAULT\""),
        (
            "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256;",
            "the ciphers \"TLS_AES_128_CCM_SHA256\" are not supported and stay off",
        ),
        (
            "ssl_conf_command SignatureAlgorithms ed448:ed25519;",
            "the signature algorithms \"ed448\" are not supported and stay off",
        ),
        (
            "ssl_dhparam /nowhere/dh.pem;",
            "the \"ssl_dhparam\" directive has no effect: there are no DHE ciphers, ECDHE is used",
        ),
        (
            "ssl_conf_command Options -NoRenegotiation;",
            "the option \"-NoRenegotiation\" of \"ssl_conf_command\" has no effect",
        ),
        (
            "ssl_conf_command Options PrioritizeChaCha;",
            "the option \"PrioritizeChaCha\" of \"ssl_conf_command\" has no effect",
        ),
        (
            "ssl_conf_command Options ClientRenegotiation,-KTLSTxZerocopySendfile;",
            "the option \"ClientRenegotiation\" of \"ssl_conf_command\" has no effect",
        ),
        (
            "ssl_conf_command Options IgnoreUnexpectedEOF;",
            "the option \"IgnoreUnexpectedEOF\" of \"ssl_conf_command\" has no effect",
        ),
        ("ssl_conf_command ChainCAStore /a.pem;", "\"ChainCAStore\" of \"ssl_conf_command\" has no effect"),
        (
            "ssl_conf_command RequestCAStore /a.pem;",
            "\"RequestCAStore\" of \"ssl_conf_command\" has no effect",
        ),
        ("ssl_conf_command NumTickets x;", "\"NumTickets\" of \"ssl_conf_command\" has no effect"),
        ("ssl_conf_command RecordPadding 4;", "\"RecordPadding\" of \"ssl_conf_command\" has no effect"),
        (
            "ssl_session_timeout 7d;",
            "\"ssl_session_timeout\" is longer than a day, which is how long tickets are good at most",
        ),
    ] {
        assert_eq!(said(text), [format!("[warn] {warning}")], "{text}");
    }
}

/// With OpenSSL these keep clients out, so that passing over them would let everybody in.
#[test]
fn commands_that_guard_are_refused() {
    for command in [
        "VerifyMode Peer,Require",
        "verifymode request",
        "VerifyCAFile a.pem",
        "VerifyCAPath /",
        "VerifyCAStore a",
    ] {
        let name = command.split(' ').next().unwrap_or_default();
        let message = format!("[emerg] \"{name}\" of \"ssl_conf_command\" is not supported");
        assert_eq!(said(&format!("ssl_conf_command {command};")), [message]);
    }
    let bad = "error:0A000180:SSL routines::bad value:cmd=VerifyMode, value=None";
    let message = format!("[emerg] SSL_CONF_cmd(\"VerifyMode\", \"None\") failed (SSL: {bad})");
    assert_eq!(said("ssl_conf_command VerifyMode None;"), [message]);
}

#[test]
fn what_is_wrong_is_noticed_where_tls_is_wanted_only() {
    let text = "ssl_ciphers nonsense; ssl_ecdh_curve foo; ssl_conf_command Foo bar;";
    let (config, told) = fit(&format!("mail {{ auth_http 127.0.0.1; {text} server {{ listen 143; }} }}"));
    assert_eq!((config.servers.len(), told), (1, Vec::new()));
    assert_eq!(
        said(text),
        [
            r#"[emerg] SSL_CTX_set_cipher_list("nonsense") failed (SSL: error:0A0000B9:SSL routines::no cipher match)"#
        ]
    );
}

#[test]
fn what_several_servers_inherit_is_told_once() {
    let (seen, told) = settings_of(
        "ssl_ciphers nonsense; server { listen 993 ssl; } server { listen 995 ssl; } \
         server { listen 465 ssl; ssl_ciphers HIGH; }",
    );
    assert_eq!((seen.len(), told.len()), (1, 1), "{told:?}");
}

#[test]
fn zones_are_one_by_their_name() {
    let conflict = "server { listen 995 ssl; ssl_session_cache shared:a:1m; } server { listen 993 ssl; ssl_session_cache shared:a:2m; }";
    let (_, told) = settings_of(conflict);
    assert_eq!(
        told,
        [
            "[emerg] the size 2097152 of shared memory zone \"a\" conflicts with already declared size 1048576 in /etc/nginx/nginx.conf:2"
        ]
    );
}
