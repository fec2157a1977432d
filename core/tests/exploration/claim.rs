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
    AskedUnderTls,
    NothingDueIsKept,
    AskedAnewOnce,
    NobodyWithoutAPlace,
    AtOnceIfOffered,
}

impl Claim {
    pub(crate) const ALL: [Self; 17] = [
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
        Self::AskedUnderTls,
        Self::NothingDueIsKept,
        Self::AskedAnewOnce,
        Self::NobodyWithoutAPlace,
        Self::AtOnceIfOffered,
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
            Self::AskedUnderTls => "no auth server is asked in clear that is to be asked under TLS",
            Self::NothingDueIsKept => {
                "a connection is left to other sessions only behind an answer that says where it ends, with nothing behind it"
            }
            Self::AskedAnewOnce => {
                "a question is asked anew only if a connection that was kept has brought no octet of an answer, and once"
            }
            Self::NobodyWithoutAPlace => "nobody goes on who is counted and has no place",
            Self::AtOnceIfOffered => {
                "a backend is told at once only what it has offered to take so, under TLS if it has any"
            }
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u16
    }
}

/// The claims that have failed on the way to a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broken(u32);

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
