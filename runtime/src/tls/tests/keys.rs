//! Keys under pass phrases, keys and certificates in the configuration itself, and what is said of those that are neither.

use super::*;
use std::path::Path;
use std::process::Command;

/// `key` as OpenSSL locks it under the password of all tests.
fn locked(fixture: &Fixture, key: &Path, name: &str, options: &[&str]) -> PathBuf {
    let path = fixture.file(name, "");
    let mut openssl = Command::new("openssl");
    openssl.args(options).arg("-in").arg(key).arg("-out").arg(&path).args(["-passout", "pass:hunter2"]);
    let output = openssl.output().expect("openssl");
    assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    path
}

#[test]
fn a_locked_key_opens_to_one_of_the_pass_phrases() {
    let mut fixture = Fixture::new();
    let ((rsa_certificate, rsa), (ec_certificate, ec)) =
        (fixture.pair(&PKCS_RSA_SHA256), fixture.pair(&PKCS_ECDSA_P256_SHA256));
    let right = fixture.file("right", "wrong\r\n\nhunter2\r\nalso wrong");
    let wrong = fixture.file("wrong", "wrong\n#hunter2\nhunter2 \n");
    for (certificate, key, options) in [
        (&rsa_certificate, &rsa, &["pkcs8", "-topk8"][..]),
        (&ec_certificate, &ec, &["pkcs8", "-topk8", "-v2", "aes128"]),
        (&ec_certificate, &ec, &["pkcs8", "-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1"]),
        (&ec_certificate, &ec, &["pkcs8", "-topk8", "-scrypt"]),
        (&rsa_certificate, &rsa, &["rsa", "-aes128", "-traditional"]),
        (&rsa_certificate, &rsa, &["rsa", "-des3", "-traditional"]),
        (&ec_certificate, &ec, &["ec", "-aes192"]),
        (&ec_certificate, &ec, &["ec", "-aes256"]),
    ] {
        let pair = (certificate.clone(), locked(&fixture, key, "locked.key", options));
        let with = |pass_phrases: Option<&PathBuf>| {
            let pass_phrases = pass_phrases.cloned();
            server_config(&Settings { pass_phrases, ..settings(vec![pair.clone()]) })
        };
        let server = with(Some(&right)).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        assert!(shake(&server, fixture.client(&[&TLS13])).0.is_ok());
        let told = with(Some(&wrong)).expect_err("locked");
        let text = format!(
            "cannot load certificate key {:?}: PEM_read_bio_PrivateKey() failed (SSL: error:1C800064:Provider routines::bad \
             decrypt)",
            pair.1
        );
        assert_eq!(told.to_string(), text);
        assert_eq!(told.hint().as_deref(), Some("no pass phrase in `ssl_password_file` is the right one"));
        let told = with(None).expect_err("locked");
        assert!(told.hint().is_some_and(|hint| hint.contains("ssl_password_file")), "{told}");
    }
    let plain = Settings { pass_phrases: Some(right), ..settings(vec![(ec_certificate, ec)]) };
    assert!(server_config(&plain).is_ok(), "a key that is not locked needs no pass phrase");
    let missing = Settings { pass_phrases: Some("/nowhere/pass".into()), ..plain };
    let told = server_config(&missing).expect_err("no file").to_string();
    assert_eq!(told, "open() \"/nowhere/pass\" failed (2: No such file or directory)");
}

#[test]
fn certificates_and_keys_may_stand_in_the_configuration_itself() {
    let mut fixture = Fixture::new();
    let (certificate, key) = fixture.pair(&PKCS_ED25519);
    let data = |path: &PathBuf| Source::Data(Arc::new(std::fs::read(path).expect("a file").into()));
    let pair = (data(&certificate), data(&key));
    assert_eq!(format!("{pair:?}"), "(\"data:…\", \"data:…\")", "a key is not shown");
    let server = server_config(&settings(vec![pair.clone()])).expect("a configuration");
    assert!(shake(&server, fixture.client(&[&TLS13])).0.is_ok());
    let swapped = server_config(&settings(vec![(pair.1, pair.0)])).expect_err("a key is no certificate");
    assert_eq!(
        swapped.to_string(),
        "cannot load certificate \"data:…\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start \
         line:Expecting: TRUSTED CERTIFICATE)"
    );
    assert_eq!(swapped.hint().as_deref(), Some("it holds a key: are certificate and key interchanged?"));
}

/// Certificate compression, RFC 8879.
#[test]
fn certificates_are_compressed_if_that_is_wanted() {
    let mut fixture = Fixture::new();
    let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).expect("a name");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "x".repeat(4000));
    let key = rcgen::KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    let long = (fixture.file("long.crt", &pem), fixture.file("long.key", &key.serialize_pem()));
    fixture.trust(&pem);
    let octets = |compress| {
        let server =
            server_config(&Settings { compress, ..settings(vec![long.clone()]) }).expect("a configuration");
        let mut server = ServerConnection::new(server.config().clone()).expect("a server");
        let name = NAME.try_into().expect("a name");
        let mut client = ClientConnection::new(Arc::new(fixture.client(&[&TLS13])), name).expect("a client");
        let (mut hello, mut flight) = (Vec::new(), Vec::new());
        client.write_tls(&mut hello).expect("memory");
        server.read_tls(&mut hello.as_slice()).expect("memory");
        server.process_new_packets().expect("a hello");
        while server.wants_write() {
            server.write_tls(&mut flight).expect("memory");
        }
        let mut rest = flight.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("memory");
            client.process_new_packets().expect("a certificate");
        }
        assert!(!client.is_handshaking());
        flight.len()
    };
    let (plain, compressed) = (octets(false), octets(true));
    assert!(plain > 4000 && compressed < 3000, "{plain} and {compressed} octets");
}
