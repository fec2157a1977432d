//! What every phase can see, and the little of it that outlives a phase.

use alloc::sync::Arc;

use crate::action::Actions;
use crate::event::TlsFacts;
use crate::policy::{Policy, StartTls};
use crate::report::{self, Activity, Notice, Report};
use crate::sasl::salt::{Salt, Salts};
use crate::session::{Client, Seed};
use crate::time::Instant;
use crate::wire::Address;

/// What is true of the client's connection whatever the phase. Nothing in here comes from what the client said in clear but for counts
/// of it, so it may outlive STARTTLS (policy P14).
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    tls: Option<TlsFacts>,
    /// Whether STARTTLS was accepted.
    starttls: bool,
    salts: Salts,
    /// The timestamp in POP3's greeting, which stands for the whole connection (RFC 1939 section 7).
    timestamp: Option<Salt>,
    activity: Activity,
    login: Option<Arc<[u8]>>,
    upstream: Option<Address>,
    /// Logins asked of the auth server: `Auth-Login-Attempt`.
    attempts: u32,
    /// Malformed commands: `max_errors`.
    errors: u32,
    /// Well-formed commands: `max_commands`.
    commands: u32,
}

impl Connection {
    pub(crate) fn new(client: Client, seed: &Seed) -> Self {
        Self {
            client,
            tls: None,
            starttls: false,
            salts: Salts::new(seed),
            timestamp: None,
            activity: Activity::SendingGreeting,
            login: None,
            upstream: None,
            attempts: 0,
            errors: 0,
            commands: 0,
        }
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
    pub(crate) const fn client(&self) -> &Address {
        &self.connection.client.peer.remote
    }

    /// The client's verified host name; without a resolver nobody knows it (backend.md 4.4).
    #[expect(
        clippy::unused_self,
        reason = "the name belongs to the connection once there is a resolver to ask"
    )]
    pub(crate) const fn client_host(&self) -> &'static str {
        "[UNAVAILABLE]"
    }

    /// Whether TLS comes before the greeting.
    pub(crate) const fn tls_first(&self) -> bool {
        self.connection.client.tls_first
    }

    pub(crate) const fn tls(&self) -> Option<&TlsFacts> {
        self.connection.tls.as_ref()
    }

    /// Whether the client speaks to us under TLS.
    pub(crate) const fn has_tls(&self) -> bool {
        self.connection.tls.is_some()
    }

    /// Whether a secret may not be told as things are (`starttls only`).
    pub(crate) const fn demands_tls(&self) -> bool {
        matches!(self.policy.starttls, StartTls::Only) && !self.has_tls()
    }

    /// STARTTLS is accepted.
    pub(crate) const fn starttls_accepted(&mut self) {
        self.connection.starttls = true;
        self.connection.activity = Activity::StartTls;
    }

    /// TLS is up.
    pub(crate) fn secured(&mut self, facts: TlsFacts) {
        self.connection.tls = Some(facts);
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
    }

    /// The login was refused; the next line is nobody's.
    pub(crate) fn forget_login(&mut self) {
        self.connection.login = None;
    }

    /// Which backend was chosen, for the log.
    pub(crate) fn upstream_is(&mut self, backend: &Address) {
        self.connection.upstream = Some(backend.clone());
    }

    /// One more login attempt; tells its number.
    pub(crate) const fn count_attempt(&mut self) -> u32 {
        self.connection.attempts = self.connection.attempts.saturating_add(1);
        self.connection.attempts
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
            client: connection.client.peer.remote.clone(),
            starttls: connection.starttls,
            listener: connection.client.listener.clone(),
            login: connection.login.clone(),
            upstream: connection.upstream.clone(),
        }
    }
}
