//! What a policy may ask for that most do not: for lists of events, which can go any way.

use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{
    Access, BackendTls, Certificate, Mechanism, Peers, Place, Policy, ProxyHeader, Target, TlsFacts, Verdict,
    VerifyClient, VerifyError,
};

use crate::setting::address;

/// The bits of two octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extras {
    pub(crate) tls_first: bool,
    /// Whether clients' names are looked for, whether they have one, and whether it is another host's, or the DNS out of order.
    resolves: bool,
    pub(crate) named: bool,
    pub(crate) nearly: bool,
    delays: bool,
    backend_tls: BackendTls,
    header: ProxyHeader,
    /// Tokens, which are told as such to the backend too, and certificates.
    bearers: bool,
    /// There is no auth server, and two backends to choose from.
    pub(crate) pass_through: bool,
    /// Certificates are asked for, and the one that is shown is good, or none is.
    verifies: bool,
    good: bool,
    shows_errors: bool,
    forbids: bool,
    /// Backends hear in one step what they offer to.
    pipelines: bool,
}

impl Extras {
    /// None of them if both are 0.
    pub(crate) const fn of(first: u8, second: u8) -> Self {
        Self {
            tls_first: first & 1 != 0,
            resolves: first & 2 != 0,
            named: first & 4 != 0,
            nearly: first & 8 != 0,
            delays: first & 16 != 0,
            backend_tls: match first >> 5 & 3 {
                1 => BackendTls::On,
                2 => BackendTls::StartTls,
                _ => BackendTls::Off,
            },
            bearers: first & 128 != 0,
            header: match second & 3 {
                1 => ProxyHeader::V1,
                2 => ProxyHeader::V2,
                _ => ProxyHeader::Off,
            },
            pass_through: second & 4 != 0,
            verifies: second & 8 != 0,
            good: second & 16 != 0,
            shows_errors: second & 32 != 0,
            forbids: second & 64 != 0,
            pipelines: second & 128 != 0,
        }
    }

    pub(crate) fn apply(self, policy: &mut Policy) {
        policy.resolver_timeout = self.resolves.then_some(Duration::from_secs(3));
        policy.greeting_delay = Duration::from_secs(if self.delays { 2 } else { 0 });
        policy.backend.tls = self.backend_tls;
        policy.backend.proxy_header = self.header;
        policy.backend.pass_error_message = self.shows_errors;
        policy.backend.pipelining = self.pipelines;
        if self.bearers {
            policy.backend.oauth = true;
            policy.backend.smtp_auth = true;
            for mechanism in [Mechanism::XOauth2, Mechanism::OauthBearer, Mechanism::External] {
                policy.mechanisms = policy.mechanisms.with(mechanism);
            }
        }
        if self.pass_through {
            policy.auth = None;
            let places = [3, 4].map(|last| Place::At(address(last, 143).into()));
            policy.backend.pass = Some(Target::AnyOf(Arc::new(places)));
        }
        if self.verifies {
            policy.verify_client = VerifyClient::On;
        }
        if self.forbids {
            let network = Peers::Network([203, 0, 113, 0].into(), 24);
            policy.access = Access(vec![(Verdict::Deny, network), (Verdict::Allow, Peers::All)]);
        }
    }

    /// Whether any backend may hear `octets`: a header, a name, or a wish for TLS.
    pub(crate) fn is_preliminary(self, octets: &[u8]) -> bool {
        let is_header = self.header != ProxyHeader::Off
            && (octets.starts_with(b"PROXY ") || octets.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
        let asks_for_tls = self.backend_tls == BackendTls::StartTls
            && [&b"STLS\r\n"[..], b" STARTTLS\r\n", b"STARTTLS\r\n"]
                .iter()
                .any(|wish| octets.ends_with(wish));
        is_header || asks_for_tls || octets.starts_with(b"EHLO ") || octets.starts_with(b"HELO ")
    }

    /// What TLS says of a client or a backend.
    pub(crate) fn facts(self) -> TlsFacts {
        let mut facts = TlsFacts::new("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256");
        if self.verifies || self.bearers {
            let unknown = VerifyError { code: 20, text: "unable to get local issuer certificate".into() };
            facts.certificate = Some(Arc::new(Certificate {
                verdict: if self.good { Ok(()) } else { Err(unknown) },
                subject: "CN=fred".into(),
                issuer: "CN=ca".into(),
                common_name: Some("fred".into()),
                serial: "01".into(),
                fingerprint_sha1: "aa".into(),
                fingerprint_sha256: "bb".into(),
                pem: String::new(),
            }));
        }
        facts
    }
}
