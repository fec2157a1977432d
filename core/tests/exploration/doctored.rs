//! Sessions with a mistake each: none of them may be overlooked.

use std::sync::Arc;

use gatepost_core::report::Notice;
use gatepost_core::{
    Action, BackendTls, Deadline, Event, Instant, Payload, Protocol, Rest, Secret, Seed, Session, StartTls,
    Target, WaitingFor, Wire,
};

use crate::claim::Claim;
use crate::setting::{Counted, Decides, NOW, PLACES, Setting, address};
use crate::subject::Subject;

/// What is wrong with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mistake {
    KeepsPlaintext,
    KeepsBackendsPlaintext,
    GoesToTheBackendFirst,
    DoesWithoutBackendTls,
    TellsAnother,
    TakesPasswordsInClear,
    HangsUpTwice,
    ReportsItsEndTwice,
    ForgetsItsDeadline,
    NeverGivesUp,
    BlamesThePassword,
    LeavesTheAuthServerOpen,
    LosesWhatIsAhead,
    LosesWhatTheBackendSaid,
    TellsThePassword,
    AsksInClear,
    KeepsWhatIsDue,
    AsksAnewAtAnyEnd,
    DoesWithoutAPlace,
    PresumesAnOffer,
}

impl Mistake {
    pub(crate) const ALL: [Self; 20] = [
        Self::KeepsPlaintext,
        Self::KeepsBackendsPlaintext,
        Self::GoesToTheBackendFirst,
        Self::DoesWithoutBackendTls,
        Self::TellsAnother,
        Self::TakesPasswordsInClear,
        Self::HangsUpTwice,
        Self::ReportsItsEndTwice,
        Self::ForgetsItsDeadline,
        Self::NeverGivesUp,
        Self::BlamesThePassword,
        Self::LeavesTheAuthServerOpen,
        Self::LosesWhatIsAhead,
        Self::LosesWhatTheBackendSaid,
        Self::TellsThePassword,
        Self::AsksInClear,
        Self::KeepsWhatIsDue,
        Self::AsksAnewAtAnyEnd,
        Self::DoesWithoutAPlace,
        Self::PresumesAnOffer,
    ];

    pub(crate) const fn breaks(self) -> Claim {
        match self {
            Self::KeepsPlaintext | Self::KeepsBackendsPlaintext => Claim::NothingInClearCounts,
            Self::GoesToTheBackendFirst => Claim::NoCredentialBeforeOk,
            Self::DoesWithoutBackendTls => Claim::NoCredentialWithoutTls,
            Self::TellsAnother => Claim::OneBackendHears,
            Self::TakesPasswordsInClear => Claim::NoPasswordInClear,
            Self::HangsUpTwice | Self::ReportsItsEndTwice => Claim::OneEnding,
            Self::ForgetsItsDeadline => Claim::DeadlineWhileAlive,
            Self::NeverGivesUp => Claim::LeftAloneItEnds,
            Self::BlamesThePassword => Claim::TroubleIsNoWrongPassword,
            Self::LeavesTheAuthServerOpen => Claim::WiresAreKept,
            Self::LosesWhatIsAhead | Self::LosesWhatTheBackendSaid => Claim::NothingIsLost,
            Self::TellsThePassword => Claim::NoPasswordIsTold,
            Self::AsksInClear => Claim::AskedUnderTls,
            Self::KeepsWhatIsDue => Claim::NothingDueIsKept,
            Self::AsksAnewAtAnyEnd => Claim::AskedAnewOnce,
            Self::DoesWithoutAPlace => Claim::NobodyWithoutAPlace,
            Self::PresumesAnOffer => Claim::AtOnceIfOffered,
        }
    }

    /// Where it can be seen.
    pub(crate) const fn shows_in(self) -> Setting {
        let plain = Setting::plain(Protocol::Imap);
        let setting = match self {
            Self::KeepsPlaintext | Self::TakesPasswordsInClear => {
                Setting { starttls: StartTls::Only, ..plain }
            }
            Self::KeepsBackendsPlaintext => Setting { backend_tls: BackendTls::StartTls, ..plain },
            Self::DoesWithoutBackendTls => Setting { backend_tls: BackendTls::On, ..plain },
            Self::TellsAnother => Setting { decides: Decides::Backend, ..plain },
            Self::AsksInClear => Setting { https: true, ..plain },
            Self::KeepsWhatIsDue | Self::AsksAnewAtAnyEnd => Setting { kept: true, ..plain },
            Self::DoesWithoutAPlace => Setting { counted: Counted::Login, ..plain },
            Self::PresumesAnOffer => Setting { pipelining: true, ..plain },
            _ => plain,
        };
        setting.with_words_for_tls()
    }
}

/// A session, and somebody who alters what it hears, says and does.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Doctored {
    session: Session,
    mistake: Option<Mistake>,
    /// What was not passed on when it came.
    kept: Vec<u8>,
    /// The session before it told a backend of the login.
    before: Option<Session>,
}

impl Subject for Doctored {
    fn begin(setting: Setting) -> Self {
        let mut policy = setting.policy();
        if setting.mistake == Some(Mistake::TakesPasswordsInClear) {
            policy.starttls = StartTls::On;
        }
        let session = Session::new(Arc::new(policy), setting.client(), Seed([7; 16]), NOW);
        Self { session, mistake: setting.mistake, kept: Vec::new(), before: None }
    }

    fn handle(&mut self, now: Instant, event: Event<'_>) -> Vec<Action> {
        let Some(mistake) = self.mistake else { return Subject::handle(&mut self.session, now, event) };
        match (mistake, &event) {
            (Mistake::KeepsPlaintext, Event::Received(Wire::Client, octets)) => {
                let (line, behind) = after_line(octets);
                if line.ends_with(b" STARTTLS\r\n") {
                    self.kept = behind.to_vec();
                    return Subject::handle(&mut self.session, now, Event::Received(Wire::Client, line));
                }
            }
            (Mistake::KeepsPlaintext, Event::Secured(Wire::Client, _)) => {
                return self.heard_late(now, event, Wire::Client);
            }
            (Mistake::KeepsBackendsPlaintext, Event::Received(Wire::Backend, octets)) => {
                let (line, behind) = after_line(octets);
                self.kept = behind.to_vec();
                return Subject::handle(&mut self.session, now, Event::Received(Wire::Backend, line));
            }
            (Mistake::KeepsBackendsPlaintext, Event::Secured(Wire::Backend, _)) => {
                return self.heard_late(now, event, Wire::Backend);
            }
            (Mistake::PresumesAnOffer, Event::Received(Wire::Backend, b"* OK hello\r\n")) => {
                let offer = b"* OK [CAPABILITY LITERAL+] hello\r\n";
                return Subject::handle(&mut self.session, now, Event::Received(Wire::Backend, offer));
            }
            (Mistake::TellsAnother, Event::Ended(Wire::Backend, _)) => {
                if let Some(before) = self.before.take() {
                    self.session = before;
                }
            }
            (Mistake::NeverGivesUp, Event::Deadline) if self.waits_for(WaitingFor::Auth) => {
                return Vec::new();
            }
            _ => {}
        }
        let before = self.session.clone();
        let actions = Subject::handle(&mut self.session, now, event);
        if mistake == Mistake::TellsAnother
            && actions.iter().any(|action| matches!(action, Action::Send(Wire::Backend, _)))
        {
            self.before.get_or_insert(before);
        }
        actions.into_iter().flat_map(|action| self.altered(mistake, now, action)).collect()
    }

    fn deadline(&self) -> Option<Deadline> {
        let forgets =
            self.mistake == Some(Mistake::ForgetsItsDeadline) && self.waits_for(WaitingFor::Penalty);
        self.session.deadline().filter(|_| !forgets)
    }

    fn wants(&self, wire: Wire) -> bool {
        self.session.wants(wire)
    }

    fn phase(&self) -> &'static str {
        self.session.phase()
    }
}

impl Doctored {
    fn waits_for(&self, what: WaitingFor) -> bool {
        self.session.deadline().is_some_and(|deadline| deadline.waiting_for == what)
    }

    /// TLS is up, and what was kept is passed on.
    fn heard_late(&mut self, now: Instant, event: Event<'_>, wire: Wire) -> Vec<Action> {
        let mut actions = Subject::handle(&mut self.session, now, event);
        let kept = std::mem::take(&mut self.kept);
        if !kept.is_empty() {
            actions.extend(Subject::handle(&mut self.session, now, Event::Received(wire, &kept)));
        }
        actions
    }

    fn altered(&mut self, mistake: Mistake, now: Instant, action: Action) -> Vec<Action> {
        let say = |wire, words: &'static str| Action::Send(wire, Payload::from(words));
        match (mistake, action) {
            (Mistake::GoesToTheBackendFirst, open @ Action::Open(Wire::Auth, _)) => {
                vec![Action::Open(Wire::Backend, Target::Address(address(PLACES[0]))), open]
            }
            (Mistake::DoesWithoutBackendTls, Action::Secure(wire @ Wire::Backend, _))
            | (Mistake::AsksInClear, Action::Secure(wire @ Wire::Auth, _)) => {
                let facts = gatepost_core::TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
                Subject::handle(&mut self.session, now, Event::Secured(wire, facts))
            }
            (Mistake::KeepsWhatIsDue, Action::Close(Wire::Auth)) => {
                vec![Action::Keep(Wire::Auth, Rest::none())]
            }
            (Mistake::AsksAnewAtAnyEnd, Action::Close(Wire::Auth)) => vec![Action::Reopen(Wire::Auth)],
            (Mistake::DoesWithoutAPlace, Action::Admit(_)) => {
                Subject::handle(&mut self.session, now, Event::Admitted(Ok(())))
            }
            (Mistake::HangsUpTwice, Action::Close(Wire::Client)) => {
                vec![Action::Close(Wire::Client), Action::Close(Wire::Client)]
            }
            (Mistake::ReportsItsEndTwice, Action::Report(report)) if report.notice == Notice::ShutDown => {
                vec![Action::Report(report.clone()), Action::Report(report)]
            }
            (Mistake::BlamesThePassword, Action::Send(Wire::Client, words))
                if words.expose().starts_with(b"a NO [UNAVAILABLE]") =>
            {
                vec![say(Wire::Client, "a NO [AUTHENTICATIONFAILED] wrong\r\n")]
            }
            (Mistake::LeavesTheAuthServerOpen, Action::Close(Wire::Auth)) => Vec::new(),
            (Mistake::LosesWhatIsAhead, Action::Relay(mut leftovers)) => {
                leftovers.to_backend = Secret::empty();
                vec![Action::Relay(leftovers)]
            }
            (Mistake::LosesWhatTheBackendSaid, Action::Relay(mut leftovers)) => {
                leftovers.to_client.clear();
                vec![Action::Relay(leftovers)]
            }
            (Mistake::TellsThePassword, Action::Report(mut report)) => {
                report.context.login = Some(b"hunter2"[..].into());
                vec![Action::Report(report)]
            }
            (_, action) => vec![action],
        }
    }
}

/// The first line, and what is behind it.
fn after_line(octets: &[u8]) -> (&[u8], &[u8]) {
    let end = octets.iter().position(|&octet| octet == b'\n').map_or(octets.len(), |at| at + 1);
    octets.split_at(end)
}
