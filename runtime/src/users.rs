//! `auth_users`: who may log in, from a file, for those who have no auth server.
//!
//! It is an auth server within: a session asks it in the words of auth_http and hears its answer in them, so that whatever is true of
//! the one is true of the other. Its file was read with the configuration, by the master; nothing is opened here.

mod bench;
mod exchange;
mod file;
mod kept;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gatepost_core::Secret;

pub(crate) use self::bench::Bench;
use self::bench::Undone;
use self::exchange::{Answer, Question};
use self::file::Entry;
pub(crate) use self::file::{FILE_BYTES_MAX, Mistake};
use self::kept::{Cost, Kept, Unchecked};

/// How long a refused client waits for its reply, and the attempt on one connection at which it is sent away instead: what nginx's
/// documentation shows, and what auth servers make of it (auth-http.md section 9).
const WAIT_SECONDS: u32 = 3;
const ATTEMPTS_MAX: u64 = 10;

/// The longest password that is checked at all. Some hashes cost as many times more as the password is longer, and nobody's is this
/// long.
const PASSWORD_BYTES_MAX: usize = 1024;

/// The users of one file.
pub struct Users {
    /// Where the file is.
    path: Box<str>,
    entries: BTreeMap<Box<str>, Entry>,
    /// Each kind and cost of hash there is, and the name of somebody who has such a one: the decoy.
    decoys: BTreeMap<Cost, Box<str>>,
    bench: Arc<Bench>,
}

/// What comes of a request.
#[derive(Debug)]
pub(crate) struct Answered {
    /// What the session hears.
    pub(crate) octets: Secret,
    /// What the operator should hear, if it could not be found out. Holds no password.
    pub(crate) trouble: Option<String>,
}

impl From<Answer<'_>> for Answered {
    fn from(answer: Answer<'_>) -> Self {
        Self { octets: answer.encode(), trouble: None }
    }
}

impl Users {
    /// Understands a file. `groups` are the names of every `upstream {}`.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub(crate) fn read(
        path: &str,
        text: &[u8],
        groups: &[String],
        bench: Arc<Bench>,
    ) -> Result<Self, Vec<Mistake>> {
        let entries = file::read(text, groups)?;
        let mut decoys = BTreeMap::new();
        for (name, entry) in &entries {
            decoys.entry(entry.kept.cost()).or_insert_with(|| name.clone());
        }
        Ok(Self { path: path.into(), entries, decoys, bench })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether there is nobody in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first line with a user of whom only a hash is kept, and the name.
    pub(crate) fn first_hashed(&self) -> Option<(usize, &str)> {
        self.first(|entry| entry.kept.plain_text().is_none())
    }

    /// The first line with a user who has no backend, and the name.
    pub(crate) fn first_homeless(&self) -> Option<(usize, &str)> {
        self.first(|entry| entry.backend.is_none())
    }

    fn first(&self, wanted: impl Fn(&Entry) -> bool) -> Option<(usize, &str)> {
        let found = self.entries.iter().filter(|(_, entry)| wanted(entry));
        found.map(|(name, entry)| (entry.line, &**name)).min()
    }

    /// Whether this is the whole of a request.
    pub(crate) fn is_whole(request: &Secret) -> bool {
        exchange::is_whole(request.expose())
    }

    /// The answer to a whole request, as it would come from an auth server.
    ///
    /// To be called within a tokio runtime.
    pub(crate) async fn answer(self: Arc<Self>, request: Secret) -> Answered {
        let question = Question::read(request.expose());
        drop(request);
        if !self.takes_hashing(&question) {
            return self.judge(&question);
        }
        let users = self.clone();
        let kib = self.decoys.keys().map(|cost| cost.kib()).max().unwrap_or_default();
        match self.bench.run(kib, move || users.judge(&question)).await {
            Ok(answered) => answered,
            Err(Undone::Full) => Answer::Busy.into(),
            Err(Undone::Broken(cause)) => self.trouble(cause),
        }
    }

    /// Whether a hash is to be made, which takes time: anything else is not worth another thread's, nor that anybody waits for a seat.
    fn takes_hashing(&self, question: &Question) -> bool {
        question.method == b"plain"
            && question.password.expose().len() <= PASSWORD_BYTES_MAX
            && self.decoys.keys().any(|cost| *cost != Cost::Plain)
    }

    /// What is told when a password could not be checked.
    fn trouble(&self, cause: impl fmt::Display) -> Answered {
        let trouble = format!("no password could be checked by users file \"{}\": {cause}", self.path);
        Answered { trouble: Some(trouble), ..Answer::Trouble.into() }
    }

    fn judge(&self, question: &Question) -> Answered {
        let given = question.password.expose();
        let found = match question.method.as_slice() {
            // Mail without a login; that there is a `proxy_pass` for it was seen to.
            b"none" => return Answer::Granted { servers: None, port: None, password: None }.into(),
            // Too long is wrong for everybody alike.
            b"plain" if given.len() > PASSWORD_BYTES_MAX => Ok(None),
            b"plain" => self.find(&question.login, |kept| kept.is(given)),
            b"cram-md5" => {
                self.find(&question.login, |kept| Ok(kept.answers_cram_md5(&question.salt, given)))
            }
            b"apop" => self.find(&question.login, |kept| Ok(kept.answers_apop(&question.salt, given))),
            _ => Err(Unchecked::Method),
        };
        match found {
            Ok(Some(entry)) => {
                let backend = entry.backend.as_ref();
                Answer::Granted {
                    servers: backend.map(|backend| &*backend.servers),
                    port: backend.filter(|backend| backend.portless).and_then(|_| question.port()),
                    password: entry.kept.plain_text().filter(|_| question.method != b"plain"),
                }
                .into()
            }
            Ok(None) => {
                let wait = (question.attempt < ATTEMPTS_MAX).then_some(WAIT_SECONDS);
                Answer::Denied { wait }.into()
            }
            Err(unchecked) => self.trouble(unchecked),
        }
    }

    /// The user of this name, if `is_right` about what is kept of the password.
    ///
    /// Whatever the name, as many checks are made, of the same kinds and costs: one of each that there is in the file. The user's own
    /// is among them, if there is such a user; the others are decoys, whose outcome is of no consequence.
    fn find(
        &self,
        login: &[u8],
        mut is_right: impl FnMut(&Kept) -> Result<bool, Unchecked>,
    ) -> Result<Option<&Entry>, Unchecked> {
        let user = std::str::from_utf8(login).ok().and_then(|login| self.entries.get(login));
        let mut found = None;
        for (cost, decoy) in &self.decoys {
            let own = user.filter(|user| user.kept.cost() == *cost);
            let Some(checked) = own.or_else(|| self.entries.get(decoy)) else { continue };
            let right = is_right(&checked.kept)?;
            found = found.or(own.filter(|_| right));
        }
        Ok(found)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({} of {})", self.entries.len(), self.path)
    }
}

#[cfg(test)]
mod tests;
