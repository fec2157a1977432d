//! The auth server's side of its protocol, as far as a transcript needs it.

use std::collections::BTreeMap;

use crate::octets::{Shown, glob};
use crate::transcript::{AuthGets, AuthSays, Variables, expand};

/// Whether `request` has the headers that are wanted, and lacks those that are not.
pub(super) fn check(wanted: &AuthGets, request: &[u8], variables: &Variables) -> Result<(), String> {
    let headers = headers(request)?;
    for (name, pattern) in &wanted.has {
        let pattern = expand(pattern, variables)?;
        match headers.get(&name.to_ascii_lowercase()) {
            None => return Err(format!("the request has no {name}: {}", Shown(request))),
            Some(value) if glob(&pattern, value).is_none() => {
                return Err(format!("expected {name}: {}\n     got {}", Shown(&pattern), Shown(value)));
            }
            Some(_) => {}
        }
    }
    match wanted.hasnt.iter().find(|name| headers.contains_key(&name.to_ascii_lowercase())) {
        Some(name) => Err(format!("the request has {name}: {}", Shown(request))),
        None => Ok(()),
    }
}

/// Names in lower case, and values. Every line must be exactly as nginx writes it: `Name: value`, CR LF.
fn headers(request: &[u8]) -> Result<BTreeMap<String, &[u8]>, String> {
    let broken = |line: &[u8]| format!("a broken line in the request: {}", Shown(line));
    let head = request.strip_suffix(b"\r\n\r\n").ok_or_else(|| broken(request))?;
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    lines.push(rest);
    let (first, lines) = lines.split_first().ok_or_else(|| broken(request))?;
    if !first.starts_with(b"GET ") || !first.ends_with(b" HTTP/1.0") {
        return Err(broken(first));
    }
    let mut headers = BTreeMap::new();
    for line in lines {
        let at = line.windows(2).position(|two| two == b": ").ok_or_else(|| broken(line))?;
        let (name, value) = line.split_at(at);
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if headers.insert(name, value.get(2..).unwrap_or_default()).is_some() {
            return Err(format!("a header comes twice: {}", Shown(line)));
        }
    }
    Ok(headers)
}

/// The octets of an answer.
pub(crate) fn answer(says: &AuthSays, variables: &Variables) -> Result<Vec<u8>, String> {
    let mut octets = format!("HTTP/1.0 {} As scripted\r\n", says.status).into_bytes();
    if says.ok {
        let server = b"Auth-Status: OK\r\nAuth-Server: ${backend.ip}\r\nAuth-Port: ${backend.port}\r\n";
        octets.extend(expand(server, variables)?);
    }
    for (name, value) in &says.headers {
        octets.extend(name.as_bytes());
        octets.extend(b": ");
        octets.extend(expand(value, variables)?);
        octets.extend(b"\r\n");
    }
    octets.extend(b"\r\n");
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::Octets;

    fn wants(name: &str, value: &str) -> AuthGets {
        AuthGets { has: [(name.to_owned(), Octets::of(value).unwrap())].into(), ..AuthGets::default() }
    }

    #[test]
    fn a_request_is_judged_by_its_headers() {
        let request = b"GET / HTTP/1.0\r\nHost: a\r\nAuth-User: \r\n\r\n";
        let none = Variables::new();
        assert_eq!(check(&wants("auth-user", ""), request, &none), Ok(()));
        assert!(check(&wants("auth-user", "fred"), request, &none).is_err());
        assert!(check(&wants("Auth-Pass", "*"), request, &none).is_err());
        let hasnt = AuthGets { hasnt: vec!["HOST".to_owned()], ..AuthGets::default() };
        assert!(check(&hasnt, request, &none).is_err());
    }

    #[test]
    fn a_request_that_is_not_nginxs_is_broken() {
        for broken in [
            &b"POST / HTTP/1.0\r\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.0\r\nHost:a\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.0\nHost: a\r\n\r\n",
        ] {
            assert!(check(&AuthGets::default(), broken, &Variables::new()).is_err(), "{}", Shown(broken));
        }
    }
}
