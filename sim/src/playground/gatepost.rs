//! The production server, as `gatepost -c` would run it, on threads of this process.

use std::error::Error;
use std::path::Path;

use gatepost::config::{Options, System, load};
use gatepost::server::{Running, Server};

/// Gatepost, serving.
#[derive(Debug)]
pub(super) struct Gatepost(Option<Running>);

impl Gatepost {
    /// Starts it with the configuration at `path`, which has to be an absolute one.
    ///
    /// # Errors
    ///
    /// Everything wrong with the configuration, in Gatepost's own words; or why it cannot listen.
    pub(super) fn start(path: &Path) -> Result<Self, Box<dyn Error>> {
        let options = Options::new(Path::new("/"), &System);
        let loaded = load(path, &options).map_err(|complaints| {
            let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })?;
        Ok(Self(Some(Server::bind(&loaded.config)?.start()?)))
    }

    /// Ends it and waits until it has ended.
    ///
    /// # Errors
    ///
    /// One of its threads panicked.
    pub(super) fn stop(mut self) -> Result<(), Box<dyn Error>> {
        match self.0.take() {
            Some(running) => {
                running.control().stop();
                Ok(running.join()?)
            }
            None => Ok(()),
        }
    }
}

impl Drop for Gatepost {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.control().stop();
            // Whatever has gone wrong before is what will be reported.
            let _ = running.join();
        }
    }
}
