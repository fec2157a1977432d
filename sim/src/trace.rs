//! What tracing hears while something runs, as octets that can be compared.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

/// Whom to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The driver's steps and the sessions' reports.
    Gatepost,
    /// Those, and each segment of the made-up network.
    Everything,
}

/// Runs `what` and hands back, with its result, every event at TRACE and above on this thread. There is no time in it but
/// the world's.
pub fn told<T>(of: Of, what: impl FnOnce() -> T) -> (Vec<u8>, T) {
    let page = Page::default();
    let heard = match of {
        // Every target that begins so: the driver's, and that of this crate's reports.
        Of::Gatepost => Targets::new().with_target("gatepost", LevelFilter::TRACE),
        Of::Everything => Targets::new().with_default(LevelFilter::TRACE),
    };
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).without_time().with_writer(page.clone());
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(heard));
    let result = tracing::subscriber::with_default(subscriber, what);
    let octets = std::mem::take(&mut *page.0.lock().unwrap_or_else(PoisonError::into_inner));
    (octets, result)
}

#[derive(Clone, Debug, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Page {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
