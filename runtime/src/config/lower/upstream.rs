//! `upstream {}`: groups of servers (divergences R5).

mod renewed;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{Address, Protocol, Server};

pub(super) use self::renewed::check_resolvers;
use self::renewed::{Renewed, named};
use super::address::{Fault, Host, addresses_of, port, split, unix_path};
use super::resolver::{RESOLVER_TIMEOUT, Resolver, resolver};
use super::scope::{Said, Scope, nonzero};
use super::value::{argument, digits, parse_seconds, text};
use super::{Ground, Seen, admitted, inside};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::schema::{Context, Keyword, UpstreamWord};
use crate::config::tree::{Directive, Tree};
use crate::upstream::{Key, Member, Rule, Settings, Upstream, Upstreams, port_of};

/// The groups of a `mail {}`, by their names.
pub(super) type Groups = BTreeMap<Arc<str>, Group>;

/// An `upstream {}` as read: its servers may have no ports yet, which depend on the protocol.
#[derive(Debug)]
pub(super) struct Group {
    rule: Rule,
    members: Vec<(Spot, Member)>,
    /// Those that are looked up again and again (`resolve`).
    names: Vec<Renewed>,
    /// Its own `resolver`, which counts for more than that of `mail {}`.
    resolver: Option<Resolver>,
    resolver_timeout: Option<Duration>,
    /// The block, for whoever comes second.
    pub(super) name: crate::config::source::Span,
}

impl Group {
    /// The names and addresses of its servers, as far as they have such; what the DNS will say counts for nothing.
    pub(super) fn servers(&self) -> impl Iterator<Item = (Option<&str>, Option<&Address>)> {
        let members = self.members.iter().map(|(_, member)| {
            let Server { address, name } = &member.server;
            (name.as_deref(), Some(address))
        });
        members.chain(self.names.iter().map(|name| (Some(&*name.host), None)))
    }
}

/// Where a server is, if at another port than its protocol's, then there.
#[derive(Clone, Debug)]
enum Spot {
    Whole,
    /// The address has no port of its own.
    Portless,
}

/// The names of the groups of a configuration. Whoever names one may stand before it.
pub(super) fn names(tree: &Tree) -> Vec<String> {
    let mails = tree.directives.iter().filter(|directive| directive.shown() == "mail");
    let groups = mails.flat_map(inside).filter(|directive| directive.shown() == "upstream");
    groups.filter_map(|group| group.args.first().map(Word::shown)).collect()
}

/// Understands a group.
pub(super) fn upstream(
    directive: &Directive,
    ground: &Ground<'_>,
    complaints: &mut Complaints,
) -> Result<(Arc<str>, Group), Complaint> {
    let name = text(directive, argument(directive, 0)?)?;
    let (mut rule, mut members, mut seen) = (None, Vec::new(), Seen::default());
    let (mut names, mut own_resolver, mut resolver_timeout) = (Vec::new(), None, None);
    let mut backup = None;
    for inner in inside(directive) {
        let Some(Keyword::Upstream(word)) = admitted(inner, Context::Upstream, &mut seen, complaints) else {
            continue;
        };
        match word {
            UpstreamWord::Server => {
                let found = server(inner, members.len(), ground, complaints);
                match complaints.note(found) {
                    Some(Found::Members(found)) => members.extend(found),
                    Some(Found::Name(name)) => names.push(name),
                    None => continue,
                }
                let word = inner.args.iter().find(|word| &*word.text == b"backup");
                backup = backup.or(word.map(|word| (inner, word)));
                continue;
            }
            UpstreamWord::Resolver => {
                own_resolver = complaints.note(resolver(inner, ground.surroundings));
                continue;
            }
            UpstreamWord::ResolverTimeout => {
                let span = nonzero(inner, complaints);
                resolver_timeout = complaints.note(span);
                continue;
            }
            UpstreamWord::LeastConn | UpstreamWord::IpHash | UpstreamWord::Random | UpstreamWord::Hash => {}
        }
        let understood = complaints.note(self::rule(word, inner));
        if rule.is_some() {
            complaints.push(Complaint::of(inner, "load balancing method redefined").warning());
        }
        rule = understood.or(rule);
    }
    let rule = rule.unwrap_or_default();
    if let (Rule::IpHash | Rule::Hash { .. } | Rule::Random { .. }, Some((inner, word))) = (rule, backup) {
        let message = r#"balancing method does not support parameter "backup""#;
        complaints.push(Complaint::of(inner, message).under(word.span));
    }
    if !seen.has("server") {
        let end = directive.block.as_ref().map_or(directive.end, |block| block.end);
        let complaint = Complaint::at(end, "no servers are inside upstream").under(directive.name.span);
        return Err(complaint);
    }
    if names.is_empty() {
        for inner in inside(directive).iter().filter(|inner| inner.shown().starts_with("resolver")) {
            let message =
                format!("\"{}\" has no effect without a server that is to \"resolve\"", inner.shown());
            complaints.push(Complaint::of(inner, message).warning());
        }
    }
    let (resolver, name_span) = (own_resolver, directive.name.span);
    Ok((name.into(), Group { rule, members, names, resolver, resolver_timeout, name: name_span }))
}

fn rule(word: UpstreamWord, directive: &Directive) -> Result<Rule, Complaint> {
    let words: Vec<_> = directive.args.iter().map(Word::shown).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let unknown = |at: usize| match directive.args.get(at) {
        Some(word) => {
            Complaint::of(directive, format!("invalid parameter \"{}\"", word.shown())).under(word.span)
        }
        None => Complaint::of(directive, "a parameter is missing"),
    };
    match (word, words.as_slice()) {
        (UpstreamWord::LeastConn, _) => Ok(Rule::LeastConn),
        (UpstreamWord::IpHash, _) => Ok(Rule::IpHash),
        (UpstreamWord::Random, []) => Ok(Rule::Random { two: false }),
        (UpstreamWord::Random, ["two"] | ["two", "least_conn"]) => Ok(Rule::Random { two: true }),
        (UpstreamWord::Random, ["two", _]) => Err(unknown(1).label("`least_conn`")),
        (UpstreamWord::Random, _) => Err(unknown(0).label("`two`")),
        (UpstreamWord::Hash, [key, rest @ ..]) => {
            let key = match *key {
                "$remote_addr" => Key::Address,
                "$remote_user" => Key::Login,
                _ => return Err(unknown(0).label("`$remote_addr` or `$remote_user`")),
            };
            match rest {
                [] => Ok(Rule::Hash { key, consistent: false }),
                ["consistent"] => Ok(Rule::Hash { key, consistent: true }),
                _ => Err(unknown(1).label("`consistent`")),
            }
        }
        (
            UpstreamWord::Hash
            | UpstreamWord::Server
            | UpstreamWord::Resolver
            | UpstreamWord::ResolverTimeout,
            _,
        ) => Err(unknown(0)),
    }
}

/// What one `server` comes to.
enum Found {
    /// As many as its name has addresses.
    Members(Vec<(Spot, Member)>),
    /// One or other, as time goes by.
    Name(Renewed),
}

/// One `server`, before which so many members stand.
fn server(
    directive: &Directive,
    before: usize,
    ground: &Ground<'_>,
    complaints: &mut Complaints,
) -> Result<Found, Complaint> {
    let word = argument(directive, 0)?;
    let whole = text(directive, word)?;
    let amiss = |fault: Fault| {
        let message = format!("{fault} in upstream \"{whole}\"");
        Complaint::of(directive, message).under(word.span)
    };
    let refused = |fault: Fault| amiss(fault).hint(fault.hint(&whole));
    let mut model = Member::new(Server { address: Address::Unix("".into()), name: None });
    let mut resolve = None;
    for word in directive.args.iter().skip(1) {
        if &*word.text == b"resolve" {
            resolve = Some(word);
            continue;
        }
        parameter(&mut model, word).map_err(|label| {
            let message = format!("invalid parameter \"{}\"", word.shown());
            Complaint::of(directive, message).under(word.span).label(label)
        })?;
    }
    if let Some(resolve) = resolve {
        if let Some((host, spot, port)) = named(&whole).map_err(refused)? {
            let addresses = addresses_of(host, ground.surroundings);
            if addresses.is_empty() {
                let complaint = amiss(Fault::HostNotFound).warning();
                complaints.push(complaint.hint("it is looked up again as long as Gatepost serves"));
            }
            let said = Said { end: directive.end, words: resolve.span };
            let host = Arc::from(host);
            return Ok(Found::Name(Renewed { host, spot, port, model, before, addresses, said }));
        }
        let complaint = Complaint::of(directive, "\"resolve\" has no effect on what is no name").warning();
        complaints.push(complaint.under(resolve.span));
    }
    let servers = places(&whole, ground).map_err(refused)?;
    let member = |(spot, server)| (spot, Member { server, ..model.clone() });
    Ok(Found::Members(servers.into_iter().map(member).collect()))
}

/// Takes in what stands behind a server's address.
fn parameter(member: &mut Member, word: &Word) -> Result<(), &'static str> {
    let shown = word.shown();
    let number = |digits_: &str| digits(digits_.as_bytes()).and_then(|number| u32::try_from(number).ok());
    match shown.split_once('=') {
        Some(("weight", weight)) => {
            member.weight = number(weight).filter(|&weight| weight > 0).ok_or("a number from 1")?;
        }
        Some(("max_conns", most)) => member.max_conns = number(most).ok_or("a number")?,
        Some(("max_fails", most)) => member.max_fails = number(most).ok_or("a number")?,
        Some(("fail_timeout", span)) => {
            let seconds = parse_seconds(span.as_bytes()).ok_or("seconds, or a span such as `1m30s`")?;
            member.fail_timeout = Duration::from_secs(seconds);
        }
        None if shown == "backup" => member.backup = true,
        None if shown == "down" => member.down = true,
        _ => {
            return Err(
                "`weight=`, `max_conns=`, `max_fails=`, `fail_timeout=`, `backup`, `down` or `resolve`",
            );
        }
    }
    Ok(())
}

/// What `host`, `host:port` or `unix:path` stands for; never nothing.
fn places(text: &str, ground: &Ground<'_>) -> Result<Vec<(Spot, Server)>, Fault> {
    if let Some(path) = text.strip_prefix("unix:") {
        let address = Address::Unix(unix_path(path)?.into());
        return Ok(vec![(Spot::Whole, Server { address, name: None })]);
    }
    let (host, port_text) = split(text)?;
    let (spot, port) = match port_text {
        Some(text) => (Spot::Whole, port(text)?),
        None => (Spot::Portless, 0),
    };
    let (found, name) = match host {
        Host::Any("") => return Err(Fault::NoHost),
        Host::Any(_) => return Err(Fault::HostNotFound),
        Host::Ip(ip) => (vec![ip], None),
        Host::Name(name) => (addresses_of(name, ground.surroundings), Some(Arc::from(name))),
    };
    if found.is_empty() {
        return Err(Fault::HostNotFound);
    }
    let server = |ip| {
        let address = SocketAddr::new(ip, port).into();
        (spot.clone(), Server { address, name: name.clone() })
    };
    Ok(found.into_iter().map(server).collect())
}

/// The server at this port, if it has none of its own.
fn settled(spot: &Spot, server: &Server, port: u16) -> Server {
    let address = match (spot, &server.address) {
        (Spot::Portless, Address::Inet(address)) => SocketAddr::new(address.ip(), port).into(),
        (_, address) => address.clone(),
    };
    Server { address, name: server.name.clone() }
}

/// The groups at work, where a server without a port has this one.
pub(super) fn at_port(groups: &Groups, port: u16, mail: &Scope) -> Upstreams {
    let at_work = |group: &Group| {
        let members = group
            .members
            .iter()
            .map(|(spot, member)| Member { server: settled(spot, &member.server, port), ..member.clone() });
        let settings = Settings { rule: group.rule, members: members.collect() };
        let timeout = group.resolver_timeout.or(mail.resolver_timeout).unwrap_or(RESOLVER_TIMEOUT);
        let names = match group.resolver.as_ref().or(mail.resolver.as_ref()) {
            Some(Resolver::Ask(resolver)) => {
                group.names.iter().map(|name| name.at_work(port, resolver, timeout))
            }
            _ => return Arc::new(Upstream::new(&settings)),
        };
        Arc::new(Upstream::with_names(&settings, names.collect()))
    };
    groups.iter().map(|(name, group)| (name.clone(), at_work(group))).collect()
}

/// What `proxy_pass` may name beside a group: an address, or a name that is as good as a group of all its addresses.
pub(super) fn outright(text: &str, protocol: Protocol, ground: &Ground<'_>) -> Result<Vec<Server>, Fault> {
    let places = places(text, ground)?;
    Ok(places.iter().map(|(spot, server)| settled(spot, server, port_of(protocol))).collect())
}
