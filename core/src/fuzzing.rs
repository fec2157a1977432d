//! What fuzz targets may call of what is otherwise private. Not part of the interface; each call panics where something that must
//! hold does not.

use crate::auth::response::Head;
use crate::auth::rest::Rest;
use crate::dialect::Dialect;
use crate::dialect::imap::Imap;
use crate::dialect::pop3::Pop3;
use crate::dialect::smtp::Smtp;
use crate::framing::{Frame, Inbox};
use crate::grammar;
use crate::policy::Protocol;

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
