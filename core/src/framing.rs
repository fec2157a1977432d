//! From a stream to frames: lines, and for IMAP commands with the literals inside them. This is the only code that
//! looks for line ends, and it understands nothing else of what it cuts.
//!
//! A line ends with LF; a CR before it belongs to the line end (policy P3: LF alone is accepted before the relay). A frame
//! too long for its bound is reported once and the rest of its line is dropped unseen: there is never a guess at
//! where the next command begins.

use crate::limits::AHEAD_BYTES_MAX;
use crate::secret::Secret;

/// What the client has sent and nobody has used yet. Wiped as it is used; holds no memory while it is empty.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Inbox {
    octets: Secret,
    /// Up to here there is no line end that ends a frame: where the search goes on.
    searched: usize,
    /// Where the line begins that is searched: behind the frame's last literal, if it has one. No frame is as long as this could tell,
    /// and an inbox is no bigger for it.
    line: u32,
    /// Whether the synchronising literal announced right before `searched` was granted.
    granted: bool,
    /// How many more octets to drop unseen.
    dropping: Dropping,
    /// Whether the client has said its last word.
    ended: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
enum Dropping {
    #[default]
    Nothing,
    /// The rest of a line that was too long.
    Line,
    /// So many octets.
    Octets(u64),
}

/// What stands at the beginning of an [`Inbox`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Not all of a frame has come.
    Partial,
    /// A whole frame of so many octets, line ends included.
    Whole(usize),
    /// The first so many octets of a command end in a synchronising literal's announcement, `{n}` and a line end. The
    /// client waits for [`Inbox::grant`] (and a `+`) or a refusal, with which the command is over.
    Announced(usize),
    /// The same for a literal that would not fit.
    TooBig {
        /// The octets up to and with the announcement.
        announced: usize,
        /// Whether the client waits. One that does not, sends the octets anyway.
        synchronising: bool,
    },
    /// The first so many octets are too long already, whether or not they end in a line end. The answer is
    /// [`Inbox::drop_line`].
    TooLong(usize),
}

impl Inbox {
    /// Takes in what the client sent.
    pub(crate) fn receive(&mut self, octets: &[u8]) {
        let kept = self.after_dropping(octets);
        if !kept.is_empty() {
            self.octets.extend(kept);
        }
    }

    /// The client will send nothing more.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the client will send nothing more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether there is as much here as is kept for a client that speaks out of its turn.
    pub(crate) fn is_full(&self) -> bool {
        self.octets.len() >= AHEAD_BYTES_MAX
    }

    /// Everything that is here, whole frames or not.
    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.expose()
    }

    /// The first `octets` of what is here, or all of it if that is less.
    pub(crate) fn front(&self, octets: usize) -> &[u8] {
        self.octets().get(..octets).unwrap_or(self.octets())
    }

    /// What stands at the beginning, where a frame is a line of at most `bytes_max` octets with its line end.
    pub(crate) fn line(&mut self, bytes_max: usize) -> Frame {
        match self.line_end() {
            Some(end) if end <= bytes_max => Frame::Whole(end),
            Some(end) => Frame::TooLong(end),
            None => self.unless_too_long(bytes_max),
        }
    }

    /// What stands at the beginning, where a frame is an IMAP command of at most `bytes_max` octets: a line, and as long
    /// as the line ends in `{n}` or `{n+}`, n octets and one more line (RFC 3501 section 4.3, RFC 7888 section 3). The
    /// announcement is looked for at the end of every line, so that no literal is ever taken for a command.
    pub(crate) fn command(&mut self, bytes_max: usize) -> Frame {
        loop {
            let Some(end) = self.line_end() else { return self.unless_too_long(bytes_max) };
            if end > bytes_max {
                return Frame::TooLong(end);
            }
            let begin = usize::try_from(self.line).unwrap_or(end);
            let line = self.front(end).get(begin..).unwrap_or_default();
            let Some(literal) = announcement(line) else { return Frame::Whole(end) };
            let fits = literal.octets.and_then(|n| n.checked_add(end)).filter(|&past| past < bytes_max);
            let Some(past) = fits else {
                return Frame::TooBig { announced: end, synchronising: literal.synchronising };
            };
            if literal.synchronising && !self.granted {
                return Frame::Announced(end);
            }
            self.granted = false;
            (self.searched, self.line) = (past, u32::try_from(past).unwrap_or(u32::MAX));
        }
    }

    /// Lets the client send the literal that [`Frame::Announced`] told of.
    pub(crate) fn grant(&mut self) {
        self.granted = true;
    }

    /// Drops and wipes the first `octets`, which were used; the search begins anew behind them.
    pub(crate) fn discard(&mut self, octets: usize) {
        self.octets.discard(octets);
        (self.searched, self.line) = (0, 0);
        self.granted = false;
    }

    /// Drops the first `octets`, and where they do not end in a line end, the rest of that line as it comes.
    pub(crate) fn drop_line(&mut self, octets: usize) {
        if !self.front(octets).ends_with(b"\n") {
            self.dropping = Dropping::Line;
        }
        self.discard(octets);
    }

    /// Drops `octets` unseen, those that are here and those to come.
    pub(crate) fn swallow(&mut self, octets: u64) {
        let here = usize::try_from(octets).unwrap_or(usize::MAX).min(self.octets.len());
        self.discard(here);
        match octets.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX)) {
            0 => {}
            to_come => self.dropping = Dropping::Octets(to_come),
        }
    }

    /// What is left when the relay begins.
    pub(crate) fn into_leftovers(self) -> Secret {
        self.octets
    }

    /// The end of the first line end at or behind `searched`.
    fn line_end(&self) -> Option<usize> {
        let at = self.octets().get(self.searched..)?.iter().position(|&octet| octet == b'\n')?;
        Some(self.searched + at + 1)
    }

    /// There is no line end: either the frame may still grow, or it is too long already.
    fn unless_too_long(&mut self, bytes_max: usize) -> Frame {
        let octets = self.octets.len();
        if octets < bytes_max {
            // Inside a literal the next line begins further on than what has come.
            self.searched = self.searched.max(octets);
            return Frame::Partial;
        }
        Frame::TooLong(octets)
    }

    /// What of `octets` is not to be dropped.
    fn after_dropping<'a>(&mut self, octets: &'a [u8]) -> &'a [u8] {
        let dropped = match self.dropping {
            Dropping::Nothing => return octets,
            Dropping::Line => match octets.iter().position(|&octet| octet == b'\n') {
                None => return &[],
                Some(at) => at + 1,
            },
            Dropping::Octets(n) => {
                let len = u64::try_from(octets.len()).unwrap_or(u64::MAX);
                if n > len {
                    self.dropping = Dropping::Octets(n - len);
                    return &[];
                }
                usize::try_from(n).unwrap_or(octets.len())
            }
        };
        self.dropping = Dropping::Nothing;
        octets.get(dropped..).unwrap_or_default()
    }
}

/// A line without its line end, CRLF or LF.
pub(crate) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

struct Literal {
    /// `None` for a number beyond `usize`, or one written with so many digits that nobody means it.
    octets: Option<usize>,
    synchronising: bool,
}

/// The literal that a line announces at its end, if it does: `{n}` or `{n+}`.
fn announcement(line: &[u8]) -> Option<Literal> {
    let inner = without_line_end(line).strip_suffix(b"}")?;
    let (inner, synchronising) = inner.strip_suffix(b"+").map_or((inner, true), |inner| (inner, false));
    let digits = inner.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let open = inner.len().checked_sub(digits + 1)?;
    if digits == 0 || inner.get(open) != Some(&b'{') {
        return None;
    }
    let number = core::str::from_utf8(inner.get(open + 1..)?).ok()?;
    Some(Literal { octets: number.parse().ok(), synchronising })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(octets: &[u8]) -> Inbox {
        let mut inbox = Inbox::default();
        inbox.receive(octets);
        inbox
    }

    #[test]
    fn a_line_that_fits_exactly_is_whole_and_one_octet_more_is_too_long() {
        assert_eq!(inbox(b"NOOP\r\n").line(6), Frame::Whole(6));
        assert_eq!(inbox(b"NOOPS\r\n").line(6), Frame::TooLong(7));
        assert_eq!(inbox(b"NOOPS").line(6), Frame::Partial);
        assert_eq!(inbox(b"NOOPSX").line(6), Frame::TooLong(6));
    }

    #[test]
    fn the_rest_of_a_line_that_was_too_long_is_never_heard() {
        let mut inbox = inbox(b"0123456789");
        assert_eq!(inbox.line(8), Frame::TooLong(10));
        inbox.drop_line(10);
        inbox.receive(b"QUIT is not a command here");
        assert_eq!(inbox.line(8), Frame::Partial);
        inbox.receive(b"...\r\nNOOP\r\n");
        assert_eq!(inbox.line(8), Frame::Whole(6));
        assert_eq!(inbox.octets(), b"NOOP\r\n");
    }

    #[test]
    fn a_command_ends_behind_its_last_literal() {
        let all = b"a LOGIN {4+}\r\nfr\n} {7+}\r\nhunter2\r\nb NOOP\r\n";
        assert_eq!(inbox(all).command(4096), Frame::Whole(all.len() - 8));
        for cut in 0..all.len() - 8 {
            assert_eq!(inbox(&all[..cut]).command(4096), Frame::Partial, "cut at {cut}");
        }
    }

    #[test]
    fn what_a_literal_holds_announces_nothing() {
        let all = b"a LOGIN {1+}\r\n{7}\r\nb NOOP\r\n";
        assert_eq!(inbox(all).command(4096), Frame::Whole(19));
        let mut inbox = inbox(b"a LOGIN {4+}\r\n {7+}\r\nb NOOP\r\n");
        assert_eq!(inbox.command(4096), Frame::Whole(21));
        inbox.discard(21);
        assert_eq!(inbox.command(4096), Frame::Whole(8));
    }

    #[test]
    fn a_synchronising_literal_waits_to_be_granted() {
        let mut inbox = inbox(b"a LOGIN {0}\r\n");
        assert_eq!(inbox.command(4096), Frame::Announced(13));
        inbox.grant();
        assert_eq!(inbox.command(4096), Frame::Partial);
        inbox.receive(b" {1}\r\n");
        assert_eq!(inbox.command(4096), Frame::Announced(19));
        inbox.grant();
        inbox.receive(b"p\r\n");
        assert_eq!(inbox.command(4096), Frame::Whole(22));
    }

    #[test]
    fn a_literal_that_would_not_fit_is_told_before_any_of_it_is_taken() {
        for (octets, fits) in [("9", true), ("30", false), ("18446744073709551616", false)] {
            let line = alloc::format!("a LOGIN {{{octets}}}\r\n");
            let frame = inbox(line.as_bytes()).command(40);
            let too_big = Frame::TooBig { announced: line.len(), synchronising: true };
            assert_eq!(frame, if fits { Frame::Announced(line.len()) } else { too_big }, "{octets}");
        }
    }

    #[test]
    fn a_literal_fits_where_there_is_room_for_a_line_end_behind_it() {
        // 13 octets and 9 of the literal, which a line end of one octet may follow.
        let line = b"a LOGIN {9}\r\n";
        assert_eq!(inbox(line).command(23), Frame::Announced(13));
        assert_eq!(inbox(line).command(22), Frame::TooBig { announced: 13, synchronising: true });
        let mut inbox = inbox(b"a LOGIN {9+}\r\n123456789\n");
        assert_eq!(inbox.command(24), Frame::Whole(24));
    }

    #[test]
    fn what_is_no_announcement_is_the_end_of_a_command() {
        for line in ["a LOGIN {}\r\n", "a {-1}\r\n", "a {1 }\r\n", "a {1++}\r\n", "a 1}\r\n", "a \"{1}\"\r\n"]
        {
            assert_eq!(inbox(line.as_bytes()).command(4096), Frame::Whole(line.len()), "{line}");
        }
    }

    #[test]
    fn swallowed_octets_are_gone_whether_they_have_come_or_not() {
        let mut inbox = inbox(b"abcQUIT\r\n");
        inbox.swallow(3);
        assert_eq!(inbox.octets(), b"QUIT\r\n");
        inbox.swallow(10);
        inbox.receive(b"xx");
        inbox.receive(b"yyNOOP\r\n");
        assert_eq!(inbox.octets(), b"NOOP\r\n");
    }
}
