//! Records a session of a real client: runs it against a proxy that a [`Stage`](crate::subject::Stage) is set for, plays the
//! auth server, has a real mail server behind, and writes down what each of them said as a transcript.
//!
//! ```text
//!   client <--TLS or not--> parties <--> between <--> Stage: the proxy, with its configuration and its own TLS
//!                              ^            |  '----> auth: who may
//!   Dovecot, Postfix <---------'            '-------> notes: steps, then text
//! ```

mod auth;
mod backend;
mod between;
mod client;
mod index;
mod notes;
mod parties;
mod text;

use std::io;

use crate::peer::{Outcome, scratch_directory};
use crate::subject::{Server, Subject};
use crate::transcript::{Recorded, Transcript};

use between::Between;
use client::Run;
use parties::Parties;

pub use backend::Backend;
pub use client::version;
pub use index::with_index;
pub use notes::streams;
pub use text::text;

/// How many steps a failure shows.
const STEPS_SHOWN: usize = 8;

/// Records the session that `head` describes, whatever its script says: with its client, its configuration, and `server` behind
/// the proxy. `tell` is told where to connect if a client has to be worked by hand.
///
/// # Errors
///
/// What went wrong: the client is missing or ended in another way than it should, the proxy did what no proxy may
/// do, or something was said that is not to be written down.
pub fn record(
    head: &Transcript,
    subject: &dyn Subject,
    server: &Backend,
    day: &str,
    tell: impl FnOnce(&str),
) -> Result<Transcript, String> {
    let told = |error: io::Error| error.to_string();
    let recorded = head.recorded.as_ref().ok_or("it does not say which client")?;
    let home = scratch_directory("record").map_err(told)?;
    let mut parties = Parties::new(&home).map_err(told)?;
    let script_is_new = Transcript { script: Vec::new(), ..head.clone() };
    let mut stage = subject.stage(&script_is_new)?;
    for server in [Server::Auth, Server::Backend] {
        stage.reachable(server, true)?;
    }
    let address = parties.address().map_err(told)?;
    let run = match recorded.command.is_empty() {
        true => {
            tell(&format!(
                "a client is waited for at {address}; it may trust {}",
                parties.certificate().display()
            ));
            Run::ByHand
        }
        false => Run::begin(recorded, &home, address, &parties.certificate())?,
    };
    let config = (head.config.protocol, head.config.tls);
    let mut between = Between::new(stage.as_mut(), &mut parties, server.address, config, recorded.auth_wait)
        .map_err(told)?;
    let ran = between.run(|come| run.is_over(come));
    let reached = between.reached_backend;
    let script = between.script();
    drop(parties); // or a client that waits for more would wait on
    let outcome = run.finish()?;
    let story = || {
        let last = script.len().saturating_sub(STEPS_SHOWN);
        let steps: String = script.iter().skip(last).map(|step| format!("\n  {step:?}")).collect();
        let said = outcome.as_ref().map(Outcome::said).unwrap_or_default();
        format!("the client: {said}\nthe last steps:{steps}")
    };
    ran.map_err(|error| format!("{error}\n{}", story()))?;
    if outcome.as_ref().is_some_and(|outcome| outcome.code != Some(recorded.code)) {
        return Err(format!("the client should end with exit code {}\n{}", recorded.code, story()));
    }
    let recorded = Recorded {
        version: version(recorded)?,
        server: if reached { server.name.clone() } else { String::new() },
        day: day.to_owned(),
        ..recorded.clone()
    };
    Ok(Transcript { recorded: Some(recorded), script, ..head.clone() })
}

/// What the text of a session tells of the machine it was recorded on: its name, or where things are on it.
#[must_use]
pub fn names_this_machine(text: &str) -> Option<String> {
    let own_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_part_of_a_word = |c: char| c.is_alphanumeric() || c == '-';
    let mut words = text.split(|c| !is_part_of_a_word(c));
    if own_name != "localhost" && words.any(|word| word == own_name) {
        return Some(own_name);
    }
    let places = [
        std::env::temp_dir().display().to_string(),
        std::env::var("HOME").unwrap_or_default(),
        env!("CARGO_MANIFEST_DIR").trim_end_matches("/conformance").to_owned(),
    ];
    places.into_iter().find(|place| place.len() > 1 && text.contains(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_tells_of_this_machine_is_found_out() {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if name != "localhost" {
            assert_eq!(names_this_machine(&format!("EHLO {name}\r\n")), Some(name.clone()));
            assert_eq!(names_this_machine(&format!("EHLO x{name}x\r\n")), None);
        }
        let source = env!("CARGO_MANIFEST_DIR");
        assert!(names_this_machine(&format!("a {source}/x")).is_some());
        assert_eq!(names_this_machine("EHLO client.example.net\r\n"), None);
    }
}
