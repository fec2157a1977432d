//! `auth_http`: config.md 7.1.

use gatepost_core::{Address, AuthServer, Group, Guest, Place, Target};

use super::Ground;
use super::address::{Fault, sockets_of, split, unix_path};
use super::value::{argument, text};
use crate::config::diagnostic::Complaint;
use crate::config::surroundings::Surroundings;
use crate::config::tree::Directive;

/// Where an auth server listens unless it is said.
pub(super) const DEFAULT_PORT: u16 = 80;

/// Understands the URL of an auth server. A name becomes all its addresses, in the resolver's order, or the group that is called
/// so: one that answers is used (divergences D2).
pub(super) fn auth_http(directive: &Directive, ground: &Ground<'_>) -> Result<AuthServer, Complaint> {
    let word = argument(directive, 0)?;
    let url = text(directive, word)?;
    let rest = url.strip_prefix("http://").unwrap_or(&url);
    parse(rest, ground.upstream_names, ground.surroundings).map_err(|fault| {
        let message = format!("{fault} in auth_http \"{rest}\"");
        let complaint = Complaint::of(directive, message).under(word.span).hint(fault.hint(rest));
        match rest.starts_with("https://") {
            true => complaint.hint("auth servers behind https are not supported yet"),
            false => complaint,
        }
    })
}

fn parse(text: &str, groups: &[String], surroundings: &dyn Surroundings) -> Result<AuthServer, Fault> {
    if let Some(text) = text.strip_prefix("unix:") {
        let (path, uri) = text.split_once(':').unwrap_or((text, ""));
        let target = Target::Address(Address::Unix(unix_path(path)?.into()));
        return Ok(server(target, "localhost", uri));
    }
    let (host_and_port, uri) = text.split_at(text.find(['/', '?']).unwrap_or(text.len()));
    if groups.iter().any(|name| name == host_and_port) {
        // How many servers it has is known when all of the file is.
        let group = Group { name: host_and_port.into(), servers: 0, guest: Guest::default() };
        return Ok(server(Target::Group(group), host_and_port, uri));
    }
    let sockets = sockets_of(host_and_port, DEFAULT_PORT, surroundings)?;
    let target = match sockets.as_slice() {
        [only] => Target::Address((*only).into()),
        several => Target::AnyOf(several.iter().map(|&socket| Place::At(socket.into())).collect()),
    };
    let (_, port_text) = split(host_and_port)?;
    let host_text = match port_text {
        Some(port) => host_and_port.get(..host_and_port.len() - port.len() - 1).unwrap_or(host_and_port),
        None => host_and_port,
    };
    Ok(server(target, host_text, uri))
}

fn server(target: Target, host: &str, uri: &str) -> AuthServer {
    let mut server = AuthServer::new(target, host);
    if !uri.is_empty() {
        server.uri = uri.into();
    }
    server
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::surroundings::Memory;

    fn machine() -> Memory {
        let two = ["::1".parse().unwrap(), "127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        Memory::new().host("localhost", &two).host("auth.test", &["192.0.2.1".parse().unwrap()])
    }

    #[test]
    fn every_form_of_a_url_is_understood() {
        for (url, target, host, uri) in [
            ("auth.test", "192.0.2.1:80", "auth.test", "/"),
            ("auth.test:9000/auth", "192.0.2.1:9000", "auth.test", "/auth"),
            ("auth.test/auth?a:b", "192.0.2.1:80", "auth.test", "/auth?a:b"),
            ("auth.test:9000?x", "192.0.2.1:9000", "auth.test", "?x"),
            ("127.0.0.1:9000/x/y", "127.0.0.1:9000", "127.0.0.1", "/x/y"),
            ("[::1]:9000/x", "[::1]:9000", "[::1]", "/x"),
            ("[::1]", "[::1]:80", "[::1]", "/"),
            ("localhost:9000", "[::1]:9000 127.0.0.1:9000", "localhost", "/"),
            ("unix:/run/auth", "unix:/run/auth", "localhost", "/"),
            ("unix:/run/auth:/check", "unix:/run/auth", "localhost", "/check"),
            ("auths/check", "auths", "auths", "/check"),
        ] {
            let server = parse(url, &["auths".to_owned()], &machine()).unwrap();
            let found = match &server.target {
                Target::Address(address) => address.to_string(),
                Target::AnyOf(all) => all
                    .iter()
                    .map(|place| match place {
                        Place::At(address) => address.to_string(),
                        Place::Named(name, port) => format!("{name}:{port}"),
                    })
                    .collect::<Vec<_>>()
                    .join(" "),
                Target::Group(group) => group.name.to_string(),
            };
            assert_eq!((found.as_str(), &*server.host, &*server.uri), (target, host, uri), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_in_nginx_s_words() {
        for (url, fault) in [
            ("", Fault::NoHost),
            ("/auth", Fault::NoHost),
            ("https://auth.test/x", Fault::InvalidPort),
            ("auth.test:0/x", Fault::InvalidPort),
            ("nowhere.test/x", Fault::HostNotFound),
            ("*:9000", Fault::HostNotFound),
            ("[]:9000", Fault::NoHost),
            ("[::1:9000/x", Fault::InvalidHost),
            ("unix:", Fault::NoPath),
            ("unix::/x", Fault::NoPath),
        ] {
            assert_eq!(parse(url, &[], &machine()), Err(fault), "{url}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert_eq!(parse(&long, &[], &machine()), Err(Fault::PathTooLong));
    }
}
