use super::*;

/// `hunter2` as others hash it: Dovecot 2.3 (`doveadm pw`), OpenSSL 3.0 (`openssl passwd -6`), libcrypt by Python's crypt.
const MADE_BY_OTHERS: &[(&str, Cost)] = &[
    (
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$MAMIjmJZl57k80wsd+jb3w$tPZSn9cWjxZwjEjbGQ1jbsz94SbK/tefIFguG13vD7g",
        Cost::Argon2id { kib: 65536, passes: 3, lanes: 1 },
    ),
    ("{BLF-CRYPT}$2y$05$Hbo2x.IuyAXHs36cHhA1oeERXA1iEO0hCI4CqWcQF1.Mmg52xRsOW", Cost::Bcrypt { log2: 5 }),
    ("$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm", Cost::Bcrypt { log2: 4 }),
    ("{crypt}$2a$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm", Cost::Bcrypt { log2: 4 }),
    (
        "$6$gatepost$oH2PhFxc.HBpYZfNyl0OQ1WEmTYWsOwRg/TFZt1WHfgDoKfu.z22xVTLUuGO85REOfuE6oML6IutB/9vYaS.v.",
        Cost::Sha512Crypt { rounds: 5000 },
    ),
    (
        "{SHA512-CRYPT}$6$rounds=1000$g9DhsIxHOFzxnZFV$qeMtopjXB0wqryPBnRs7sOnngTigVs.BpFHC3M/DH7vM3/yj9EqXLE1myTEaSLEg2Xw7zEXLfGzYy2jfX9FOV0",
        Cost::Sha512Crypt { rounds: 1000 },
    ),
    (
        "{CRYPT}$6$rounds=1000$saltstring$nQhUEVFM4.wO/NDzhU1Z3SKBDfj1CGvaCmn.UXAw86EEDrSQlvwTO.RO5SNFizS6669f4a7VmoD8gVqsHyG97.",
        Cost::Sha512Crypt { rounds: 1000 },
    ),
    ("{PLAIN}hunter2", Cost::Plain),
    ("{plain.b64}aHVudGVyMg==", Cost::Plain),
];

#[test]
fn what_others_have_hashed_is_known_again_and_nothing_else() {
    for (text, cost) in MADE_BY_OTHERS {
        let kept = Kept::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(kept.cost(), *cost, "{text}");
        assert_eq!(kept.is(b"hunter2"), Ok(true), "{text}");
        for wrong in ["", "hunter", "hunter22", "Hunter2"] {
            assert_eq!(kept.is(wrong.as_bytes()), Ok(false), "{wrong} for {text}");
        }
    }
}

#[test]
fn what_is_no_hash_that_can_be_checked_is_refused_without_being_repeated() {
    let hash = "oH2PhFxc.HBpYZfNyl0OQ1WEmTYWsOwRg/TFZt1WHfgDoKfu.z22xVTLUuGO85REOfuE6oML6IutB/9vYaS.v.";
    let salted = format!("$6$$0123456789abcdefg${hash}");
    let sha512 = |front: &str, back: &str| format!("$6${front}${back}");
    let argon2 = |front: &str| format!("$argon2id${front}$MAMIjmJZl57k80wsd+jb3w$tPZSn9cWjxZwjEjbGQ1jbg");
    let bcrypt = |cost: &str| format!("$2y${cost}$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm");
    let faults: Vec<_> = [
        String::new(),
        "hunter2".into(),
        "$hunter2".into(),
        "$5$woOTiJFUSWUY3TEm$74mpzJvCempypbEaLKSonE.J1dDmN6.NRhTEVIFd699".into(),
        "$apr1$ab$cd".into(),
        "$y$j9T$ab$cd".into(),
        "$2x$05$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm".into(),
        "{SSHA512}cS6E5qlI".into(),
        "{CRAM-MD5}60ebd8347e945af7".into(),
        "{what my password is, no one knows}".into(),
        "$my pass word is$x".into(),
        "{SHA512-CRYPT}$2y$05$Hbo2x.IuyAXHs36cHhA1oeERXA1iEO0hCI4CqWcQF1.Mmg52xRsOW".into(),
        "{PLAIN}".into(),
        "{PLAIN} hunter2".into(),
        "{PLAIN}hunter2\t".into(),
        "{PLAIN}hunter\u{7}2".into(),
        "{PLAIN.B64}hunter2!".into(),
        "{PLAIN.B64}aHVudGVyMg0K".into(),
        bcrypt("03"),
        bcrypt("17"),
        bcrypt("99"),
        "$2y$05$Hbo2x".into(),
        salted,
        sha512("salt", "short"),
        sha512("", hash),
        sha512("sa lt", hash),
        sha512("0123456789abcdefg", hash),
        sha512("rounds=999$salt", hash),
        sha512("rounds=x$salt", hash),
        sha512("rounds=+5000$salt", hash),
        sha512("rounds=$salt", hash),
        sha512("rounds=5000001$salt", hash),
        sha512("salt", &hash.replace("v.", "v2")),
        argon2("m=65536,t=3,p=1"),
        argon2("v=16$m=65536,t=3,p=1"),
        argon2("v=19$m=65536,t=3"),
        argon2("v=19$m=65536,t=3,p=1,keyid=ab"),
        argon2("v=19$m=524289,t=1,p=1"),
        argon2("v=19$m=524288,t=9,p=1"),
        argon2("v=19$m=65536,t=3,p=65"),
        "$argon2id$v=19$m=65536,t=3,p=1$MAMIjmJZl57k80wsd+jb3w".into(),
    ]
    .iter()
    .map(|text| Kept::parse(text).expect_err(text).to_string())
    .collect();
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn of_what_can_be_read_everything_can_be_checked() {
    let hash = "oH2PhFxc.HBpYZfNyl0OQ1WEmTYWsOwRg/TFZt1WHfgDoKfu.z22xVTLUuGO85REOfuE6oML6IutB/9vYaS.v";
    for last in ('.'..='9').chain('A'..='Z').chain('a'..='z') {
        let text = format!("$6$rounds=1000$a${hash}{last}");
        let Ok(kept) = Kept::parse(&text) else { continue };
        assert_eq!(kept.is(b"hunter2"), Ok(false), "{text}");
    }
    let cut = "$argon2id$v=19$m=16,t=1,p=2$MAMIjmJZl57k80wsd+jb3w$tPZSn9cWjxZwjEjbGQ1jbg";
    assert_eq!(Kept::parse(cut).expect("a hash").is(b"hunter2"), Ok(false));
}

#[test]
fn a_digest_is_right_for_its_challenge_and_password_alone() {
    // RFC 2195 section 2 and RFC 1939 section 7.
    let tim = Kept::parse("{PLAIN}tanstaaftanstaaf").expect("a password");
    let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
    for digest in ["b913a602c7eda7a495b4e6e7334d3890", "B913A602C7EDA7A495B4E6E7334D3890"] {
        assert!(tim.answers_cram_md5(challenge, digest.as_bytes()));
    }
    assert!(!tim.answers_cram_md5(b"<1@x>", b"b913a602c7eda7a495b4e6e7334d3890"));
    assert!(!tim.answers_apop(challenge, b"b913a602c7eda7a495b4e6e7334d3890"));
    let mrose = Kept::parse("{PLAIN}tanstaaf").expect("a password");
    let timestamp = b"<1896.697170952@dbc.mtview.ca.us>";
    assert!(mrose.answers_apop(timestamp, b"c4c9334bac560ecc979e58001b3e22fb"));
    assert!(!mrose.answers_cram_md5(timestamp, b"c4c9334bac560ecc979e58001b3e22fb"));
    for nonsense in [&b""[..], b"c4c9334bac560ecc979e58001b3e22f", b"+4c9334bac560ecc979e58001b3e22fb"] {
        assert!(!mrose.answers_apop(timestamp, nonsense));
    }
    let hashed = Kept::parse("$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm").expect("a hash");
    assert!(!hashed.answers_apop(timestamp, b"c4c9334bac560ecc979e58001b3e22fb"));
    assert!(!hashed.answers_cram_md5(timestamp, b"c4c9334bac560ecc979e58001b3e22fb"));
}

#[test]
fn nothing_of_what_is_kept_is_shown() {
    for (text, _) in MADE_BY_OTHERS {
        let shown = format!("{:?}", Kept::parse(text).expect("a password"));
        assert!(!shown.contains("hunter2") && !shown.contains('$'), "{shown}");
    }
}
