//! A certificate in the words that auth servers are told (`Auth-SSL-*`), as OpenSSL would print it.

use std::fmt::Write;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gatepost_core::{Certificate, VerifyError};
use x509_parser::der_parser::asn1_rs::{Tag, ToDer};
use x509_parser::prelude::X509Certificate;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The most octets of a subject, an issuer or a common name: far more than any has whose bearer is to be known by it.
/// Anybody may show a certificate of his own making where `ssl_verify_client optional_no_ca` lets it pass, and an auth
/// server need not take headers of any length.
const NAME_BYTES_MAX: usize = 4096;

/// Everything about a certificate, given in DER and parsed, with what was found out about its authority. One with names
/// longer than [`NAME_BYTES_MAX`] is told of as if it could not be read, and vouched for by nobody.
pub(super) fn of(der: &[u8], parsed: &X509Certificate<'_>, verdict: Result<(), VerifyError>) -> Certificate {
    let common_name = parsed.subject().iter_common_name().find_map(text_of);
    let (subject, issuer) = (name(parsed.subject()), name(parsed.issuer()));
    if [Some(&subject), Some(&issuer), common_name.as_ref()]
        .iter()
        .flatten()
        .any(|text| text.len() > NAME_BYTES_MAX)
    {
        // OpenSSL's number for what has no number of its own.
        return unreadable(der, VerifyError { code: 1, text: "certificate names too long".into() });
    }
    Certificate {
        subject,
        issuer,
        common_name: common_name.filter(|text| !text.chars().any(char::is_control)),
        serial: serial(parsed.raw_serial()),
        ..unreadable_with(der, verdict)
    }
}

/// What can be said of a certificate that cannot be read.
pub(super) fn unreadable(der: &[u8], error: VerifyError) -> Certificate {
    unreadable_with(der, Err(error))
}

fn unreadable_with(der: &[u8], verdict: Result<(), VerifyError>) -> Certificate {
    Certificate {
        verdict,
        subject: String::new(),
        issuer: String::new(),
        common_name: None,
        serial: String::new(),
        fingerprint_sha1: fingerprint(&SHA1_FOR_LEGACY_USE_ONLY, der),
        fingerprint_sha256: fingerprint(&SHA256, der),
        pem: pem(der),
    }
}

fn fingerprint(algorithm: &'static Algorithm, der: &[u8]) -> String {
    digest(algorithm, der).as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Upper-case hexadecimal digits, without the zero octet that keeps a number from being negative.
fn serial(octets: &[u8]) -> String {
    let octets = match octets {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    hexadecimal(octets)
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

/// RFC 7468 section 2: lines of 64 characters.
fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        pem += line;
        pem += "\n";
        rest = behind;
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// RFC 2253, most specific first, with everything but printable ASCII escaped: `CN=client one,O=Org\, Inc,C=DE`.
fn name(name: &X509Name<'_>) -> String {
    let mut sets: Vec<String> = Vec::new();
    for set in name.iter_rdn() {
        let mut attributes: Vec<String> = set.iter().map(attribute).collect();
        attributes.reverse();
        sets.push(attributes.join("+"));
    }
    sets.reverse();
    sets.join(",")
}

/// `CN=client one`. What has no name of its own, or is no text, shows its DER in hexadecimal digits.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    match (short_name(&oid), text_of(attribute)) {
        (Some(name), Some(text)) => format!("{name}={}", escaped(&text)),
        (name, _) => {
            let der = attribute.attr_value().to_der_vec().unwrap_or_default();
            format!("{}=#{}", name.unwrap_or(&oid), hexadecimal(&der))
        }
    }
}

/// OpenSSL's short names of what is common in names.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.97" => "organizationIdentifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.3.6.1.4.1.311.60.2.1.1" => "jurisdictionL",
        "1.3.6.1.4.1.311.60.2.1.2" => "jurisdictionST",
        "1.3.6.1.4.1.311.60.2.1.3" => "jurisdictionC",
        _ => return None,
    })
}

/// The value's text, if it is one.
fn text_of(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    let octets = value.data;
    match value.tag() {
        Tag::Utf8String => String::from_utf8(octets.to_vec()).ok(),
        Tag::BmpString => {
            let units: Option<Vec<u16>> =
                octets.chunks(2).map(|pair| <[u8; 2]>::try_from(pair).ok().map(u16::from_be_bytes)).collect();
            String::from_utf16(&units?).ok()
        }
        // T61String too is Latin-1 wherever it is met.
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString | Tag::T61String => {
            Some(octets.iter().copied().map(char::from).collect())
        }
        _ => None,
    }
}

/// RFC 2253 section 2.4; control characters and what is not ASCII as `\` and two hexadecimal digits for each octet.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, octet) in text.bytes().enumerate() {
        let special = match octet {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
            b'#' => at == 0,
            b' ' => at == 0 || at == last,
            _ => false,
        };
        if octet.is_ascii_graphic() || octet == b' ' {
            if special {
                escaped.push('\\');
            }
            escaped.push(octet.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\{octet:02X}");
        }
    }
    escaped
}
