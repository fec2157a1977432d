//! The mail of the made-up world: who has a mailbox, what is in it, and what was handed in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gatepost_core::{BackendTls, Protocol};

use crate::backend::literals::Literals;

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number in its mailbox, never used twice (UID of IMAP, unique-id of POP3).
    pub uid: u32,
    /// Header, empty line and body; every line ends with CR LF.
    pub octets: Bytes,
}

/// A message that was handed in over SMTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Who handed it in, as XCLIENT or AUTH said; `None` for nobody in particular.
    pub login: Option<String>,
    /// The address of MAIL FROM, without angle brackets.
    pub from: String,
    /// The addresses of RCPT TO, likewise.
    pub to: Vec<String>,
    /// As [`Message::octets`].
    pub octets: Bytes,
}

/// Someone was let in at a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// At which one.
    pub protocol: Protocol,
    /// Whose mail was opened, or on whose behalf mail is sent.
    pub login: String,
}

/// Somebody said who they are, whether or not they were let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// At which backend.
    pub protocol: Protocol,
    /// As whom.
    pub login: Vec<u8>,
    /// Whether the password was right; a vouching counts as one.
    pub admitted: bool,
    /// Over which counter.
    pub counter: BackendTls,
    /// Whether it was said without a pause for the server to ask for the rest.
    pub in_one_step: bool,
    /// When, in a world that has a clock.
    pub at: Option<Duration>,
}

/// All mailboxes, shared by the three backends. Cloning makes another handle.
#[derive(Clone, Debug, Default)]
pub struct PostOffice {
    rooms: Arc<Mutex<Rooms>>,
    counter: BackendTls,
    /// Whether nobody's password is known.
    is_forgetful: bool,
    literals: Literals,
    /// Whether who they are was said without a pause.
    in_one_step: bool,
}

#[derive(Debug, Default)]
struct Rooms {
    mailboxes: BTreeMap<String, Mailbox>,
    letters: Vec<Letter>,
    visits: Vec<Visit>,
    attempts: Vec<Attempt>,
}

#[derive(Debug)]
struct Mailbox {
    password: String,
    uid_next: u32,
    mail: Vec<Message>,
}

impl Mailbox {
    fn add(&mut self, octets: Bytes) {
        self.mail.push(Message { uid: self.uid_next, octets });
        self.uid_next += 1;
    }
}

impl PostOffice {
    /// Opens a mailbox with `mail` in it; every line of which must end with CR LF.
    pub fn open(&self, login: &str, password: &str, mail: impl IntoIterator<Item = Bytes>) {
        let mut mailbox = Mailbox { password: password.to_owned(), uid_next: 1, mail: Vec::new() };
        mail.into_iter().for_each(|octets| mailbox.add(octets));
        self.rooms().mailboxes.insert(login.to_owned(), mailbox);
    }

    /// The same office, for those who come this way.
    #[must_use]
    pub fn over(&self, counter: BackendTls) -> Self {
        Self { counter, ..self.clone() }
    }

    /// The same office, with somebody at the counter who knows nobody's password.
    #[must_use]
    pub fn forgetful(&self) -> Self {
        Self { is_forgetful: true, ..self.clone() }
    }

    /// The same office, where such literals are taken unasked.
    #[must_use]
    pub fn taking(&self, literals: Literals) -> Self {
        Self { literals, ..self.clone() }
    }

    /// Which literals are taken unasked.
    #[must_use]
    pub const fn literals(&self) -> Literals {
        self.literals
    }

    /// The same office, for those who did not wait to be asked.
    #[must_use]
    pub fn in_one_step(&self) -> Self {
        Self { in_one_step: true, ..self.clone() }
    }

    /// Lets `login` in if the password is right, and remembers the visit. The name as it is spelt here.
    #[must_use]
    pub fn admit(&self, protocol: Protocol, login: &[u8], password: &[u8]) -> Option<String> {
        if self.is_forgetful {
            return None;
        }
        let mut rooms = self.rooms();
        let text = std::str::from_utf8(login).ok();
        let known = text.filter(|&login| {
            rooms.mailboxes.get(login).is_some_and(|mailbox| mailbox.password.as_bytes() == password)
        });
        rooms.attempts.push(Attempt {
            protocol,
            login: login.to_vec(),
            admitted: known.is_some(),
            counter: self.counter,
            in_one_step: self.in_one_step,
            at: turmoil::sim_elapsed(),
        });
        let login = known?.to_owned();
        rooms.visits.push(Visit { protocol, login: login.clone() });
        Some(login)
    }

    /// Takes somebody else's word (XCLIENT) that this is `login`.
    pub fn vouch(&self, protocol: Protocol, login: &str) {
        let attempt = Attempt {
            protocol,
            login: login.as_bytes().to_vec(),
            admitted: true,
            counter: self.counter,
            in_one_step: self.in_one_step,
            at: turmoil::sim_elapsed(),
        };
        let mut rooms = self.rooms();
        rooms.attempts.push(attempt);
        rooms.visits.push(Visit { protocol, login: login.to_owned() });
    }

    /// Everybody who said who they are so far, in order.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.rooms().attempts.clone()
    }

    /// What is in `login`'s mailbox now.
    #[must_use]
    pub fn mail(&self, login: &str) -> Vec<Message> {
        self.rooms().mailboxes.get(login).map(|mailbox| mailbox.mail.clone()).unwrap_or_default()
    }

    /// The number the next message of `login` will have.
    #[must_use]
    pub fn uid_next(&self, login: &str) -> u32 {
        self.rooms().mailboxes.get(login).map_or(1, |mailbox| mailbox.uid_next)
    }

    /// Throws messages away.
    pub fn remove(&self, login: &str, uids: &[u32]) {
        if let Some(mailbox) = self.rooms().mailboxes.get_mut(login) {
            mailbox.mail.retain(|message| !uids.contains(&message.uid));
        }
    }

    /// Takes a letter: a copy to the mailbox of each recipient who has one, and one to the books.
    pub fn post(&self, letter: Letter) {
        let mut rooms = self.rooms();
        for to in &letter.to {
            if let Some(mailbox) = rooms.mailboxes.get_mut(to) {
                mailbox.add(letter.octets.clone());
            }
        }
        rooms.letters.push(letter);
    }

    /// Every letter so far, in order.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.rooms().letters.clone()
    }

    /// Everybody who was let in so far, in order.
    #[must_use]
    pub fn visits(&self) -> Vec<Visit> {
        self.rooms().visits.clone()
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_reaches_its_recipients_mailboxes_and_the_books() {
        let office = PostOffice::default();
        office.open("jane@example.com", "hunter2", [Bytes::from_static(b"first\r\n")]);
        let letter = Letter {
            login: Some("john@example.com".into()),
            from: "john@example.com".into(),
            to: vec!["jane@example.com".into(), "else@example.net".into()],
            octets: Bytes::from_static(b"second\r\n"),
        };
        office.post(letter.clone());
        assert_eq!(office.letters(), [letter]);
        let mail = office.mail("jane@example.com");
        assert_eq!(mail.iter().map(|message| message.uid).collect::<Vec<_>>(), [1, 2]);
        office.remove("jane@example.com", &[1]);
        assert_eq!(office.mail("jane@example.com"), mail[1..]);
        assert_eq!(office.uid_next("jane@example.com"), 3);
    }

    #[test]
    fn only_the_right_password_lets_in_and_is_a_visit() {
        let office = PostOffice::default();
        office.open("jane@example.com", "hunter2", []);
        assert_eq!(office.admit(Protocol::Imap, b"jane@example.com", b"hunter1"), None);
        assert_eq!(office.admit(Protocol::Imap, b"JANE@example.com", b"hunter2"), None);
        assert!(office.visits().is_empty());
        assert!(office.admit(Protocol::Pop3, b"jane@example.com", b"hunter2").is_some());
        assert_eq!(office.visits(), [Visit { protocol: Protocol::Pop3, login: "jane@example.com".into() }]);
    }
}
