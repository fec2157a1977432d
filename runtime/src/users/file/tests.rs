use super::*;
use proptest::prelude::*;

const GROUPS: &[&str] = &["mail", "mail stores"];

fn groups() -> Vec<String> {
    GROUPS.iter().map(|&name| name.to_owned()).collect()
}

/// The users of a file that must be fit.
fn users(text: &str) -> BTreeMap<Box<str>, Entry> {
    read(text.as_bytes(), &groups()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn backend(text: &str) -> Option<(String, bool)> {
    let users = users(&format!("joe:{{PLAIN.B64}}aHVudGVyMg=={text}"));
    users["joe"].backend.as_ref().map(|backend| (backend.servers.to_string(), backend.portless))
}

#[test]
fn comments_blank_lines_byte_order_marks_and_line_ends_of_any_kind_are_passed_over() {
    let text = "\u{feff}# users\r\n\r\njoe:{PLAIN}hunter2\r\n  \n \t# not\nann@example.com:{PLAIN}hun#ter2:mail\nd'oh \u{e9}:{PLAIN}x y";
    let users = users(text);
    let names: Vec<_> = users.iter().map(|(name, entry)| (&**name, entry.line)).collect();
    assert_eq!(names, [("ann@example.com", 6), ("d'oh é", 7), ("joe", 3)]);
    let secret = |name: &str| users[name].kept.plain_text().map(|secret| secret.expose().to_vec());
    assert_eq!(secret("ann@example.com"), Some(b"hun#ter2".to_vec()));
    assert_eq!(secret("d'oh é"), Some(b"x y".to_vec()));
    assert!(self::users("").is_empty());
}

#[test]
fn a_backend_is_whatever_an_auth_server_may_name_and_may_do_without_its_port() {
    let is = |servers: &str, portless| Some((servers.to_owned(), portless));
    assert_eq!(backend(""), None);
    assert_eq!(backend(":"), None);
    assert_eq!(backend(":192.0.2.1:1143"), is("192.0.2.1:1143", false));
    assert_eq!(backend(":[2001:db8::1]:1143"), is("[2001:db8::1]:1143", false));
    assert_eq!(backend(":2001:db8::1"), is("2001:db8::1", true));
    assert_eq!(backend(": mail.example.com "), is("mail.example.com", true));
    assert_eq!(backend(":unix:/run/imap"), is("unix:/run/imap", false));
    assert_eq!(backend(":mail"), is("mail", false));
    assert_eq!(backend(":mail stores"), is("mail stores", false));
    assert_eq!(backend(":192.0.2.1, here"), is("192.0.2.1, here", true));
    assert_eq!(backend(":192.0.2.1:143, here:144"), is("192.0.2.1:143, here:144", false));
}

#[test]
fn behind_a_password_as_typed_no_backend_may_be_the_rest_of_it() {
    for (text, taken) in [
        ("", true),
        (":mail", true),
        (":mail stores", true),
        (":192.0.2.1", true),
        (":192.0.2.1:1143", true),
        (":2001:db8::1", true),
        (":[2001:db8::1]", true),
        (":[2001:db8::1]:1143", true),
        (":192.0.2.1, [2001:db8::1]", true),
        (":unix:/run/imap", true),
        (":here:1143", true),
        (":here:1143, 192.0.2.1:1144", true),
        (":", false),
        (": ", false),
        (":here", false),
        (":mail.example.com", false),
        (":192.0.2.1, here", false),
    ] {
        for scheme in ["{PLAIN}", "{plain}", "{CLEAR}", "{Cleartext}"] {
            let read = read(format!("joe:{scheme}hunter2{text}").as_bytes(), &groups());
            assert_eq!(read.is_ok(), taken, "{scheme} {text}: {read:?}");
        }
        assert!(read(format!("joe:{{PLAIN.B64}}aHVudGVyMg=={text}").as_bytes(), &groups()).is_ok(), "{text}");
    }
}

#[test]
fn every_mistake_is_told_with_its_line_and_without_the_password() {
    let costs: String = (4..=12)
        .map(|cost| {
            format!("cost{cost}:$2y${cost:02}$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm:mail\n")
        })
        .collect();
    let long = format!("long:{{PLAIN}}{}", "hunter2".repeat(600));
    let text = format!(
        "joe\n:{{PLAIN}}hunter2\n joe:{{PLAIN}}hunter2\njoe:hunter2\njoe:hunter2:mail\njoe:{{MD5}}hunter2\njoe:\n\
         joe:{{PLAIN}}hunter2\njoe:{{PLAIN}}hunter3\nann:{{PLAIN}}hunter2:mial stores\nbob:{{PLAIN}}hun:ter2\n\
         eve:{{PLAIN}}hunter2:192.0.2.1:0\nsue:{{PLAIN}}hunter2:192.0.2.1:1,192.0.2.2\ntab\tbed:{{PLAIN}}hunter2\n\
         ctl\u{7}:{{PLAIN}}hunter2\n{long}\n{costs}"
    );
    let mut octets = text.into_bytes();
    octets.extend_from_slice(b"caf\xe9:{PLAIN}hunter2\nnul\0:x\n");
    let mistakes = read(&octets, &groups()).expect_err("mistakes");
    let told: Vec<_> =
        mistakes.iter().map(|Mistake { line, text, hint }| format!("{line}: {text}\n    {hint}")).collect();
    assert!(!told.join("").contains("hunter"), "{told:?}");
    insta::assert_snapshot!(told.join("\n"));
}

proptest! {
    #[test]
    fn whatever_a_file_holds_it_is_either_understood_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "joe", ":", "{PLAIN}", "hunter2", "$6$", "$2y$05$", "$argon2id$v=19$", "m=8,t=1,p=1$", "mail", "192.0.2.1", "[::1]",
            "\n", "\r\n", "#", " ", "\t", "{", "}", "$", "é", "\0", "\u{feff}", ",", "unix:/a",
        ]), 0..40),
        broken in any::<Option<u8>>(),
    ) {
        let mut octets = pieces.concat().into_bytes();
        octets.extend(broken);
        match read(&octets, &groups()) {
            Ok(users) => prop_assert!(users.values().all(|entry| entry.line > 0)),
            Err(mistakes) => {
                prop_assert!(!mistakes.is_empty());
                prop_assert!(mistakes.is_sorted_by_key(|mistake| mistake.line));
            }
        }
    }
}
