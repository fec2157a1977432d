//! Who lives in a world and who comes to visit: everything about it that is decided before it begins.

use std::time::Duration;

use bytes::Bytes;
use gatepost_core::Protocol;

use crate::auth_server::Refusal;
use crate::chance::Chance;
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
    /// How many connections to the auth server are kept for the next question; none if 0.
    pub keepalive: usize,
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
    /// Whether it says its first command behind the login in one breath with it.
    pub pipelined: bool,
    /// Whether it half-closes behind its last command.
    pub half_closes: bool,
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
    /// The people of the world of `seed`: each protocol through each door, and through some door with a wrong password.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let chance = Chance::of(seed, "cast", 0);
        let resident = |login: &str, backend_login: &str, backend_password: &str| Resident {
            login: login.to_owned(),
            backend_login: backend_login.to_owned(),
            backend_password: backend_password.to_owned(),
            mail: (0..chance.below(4)).map(|_| message(&chance)).collect(),
        };
        let residents = vec![
            resident("john@example.com", "john@example.com", PASSWORD),
            resident("jane+lists%x=1@example.com", "jane+lists%x=1@example.com", PASSWORD),
            resident("joe", "joe@example.com", "behind-hunter2"),
        ];
        let wait_seconds = chance.once_in(2).then(|| u32::try_from(1 + chance.below(4)).unwrap_or(1));
        let refusal = Refusal { wait_seconds, ..Refusal::default() };

        let right = || vec![PASSWORD.to_owned()];
        let wrong = vec![WRONG_PASSWORD.to_owned()];
        let mut visitors = Vec::new();
        for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Smtp] {
            let doors = [Door::Implicit, Door::StartTls, Door::Clear];
            for door in doors {
                visitors.push(visitor(protocol, door, right(), &residents, &chance));
            }
            let passwords = match wait_seconds {
                // The session goes on behind the wait, so that a client may think better of it.
                Some(_) if chance.once_in(2) => [wrong.clone(), right()].concat(),
                _ => wrong.clone(),
            };
            let door = chance.one_of(&doors, Door::Implicit);
            visitors.push(visitor(protocol, door, passwords, &residents, &chance));
        }
        let keepalive = chance.one_of(&[0, 1, 2, 8], 0);
        Self { residents, refusal, visitors, keepalive }
    }

    /// Whom a visitor comes as.
    #[must_use]
    pub fn resident(&self, visitor: &Visitor) -> Option<&Resident> {
        self.residents.get(visitor.resident)
    }
}

fn visitor(
    protocol: Protocol,
    door: Door,
    passwords: Vec<String>,
    residents: &[Resident],
    chance: &Chance,
) -> Visitor {
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
        // A client that reckons with a refusal waits for the reply.
        pipelined: passwords == [PASSWORD] && chance.once_in(3),
        half_closes: chance.once_in(3),
        passwords,
        delay: Duration::from_millis(chance.below(200)),
    }
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
        assert_eq!(format!("{:?}", Cast::of(1)), format!("{:?}", Cast::of(1)));
        assert_ne!(format!("{:?}", Cast::of(1)), format!("{:?}", Cast::of(2)));
    }

    #[test]
    fn over_some_seeds_everything_is_played() {
        let visitors: Vec<Visitor> = (0..40).flat_map(|seed| Cast::of(seed).visitors).collect();
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
        played(&|visitor| visitor.refusals() == 1 && visitor.is_admitted());
        played(&|visitor| visitor.refusals() == 1 && !visitor.is_admitted());
    }
}
