//! What fuzz targets and benchmarks may call of what is otherwise private. Not part of the interface; each call panics where something
//! that must hold does not.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::auth::response::Head;
use crate::auth::rest::Rest;
use crate::dialect::Dialect;
use crate::dialect::imap::Imap;
use crate::dialect::pop3::Pop3;
use crate::dialect::smtp::Smtp;
use crate::framing::{Frame, Inbox};
use crate::grammar;
use crate::policy::Protocol;
use crate::proxy::{self, Header, v1, v2};
use crate::wire::{Address, Peer};

/// Cuts `octets` into frames of at most `bytes_max` octets and reads each as a command of `protocol`.
///
/// # Panics
///
/// If frames are not what they are said to be.
pub fn commands(protocol: Protocol, octets: &[u8], bytes_max: usize) {
    match protocol {
        Protocol::Imap => frames::<Imap>(octets, bytes_max, |frame| {
            let (tag, command) = grammar::imap::Command::parse(frame);
            assert!(tag.is_some() || command.is_err(), "a command without a tag");
        }),
        Protocol::Pop3 => frames::<Pop3>(octets, bytes_max, |frame| {
            let _ = grammar::pop3::Command::parse(frame);
        }),
        Protocol::Smtp => frames::<Smtp>(octets, bytes_max, |frame| {
            let _ = grammar::smtp::Command::parse(frame);
        }),
    }
}

fn frames<D: Dialect>(octets: &[u8], bytes_max: usize, mut parse: impl FnMut(&[u8])) {
    let mut inbox = Inbox::default();
    inbox.receive(octets);
    let mut left = octets.len() + 1;
    loop {
        assert!(inbox.octets().len() < left, "a frame was taken and nothing became less");
        left = inbox.octets().len();
        let frame = if D::LITERALS { inbox.command(bytes_max) } else { inbox.line(bytes_max) };
        match frame {
            Frame::Partial => {
                assert!(left < bytes_max || D::LITERALS, "more is kept than a frame may hold");
                return;
            }
            Frame::Whole(end) => {
                assert!(end <= bytes_max && inbox.front(end).ends_with(b"\n"), "a frame that is none");
                parse(inbox.front(end));
                inbox.discard(end);
            }
            Frame::Announced(end) => {
                parse(inbox.front(end));
                inbox.grant();
                left += 1;
            }
            Frame::TooBig { announced, .. } => {
                parse(inbox.front(announced));
                inbox.discard(announced);
            }
            Frame::TooLong(end) => inbox.drop_line(end),
        }
    }
}

/// Reads `octets` as an auth server's answer, whole and cut in two at `cut`: both must come to the same.
///
/// # Panics
///
/// If they do not.
pub fn auth_answer(octets: &[u8], cut: usize) {
    let whole = Head::default().receive(octets);
    let (front, back) = octets.split_at(cut.min(octets.len()));
    let mut head = Head::default();
    let halves = match head.receive(front) {
        Ok(None) => head.receive(back),
        decided => decided,
    };
    assert_eq!(whole, halves, "the answer depends on how it was cut");
    kept_answer(octets, cut);
}

/// The same of an answer whose connection is to be used again: also its end does not depend on how it is cut.
fn kept_answer(octets: &[u8], cut: usize) {
    let heard = |pieces: [&[u8]; 2]| {
        let (mut head, mut verdict, mut rest) = (Head::default().kept(), Ok(None), None);
        for piece in pieces {
            match &verdict {
                Ok(None) => {
                    verdict = head.receive(piece);
                    rest = head.rest();
                }
                Ok(Some(_)) => {
                    rest = rest.and_then(|mut rest: Rest| rest.receive(piece).ok().map(|()| rest));
                }
                Err(_) => {}
            }
        }
        (verdict, rest)
    };
    let (front, back) = octets.split_at(cut.min(octets.len()));
    let whole = heard([octets, &[]]);
    assert_eq!(whole, heard([front, back]), "the end of an answer depends on how it was cut");
    if let (Ok(Some(_)), Some(rest)) = &whole {
        let beyond = [octets, b"x"].concat();
        let longer = heard([&beyond, &[]]).1;
        assert!(!rest.is_over() || longer.is_none(), "a connection is kept with more on it than an answer");
    }
}

/// Whether `octets` are the head of an auth server's answer that says something.
#[must_use]
pub fn is_auth_answer(octets: &[u8]) -> bool {
    matches!(Head::default().receive(octets), Ok(Some(_)))
}

/// Whether `octets` begin with a whole PROXY header, of either version.
#[must_use]
pub fn has_proxy_header(octets: &[u8]) -> bool {
    matches!(proxy::read(octets), Ok(Some(_)))
}

/// What a stream is cut into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framed {
    /// A whole line, or a whole IMAP command with its literals.
    Whole(Vec<u8>),
    /// A line that is too long, whose rest is dropped.
    TooLong,
    /// A literal that is too big. Nothing is cut behind it.
    TooBig,
}

/// Cuts `octets`, which come `piece` at a time, into lines of at most `bytes_max` octets, or with `literals` into IMAP commands. Every
/// literal that fits is granted.
#[must_use]
pub fn framed(octets: &[u8], piece: usize, bytes_max: usize, literals: bool) -> Vec<Framed> {
    let mut inbox = Inbox::default();
    let mut framed = Vec::new();
    for piece in octets.chunks(piece.max(1)) {
        inbox.receive(piece);
        loop {
            match if literals { inbox.command(bytes_max) } else { inbox.line(bytes_max) } {
                Frame::Partial => break,
                Frame::Announced(_) => inbox.grant(),
                Frame::Whole(end) => {
                    framed.push(Framed::Whole(inbox.front(end).to_vec()));
                    inbox.discard(end);
                }
                Frame::TooLong(end) => {
                    framed.push(Framed::TooLong);
                    inbox.drop_line(end);
                }
                Frame::TooBig { .. } => {
                    framed.push(Framed::TooBig);
                    return framed;
                }
            }
        }
    }
    framed
}

/// Reads `octets` as what stands before a session that comes through a balancer: a PROXY header, of either version. It must be decided at
/// the same octet however it comes, and one that tells of a client must be told again as it was.
///
/// # Panics
///
/// If it is not.
pub fn proxy_header(octets: &[u8]) {
    let whole = proxy::read(octets);
    for cut in 0..octets.len().min(PROXY_CUTS_MAX) {
        match (proxy::read(octets.get(..cut).unwrap_or_default()), &whole) {
            (Ok(None), _) => {}
            (Ok(Some(early)), Ok(Some(late))) => {
                assert_eq!(early, *late, "the header depends on how it was cut");
            }
            (Ok(Some(_)), _) => assert!(whole.is_ok(), "what follows a header breaks it"),
            (Err(_), _) => assert!(whole.is_err(), "a header was refused too early"),
        }
    }
    let Ok(Some((header, end))) = whole else { return };
    assert!(end <= octets.len(), "a header longer than what came");
    let Header::Proxied(told) = header else { return };
    let address = |text: &str, port| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, port));
    let (source, destination) =
        (address(&told.source, told.source_port), address(&told.destination, told.destination_port));
    assert!(source.is_ok() && destination.is_ok(), "an address that is none");
    let (Ok(source), Ok(destination)) = (source, destination) else { return };
    let (client, ours) = (Address::from(source), Peer { remote: source.into(), local: destination.into() });
    for again in [v1::header(&client, &ours), v2::header(&client, &ours, None)] {
        let again = proxy::read(&again);
        assert!(matches!(again, Ok(Some((Header::Proxied(_), _)))), "what was written cannot be read");
        let Ok(Some((Header::Proxied(heard), _))) = again else { return };
        let same = |one: &str, other: &str| {
            let canonical = |text: &str| text.parse().map(|ip: IpAddr| ip.to_canonical());
            canonical(one) == canonical(other)
        };
        assert!(same(&heard.source, &told.source) && same(&heard.destination, &told.destination));
        assert_eq!((heard.source_port, heard.destination_port), (told.source_port, told.destination_port));
    }
}

/// Where a header's cuts are tried: in all of version 1, and past the fixed part of version 2.
const PROXY_CUTS_MAX: usize = 300;
