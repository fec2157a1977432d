//! What a session does, held against the claims.

use gatepost_core::report::Notice;
use gatepost_core::{Action, BackendTls, Place, StartTls, Target, WaitingFor, Wire};

use super::{Happening, World, holds};
use crate::alphabet::{BLAME, MALLORYS, SECRETS};
use crate::claim::Claim;
use crate::setting::{Counted, Decides, Setting};
use crate::sight::Sight;
use crate::subject::Subject;
use crate::wires::{Line, Wires};

impl<S: Subject> World<S> {
    /// How a session may end.
    pub(super) fn endings(&mut self, actions: &[Action]) {
        let ends = |action: &&Action| matches!(action, Action::Close(Wire::Client) | Action::Relay(_));
        let (endings, over) = (actions.iter().filter(ends).count(), self.session.deadline().is_none());
        let reports = actions.iter().filter(|action| tells_the_end(action)).count();
        let once = if over && !self.seen.over { endings == 1 } else { endings == 0 };
        let last = endings == 0 || actions.last().is_some_and(|last| ends(&last));
        let told = if endings == 0 { reports == 0 } else { reports <= 1 };
        self.broken.unless(once && last && told, Claim::OneEnding);
        self.seen.over |= endings > 0;
    }

    /// Keeps account of what the client has said ahead of its turn.
    pub(super) fn keeps(&mut self, before: Option<WaitingFor>, what: Happening, actions: &[Action]) {
        use WaitingFor::{Admission, Auth, Backend, Penalty};
        let is_busy = |waiting| matches!(waiting, Some(Admission | Auth | Backend | Penalty));
        let after = self.session.deadline().map(|deadline| deadline.waiting_for);
        match what {
            Happening::Says(Wire::Client, word) if is_busy(before) => {
                if let Some(ahead) = &mut self.seen.ahead {
                    ahead.extend_from_slice(word.octets.as_bytes());
                }
            }
            Happening::Says(Wire::Client, word) if is_busy(after) => {
                self.seen.ahead = word.leaves().map(|behind| behind.as_bytes().to_vec());
            }
            // What was kept has been used, and perhaps not all of it.
            _ if before == Some(Penalty) && after != Some(Penalty) && !self.seen.asking_again => {
                self.seen.ahead = None;
            }
            _ => {}
        }
        for action in actions {
            if let (Action::Relay(leftovers), Happening::Says(_, word)) = (action, what) {
                let ahead = self.seen.ahead.as_deref().unwrap_or(leftovers.to_backend.expose());
                let whole = leftovers.to_backend.expose() == ahead && leftovers.to_client == word.behind;
                self.broken.unless(whole, Claim::NothingIsLost);
            }
        }
    }

    pub(super) fn perform(&mut self, setting: Setting, what: Happening, action: &Action, relays: bool) {
        let in_clear = setting.starttls == StartTls::Only && !self.seen.client_tls;
        match action {
            Action::Open(wire, target) => {
                self.broken.unless(!in_clear, Claim::NoPasswordInClear);
                self.open(setting, *wire, target);
            }
            Action::OpenOrReuse(wire, target, _) => {
                self.broken.unless(!in_clear, Claim::NoPasswordInClear);
                self.broken.unless(setting.kept, Claim::WiresAreKept);
                self.open(setting, *wire, target);
                self.seen.offered = true;
            }
            Action::Reopen(wire) => {
                self.broken.unless(self.seen.unanswered, Claim::AskedAnewOnce);
                self.wires.set(*wire, Line::Dialing(1));
                (self.seen.offered, self.seen.unanswered, self.seen.answering) = (false, false, false);
                self.seen.auth_tls = false;
                self.sights.see(Sight::AskedAnew);
            }
            Action::Keep(wire, _) => {
                let is_free = self.wires.line(*wire) == Line::Open
                    && matches!(what, Happening::Says(Wire::Auth, word) if word.is_whole);
                self.broken.unless(is_free && setting.kept, Claim::NothingDueIsKept);
                self.down(*wire);
                self.sights.see(Sight::Kept);
            }
            Action::OpenNext(wire) => {
                let others = match self.wires.line(*wire) {
                    Line::Dialing(others) => others,
                    _ => self.seen.places,
                };
                self.wires.set(*wire, Line::Choosing(others));
                self.sights.see_if(*wire == Wire::Backend && others > 0, Sight::Another);
                self.seen.backend_tls &= *wire != Wire::Backend;
                self.seen.offered_steps &= *wire != Wire::Backend;
                self.seen.told_before |= self.seen.told;
                self.seen.told = false;
            }
            Action::Send(wire, payload) => {
                self.broken.unless(self.wires.line(*wire).takes_octets(), Claim::WiresAreKept);
                if *wire == Wire::Auth {
                    self.broken.unless(self.seen.auth_tls || !setting.https, Claim::AskedUnderTls);
                }
                let words = String::from_utf8_lossy(payload.expose());
                self.hears(setting, *wire, &words);
                if *wire == Wire::Backend {
                    self.is_told_at_once(&words);
                }
                if *wire == Wire::Client {
                    self.is_told(what, &words, relays);
                }
            }
            Action::Secure(wire, _) => {
                self.broken.unless(self.wires.line(*wire) == Line::Open, Claim::WiresAreKept);
                self.has_a_place(setting.counted == Counted::Early);
                self.wires.set(*wire, Line::Securing);
            }
            Action::Close(wire) => self.down(*wire),
            Action::Relay(leftovers) => {
                let joined = self.wires.line(Wire::Client).takes_octets()
                    && self.wires.line(Wire::Backend) == Line::Open;
                self.broken.unless(joined, Claim::WiresAreKept);
                self.wires = Wires::default();
                self.sights.see(Sight::Relayed);
                let leftovers = [leftovers.to_backend.expose(), &leftovers.to_client].concat();
                self.hears(setting, Wire::Backend, &String::from_utf8_lossy(&leftovers));
            }
            Action::Report(report) => {
                let line = report.to_string();
                self.broken.unless(!holds(&line, &SECRETS), Claim::NoPasswordIsTold);
            }
            Action::Admit(claims) => {
                let early = claims.iter().all(|claim| claim.early == (setting.counted == Counted::Early));
                self.broken.unless(early && setting.counted != Counted::Never, Claim::NobodyWithoutAPlace);
                (self.seen.counting, self.seen.placed) = (true, false);
            }
            Action::Resolve(_) | Action::Judge(..) => {}
        }
    }

    /// A wire is let go, and what was known of it is of no more use.
    fn down(&mut self, wire: Wire) {
        self.wires.set(wire, Line::Down);
        let seen = &mut self.seen;
        match wire {
            Wire::Client => {}
            Wire::Auth => {
                (seen.offered, seen.unanswered, seen.answering, seen.auth_tls) = (false, false, false, false);
            }
            Wire::Backend => {
                (seen.backend_tls, seen.told, seen.told_before, seen.places) = (false, false, false, 0);
                seen.offered_steps = false;
            }
        }
    }

    fn open(&mut self, setting: Setting, wire: Wire, target: &Target) {
        self.broken.unless(self.wires.line(wire) == Line::Down, Claim::WiresAreKept);
        self.wires.set(wire, if target.is_choice() { Line::Choosing(0) } else { Line::Dialing(1) });
        let counted_by_login = wire == Wire::Backend && setting.counted == Counted::Login;
        self.has_a_place(setting.counted == Counted::Early || counted_by_login);
        match wire {
            Wire::Auth => {
                (self.seen.offered, self.seen.unanswered) = (false, false);
                (self.seen.answering, self.seen.auth_tls) = (false, false);
                self.auth_words = setting.auth_words;
                (self.seen.granted, self.seen.said_no) = (false, false);
                self.sights.see_if(self.seen.asking_again, Sight::Waited);
                self.seen.asking_again = false;
            }
            _ => {
                let granted = self.seen.granted || setting.decides == Decides::Backend;
                self.broken.unless(granted, Claim::NoCredentialBeforeOk);
                let inet = match target {
                    Target::AnyOf(places) => places.iter().all(|place| matches!(place, Place::At(_))),
                    Target::Address(_) | Target::Group(_) => true,
                };
                assert!(inet, "nobody here has a name");
            }
        }
    }

    /// What comes now is only for those who have one, if it is `due` by now.
    fn has_a_place(&mut self, due: bool) {
        self.broken.unless(self.seen.placed || !due, Claim::NobodyWithoutAPlace);
    }

    /// Somebody is sent octets.
    fn hears(&mut self, setting: Setting, wire: Wire, words: &str) {
        let under_tls = self.seen.client_tls || setting.starttls == StartTls::Off;
        if under_tls {
            self.broken.unless(!holds(words, &MALLORYS), Claim::NothingInClearCounts);
        }
        if wire != Wire::Backend {
            return;
        }
        let granted = self.seen.granted || setting.decides == Decides::Backend;
        self.broken.unless(granted, Claim::NoCredentialBeforeOk);
        let manners = ["STARTTLS", "STLS", "EHLO ", "HELO "];
        if !manners.iter().any(|manner| words.contains(manner)) {
            self.seen.told = true;
            let tls = self.seen.backend_tls || setting.backend_tls == BackendTls::Off;
            self.broken.unless(tls, Claim::NoCredentialWithoutTls);
            self.broken.unless(!self.seen.told_before, Claim::OneBackendHears);
        }
    }

    /// The backend is sent octets, and perhaps more than it can have asked for.
    fn is_told_at_once(&mut self, words: &str) {
        if holds(words, &["EHLO ", "HELO ", "STARTTLS"]) {
            self.seen.offered_steps = false;
        }
        let at_once = words.contains("+}\r\n") || words.contains("MAIL FROM:") && words.contains("RCPT TO:");
        self.broken.unless(!at_once || self.seen.offered_steps, Claim::AtOnceIfOffered);
        self.sights.see_if(at_once, Sight::AtOnce);
    }

    /// The client is sent octets.
    fn is_told(&mut self, what: Happening, words: &str, relays: bool) {
        let blamed = holds(words, &BLAME);
        let own_doing = matches!(what, Happening::Says(Wire::Client, _));
        let fair = self.seen.said_no || own_doing || relays;
        self.broken.unless(!blamed || fair, Claim::TroubleIsNoWrongPassword);
        self.sights.see_if(blamed && !own_doing, Sight::Refused);
        let troubled =
            ["[UNAVAILABLE]", "-ERR [SYS/TEMP] internal", "451 "].iter().any(|word| words.contains(word));
        self.sights.see_if(troubled, Sight::Troubled);
    }
}

/// Whether an action is a report of why the session ends.
fn tells_the_end(action: &Action) -> bool {
    let Action::Report(report) = action else { return false };
    matches!(
        report.notice,
        Notice::LoggedIn
            | Notice::ClientTimedOut
            | Notice::ClientClosed
            | Notice::ClientFailed(_)
            | Notice::ShutDown
            | Notice::TooManyInvalidCommands
            | Notice::TooManyCommands
            | Notice::ForeignProtocol(_)
            | Notice::DataBehindStartTls
            | Notice::RejectedBeforeGreeting { .. }
            | Notice::ProxyHeaderBroken(_)
            | Notice::AccessForbidden
            | Notice::HandshakeFailed { .. }
            | Notice::HandshakeClosed
            | Notice::TlsFailed { .. }
    )
}
