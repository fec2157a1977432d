//! A proxy in Gatepost's place, as simple as can be and right but for one flaw: what is wrong with it shows that the verdicts on a world of
//! outages can be hard.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use gatepost::net::Net;
use gatepost::upstream::{Die, Lease, Tried, Upstream};
use gatepost_core::{Address, Guest, Judgement, Seed, Wire};
use tokio::time::timeout;

use super::{BUDGET, CONNECT, Seen};
use crate::dialogue::Ear;
use crate::net::{SimNet, SimStream};
use crate::talk::Talk;

/// What may be wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It logs in elsewhere with a password that one backend has heard.
    TellsTwo,
    /// It never asks a server again that has failed once.
    NeverForgives,
    /// To a client that cannot be served it says that the password is wrong.
    BlamesTheClient,
    /// It hangs up on a client that cannot be served.
    SaysNothing,
    /// It waits for a backend for as long as that may take.
    HasTime,
    /// It gives up when the first server fails.
    TriesOne,
    /// Its log holds passwords.
    Blabs,
    /// It never lets a session end.
    HoldsOn,
}

impl Flaw {
    /// All that there are.
    pub const ALL: [Self; 8] = [
        Self::TellsTwo,
        Self::NeverForgives,
        Self::BlamesTheClient,
        Self::SaysNothing,
        Self::HasTime,
        Self::TriesOne,
        Self::Blabs,
        Self::HoldsOn,
    ];
}

/// One for all its sessions.
#[derive(Clone)]
pub(super) struct StandIn {
    flaw: Option<Flaw>,
    net: SimNet,
    group: Arc<Upstream>,
    seen: Rc<Seen>,
    unforgiven: Rc<RefCell<BTreeSet<String>>>,
}

/// A backend's side.
type Backend = Talk<SimStream>;

/// Why a login came to nothing.
enum Failed {
    /// Nobody was there.
    Nobody,
    /// Whoever was there has been told, or might have been.
    Midway,
}

impl StandIn {
    pub(super) fn new(flaw: Option<Flaw>, net: SimNet, group: Arc<Upstream>, seen: Rc<Seen>) -> Self {
        Self { flaw, net, group, seen, unforgiven: Rc::default() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Serves one client.
    pub(super) async fn serve(self, stream: SimStream, seed: Seed) -> io::Result<()> {
        self.seen.open_sessions.set(self.seen.open_sessions.get() + 1);
        let mut client = Talk::answering(stream, Ear::default());
        // However the client takes it.
        let _ = self.attend(&mut client, seed).await;
        if self.has(Flaw::HoldsOn) {
            pending::<()>().await;
        }
        self.seen.open_sessions.set(self.seen.open_sessions.get() - 1);
        Ok(())
    }

    async fn attend(&self, client: &mut Talk<SimStream>, seed: Seed) -> io::Result<()> {
        client.say("* OK ready\r\n").await?;
        let line = client.line().await?.unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["a", "LOGIN", user, password] = words.as_slice() else { return Ok(()) };
        if self.has(Flaw::Blabs) {
            self.seen.reports.borrow_mut().push(format!("{user} logs in by {password}"));
        }
        let login = self.log_in(user, password, Die::new(seed));
        let budget = if self.has(Flaw::HasTime) { BUDGET * 3 } else { BUDGET };
        match timeout(budget, login).await.unwrap_or(Err(Failed::Midway)) {
            Ok((_lease, _backend, reply)) => {
                client.say(format!("{reply}\r\n")).await?;
                while client.line().await?.is_some() {}
                Ok(())
            }
            Err(_) if self.has(Flaw::SaysNothing) => Ok(()),
            Err(_) if self.has(Flaw::BlamesTheClient) => {
                client.say("a NO [AUTHENTICATIONFAILED] no\r\n").await
            }
            Err(_) => client.say("a NO [UNAVAILABLE] no\r\n").await,
        }
    }

    /// Finds a server that greets, and logs in there; nowhere else, once it has been told.
    async fn log_in(
        &self,
        user: &str,
        password: &str,
        mut die: Die,
    ) -> Result<(Lease, Backend, String), Failed> {
        let guest = Guest { address: None, login: user.as_bytes().into() };
        let mut tried = Tried::default();
        loop {
            let picked = self.group.pick(&guest, &mut tried, self.net.now(), &mut die);
            let mut lease = picked.ok_or(Failed::Nobody)?;
            let address = lease.server().address.clone();
            if self.unforgiven.borrow().contains(&address.to_string()) {
                continue;
            }
            let patience = if self.has(Flaw::HasTime) { BUDGET * 2 } else { CONNECT };
            let Ok(Ok(mut backend)) = timeout(patience, self.greeted(&address)).await else {
                lease.judge(Judgement::Failed, self.net.now());
                if self.has(Flaw::NeverForgives) {
                    self.unforgiven.borrow_mut().insert(address.to_string());
                }
                if self.has(Flaw::TriesOne) {
                    return Err(Failed::Nobody);
                }
                continue;
            };
            lease.judge(Judgement::Sound, self.net.now());
            match introduce(&mut backend, user, password).await {
                Ok(reply) if reply.starts_with("a OK") => return Ok((lease, backend, reply)),
                _ if self.has(Flaw::TellsTwo) => {}
                _ => return Err(Failed::Midway),
            }
        }
    }

    /// A connection to a server that has greeted as it should.
    async fn greeted(&self, address: &Address) -> io::Result<Backend> {
        let (stream, _) = self.net.connect(Wire::Backend, address).await?;
        let mut backend = Talk::calling(stream, Ear::default());
        match backend.line().await? {
            Some(greeting) if greeting.starts_with(b"* OK") => Ok(backend),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Gives name and password; tells the reply.
async fn introduce(backend: &mut Backend, user: &str, password: &str) -> io::Result<String> {
    backend.say(format!("a LOGIN {{{}}}\r\n", user.len())).await?;
    for word in [format!("{user} {{{}}}\r\n", password.len()), format!("{password}\r\n")] {
        backend.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        backend.say(word).await?;
    }
    let reply = backend.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
