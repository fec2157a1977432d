use super::*;
use rustls::{CipherSuite, NamedGroup};

const CHACHA_12: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
const AES_12: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;

fn server(fixture: &mut Fixture, preferences: Preferences) -> Acceptor {
    let pair = fixture.pair(&PKCS_ECDSA_P256_SHA256);
    server_config(&Settings { preferences, ..settings(vec![pair]) }).expect("a configuration")
}

fn cipher(server: &Acceptor, client: ClientConfig) -> Option<&'static str> {
    shake(server, client).0.ok().map(|facts| facts.cipher)
}

#[test]
fn suites_are_those_that_were_listed() {
    let mut fixture = Fixture::new();
    let chacha_13 = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
    let preferences = Preferences {
        tls12_suites: Some(vec![CHACHA_12]),
        tls13_suites: Some(vec![chacha_13]),
        ..Preferences::default()
    };
    let server = server(&mut fixture, preferences);
    assert_eq!(cipher(&server, fixture.client(&[&TLS12])), Some("ECDHE-ECDSA-CHACHA20-POLY1305"));
    assert_eq!(cipher(&server, fixture.client(&[&TLS13])), Some("TLS_CHACHA20_POLY1305_SHA256"));
    let mut without = aws_lc_rs::default_provider();
    without.cipher_suites.retain(|suite| ![CHACHA_12, chacha_13].contains(&suite.suite()));
    for version in [&TLS12, &TLS13] {
        assert_eq!(cipher(&server, fixture.client_with(without.clone(), &[version])), None);
    }
}

#[test]
fn no_suite_for_tls_13_means_no_tls_13() {
    let mut fixture = Fixture::new();
    let server =
        server(&mut fixture, Preferences { tls13_suites: Some(Vec::new()), ..Preferences::default() });
    let told = shake(&server, fixture.client(&[&TLS12, &TLS13])).0.expect("TLS");
    assert_eq!(told.protocol, "TLSv1.2");
}

#[test]
fn the_order_of_suites_is_the_clients_unless_the_server_has_its_own() {
    let mut fixture = Fixture::new();
    let mut provider = aws_lc_rs::default_provider();
    let find = |suite| aws_lc_rs::ALL_CIPHER_SUITES.iter().find(|each| each.suite() == suite).copied();
    provider.cipher_suites = [AES_12, CHACHA_12].map(|suite| find(suite).expect("a suite")).to_vec();
    for (server_order, expected) in
        [(false, "ECDHE-ECDSA-AES128-GCM-SHA256"), (true, "ECDHE-ECDSA-CHACHA20-POLY1305")]
    {
        let tls12_suites = Some(vec![CHACHA_12, AES_12]);
        let server =
            server(&mut fixture, Preferences { tls12_suites, server_order, ..Preferences::default() });
        let client = fixture.client_with(provider.clone(), &[&TLS12]);
        assert_eq!(cipher(&server, client), Some(expected));
    }
}

#[test]
fn groups_are_those_that_were_listed() {
    let mut fixture = Fixture::new();
    let group = |server: &Acceptor, client| {
        let client = shake(server, client).1.ok()?;
        client.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name)
    };
    for listed in
        [NamedGroup::secp384r1, NamedGroup::X25519MLKEM768, NamedGroup::secp256r1MLKEM768, NamedGroup::X25519]
    {
        let server =
            server(&mut fixture, Preferences { groups: Some(vec![listed]), ..Preferences::default() });
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = aws_lc_rs::ALL_KX_GROUPS.to_vec();
        assert_eq!(group(&server, fixture.client_with(provider.clone(), &[&TLS13])), Some(listed));
        provider.kx_groups.retain(|group| group.name() != listed);
        assert_eq!(group(&server, fixture.client_with(provider, &[&TLS13])), None);
    }
}

#[test]
fn signatures_are_those_that_were_listed() {
    let mut fixture = Fixture::new();
    let pair = fixture.pair(&PKCS_RSA_SHA256);
    let server = |signatures| {
        let preferences = Preferences { signatures: Some(signatures), ..Preferences::default() };
        server_config(&Settings { preferences, ..settings(vec![pair.clone()]) }).expect("a configuration")
    };
    let pss = server(vec![SignatureScheme::RSA_PSS_SHA512]);
    let pkcs1 = server(vec![SignatureScheme::RSA_PKCS1_SHA256]);
    assert!(cipher(&pss, fixture.client(&[&TLS13])).is_some());
    assert!(cipher(&pss, fixture.client(&[&TLS12])).is_some());
    assert!(cipher(&pkcs1, fixture.client(&[&TLS12])).is_some());
    assert_eq!(cipher(&pkcs1, fixture.client(&[&TLS13])), None, "TLS 1.3 has no PKCS #1 signatures");
}

/// nginx serves TLS 1.3 under a list of ciphers that has none for it.
#[test]
fn ciphers_that_are_all_lacking_leave_tls_13() {
    let mut fixture = Fixture::new();
    let mut settings = settings(vec![fixture.pair(&PKCS_ED25519)]);
    settings.preferences.tls12_suites = ciphers::list("AES128-SHA").ok().map(|chosen| chosen.suites);
    let server = server_config(&settings).expect("a configuration");
    assert_eq!(shake(&server, fixture.client(&[&TLS13])).0.expect("TLS").protocol, "TLSv1.3");
    assert!(shake(&server, fixture.client(&[&TLS12])).0.is_err());
    settings.versions.tls13 = false;
    assert!(matches!(server_config(&settings), Err(Error::NoCipher)));
}
