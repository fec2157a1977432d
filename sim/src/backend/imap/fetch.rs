//! The answers to FETCH and UID FETCH (RFC 3501 section 6.4.5), of a mailbox in which nothing has a flag.

use std::ops::RangeInclusive;

use crate::backend::number;
use crate::post_office::Message;

/// An untagged FETCH for each message of `set`; `None` if the set or the items make no sense.
pub(super) fn responses(mail: &[Message], set: &[u8], items: &[u8], by_uid: bool) -> Option<Vec<u8>> {
    let last = match (by_uid, mail.last()) {
        (true, Some(message)) => message.uid as usize,
        _ => mail.len(),
    };
    let ranges = ranges(set, last)?;
    let items = Item::all(items, by_uid)?;
    let mut reply = Vec::new();
    for (number, message) in (1_usize..).zip(mail) {
        let key = if by_uid { message.uid as usize } else { number };
        if !ranges.iter().any(|range| range.contains(&key)) {
            continue;
        }
        reply.extend_from_slice(format!("* {number} FETCH (").as_bytes());
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                reply.push(b' ');
            }
            item.print(message, &mut reply);
        }
        reply.extend_from_slice(b")\r\n");
    }
    Some(reply)
}

/// A sequence set, `1,3:5,7:*`; either end of a range may be the larger.
fn ranges(set: &[u8], last: usize) -> Option<Vec<RangeInclusive<usize>>> {
    let end = |text: &[u8]| match text {
        b"*" => Some(last),
        digits => number(digits).filter(|&number| number > 0),
    };
    set.split(|&octet| octet == b',')
        .map(|range| {
            let mut ends = range.splitn(2, |&octet| octet == b':');
            let first = end(ends.next()?)?;
            let second = ends.next().map_or(Some(first), end)?;
            Some(first.min(second)..=first.max(second))
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Uid,
    Flags,
    Size,
    Part(&'static str, Part),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Header,
    Text,
}

impl Item {
    /// One item, or several in parentheses. UID FETCH always tells the UID.
    fn all(items: &[u8], by_uid: bool) -> Option<Vec<Self>> {
        let text = std::str::from_utf8(items).ok()?.to_ascii_uppercase();
        let text = match text.strip_prefix('(') {
            Some(inner) => inner.strip_suffix(')')?,
            None => &text,
        };
        let mut items = text.split(' ').map(Self::of).collect::<Option<Vec<Self>>>()?;
        if by_uid && !items.contains(&Self::Uid) {
            items.push(Self::Uid);
        }
        Some(items)
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "UID" => Self::Uid,
            "FLAGS" => Self::Flags,
            "RFC822.SIZE" => Self::Size,
            "BODY[]" | "BODY.PEEK[]" => Self::Part("BODY[]", Part::Whole),
            "BODY[HEADER]" | "BODY.PEEK[HEADER]" => Self::Part("BODY[HEADER]", Part::Header),
            "BODY[TEXT]" | "BODY.PEEK[TEXT]" => Self::Part("BODY[TEXT]", Part::Text),
            "RFC822" => Self::Part("RFC822", Part::Whole),
            "RFC822.HEADER" => Self::Part("RFC822.HEADER", Part::Header),
            "RFC822.TEXT" => Self::Part("RFC822.TEXT", Part::Text),
            _ => return None,
        })
    }

    fn print(self, message: &Message, reply: &mut Vec<u8>) {
        match self {
            Self::Uid => reply.extend_from_slice(format!("UID {}", message.uid).as_bytes()),
            Self::Flags => reply.extend_from_slice(b"FLAGS ()"),
            Self::Size => {
                reply.extend_from_slice(format!("RFC822.SIZE {}", message.octets.len()).as_bytes());
            }
            Self::Part(name, part) => {
                let octets = part.of(&message.octets);
                reply.extend_from_slice(format!("{name} {{{}}}\r\n", octets.len()).as_bytes());
                reply.extend_from_slice(octets);
            }
        }
    }
}

impl Part {
    /// The header goes up to the first empty line, which is its own; a message without one is all header.
    fn of(self, message: &[u8]) -> &[u8] {
        let header =
            message.windows(4).position(|octets| octets == b"\r\n\r\n").map_or(message.len(), |at| at + 4);
        let (header, text) = message.split_at_checked(header).unwrap_or((message, b""));
        match self {
            Self::Whole => message,
            Self::Header => header,
            Self::Text => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_as_the_standard_has_them() {
        assert_eq!(ranges(b"1,4:2,5:*", 9), Some(vec![1..=1, 2..=4, 5..=9]));
        assert_eq!(ranges(b"12:*", 9), Some(vec![9..=12]));
        for nonsense in [&b""[..], b"0", b"1,", b"1:", b"a", b"-1"] {
            assert_eq!(ranges(nonsense, 9), None);
        }
    }
}
