use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::CertificateError;

fn client(trusted: Option<PathBuf>) -> ClientSettings {
    ClientSettings { verify: true, trusted, certificate: None, alpn: "imap", server_name: true }
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
    // One of the same name with another key, which is no authority's, and those of the system.
    for trusted in [Some(other.0), None] {
        let (_, complaint) = meet(&pair, &client(trusted));
        assert_eq!(complaint, Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)));
    }
}

/// What people make for themselves often claims to be an authority's certificate.
#[test]
fn a_certificate_that_is_listed_is_trusted_for_its_name_while_it_is_valid() {
    let fixture = Fixture::new();
    let made = |name: &str, until: i32, is_ca: IsCa| {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(until, 1, 1);
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        (fixture.file("own.crt", &certificate), fixture.file("own.key", &key.serialize_pem()))
    };
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let complaint = |name, until| {
            let pair = made(name, until, is_ca);
            meet(&pair, &client(Some(pair.0.clone()))).1
        };
        assert_eq!(complaint(NAME, 3000), None);
        let why = |complaint: Option<rustls::Error>| complaint.expect("a complaint").to_string();
        assert!(why(complaint(NAME, 2020)).contains("expired"));
        assert!(why(complaint("other.example", 3000)).contains("not valid for name"));
    }
}

/// As for clients: whoever has the key of a backend that is listed can sign, but vouches for no other.
#[test]
fn a_listed_backend_vouches_for_no_other() {
    let fixture = Fixture::new();
    let (listed_key, other_key) =
        (KeyPair::generate_for(&PKCS_ED25519), KeyPair::generate_for(&PKCS_ED25519));
    let (listed_key, other_key) = (listed_key.expect("a key"), other_key.expect("a key"));
    let params = |is_ca| {
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).expect("a name");
        params.is_ca = is_ca;
        params
    };
    for (is_ca, trusted) in [(IsCa::NoCa, false), (IsCa::Ca(BasicConstraints::Unconstrained), true)] {
        let listed = params(is_ca);
        let list = fixture.file("list.crt", &listed.self_signed(&listed_key).expect("a certificate").pem());
        let signed = params(IsCa::NoCa).signed_by(&other_key, &Issuer::from_params(&listed, &listed_key));
        let pair = (
            fixture.file("other.crt", &signed.expect("a certificate").pem()),
            fixture.file("other.key", &other_key.serialize_pem()),
        );
        let complaint = meet(&pair, &client(Some(list))).1;
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(complaint, (!trusted).then_some(unknown));
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
        "SSL_CTX_load_verify_locations(\"/nowhere/ca.crt\") failed (SSL: error:80000002:system library::\
         No such file or directory:calling fopen(/nowhere/ca.crt, r) error:10000080:BIO routines::no such file \
         error:05880002:x509 certificate routines::system lib)"
    );
    let empty = fixture.file("empty", "");
    assert!(said(empty).ends_with("x509 certificate routines::no certificate or crl found)"));
    let no_der = fixture.file("no-der", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(said(no_der).contains("BadEncoding"), "a list with an unusable authority is refused as a whole");
}
