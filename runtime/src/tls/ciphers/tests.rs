use super::*;
use proptest::prelude::*;
use std::process::Command;

fn names(chosen: &Chosen) -> Vec<&'static str> {
    chosen.suites.iter().map(|&suite| cipher_name(suite)).collect()
}

/// Of the suites that OpenSSL makes of `text` those that rustls has, in OpenSSL's order; none if it refuses.
fn openssls(text: &str) -> Vec<String> {
    let output = Command::new("openssl").args(["ciphers", text]).output().expect("openssl");
    let said = String::from_utf8(output.stdout).expect("text");
    let has = |name: &&str| TLS12.iter().any(|&suite| cipher_name(suite) == *name);
    said.trim().split(':').filter(has).map(str::to_owned).collect()
}

#[test]
fn a_list_comes_to_what_openssl_makes_of_it() {
    for text in [
        "HIGH:!aNULL:!MD5",
        "HIGH",
        "ALL",
        "DEFAULT",
        "DEFAULT:!AES128",
        "DEFAULT:+AES256",
        "!DEFAULT:ALL",
        "EECDH+AESGCM",
        "EECDH+AESGCM:EDH+AESGCM",
        "EECDH+CHACHA20:EECDH+AES128:RSA+AES128:EECDH+AES256:RSA+AES256:!MD5",
        "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256,ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384;CHACHA20",
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
         ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
         DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305",
        "AES128:AES256:@STRENGTH",
        "AES128:CHACHA20:AES256:@STRENGTH",
        "ALL:-AES256:ALL",
        "ALL:-AES256:-CHACHA20:ALL",
        "ALL:!AES256:ALL",
        "ALL:+ECDSA",
        "ALL:+aRSA:+AES128",
        "aRSA:ECDSA:!CHACHA20",
        "AES+aECDSA:ALL:!RC4:!3DES",
        "kEECDH+aRSA+AES128:nonsense:ECDHE-RSA-AES256-SHA",
        "HIGH+nonsense:CHACHA20",
        "TLSv1.2:!SHA256:!SHA384",
        "FIPS:!aNULL",
        "@SECLEVEL=1:HIGH",
        "::HIGH::",
        "!ALL",
        "nonsense",
        "ALL:!aRSA:!ECDSA",
        "@STRENGTH",
        "TLS_AES_128_GCM_SHA256",
        "HIGH:@FOO",
        "HIGH:%",
        "",
    ] {
        let ours = list(text).map(|chosen| names(&chosen)).unwrap_or_default();
        assert_eq!(ours, openssls(text), "{text:?}");
    }
}

#[test]
fn what_is_lacking_is_named() {
    let lacking = |text| list(text).expect("a list").lacking;
    assert_eq!(lacking("HIGH:!aNULL:!MD5:!DHE-RSA-AES128-SHA:-RSA:+SHA"), [""; 0]);
    assert_eq!(lacking("EECDH+AESGCM:EDH+AESGCM:AES128-SHA:RC4"), ["EDH+AESGCM", "AES128-SHA", "RC4"]);
    assert_eq!(lacking("HIGH:@SECLEVEL=2"), [""; 0]);
    assert_eq!(lacking("HIGH:@SECLEVEL=3"), ["@SECLEVEL=3"]);
}

proptest! {
    #[test]
    fn whatever_is_written_comes_to_something_or_is_refused(text in "[-A-Za-z0-9+!@=:, _.?*/é]{0,60}") {
        if let Ok(chosen) = list(&text) {
            prop_assert!(!chosen.suites.is_empty());
        }
    }
}

#[test]
fn the_system_s_profile_is_the_default() {
    assert_eq!(list("PROFILE=SYSTEM"), list("DEFAULT"));
    assert_eq!(list("HIGH:PROFILE=SYSTEM").expect("a list").lacking, ["PROFILE=SYSTEM"]);
}

#[test]
fn refusals_are_openssls() {
    for text in ["", "nonsense", "!ALL", "AES128-SHA", "HIGH+nonsense", "@STRENGTH"] {
        assert_eq!(list(text), Err(Refusal::NoMatch), "{text:?}");
    }
    for text in ["HIGH:%", "HIGH:@FOO", "@SECLEVEL=9:HIGH", "@SECLEVEL=:HIGH", "HIGH+", "!", "é"] {
        assert_eq!(list(text), Err(Refusal::Invalid), "{text:?}");
    }
}

#[test]
fn the_suites_of_tls_13_are_listed_by_name() {
    let chosen =
        suites("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256").expect("suites");
    assert_eq!(names(&chosen), ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"]);
    assert_eq!(chosen.lacking, ["TLS_AES_128_CCM_SHA256"]);
    assert_eq!(suites("").expect("none").suites, []);
    assert_eq!(suites("ECDHE-RSA-AES128-GCM-SHA256"), Err(Refusal::NoMatch));
}
