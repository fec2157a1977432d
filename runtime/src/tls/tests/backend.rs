use super::*;
use rustls::CertificateError;

fn client(trusted: Option<PathBuf>) -> ClientSettings {
    ClientSettings { verify: true, trusted, certificate: None, protocol: Protocol::Imap, server_name: true }
}

/// What a backend with `pair` and we tell each other: the name it is told, and our complaint.
fn meet(pair: &(PathBuf, PathBuf), settings: &ClientSettings) -> (Option<String>, Option<rustls::Error>) {
    let server = server_config(&super::settings(vec![pair.clone()])).expect("a configuration");
    let config = client_config(settings).expect("a configuration");
    let (told, complaint) = shake(&server, ClientConfig::clone(&config));
    let name = told.ok().and_then(|facts| facts.server_name);
    (name.as_deref().map(Into::into), complaint.err())
}

#[test]
fn a_backend_is_trusted_for_its_authority_only() {
    let mut fixture = Fixture::new();
    let (pair, other) = (fixture.pair(&PKCS_ED25519), fixture.pair(&PKCS_ED25519));
    assert_eq!(meet(&pair, &client(Some(pair.0.clone()))), (Some(NAME.into()), None));
    // An authority of the same name with another key, and those of the system.
    for (trusted, error) in
        [(Some(other.0), CertificateError::BadSignature), (None, CertificateError::UnknownIssuer)]
    {
        let (_, complaint) = meet(&pair, &client(trusted));
        assert_eq!(complaint, Some(rustls::Error::InvalidCertificate(error)));
    }
}

#[test]
fn without_verification_any_certificate_will_do_for_any_name() {
    let mut fixture = Fixture::new();
    let pair = fixture.pair_for("other.example", &PKCS_ED25519);
    let verified = client(Some(pair.0.clone()));
    assert!(meet(&pair, &verified).1.is_some(), "the name is another");
    assert_eq!(meet(&pair, &ClientSettings { verify: false, ..verified }).1, None);
}

#[test]
fn the_name_is_told_only_if_wanted() {
    let mut fixture = Fixture::new();
    let pair = fixture.pair(&PKCS_ED25519);
    let silent = ClientSettings { server_name: false, ..client(Some(pair.0.clone())) };
    assert_eq!(meet(&pair, &silent), (None, None));
}

#[test]
fn odd_authorities_are_told() {
    let fixture = Fixture::new();
    let said = |trusted: PathBuf| client_config(&client(Some(trusted))).expect_err("an odd file").to_string();
    assert_eq!(
        said("/nowhere/ca.crt".into()),
        "SSL_CTX_load_verify_locations(\"/nowhere/ca.crt\") failed: (2: No such file or directory)"
    );
    let empty = fixture.file("empty", "");
    assert!(said(empty).ends_with("no certificate in PEM form is in it"));
    let no_der = fixture.file("no-der", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(said(no_der).contains("BadEncoding"), "a list with an unusable authority is refused as a whole");
}
