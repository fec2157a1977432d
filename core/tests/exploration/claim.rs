//! What must be true of every session in every state.

/// One thing that must be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    NothingInClearCounts,
    NoCredentialBeforeOk,
    NoCredentialWithoutTls,
    OneBackendHears,
    NoPasswordInClear,
    OneEnding,
    DeadlineWhileAlive,
    LeftAloneItEnds,
    TroubleIsNoWrongPassword,
    WiresAreKept,
    NothingIsLost,
    NoPasswordIsTold,
}

impl Claim {
    pub(crate) const ALL: [Self; 12] = [
        Self::NothingInClearCounts,
        Self::NoCredentialBeforeOk,
        Self::NoCredentialWithoutTls,
        Self::OneBackendHears,
        Self::NoPasswordInClear,
        Self::OneEnding,
        Self::DeadlineWhileAlive,
        Self::LeftAloneItEnds,
        Self::TroubleIsNoWrongPassword,
        Self::WiresAreKept,
        Self::NothingIsLost,
        Self::NoPasswordIsTold,
    ];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::NothingInClearCounts => {
                "nothing read before TLS influences anything after it, on either leg"
            }
            Self::NoCredentialBeforeOk => "no octet leaves for a backend before the auth server has said OK",
            Self::NoCredentialWithoutTls => {
                "no credential goes to a backend before its TLS is up, where it is to have any"
            }
            Self::OneBackendHears => "no two backends hear of one login",
            Self::NoPasswordInClear => "nobody is asked about a login that policy forbids without TLS",
            Self::OneEnding => {
                "a session ends once, in the relay or by hanging up, with one report of why, and nothing follows"
            }
            Self::DeadlineWhileAlive => "a living session has a deadline that is not over, a dead one none",
            Self::LeftAloneItEnds => "left alone, a session ends by its deadlines",
            Self::TroubleIsNoWrongPassword => "our own trouble never reads as a wrong password",
            Self::WiresAreKept => "octets and handshakes are for open wires, and none is open in the end",
            Self::NothingIsLost => {
                "the relay begins with what both sides have said already, all of it and no more"
            }
            Self::NoPasswordIsTold => "no report and no trace holds a password",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The claims that have failed on the way to a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broken(u16);

impl Broken {
    pub(crate) fn unless(&mut self, holds: bool, claim: Claim) {
        if !holds {
            self.0 |= claim.bit();
        }
    }

    pub(crate) const fn has(self, claim: Claim) -> bool {
        self.0 & claim.bit() != 0
    }
}
