use super::*;
use std::num::NonZeroUsize;

const ARGON2: &str = "$argon2id$v=19$m=64,t=1,p=1$MAMIjmJZl57k80wsd+jb3w$";
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";
const SHA512: &str = "$6$rounds=1000$saltstring$nQhUEVFM4.wO/NDzhU1Z3SKBDfj1CGvaCmn.UXAw86EEDrSQlvwTO.RO5SNFizS6669f4a7VmoD8gVqsHyG97.";

fn users(text: &str) -> Arc<Users> {
    let bench = Arc::new(Bench::new(NonZeroUsize::MIN));
    Arc::new(Users::read("/etc/users", text.as_bytes(), &["mail".to_owned()], bench).expect("users"))
}

fn request(method: &str, login: &str, password: &str, attempt: u32) -> Secret {
    let text = format!(
        "GET / HTTP/1.0\r\nHost: localhost\r\nAuth-Method: {method}\r\nAuth-User: {login}\r\nAuth-Pass: {password}\r\n\
         Auth-Salt: <1896.697170952@postoffice.reston.mci.net>\r\nAuth-Protocol: pop3\r\nAuth-Login-Attempt: {attempt}\r\n\r\n"
    );
    text.into_bytes().into()
}

/// What comes of one request, on a runtime of its own.
fn answer(users: &Arc<Users>, request: Secret) -> String {
    assert!(Users::is_whole(&request));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let answer = runtime.block_on(users.clone().answer(request));
    assert_eq!(answer.trouble.is_some(), answer.octets.expose().starts_with(b"HTTP/1.0 500"));
    String::from_utf8(answer.octets.expose().to_vec()).expect("text")
}

const DENIED: &str = "HTTP/1.0 200 OK\r\nAuth-Status: Invalid login or password\r\nAuth-Wait: 3\r\n\r\n";

#[test]
fn whoever_knows_the_password_is_sent_home() {
    let users = users(&format!(
        "joe:{{PLAIN}}hunter2:192.0.2.1:1143\nann:{BCRYPT}:here\nbob:{SHA512}:mail\neve:{{PLAIN}}hunter2\n"
    ));
    for (login, home) in [
        ("joe", "Auth-Server: 192.0.2.1:1143\r\n"),
        ("ann", "Auth-Server: here\r\nAuth-Port: 110\r\n"),
        ("bob", "Auth-Server: mail\r\n"),
        ("eve", ""),
    ] {
        let granted = format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n{home}\r\n");
        assert_eq!(answer(&users, request("plain", login, "hunter2", 1)), granted);
        assert_eq!(answer(&users, request("plain", login, "hunter3", 1)), DENIED);
    }
    for nobody in ["Joe", "joe%20", "", "jo", "joe%FF"] {
        assert_eq!(answer(&users, request("plain", nobody, "hunter2", 1)), DENIED, "{nobody}");
    }
}

#[test]
fn a_digest_is_exchanged_for_the_password() {
    let users = users("tim:{PLAIN}tanstaaftanstaaf:mail");
    let right = "b913a602c7eda7a495b4e6e7334d3890";
    assert_eq!(
        answer(&users, request("cram-md5", "tim", right, 1)),
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: mail\r\nAuth-Pass: tanstaaftanstaaf\r\n\r\n"
    );
    for (method, login, digest) in [
        ("cram-md5", "tim", "b913a602c7eda7a495b4e6e7334d3891"),
        ("cram-md5", "tam", right),
        ("apop", "tim", right),
        ("plain", "tim", right),
    ] {
        assert_eq!(answer(&users, request(method, login, digest, 1)), DENIED, "{method} {login} {digest}");
    }
}

#[test]
fn after_ten_attempts_there_is_no_more_waiting() {
    let users = users("joe:{PLAIN}hunter2:mail");
    assert_eq!(answer(&users, request("plain", "joe", "x", 9)), DENIED);
    let last = answer(&users, request("plain", "joe", "x", 10));
    assert_eq!(last, "HTTP/1.0 200 OK\r\nAuth-Status: Invalid login or password\r\n\r\n");
}

#[test]
fn what_cannot_be_checked_is_our_trouble_and_no_wrong_password() {
    let users = users("joe:{PLAIN}hunter2:mail");
    for method in ["external", "xoauth2", ""] {
        let trouble = "HTTP/1.0 500 Internal Server Error\r\n\r\n";
        assert_eq!(answer(&users, request(method, "joe", "hunter2", 1)), trouble);
    }
}

#[test]
fn mail_without_a_login_goes_wherever_all_of_it_goes() {
    let users = users("");
    assert_eq!(answer(&users, request("none", "", "", 1)), "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n\r\n");
}

/// Which checks one login takes, whatever they find.
fn checks(users: &Users, login: &str, password: &[u8]) -> Vec<Cost> {
    let mut checks = Vec::new();
    let found = users.find(login.as_bytes(), |kept| {
        checks.push(kept.cost());
        kept.is(password)
    });
    found.expect("they can be checked");
    checks
}

#[test]
fn a_login_costs_the_same_whoever_it_is_and_whatever_the_password() {
    let argon2 = format!("{ARGON2}tPZSn9cWjxZwjEjbGQ1jbsz94SbK/tefIFguG13vD7g");
    let dearer = argon2.replace("m=64", "m=128");
    for (text, count) in [
        (format!("joe:{argon2}\nann:{argon2}"), 1),
        (
            format!(
                "joe:{BCRYPT}\nann:{argon2}\nbob:{SHA512}\neve:{{PLAIN}}hunter2\nsue:{dearer}\nsam:{BCRYPT}"
            ),
            5,
        ),
    ] {
        let users = users(&text);
        let usual = checks(&users, "nobody", b"hunter2");
        assert_eq!(usual.len(), count);
        for login in ["joe", "ann", "bob", "eve", "sue", "sam", "", "nobody at all"] {
            for password in [&b"hunter2"[..], b"hunter3", b""] {
                assert_eq!(checks(&users, login, password), usual, "{login}");
            }
        }
    }
}

#[test]
fn no_decoy_ever_lets_anybody_in() {
    // Everybody's own check fails for this password but the decoy's, who is the first of the kind.
    let users = users(&format!(
        "ann:{BCRYPT}\njoe:$2b$04$abcdefghijklmnopqrstuuV4duMsC0HpUex6N9qapiuOHHWkwRXVm\nbob:{{PLAIN}}x"
    ));
    assert_eq!(&*users.decoys[&Cost::Bcrypt { log2: 4 }], "ann");
    for login in ["joe", "bob", "nobody"] {
        assert_eq!(answer(&users, request("plain", login, "hunter2", 1)), DENIED, "{login}");
    }
    assert!(answer(&users, request("plain", "ann", "hunter2", 1)).contains("Auth-Status: OK"));
}

#[test]
fn a_password_longer_than_any_is_not_hashed() {
    let users = users(&format!("joe:{SHA512}"));
    let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
    assert_eq!(answer(&users, request("plain", "joe", &long, 1)), DENIED);
    assert_eq!(answer(&users, request("plain", "nobody", &long, 1)), DENIED);
}

#[test]
fn only_who_needs_a_hash_made_waits_for_a_seat() {
    let users = users(&format!("joe:{SHA512}\nann:{{PLAIN}}hunter2"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let mut taken = Box::pin(users.bench.run(1, move || gate.recv().is_ok()));
        assert!(poll_once(&mut taken).is_none());
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        for (method, password) in
            [("none", ""), ("plain", &long), ("cram-md5", "x"), ("apop", "x"), ("external", "")]
        {
            let mut answer = Box::pin(users.clone().answer(request(method, "joe", password, 1)));
            assert!(poll_once(&mut answer).is_some(), "{method}");
        }
        let mut answer = Box::pin(users.clone().answer(request("plain", "joe", "hunter2", 1)));
        assert!(poll_once(&mut answer).is_none());
        go.send(()).expect("it waits");
        assert_eq!(taken.await, Ok(true));
        assert!(answer.await.octets.expose().starts_with(b"HTTP/1.0 200 OK\r\nAuth-Status: OK"));
    });
}

/// What a future is after one poll, if it is ready.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn why_nothing_could_be_checked_is_told_with_the_file_and_without_the_password() {
    let users = users(&format!("joe:{SHA512}"));
    // There is no runtime's thread to be had for a stack of this size.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.thread_stack_size(1 << 60).build().expect("a runtime");
    let answered = runtime.block_on(users.clone().answer(request("plain", "joe", "hunter2", 1)));
    assert_eq!(answered.octets.expose(), b"HTTP/1.0 500 Internal Server Error\r\n\r\n");
    let trouble = answered.trouble.expect("a cause");
    assert!(trouble.starts_with("no password could be checked by users file \"/etc/users\": "), "{trouble}");
    assert!(trouble.contains("thread") && !trouble.contains("hunter2"), "{trouble}");
}

#[test]
fn nothing_of_a_file_is_shown() {
    let users = users("joe:{PLAIN}hunter2:mail");
    assert_eq!(format!("{users:?}"), "Users(1 of /etc/users)");
    assert!(!format!("{:?}", users.entries).contains("hunter2"));
    let question = Question::read(request("plain", "joe", "hunter2", 1).expose());
    assert!(!format!("{question:?}").contains("hunter2"));
}
