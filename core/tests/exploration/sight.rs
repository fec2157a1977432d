//! What must have been seen by the time everything was explored: a claim that holds because nothing ever happens is no claim.

use gatepost_core::StartTls;

use crate::setting::{Counted, Decides, Door, Setting};

/// Something that may be seen on the way from one state to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// A user gets in.
    Relayed,
    /// A user is told that the login is refused, by whoever decides.
    Refused,
    /// Our own trouble is told.
    Troubled,
    /// The auth server has asked to be asked again, and is.
    Waited,
    /// Another backend is tried.
    Another,
    /// The client has TLS.
    Secured,
    /// A connection is left to other sessions.
    Kept,
    /// A connection that another session has left is used.
    Reused,
    /// A question is asked anew.
    AskedAnew,
    /// A backend is told at once what it has offered to take so.
    AtOnce,
    /// There is no place.
    TurnedAway,
}

impl Sight {
    /// What must be seen in a setting.
    pub(crate) fn due(setting: Setting) -> Vec<Self> {
        let mut due = vec![Self::Troubled, Self::Another];
        let mut when = |is_due, sights: &[Self]| {
            if is_due {
                due.extend_from_slice(sights);
            }
        };
        when(setting.backend_words > 0, &[Self::Relayed]);
        when(setting.decides == Decides::AuthServer, &[Self::Refused, Self::Waited]);
        when(
            setting.decides == Decides::AuthServer && setting.kept,
            &[Self::Kept, Self::Reused, Self::AskedAnew],
        );
        when(setting.starttls != StartTls::Off || setting.door == Door::Tls, &[Self::Secured]);
        when(setting.pipelining, &[Self::AtOnce]);
        when(setting.counted != Counted::Never, &[Self::TurnedAway]);
        due
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sights(u16);

impl Sights {
    pub(crate) fn see(&mut self, sight: Sight) {
        self.see_if(true, sight);
    }

    pub(crate) fn see_if(&mut self, seen: bool, sight: Sight) {
        if seen {
            self.0 |= 1 << sight as u16;
        }
    }

    pub(crate) const fn has(self, sight: Sight) -> bool {
        self.0 & 1 << sight as u16 != 0
    }

    pub(crate) const fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
