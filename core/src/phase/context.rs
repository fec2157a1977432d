//! What every phase can see, and the little of it that outlives a phase.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};

use crate::action::Actions;
use crate::event::TlsFacts;
use crate::facts::{Facts, LimitStatus};
use crate::phase::HostName;
use crate::policy::{Lingering, Mechanism, Policy, Protocol, StartTls};
use crate::proxy::Proxied;
use crate::report::{self, Activity, Notice, Report};
use crate::sasl::salt::{Salt, Salts};
use crate::session::{Client, Seed};
use crate::time::Instant;
use crate::wire::{Address, Peer};

/// What is true of the client's connection whatever the phase. Nothing in here comes from what the client said in clear but for counts
/// of it, so it may outlive STARTTLS (policy P14).
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
pub(crate) struct Connection {
    client: Client,
    /// The client's address where a trusted PROXY header tells another than the peer's.
    real_address: Option<Address>,
    proxied: Option<Proxied>,
    host: HostName,
    tls: Option<Box<TlsFacts>>,
    /// Whether STARTTLS was accepted.
    starttls: bool,
    salts: Salts,
    /// The timestamp in POP3's greeting, which stands for the whole connection (RFC 1939 section 7).
    timestamp: Option<Salt>,
    activity: Activity,
    login: Option<Arc<[u8]>>,
    /// The last login that was tried, refused or not, and how.
    tried: Option<Arc<[u8]>>,
    method: Option<&'static str>,
    upstream: Option<Address>,
    limit: Option<LimitStatus>,
    /// Whether it was sent away before it was greeted, for what it is and not for what it did.
    turned_away: bool,
    /// Logins asked of the auth server: `Auth-Login-Attempt`.
    attempts: u32,
    /// Malformed commands: `max_errors`.
    errors: u32,
    /// Well-formed commands: `max_commands`.
    commands: u32,
    #[cfg(planted = "credentials-reused")]
    password: Option<crate::secret::Secret>,
}

impl Connection {
    pub(crate) fn new(client: Client, seed: &Seed) -> Self {
        Self {
            client,
            real_address: None,
            proxied: None,
            host: HostName::default(),
            tls: None,
            starttls: false,
            salts: Salts::new(seed),
            timestamp: None,
            activity: Activity::SendingGreeting,
            login: None,
            tried: None,
            method: None,
            upstream: None,
            limit: None,
            turned_away: false,
            attempts: 0,
            errors: 0,
            commands: 0,
            #[cfg(planted = "credentials-reused")]
            password: None,
        }
    }
}

#[cfg(feature = "fuzzing")]
impl Connection {
    /// Hashes what actions depend on: not what is only told in [`Facts`], nor how many commands and errors there were as long as more
    /// of them are left than an exploration has.
    pub(crate) fn hash_under<H: core::hash::Hasher>(&self, policy: &Policy, state: &mut H) {
        use core::hash::Hash;
        const MANY: u32 = 64;
        let Self {
            client,
            real_address,
            proxied,
            host,
            tls,
            starttls,
            salts,
            timestamp,
            activity,
            login,
            tried: _,
            method: _,
            upstream,
            limit: _,
            turned_away: _,
            attempts: _,
            errors,
            commands,
            #[cfg(planted = "credentials-reused")]
            password,
        } = self;
        (client, real_address, proxied, host, tls, starttls).hash(state);
        (salts, timestamp, activity, login, upstream).hash(state);
        policy.errors_max.saturating_sub(*errors).min(MANY).hash(state);
        policy.commands_max.saturating_sub(*commands).min(MANY).hash(state);
        #[cfg(planted = "credentials-reused")]
        password.hash(state);
    }
}

impl Connection {
    /// Everything that is known.
    pub(crate) fn facts(&self, policy: &Arc<Policy>) -> Facts {
        Facts {
            policy: policy.clone(),
            client: self.client.clone(),
            address: self.client_address().clone(),
            proxied: self.proxied.clone(),
            host: self.host.as_str().into(),
            tls: self.tls.as_deref().cloned(),
            starttls: self.starttls,
            login: self.tried.clone(),
            method: self.method,
            attempts: self.attempts,
            limit: self.limit,
            upstream: self.upstream.clone(),
        }
    }

    /// How the client's connection is closed. Whoever is turned away would otherwise have a connection of ours for as long as it likes to
    /// linger, and for nothing.
    pub(crate) const fn lingering(&self, policy: &Policy) -> Lingering {
        match self.turned_away {
            true => Lingering { close: false, ..policy.lingering },
            false => policy.lingering,
        }
    }

    fn client_address(&self) -> &Address {
        self.real_address.as_ref().unwrap_or(&self.client.peer.remote)
    }
}

/// What a phase is given with each event.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) now: Instant,
    pub(crate) connection: &'a mut Connection,
}

impl Context<'_> {
    /// The client's address.
    pub(crate) fn client(&self) -> &Address {
        self.connection.client_address()
    }

    /// The connection as accepted, whoever it was made for.
    pub(crate) const fn peer(&self) -> &Peer {
        &self.connection.client.peer
    }

    /// What a PROXY header said.
    pub(crate) const fn proxied(&self) -> Option<&Proxied> {
        self.connection.proxied.as_ref()
    }

    /// A PROXY header has come. Where its sender is trusted, the client is who it says.
    pub(crate) fn introduced(&mut self, proxied: Proxied) {
        let peer = &self.connection.client.peer.remote;
        if self.policy.real_ip_from.iter().any(|trusted| trusted.includes(peer)) {
            let address =
                proxied.source.parse().ok().map(|ip| SocketAddr::new(ip, proxied.source_port).into());
            self.connection.real_address = address;
        }
        self.connection.proxied = Some(proxied);
    }

    /// Whether a PROXY header comes first of all.
    pub(crate) const fn proxy_header_first(&self) -> bool {
        self.connection.client.proxy_protocol
    }

    /// The client's verified host name, as far as it is known.
    pub(crate) fn client_host(&self) -> &str {
        self.connection.host.as_str()
    }

    /// The client's name was looked for.
    pub(crate) fn host_is(&mut self, host: HostName) {
        self.connection.host = host;
    }

    /// Whether TLS comes before the greeting.
    pub(crate) const fn tls_first(&self) -> bool {
        self.connection.client.tls_first
    }

    pub(crate) const fn tls(&self) -> Option<&TlsFacts> {
        match &self.connection.tls {
            Some(facts) => Some(facts),
            None => None,
        }
    }

    /// Whether `name` is one of ours: `server_name`, or the one that the client asked for in its handshake.
    pub(crate) fn is_called(&self, name: &[u8]) -> bool {
        let asked_for = self.tls().and_then(|facts| facts.server_name.as_deref());
        let own = [Some(&*self.policy.server_name), asked_for];
        own.into_iter().flatten().any(|own| own.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether `port` is where the client has come: to us, or to whoever sent its PROXY header.
    pub(crate) fn is_reached_at(&self, port: &[u8]) -> bool {
        let Some(port) = str::from_utf8(port).ok().and_then(|port| port.parse::<u16>().ok()) else {
            return false;
        };
        let ours = match &self.peer().local {
            Address::Inet(address) => Some(address.port()),
            Address::Unix(_) => None,
        };
        let theirs = self.proxied().map(|proxied| proxied.destination_port);
        ours == Some(port) || theirs == Some(port)
    }

    /// Whether the client speaks to us under TLS.
    pub(crate) const fn has_tls(&self) -> bool {
        self.connection.tls.is_some()
    }

    /// Whether nothing goes on without TLS but the way to it, mail included (`starttls only`).
    pub(crate) const fn demands_tls(&self) -> bool {
        matches!(self.policy.starttls, StartTls::Only) && !self.has_tls()
    }

    /// Whether a secret may not be told as things are: where TLS is demanded, or `plaintext_auth` is off and the secret would cross
    /// a network (divergences S12).
    pub(crate) fn demands_tls_for_secrets(&self) -> bool {
        self.demands_tls() || !self.policy.plaintext_auth && !self.has_tls() && !self.is_local()
    }

    /// Whether the client is on this machine: whoever connected is, and so is whoever a PROXY header says it speaks for, believed
    /// or not.
    fn is_local(&self) -> bool {
        let is_local = |ip: IpAddr| ip.to_canonical().is_loopback();
        let behind = self.proxied().and_then(|proxied| proxied.source.parse().ok());
        self.peer().remote.ip().is_none_or(is_local) && behind.is_none_or(is_local)
    }

    /// Whether the connection is such that `mechanism` may be used on it (decision 11). A bearer token is good for whoever reads it
    /// (RFC 7628 section 3), and EXTERNAL without a certificate proves nothing (RFC 8314 section 4.2).
    pub(crate) fn is_secure_enough_for(&self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::XOauth2 | Mechanism::OauthBearer => self.has_tls(),
            Mechanism::External => self.tls().is_some_and(|facts| facts.certificate.is_some()),
            Mechanism::Plain | Mechanism::Login | Mechanism::CramMd5 | Mechanism::Apop => {
                !self.demands_tls_for_secrets()
            }
        }
    }

    /// Whether `mechanism` may be used at all: if it is listed, and PLAIN and LOGIN also if they are not (divergences D22), unless the
    /// list is meant literally (`auth_strict`). `pop3_auth` has no word `login`: its `plain` is both.
    pub(crate) fn takes(&self, mechanism: Mechanism) -> bool {
        let listed = |mechanism| self.policy.mechanisms.has(mechanism);
        match mechanism {
            Mechanism::Plain | Mechanism::Login if !self.policy.auth_strict => true,
            Mechanism::Login if self.policy.protocol == Protocol::Pop3 => listed(Mechanism::Plain),
            listable => listed(listable),
        }
    }

    /// Whether the protocol's own way to give a password is refused as things are: IMAP's LOGIN, POP3's USER and PASS. It counts as
    /// PLAIN.
    pub(crate) fn refuses_passwords(&self) -> bool {
        self.demands_tls_for_secrets() || !self.takes(Mechanism::Plain)
    }

    /// STARTTLS is accepted.
    pub(crate) const fn starttls_accepted(&mut self) {
        self.connection.starttls = true;
        self.connection.activity = Activity::StartTls;
    }

    /// TLS is up.
    pub(crate) fn secured(&mut self, facts: TlsFacts) {
        self.connection.tls = Some(Box::new(facts));
    }

    /// Where SASL's challenges come from.
    pub(crate) const fn salts(&mut self) -> &mut Salts {
        &mut self.connection.salts
    }

    /// The greeting's timestamp, drawn now.
    pub(crate) fn draw_timestamp(&mut self) -> &Salt {
        let salt = self.connection.salts.draw(self.now, &self.policy.server_name);
        self.connection.timestamp.insert(salt)
    }

    /// The greeting's timestamp, if it had one.
    pub(crate) const fn timestamp(&self) -> Option<&Salt> {
        self.connection.timestamp.as_ref()
    }

    /// What the log says the session is doing, from now on.
    pub(crate) const fn doing(&mut self, activity: Activity) {
        self.connection.activity = activity;
    }

    /// Whose login is under way, for the log.
    pub(crate) fn login_is(&mut self, login: &Arc<[u8]>) {
        self.connection.login = Some(login.clone()).filter(|login| !login.is_empty());
        self.connection.tried.clone_from(&self.connection.login);
    }

    /// How the login is tried, as `Auth-Method` says it.
    pub(crate) const fn method_is(&mut self, method: &'static str) {
        self.connection.method = Some(method);
    }

    /// The login was refused; the next line is nobody's.
    pub(crate) fn forget_login(&mut self) {
        self.connection.login = None;
    }

    /// Which backend was chosen, for the log.
    pub(crate) fn upstream_is(&mut self, backend: &Address) {
        self.connection.upstream = Some(backend.clone());
    }

    /// No backend is chosen, or no more.
    pub(crate) fn forget_upstream(&mut self) {
        self.connection.upstream = None;
    }

    /// What has come of `limit_conn`. That there was no place once is not forgotten when there is one later.
    pub(crate) fn limited(&mut self, status: LimitStatus) {
        if matches!(self.connection.limit, None | Some(LimitStatus::Passed)) {
            self.connection.limit = Some(status);
        }
    }

    /// The client will not be greeted.
    pub(crate) const fn turn_away(&mut self) {
        self.connection.turned_away = true;
    }

    /// One more login attempt; tells its number.
    pub(crate) const fn count_attempt(&mut self) -> u32 {
        if !cfg!(planted = "attempt-not-counted") || self.connection.attempts == 0 {
            self.connection.attempts = self.connection.attempts.saturating_add(1);
        }
        self.connection.attempts
    }

    /// The password of the first attempt, whatever this one's is.
    #[cfg(planted = "credentials-reused")]
    pub(crate) fn first_password(&mut self, password: &crate::secret::Secret) -> crate::secret::Secret {
        self.connection.password.get_or_insert_with(|| password.clone()).clone()
    }

    /// One more malformed command; tells whether it is one too many.
    pub(crate) const fn count_error(&mut self) -> bool {
        self.connection.errors = self.connection.errors.saturating_add(1);
        self.connection.errors >= self.policy.errors_max
    }

    /// One more well-formed command; tells whether it is one too many.
    pub(crate) const fn count_command(&mut self) -> bool {
        self.connection.commands = self.connection.commands.saturating_add(1);
        self.connection.commands > self.policy.commands_max
    }

    pub(crate) fn report(&self, notice: Notice, out: &mut Actions) {
        out.report(Report { notice, context: self.report_context() });
    }

    /// The circumstances, as a log line tells them.
    pub(crate) fn report_context(&self) -> report::Context {
        let connection = &*self.connection;
        report::Context {
            activity: Some(connection.activity),
            client: connection.client_address().clone(),
            starttls: connection.starttls,
            listener: connection.client.listener.clone(),
            login: connection.login.clone(),
            upstream: connection.upstream.clone(),
        }
    }
}
