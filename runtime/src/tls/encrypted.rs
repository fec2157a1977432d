//! Private keys under a pass phrase (`ssl_password_file`): PKCS #8 (RFC 5958 and RFC 8018), and the form before it, which
//! says so in headers (RFC 1421 section 4.6) and makes its key as OpenSSL alone does.

use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use des::TdesEde3;
use md5::{Digest, Md5};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use zeroize::Zeroizing;

use super::error::Unreadable;
use super::source::read;

/// The longest line of a file of pass phrases, as with nginx.
const PASS_PHRASE_BYTES_MAX: usize = 4096;

/// The salt within an initialisation vector.
const SALT_BYTES: usize = 8;

/// The pass phrases in a file, a line each, in order. Empty lines are passed over; there are no comments.
pub(super) fn pass_phrases(path: &std::path::Path) -> Result<Vec<Zeroizing<Vec<u8>>>, Unreadable> {
    let text = read(path)?;
    let lines = text.split(|&octet| octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = lines.filter(|line| !line.is_empty()).map(|line| match line.len() <= PASS_PHRASE_BYTES_MAX {
        true => Ok(Zeroizing::new(line.to_vec())),
        false => Err(Unreadable::Other(format!("a line is longer than {PASS_PHRASE_BYTES_MAX} bytes"))),
    });
    lines.collect()
}

/// A key that is not to be had without a pass phrase.
pub(super) struct Locked {
    label: String,
    /// `DEK-Info`: the cipher and, in hexadecimal digits, the initialisation vector; none in PKCS #8.
    cipher: Option<(String, Vec<u8>)>,
    octets: Vec<u8>,
}

impl Locked {
    /// The first key in `text`, if it is locked.
    pub(super) fn first_in(text: &[u8]) -> Option<Self> {
        let blocks = pem::parse_many(text).ok()?;
        let key = blocks.into_iter().find(|block| block.tag().ends_with("PRIVATE KEY"))?;
        let encrypted =
            key.headers().get("Proc-Type").is_some_and(|kind| kind.replace(' ', "") == "4,ENCRYPTED");
        let cipher = match (key.tag(), encrypted) {
            ("ENCRYPTED PRIVATE KEY", _) => None,
            (_, true) => Some(cipher_of(key.headers().get("DEK-Info")?)?),
            _ => return None,
        };
        Some(Self { label: key.tag().to_owned(), cipher, octets: key.into_contents() })
    }

    /// What it comes to under `pass_phrase`. With a wrong one that is an error, or once in a while no key.
    pub(super) fn unlocked(&self, pass_phrase: &[u8]) -> Option<PrivateKeyDer<'static>> {
        let Some((cipher, iv)) = &self.cipher else {
            let plain = EncryptedPrivateKeyInfoRef::try_from(self.octets.as_slice())
                .ok()?
                .decrypt(pass_phrase)
                .ok()?;
            return Some(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into());
        };
        let plain = match cipher.to_ascii_uppercase().as_str() {
            "AES-128-CBC" => decrypt::<Aes128, 16>(pass_phrase, iv, &self.octets),
            "AES-192-CBC" => decrypt::<Aes192, 24>(pass_phrase, iv, &self.octets),
            "AES-256-CBC" => decrypt::<Aes256, 32>(pass_phrase, iv, &self.octets),
            "DES-EDE3-CBC" => decrypt::<TdesEde3, 24>(pass_phrase, iv, &self.octets),
            _ => None,
        }?;
        Some(match self.label.as_str() {
            "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(plain).into(),
            "EC PRIVATE KEY" => PrivateSec1KeyDer::from(plain).into(),
            _ => PrivatePkcs8KeyDer::from(plain).into(),
        })
    }
}

/// `AES-256-CBC,00112233…`.
fn cipher_of(info: &str) -> Option<(String, Vec<u8>)> {
    let (name, iv) = info.split_once(',')?;
    let digits: Vec<u32> = iv.trim().chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let octets = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    Some((name.trim().to_owned(), octets.collect::<Option<_>>()?))
}

fn decrypt<C, const KEY: usize>(pass_phrase: &[u8], iv: &[u8], octets: &[u8]) -> Option<Vec<u8>>
where
    C: BlockCipherDecrypt + KeyInit,
    Decryptor<C>: KeyIvInit + BlockModeDecrypt,
{
    let key = key_of::<KEY>(pass_phrase, iv.get(..SALT_BYTES)?);
    Decryptor::<C>::new_from_slices(&*key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(octets).ok()
}

/// OpenSSL's EVP_BytesToKey(3) with MD5 and one round. It is weak, but it is how such keys are.
fn key_of<const KEY: usize>(pass_phrase: &[u8], salt: &[u8]) -> Zeroizing<[u8; KEY]> {
    let mut key = Zeroizing::new([0; KEY]);
    let mut last: Option<[u8; 16]> = None;
    for part in key.chunks_mut(16) {
        let mut hash = Md5::new();
        hash.update(last.as_ref().map_or(&[][..], |last| last));
        hash.update(pass_phrase);
        hash.update(salt);
        let digest: [u8; 16] = hash.finalize().into();
        part.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        last = Some(digest);
    }
    key
}
