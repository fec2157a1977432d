//! OpenSSL's way of naming ciphers (`ssl_ciphers`, `ssl_conf_command Ciphersuites`), as far as rustls has them: a list of
//! rules, each of which adds, moves or removes suites. See ciphers(1) of OpenSSL.

use rustls::CipherSuite;

use super::names::cipher_name;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The suites, best first.
    pub(crate) suites: Vec<CipherSuite>,
    /// What was asked for and is not to be had.
    pub(crate) lacking: Vec<String>,
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

/// `ssl_ciphers`: which suites TLS 1.2 may use. Those of TLS 1.3 are not touched.
///
/// # Errors
///
/// As OpenSSL's. Where all that is left are suites that rustls lacks, it counts as nothing.
pub(crate) fn list(text: &str) -> Result<Chosen, Refusal> {
    let mut order = Order { listed: (0..TLS12.len()).collect(), active: 0 };
    let mut lacking = Vec::new();
    let mut rest = text;
    // The second is what Red Hat's OpenSSL calls the system's own choice, and what their files say.
    if let Some(behind) = rest.strip_prefix("DEFAULT").or_else(|| rest.strip_prefix("PROFILE=SYSTEM")) {
        order.add(ALL);
        rest = behind;
    }
    for item in rest.split([':', ' ', ';', ',']).filter(|item| !item.is_empty()) {
        let (sign, words) = match item.split_at_checked(1) {
            Some((sign @ ("!" | "-" | "+" | "@"), words)) => (sign, words),
            _ => ("", item),
        };
        if sign == "@" {
            order.command(words)?;
            if words
                .strip_prefix("SECLEVEL=")
                .is_some_and(|level| level.as_bytes() > [SECURITY_LEVEL_MET].as_slice())
            {
                lacking.push(item.to_owned());
            }
            continue;
        }
        let mut selected = Some(ALL);
        for word in words.split('+') {
            if word.is_empty() || !word.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.=".contains(&c)) {
                return Err(Refusal::Invalid);
            }
            selected = selected.and_then(|set| Some(set & select(word)?));
        }
        match (sign, selected) {
            ("!", Some(set)) => order.listed.retain(|&at| set & bit(at) == 0),
            ("-", Some(set)) => order.remove(set),
            ("+", Some(set)) => order.move_back(set),
            ("", Some(set)) if set != 0 => order.add(set),
            ("", _) => lacking.push(item.to_owned()),
            _ => {}
        }
    }
    let active = order.listed.iter().filter(|&&at| order.active & bit(at) != 0);
    let suites: Vec<_> = active.filter_map(|&at| TLS12.get(at)).copied().collect();
    match suites.is_empty() {
        true => Err(Refusal::NoMatch),
        false => Ok(Chosen { suites, lacking }),
    }
}

/// `Ciphersuites`: which suites TLS 1.3 may use. A list of names between colons; an empty one means none.
///
/// # Errors
///
/// As OpenSSL's: it has names, and not one that is known.
pub(crate) fn suites(text: &str) -> Result<Chosen, Refusal> {
    let mut chosen = Chosen { suites: Vec::new(), lacking: Vec::new() };
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
        _ if NONE_OF_OURS.contains(&word) => 0,
        // Another suite's name: harmless behind `!`, and lacking otherwise.
        _ => return None,
    })
}

/// Words that OpenSSL knows, and that select nothing that rustls has.
const NONE_OF_OURS: &[&str] = &[
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "RSA",
    "kRSA",
    "DH",
    "DHE",
    "EDH",
    "kDHE",
    "kEDH",
    "ADH",
    "AECDH",
    "aNULL",
    "eNULL",
    "NULL",
    "aDSS",
    "DSS",
    "PSK",
    "kPSK",
    "kRSAPSK",
    "kECDHEPSK",
    "kDHEPSK",
    "aPSK",
    "SRP",
    "kSRP",
    "aSRP",
    "AESCCM",
    "AESCCM8",
    "3DES",
    "DES",
    "RC4",
    "RC2",
    "IDEA",
    "SEED",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "GOST",
    "GOST89",
    "GOST94",
    "MD5",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "LOW",
    "MEDIUM",
    "EXP",
    "EXPORT",
];

#[cfg(test)]
mod tests;
