//! How a session went, in one word and in a number that those know who read nginx's other logs.

use gatepost_core::report::{Level, Notice};

/// How a session went, as far as it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The client left, or is still there, without a login.
    #[default]
    Left,
    /// `deny` names its address.
    Forbidden,
    /// There was no place for it (`limit_conn`).
    Limited,
    /// It did what it may not, or made no sense.
    ClientFault,
    /// It took too long.
    TimedOut,
    /// TLS did not come about, or broke.
    TlsFault,
    /// The auth server said no.
    LoginFailed,
    /// The auth server could not be asked, or made no sense.
    AuthServerFault,
    /// The backend could not be reached, or would not have the user, or broke.
    BackendFault,
    /// The backend took too long.
    BackendTimedOut,
    /// The user is logged in. The relay has run its course, or does.
    Proxied,
    /// The relay was idle for too long.
    Idle,
    /// The process ended before the session did.
    ShutDown,
    /// Something else that is ours to mend.
    OurFault,
}

impl Outcome {
    /// What it has become with `notice`.
    pub(super) fn after(self, notice: &Notice) -> Self {
        match (self, self.with(notice)) {
            // Who has guessed a password is known by that, whatever else it did or failed to do in the end.
            (Self::LoginFailed, Self::TimedOut | Self::ClientFault) => self,
            (_, next) => next,
        }
    }

    fn with(self, notice: &Notice) -> Self {
        let is_logged_in = matches!(self, Self::Proxied);
        match notice {
            Notice::LoggedIn => Self::Proxied,
            Notice::ClientTimedOut if is_logged_in => Self::Idle,
            Notice::ClientTimedOut => Self::TimedOut,
            // However the client goes, what has become of its login stands: it may be refused and not wait to be told.
            Notice::ClientClosed | Notice::ClientFailed(_) => self,
            Notice::TlsFailed { .. } if self != Self::Left => self,
            Notice::ShutDown => Self::ShutDown,
            Notice::CommandTooLong { .. }
            | Notice::TooManyInvalidCommands
            | Notice::TooManyCommands
            | Notice::ForeignProtocol(_)
            | Notice::DataBehindStartTls
            | Notice::InvalidBase64(_)
            | Notice::InvalidLogin(_)
            | Notice::InvalidPassword(_)
            | Notice::InvalidToken(_)
            | Notice::InvalidDigest
            | Notice::MailRejected(_)
            | Notice::RejectedBeforeGreeting { .. }
            | Notice::ProxyHeaderBroken(_)
            | Notice::ProxyHeaderVersion(_)
            | Notice::ProxyHeaderTooLarge => Self::ClientFault,
            Notice::AccessForbidden => Self::Forbidden,
            Notice::Limiting { dry_run: false, .. } => Self::Limited,
            Notice::LoginFailed { .. } => Self::LoginFailed,
            Notice::AuthFailed(_)
            | Notice::AuthTimedOut { .. }
            | Notice::AuthHandshakeFailed { .. }
            | Notice::AuthTlsFailed { .. }
            | Notice::AuthAnswer { .. } => Self::AuthServerFault,
            Notice::UpstreamTimedOut => Self::BackendTimedOut,
            Notice::UpstreamFailed(_)
            | Notice::UpstreamClosed
            | Notice::UpstreamRefused { .. }
            | Notice::UpstreamTooLong { .. }
            | Notice::UpstreamHandshakeFailed { .. }
            | Notice::UpstreamTlsFailed { .. }
            | Notice::UpstreamDataBehindStartTls => Self::BackendFault,
            Notice::CertificateInvalid(_)
            | Notice::CertificateMissing
            | Notice::HandshakeFailed { .. }
            | Notice::HandshakeClosed
            | Notice::TlsFailed { .. } => Self::TlsFault,
            // Names that cannot be resolved are no end; and neither is what is said in passing.
            Notice::Limiting { dry_run: true, .. }
            | Notice::LimitNoMemory { dry_run: true, .. }
            | Notice::LimitKeyTooLong { .. }
            | Notice::AddressUnresolved { .. }
            | Notice::NameUnresolved { .. }
            | Notice::InvalidHostName { .. } => self,
            other if other.level() >= Level::Error => Self::OurFault,
            _ => self,
        }
    }

    /// `$outcome`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Forbidden => "forbidden",
            Self::Limited => "limited",
            Self::ClientFault => "client-error",
            Self::TimedOut => "timed-out",
            Self::TlsFault => "tls-error",
            Self::LoginFailed => "login-failed",
            Self::AuthServerFault => "auth-server-error",
            Self::BackendFault => "upstream-error",
            Self::BackendTimedOut => "upstream-timed-out",
            Self::Proxied => "proxied",
            Self::Idle => "idle",
            Self::ShutDown => "shut-down",
            Self::OurFault => "error",
        }
    }

    /// `$status`, as nginx's `http` and `stream` would number it.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Proxied | Self::Idle => 200,
            Self::ClientFault | Self::TlsFault => 400,
            Self::LoginFailed => 401,
            Self::Forbidden => 403,
            Self::TimedOut => 408,
            Self::Left => 499,
            Self::OurFault => 500,
            Self::AuthServerFault | Self::BackendFault => 502,
            Self::Limited | Self::ShutDown => 503,
            Self::BackendTimedOut => 504,
        }
    }
}

#[cfg(test)]
mod tests {
    use gatepost_core::SystemError;

    use super::*;

    fn after(notices: &[Notice]) -> Outcome {
        notices.iter().fold(Outcome::default(), Outcome::after)
    }

    #[test]
    fn a_session_is_told_by_what_ended_it() {
        let refused = || Notice::LoginFailed { text: b"no".to_vec() };
        let limiting = |dry_run| Notice::Limiting { zone: "user".into(), dry_run, level: Level::Error };
        let no_memory = |dry_run| Notice::LimitNoMemory { zone: "user".into(), dry_run };
        for (notices, outcome, status) in [
            (&[][..], "left", 499),
            (&[refused()], "login-failed", 401),
            (&[refused(), Notice::LoggedIn, Notice::RelayDone], "proxied", 200),
            (&[Notice::LoggedIn, Notice::ClientTimedOut], "idle", 200),
            (&[Notice::LoggedIn, Notice::TlsFailed { reason: "x".into() }], "proxied", 200),
            (&[Notice::LoggedIn, Notice::UpstreamTlsFailed { reason: "x".into() }], "upstream-error", 502),
            (&[Notice::ClientTimedOut], "timed-out", 408),
            (&[Notice::LoggedIn, Notice::ShutDown], "shut-down", 503),
            (&[Notice::UpstreamTimedOut], "upstream-timed-out", 504),
            (&[Notice::UpstreamClosed], "upstream-error", 502),
            (&[Notice::NoPassword], "error", 500),
            (&[Notice::ClientClosed], "left", 499),
            (&[Notice::AccessForbidden], "forbidden", 403),
            (&[limiting(false)], "limited", 503),
            (&[limiting(true), Notice::LoggedIn], "proxied", 200),
            (&[limiting(true), Notice::ClientClosed], "left", 499),
            (&[no_memory(false)], "error", 500),
            (&[no_memory(true), Notice::LoggedIn], "proxied", 200),
            (&[no_memory(true), Notice::ClientClosed], "left", 499),
        ] {
            let went = after(notices);
            assert_eq!((went.name(), went.status()), (outcome, status), "{notices:?}");
        }
    }

    #[test]
    fn a_refused_login_is_not_hidden_by_what_its_client_does_afterwards() {
        let refused = Notice::LoginFailed { text: b"no".to_vec() };
        for later in [Notice::ClientTimedOut, Notice::TooManyCommands, Notice::TooManyInvalidCommands] {
            assert_eq!(after(&[refused.clone(), later.clone()]), Outcome::LoginFailed, "{later:?}");
        }
    }

    #[test]
    fn what_a_session_has_come_to_outlasts_how_its_client_goes() {
        let reset = SystemError { call: "recv()", code: 104, text: "Connection reset by peer".to_owned() };
        let refused = Notice::LoginFailed { text: b"no".to_vec() };
        for (told, status) in [(refused, 401), (Notice::LoggedIn, 200), (Notice::UpstreamClosed, 502)] {
            for going in [
                Notice::ClientClosed,
                Notice::ClientFailed(reset.clone()),
                Notice::TlsFailed { reason: "received fatal alert: UserCanceled".into() },
            ] {
                let went = after(&[told.clone(), going.clone()]);
                assert_eq!(went.status(), status, "{told:?}, {going:?}");
            }
        }
    }
}
