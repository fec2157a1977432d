//! What tracing hears while something runs, as octets that can be compared.

mod weightless;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use self::weightless::Weightless;

/// Whom to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The driver's steps, the sessions' reports, and what the world does to them.
    Gatepost,
    /// Those, and each segment of the made-up network.
    Everything,
}

/// Runs `what` and hands back, with its result, every event at TRACE and above on this thread. The time in it is the
/// world's.
pub fn told<T>(of: Of, what: impl FnOnce() -> T) -> (Vec<u8>, T) {
    let page = Page::default();
    let heard = match of {
        // Every target that begins so: the driver's, and that of this crate.
        Of::Gatepost => Targets::new().with_target("gatepost", LevelFilter::TRACE),
        Of::Everything => Targets::new().with_default(LevelFilter::TRACE),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_timer(WorldsClock::default())
        .with_writer(page.clone());
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(heard));
    let result = tracing::subscriber::with_default(Weightless(subscriber), what);
    let octets = std::mem::take(&mut *page.0.lock().unwrap_or_else(PoisonError::into_inner));
    (octets, result)
}

/// What of `trace` each session is about, by its number.
#[must_use]
pub fn by_session(trace: &[u8]) -> BTreeMap<u64, Vec<String>> {
    let mut sessions: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(trace).lines() {
        let number = line.split_once("session{id=").and_then(|(_, rest)| rest.split_once(' '));
        let number = number.and_then(|(number, _)| number.parse().ok());
        number.into_iter().for_each(|number| sessions.entry(number).or_default().push(line.to_owned()));
    }
    sessions
}

/// Seconds since the world began. Between its steps, those of the last event within one.
#[derive(Debug, Default)]
struct WorldsClock(AtomicU64);

impl FormatTime for WorldsClock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let millis = match turmoil::sim_elapsed() {
            Some(elapsed) => {
                let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                self.0.store(millis, Ordering::Relaxed);
                millis
            }
            None => self.0.load(Ordering::Relaxed),
        };
        write!(writer, "{:>3}.{:03}", millis / 1000, millis % 1000)
    }
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
