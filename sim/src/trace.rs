//! What tracing hears while something runs, as octets that can be compared.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Runs `what` and hands back, with its result, every event at TRACE and above on this thread: each segment of the made-up
/// network and each step of the driver. There is no time in it but the world's.
pub fn told<T>(what: impl FnOnce() -> T) -> (Vec<u8>, T) {
    let page = Page::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(page.clone())
        .finish();
    let result = tracing::subscriber::with_default(subscriber, what);
    let octets = std::mem::take(&mut *page.0.lock().unwrap_or_else(PoisonError::into_inner));
    (octets, result)
}

/// The lines of a trace that Gatepost itself wrote, the driver's and the reports; what the network says is left out.
pub fn of_gatepost(trace: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ours = |line: &&[u8]| line.windows(9).any(|octets| octets == b" gatepost");
    trace.split(|&octet| octet == b'\n').filter(ours)
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
