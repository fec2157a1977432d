//! What must be true of a world, whatever went wrong in it. Whoever was not touched by any of that must have fared as if nothing had.

mod backend;
mod books;
mod rogue;
mod visitor;

use gatepost_core::Protocol;

use crate::cast::PASSWORD;
use crate::world::Story;

/// Every complaint there is about `story`; none if all is well.
#[must_use]
pub fn judge(story: &Story) -> Vec<String> {
    let mut faults = Vec::new();
    visitor::judge(story, &mut faults);
    rogue::judge(story, &mut faults);
    backend::judge(story, &mut faults);
    books::judge(story, &mut faults);
    for what in &story.malformed {
        faults.push(format!("an auth server was asked something that nginx would not have written: {what}"));
    }
    let (sessions, streams) = story.left;
    if sessions > 0 || streams > 0 {
        faults.push(format!("when all was quiet, {sessions} sessions and {streams} streams were left"));
    }
    faults
}

/// The first line of `trace` that shows a password, in whatever spelling.
#[must_use]
pub fn leak(trace: &[u8]) -> Option<String> {
    let line = trace.split(|&octet| octet == b'\n').find(|line| shows_a_password(line))?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// Whether there is a password in `octets`, by itself or in base64 as SASL has it. Every password of the world has [`PASSWORD`] in it.
fn shows_a_password(octets: &[u8]) -> bool {
    let has = |needle: &[u8]| octets.windows(needle.len()).any(|window| window == needle);
    // Any base64 of it holds one of these, by where it begins.
    let spellings: [&[u8]; 4] = [PASSWORD.as_bytes(), b"aHVudGVyM", b"h1bnRlcj", b"odW50ZXIy"];
    spellings.into_iter().any(has)
}

/// What a client hears whose login was refused because its password is wrong.
fn refusal(protocol: Protocol, text: &str) -> String {
    match protocol {
        Protocol::Imap => format!("NO [AUTHENTICATIONFAILED] {text}"),
        Protocol::Pop3 => format!("-ERR {text}"),
        Protocol::Smtp => format!("535 5.7.0 {text}"),
    }
}

/// Whether `reply` says that it is our trouble, not the client's (decision 3).
fn is_trouble(protocol: Protocol, reply: &str) -> bool {
    match protocol {
        Protocol::Imap => reply.starts_with("NO [UNAVAILABLE] "),
        Protocol::Pop3 => reply == "-ERR internal server error",
        Protocol::Smtp => reply == "451 4.3.2 Internal server error",
    }
}

/// Whether a header's value or a line of a log is one: no octet that could end it, or do something to a terminal.
fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_password_is_found_in_whatever_spelling() {
        for before in ["", "j", "jo", "joh", "john@example.com"] {
            let plain = STANDARD.encode(format!("\0{before}\0{PASSWORD}"));
            assert!(shows_a_password(plain.as_bytes()), "{plain}");
        }
        assert!(shows_a_password(STANDARD.encode(PASSWORD).as_bytes()));
        assert!(leak(b"all\nis not-hunter2 well\n").is_some());
        assert!(leak(b"all\nis well\n").is_none());
    }
}
