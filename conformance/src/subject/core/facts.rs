//! What a driver would have found out about TLS and names, made up from what a transcript says.

use std::sync::Arc;

use gatepost_core::{Answer, Certificate, Family, Question, ResolveError, TlsFacts, VerifyError};

use crate::transcript::{
    ClientCertificate, LookupAnswer, LookupFailure, LookupQuestion, TlsResult, TlsTry, Variables,
};

/// The fingerprints of a certificate that nobody has made.
const SHA1: &str = "0123456789abcdef0123456789abcdef01234567";
const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What transcripts may say of the client's certificate; the PEM is as `Auth-SSL-Cert` has it.
pub(super) fn variables() -> Variables {
    [
        ("certificate.sha1", SHA1),
        ("certificate.sha256", SHA256),
        ("certificate.pem", "-----BEGIN%20CERTIFICATE-----%0AMA==%0A-----END%20CERTIFICATE-----%0A"),
    ]
    .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
    .into()
}

/// What is known once the client's handshake has succeeded.
pub(super) fn facts(attempt: &TlsTry) -> TlsFacts {
    let mut facts = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
    facts.server_name = attempt.sni.as_deref().map(Arc::from);
    if let TlsResult::OkAlpn(protocol) = &attempt.expect {
        facts.alpn = Some(protocol.as_str().into());
    }
    facts.resumed = attempt.resumed;
    // As with the certificate on sockets.
    facts.server_signature = Some("ecdsa-with-SHA256");
    facts.server_key = Some("EC256".into());
    facts.certificate = attempt.certificate.as_ref().map(|shown| Arc::new(certificate(shown)));
    facts
}

fn certificate(shown: &ClientCertificate) -> Certificate {
    Certificate {
        verdict: match shown {
            ClientCertificate::Verified => Ok(()),
            ClientCertificate::Unverified(code, text) => Err(VerifyError { code: *code, text: text.clone() }),
        },
        subject: "CN=client one,O=Org".into(),
        issuer: "CN=ca".into(),
        common_name: Some("client one".into()),
        serial: "0A1B".into(),
        fingerprint_sha1: SHA1.into(),
        fingerprint_sha256: SHA256.into(),
        pem: "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n".into(),
    }
}

/// Whether the core asks what it is expected to.
pub(super) fn is_asked(question: &Question, wanted: &LookupQuestion) -> bool {
    match (question, wanted) {
        (Question::NameOf(address), LookupQuestion::NameOf(wanted)) => address == wanted,
        (Question::AddressesOf(name, _), LookupQuestion::AddressesOf(wanted)) => **name == **wanted,
        _ => false,
    }
}

/// The answer to `question`, if there is one: of addresses those of the family that was asked for, as a driver gives it.
///
/// # Errors
///
/// If the answer is to the other kind of question.
pub(super) fn answer(question: &Question, given: &LookupAnswer) -> Result<Option<Answer>, String> {
    Ok(match (given, question) {
        (LookupAnswer::Silence, _) => None,
        (LookupAnswer::Name(name), _) => Some(Answer::Name(Ok(name.to_vec()))),
        (LookupAnswer::Addresses(addresses), Question::AddressesOf(_, family)) => {
            let own = addresses.iter().copied().filter(|&address| Family::from(address) == *family);
            Some(Answer::Addresses(Ok(own.collect())))
        }
        (LookupAnswer::Addresses(_), Question::NameOf(_)) => {
            return Err("a name was asked for, not addresses".to_owned());
        }
        (LookupAnswer::Fails(failure), Question::NameOf(_)) => Some(Answer::Name(Err(error(*failure)))),
        (LookupAnswer::Fails(failure), Question::AddressesOf(..)) => {
            Some(Answer::Addresses(Err(error(*failure))))
        }
    })
}

const fn error(failure: LookupFailure) -> ResolveError {
    match failure {
        LookupFailure::FormErr => ResolveError::Format,
        LookupFailure::ServFail => ResolveError::Server,
        LookupFailure::NxDomain => ResolveError::NotFound,
        LookupFailure::NotImp => ResolveError::Unimplemented,
        LookupFailure::Refused => ResolveError::Refused,
    }
}
