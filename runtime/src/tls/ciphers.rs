//! OpenSSL's way of naming ciphers (`ssl_ciphers`, `ssl_conf_command Ciphersuites`), as far as rustls has them: a list of
//! rules, each of which adds, moves or removes suites. See ciphers(1) of OpenSSL.

use rustls::CipherSuite;

use super::names::cipher_name;

mod known;

/// A set of the six suites of TLS 1.2, a bit each in the order of [`TLS12`].
type Set = u8;

/// The suites of TLS 1.2 that there are, in the order in which OpenSSL's `ALL` has them.
const TLS12: [CipherSuite; 6] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

/// Those of TLS 1.3.
const TLS13: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS13_AES_128_GCM_SHA256,
];

const ALL: Set = 0b11_1111;
const ECDSA: Set = 0b01_0101;
const AES_256: Set = 0b00_0011;
const CHACHA: Set = 0b00_1100;
const AES_128: Set = 0b11_0000;

/// The highest `@SECLEVEL` whose demands are met anyway: no key and no cipher here has less than 112 bits of security.
const SECURITY_LEVEL_MET: u8 = b'2';
/// The highest that OpenSSL knows.
const SECURITY_LEVEL_MAX: u8 = b'5';

/// What a list of ciphers comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The suites, best first. There may be none, where all that OpenSSL has for it are lacking.
    pub(crate) suites: Vec<CipherSuite>,
    /// What was asked for and is not to be had.
    pub(crate) lacking: Vec<String>,
    /// What else there is to be said, in sentences.
    pub(crate) remarks: Vec<String>,
}

/// OpenSSL's reasons to refuse a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It leaves no cipher.
    #[error("error:0A0000B9:SSL routines::no cipher match")]
    NoMatch,
    /// It has something in it that is no rule.
    #[error("error:0A000118:SSL routines::invalid command")]
    Invalid,
}

/// What stands between items.
const SEPARATORS: [char; 4] = [':', ' ', ';', ','];

/// `ssl_ciphers`: which suites TLS 1.2 may use. Those of TLS 1.3 are not touched.
///
/// # Errors
///
/// As OpenSSL's.
pub(crate) fn list(text: &str) -> Result<Chosen, Refusal> {
    let mut chosen = Chosen::default();
    if let Some((name, suites)) = SUITE_B.iter().find(|(name, _)| text.starts_with(name)) {
        chosen.suites = suites.to_vec();
        chosen.remarks.push(format!("\"{name}\" bounds ciphers only, neither groups nor signatures"));
        return Ok(chosen);
    }
    let mut order = Order { listed: (0..TLS12.len()).collect(), active: 0 };
    let mut others = Others::default();
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix("DEFAULT") {
        rest = behind;
        order.add(ALL);
        others.add(vec!["DEFAULT"]);
    } else if let Some(behind) = rest.strip_prefix(SYSTEM) {
        rest = behind;
        order.add(ALL);
        others.add(vec!["DEFAULT"]);
        chosen.remarks.push(format!("\"{SYSTEM}\" is taken for \"DEFAULT\""));
    }
    loop {
        rest = rest.trim_start_matches(SEPARATORS);
        if rest.is_empty() {
            break;
        }
        let (sign, words) = match rest.split_at_checked(1) {
            Some((sign @ ("!" | "-" | "+" | "@"), words)) => (sign, words),
            _ => ("", rest),
        };
        let item = Item::cut(words, sign == "@")?;
        let shown = || rest.get(..rest.len() - item.behind.len()).unwrap_or_default().to_owned();
        match (sign, item.selected) {
            ("@", _) => {
                let command = item.words.first().copied().unwrap_or_default();
                order.command(command)?;
                let level = command.strip_prefix("SECLEVEL=").map(str::as_bytes);
                if level.is_some_and(|level| level > [SECURITY_LEVEL_MET].as_slice()) {
                    let remark = format!("\"@{command}\" has no effect: what there is meets \"@SECLEVEL=2\"");
                    chosen.remarks.push(remark);
                }
            }
            (_, None) if item.words.iter().any(|word| word.starts_with("TLS_")) => {
                let remark = format!(
                    "\"{}\" has no effect: it is of TLS 1.3, whose ciphers \"ssl_conf_command Ciphersuites\" has",
                    shown()
                );
                chosen.remarks.push(remark);
            }
            ("", None) => chosen.lacking.push(shown()),
            (_, None) => {}
            ("", Some(set)) => {
                if set == 0 {
                    chosen.lacking.push(shown());
                }
                order.add(set);
                others.add(item.words);
            }
            ("+", Some(set)) => order.move_back(set),
            ("-", Some(set)) => {
                order.remove(set);
                others.remove(&item.words);
            }
            (_, Some(set)) => {
                order.listed.retain(|&at| set & bit(at) == 0);
                others.remove(&item.words);
                others.gone.push(item.words);
            }
        }
        rest = item.behind;
    }
    let active = order.listed.iter().filter(|&&at| order.active & bit(at) != 0);
    chosen.suites = active.filter_map(|&at| TLS12.get(at)).copied().collect();
    if chosen.suites.is_empty() {
        if others.added.is_empty() {
            return Err(Refusal::NoMatch);
        }
        chosen.remarks.push("not one of these ciphers is supported, so that there is no TLS 1.2".to_owned());
    }
    Ok(chosen)
}

/// What Red Hat's OpenSSL calls the system's own choice, as in its configurations.
const SYSTEM: &str = "PROFILE=SYSTEM";

/// RFC 6460, as OpenSSL has it: a list that begins with one of these is that one, whatever else it says.
const SUITE_B: [(&str, &[CipherSuite]); 4] = [
    ("SUITEB128ONLY", &[CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]),
    ("SUITEB128C2", &[CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]),
    (
        "SUITEB128",
        &[
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ],
    ),
    ("SUITEB192", &[CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]),
];

/// One item of a list.
struct Item<'a> {
    words: Vec<&'a str>,
    /// The suites that all its words select; `None` if there is one that OpenSSL does not know.
    selected: Option<Set>,
    /// What follows. It needs no separator: `HIGH!aNULL` are two items.
    behind: &'a str,
}

impl<'a> Item<'a> {
    /// Cuts off the first. What stands behind a command, or a word that nobody knows, is passed over up to a separator.
    fn cut(text: &'a str, command: bool) -> Result<Self, Refusal> {
        let (mut words, mut selected, mut behind) = (Vec::new(), Some(ALL), text);
        loop {
            let no_word = |c: char| !c.is_ascii_alphanumeric() && !"-_.=".contains(c);
            let (word, rest) = behind.split_at(behind.find(no_word).unwrap_or(behind.len()));
            if word.is_empty() {
                return Err(Refusal::Invalid);
            }
            words.push(word);
            let known = if command { None } else { select(word) };
            selected = selected.and_then(|set| Some(set & known?));
            if known.is_none() {
                behind = rest.find(SEPARATORS).and_then(|at| rest.get(at..)).unwrap_or_default();
                break;
            }
            match rest.strip_prefix('+') {
                Some(next) => behind = next,
                None => {
                    behind = rest;
                    break;
                }
            }
        }
        Ok(Self { words, selected, behind })
    }
}

/// The items that were added for suites that OpenSSL has and rustls has not; roughly, for they are told apart by their
/// words only.
#[derive(Default)]
struct Others<'a> {
    added: Vec<Vec<&'a str>>,
    /// Removed for good.
    gone: Vec<Vec<&'a str>>,
}

impl<'a> Others<'a> {
    fn add(&mut self, words: Vec<&'a str>) {
        let gone = self.gone.iter().any(|gone| covers(gone, &words));
        if !gone && words.iter().all(|word| has_others(word)) {
            self.added.push(words);
        }
    }

    fn remove(&mut self, words: &[&str]) {
        self.added.retain(|added| !covers(words, added));
    }
}

/// Whether `removed` takes away all that `added` added.
fn covers(removed: &[&str], added: &[&str]) -> bool {
    removed == ["ALL"] || removed.iter().all(|word| added.contains(word))
}

/// `Ciphersuites`: which suites TLS 1.3 may use. A list of names between colons; an empty one means none.
///
/// # Errors
///
/// As OpenSSL's: it has names, and not one that is known.
pub(crate) fn suites(text: &str) -> Result<Chosen, Refusal> {
    let mut chosen = Chosen::default();
    for name in text.split(':').filter(|name| !name.is_empty()) {
        match TLS13.into_iter().find(|&suite| cipher_name(suite) == name) {
            Some(suite) if chosen.suites.contains(&suite) => {}
            Some(suite) => chosen.suites.push(suite),
            None => chosen.lacking.push(name.to_owned()),
        }
    }
    match chosen.suites.is_empty() && !text.is_empty() {
        true => Err(Refusal::NoMatch),
        false => Ok(chosen),
    }
}

/// The suites while rules are applied: all that were not removed for good, in order, and which of them are in use.
struct Order {
    listed: Vec<usize>,
    active: Set,
}

impl Order {
    /// Those that are not in use yet get in behind those that are.
    fn add(&mut self, set: Set) {
        let new = set & !self.active;
        self.move_to_end(new);
        self.active |= new;
    }

    /// Those in use are put out of it. They keep the first places, if ever they get in again.
    fn remove(&mut self, set: Set) {
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.listed.iter().partition(|&&at| set & self.active & bit(at) != 0);
        self.listed = gone.into_iter().chain(kept).collect();
        self.active &= !set;
    }

    /// Those in use get behind the others.
    fn move_back(&mut self, set: Set) {
        self.move_to_end(set & self.active);
    }

    fn command(&mut self, command: &str) -> Result<(), Refusal> {
        match (command, command.strip_prefix("SECLEVEL=").map(str::as_bytes)) {
            ("STRENGTH", _) => {
                self.move_back(AES_256 | CHACHA);
                self.move_back(AES_128);
                Ok(())
            }
            (_, Some(&[b'0'..=SECURITY_LEVEL_MAX])) => Ok(()),
            _ => Err(Refusal::Invalid),
        }
    }

    fn move_to_end(&mut self, set: Set) {
        let (moved, kept): (Vec<_>, Vec<_>) = self.listed.iter().partition(|&&at| set & bit(at) != 0);
        self.listed = kept.into_iter().chain(moved).collect();
    }
}

const fn bit(at: usize) -> Set {
    1 << at
}

/// What a word selects, if OpenSSL knows it. A suite's name selects that one.
fn select(word: &str) -> Option<Set> {
    if let Some(at) = TLS12.iter().position(|&suite| cipher_name(suite) == word) {
        return Some(bit(at));
    }
    Some(match word {
        "ALL" | "HIGH" | "TLSv1.2" | "ECDHE" | "EECDH" | "ECDH" | "kECDHE" | "kEECDH" => ALL,
        "ECDSA" | "aECDSA" => ECDSA,
        "aRSA" => ALL & !ECDSA,
        "AES" | "AESGCM" | "FIPS" => AES_256 | AES_128,
        "AES256" => AES_256,
        "AES128" => AES_128,
        "CHACHA20" => CHACHA,
        _ if known::WORDS.contains(&word) || known::EMPTY.contains(&word) || known::is_suite(word) => 0,
        _ => return None,
    })
}

/// Whether what a word selects in OpenSSL has suites among it that rustls has not.
fn has_others(word: &str) -> bool {
    let ours = TLS12.iter().any(|&suite| cipher_name(suite) == word);
    word == "DEFAULT" || !ours && !known::EMPTY.contains(&word) && select(word).is_some()
}

#[cfg(test)]
mod tests;
