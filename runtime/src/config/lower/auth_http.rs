//! `auth_http`: config.md 7.1, and what is beyond it: `https://` (divergences D1) and several URLs (D2).

mod safety;

use std::sync::Arc;

use gatepost_core::{Address, AuthServer, AuthUrl, Group, Guest, Place, Scheme, Target};

pub(super) use self::safety::check;
use super::Ground;
use super::address::{Fault, Host, sockets_of, split, unix_path};
use super::scope::{Said, Scope};
use super::upstream::{Groups, at_port};
use super::value::{argument, invalid, number, text};
use crate::config::diagnostic::Complaint;
use crate::config::lex::Word;
use crate::config::surroundings::Surroundings;
use crate::config::tree::Directive;
use crate::upstream::{UNDER_TLS, Upstreams};

/// Where an auth server listens unless it is said.
const HTTP_PORT: u16 = 80;

/// The same under TLS.
const HTTPS_PORT: u16 = 443;

/// More connections than this wait for nobody: an auth server answers a thousand questions a second over as many.
const KEEPALIVE_MAX: usize = 1024;

/// Understands how many connections to an auth server wait for the next question.
pub(super) fn keepalive(directive: &Directive) -> Result<usize, Complaint> {
    let most = usize::try_from(number(directive)?).ok().filter(|&most| most <= KEEPALIVE_MAX);
    let word = argument(directive, 0)?;
    most.ok_or_else(|| invalid(directive, word).label(format!("a number from 0 to {KEEPALIVE_MAX}")))
}

/// Understands the URLs of auth servers, to be tried in their order, and tells where each was said.
pub(super) fn auth_http(
    directive: &Directive,
    ground: &Ground<'_>,
) -> Result<(AuthServer, Vec<Said>), Complaint> {
    let urls = directive.args.iter().map(|word| url(directive, word, ground));
    let said = directive.args.iter().map(|word| Said { end: directive.end, words: word.span }).collect();
    Ok((AuthServer::at(urls.collect::<Result<_, _>>()?), said))
}

/// A name becomes all its addresses, in the resolver's order, or the group that is called so: one that answers is used
/// (divergences D2).
fn url(directive: &Directive, word: &Word, ground: &Ground<'_>) -> Result<AuthUrl, Complaint> {
    let url = text(directive, word)?;
    let (secure, rest) = match url.strip_prefix(UNDER_TLS) {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://").unwrap_or(&url)),
    };
    parse(secure, rest, ground.upstream_names, ground.surroundings).map_err(|fault| {
        let message = format!("{fault} in auth_http \"{rest}\"");
        Complaint::of(directive, message).under(word.span).hint(fault.hint(rest))
    })
}

fn parse(
    secure: bool,
    text: &str,
    groups: &[String],
    surroundings: &dyn Surroundings,
) -> Result<AuthUrl, Fault> {
    if let Some(text) = text.strip_prefix("unix:") {
        let (path, uri) = text.split_once(':').unwrap_or((text, ""));
        let target = Target::Address(Address::Unix(unix_path(path)?.into()));
        return Ok(made(secure, target, "localhost", Some("localhost"), uri));
    }
    let (host_and_port, uri) = text.split_at(text.find(['/', '?']).unwrap_or(text.len()));
    if groups.iter().any(|name| name == host_and_port) {
        let name: Arc<str> = match secure {
            true => format!("{UNDER_TLS}{host_and_port}").into(),
            false => host_and_port.into(),
        };
        // How many servers it has is known when all of the file is. Each has a name of its own, or none.
        let group = Group { name, servers: 0, guest: Guest::default() };
        return Ok(made(secure, Target::Group(group), host_and_port, None, uri));
    }
    let sockets = sockets_of(host_and_port, if secure { HTTPS_PORT } else { HTTP_PORT }, surroundings)?;
    let target = match sockets.as_slice() {
        [only] => Target::Address((*only).into()),
        several => Target::AnyOf(several.iter().map(|&socket| Place::At(socket.into())).collect()),
    };
    let (host, port_text) = split(host_and_port)?;
    let host_text = match port_text {
        Some(port) => host_and_port.get(..host_and_port.len() - port.len() - 1).unwrap_or(host_and_port),
        None => host_and_port,
    };
    let name = match host {
        Host::Name(name) => Some(name),
        Host::Ip(_) | Host::Any(_) => None,
    };
    Ok(made(secure, target, host_text, name, uri))
}

/// `name` is what a certificate has to be for; without one it has to be for the address that is reached.
fn made(secure: bool, target: Target, host: &str, name: Option<&str>, uri: &str) -> AuthUrl {
    let mut url = AuthUrl::new(target, host);
    if secure {
        url.scheme = Scheme::Https { name: name.map(Into::into) };
    }
    if !uri.is_empty() {
        url.uri = uri.into();
    }
    url
}

/// Every `upstream {}` as a group of auth servers, and again, by another name, as one of auth servers under TLS: those without a
/// port of their own have another then.
pub(super) fn groups(groups: &Groups, mail: &Scope) -> Upstreams {
    let secure = at_port(groups, HTTPS_PORT, mail).into_iter();
    let secure = secure.map(|(name, group)| (format!("{UNDER_TLS}{name}").into(), group));
    at_port(groups, HTTP_PORT, mail).into_iter().chain(secure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::surroundings::Memory;

    fn machine() -> Memory {
        let two = ["::1".parse().unwrap(), "127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        Memory::new().host("localhost", &two).host("auth.test", &["192.0.2.1".parse().unwrap()])
    }

    /// Where to connect to, as text.
    fn target(url: &AuthUrl) -> String {
        match &url.target {
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
        }
    }

    #[test]
    fn every_form_of_a_url_is_understood() {
        for (url, to, host, uri) in [
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
            let found = parse(false, url, &["auths".to_owned()], &machine()).unwrap();
            assert_eq!((target(&found).as_str(), &*found.host, &*found.uri), (to, host, uri), "{url}");
            assert_eq!(found.scheme, Scheme::Http);
        }
    }

    #[test]
    fn under_tls_the_port_is_another_and_the_certificate_is_for_the_host() {
        for (url, to, name) in [
            ("auth.test/auth", "192.0.2.1:443", Some("auth.test")),
            ("localhost:9000", "[::1]:9000 127.0.0.1:9000", Some("localhost")),
            ("[::1]", "[::1]:443", None),
            ("127.0.0.1:8443/x", "127.0.0.1:8443", None),
            ("unix:/run/auth:/x", "unix:/run/auth", Some("localhost")),
            ("auths/check", "https://auths", None),
        ] {
            let found = parse(true, url, &["auths".to_owned()], &machine()).unwrap();
            let scheme = Scheme::Https { name: name.map(Into::into) };
            assert_eq!((target(&found).as_str(), &found.scheme), (to, &scheme), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_in_nginx_s_words() {
        for (url, fault) in [
            ("", Fault::NoHost),
            ("/auth", Fault::NoHost),
            ("ftp://auth.test/x", Fault::InvalidPort),
            ("auth.test:0/x", Fault::InvalidPort),
            ("nowhere.test/x", Fault::HostNotFound),
            ("*:9000", Fault::HostNotFound),
            ("[]:9000", Fault::NoHost),
            ("[::1:9000/x", Fault::InvalidHost),
            ("unix:", Fault::NoPath),
            ("unix::/x", Fault::NoPath),
        ] {
            assert_eq!(parse(false, url, &[], &machine()), Err(fault), "{url}");
            assert_eq!(parse(true, url, &[], &machine()), Err(fault), "{url}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert_eq!(parse(false, &long, &[], &machine()), Err(Fault::PathTooLong));
    }
}
