//! A configuration and what is open for it.

use crate::config::Config;
use crate::server::Server;

/// From one reload to the next. It stays in the master, whole, as long as it is served: a worker that dies is replaced by
/// another of the same.
#[derive(Debug)]
pub(super) struct Generation {
    /// The first is 1.
    pub(super) number: u64,
    pub(super) config: Config,
    pub(super) server: Server,
}
