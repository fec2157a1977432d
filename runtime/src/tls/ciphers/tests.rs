use super::*;
use proptest::prelude::*;
use std::process::Command;

fn names(chosen: &Chosen) -> Vec<&'static str> {
    chosen.suites.iter().map(|&suite| cipher_name(suite)).collect()
}

/// Of the suites that OpenSSL makes of `text` those that rustls has, in OpenSSL's order, and whether it takes it.
fn openssls(text: &str) -> (Vec<String>, bool) {
    let output = Command::new("openssl").args(["ciphers", text]).output().expect("openssl");
    let said = String::from_utf8(output.stdout).expect("text");
    let has = |name: &&str| TLS12.iter().any(|&suite| cipher_name(suite) == *name);
    (said.trim().split(':').filter(has).map(str::to_owned).collect(), output.status.success())
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
        "HIGH:!aNULL@SECLEVEL=1",
        "HIGH@SECLEVEL=0",
        "HIGH:!aNULL:!MD5@STRENGTH",
        "HIGH!aNULL",
        "EECDH+AESGCM!aNULL",
        "ALL!AES256",
        "DEFAULT!AES128",
        "DEFAULTX",
        "DEFAULT@SECLEVEL=1",
        "HIGH-AES256",
        "HIGH/AES",
        "HIGH:@STRENGTH!AES256",
        "HIGH:@SECLEVEL=1!AES256",
        "HIGH@STRENGTHX",
        "@SECLEVEL=1HIGH",
        "nonsense!AES256:HIGH",
        "nonsense+%:HIGH",
        "HIGH:!!AES256",
        "HIGH:!:AES",
        "HIGH:AES.GCM",
        "HIGH,!AES",
        "SUITEB128",
        "SUITEB128ONLY",
        "SUITEB128C2:HIGH",
        "SUITEB192",
        "HIGH:SUITEB128",
        "AES128-SHA:DHE-RSA-AES128-SHA",
        "AES128-SHA:!AES128-SHA",
        "AES128-SHA:!ALL",
        "!ALL:AES128-SHA",
        "RC4",
        "RSA:DHE",
        "ECDHE:!AESGCM:!CHACHA20",
        "ECDHE-RSA-AES128-GCM-SHA256:!AES128",
        "EDH+AESGCM",
        "PSK-AES128-CCM8",
    ] {
        let ours = list(text);
        let (theirs, taken) = openssls(text);
        assert_eq!(ours.is_ok(), taken, "{text:?}");
        assert_eq!(ours.map(|chosen| names(&chosen)).unwrap_or_default(), theirs, "{text:?}");
    }
}

/// What OpenSSL has is known by name, and what selects nothing there is not taken for something.
#[test]
fn openssls_suites_and_words_are_known() {
    let output = Command::new("openssl").args(["ciphers", "ALL:COMPLEMENTOFALL:eNULL:@SECLEVEL=0"]).output();
    let said = String::from_utf8(output.expect("openssl").stdout).expect("text");
    for name in said.trim().split(':').filter(|name| !name.starts_with("TLS_")) {
        assert!(select(name).is_some(), "{name}");
    }
    for (words, some) in [(known::WORDS, true), (known::EMPTY, false)] {
        for word in words {
            assert_eq!(openssls(&format!("{word}:@SECLEVEL=0")).1, some, "{word}");
        }
    }
}

#[test]
fn what_is_lacking_is_named() {
    let lacking = |text| list(text).expect("a list").lacking;
    assert_eq!(lacking("HIGH:!aNULL:!MD5:!DHE-RSA-AES128-SHA:-RSA:+SHA"), [""; 0]);
    assert_eq!(lacking("EECDH+AESGCM:EDH+AESGCM:AES128-SHA:RC4"), ["EDH+AESGCM", "AES128-SHA", "RC4"]);
    assert_eq!(lacking("HIGH:nonsense!AES256"), ["nonsense!AES256"]);
}

proptest! {
    #[test]
    fn whatever_is_written_comes_to_something_or_is_refused(text in "[-A-Za-z0-9+!@=:, _.?*/é]{0,60}") {
        if let Ok(chosen) = list(&text) {
            prop_assert!(!chosen.suites.is_empty() || !chosen.remarks.is_empty());
        }
    }
}

#[test]
fn what_else_is_not_as_it_says_is_remarked() {
    let remarks = |text| list(text).expect("a list").remarks;
    assert_eq!(remarks("HIGH:!aNULL@SECLEVEL=2"), [""; 0]);
    assert_eq!(
        remarks("HIGH@SECLEVEL=3"),
        ["\"@SECLEVEL=3\" has no effect: what there is meets \"@SECLEVEL=2\""]
    );
    for name in ["TLS_AES_128_GCM_SHA256", "!TLS_AES_128_CCM_SHA256"] {
        let said = "has no effect: it is of TLS 1.3, whose ciphers \"ssl_conf_command Ciphersuites\" has";
        let chosen = list(&format!("{name}:HIGH")).expect("a list");
        assert_eq!((chosen.remarks, chosen.lacking), (vec![format!("\"{name}\" {said}")], Vec::new()));
    }
    assert_eq!(
        remarks("AES128-SHA:DHE-RSA-AES128-SHA"),
        ["not one of these ciphers is supported, so that there is no TLS 1.2"]
    );
    assert_eq!(remarks("SUITEB192"), ["\"SUITEB192\" bounds ciphers only, neither groups nor signatures"]);
}

#[test]
fn the_system_s_profile_is_the_default() {
    let profile = list("PROFILE=SYSTEM").expect("a list");
    assert_eq!(profile.suites, list("DEFAULT").expect("a list").suites);
    assert_eq!(profile.remarks, ["\"PROFILE=SYSTEM\" is taken for \"DEFAULT\""]);
    assert_eq!(list("HIGH:PROFILE=SYSTEM").expect("a list").lacking, ["PROFILE=SYSTEM"]);
}

#[test]
fn refusals_are_openssls() {
    for text in ["", "nonsense", "!ALL", "HIGH+nonsense", "@STRENGTH"] {
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
