//! Where what comes to the proxy is cut. Nothing may change by it: what the proxy does next, in which order and in which words, is
//! the same however the octets come.
//!
//! The one exception is no place to cut: behind a STARTTLS line of the client, and behind the backend's answer to ours. What was read
//! together with either closes the connection, what comes later goes to the handshake (decision 8).

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use gatepost_core::Wire;

/// Between two octets of what one party sends in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Who sends.
    pub(super) wire: Wire,
    /// How many octets that party has sent before it, in the whole run.
    pub(super) behind: usize,
}

/// Places, in order.
pub(super) type Places = BTreeSet<Place>;

/// All the places in what one party sends in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    wire: Wire,
    behind: Range<usize>,
}

/// Where one run is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cuts {
    /// Each step's octets come as one segment.
    Nowhere,
    /// At these.
    At(Places),
    /// Wherever possible: every segment is one octet.
    Everywhere,
}

/// How far apart the cuts of one step are at least. A step of no more octets is cut in two; a longer one, in which a filler
/// stands for what nobody would send, in more.
const APART: usize = 256;

/// Runs that together cut every step of `stretches` at every place. The first cuts each step behind its first octet, the next behind its
/// second, and so on: a step that minds shows it whatever becomes of the others.
pub(super) fn everywhere_in_turn(stretches: &[Stretch]) -> impl Iterator<Item = Cuts> {
    let runs = stretches.iter().map(|stretch| stretch.behind.len()).max().unwrap_or(0).min(APART);
    (0..runs).map(|run| {
        Cuts::At(stretches.iter().flat_map(|stretch| stretch.places().skip(run).step_by(APART)).collect())
    })
}

impl Stretch {
    /// What may be cut of octets of which the first `cuttable` may, and which come on `wire` when `sent` have come there already.
    #[must_use]
    pub(super) const fn new(wire: Wire, sent: usize, cuttable: usize) -> Self {
        Self { wire, behind: sent + 1..sent + cuttable }
    }

    /// The places, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let wire = self.wire;
        self.behind.clone().map(move |behind| Place { wire, behind })
    }
}

impl Cuts {
    /// `octets` in segments, where `stretch` says they may be cut; of each segment comes whether it is the first.
    #[must_use]
    pub(super) fn segments<'o>(&self, octets: &'o [u8], stretch: &Stretch) -> Vec<(bool, &'o [u8])> {
        let Range { start, end } = stretch.behind;
        let behind: Vec<usize> = match self {
            Self::Nowhere => Vec::new(),
            Self::At(_) if start >= end => Vec::new(),
            Self::At(places) => {
                let [first, beyond] = [start, end].map(|behind| Place { wire: stretch.wire, behind });
                places.range(first..beyond).map(|place| place.behind).collect()
            }
            Self::Everywhere => (start..end).collect(),
        };
        let (mut segments, mut rest, mut sent) = (Vec::new(), octets, start - 1);
        for behind in behind {
            let (segment, after) = rest.split_at_checked(behind - sent).unwrap_or((rest, &[]));
            segments.push((segments.is_empty(), segment));
            (rest, sent) = (after, behind);
        }
        segments.push((segments.is_empty(), rest));
        segments
    }
}

/// For behind the name of a run.
impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => Ok(()),
            Self::Everywhere => f.write_str(", octet by octet"),
            Self::At(places) => {
                f.write_str(", cut")?;
                for wire in [Wire::Client, Wire::Auth, Wire::Backend] {
                    let behind: Vec<_> =
                        places.iter().filter(|place| place.wire == wire).map(|place| place.behind).collect();
                    if !behind.is_empty() {
                        write!(f, " what {} sends behind {behind:?}", name(wire))?;
                    }
                }
                Ok(())
            }
        }
    }
}

const fn name(wire: Wire) -> &'static str {
    match wire {
        Wire::Client => "the client",
        Wire::Auth => "the auth server",
        Wire::Backend => "the backend",
    }
}

/// How many octets there are up to the end of the first STARTTLS line among them, if there is one.
pub(super) fn to_starttls(octets: &[u8]) -> Option<usize> {
    let mut end = 0;
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        end += line.len();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).take(2);
        if words.any(|word| word.eq_ignore_ascii_case(b"STARTTLS") || word.eq_ignore_ascii_case(b"STLS")) {
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starttls_line_is_found() {
        assert_eq!(to_starttls(b"a NOOP\r\nb NOOP\r\n"), None);
        assert_eq!(to_starttls(b"a NOOP\r\nb starttls\r\nc NOOP\r\n"), Some(20));
        assert_eq!(to_starttls(b"STLS\r\nUSER a\r\n"), Some(6));
    }

    #[test]
    fn segments_are_the_octets_again() {
        let octets = b"a NOOP\r\n";
        let elsewhere = Place { wire: Wire::Backend, behind: 104 };
        let stretch = Stretch::new(Wire::Client, 100, octets.len());
        let places: Vec<_> = stretch.places().collect();
        assert_eq!(places.len(), 7);
        for cuts in [Cuts::Nowhere, Cuts::At([places[0], places[3], elsewhere].into()), Cuts::Everywhere] {
            let segments = cuts.segments(octets, &stretch);
            let whole: Vec<_> = segments.iter().flat_map(|(_, segment)| segment.iter().copied()).collect();
            assert_eq!(whole, octets);
            assert_eq!(segments.iter().filter(|(first, _)| *first).count(), 1);
            let wanted = match cuts {
                Cuts::Nowhere => 1,
                Cuts::At(_) => 3,
                Cuts::Everywhere => 8,
            };
            assert_eq!(segments.len(), wanted, "{cuts:?}");
        }
        for octets in [&b""[..], b"x"] {
            let stretch = Stretch::new(Wire::Client, 100, octets.len());
            for cuts in [Cuts::At([elsewhere].into()), Cuts::Everywhere] {
                assert_eq!(cuts.segments(octets, &stretch), [(true, octets)]);
            }
        }
    }

    #[test]
    fn the_runs_together_cut_everywhere_and_each_cuts_a_short_step_in_two() {
        let lengths =
            [(Wire::Client, 0, 40), (Wire::Backend, 0, 7), (Wire::Client, 40, 3000), (Wire::Auth, 0, 0)];
        let stretches = lengths.map(|(wire, sent, length)| Stretch::new(wire, sent, length));
        let runs: Vec<_> = everywhere_in_turn(&stretches).collect();
        assert_eq!(runs.len(), APART);
        let mut cut = Places::new();
        for run in &runs {
            let Cuts::At(places) = run else { panic!("{run:?}") };
            for stretch in &stretches[..2] {
                assert!(stretch.places().filter(|place| places.contains(place)).count() <= 1, "{run:?}");
            }
            cut.extend(places);
        }
        assert_eq!(cut, stretches.iter().flat_map(Stretch::places).collect());
        assert_eq!(everywhere_in_turn(&[]).count(), 0);
    }

    #[test]
    fn a_run_says_who_was_cut_where() {
        let at = |wire, behind| Place { wire, behind };
        let cuts = Cuts::At([at(Wire::Client, 3), at(Wire::Client, 7), at(Wire::Backend, 2)].into());
        assert_eq!(
            cuts.to_string(),
            ", cut what the client sends behind [3, 7] what the backend sends behind [2]"
        );
        assert_eq!(Cuts::Nowhere.to_string(), "");
    }
}
