//! Who lives in a world and who comes to visit: everything about it that is decided before it begins.

use std::time::Duration;

use bytes::Bytes;
use gatepost_core::{BackendTls, Protocol};

use crate::auth_server::Refusal;
use crate::chance::Chance;
use crate::client::rogue::Mischief;
use crate::client::{Sasl, imap, pop3};
use crate::post_office::Letter;

/// The password of every user. Whatever else is a password in the simulation has it as a part, so that one search finds
/// any leak.
pub const PASSWORD: &str = "hunter2";

/// What a client says that has forgotten it.
pub const WRONG_PASSWORD: &str = "not-hunter2";

/// A world's people, drawn from its seed.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Who has mail.
    pub residents: Vec<Resident>,
    /// How the auth server says no.
    pub refusal: Refusal,
    /// Who comes.
    pub visitors: Vec<Visitor>,
    /// Who comes and means harm.
    pub rogues: Vec<Rogue>,
}

/// Someone with a mailbox.
#[derive(Clone, Debug)]
pub struct Resident {
    /// The name clients know.
    pub login: String,
    /// The name the backends know.
    pub backend_login: String,
    /// The password the backends want.
    pub backend_password: String,
    /// What is in the mailbox.
    pub mail: Vec<Bytes>,
    /// Which backends have the mailbox.
    pub home: Home,
    /// How Gatepost has to go there.
    pub tls: BackendTls,
}

/// Where a mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// At one backend, by its place in [`world::BACKENDS`](crate::world::BACKENDS); the others do not know its owner.
    At(usize),
    /// At all of them.
    Everywhere,
}

impl Home {
    /// Whether the backend at this place has the mailbox.
    #[must_use]
    pub fn is_at(self, backend: usize) -> bool {
        match self {
            Self::At(home) => home == backend,
            Self::Everywhere => true,
        }
    }
}

/// A client and what it is going to do.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// As whom: an index into [`Cast::residents`].
    pub resident: usize,
    /// How it comes in.
    pub door: Door,
    /// What it does.
    pub errand: Errand,
    /// The passwords it tries.
    pub passwords: Vec<String>,
    /// Whether it asks what there is before the login; over SMTP all do.
    pub asks_first: bool,
    /// Whether it says its first command behind the login in one breath with it.
    pub pipelined: bool,
    /// Whether it half-closes behind its last command.
    pub half_closes: bool,
    /// How long into the world it connects.
    pub delay: Duration,
    /// How long it thinks before it says anything.
    pub thinks: Option<Duration>,
    /// How long after it has connected it loses its patience and is gone, whatever it was doing.
    pub leaves_after: Option<Duration>,
}

/// A client that means harm.
#[derive(Clone, Debug)]
pub struct Rogue {
    /// Where it comes in.
    pub protocol: Protocol,
    /// And how.
    pub door: Door,
    /// Whose password it has got hold of: an index into [`Cast::residents`].
    pub resident: usize,
    /// What it is up to.
    pub mischief: Mischief,
    /// How long into the world it connects.
    pub delay: Duration,
}

/// Which listener, and what is done about TLS there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The plaintext port, and no TLS.
    Clear,
    /// The plaintext port, and STARTTLS.
    StartTls,
    /// The TLS port.
    Implicit,
}

/// A protocol, and how to log in with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Fetch all mail over IMAP.
    Imap(imap::How),
    /// Retrieve all mail over POP3.
    Pop3(pop3::How),
    /// Hand in a letter over SMTP.
    Smtp(Sasl, Letter),
}

impl Errand {
    /// Which protocol it is done in.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Imap(_) => Protocol::Imap,
            Self::Pop3(_) => Protocol::Pop3,
            Self::Smtp(..) => Protocol::Smtp,
        }
    }
}

impl Visitor {
    /// Whether it will be let in.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.passwords.last().is_some_and(|last| last == PASSWORD)
    }

    /// `Auth-Method` of its logins.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self.errand {
            Errand::Pop3(pop3::How::Apop) => "apop",
            Errand::Imap(imap::How::Sasl(Sasl::CramMd5))
            | Errand::Pop3(pop3::How::Sasl(Sasl::CramMd5))
            | Errand::Smtp(Sasl::CramMd5, _) => "cram-md5",
            _ => "plain",
        }
    }

    /// How many of its logins will be refused.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.passwords.iter().filter(|&password| password != PASSWORD).count()
    }
}

impl Cast {
    /// The people of the world of `seed`, who come within `arrivals`. Where clear text is not an option nobody honest uses it.
    #[must_use]
    pub fn of(seed: u64, arrivals: Duration, clear_text: bool) -> Self {
        let chance = Chance::of(seed, "cast", 0);
        let homes = [Home::At(0), Home::At(1), Home::Everywhere];
        let ways = [BackendTls::Off, BackendTls::Off, BackendTls::StartTls, BackendTls::On];
        let resident = |login: &str, backend_login: &str, backend_password: &str, home| Resident {
            login: login.to_owned(),
            backend_login: backend_login.to_owned(),
            backend_password: backend_password.to_owned(),
            mail: (0..chance.below(4)).map(|_| message(&chance)).collect(),
            home,
            tls: chance.one_of(&ways, BackendTls::Off),
        };
        let residents = vec![
            resident("john@example.com", "john@example.com", PASSWORD, Home::At(0)),
            resident("jane+lists%x=1@example.com", "jane+lists%x=1@example.com", PASSWORD, Home::At(1)),
            resident("joe", "joe@example.com", "behind-hunter2", Home::Everywhere),
            resident("jim", "jim", PASSWORD, chance.one_of(&homes, Home::Everywhere)),
        ];
        let wait_seconds = chance.once_in(2).then(|| u32::try_from(1 + chance.below(2)).unwrap_or(1));
        let refusal = Refusal { wait_seconds, ..Refusal::default() };
        let doors: &[Door] = match clear_text {
            true => &[Door::Implicit, Door::StartTls, Door::Clear],
            false => &[Door::Implicit, Door::StartTls],
        };
        let visitors = 4 + chance.below(6);
        let visitors =
            (0..visitors).map(|_| visitor(doors, arrivals, wait_seconds, &residents, &chance)).collect();
        let rogues = (0..chance.below(5)).map(|_| rogue(arrivals, residents.len(), &chance)).collect();
        Self { residents, refusal, visitors, rogues }
    }

    /// One more visitor, who comes after `delay`, when all is quiet again, with the right password and all the time of the world.
    pub fn add_latecomer(&mut self, seed: u64, delay: Duration) {
        let chance = Chance::of(seed, "latecomer", 0);
        let visitor =
            visitor(&[Door::Implicit, Door::StartTls], Duration::ZERO, None, &self.residents, &chance);
        let passwords = vec![PASSWORD.to_owned()];
        self.visitors.push(Visitor { delay, passwords, leaves_after: None, ..visitor });
    }

    /// Whom a visitor comes as.
    #[must_use]
    pub fn resident(&self, visitor: &Visitor) -> Option<&Resident> {
        self.residents.get(visitor.resident)
    }
}

fn visitor(
    doors: &[Door],
    arrivals: Duration,
    wait_seconds: Option<u32>,
    residents: &[Resident],
    chance: &Chance,
) -> Visitor {
    let protocol = chance.one_of(&Protocol::ALL, Protocol::Imap);
    let door = chance.one_of(doors, Door::Implicit);
    let (right, wrong) = (PASSWORD.to_owned(), WRONG_PASSWORD.to_owned());
    let passwords = match chance.below(5) {
        // The session goes on behind the wait, so that a client may think better of it.
        0 if wait_seconds.is_some() => vec![wrong, right],
        0 | 1 => vec![wrong],
        _ => vec![right],
    };
    let index = usize::try_from(chance.below(residents.len() as u64)).unwrap_or(0);
    let login = residents.get(index).map(|resident| resident.backend_login.clone());
    let sasl = chance.one_of(&[Sasl::PlainAtOnce, Sasl::Plain, Sasl::Login, Sasl::CramMd5], Sasl::Plain);
    let errand = match protocol {
        Protocol::Imap => {
            let ways =
                [imap::How::Quoted, imap::How::Literals, imap::How::NonSynchronising, imap::How::Sasl(sasl)];
            Errand::Imap(chance.one_of(&ways, imap::How::Quoted))
        }
        Protocol::Pop3 => {
            let ways = [pop3::How::UserPass, pop3::How::Apop, pop3::How::Sasl(sasl)];
            Errand::Pop3(chance.one_of(&ways, pop3::How::UserPass))
        }
        Protocol::Smtp => {
            let recipients = 1 + chance.below(3);
            let letter = Letter {
                from: login.clone().unwrap_or_default(),
                login,
                to: (0..recipients).map(|number| format!("friend{number}@example.net")).collect(),
                octets: message(chance),
            };
            Errand::Smtp(sasl, letter)
        }
    };
    Visitor {
        resident: index,
        door,
        errand,
        asks_first: chance.once_in(2),
        // A client that reckons with a refusal waits for the reply.
        pipelined: passwords == [PASSWORD] && chance.once_in(3),
        half_closes: chance.once_in(3),
        passwords,
        delay: within(arrivals, chance),
        thinks: chance.once_in(4).then(|| Duration::from_millis(20 + chance.below(200))),
        leaves_after: chance.once_in(8).then(|| Duration::from_millis(chance.below(1500))),
    }
}

fn rogue(arrivals: Duration, residents: usize, chance: &Chance) -> Rogue {
    let protocol = chance.one_of(&Protocol::ALL, Protocol::Imap);
    let mischief = chance.one_of(&Mischief::ALL, Mischief::Garbage);
    Rogue {
        protocol,
        door: mischief.door(chance),
        resident: usize::try_from(chance.below(residents as u64)).unwrap_or(0),
        mischief,
        delay: within(arrivals, chance),
    }
}

fn within(span: Duration, chance: &Chance) -> Duration {
    Duration::from_millis(chance.below(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

/// A message of chance: any octet but NUL and bare CR or LF, lines that begin with dots, now and then a long one.
fn message(chance: &Chance) -> Bytes {
    let mut octets = format!("Subject: {}\r\n\r\n", chance.below(u64::MAX)).into_bytes();
    let lines = chance.below(if chance.once_in(4) { 150 } else { 12 });
    for _ in 0..lines {
        let length = chance.below(if chance.once_in(8) { 900 } else { 80 });
        octets.extend(std::iter::repeat_n(b'.', usize::try_from(chance.below(3)).unwrap_or(0)));
        octets.extend((0..length).map(|_| match chance.octets::<1>() {
            [0 | b'\r' | b'\n'] => b' ',
            [octet] => octet,
        }));
        octets.extend_from_slice(b"\r\n");
    }
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_casts_the_same_people() {
        let cast = |seed| format!("{:?}", Cast::of(seed, Duration::from_secs(1), true));
        assert_eq!(cast(1), cast(1));
        assert_ne!(cast(1), cast(2));
    }

    #[test]
    fn over_some_seeds_everything_is_played() {
        let casts = (0..100).map(|seed| Cast::of(seed, Duration::from_secs(1), true));
        let (visitors, rogues): (Vec<_>, Vec<_>) = casts.map(|cast| (cast.visitors, cast.rogues)).unzip();
        let visitors = visitors.concat();
        for mischief in Mischief::ALL {
            assert!(rogues.iter().flatten().any(|rogue| rogue.mischief == mischief), "{mischief:?}");
        }
        let played = |test: &dyn Fn(&Visitor) -> bool| assert!(visitors.iter().any(test));
        for sasl in [Sasl::PlainAtOnce, Sasl::Plain, Sasl::Login, Sasl::CramMd5] {
            played(&|visitor| visitor.errand == Errand::Imap(imap::How::Sasl(sasl)));
            played(&|visitor| visitor.errand == Errand::Pop3(pop3::How::Sasl(sasl)));
            played(&|visitor| matches!(visitor.errand, Errand::Smtp(used, _) if used == sasl));
        }
        for how in [imap::How::Quoted, imap::How::Literals, imap::How::NonSynchronising] {
            played(&|visitor| visitor.errand == Errand::Imap(how) && visitor.pipelined);
        }
        for how in [pop3::How::UserPass, pop3::How::Apop] {
            played(&|visitor| visitor.errand == Errand::Pop3(how) && visitor.pipelined);
        }
        played(&|visitor| visitor.asks_first && visitor.refusals() == 1);
        played(&|visitor| visitor.refusals() == 1 && visitor.is_admitted());
        played(&|visitor| visitor.refusals() == 1 && !visitor.is_admitted());
    }
}
