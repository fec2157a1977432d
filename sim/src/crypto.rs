//! TLS whose every octet follows from the seed: seeded keys and nonces, the world's clock, and an Ed25519 certificate, because
//! the signatures of ECDSA and RSA-PSS draw on chance of their own.
//!
//! `sim/fixture` holds the certificate, made for the name `gatepost` by the ignored test below.

use std::sync::Arc;

use gatepost_core::Protocol;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup,
    aws_lc_rs,
};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, NamedGroup, PeerMisbehaved, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use crate::chance::Chance;
use crate::client::Tls;

const CERTIFICATE: &[u8] = include_bytes!("../fixture/certificate.der");
const KEY: &[u8] = include_bytes!("../fixture/key.der");

/// The name that the fixture's certificate is for.
pub const NAME: &str = "gatepost";

/// A server's side of TLS for one protocol, with the fixture's certificate.
///
/// # Errors
///
/// The TLS library's, should it not like the fixture.
pub fn server(protocol: Protocol, chance: &Chance) -> Result<Arc<ServerConfig>, rustls::Error> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let mut config = ServerConfig::builder_with_details(provider(chance), Arc::new(SimClock))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key)?;
    config.alpn_protocols = vec![protocol.name().into()];
    // Compressing the certificate, which is done once, takes more memory than a session, and would be put down to the first one.
    config.cert_compressors = Vec::new();
    Ok(Arc::new(config))
}

/// A client's side, which trusts the fixture's certificate and nothing else.
///
/// # Errors
///
/// As for [`server`].
pub fn client(protocol: Protocol, chance: &Chance) -> Result<Tls, rustls::Error> {
    let mut config = trusting(chance)?;
    config.alpn_protocols = vec![protocol.name().into()];
    let name = ServerName::try_from(NAME).map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name })
}

/// Gatepost's side towards backends. It trusts the same certificate, which is theirs too.
///
/// # Errors
///
/// As for [`server`].
pub fn towards_backends(chance: &Chance) -> Result<Arc<ClientConfig>, rustls::Error> {
    Ok(Arc::new(trusting(chance)?))
}

fn trusting(chance: &Chance) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(CERTIFICATE))?;
    Ok(ClientConfig::builder_with_details(provider(chance), Arc::new(SimClock))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// aws-lc-rs, but for what is random. Leaks a few octets each time, since rustls wants both parts for ever.
fn provider(chance: &Chance) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![Box::leak(Box::new(SeededX25519(chance.clone())))],
        secure_random: Box::leak(Box::new(SeededRandom(chance.clone()))),
        ..aws_lc_rs::default_provider()
    })
}

#[derive(Debug)]
struct SeededRandom(Chance);

impl SecureRandom for SeededRandom {
    fn fill(&self, octets: &mut [u8]) -> Result<(), GetRandomFailed> {
        self.0.fill(octets);
        Ok(())
    }
}

#[derive(Debug)]
struct SeededX25519(Chance);

impl SupportedKxGroup for SeededX25519 {
    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }

    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        let secret = x25519_dalek::StaticSecret::from(self.0.octets::<32>());
        let public = x25519_dalek::PublicKey::from(&secret).to_bytes();
        Ok(Box::new(Exchange { secret, public }))
    }
}

struct Exchange {
    secret: x25519_dalek::StaticSecret,
    public: [u8; 32],
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        let peer: [u8; 32] = peer.try_into().map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        Ok(SharedSecret::from(&self.secret.diffie_hellman(&peer.into()).as_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// The world's clock, for the validity of certificates and the age of tickets.
#[derive(Debug)]
struct SimClock;

impl TimeProvider for SimClock {
    fn current_time(&self) -> Option<UnixTime> {
        turmoil::since_epoch().map(UnixTime::since_unix_epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "makes the fixture anew: cargo test -p gatepost-sim make_the_fixture -- --ignored"]
    fn make_the_fixture() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["gatepost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Gatepost simulation");
        let certificate = params.self_signed(&key).unwrap();
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixture");
        std::fs::write(format!("{fixture}/certificate.der"), certificate.der()).unwrap();
        std::fs::write(format!("{fixture}/key.der"), key.serialize_der()).unwrap();
    }

    #[test]
    fn the_fixture_is_one_that_both_sides_take() {
        for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Smtp] {
            server(protocol, &Chance::of(1, "server", 0)).unwrap();
            client(protocol, &Chance::of(1, "client", 0)).unwrap();
        }
    }
}
