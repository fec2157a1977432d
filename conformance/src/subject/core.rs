//! The core as a subject: no I/O, a clock that only transcripts move, and the player in the driver's place.

mod facts;
mod limits;
mod policy;
mod stage;

use std::sync::Arc;

use super::{Stage, Subject};
use crate::divergence::Version;
use crate::transcript::{Runner, Tls, Transcript};

use stage::CoreStage;

/// `gatepost_core::Session`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Core;

impl Subject for Core {
    fn runner(&self) -> Runner {
        Runner::Core
    }

    fn version(&self) -> Version {
        Version::default()
    }

    fn stage(&self, transcript: &Transcript) -> Result<Box<dyn Stage>, String> {
        let policy = Arc::new(policy::of(&transcript.config)?);
        let mut proxy_protocol = false;
        for parameter in &transcript.config.listen {
            match parameter.as_str() {
                "proxy_protocol" => proxy_protocol = true,
                _ => return Err(format!("the core knows no parameter {parameter:?} of listen")),
            }
        }
        Ok(Box::new(CoreStage::new(policy, proxy_protocol, transcript.config.tls == Tls::Implicit)))
    }
}
