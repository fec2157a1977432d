//! Two servers of an `upstream {}` share the logins, and do without each other.

use std::collections::BTreeMap;

use super::*;

/// Logs in so often; tells how many came to which backend.
fn log_in(fitted: &Fitted, times: usize) -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    let door = fitted.doors.first().unwrap();
    for _ in 0..times {
        let reply = fitted.client(door).greeted("imap").logged_in("imap");
        *places.entry(reply.trim_start_matches("b OK ").to_owned()).or_default() += 1;
    }
    places
}

#[test]
fn the_balancing_example_shares_logins_out_and_loses_none() {
    let one = MailServer::start("imap", "at one").unwrap();
    let two = MailServer::start("imap", "at two").unwrap();
    let elsewhere = free_address();
    let auth = AuthServer::start(move |request| match request.header("Auth-Pass") {
        Some("hunter2") => Answer::Granted(elsewhere),
        _ => Answer::Refused("Who?"),
    })
    .unwrap();
    let file = "reference-1-balancing.conf";
    let fitted = Fitted::with_backends(file, auth.address, &[one.address, two.address]);
    let told = String::from_utf8(fitted.tested().stderr).unwrap();
    let warnings: Vec<_> = told.lines().filter(|line| line.contains("[warn]")).collect();
    let deprecated = "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead in ";
    assert!(matches!(warnings.as_slice(), [warning] if warning.contains(deprecated)), "{told}");
    let gatepost = fitted.start();
    let shared = BTreeMap::from([("at one".to_owned(), 5), ("at two".to_owned(), 5)]);
    assert_eq!(log_in(&fitted, 10), shared, "{}", gatepost.output());
    drop(one);
    let left = BTreeMap::from([("at two".to_owned(), 10)]);
    assert_eq!(log_in(&fitted, 10), left, "{}", gatepost.output());
    assert!(auth.heard().iter().all(|heard| heard.text().starts_with("GET /auth HTTP/1.0\r\n")));
}
