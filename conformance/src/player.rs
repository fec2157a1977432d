//! Plays a transcript: does what its steps say, and sees to it that the proxy does what they expect and no more. However
//! the octets that come to the proxy are cut, it has to do the same (`cuts`).

mod cuts;
mod expect;
pub(crate) mod http;
mod plan;
mod seeds;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use gatepost_core::Wire;

use crate::octets::{Octets, Shown, glob};
use crate::subject::{Deed, Ending, Seen, Server, Stage, Subject};
use crate::transcript::{
    Failure as ServerFailure, Incident, Part, Runner, Step, Transcript, Variables, expand,
};

use cuts::{Cuts, Places, Stretch};
use plan::Plan;
use seeds::Seed;

/// How many events a failure prints.
const EVENTS_SHOWN: usize = 10;

/// The password in transcripts, as it is and in base64 wherever in a message it stands.
const DISGUISES: [&str; 4] = ["hunter2", "aHVudGVyMg", "h1bnRlcjI", "odW50ZXIy"];

/// Why a run failed: the step, what went wrong, and what happened last.
#[derive(Clone, Debug)]
pub struct Failure {
    run: String,
    step: String,
    complaint: String,
    events: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, step, complaint, .. } = self;
        write!(f, "{run}\n  {step}\n  {}\n  the last events:", complaint.replace('\n', "\n  "))?;
        self.events.iter().try_for_each(|event| write!(f, "\n    {event}"))
    }
}

impl std::error::Error for Failure {}

/// Plays `transcript` against `subject`, first as it is written. The core then gets what client, auth server and backend send cut in
/// two at every place where that is possible, one run a place, and at last octet by octet; the binary gets it cut at
/// places drawn from a seed. nginx is played to as written: it needs some things in one piece (PP-005).
///
/// # Errors
///
/// The first run that failed.
pub fn play(transcript: &Transcript, subject: &dyn Subject) -> Result<(), Failure> {
    let plan = Plan::new(transcript, subject.runner(), subject.version());
    let stretches = play_once(transcript, subject, &plan, &Cuts::Nowhere)?;
    match subject.runner() {
        Runner::Core => {
            for cuts in cuts::everywhere_in_turn(&stretches) {
                play_once(transcript, subject, &plan, &cuts)?;
            }
            play_once(transcript, subject, &plan, &Cuts::Everywhere)?;
        }
        Runner::Binary => {
            let places: Places = stretches.iter().flat_map(Stretch::places).collect();
            for seed in Seed::chosen() {
                let cuts = Cuts::At(seed.draws(&transcript.id, &places));
                let told = |failure: Failure| Failure { run: format!("{}, {seed}", failure.run), ..failure };
                play_once(transcript, subject, &plan, &cuts).map_err(told)?;
            }
        }
        Runner::Nginx => {}
    }
    Ok(())
}

/// Plays `transcript` against `subject` as it is written, and in no other way.
///
/// # Errors
///
/// Why the run failed.
pub fn play_as_written(transcript: &Transcript, subject: &dyn Subject) -> Result<(), Failure> {
    let plan = Plan::new(transcript, subject.runner(), subject.version());
    play_once(transcript, subject, &plan, &Cuts::Nowhere).map(drop)
}

/// One run, cut at `cuts`; tells where it could have been.
fn play_once(
    transcript: &Transcript,
    subject: &dyn Subject,
    plan: &Plan<'_>,
    cuts: &Cuts,
) -> Result<Vec<Stretch>, Failure> {
    let failed = |step: String, complaint: String, events: Vec<String>| {
        let run = format!("{} on {}{cuts}", transcript.id, subject.runner());
        Failure { run, step, complaint, events }
    };
    let mut stage = subject
        .stage(transcript)
        .map_err(|complaint| failed("setting the stage".to_owned(), complaint, Vec::new()))?;
    let mut player = Player::new(stage.as_mut(), cuts);
    let steps = plan.steps();
    for (at, planned) in steps.iter().enumerate() {
        let ahead = steps.get(at..).unwrap_or_default().iter().map(|planned| planned.step);
        let acted = player.prepare(ahead).and_then(|()| player.act(planned.step));
        if let Err(complaint) = acted {
            return Err(failed(planned.to_string(), complaint, player.last_events()));
        }
    }
    match player.finish().and_then(|()| player.log_is_fit_to_be_read(subject.runner())) {
        Ok(()) => Ok(player.stretches),
        Err(complaint) => Err(failed("the end of the script".to_owned(), complaint, player.last_events())),
    }
}

/// One run in progress.
struct Player<'s> {
    stage: &'s mut dyn Stage,
    cuts: &'s Cuts,
    variables: Variables,
    /// What the proxy did and no step has accounted for yet.
    pending: VecDeque<Seen>,
    /// What the proxy did since the last mark.
    since_mark: Vec<Seen>,
    log_at_mark: usize,
    backend_open: bool,
    /// The proxy has said its last word to the backend.
    backend_ended: bool,
    /// The last the proxy said to the backend is STARTTLS.
    backend_is_asked_for_tls: bool,
    /// How many octets each party has sent.
    sent: BTreeMap<Wire, usize>,
    /// Where these could be cut.
    stretches: Vec<Stretch>,
    events: VecDeque<String>,
}

impl<'s> Player<'s> {
    fn new(stage: &'s mut dyn Stage, cuts: &'s Cuts) -> Self {
        let variables = stage.variables();
        Self {
            stage,
            cuts,
            variables,
            pending: VecDeque::new(),
            since_mark: Vec::new(),
            log_at_mark: 0,
            backend_open: false,
            backend_ended: false,
            backend_is_asked_for_tls: false,
            sent: BTreeMap::new(),
            stretches: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// A server that the next step about it wants to refuse must be out of reach before it is asked for, and stays so
    /// until the proxy has certainly noticed: until the next client comes.
    fn prepare<'t>(&mut self, ahead: impl Iterator<Item = &'t Step> + Clone) -> Result<(), String> {
        let auth = ahead.clone().find_map(|step| match step {
            Step::AuthGets(_) | Step::AuthGetsExactly(_) | Step::AuthGetsExpr(_) | Step::AuthGetsAgain(_) => {
                Some(true)
            }
            Step::AuthFails(ServerFailure::Refused) => Some(false),
            _ => None,
        });
        let backend = ahead.clone().find_map(|step| match step {
            Step::BackendFails(ServerFailure::Refused) => Some(false),
            Step::BackendOpens | Step::BackendFails(_) => Some(true),
            _ => None,
        });
        let opens = matches!(ahead.clone().next(), Some(Step::Open(_)));
        for (server, reachable) in [(Server::Auth, auth), (Server::Backend, backend)] {
            let reachable = reachable.unwrap_or(true);
            if opens || !reachable {
                self.stage.reachable(server, reachable)?;
            }
        }
        Ok(())
    }

    fn act(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Mark(_) => {
                self.since_mark.clear();
                self.log_at_mark = self.stage.log().len();
                Ok(())
            }

            Step::Open(open) => {
                self.let_the_last_client_go()?;
                self.tell("client connects".to_owned());
                self.stage.open(open)?;
                self.variables.extend(self.stage.variables());
                Ok(())
            }
            Step::Client(octets) => self.client_sends(octets),
            Step::ClientExpr(parts) => self.client_sends(&Part::join(parts, &self.variables)?),
            Step::Sees(octets) => self.gets(Wire::Client, octets),
            Step::SeesLike(pattern) => self.gets_like(Wire::Client, pattern).map(drop),
            Step::SeesExpr(parts) => self.gets_octets(Wire::Client, &Part::join(parts, &self.variables)?),
            Step::SeesUntil(pattern) => self.gets_until(Wire::Client, pattern),
            Step::SeesSave(save) => self.gets_and_saves(save),
            Step::Distinct(names) => self.are_distinct(names),
            Step::ClientTls(attempt) => {
                self.nothing_pending()?;
                self.tell(format!("client shakes hands: {attempt:?}"));
                self.stage.shake_hands(attempt)
            }
            Step::ClientFin => self.client_ends(Ending::Fin),
            Step::ClientReset => self.client_ends(Ending::Reset),
            Step::ProxyFin => self.ends(Ending::Fin),
            Step::ProxyGone => self.ends(Ending::Reset),

            Step::AuthGets(wanted) => http::check(wanted, &self.request()?, &self.variables),
            Step::AuthGetsExactly(wanted) => {
                self.opens(Server::Auth)?;
                self.gets(Wire::Auth, wanted)
            }
            Step::AuthGetsExpr(parts) => {
                self.opens(Server::Auth)?;
                self.gets_octets(Wire::Auth, &Part::join(parts, &self.variables)?)
            }
            Step::AuthGetsAgain(wanted) => self.gets(Wire::Auth, wanted),
            Step::AuthSays(says) => {
                self.server_sends(Server::Auth, &http::answer(says, &self.variables)?)?;
                self.server_ends(Server::Auth, Ending::Reset)
            }
            Step::AuthSaysExactly(octets) => {
                let octets = expand(octets, &self.variables)?;
                self.server_sends(Server::Auth, &octets)
            }
            Step::AuthSaysExpr(parts) => {
                let octets = Part::join(parts, &self.variables)?;
                self.server_sends(Server::Auth, &octets)
            }
            Step::AuthFails(ServerFailure::Refused) => self.refuses(Server::Auth),
            Step::AuthFails(ServerFailure::Timeout) => Ok(()),
            Step::AuthFails(ServerFailure::Eof) => self.server_ends(Server::Auth, Ending::Reset),

            Step::BackendOpens => self.opens(Server::Backend),
            Step::BackendFails(failure) => self.backend_fails(*failure),
            Step::BackendGets(octets) => self.gets(Wire::Backend, octets),
            Step::BackendGetsLike(pattern) => self.gets_like(Wire::Backend, pattern).map(drop),
            Step::BackendGetsExpr(parts) => {
                self.gets_octets(Wire::Backend, &Part::join(parts, &self.variables)?)
            }
            Step::BackendSays(octets) => self.server_sends(Server::Backend, octets),
            Step::BackendTls(attempt) => {
                if self.stage.exact() {
                    self.nothing_pending()?; // elsewhere the handshake has begun, and is not for the script to read
                }
                self.tell(format!("the backend shakes hands: {attempt:?}"));
                self.stage.shake_backends_hand(attempt)
            }
            Step::Resolver(lookup) => {
                self.nothing_pending()?;
                self.tell(format!("the DNS is asked: {lookup:?}"));
                self.stage.look_up(lookup)
            }
            Step::BackendFin => self.server_ends(Server::Backend, Ending::Fin),
            Step::BackendSeesFin => self.backend_sees_fin(),

            Step::Wait(millis) => {
                self.nothing_pending()?;
                self.tell(format!("{millis} ms pass"));
                self.stage.pass(Duration::from_millis(*millis), false)
            }
            Step::Quiet(millis) => {
                self.nothing_pending()?;
                self.tell(format!("{millis} quiet ms pass"));
                self.stage.pass(Duration::from_millis(*millis), true)?;
                self.nothing_pending()
            }
            Step::Operator(_) => {
                self.nothing_pending()?;
                self.tell("the operator asks the process to end".to_owned());
                self.stage.drain()
            }
            Step::Never(incidents) => incidents.iter().try_for_each(|incident| self.never(incident)),
            Step::Logs(pattern) => self.logged(pattern),
        }
    }

    fn client_sends(&mut self, octets: &[u8]) -> Result<(), String> {
        self.nothing_pending()?;
        for (first, segment) in self.segments(Wire::Client, octets) {
            if !first {
                self.stage.pause(Wire::Client)?;
            }
            self.tell(format!("client -> proxy: {}", Shown(segment)));
            self.stage.client_sends(segment)?;
        }
        Ok(())
    }

    fn client_ends(&mut self, how: Ending) -> Result<(), String> {
        self.nothing_pending()?;
        self.tell(format!("client -> proxy: {how:?}"));
        self.stage.client_ends(how)
    }

    fn server_sends(&mut self, server: Server, octets: &[u8]) -> Result<(), String> {
        self.nothing_pending()?;
        for (first, segment) in self.segments(server.into(), octets) {
            if !first {
                self.stage.pause(server.into())?;
            }
            self.tell(format!("{server:?} -> proxy: {}", Shown(segment)));
            self.stage.server_sends(server, segment)?;
        }
        Ok(())
    }

    /// What is sent on `wire`, as it is cut in this run, and of each segment whether it is the first.
    fn segments<'o>(&mut self, wire: Wire, octets: &'o [u8]) -> Vec<(bool, &'o [u8])> {
        let end_of_line = || octets.iter().position(|&octet| octet == b'\n').map(|at| at + 1);
        let cuttable = match wire {
            Wire::Client => cuts::to_starttls(octets),
            Wire::Backend if std::mem::take(&mut self.backend_is_asked_for_tls) => end_of_line(),
            Wire::Auth | Wire::Backend => None,
        };
        let sent = self.sent.entry(wire).or_default();
        let stretch = Stretch::new(wire, *sent, cuttable.unwrap_or(octets.len()));
        *sent += octets.len();
        let segments = self.cuts.segments(octets, &stretch);
        self.stretches.push(stretch);
        segments
    }

    fn server_ends(&mut self, server: Server, how: Ending) -> Result<(), String> {
        self.tell(format!("{server:?} closes"));
        self.stage.server_ends(server, how)
    }

    fn refuses(&mut self, server: Server) -> Result<(), String> {
        if self.stage.exact() {
            self.expect_deed(server.into(), "connects", |deed| *deed == Deed::Opens)?;
        }
        self.tell(format!("{server:?} refuses"));
        self.stage.refuse(server)
    }

    fn backend_fails(&mut self, failure: ServerFailure) -> Result<(), String> {
        match failure {
            ServerFailure::Refused => self.refuses(Server::Backend),
            ServerFailure::Timeout if self.backend_open => Ok(()),
            ServerFailure::Timeout => {
                self.expect_deed(Wire::Backend, "connects", |deed| *deed == Deed::Opens)
            }
            ServerFailure::Eof => {
                if !self.backend_open {
                    self.opens(Server::Backend)?;
                }
                self.server_ends(Server::Backend, Ending::Reset)
            }
        }
    }

    fn never(&mut self, incident: &Incident) -> Result<(), String> {
        let happened = |wanted: &dyn Fn(&Seen) -> bool| self.since_mark.iter().find(|seen| wanted(seen));
        let found = match incident {
            Incident::AuthRequest => happened(&|seen| seen.wire == Wire::Auth && seen.deed == Deed::Opens),
            Incident::BackendConnect => {
                happened(&|seen| seen.wire == Wire::Backend && seen.deed == Deed::Opens)
            }
            Incident::BytesToClient => {
                happened(&|seen| seen.wire == Wire::Client && matches!(seen.deed, Deed::Sends(_)))
            }
            Incident::Log(pattern) => {
                return match self.log_line(pattern) {
                    Some(line) => Err(format!("the log says {line:?}")),
                    None => Ok(()),
                };
            }
        };
        found.map_or(Ok(()), |seen| Err(format!("it did happen: {seen}")))
    }

    fn logged(&mut self, pattern: &Octets) -> Result<(), String> {
        let pattern = &expand(pattern, &self.variables)?;
        if self.log_line(pattern).is_some() {
            return Ok(());
        }
        // A process may write a line after what it tells the peers of.
        while let Some(seen) = self.stage.next()? {
            self.hear(seen);
            if self.log_line(pattern).is_some() {
                return Ok(());
            }
        }
        let lines = self.stage.log().split_off(self.log_at_mark.min(self.stage.log().len()));
        match self.log_line(pattern) {
            Some(_) => Ok(()),
            None => Err(format!("the log has no such line, but these:\n{}", lines.join("\n"))),
        }
    }

    fn log_line(&mut self, pattern: &[u8]) -> Option<String> {
        let mut lines = self.stage.log().into_iter().skip(self.log_at_mark);
        lines.find(|line| glob(pattern, line.as_bytes()).is_some())
    }

    /// After the last step nothing may be left over but the end of a connection.
    fn finish(&mut self) -> Result<(), String> {
        while let Some(seen) = self.stage.next_at_once()? {
            self.hear(seen);
        }
        match self.pending.iter().find(|seen| !matches!(seen.deed, Deed::Ends(_))) {
            Some(seen) => Err(format!("no step accounts for this: {seen}")),
            None => Ok(()),
        }
    }

    /// No line of ours holds a password in any of its forms, or a control (CVE-2009-4487). nginx's lines are not ours.
    fn log_is_fit_to_be_read(&mut self, runner: Runner) -> Result<(), String> {
        let tells = |line: &String| {
            line.contains(char::is_control) || DISGUISES.iter().any(|password| line.contains(password))
        };
        match self.stage.log().into_iter().find(tells) {
            Some(line) if runner != Runner::Nginx => Err(format!("no log may hold a line like {line:?}")),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, event: String) {
        if self.events.len() == EVENTS_SHOWN {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn last_events(&self) -> Vec<String> {
        self.events.iter().cloned().collect()
    }
}
