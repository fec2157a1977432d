use super::fixture::{Fixture, NAME};
use super::*;
use gatepost_core::TlsFacts;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::{AlertDescription, ClientConfig, ClientConnection, ServerConnection, SignatureScheme};
use std::io::Read;

mod backend;
mod clients;
mod keys;
mod openssl;
mod preferences;
mod resumption;

fn settings<S: Into<Source>>(certificates: Vec<(S, S)>) -> Settings {
    Settings::new(Protocol::Imap, certificates)
}

/// Lets both sides talk until both are content or one is not; each side's facts or complaint.
fn shake(
    acceptor: &Acceptor,
    client: ClientConfig,
) -> (Result<TlsFacts, rustls::Error>, Result<ClientConnection, rustls::Error>) {
    shake_as(NAME, acceptor, client)
}

/// The same with a client that asks for another name.
fn shake_as(
    name: &'static str,
    acceptor: &Acceptor,
    client: ClientConfig,
) -> (Result<TlsFacts, rustls::Error>, Result<ClientConnection, rustls::Error>) {
    let acceptor = acceptor.for_one();
    let mut server = ServerConnection::new(acceptor.config().clone()).expect("a server");
    let name = name.try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("a client");
    let (mut server_said, mut client_said) = (Ok(()), Ok(()));
    for _ in 0..10 {
        let mut octets = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut octets).expect("memory");
        }
        let mut octets = octets.as_slice();
        while !octets.is_empty() && server_said.is_ok() {
            server.read_tls(&mut octets).expect("memory");
            server_said = server.process_new_packets().map(drop);
        }
        let mut octets = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut octets).expect("memory");
        }
        let mut octets = octets.as_slice();
        while !octets.is_empty() && client_said.is_ok() {
            client.read_tls(&mut octets).expect("memory");
            client_said = client.process_new_packets().map(drop);
        }
    }
    (server_said.map(|()| acceptor.facts(&server)), client_said.map(|()| client))
}

fn shown(client: &ClientConnection) -> Vec<u8> {
    client.peer_certificates().and_then(<[_]>::first).expect("a certificate").to_vec()
}

fn der(pair: &(PathBuf, PathBuf)) -> Vec<u8> {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_file(&pair.0).expect("a certificate").to_vec()
}

#[test]
fn each_client_is_shown_the_certificate_it_can_check() {
    let mut fixture = Fixture::new();
    let pairs: Vec<_> = [&PKCS_RSA_SHA256, &PKCS_ED25519, &PKCS_ECDSA_P256_SHA256]
        .map(|algorithm| fixture.pair(algorithm))
        .into();
    let server = server_config(&settings(pairs.clone())).expect("a configuration");

    let (told, client) = shake(&server, fixture.client(&[&TLS13]));
    let full = TlsFacts {
        server_name: Some(NAME.into()),
        server_signature: Some("ecdsa-with-SHA256"),
        server_key: Some("EC256".into()),
        ..TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    };
    assert_eq!(told.expect("TLS"), full);
    assert_eq!(shown(&client.expect("TLS")), der(&pairs[2]), "ECDSA is the cheapest");

    let (told, client) = shake(&server, fixture.client(&[&TLS12]));
    assert_eq!(told.expect("TLS").cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");
    assert_eq!(shown(&client.expect("TLS")), der(&pairs[2]));

    let mut only_rsa = aws_lc_rs::default_provider();
    only_rsa.cipher_suites.retain(|suite| cipher_name(suite.suite()).contains("-RSA-"));
    let client = fixture.client_with(only_rsa, &[&TLS12]);
    let (told, client) = shake(&server, client);
    assert_eq!(told.expect("TLS").cipher, "ECDHE-RSA-AES256-GCM-SHA384");
    assert_eq!(shown(&client.expect("TLS")), der(&pairs[0]));
}

/// RFC 6066 section 3.
#[test]
fn each_client_is_shown_the_certificate_for_the_name_it_asks_for() {
    let mut fixture = Fixture::new();
    let rsa = fixture.pair(&PKCS_RSA_SHA256);
    let other = fixture.pair_for("*.other.example", &PKCS_ECDSA_P256_SHA256);
    let own = fixture.pair(&PKCS_ECDSA_P256_SHA256);
    let server =
        server_config(&settings(vec![rsa.clone(), other.clone(), own.clone()])).expect("a configuration");
    let shown_for = |name: &'static str, provider: Option<&CryptoProvider>| {
        let provider = provider.cloned().unwrap_or_else(aws_lc_rs::default_provider);
        let mut client = fixture.client_with(provider, &[&TLS12]);
        client.enable_sni = !name.is_empty();
        client.dangerous().set_certificate_verifier(super::backend::credulous());
        let name = if name.is_empty() { NAME } else { name };
        shown(&shake_as(name, &server, client).1.expect("TLS"))
    };
    for (name, pair) in [
        (NAME, &own),
        ("mail.other.example", &other),
        ("MAIL.Other.example", &other),
        ("a.b.other.example", &own),
        ("unknown.example", &own),
        ("", &own),
    ] {
        assert_eq!(shown_for(name, None), der(pair), "{name}");
    }
    let mut only_rsa = aws_lc_rs::default_provider();
    only_rsa.cipher_suites.retain(|suite| cipher_name(suite.suite()).contains("-RSA-"));
    assert_eq!(shown_for(NAME, Some(&only_rsa)), der(&rsa));
    assert_eq!(shown_for("mail.other.example", Some(&only_rsa)), der(&rsa), "it could not check the other");
}

/// PROXY protocol version 2, section 2.2.5.
#[test]
fn the_certificate_that_was_shown_is_the_one_that_is_told_of() {
    let mut fixture = Fixture::new();
    let kinds = [
        (&PKCS_RSA_SHA256, SignatureScheme::RSA_PSS_SHA256, "RSA-SHA256", Some("RSA2048")),
        (&PKCS_ECDSA_P256_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256, "ecdsa-with-SHA256", Some("EC256")),
        (&PKCS_ED25519, SignatureScheme::ED25519, "ED25519", None),
    ];
    let pairs: Vec<_> = kinds.iter().map(|(algorithm, ..)| fixture.pair(algorithm)).collect();
    let all = server_config(&settings(pairs.clone())).expect("a configuration");
    let only = |scheme| {
        let mut provider = aws_lc_rs::default_provider();
        let mapping = provider.signature_verification_algorithms.mapping;
        let one: Vec<_> = mapping.iter().copied().filter(|(each, _)| *each == scheme).collect();
        provider.signature_verification_algorithms.mapping = one.leak();
        provider
    };
    for ((_, scheme, signature, key), pair) in kinds.into_iter().zip(&pairs) {
        let alone = server_config(&settings(vec![pair.clone()])).expect("a configuration");
        for (server, version) in [(&all, &TLS13), (&alone, &TLS13), (&all, &TLS12), (&alone, &TLS12)] {
            let client = fixture.client_with(only(scheme), &[version]);
            for resumed in [false, true] {
                let (told, client) = shake(server, client.clone());
                let told = told.expect("TLS");
                assert_eq!(told.resumed, resumed);
                assert_eq!((told.server_signature, told.server_key.as_deref()), (Some(signature), key));
                assert_eq!(shown(&client.expect("TLS")), der(pair));
            }
        }
    }
    let larger = fixture.pair(&PKCS_ECDSA_P384_SHA384);
    let server = server_config(&settings(vec![larger])).expect("a configuration");
    let told = shake(&server, fixture.client(&[&TLS13])).0.expect("TLS");
    assert_eq!(
        (told.server_signature, told.server_key.as_deref()),
        (Some("ecdsa-with-SHA384"), Some("EC384"))
    );
}

#[test]
fn another_protocols_client_is_turned_away_and_one_without_alpn_is_not() {
    let mut fixture = Fixture::new();
    let server = server_config(&settings(vec![fixture.pair(&PKCS_ED25519)])).expect("a configuration");
    let offer = |names: &[&str]| {
        let mut client = fixture.client(&[&TLS13]);
        client.alpn_protocols = names.iter().map(|&name| name.into()).collect();
        shake(&server, client)
    };
    let (told, heard) = offer(&["h2", "http/1.1"]);
    assert_eq!(told.expect_err("no common protocol"), rustls::Error::NoApplicationProtocol);
    assert_eq!(
        heard.expect_err("an alert"),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
    );
    let (told, heard) = offer(&["pop3", "imap"]);
    assert_eq!(told.expect("TLS").alpn.as_deref(), Some("imap"));
    assert_eq!(heard.expect("TLS").alpn_protocol(), Some(&b"imap"[..]));
    assert_eq!(offer(&[]).0.expect("TLS").alpn, None);
}

#[test]
fn versions_are_as_asked() {
    let mut fixture = Fixture::new();
    let pair = fixture.pair(&PKCS_ED25519);
    let with = |tls12, tls13| {
        server_config(&Settings { versions: Versions { tls12, tls13 }, ..settings(vec![pair.clone()]) })
    };
    let only12 = with(true, false).expect("a configuration");
    assert!(shake(&only12, fixture.client(&[&TLS13])).0.is_err());
    assert_eq!(shake(&only12, fixture.client(&[&TLS12])).0.expect("TLS").protocol, "TLSv1.2");
    let only13 = with(false, true).expect("a configuration");
    assert!(shake(&only13, fixture.client(&[&TLS12])).0.is_err());
    assert!(matches!(with(false, false), Err(Error::NoVersion)));
}

#[test]
fn a_returning_client_is_resumed_without_a_cache_of_ours() {
    let mut fixture = Fixture::new();
    let server = server_config(&settings(vec![fixture.pair(&PKCS_ED25519)])).expect("a configuration");
    let client = fixture.client(&[&TLS13]);
    for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let (facts, told) = shake(&server, client.clone());
        let mut told = told.expect("TLS");
        assert_eq!(facts.expect("TLS").resumed, expected == rustls::HandshakeKind::Resumed);
        let _ = told.reader().read(&mut [0]);
        assert_eq!(told.handshake_kind(), Some(expected));
    }
    assert!(!server.config().session_storage.can_cache());
}

#[test]
fn odd_files_are_told_and_none_panics() {
    let mut fixture = Fixture::new();
    let (certificate, key) = fixture.pair(&PKCS_ED25519);
    let (other_certificate, other_key) = fixture.pair(&PKCS_RSA_SHA256);
    let empty = fixture.file("empty", "");
    let junk = fixture.file("junk", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let no_der = fixture.file("no-der", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let locked = fixture
        .file("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let old_locked = fixture.file(
        "old-locked",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
         -----END RSA PRIVATE KEY-----\n",
    );
    let said = |certificate: &PathBuf, key: &PathBuf| {
        server_config(&settings(vec![(certificate.clone(), key.clone())]))
            .expect_err("an odd file")
            .to_string()
    };
    let nowhere = PathBuf::from("/nowhere/mail.crt");
    assert_eq!(
        said(&nowhere, &key),
        "cannot load certificate \"/nowhere/mail.crt\": BIO_new_file() failed (SSL: error:80000002:system library::\
         No such file or directory:calling fopen(/nowhere/mail.crt, r) error:10000080:BIO routines::no such file)"
    );
    assert!(said(&PathBuf::from("/tmp"), &key).ends_with(": read() failed (21: Is a directory)"));
    for file in [&empty, &junk, &no_der, &key] {
        let start = format!("cannot load certificate {file:?}: ");
        assert!(said(file, &key).starts_with(&start), "{}", said(file, &key));
    }
    for file in [&empty, &junk, &certificate] {
        let start = format!("cannot load certificate key {file:?}: ");
        assert!(said(&certificate, file).starts_with(&start), "{}", said(&certificate, file));
    }
    for file in [&locked, &old_locked] {
        assert!(said(&certificate, file).contains("it is protected by a pass phrase"));
    }
    for (certificate, key) in [(&certificate, &other_key), (&other_certificate, &key)] {
        let start = format!("SSL_CTX_use_PrivateKey({key:?}) failed (SSL: error:05800074:");
        assert!(said(certificate, key).starts_with(&start), "{}", said(certificate, key));
    }
    assert!(matches!(server_config(&settings::<PathBuf>(vec![])), Err(Error::NoCertificate)));
    assert!(said(&PathBuf::from("/dev/zero"), &key).contains("larger than"));
}
