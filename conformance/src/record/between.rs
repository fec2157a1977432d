//! The recorder at work: it stands where the world is for the proxy, and the proxy for the world, and hands on what each of them
//! says. One thing at a time: before anybody is heard, the proxy has done all that the last word made it do, so that the
//! order in which things are written down is that of cause and effect.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gatepost_core::Wire;

use super::auth;
use super::notes::Notes;
use super::parties::{Heard, Hello, Parties};
use crate::player::http;
use crate::subject::configuration::SERVER_NAME;
use crate::subject::{Deed, Ending, Seen, Server, Stage};
use crate::transcript::{Open, Protocol, Step, Tls, TlsResult, TlsTry};

/// How many looks in a row find that the proxy does nothing more, where what it does takes time. Each takes a few
/// milliseconds.
const LOOKS: u32 = 20;

/// How long the client and the mail server are listened to before somebody asks whether they are done.
const MOMENT: Duration = Duration::from_millis(50);

/// How many moments without a word are enough once the client is done.
const MOMENTS_OF_SILENCE: u32 = 10;

/// The most moments a session takes.
const MOMENTS_MAX: u32 = 20_000;

/// A session while it is recorded.
pub(super) struct Between<'s> {
    stage: &'s mut dyn Stage,
    parties: &'s mut Parties,
    backend: SocketAddr,
    protocol: Protocol,
    tls: Tls,
    auth_wait: u32,
    notes: Notes,
    /// What has come of a request to the auth server.
    request: Vec<u8>,
    /// The client's last word was STARTTLS, and the proxy has not answered.
    asked_for_tls: bool,
    /// The proxy waits for the client's handshake.
    to_be_secured: bool,
    /// The proxy has gone on to the mail server.
    pub(super) reached_backend: bool,
}

impl<'s> Between<'s> {
    /// Nothing has happened yet. `config` is the proxy's protocol, and where TLS comes in.
    pub(super) fn new(
        stage: &'s mut dyn Stage,
        parties: &'s mut Parties,
        backend: SocketAddr,
        config: (Protocol, Tls),
        auth_wait: u32,
    ) -> io::Result<Self> {
        let notes = Notes::new(parties.address()?.port());
        Ok(Self {
            stage,
            parties,
            backend,
            protocol: config.0,
            tls: config.1,
            auth_wait,
            notes,
            request: Vec::new(),
            asked_for_tls: false,
            to_be_secured: false,
            reached_backend: false,
        })
    }

    /// Hands on everything, until `done`, told whether a client has come, says that it has run to its end, and nobody says
    /// anything more.
    ///
    /// # Errors
    ///
    /// What went wrong: the proxy did what no proxy may do, or the client said a password that is not for transcripts.
    pub(super) fn run(&mut self, done: impl Fn(bool) -> bool) -> Result<(), String> {
        let mut silence = 0;
        for _ in 0..MOMENTS_MAX {
            let heard = self.parties.next(MOMENT);
            let over = done(!self.notes.steps.is_empty()) && !self.parties.client_talks();
            let spoken = heard.is_some();
            if let Some(heard) = heard {
                self.pass_on(heard)?;
            }
            let acted = self.settle()?; // also now and then by itself: it may have taken its time
            silence = if over && !spoken && !acted { silence + 1 } else { 0 };
            if silence == MOMENTS_OF_SILENCE {
                return Ok(());
            }
        }
        Err("the session does not end".to_owned())
    }

    /// What was written down so far.
    pub(super) fn script(self) -> Vec<Step> {
        self.notes.steps
    }

    /// What a party did reaches the proxy.
    fn pass_on(&mut self, heard: Heard) -> Result<(), String> {
        match heard {
            Heard::Connects => {
                let open = Open::default();
                self.stage.open(&open)?;
                self.notes.step(Step::Open(open));
                self.to_be_secured = self.tls == Tls::Implicit;
                Ok(())
            }
            Heard::Says(Wire::Backend, octets) => {
                self.stage.server_sends(Server::Backend, &octets)?;
                self.notes.step(Step::BackendSays(octets.into()));
                Ok(())
            }
            Heard::Says(_, octets) => {
                self.asked_for_tls = is_starttls(&octets);
                self.stage.client_sends(&octets)?;
                self.notes.client_says(&octets);
                Ok(())
            }
            Heard::Ends(Wire::Backend, _) => {
                self.stage.server_ends(Server::Backend, Ending::Fin)?;
                self.notes.step(Step::BackendFin);
                Ok(())
            }
            Heard::Ends(_, how) => {
                self.stage.client_ends(how)?;
                self.notes.step(match how {
                    Ending::Fin => Step::ClientFin,
                    Ending::Reset => Step::ClientReset,
                });
                Ok(())
            }
        }
    }

    /// Lets the proxy do all that it has to do by now, and the handshake if one is due; tells whether it did anything.
    fn settle(&mut self) -> Result<bool, String> {
        let mut acted = false;
        loop {
            let deeds = self.deeds()?;
            let secures = deeds.is_empty() && std::mem::take(&mut self.to_be_secured);
            if deeds.is_empty() && !secures {
                return Ok(acted);
            }
            acted = true;
            for seen in deeds {
                self.hand_on(seen)?;
            }
            if secures {
                self.shake_hands()?;
            }
        }
    }

    /// What the proxy has done by now. In which order is not to be seen on sockets, where each has its own way; it answers the
    /// client before it goes on to the next that the client has asked for.
    fn deeds(&mut self) -> Result<Vec<Seen>, String> {
        let enough = if self.stage.exact() { 1 } else { LOOKS };
        let (mut deeds, mut looks) = (Vec::new(), enough);
        while looks > 0 {
            match self.stage.next_at_once()? {
                Some(seen) => {
                    deeds.push(seen);
                    looks = enough;
                }
                None => looks -= 1,
            }
        }
        if !self.stage.exact() {
            deeds.sort_by_key(|seen| seen.wire != Wire::Client);
        }
        Ok(deeds)
    }

    /// What the proxy did reaches whom it is for.
    fn hand_on(&mut self, seen: Seen) -> Result<(), String> {
        let client = self.stage.variables().remove("client.ip").unwrap_or_default();
        match (seen.wire, seen.deed) {
            (Wire::Client, Deed::Sends(octets)) => {
                let asked = std::mem::take(&mut self.asked_for_tls);
                self.to_be_secured = asked && self.agrees(&octets);
                self.parties.tell(Wire::Client, &octets);
                self.notes.client_sees(&octets);
            }
            (Wire::Client, Deed::Ends(Ending::Fin)) => {
                self.parties.end(Wire::Client);
                self.notes.step(Step::ProxyFin);
            }
            (Wire::Client, deed) => return Err(format!("the proxy leaves the client so: {deed:?}")),

            (Wire::Auth, Deed::Opens) => {
                self.request.clear();
                self.stage.accept(Server::Auth)?;
            }
            (Wire::Auth, Deed::Sends(octets)) => {
                self.request.extend(octets);
                if self.request.ends_with(b"\r\n\r\n") {
                    self.answer(&client)?;
                }
            }
            (Wire::Auth, Deed::Ends(_)) => {}

            (Wire::Backend, Deed::Opens) => {
                self.reached_backend = true;
                self.parties.connect(self.backend).map_err(|error| format!("{}: {error}", self.backend))?;
                self.stage.accept(Server::Backend)?;
                self.notes.step(Step::BackendOpens);
            }
            (Wire::Backend, Deed::Sends(octets)) => {
                self.parties.tell(Wire::Backend, &octets);
                self.notes.backend_gets(&octets, &client);
            }
            (Wire::Backend, Deed::Ends(_)) => {
                self.parties.end(Wire::Backend);
                self.notes.step(Step::BackendSeesFin);
            }
        }
        Ok(())
    }

    /// The auth server has been asked, and answers.
    fn answer(&mut self, client: &[u8]) -> Result<(), String> {
        let request = std::mem::take(&mut self.request);
        let says = auth::judge(&request, self.auth_wait)?;
        self.notes.auth_gets(&request, client);
        let octets = http::answer(&says, &self.stage.variables())?;
        self.stage.server_sends(Server::Auth, &octets)?;
        self.stage.server_ends(Server::Auth, Ending::Reset)?;
        let waits = says.headers.iter().any(|(name, _)| name == "Auth-Wait");
        self.notes.step(Step::AuthSays(says));
        if waits {
            let millis = u64::from(self.auth_wait) * 1000;
            self.stage.pass(Duration::from_millis(millis), false)?;
            self.notes.step(Step::Wait(millis));
        }
        Ok(())
    }

    /// Whether this is the proxy's yes to STARTTLS.
    fn agrees(&self, octets: &[u8]) -> bool {
        match self.protocol {
            Protocol::Imap => octets.split(|&octet| octet == b' ').nth(1) == Some(b"OK"),
            Protocol::Pop3 => octets.starts_with(b"+OK"),
            Protocol::Smtp => octets.starts_with(b"220"),
        }
    }

    /// The client shakes hands with us, and we with the proxy, as it would have. The name it asks for stands for the proxy's.
    fn shake_hands(&mut self) -> Result<(), String> {
        let Self { stage, parties, notes, protocol, .. } = self;
        let protocol = match protocol {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Smtp => "smtp",
        };
        parties.shake_hands(|Hello { sni, alpn }| {
            let spoken = alpn.iter().find(|name| *name == protocol).cloned();
            let expect = match &spoken {
                Some(name) => TlsResult::OkAlpn(name.clone()),
                None => TlsResult::Ok,
            };
            let attempt = TlsTry {
                sni: sni.as_ref().map(|_| SERVER_NAME.to_owned()),
                alpn: alpn.clone(),
                certificate: None,
                resumed: false,
                begun: Vec::new().into(),
                expect,
            };
            stage.shake_hands(&attempt)?;
            notes.step(Step::ClientTls(attempt));
            Ok(spoken)
        })
    }
}

/// Whether the client's last line ends in STARTTLS or STLS, behind a tag or not.
fn is_starttls(octets: &[u8]) -> bool {
    let lines = octets.strip_suffix(b"\n").unwrap_or_default();
    let line = lines.rsplit(|&octet| octet == b'\n').next().unwrap_or_default().trim_ascii_end();
    let word = line.rsplit(|&octet| octet == b' ').next().unwrap_or_default();
    word.eq_ignore_ascii_case(b"STARTTLS") || word.eq_ignore_ascii_case(b"STLS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::Shown;

    #[test]
    fn starttls_is_known_by_its_last_word() {
        for line in [&b"a STARTTLS\r\n"[..], b"STARTTLS\r\n", b"stls\r\n", b"CAPA\r\nSTLS\r\n"] {
            assert!(is_starttls(line), "{}", Shown(line));
        }
        for line in [&b"a STARTTLS x\r\n"[..], b"a CAPABILITY\r\n", b"a STARTTLS", b""] {
            assert!(!is_starttls(line), "{}", Shown(line));
        }
    }
}
