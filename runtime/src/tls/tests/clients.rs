use super::*;
use gatepost_core::{Certificate, VerifyError};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use std::process::Command;

/// Certificates for clients, and a server that asks for them.
struct Scene {
    fixture: Fixture,
    server: (PathBuf, PathBuf),
    root: Issuer<'static, KeyPair>,
    root_pem: String,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("a key")
}

impl Scene {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let server = fixture.pair(&PKCS_ED25519);
        let root_key = key();
        let root_pem = authority("root").self_signed(&root_key).expect("a certificate").pem();
        Self { fixture, server, root: Issuer::new(authority("root"), root_key), root_pem }
    }

    /// A client's certificate and key.
    fn client(
        &self,
        params: &CertificateParams,
        issuer: &Issuer<'_, KeyPair>,
        behind: &str,
    ) -> (PathBuf, PathBuf) {
        let own = key();
        let certificate = params.signed_by(&own, issuer).expect("a certificate");
        self.files(&(certificate.pem() + behind), &own)
    }

    fn files(&self, chain: &str, own: &KeyPair) -> (PathBuf, PathBuf) {
        (self.fixture.file("client.crt", chain), self.fixture.file("client.key", &own.serialize_pem()))
    }

    fn acceptor(&self, depth: usize, authorities: &str) -> Acceptor {
        let client_ca = vec![self.fixture.file("ca.crt", authorities)];
        let verify_client = VerifyClient::On;
        server_config(&Settings { verify_client, client_ca, depth, ..settings(vec![self.server.clone()]) })
            .expect("a configuration")
    }

    /// What `acceptor` finds out about a client that has `certificate`.
    fn shown(
        &self,
        acceptor: &Acceptor,
        certificate: Option<(PathBuf, PathBuf)>,
    ) -> Option<Arc<Certificate>> {
        let client = client_config(&ClientSettings {
            verify: true,
            trusted: Some(self.server.0.clone()),
            certificate: certificate.map(|(certificate, key)| (certificate.into(), key.into())),
            alpn: "imap",
            server_name: true,
        });
        let client = ClientConfig::clone(&client.expect("a configuration"));
        shake(acceptor, client).0.expect("TLS, whatever the certificate").certificate
    }

    fn verdict(&self, depth: usize, certificate: (PathBuf, PathBuf)) -> Result<(), VerifyError> {
        let acceptor = self.acceptor(depth, &self.root_pem);
        self.shown(&acceptor, Some(certificate)).expect("a certificate").verdict.clone()
    }
}

fn error(code: i32, text: &str) -> Result<(), VerifyError> {
    Err(VerifyError { code, text: text.into() })
}

#[test]
fn a_client_is_asked_only_where_it_should_be() {
    let scene = Scene::new();
    let own = scene.client(&params("joe"), &scene.root, "");
    let asking = scene.acceptor(1, &scene.root_pem);
    assert_eq!(scene.shown(&asking, None), None);
    let certificate = scene.shown(&asking, Some(own.clone())).expect("a certificate");
    assert_eq!((certificate.verdict.clone(), certificate.common_name.as_deref()), (Ok(()), Some("joe")));
    let not_asking = server_config(&settings(vec![scene.server.clone()])).expect("a configuration");
    assert_eq!(scene.shown(&not_asking, Some(own)), None);
}

#[test]
fn verdicts_have_openssls_numbers() {
    let scene = Scene::new();
    let signed = |params: &CertificateParams| scene.verdict(1, scene.client(params, &scene.root, ""));
    assert_eq!(signed(&params("joe")), Ok(()));
    let (mut old, mut young) = (params("joe"), params("joe"));
    old.not_after = date_time_ymd(2020, 1, 1);
    young.not_before = date_time_ymd(3000, 1, 1);
    assert_eq!(signed(&old), error(10, "certificate has expired"));
    assert_eq!(signed(&young), error(9, "certificate is not yet valid"));
    let mut server = params("joe");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(signed(&server), error(26, "unsuitable certificate purpose"));

    let own = key();
    let alone = params("joe").self_signed(&own).expect("a certificate").pem();
    assert_eq!(scene.verdict(1, scene.files(&alone, &own)), error(18, "self-signed certificate"));
    let mut old = params("joe");
    old.not_after = date_time_ymd(2020, 1, 1);
    let alone = old.self_signed(&own).expect("a certificate").pem();
    assert_eq!(scene.verdict(1, scene.files(&alone, &own)), error(10, "certificate has expired"));
    let stranger_key = key();
    let stranger_pem = authority("stranger").self_signed(&stranger_key).expect("a certificate").pem();
    let stranger = Issuer::new(authority("stranger"), stranger_key);
    let unknown = |behind| scene.verdict(1, scene.client(&params("joe"), &stranger, behind));
    assert_eq!(unknown(""), error(21, "unable to verify the first certificate"));
    assert_eq!(unknown(&stranger_pem), error(19, "self-signed certificate in certificate chain"));
    let impostor = Issuer::new(authority("root"), key());
    let forged = scene.verdict(1, scene.client(&params("joe"), &impostor, ""));
    assert_eq!(forged, error(7, "certificate signature failure"));
}

#[test]
fn a_chain_may_be_as_long_as_its_depth() {
    let scene = Scene::new();
    let middle_key = key();
    let middle_pem = authority("middle").signed_by(&middle_key, &scene.root).expect("a certificate").pem();
    let middle = Issuer::new(authority("middle"), middle_key);
    let at = |depth| scene.verdict(depth, scene.client(&params("joe"), &middle, &middle_pem));
    assert_eq!(at(1), Ok(()));
    assert_eq!(at(0), error(22, "certificate chain too long"));
    let without = Scene::new();
    let lost = without.verdict(1, without.client(&params("joe"), &middle, &middle_pem));
    assert_eq!(
        lost,
        error(7, "certificate signature failure"),
        "its root has the name of ours, but not the key"
    );
}

#[test]
fn one_that_is_listed_itself_is_trusted_even_if_it_could_sign() {
    let scene = Scene::new();
    let own = key();
    let verdict = |params: CertificateParams| {
        let alone = params.self_signed(&own).expect("a certificate").pem();
        let acceptor = scene.acceptor(1, &alone);
        let certificate = scene.shown(&acceptor, Some(scene.files(&alone, &own))).expect("a certificate");
        certificate.verdict.clone()
    };
    assert_eq!(verdict(authority("joe")), Ok(()));
    let mut old = authority("joe");
    old.not_after = date_time_ymd(2020, 1, 1);
    assert_eq!(verdict(old), error(10, "certificate has expired"));
}

/// What OpenSSL checks of an authority that is trusted: RFC 5280 sections 4.2.1.3, 4.2.1.9 and 6.1.4.
#[test]
fn an_authority_vouches_within_its_own_bounds_only() {
    let scene = Scene::new();
    let (root_key, middle_key) = (key(), key());
    // By an authority, directly or by another between; the second tells what it may not.
    let verdicts = |root: CertificateParams| {
        let pem = root.self_signed(&root_key).expect("a certificate").pem();
        let acceptor = scene.acceptor(5, &pem);
        let root = Issuer::from_params(&root, &root_key);
        let middle_pem = authority("middle").signed_by(&middle_key, &root).expect("a certificate").pem();
        let middle = Issuer::new(authority("middle"), &middle_key);
        let own = key();
        [(&root, ""), (&middle, middle_pem.as_str())].map(|(issuer, behind)| {
            let leaf = params("joe").signed_by(&own, issuer).expect("a certificate").pem();
            let shown = scene.shown(&acceptor, Some(scene.files(&(leaf + behind), &own)));
            let said = shown.expect("a certificate").verdict.clone();
            assert_eq!(said.is_ok(), openssl_verifies(&scene, &pem, &own, &params("joe"), issuer, behind));
            said
        })
    };
    assert_eq!(verdicts(authority("any")), [Ok(()), Ok(())]);
    let mut old = authority("old");
    old.not_after = date_time_ymd(2020, 1, 1);
    assert_eq!(verdicts(old), [(); 2].map(|()| error(10, "certificate has expired")));
    let mut young = authority("young");
    young.not_before = date_time_ymd(3000, 1, 1);
    assert_eq!(verdicts(young), [(); 2].map(|()| error(9, "certificate is not yet valid")));
    let mut short = authority("short");
    short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    assert_eq!(verdicts(short), [Ok(()), error(25, "path length constraint exceeded")]);
    let mut enough = authority("enough");
    enough.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    assert_eq!(verdicts(enough), [Ok(()), Ok(())]);
    let mut mute = authority("mute");
    mute.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let [direct, through] = verdicts(mute);
    assert!(direct.is_err() && through.is_err());
}

/// Whether OpenSSL takes a certificate that `issuer` signs, with those `behind` it, from the authorities in `pem`.
fn openssl_verifies(
    scene: &Scene,
    pem: &str,
    own: &KeyPair,
    params: &CertificateParams,
    issuer: &Issuer<'_, &KeyPair>,
    behind: &str,
) -> bool {
    let leaf = params.signed_by(own, issuer).expect("a certificate").pem();
    let file = |name: &str, text: &str| scene.fixture.file(name, text);
    let mut openssl = Command::new("openssl");
    openssl.args(["verify", "-purpose", "sslclient", "-no-CApath", "-no-CAstore", "-CAfile"]);
    openssl.arg(file("openssl-ca.crt", pem));
    if !behind.is_empty() {
        openssl.arg("-untrusted").arg(file("openssl-behind.crt", behind));
    }
    let output = openssl.arg(file("openssl-leaf.crt", &leaf)).output().expect("openssl");
    output.status.success()
}

/// RFC 5280 section 5, with every certificate of the chain to be looked up.
#[test]
fn a_revoked_certificate_is_not_believed_nor_one_that_no_list_is_about() {
    let scene = Scene::new();
    let middle_key = key();
    let mut middle = authority("middle");
    middle.serial_number = Some(SerialNumber::from(7));
    let middle_pem = middle.signed_by(&middle_key, &scene.root).expect("a certificate").pem();
    let middle = Issuer::new(middle, middle_key);
    let verdict = |lists: &[String], issuer: &Issuer<'_, KeyPair>, behind: &str| {
        let crl = Some(scene.fixture.file("crl.pem", &lists.concat()));
        let client_ca = vec![scene.fixture.file("ca.crt", &scene.root_pem)];
        let verify_client = VerifyClient::On;
        let server = settings(vec![scene.server.clone()]);
        let acceptor = server_config(&Settings { verify_client, client_ca, crl, depth: 2, ..server });
        let mut joe = params("joe");
        joe.serial_number = Some(SerialNumber::from(5));
        let own = scene.client(&joe, issuer, behind);
        scene.shown(&acceptor.expect("a configuration"), Some(own)).expect("a certificate").verdict.clone()
    };
    let root = &scene.root;
    let (clean, clean_middle) = (revoking(root, &[1], 3000), revoking(&middle, &[1], 3000));
    assert_eq!(verdict(std::slice::from_ref(&clean), root, ""), Ok(()));
    assert_eq!(verdict(&[revoking(root, &[4, 5], 3000)], root, ""), error(23, "certificate revoked"));
    assert_eq!(verdict(&[revoking(root, &[], 2025)], root, ""), error(12, "CRL has expired"));
    assert_eq!(
        verdict(std::slice::from_ref(&clean_middle), root, ""),
        error(3, "unable to get certificate CRL")
    );
    let forged = revoking(&Issuer::new(authority("root"), key()), &[], 3000);
    assert_eq!(verdict(&[forged], root, ""), error(8, "CRL signature failure"));
    assert_eq!(verdict(&[clean.clone(), clean_middle.clone()], &middle, &middle_pem), Ok(()));
    let missing = error(3, "unable to get certificate CRL");
    assert_eq!(verdict(&[clean], &middle, &middle_pem), missing, "none of the intermediate's");
    let revoked = error(23, "certificate revoked");
    assert_eq!(verdict(&[revoking(root, &[7], 3000), clean_middle], &middle, &middle_pem), revoked);
}

/// A list of certificates that `issuer` has revoked, good until a year.
fn revoking(issuer: &Issuer<'_, KeyPair>, serials: &[u64], until: i32) -> String {
    let revoked = serials.iter().map(|&serial| RevokedCertParams {
        serial_number: serial.into(),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).expect("a list").pem().expect("PEM")
}

#[test]
fn whom_we_trust_by_itself_can_be_revoked_too() {
    let scene = Scene::new();
    let own = key();
    let mut joe = authority("joe");
    joe.serial_number = Some(SerialNumber::from(5));
    let alone = joe.self_signed(&own).expect("a certificate").pem();
    let issuer = Issuer::new(joe, own);
    let verdict = |serial: u64, signed: bool| {
        let list = revoking(&issuer, &[serial], 3000);
        let crl = Some(scene.fixture.file("crl.pem", &list));
        let client_ca = vec![scene.fixture.file("ca.crt", &alone)];
        let server = settings(vec![scene.server.clone()]);
        let acceptor = server_config(&Settings { verify_client: VerifyClient::On, client_ca, crl, ..server })
            .expect("a configuration");
        let shown = match signed {
            true => scene.client(&params("jim"), &issuer, ""),
            false => scene.files(&alone, issuer.key()),
        };
        scene.shown(&acceptor, Some(shown)).expect("a certificate").verdict.clone()
    };
    for signed in [false, true] {
        assert_eq!(verdict(4, signed), Ok(()));
        assert_eq!(verdict(5, signed), error(23, "certificate revoked"));
    }
}

#[test]
fn odd_lists_are_told() {
    let scene = Scene::new();
    let said = |crl: PathBuf| {
        let client_ca = vec![scene.fixture.file("ca.crt", &scene.root_pem)];
        let server = settings(vec![scene.server.clone()]);
        let with = |verify_client| {
            let crl = Some(crl.clone());
            server_config(&Settings { verify_client, client_ca: client_ca.clone(), crl, ..server.clone() })
        };
        assert!(with(VerifyClient::Off).is_ok(), "nobody looks at it");
        with(VerifyClient::On).expect_err("an odd file").to_string()
    };
    assert!(
        said("/nowhere/crl.pem".into())
            .starts_with("X509_LOOKUP_load_file(\"/nowhere/crl.pem\") failed (SSL: error:80000002:")
    );
    let path = scene.fixture.file("ca.pem", &scene.root_pem);
    let why = "(SSL: error:05800088:x509 certificate routines::no certificate or crl found)";
    assert_eq!(said(path.clone()), format!("X509_LOOKUP_load_file({path:?}) failed {why}"));
    let no_der = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    assert!(said(scene.fixture.file("odd", no_der)).contains("failed (SSL: "));
}

/// Whoever has the key of a client that is listed can sign, but vouches for nobody.
#[test]
fn a_listed_client_vouches_for_nobody_else() {
    let scene = Scene::new();
    for listed in [params("joe"), {
        let mut plain = params("joe");
        plain.is_ca = IsCa::ExplicitNoCa;
        plain
    }] {
        let joe_key = key();
        let joe_pem = listed.self_signed(&joe_key).expect("a certificate").pem();
        let acceptor = scene.acceptor(1, &joe_pem);
        let own = scene.files(&joe_pem, &joe_key);
        assert_eq!(scene.shown(&acceptor, Some(own)).expect("a certificate").verdict, Ok(()));
        let joe = Issuer::new(listed, joe_key);
        for behind in ["", joe_pem.as_str()] {
            let forged = scene.client(&params("root"), &joe, behind);
            let shown = scene.shown(&acceptor, Some(forged)).expect("a certificate");
            assert!(shown.verdict.is_err(), "{:?}", shown.verdict);
        }
    }
}

#[test]
fn names_without_end_are_not_told() {
    let scene = Scene::new();
    let told = |octets: usize| {
        let mut long = params("joe");
        long.distinguished_name.push(DnType::OrganizationName, "x".repeat(octets));
        let own = key();
        let alone = long.self_signed(&own).expect("a certificate").pem();
        let acceptor = scene.acceptor(1, &alone);
        scene.shown(&acceptor, Some(scene.files(&alone, &own))).expect("a certificate")
    };
    // `O=` and `,CN=joe` are the rest of 4096.
    let most = told(4087);
    assert_eq!((most.subject.len(), most.verdict.clone()), (4096, Ok(())));
    let more = told(4088);
    assert_eq!(more.verdict, error(1, "certificate names too long"));
    assert!(!more.verdict.clone().expect_err("refused").is_about_the_chain());
    assert_eq!((more.subject.as_str(), more.issuer.as_str(), &more.common_name), ("", "", &None));
    assert!(!more.fingerprint_sha256.is_empty());
}

/// CVE-2014-3616, CVE-2025-23419: what was believed once is not believed for ever.
#[test]
fn a_resumed_session_shows_its_certificate_again() {
    let scene = Scene::new();
    let acceptor = scene.acceptor(1, &scene.root_pem);
    let client = client_config(&ClientSettings {
        verify: true,
        trusted: Some(scene.server.0.clone()),
        certificate: Some(scene.client(&params("joe"), &scene.root, ""))
            .map(|(certificate, key)| (certificate.into(), key.into())),
        alpn: "imap",
        server_name: true,
    });
    let client = ClientConfig::clone(&client.expect("a configuration"));
    let full = shake(&acceptor, client.clone()).0.expect("TLS");
    let resumed = shake(&acceptor, client.clone()).0.expect("TLS");
    assert_eq!((full.resumed, resumed.resumed), (false, true));
    assert_eq!(full.certificate, resumed.certificate);
    assert!(full.certificate.is_some());
    let other = scene.acceptor(2, &scene.root_pem);
    let elsewhere = shake(&other, client).0.expect("TLS");
    assert!(!elsewhere.resumed, "a ticket is of no use to a server that asks for something else");
}

#[test]
fn everything_is_told_as_openssl_tells_it() {
    let scene = Scene::new();
    let mut odd = params("client \u{fc}n\u{f6}, \"#1\"+<a>;b=c\\d ");
    odd.serial_number = Some(SerialNumber::from_slice(&[0xca, 0xfe, 0x0a]));
    let more = [
        (DnType::CountryName, DnValue::PrintableString("DE".try_into().expect("printable"))),
        (DnType::OrganizationName, DnValue::Utf8String("Org, Inc".into())),
        (DnType::OrganizationalUnitName, DnValue::BmpString("B\u{df}".try_into().expect("BMP"))),
        (DnType::LocalityName, DnValue::Utf8String("#\u{1}\u{7f} x".into())),
        (
            DnType::CustomDnType(vec![1, 2, 840, 113549, 1, 9, 1]),
            DnValue::Ia5String("a@b.c".try_into().expect("IA5")),
        ),
        (DnType::CustomDnType(vec![1, 2, 3, 4, 5]), DnValue::Utf8String("unknown".into())),
    ];
    for (kind, value) in more {
        odd.distinguished_name.push(kind, value);
    }
    let files = scene.client(&odd, &scene.root, "");
    let told = scene.shown(&scene.acceptor(1, &scene.root_pem), Some(files.clone())).expect("a certificate");
    let said = |options: &[&str]| {
        let output =
            Command::new("openssl").args(["x509", "-noout", "-in"]).arg(&files.0).args(options).output();
        let said = String::from_utf8(output.expect("openssl").stdout).expect("text");
        said.split_once('=').expect("an answer").1.trim_end_matches('\n').to_owned()
    };
    let fingerprint = |options: &[&str]| said(options).replace(':', "").to_ascii_lowercase();
    assert_eq!(told.subject, said(&["-subject", "-nameopt", "RFC2253"]));
    assert_eq!(told.issuer, "CN=root");
    assert_eq!(told.serial, said(&["-serial"]));
    assert_eq!(told.serial, "CAFE0A");
    assert_eq!(told.fingerprint_sha1, fingerprint(&["-fingerprint", "-sha1"]));
    assert_eq!(told.fingerprint_sha256, fingerprint(&["-fingerprint", "-sha256"]));
    let again = Command::new("openssl").args(["x509", "-in"]).arg(&files.0).output().expect("openssl");
    assert_eq!(told.pem.as_bytes(), again.stdout);
    assert!(!told.subject.contains(['\r', '\n', '\0']));
}
