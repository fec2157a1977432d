//! What a driver would have found out about TLS and names, made up from what a transcript says.

use std::sync::Arc;

use gatepost_core::{Answer, Certificate, Question, ResolveError, TlsFacts, VerifyError};

use crate::transcript::{ClientCertificate, LookupAnswer, LookupFailure, LookupQuestion, TlsResult, TlsTry};

/// What is known once the client's handshake has succeeded.
pub(super) fn facts(attempt: &TlsTry) -> TlsFacts {
    let mut facts = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
    facts.server_name = attempt.sni.as_deref().map(Arc::from);
    if let TlsResult::OkAlpn(protocol) = &attempt.expect {
        facts.alpn = Some(protocol.as_str().into());
    }
    facts.resumed = attempt.resumed;
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
        fingerprint_sha1: "0123456789abcdef0123456789abcdef01234567".into(),
        fingerprint_sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
        pem: "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n".into(),
    }
}

/// A question as the core puts it.
pub(super) fn question(asked: &LookupQuestion) -> Question {
    match asked {
        LookupQuestion::NameOf(address) => Question::NameOf(*address),
        LookupQuestion::AddressesOf(name) => Question::AddressesOf(name.as_str().into()),
    }
}

/// The answer to `question`, if there is one.
pub(super) fn answer(question: &Question, given: &LookupAnswer) -> Option<Answer> {
    match (given, question) {
        (LookupAnswer::Silence, _) => None,
        (LookupAnswer::Name(name), _) => Some(Answer::Name(Ok(name.to_vec()))),
        (LookupAnswer::Addresses(addresses), _) => Some(Answer::Addresses(Ok(addresses.clone()))),
        (LookupAnswer::Fails(failure), Question::NameOf(_)) => Some(Answer::Name(Err(error(*failure)))),
        (LookupAnswer::Fails(failure), Question::AddressesOf(_)) => {
            Some(Answer::Addresses(Err(error(*failure))))
        }
    }
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
