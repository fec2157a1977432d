//! What a handshake may choose from: suites, groups and signatures, best first.

use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::sign::{Signer, SigningKey};
use rustls::{CipherSuite, NamedGroup, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use std::sync::Arc;

/// What a server prefers. What is `None` is as the library has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `ssl_ciphers`: the suites of TLS 1.2; if there is none, there is no TLS 1.2.
    pub tls12_suites: Option<Vec<CipherSuite>>,
    /// `ssl_conf_command Ciphersuites`: the suites of TLS 1.3; if there is none, there is no TLS 1.3.
    pub tls13_suites: Option<Vec<CipherSuite>>,
    /// `ssl_prefer_server_ciphers`: whether the order of suites is ours, not the client's.
    pub server_order: bool,
    /// `ssl_ecdh_curve`: the groups for the key exchange.
    pub groups: Option<Vec<NamedGroup>>,
    /// `ssl_conf_command SignatureAlgorithms`: the algorithms we sign with.
    pub signatures: Option<Vec<SignatureScheme>>,
}

impl Preferences {
    /// Leaves of `provider` what may be chosen.
    pub(super) fn cut(&self, provider: &mut CryptoProvider) {
        let all = std::mem::take(&mut provider.cipher_suites);
        let (tls13, tls12): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|suite| matches!(suite, SupportedCipherSuite::Tls13(_)));
        for (has, wanted) in [(tls13, &self.tls13_suites), (tls12, &self.tls12_suites)] {
            provider.cipher_suites.extend(chosen(&has, wanted.as_deref(), |suite| suite.suite()));
        }
        provider.kx_groups =
            chosen(&provider.kx_groups, self.groups.as_deref(), <dyn SupportedKxGroup>::name);
    }

    /// The key, so that it signs with what may be chosen only.
    pub(super) fn limit(&self, key: Arc<dyn SigningKey>) -> Arc<dyn SigningKey> {
        match &self.signatures {
            Some(schemes) => Arc::new(Limited { key, schemes: schemes.clone() }),
            None => key,
        }
    }
}

/// Those of `has` that are `wanted`, in that order; all, if nothing is said.
fn chosen<T: Copy, N: PartialEq>(has: &[T], wanted: Option<&[N]>, name: impl Fn(T) -> N) -> Vec<T> {
    match wanted {
        Some(wanted) => wanted
            .iter()
            .filter_map(|wanted| has.iter().find(|&&each| name(each) == *wanted))
            .copied()
            .collect(),
        None => has.to_vec(),
    }
}

/// A key that signs with some of its algorithms only.
#[derive(Debug)]
struct Limited {
    key: Arc<dyn SigningKey>,
    schemes: Vec<SignatureScheme>,
}

impl SigningKey for Limited {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        // One at a time, so that the order is ours.
        let mut both = self.schemes.iter().filter(|scheme| offered.contains(scheme));
        both.find_map(|&scheme| self.key.choose_scheme(&[scheme]))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}
