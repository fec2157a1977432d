//! The table of directives, grouped as config.md does.

use gatepost_core::Protocol::{Imap, Pop3, Smtp};
use gatepost_core::Verdict;

use super::Again::{Adds, Refused, Replaces};
use super::ClientSslWord::{Certificate, CertificateKey, Name, ServerName, TrustedCertificate, Verify};
use super::Fate::{self, Accepted, Honoured, Ineffective};
use super::UpstreamWord::{Hash, IpHash, LeastConn, Random, ResolverTimeout};
use super::{Again, Context, Keyword, LimitWord, ProcessWord, Row, Shape, SslWord, UpstreamWord, Value};

const MAIN: &[Context] = &[Context::Main];
const EVENTS: &[Context] = &[Context::Events];
const MAIL: &[Context] = &[Context::Mail];
const SERVER: &[Context] = &[Context::Server];
const UPSTREAM: &[Context] = &[Context::Upstream];
const BOTH: &[Context] = &[Context::Mail, Context::Server];
const ANY: &[Context] = &[Context::Main, Context::Mail, Context::Server];

const FLAG: Shape = Shape::Flag;
const ONE: Shape = Shape::Args(1, 1);
const TWO: Shape = Shape::Args(2, 2);
/// An `auth_http` URL, and others to be tried where it fails.
const URLS: Shape = Shape::OneOrMore(8);
const SOME: Shape = Shape::Args(1, usize::MAX);

const NO_RESOLUTION: &str = "the clock is read whenever it is needed";
const NO_POOL: &str = "there are no pools of threads";
const NO_ENGINE: &str = "no engine is loaded";
const NO_KEEPALIVE: &str = "a connection to a backend belongs to one session";

const fn row(
    name: &'static str,
    contexts: &'static [Context],
    shape: Shape,
    again: Again,
    fate: Fate,
) -> Row {
    Row { name, contexts, shape, again, fate }
}

/// Every directive there is.
pub(super) const ROWS: &[Row] = &[
    // Outermost.
    row("user", MAIN, Shape::Args(1, 2), Refused, Honoured(Keyword::Process(ProcessWord::User))),
    row("worker_processes", MAIN, ONE, Refused, Honoured(Keyword::WorkerProcesses)),
    row("worker_cpu_affinity", MAIN, SOME, Refused, Honoured(Keyword::Process(ProcessWord::Affinity))),
    row("worker_priority", MAIN, ONE, Refused, Honoured(Keyword::Process(ProcessWord::Priority))),
    row("worker_rlimit_nofile", MAIN, ONE, Refused, Honoured(Keyword::Process(ProcessWord::Descriptors))),
    row("worker_rlimit_core", MAIN, ONE, Refused, Honoured(Keyword::Process(ProcessWord::Core))),
    row("working_directory", MAIN, ONE, Refused, Honoured(Keyword::Process(ProcessWord::Directory))),
    row(
        "worker_shutdown_timeout",
        MAIN,
        ONE,
        Refused,
        Honoured(Keyword::Process(ProcessWord::ShutdownTimeout)),
    ),
    row("daemon", MAIN, FLAG, Refused, Honoured(Keyword::Process(ProcessWord::Daemon))),
    row("master_process", MAIN, FLAG, Refused, Honoured(Keyword::Process(ProcessWord::Master))),
    row("pid", MAIN, ONE, Refused, Honoured(Keyword::Pid)),
    row("lock_file", MAIN, ONE, Refused, Accepted(Value::Any)),
    row("error_log", ANY, SOME, Adds, Honoured(Keyword::ErrorLog)),
    row("env", MAIN, ONE, Adds, Honoured(Keyword::Process(ProcessWord::Environment))),
    row("load_module", MAIN, ONE, Adds, Accepted(Value::Any)),
    row("timer_resolution", MAIN, ONE, Refused, Ineffective(Value::Time, "", NO_RESOLUTION)),
    row("debug_points", MAIN, ONE, Refused, Accepted(Value::DebugPoint)),
    row("thread_pool", MAIN, Shape::Args(2, 3), Adds, Ineffective(Value::Any, "", NO_POOL)),
    row("pcre_jit", MAIN, FLAG, Refused, Accepted(Value::Any)),
    row("ssl_engine", MAIN, ONE, Refused, Ineffective(Value::Any, "", NO_ENGINE)),
    row("google_perftools_profiles", MAIN, ONE, Refused, Accepted(Value::Any)),
    row("ssl_object_cache_inheritable", MAIN, FLAG, Refused, Accepted(Value::Any)),
    row("quic_bpf", MAIN, FLAG, Refused, Accepted(Value::Any)),
    row("events", MAIN, Shape::Block(0), Refused, Honoured(Keyword::Events)),
    row("mail", MAIN, Shape::Block(0), Refused, Honoured(Keyword::Mail)),
    // The reader skips these two where they may stand, so only misplaced ones come to be looked up.
    row("http", MAIN, Shape::Block(0), Refused, Accepted(Value::Any)),
    row("stream", MAIN, Shape::Block(0), Refused, Accepted(Value::Any)),
    // events {}
    row("worker_connections", EVENTS, ONE, Refused, Honoured(Keyword::Process(ProcessWord::Connections))),
    row("multi_accept", EVENTS, FLAG, Refused, Accepted(Value::Any)),
    row("use", EVENTS, ONE, Refused, Accepted(Value::EventMethod)),
    row("accept_mutex", EVENTS, FLAG, Refused, Accepted(Value::Any)),
    row("accept_mutex_delay", EVENTS, ONE, Refused, Accepted(Value::Time)),
    row("worker_aio_requests", EVENTS, ONE, Refused, Accepted(Value::Number)),
    row("epoll_events", EVENTS, ONE, Refused, Accepted(Value::Number)),
    row("debug_connection", EVENTS, ONE, Adds, Honoured(Keyword::Process(ProcessWord::Debugged))),
    // mail {}: the core.
    row("server", MAIL, Shape::Block(0), Adds, Honoured(Keyword::Server)),
    row("listen", SERVER, SOME, Adds, Honoured(Keyword::Listen)),
    row("protocol", SERVER, ONE, Replaces, Honoured(Keyword::Protocol)),
    row("server_name", BOTH, ONE, Refused, Honoured(Keyword::ServerName)),
    row("timeout", BOTH, ONE, Refused, Honoured(Keyword::Timeout)),
    row("max_errors", BOTH, ONE, Refused, Honoured(Keyword::MaxErrors)),
    row("max_commands", BOTH, ONE, Refused, Honoured(Keyword::MaxCommands)),
    row("resolver", BOTH, SOME, Refused, Honoured(Keyword::Resolver)),
    row("resolver_timeout", BOTH, ONE, Refused, Honoured(Keyword::ResolverTimeout)),
    row("so_keepalive", BOTH, FLAG, Refused, Honoured(Keyword::SoKeepalive)),
    row("set_real_ip_from", BOTH, ONE, Adds, Honoured(Keyword::SetRealIpFrom)),
    row("access_log", BOTH, SOME, Adds, Honoured(Keyword::AccessLog)),
    row("log_format", MAIL, Shape::Args(2, usize::MAX), Adds, Honoured(Keyword::LogFormat)),
    row("allow", BOTH, ONE, Adds, Honoured(Keyword::Access(Verdict::Allow))),
    row("deny", BOTH, ONE, Adds, Honoured(Keyword::Access(Verdict::Deny))),
    // The auth server.
    row("auth_http", BOTH, URLS, Replaces, Honoured(Keyword::AuthHttp)),
    row("auth_http_timeout", BOTH, ONE, Refused, Honoured(Keyword::AuthHttpTimeout)),
    row("auth_http_header", BOTH, TWO, Adds, Honoured(Keyword::AuthHttpHeader)),
    row("auth_http_pass_client_cert", BOTH, FLAG, Refused, Honoured(Keyword::AuthHttpPassClientCert)),
    row("auth_http_keepalive", BOTH, ONE, Refused, Honoured(Keyword::AuthHttpKeepalive)),
    row("auth_http_ssl_verify", BOTH, FLAG, Refused, Honoured(Keyword::AuthHttpSsl(Verify))),
    row(
        "auth_http_ssl_trusted_certificate",
        BOTH,
        ONE,
        Refused,
        Honoured(Keyword::AuthHttpSsl(TrustedCertificate)),
    ),
    row("auth_http_ssl_name", BOTH, ONE, Refused, Honoured(Keyword::AuthHttpSsl(Name))),
    row("auth_http_ssl_certificate", BOTH, ONE, Refused, Honoured(Keyword::AuthHttpSsl(Certificate))),
    row("auth_http_ssl_certificate_key", BOTH, ONE, Refused, Honoured(Keyword::AuthHttpSsl(CertificateKey))),
    row("auth_users", BOTH, ONE, Refused, Honoured(Keyword::AuthUsers)),
    row("auth_strict", BOTH, FLAG, Refused, Honoured(Keyword::AuthStrict)),
    row("plaintext_auth", BOTH, FLAG, Refused, Honoured(Keyword::PlaintextAuth)),
    // The backend. `proxy` has never had an effect; K and R2 of divergences.md keep it so.
    row("proxy", BOTH, FLAG, Refused, Accepted(Value::Any)),
    row("proxy_buffer", BOTH, ONE, Refused, Honoured(Keyword::ProxyBuffer)),
    row("proxy_timeout", BOTH, ONE, Refused, Honoured(Keyword::ProxyTimeout)),
    row("proxy_pass_error_message", BOTH, FLAG, Refused, Honoured(Keyword::ProxyPassErrorMessage)),
    row("xclient", BOTH, FLAG, Refused, Honoured(Keyword::Xclient)),
    row("proxy_smtp_auth", BOTH, FLAG, Refused, Honoured(Keyword::ProxySmtpAuth)),
    row("proxy_protocol", BOTH, ONE, Refused, Honoured(Keyword::ProxyProtocol)),
    row("proxy_pass", BOTH, ONE, Refused, Honoured(Keyword::ProxyPass)),
    row("proxy_connect_timeout", BOTH, ONE, Refused, Honoured(Keyword::ProxyConnectTimeout)),
    row("proxy_oauth", BOTH, FLAG, Refused, Honoured(Keyword::ProxyOauth)),
    row("proxy_pipelining", BOTH, FLAG, Refused, Honoured(Keyword::ProxyPipelining)),
    row("proxy_ssl", BOTH, ONE, Refused, Honoured(Keyword::ProxySslMode)),
    row("proxy_ssl_verify", BOTH, FLAG, Refused, Honoured(Keyword::ProxySsl(Verify))),
    row("proxy_ssl_trusted_certificate", BOTH, ONE, Refused, Honoured(Keyword::ProxySsl(TrustedCertificate))),
    row("proxy_ssl_name", BOTH, ONE, Refused, Honoured(Keyword::ProxySsl(Name))),
    row("proxy_ssl_server_name", BOTH, FLAG, Refused, Honoured(Keyword::ProxySsl(ServerName))),
    row("proxy_ssl_certificate", BOTH, ONE, Refused, Honoured(Keyword::ProxySsl(Certificate))),
    row("proxy_ssl_certificate_key", BOTH, ONE, Refused, Honoured(Keyword::ProxySsl(CertificateKey))),
    // upstream {}
    row("upstream", MAIL, Shape::Block(1), Adds, Honoured(Keyword::UpstreamBlock)),
    row("server", UPSTREAM, SOME, Adds, Honoured(Keyword::Upstream(UpstreamWord::Server))),
    row("least_conn", UPSTREAM, Shape::Args(0, 0), Adds, Honoured(Keyword::Upstream(LeastConn))),
    row("ip_hash", UPSTREAM, Shape::Args(0, 0), Adds, Honoured(Keyword::Upstream(IpHash))),
    row("random", UPSTREAM, Shape::Args(0, 2), Adds, Honoured(Keyword::Upstream(Random))),
    row("hash", UPSTREAM, Shape::Args(1, 2), Adds, Honoured(Keyword::Upstream(Hash))),
    row("zone", UPSTREAM, Shape::Args(1, 2), Refused, Accepted(Value::Any)),
    row("keepalive", UPSTREAM, Shape::Args(1, 2), Refused, Ineffective(Value::Any, "", NO_KEEPALIVE)),
    row("keepalive_requests", UPSTREAM, ONE, Refused, Ineffective(Value::Number, "", NO_KEEPALIVE)),
    row("keepalive_time", UPSTREAM, ONE, Refused, Ineffective(Value::Time, "", NO_KEEPALIVE)),
    row("keepalive_timeout", UPSTREAM, ONE, Refused, Ineffective(Value::Time, "", NO_KEEPALIVE)),
    row("resolver", UPSTREAM, SOME, Refused, Honoured(Keyword::Upstream(UpstreamWord::Resolver))),
    row("resolver_timeout", UPSTREAM, ONE, Refused, Honoured(Keyword::Upstream(ResolverTimeout))),
    // The three protocols.
    row("imap_client_buffer", BOTH, ONE, Refused, Honoured(Keyword::ClientBuffer(Imap))),
    row("imap_capabilities", BOTH, SOME, Adds, Honoured(Keyword::Capabilities(Imap))),
    row("imap_auth", BOTH, SOME, Adds, Honoured(Keyword::Auth(Imap))),
    row("pop3_client_buffer", BOTH, ONE, Refused, Honoured(Keyword::ClientBuffer(Pop3))),
    row("pop3_capabilities", BOTH, SOME, Adds, Honoured(Keyword::Capabilities(Pop3))),
    row("pop3_auth", BOTH, SOME, Adds, Honoured(Keyword::Auth(Pop3))),
    row("smtp_client_buffer", BOTH, ONE, Refused, Honoured(Keyword::ClientBuffer(Smtp))),
    row("smtp_capabilities", BOTH, SOME, Adds, Honoured(Keyword::Capabilities(Smtp))),
    row("smtp_auth", BOTH, SOME, Adds, Honoured(Keyword::Auth(Smtp))),
    row("smtp_greeting_delay", BOTH, ONE, Refused, Honoured(Keyword::SmtpGreetingDelay)),
    // TLS.
    row("starttls", BOTH, ONE, Refused, Honoured(Keyword::Starttls)),
    row("ssl", BOTH, FLAG, Refused, Honoured(Keyword::Ssl)),
    row("ssl_certificate", BOTH, ONE, Adds, Honoured(Keyword::SslCertificate)),
    row("ssl_certificate_key", BOTH, ONE, Adds, Honoured(Keyword::SslCertificateKey)),
    row("ssl_protocols", BOTH, SOME, Adds, Honoured(Keyword::SslProtocols)),
    row("ssl_password_file", BOTH, ONE, Refused, Honoured(Keyword::SslPasswordFile)),
    row("ssl_ciphers", BOTH, ONE, Refused, Honoured(Keyword::SslTuning(SslWord::Ciphers))),
    row(
        "ssl_prefer_server_ciphers",
        BOTH,
        FLAG,
        Refused,
        Honoured(Keyword::SslTuning(SslWord::PreferServerCiphers)),
    ),
    row("ssl_dhparam", BOTH, ONE, Refused, Honoured(Keyword::SslTuning(SslWord::Dhparam))),
    row("ssl_ecdh_curve", BOTH, ONE, Refused, Honoured(Keyword::SslTuning(SslWord::EcdhCurve))),
    row(
        "ssl_session_cache",
        BOTH,
        Shape::Args(1, 2),
        Replaces,
        Honoured(Keyword::SslTuning(SslWord::SessionCache)),
    ),
    row("ssl_session_timeout", BOTH, ONE, Refused, Honoured(Keyword::SslTuning(SslWord::SessionTimeout))),
    row("ssl_session_tickets", BOTH, FLAG, Refused, Honoured(Keyword::SslTuning(SslWord::SessionTickets))),
    row("ssl_session_ticket_key", BOTH, ONE, Adds, Honoured(Keyword::SslTuning(SslWord::SessionTicketKey))),
    row("ssl_verify_client", BOTH, ONE, Refused, Honoured(Keyword::SslVerifyClient)),
    row("ssl_verify_depth", BOTH, ONE, Refused, Honoured(Keyword::SslVerifyDepth)),
    row("ssl_client_certificate", BOTH, ONE, Refused, Honoured(Keyword::SslClientCertificate)),
    row("ssl_trusted_certificate", BOTH, ONE, Refused, Honoured(Keyword::SslTrustedCertificate)),
    row("ssl_crl", BOTH, ONE, Refused, Honoured(Keyword::SslCrl)),
    row("ssl_conf_command", BOTH, TWO, Adds, Honoured(Keyword::SslTuning(SslWord::ConfCommand))),
    row("ssl_certificate_compression", BOTH, FLAG, Refused, Honoured(Keyword::SslCertificateCompression)),
    // Limits.
    row("limit_rate", BOTH, ONE, Refused, Honoured(Keyword::Limit(LimitWord::Rate))),
    row("limit_rate_after", BOTH, ONE, Refused, Honoured(Keyword::Limit(LimitWord::RateAfter))),
    row("limit_conn_zone", MAIL, TWO, Adds, Honoured(Keyword::LimitConnZone)),
    row("limit_conn", BOTH, Shape::Args(2, 3), Adds, Honoured(Keyword::Limit(LimitWord::Conn))),
    row("limit_conn_log_level", BOTH, ONE, Refused, Honoured(Keyword::Limit(LimitWord::LogLevel))),
    row("limit_conn_dry_run", BOTH, FLAG, Refused, Honoured(Keyword::Limit(LimitWord::DryRun))),
    row("lingering_close", BOTH, ONE, Refused, Honoured(Keyword::LingeringClose)),
    row("lingering_time", BOTH, ONE, Refused, Honoured(Keyword::LingeringTime)),
    row("lingering_timeout", BOTH, ONE, Refused, Honoured(Keyword::LingeringTimeout)),
];
