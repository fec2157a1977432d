//! What the proxy must do next. On an exact stage that is the very next thing it did; on sockets the next thing it did to
//! the same party.

use std::collections::BTreeSet;
use std::fmt;

use gatepost_core::Wire;

use super::Player;
use super::cuts::to_starttls;
use crate::octets::{Octets, Shown, glob, lines_end};
use crate::subject::{Deed, Ending, Seen, Server};
use crate::transcript::{SeesSave, base64_of, expand};

/// What a look at the octets that have come so far says.
enum Look {
    /// The first so many are what was wanted.
    Takes(usize),
    /// There may be more to come.
    MoreOf,
    /// They cannot become what was wanted.
    Never,
}

impl Player<'_> {
    /// The party at the other end of `wire` gets exactly `wanted`, variables expanded.
    pub(super) fn gets(&mut self, wire: Wire, wanted: &Octets) -> Result<(), String> {
        let wanted = expand(wanted, &self.variables)?;
        self.gets_octets(wire, &wanted)
    }

    /// The party at the other end of `wire` gets exactly `wanted`.
    pub(super) fn gets_octets(&mut self, wire: Wire, wanted: &[u8]) -> Result<(), String> {
        let look = |octets: &[u8]| match (octets.starts_with(wanted), wanted.starts_with(octets)) {
            (true, _) => Look::Takes(wanted.len()),
            (_, true) => Look::MoreOf,
            _ => Look::Never,
        };
        self.take(wire, format_args!("exactly {}", Shown(wanted)), look).map(drop)
    }

    /// The party at the other end of `wire` gets as many lines as `pattern` has, and they match; tells what the
    /// stars stand for.
    pub(super) fn gets_like(&mut self, wire: Wire, pattern: &Octets) -> Result<Vec<Vec<u8>>, String> {
        let pattern = expand(pattern, &self.variables)?;
        let lines = pattern.iter().filter(|&&octet| octet == b'\n').count();
        let look = |octets: &[u8]| match lines_end(octets, lines) {
            None => Look::MoreOf,
            Some(end) => match octets.get(..end).is_some_and(|text| glob(&pattern, text).is_some()) {
                true => Look::Takes(end),
                false => Look::Never,
            },
        };
        let text = self.take(wire, format_args!("something like {}", Shown(&pattern)), look)?;
        Ok(glob(&pattern, &text).unwrap_or_default().into_iter().map(<[u8]>::to_vec).collect())
    }

    /// The party at the other end of `wire` gets any number of lines, then one that matches.
    pub(super) fn gets_until(&mut self, wire: Wire, pattern: &Octets) -> Result<(), String> {
        let pattern = expand(pattern, &self.variables)?;
        let look = |octets: &[u8]| {
            let mut end = 0;
            for line in octets.split_inclusive(|&octet| octet == b'\n') {
                end += line.len();
                if glob(&pattern, line).is_some() {
                    return Look::Takes(end);
                }
            }
            Look::MoreOf
        };
        self.take(wire, format_args!("in the end {}", Shown(&pattern)), look).map(drop)
    }

    pub(super) fn gets_and_saves(&mut self, save: &SeesSave) -> Result<(), String> {
        let stars = self.gets_like(Wire::Client, &save.like)?;
        if stars.len() != save.save.len() {
            return Err(format!("{} names for {} stars", save.save.len(), stars.len()));
        }
        for (name, value) in save.save.iter().zip(stars) {
            let value = match save.base64 {
                false => value,
                true => base64_of(&value).ok_or_else(|| format!("{} is not base64", Shown(&value)))?,
            };
            self.variables.insert(name.clone(), value);
        }
        Ok(())
    }

    /// What was saved under `names` is different each time.
    pub(super) fn are_distinct(&self, names: &[String]) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for name in names {
            let value = self.variables.get(name).ok_or_else(|| format!("nothing was saved as {name:?}"))?;
            if !seen.insert(value) {
                return Err(format!("{} came more than once", Shown(value)));
            }
        }
        Ok(())
    }

    /// A whole HTTP request to the auth server, from connecting to its empty line.
    pub(super) fn request(&mut self) -> Result<Vec<u8>, String> {
        self.opens(Server::Auth)?;
        let look = |octets: &[u8]| match octets.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(at) => Look::Takes(at + 4),
            None => Look::MoreOf,
        };
        self.take(Wire::Auth, format_args!("a request"), look)
    }

    /// The proxy connects to `server`, which accepts.
    pub(super) fn opens(&mut self, server: Server) -> Result<(), String> {
        self.expect_deed(server.into(), "connects", |deed| *deed == Deed::Opens)?;
        if server == Server::Backend {
            self.backend_open = true;
            self.backend_ended = false;
        }
        self.tell(format!("{server:?} accepts"));
        self.stage.accept(server)
    }

    /// The proxy ends the client's connection, with FIN if that is what was `wanted`.
    pub(super) fn ends(&mut self, wanted: Ending) -> Result<(), String> {
        let (what, is_it): (_, fn(&Deed) -> bool) = match wanted {
            Ending::Fin => ("ends with FIN", |deed| *deed == Deed::Ends(Ending::Fin)),
            Ending::Reset => ("ends", |deed| matches!(deed, Deed::Ends(_))),
        };
        self.expect_deed(Wire::Client, what, is_it)
    }

    pub(super) fn backend_sees_fin(&mut self) -> Result<(), String> {
        while !self.backend_ended {
            match self.stage.next()? {
                Some(seen) => self.hear(seen),
                None => return Err("expected that the backend sees FIN, got nothing".to_owned()),
            }
        }
        Ok(())
    }

    /// What the proxy does next on `wire` is a deed like this.
    pub(super) fn expect_deed(
        &mut self,
        wire: Wire,
        what: &str,
        is_it: impl Fn(&Deed) -> bool,
    ) -> Result<(), String> {
        loop {
            match self.next_on(wire)? {
                Some(at) => {
                    return match self.pending.get(at) {
                        Some(seen) if is_it(&seen.deed) => {
                            self.pending.remove(at);
                            Ok(())
                        }
                        Some(seen) => Err(format!("expected that the proxy {what}, got {seen}")),
                        None => Ok(()),
                    };
                }
                None if self.listen()? => {}
                None => return Err(format!("expected that the proxy {what} ({wire:?}), got nothing")),
            }
        }
    }

    /// Takes octets the party at the other end of `wire` got, as many as `look` wants. What was wanted, and what came, becomes text only
    /// for a failure: most octets come alone, and each would pay for all before it.
    fn take(
        &mut self,
        wire: Wire,
        what: fmt::Arguments<'_>,
        mut look: impl FnMut(&[u8]) -> Look,
    ) -> Result<Vec<u8>, String> {
        loop {
            let at = self.next_on(wire)?;
            if let Some(at) = at {
                let Some(Seen { deed: Deed::Sends(octets), .. }) = self.pending.get_mut(at) else {
                    let seen = self.pending.get(at).map(ToString::to_string).unwrap_or_default();
                    return Err(format!("expected {what}\n     got {seen}"));
                };
                match look(octets) {
                    Look::Takes(count) => {
                        let taken: Vec<u8> = octets.drain(..count.min(octets.len())).collect();
                        if octets.is_empty() {
                            self.pending.remove(at);
                        }
                        if wire == Wire::Backend {
                            self.backend_is_asked_for_tls = to_starttls(&taken).is_some();
                        }
                        return Ok(taken);
                    }
                    Look::Never => return Err(format!("expected {what}\n     got {}", Shown(octets))),
                    Look::MoreOf => {}
                }
                let another = |seen: &&Seen| self.stage.exact() || seen.wire == wire;
                if let Some(seen) = self.pending.iter().skip(at + 1).find(another) {
                    return Err(format!("expected {what}\n     got {}, but {seen}", self.got(Some(at))));
                }
            }
            let over = wire == Wire::Backend && self.backend_ended;
            if over || !self.listen()? {
                return Err(format!("expected {what}\n     got {}", self.got(at)));
            }
        }
    }

    /// The octets at this place of `pending`, of which there were too few.
    fn got(&self, at: Option<usize>) -> String {
        match at.and_then(|at| self.pending.get(at)) {
            Some(Seen { deed: Deed::Sends(octets), .. }) => format!("{} and no more", Shown(octets)),
            _ => "nothing".to_owned(),
        }
    }

    /// Where in `pending` the next deed on `wire` is. On an exact stage nothing else may come before it.
    fn next_on(&mut self, wire: Wire) -> Result<Option<usize>, String> {
        match self.pending.front() {
            Some(first) if self.stage.exact() && first.wire != wire => {
                Err(format!("expected something on {wire:?}, got {first}"))
            }
            _ => Ok(self.pending.iter().position(|seen| seen.wire == wire)),
        }
    }

    /// Waits for the proxy to do something; tells whether it did.
    fn listen(&mut self) -> Result<bool, String> {
        match self.stage.next()? {
            Some(seen) => {
                self.hear(seen);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Puts down what the proxy did. That it is done with a server needs no step of its own.
    pub(super) fn hear(&mut self, seen: Seen) {
        self.tell(seen.to_string());
        self.since_mark.push(seen.clone());
        match (seen.wire, seen.deed) {
            (Wire::Auth, Deed::Ends(_)) => {}
            (Wire::Backend, Deed::Ends(_)) => self.backend_ended = true,
            (wire, Deed::Sends(more)) => {
                let exact = self.stage.exact();
                let last = self.pending.iter_mut().rev().find(|seen| exact || seen.wire == wire);
                match last {
                    Some(Seen { wire: same, deed: Deed::Sends(octets) }) if *same == wire => {
                        octets.extend(more);
                    }
                    _ => self.pending.push_back(Seen { wire, deed: Deed::Sends(more) }),
                }
            }
            (wire, deed) => self.pending.push_back(Seen { wire, deed }),
        }
    }

    /// Before anybody acts, everything the proxy did must be accounted for.
    pub(super) fn nothing_pending(&mut self) -> Result<(), String> {
        while let Some(seen) = self.stage.next_at_once()? {
            self.hear(seen);
        }
        self.pending.front().map_or(Ok(()), |seen| Err(format!("no step accounts for this: {seen}")))
    }

    /// The next client may come once the proxy said nothing to the last one but, at most, its goodbye.
    pub(super) fn let_the_last_client_go(&mut self) -> Result<(), String> {
        while let Some(seen) = self.stage.next_at_once()? {
            self.hear(seen);
        }
        let over = |seen: &Seen| seen.wire == Wire::Client && matches!(seen.deed, Deed::Ends(_));
        self.pending.retain(|seen| !over(seen));
        self.backend_open = false;
        self.nothing_pending()
    }
}
