//! Octets from a client, or from the auth server, while everybody else plays along.

use gatepost_core::fuzzing;
use gatepost_core::limits::READ_BYTES_MAX;
use gatepost_core::{End, Event, Peer, Protocol, StartTls, TlsFacts, WaitingFor, Wire};

use crate::setting::{Setting, address};
use crate::wires::Line;
use crate::world::{BACKEND_PASSWORD, Story, World};

/// More turns than any session takes whose every turn makes some way.
const TURNS_MAX: usize = 100_000;

/// What an IMAP client says, its line ends included.
///
/// # Panics
///
/// If something that must hold does not.
pub fn imap(octets: &[u8]) {
    client_says(Protocol::Imap, octets);
}

/// What a POP3 client says, its line ends included.
///
/// # Panics
///
/// If something that must hold does not.
pub fn pop3(octets: &[u8]) {
    client_says(Protocol::Pop3, octets);
}

/// What an SMTP client says, its line ends included.
///
/// # Panics
///
/// If something that must hold does not.
pub fn smtp(octets: &[u8]) {
    client_says(Protocol::Smtp, octets);
}

/// What an auth server answers to the login of an IMAP, a POP3 and an SMTP client.
///
/// # Panics
///
/// If something that must hold does not.
pub fn auth_answer(octets: &[u8]) {
    fuzzing::auth_answer(octets, octets.first().copied().unwrap_or_default().into());
    for (protocol, login) in [
        (Protocol::Imap, &b"a LOGIN fred hunter2\r\nb NOOP\r\n"[..]),
        (Protocol::Pop3, b"USER fred\r\nPASS hunter2\r\nNOOP\r\n"),
        (Protocol::Smtp, b"EHLO client\r\nAUTH PLAIN AGZyZWQAaHVudGVyMg==\r\nNOOP\r\n"),
    ] {
        for keepalive in [false, true] {
            let setting = Setting { keepalive, ..Setting::plain(protocol) };
            let told = |cut| Dialogue::new(setting, login, Cut::Whole, Some((octets, cut))).play();
            let whole = told(Cut::Whole);
            assert_eq!(told(Cut::Octets), whole, "an answer's meaning depends on how it is cut");
        }
    }
}

/// What a client says that comes through a balancer, or something else that connects to its port: a PROXY header or not, and what is
/// behind it.
///
/// # Panics
///
/// If something that must hold does not.
pub fn proxy(octets: &[u8]) {
    fuzzing::proxy_header(octets);
    for protocol in Protocol::ALL {
        let setting = Setting { proxy_protocol: true, ..Setting::plain(protocol) };
        let told = |cut| Dialogue::new(setting, octets, cut, None).play().without_first_words();
        let whole = told(Cut::Whole);
        for cut in [Cut::Octets, Cut::Scattered] {
            assert_eq!(told(cut), whole, "what a balancer says depends on how it is cut");
        }
    }
}

fn client_says(protocol: Protocol, octets: &[u8]) {
    for bytes_max in [64, 4096] {
        fuzzing::commands(protocol, octets, bytes_max);
    }
    let setting = Setting::plain(protocol);
    let told = |cut| Dialogue::new(setting, octets, cut, None).play();
    let whole = told(Cut::Whole);
    for cut in [Cut::Octets, Cut::Scattered] {
        assert_eq!(told(cut), whole, "what a client says depends on how it is cut");
    }
    // Whether octets are already there behind STARTTLS is for the session to see, so here cuts may matter.
    for starttls in [StartTls::On, StartTls::Only] {
        for cut in [Cut::Whole, Cut::Octets] {
            Dialogue::new(Setting { starttls, ..setting }, octets, cut, None).play();
        }
    }
    if protocol == Protocol::Smtp {
        let setting = Setting { unauthenticated: true, ..setting };
        let told = |cut| Dialogue::new(setting, octets, cut, None).play();
        assert_eq!(told(Cut::Octets), told(Cut::Whole), "what a client says depends on how it is cut");
    }
}

/// How octets arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// As much at once as a driver reads.
    Whole,
    /// One at a time.
    Octets,
    /// In pieces of some octets, always the same for the same octets.
    Scattered,
}

impl Cut {
    /// The length of the piece that begins `rest`.
    fn length(self, rest: &[u8]) -> usize {
        let length = match (self, rest) {
            (Self::Scattered, [first, ..]) => usize::from(first % 13) + 1,
            (Self::Octets, _) => 1,
            _ => READ_BYTES_MAX,
        };
        length.min(rest.len())
    }
}

/// One session, and how far its peers are.
struct Dialogue<'a> {
    world: World,
    protocol: Protocol,
    unsaid: &'a [u8],
    cut: Cut,
    /// What the auth server says, if the input decides that.
    answer: Option<(&'a [u8], Cut)>,
    /// How much of the octets sent to the backend it has taken in.
    taken_in: usize,
    greeted: bool,
}

impl<'a> Dialogue<'a> {
    fn new(setting: Setting, says: &'a [u8], cut: Cut, answer: Option<(&'a [u8], Cut)>) -> Self {
        let world = World::new(setting);
        let protocol = setting.protocol;
        Self { world, protocol, unsaid: says, cut, answer, taken_in: 0, greeted: false }
    }

    /// Plays it to its end.
    fn play(mut self) -> Story {
        for _ in 0..TURNS_MAX {
            if !self.world.lives() {
                return self.told();
            }
            if !self.others_turn() && !self.clients_turn() {
                self.world.wait();
            }
        }
        // Not `panic!`, which is reserved for what only tests do.
        assert!(!self.world.lives(), "a session that never ends: {:?}", self.world.session.deadline());
        self.told()
    }

    /// What the client never got to say reaches the backend through the relay, behind what the session kept.
    fn told(mut self) -> Story {
        if let Some((to_backend, _)) = &mut self.world.story.relay {
            to_backend.extend(self.unsaid);
        }
        self.world.story
    }

    fn clients_turn(&mut self) -> bool {
        let waiting = self.world.session.deadline().map(|deadline| deadline.waiting_for);
        let its_turn = matches!(waiting, Some(WaitingFor::Client | WaitingFor::ProxyHeader));
        if !its_turn || !self.world.hears(Wire::Client) {
            return false;
        }
        let (piece, rest) = self.unsaid.split_at(self.cut.length(self.unsaid));
        self.unsaid = rest;
        match piece {
            [] => self.world.tell(Event::Ended(Wire::Client, End::Finished)),
            _ => self.world.tell(Event::Received(Wire::Client, piece)),
        }
        true
    }

    /// Lets TLS, the auth server or the backend do one thing, if there is one to do.
    fn others_turn(&mut self) -> bool {
        for (wire, last, port) in [(Wire::Auth, 2, 9000), (Wire::Backend, 3, 143)] {
            if self.world.wires.line(wire) == Line::Dialing {
                self.world.wires.set(wire, Line::Open);
                let peer = Peer { remote: address(last, port).into(), local: address(1, 50_001).into() };
                self.world.tell(Event::Opened(wire, peer));
                self.greeted &= wire != Wire::Backend;
                return true;
            }
        }
        for wire in [Wire::Client, Wire::Backend] {
            if self.world.wires.line(wire) == Line::Securing {
                self.world.wires.set(wire, Line::Open);
                let facts = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
                self.world.tell(Event::Secured(wire, facts));
                return true;
            }
        }
        self.auths_turn() || self.backends_turn()
    }

    fn auths_turn(&mut self) -> bool {
        let asked = self.world.story.to_auth.last().is_some_and(|request| request.ends_with(b"\r\n\r\n"));
        if !asked || !self.world.hears(Wire::Auth) {
            return false;
        }
        match self.answer {
            Some((octets, cut)) => {
                let mut rest = octets;
                while !rest.is_empty() && self.world.hears(Wire::Auth) {
                    let (piece, behind) = rest.split_at(cut.length(rest));
                    rest = behind;
                    self.world.tell(Event::Received(Wire::Auth, piece));
                }
                if self.world.hears(Wire::Auth) {
                    self.world.tell(Event::Ended(Wire::Auth, End::Finished));
                }
            }
            // A mistyped password is refused, and the client may try again; anything else is welcome.
            None if self.is_mistyped() => {
                let refusal = b"HTTP/1.0 200 OK\r\nAuth-Status: Try again\r\nAuth-Wait: 1\r\n\r\n";
                self.world.tell(Event::Received(Wire::Auth, refusal));
            }
            None => {
                let welcome = format!(
                    "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.3\r\nAuth-Port: 143\r\n\
                     Auth-Pass: {BACKEND_PASSWORD}\r\n\r\n"
                );
                self.world.tell(Event::Received(Wire::Auth, welcome.as_bytes()));
            }
        }
        true
    }

    fn is_mistyped(&self) -> bool {
        let request = self.world.story.to_auth.last().map(Vec::as_slice).unwrap_or_default();
        request.split(|&octet| octet == b'\n').any(|line| line == b"Auth-Pass: hunter3\r")
    }

    fn backends_turn(&mut self) -> bool {
        if !self.world.hears(Wire::Backend) {
            return false;
        }
        let unread = self.world.story.to_backend.get(self.taken_in..).unwrap_or_default();
        let reply = match (self.greeted, unread) {
            (false, _) => match self.protocol {
                Protocol::Imap => b"* OK ready\r\n".to_vec(),
                Protocol::Pop3 => b"+OK ready\r\n".to_vec(),
                Protocol::Smtp => b"220 ready\r\n".to_vec(),
            },
            (true, []) => return false,
            (true, unread) => match self.protocol {
                Protocol::Imap if unread.ends_with(b"}\r\n") => b"+ go on\r\n".to_vec(),
                Protocol::Imap => [self.tag(), b" OK done\r\n"].concat(),
                Protocol::Pop3 => b"+OK\r\n".to_vec(),
                Protocol::Smtp => b"250 done\r\n".to_vec(),
            },
        };
        self.greeted = true;
        self.taken_in = self.world.story.to_backend.len();
        self.world.tell(Event::Received(Wire::Backend, &reply));
        true
    }

    /// The tag of the login at the backend: the first word it ever heard.
    fn tag(&self) -> &[u8] {
        self.world.story.to_backend.split(|&octet| octet == b' ').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(protocol: Protocol, says: &[u8]) -> Story {
        let setting = Setting { starttls: StartTls::On, ..Setting::plain(protocol) };
        Dialogue::new(setting, says, Cut::Whole, None).play()
    }

    #[test]
    fn a_login_reaches_the_relay_with_what_was_said_behind_it() {
        for (protocol, login) in [
            (Protocol::Imap, &b"a LOGIN fred hunter2\r\n"[..]),
            (Protocol::Pop3, b"USER fred\r\nPASS hunter2\r\n"),
            (Protocol::Smtp, b"EHLO me\r\nAUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n"),
        ] {
            let story = play(protocol, &[login, b"QUIT\r\n"].concat());
            let (to_backend, _) = story.relay.unwrap();
            assert_eq!(to_backend, b"QUIT\r\n", "{protocol:?}");
            assert!(story.to_auth[0].starts_with(b"GET /auth HTTP/1.0\r\n"), "{protocol:?}");
        }
    }

    #[test]
    fn a_mistyped_password_may_be_typed_again() {
        let story = play(Protocol::Imap, b"a LOGIN fred hunter3\r\nb LOGIN fred hunter2\r\n");
        assert_eq!(story.to_auth.len(), 2);
        assert!(story.relay.is_some());
    }

    #[test]
    fn an_upgrade_is_followed_by_a_login_under_tls() {
        // Octet by octet, as nothing may be there behind STARTTLS.
        let says = b"a STARTTLS\r\nb LOGIN fred hunter2\r\n";
        let setting = Setting { starttls: StartTls::Only, ..Setting::plain(Protocol::Imap) };
        let story = Dialogue::new(setting, says, Cut::Octets, None).play();
        assert!(story.to_auth[0].ends_with(b"Auth-SSL-Cipher: TLS_AES_256_GCM_SHA384\r\n\r\n"));
        assert!(story.relay.is_some());
    }
}
