//! base64 as SASL has it (RFC 4648 section 4; policy P5, decision 9): the standard alphabet, `=` only at the end, no stray bits in
//! the last group. A missing `=` is tolerated, nothing else is.

use crate::secret::Secret;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not base64")]
pub(crate) struct InvalidBase64;

/// The octets that `text` stands for.
pub(crate) fn decode(text: &[u8]) -> Result<Secret, InvalidBase64> {
    let padding = text.iter().rev().take_while(|&&octet| octet == b'=').count();
    let digits = text.get(..text.len() - padding).unwrap_or_default();
    // A last group of two digits takes two `=`, one of three takes one, a full one none; or none are written at all.
    if padding > 0 && (digits.len() + padding) % 4 != 0 || padding > 2 {
        return Err(InvalidBase64);
    }
    let mut octets = Secret::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            bits = bits << 6 | u32::from(value(digit).ok_or(InvalidBase64)?);
        }
        let [_, first, second, third] = match group.len() {
            4 => bits,
            3 if bits & 0b11 == 0 => bits << 6,
            2 if bits & 0b1111 == 0 => bits << 12,
            _ => return Err(InvalidBase64),
        }
        .to_be_bytes();
        octets.extend([first, second, third].get(..group.len() - 1).unwrap_or_default());
    }
    Ok(octets)
}

/// `octets` as base64, padded.
pub(crate) fn encode(octets: &[u8]) -> Secret {
    let mut text = Secret::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - group.len()));
        let digits: [u8; 4] = core::array::from_fn(|place| match place <= group.len() {
            true => digit(bits >> (18 - 6 * place)),
            false => b'=',
        });
        text.extend(&digits);
    }
    text
}

fn digit(bits: u32) -> u8 {
    let index = usize::try_from(bits & 0b11_1111).unwrap_or_default();
    ALPHABET.get(index).copied().unwrap_or(b'=')
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vectors_of_rfc_4648_section_10() {
        for (octets, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(octets.as_bytes()).expose(), text.as_bytes());
            assert_eq!(decode(text.as_bytes()).unwrap().expose(), octets.as_bytes());
        }
    }

    #[test]
    fn padding_may_be_missing_but_not_wrong() {
        assert_eq!(decode(b"Zg").unwrap().expose(), b"f");
        assert_eq!(decode(b"Zm8").unwrap().expose(), b"fo");
        for text in
            ["Zg=", "Zg===", "Zm8==", "Zm9v=", "Zm9v====", "====", "=", "==", "Zg==Zg==", "Z=g=", "=Zg"]
        {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_but_the_alphabet_is_taken() {
        for text in ["Z", "Zm9vY", "Zm9v Zg==", " Zg==", "Zg== ", "Z-_v", "Zg\0=", "Zh==", "Zm9=", "Zm9\r"] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let decoded = decode(encode(&octets).expose()).unwrap();
            prop_assert_eq!(decoded.expose(), &octets[..]);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_but_for_padding(text in "[A-Za-z0-9+/]{0,40}={0,2}") {
            if let Ok(octets) = decode(text.as_bytes()) {
                let again = encode(octets.expose());
                let padded = again.expose();
                prop_assert!(padded.starts_with(text.trim_end_matches('=').as_bytes()));
            }
        }
    }
}
