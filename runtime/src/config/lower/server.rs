//! A whole `mail {}` to the servers it describes: what is inherited, what is missing (config.md 3 and 4).

use std::collections::BTreeMap;
use std::sync::Arc;

use gatepost_core::{Access, AuthServer, Policy, Protocol, Target};

use super::limits::{self, Limits};
use super::listen::Listen;
use super::resolver::{RESOLVER_TIMEOUT, Resolver};
use super::scope::Scope;
use super::upstream::{at_port, check_resolvers};
use super::{
    Ground, Mail, Seen, access_log, auth_http, auth_http_ssl, auth_users, certificates, log, methods,
};
use super::{proxy_pass, proxy_ssl};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::source::Span;
use crate::config::tree::Mark;
use crate::config::{Keepalive, LogTarget, Server};
use crate::resolve;
use crate::upstream::{Upstreams, port_of};

/// A `server {}` as read.
#[derive(Debug)]
pub(super) struct Block {
    /// What it says itself.
    pub(super) scope: Scope,
    /// `protocol`.
    pub(super) protocol: Option<Protocol>,
    /// What its protocol is if neither it nor a port says so.
    pub(super) protocol_if_unsaid: Option<Protocol>,
    /// Its `listen`s, those that were understood.
    pub(super) listens: Vec<Listen>,
    /// Which directives it has, understood or not.
    pub(super) seen: Seen,
    /// The word `server`, which is underlined when something is missing in here.
    pub(super) name: Span,
    /// The `{`, whose line nginx names then, and the moment nginx notices.
    pub(super) mark: Mark,
}

/// Makes servers of what was read. Complaints come in the order of nginx's: it looks through all servers for one
/// thing before it looks through all for the next.
pub(super) fn servers(
    mail: &Mail,
    main_logs: &Arc<[LogTarget]>,
    ground: &Ground<'_>,
    complaints: &mut Complaints,
) -> Vec<Server> {
    let Mail { scope: mail, formats, seen: mail_seen, blocks, upstreams: groups, zones, .. } = mail;
    mail.limits.check(zones, complaints);
    blocks.iter().for_each(|block| block.scope.limits.check(zones, complaints));
    let protocols: Vec<_> = blocks.iter().map(|block| protocol(block, complaints)).collect();
    let mut tls = Vec::new();
    for (block, &protocol) in blocks.iter().zip(&protocols) {
        let wanted = certificates::wanted(block, mail).named();
        let made = protocol.zip(wanted).and_then(|(protocol, wanted)| {
            let made = certificates::load(block, mail, blocks, protocol, wanted, ground, complaints);
            complaints.note(made)
        });
        tls.push(made);
    }
    methods::remark(mail, blocks, &protocols, complaints);
    let mut backend_tls = Vec::new();
    for (block, &protocol) in blocks.iter().zip(&protocols) {
        let made = protocol.map(|protocol| proxy_ssl::load(block, &mail.proxy_ssl, protocol, ground));
        backend_tls.push(made.and_then(|made| complaints.note(made)).flatten());
    }
    let (mut auth_tls, mut inherited) = (Vec::new(), None);
    for block in blocks {
        auth_tls.push(complaints.note(auth_http_ssl::load(block, mail, &mut inherited, ground)).flatten());
    }
    auth_http_ssl::warn_of_no_use(mail, blocks, complaints);
    let mut servers = Vec::new();
    let mut upstreams = BTreeMap::new();
    let mut users_files = auth_users::Files::new(ground);
    auth_users::check_inherited(mail, mail_seen, blocks, complaints);
    check_resolvers(groups, mail, complaints);
    let auth_upstreams = Arc::new(auth_http::groups(groups, mail));
    let inherited_access_logs = access_log::targets(&mail.access_logs, formats, complaints);
    let prepared = tls.into_iter().zip(backend_tls).zip(auth_tls);
    for ((block, protocol), ((tls, backend_tls), auth_tls)) in blocks.iter().zip(protocols).zip(prepared) {
        let users_file = auth_users::named(block, mail);
        let users = users_file.map(|file| users_files.users(file, block, complaints));
        let auth = match &users {
            Some(users) => users.as_deref().map(|users| Some(auth_users::server(users))),
            None => auth_server(block, mail, mail_seen, complaints),
        };
        let (Some(auth), users) = (auth, users.flatten()) else { continue };
        let auth = auth.map(|auth| counted(auth, &auth_upstreams));
        auth_http::check(auth.as_ref(), block, mail, groups, complaints);
        let Some(protocol) = protocol else { continue };
        let known = upstreams.entry(protocol).or_insert_with(|| at_port(groups, port_of(protocol), mail));
        let pass = effective(block.scope.proxy_pass.as_ref(), mail.proxy_pass.as_ref());
        let pass = pass.map(|pass| pass.target(protocol, known, block, ground)).transpose();
        let Some(pass) = complaints.note(pass) else { continue };
        if let Some((users, file)) = users.as_deref().zip(users_file) {
            auth_users::check(users, file, (block, protocol), pass.is_some(), mail, complaints);
            Limits::warn_of_headers(&block.scope.limits, &mail.limits, zones, complaints);
        }
        proxy_pass::check_alone(auth.as_ref(), protocol, block, mail, complaints);
        let logs = match (&block.scope.logs, &mail.logs) {
            (own, _) if !own.is_empty() => own.as_slice().into(),
            (_, inherited) if !inherited.is_empty() => inherited.as_slice().into(),
            _ => Arc::clone(main_logs),
        };
        let access_logs = match block.scope.access_logs.as_slice() {
            [] => inherited_access_logs.clone(),
            own => access_log::targets(own, formats, complaints),
        };
        let tls_first = effective(block.scope.ssl, mail.ssl).is_some_and(|(on, _)| on);
        let keepalive = effective(block.scope.keepalive, mail.keepalive) == Some(true);
        let mut listeners = Vec::new();
        for listen in &block.listens {
            listeners.extend(listen.listeners.iter().cloned().map(|mut listener| {
                listener.tls_first |= tls_first;
                if keepalive && !listen.says_keepalive {
                    listener.keepalive = Some(Keepalive::default());
                }
                listener
            }));
        }
        let resolver = resolver(&block.scope, mail);
        let mut policy = policy(protocol, &block.scope, mail, zones, auth, ground);
        if let (Some(_), Some(auth)) = (&users, &mut policy.auth) {
            auth_users::leave_out_what_only_servers_hear(auth);
        }
        policy.backend.pass = pass;
        policy.backend.tls_configured = backend_tls.is_some();
        policy.upstreams =
            Arc::new(groups.keys().map(|name| (name.clone(), servers_of(known, name))).collect());
        let resolver_timeout =
            effective(block.scope.resolver_timeout, mail.resolver_timeout).unwrap_or(RESOLVER_TIMEOUT);
        policy.backend.resolve_timeout = resolver_timeout;
        // Only SMTP asks for the names of clients.
        policy.resolver_timeout =
            (protocol == Protocol::Smtp && resolver.is_some()).then_some(resolver_timeout);
        warn_of_chunking(&policy, &block.scope, mail, complaints);
        limits::warn_of_one_address(&policy, &block.listens, complaints);
        let policy = Arc::new(policy);
        let upstreams = Arc::default();
        let auth_upstreams = auth_upstreams.clone();
        servers.push(Server {
            policy,
            tls,
            backend_tls,
            auth_tls,
            upstreams,
            auth_upstreams,
            users,
            resolver,
            logs,
            access_logs,
            listeners,
        });
    }
    // Every `proxy_pass` has added what it needs.
    let upstreams: BTreeMap<_, _> =
        upstreams.into_iter().map(|(protocol, known)| (protocol, Arc::new(known))).collect();
    for server in &mut servers {
        server.upstreams = upstreams.get(&server.policy.protocol).cloned().unwrap_or_default();
    }
    servers
}

/// An auth server that is a group knows now how many it has.
fn counted(mut auth: AuthServer, upstreams: &Upstreams) -> AuthServer {
    for url in &mut auth.urls {
        if let Target::Group(group) = &mut url.target {
            group.servers = servers_of(upstreams, &group.name);
        }
    }
    auth
}

fn servers_of(upstreams: &Upstreams, name: &str) -> usize {
    upstreams.get(name).map_or(0, |upstream| upstream.servers())
}

/// Where lines go that belong to no server.
pub(super) fn main_logs(logs: Vec<LogTarget>, ground: &Ground<'_>) -> Arc<[LogTarget]> {
    match logs.is_empty() {
        true => Arc::new([log::default_target(ground.error_log)]),
        false => logs.into(),
    }
}

/// What counts of a setting that both blocks may have.
pub(super) fn effective<T>(own: Option<T>, inherited: Option<T>) -> Option<T> {
    own.or(inherited)
}

/// `protocol`, or what the first telling port stands for.
fn protocol(block: &Block, complaints: &mut Complaints) -> Option<Protocol> {
    let ports = block.listens.iter().filter_map(|listen| listen.listeners.first());
    let by_port = ports.filter_map(|listener| by_port(listener.address.inet()?.port())).next();
    let meant = block.protocol.or(by_port).or(block.protocol_if_unsaid);
    let protocol = meant.filter(|protocol| protocol.is_built());
    // Whoever wrote a wrong `protocol` or `listen` has been told about that.
    let faulty = block.seen.has("protocol") || block.seen.count("listen") > block.listens.len();
    if protocol.is_none() && !faulty {
        let complaint = Complaint::at(block.mark, "unknown mail protocol for server").under(block.name);
        complaints.push(match meant {
            Some(protocol) => complaint.label(format!(
                "its port is for `{}`, which this Gatepost was built without",
                protocol.name()
            )),
            None => complaint.hint("add `protocol imap;`, `protocol pop3;` or `protocol smtp;`"),
        });
    }
    protocol
}

const fn by_port(port: u16) -> Option<Protocol> {
    match port {
        143 | 993 => Some(Protocol::Imap),
        110 | 995 => Some(Protocol::Pop3),
        25 | 465 | 587 => Some(Protocol::Smtp),
        _ => None,
    }
}

/// The auth server, or that there is none because the backend decides. `None` if that is nobody's wish.
fn auth_server(
    block: &Block,
    mail: &Scope,
    mail_seen: &Seen,
    complaints: &mut Complaints,
) -> Option<Option<AuthServer>> {
    let auth = effective(block.scope.auth_http.as_ref(), mail.auth_http.as_ref()).cloned();
    let has = |name| block.seen.has(name) || mail_seen.has(name);
    if auth.is_some() || (has("proxy_pass") && !has("auth_http")) {
        return Some(auth);
    }
    if !has("auth_http") && !has("auth_users") {
        let message = r#"no "auth_http" is defined for server"#;
        let complaint = Complaint::at(block.mark, message).under(block.name);
        complaints.push(complaint.hint(r#"set "auth_http", "auth_users" or "proxy_pass""#));
    }
    None
}

/// Whom to ask for the names of backends, and of SMTP clients.
fn resolver(own: &Scope, mail: &Scope) -> Option<resolve::Settings> {
    match effective(own.resolver.as_ref(), mail.resolver.as_ref()) {
        Some(Resolver::Ask(settings)) => Some(settings.clone()),
        _ => None,
    }
}

fn policy(
    protocol: Protocol,
    own: &Scope,
    mail: &Scope,
    zones: &limits::Zones,
    auth: Option<AuthServer>,
    ground: &Ground<'_>,
) -> Policy {
    let name = own.server_name.as_deref().or(mail.server_name.as_deref());
    let name = name.map_or_else(|| ground.surroundings.host_name(), str::to_owned);
    let mut policy = Policy::new(protocol, &name, auth);
    let trusted = if own.real_ip_from.is_empty() { &mail.real_ip_from } else { &own.real_ip_from };
    policy.real_ip_from.clone_from(trusted);
    policy.access = Access(if own.access.is_empty() { &mail.access } else { &own.access }.clone());
    policy.conn_limits = Limits::conn_limits(&own.limits, &mail.limits, zones);
    policy.rate = Limits::rate(&own.limits, &mail.limits);
    choose(&mut policy.timeout, own.timeout, mail.timeout);
    choose(&mut policy.greeting_delay, own.greeting_delay, mail.greeting_delay);
    choose(&mut policy.lingering.close, own.lingering_close, mail.lingering_close);
    choose(&mut policy.lingering.time, own.lingering_time, mail.lingering_time);
    choose(&mut policy.lingering.silence, own.lingering_timeout, mail.lingering_timeout);
    choose(&mut policy.errors_max, own.errors_max, mail.errors_max);
    choose(&mut policy.commands_max, own.commands_max, mail.commands_max);
    let starttls = |scope: &Scope| scope.starttls.map(|(starttls, _)| starttls);
    choose(&mut policy.starttls, starttls(own), starttls(mail));
    let verify = |scope: &Scope| scope.verify_client.map(|(verify, _)| verify);
    choose(&mut policy.verify_client, verify(own), verify(mail));

    fn of<T: Clone>(map: &BTreeMap<Protocol, T>, protocol: Protocol) -> Option<T> {
        map.get(&protocol).cloned()
    }
    let (own_size, mail_size) =
        (of(&own.client_buffer_bytes, protocol), of(&mail.client_buffer_bytes, protocol));
    choose(&mut policy.client_buffer_bytes, own_size, mail_size);
    if protocol == Protocol::Pop3 && Limits::are_in_use(&own.limits, &mail.limits) {
        // What is promised where nothing else is said, as by freenginx: it is how clients tell the refusal from a wrong password.
        policy.capabilities.push("RESP-CODES".into());
    }
    choose(&mut policy.capabilities, of(&own.capabilities, protocol), of(&mail.capabilities, protocol));
    if let Some(methods) = effective(of(&own.methods, protocol), of(&mail.methods, protocol)) {
        policy.mechanisms = methods.mechanisms;
        policy.unauthenticated = methods.none.is_some();
    }
    choose(&mut policy.auth_strict, own.auth_strict, mail.auth_strict);
    let plaintext = |scope: &Scope| scope.plaintext_auth.map(|(plaintext, _)| plaintext);
    choose(&mut policy.plaintext_auth, plaintext(own), plaintext(mail));

    // Without an auth server the backend decides, and the client has to hear what it says (divergences R6).
    (policy.backend.pass_error_message, policy.backend.smtp_auth) =
        (policy.auth.is_none(), policy.auth.is_none());
    if let Some(auth) = &mut policy.auth {
        choose(&mut auth.timeout, own.auth_http_timeout, mail.auth_http_timeout);
        let headers =
            if own.auth_http_headers.is_empty() { &mail.auth_http_headers } else { &own.auth_http_headers };
        auth.headers.clone_from(headers);
        choose(&mut auth.pass_client_cert, own.pass_client_cert, mail.pass_client_cert);
        choose(&mut auth.keepalive, own.auth_http_keepalive, mail.auth_http_keepalive);
        auth_http_ssl::name(auth, &own.auth_http_ssl, &mail.auth_http_ssl);
    }

    let backend = &mut policy.backend;
    choose(&mut backend.buffer_bytes, own.proxy_buffer_bytes, mail.proxy_buffer_bytes);
    backend.connect_timeout = effective(own.connect_timeout, mail.connect_timeout);
    choose(&mut backend.idle_timeout, own.proxy_timeout, mail.proxy_timeout);
    choose(&mut backend.pass_error_message, own.pass_error_message, mail.pass_error_message);
    choose(&mut backend.xclient, own.xclient, mail.xclient);
    choose(&mut backend.smtp_auth, own.smtp_auth, mail.smtp_auth);
    let oauth = |scope: &Scope| scope.oauth.map(|(oauth, _)| oauth);
    choose(&mut backend.oauth, oauth(own), oauth(mail));
    let pipelining = |scope: &Scope| scope.pipelining.map(|(pipelining, _)| pipelining);
    choose(&mut backend.pipelining, pipelining(own), pipelining(mail));
    choose(&mut backend.keepalive, own.keepalive, mail.keepalive);
    choose(&mut backend.tls, own.proxy_ssl.mode, mail.proxy_ssl.mode);
    let name = effective(own.proxy_ssl.client.name.as_ref(), mail.proxy_ssl.client.name.as_ref());
    backend.tls_name = name.cloned();
    choose(&mut backend.proxy_header, own.proxy_header, mail.proxy_header);
    policy
}

/// CHUNKING is the backend's to offer. To a client that never logs in we are the server for as long as it has named no
/// recipient, and BDAT is refused till then.
fn warn_of_chunking(policy: &Policy, own: &Scope, mail: &Scope, complaints: &mut Complaints) {
    let listed = if own.capabilities.contains_key(&Protocol::Smtp) { own.chunking } else { mail.chunking };
    if let (Protocol::Smtp, true, Some(said)) = (policy.protocol, policy.unauthenticated, listed) {
        let message = r#"CHUNKING in "smtp_capabilities" is not supported yet under "smtp_auth none""#;
        let complaint = Complaint::at(said.end, message).under(said.words).warning();
        complaints.push(complaint.hint("without a login, BDAT is not passed on"));
    }
}

/// Puts what counts into `default`'s place, if anything was said.
fn choose<T>(default: &mut T, own: Option<T>, inherited: Option<T>) {
    if let Some(said) = effective(own, inherited) {
        *default = said;
    }
}
