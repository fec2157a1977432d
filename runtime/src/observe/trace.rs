//! What the driver traces, as lines for those `error_log`s that say `debug`.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use gatepost_core::report::Level;
use gatepost_core::{Address, Peers};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Log;

/// Writes our own traces, and nobody else's, to the log of the listener that the session came in by. They hold no
/// secret: events show lengths, actions redact.
#[derive(Debug)]
pub struct DebugLines {
    by_listener: BTreeMap<String, Arc<Log>>,
    others: Arc<Log>,
    debugged: Vec<Peers>,
}

/// What a session's span remembers.
struct Session {
    number: Option<u64>,
    listener: String,
    client: Option<Address>,
}

impl DebugLines {
    /// `by_listener` has the log of each listener by its text; everything else goes to `others`.
    #[must_use]
    pub fn new(by_listener: BTreeMap<String, Arc<Log>>, others: Arc<Log>) -> Self {
        Self { by_listener, others, debugged: Vec::new() }
    }

    /// The same, where those of sessions with these clients go to every log, whatever its level (`debug_connection`).
    #[must_use]
    pub fn in_full_for(self, debugged: Vec<Peers>) -> Self {
        Self { debugged, ..self }
    }

    /// Whether any of these logs wants them, or anything is wanted of a client.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.debugged.is_empty()
            || self.by_listener.values().chain([&self.others]).any(|log| log.admits(Level::Debug))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for DebugLines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let target = metadata.target();
        target == "gatepost" || target.starts_with("gatepost::")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut session = Session { number: None, listener: String::new(), client: None };
        attributes.record(&mut session);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(session);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let span = context.lookup_current();
        let extensions = span.as_ref().map(tracing_subscriber::registry::SpanRef::extensions);
        match extensions.as_ref().and_then(|extensions| extensions.get::<Session>()) {
            Some(session) => {
                let log = self.by_listener.get(&session.listener).unwrap_or(&self.others);
                let client = session.client.as_ref();
                match client.is_some_and(|client| self.debugged.iter().any(|peers| peers.includes(client))) {
                    true => log.line_in_full(Level::Debug, session.number, text.0),
                    false => log.line(Level::Debug, session.number, text.0),
                }
            }
            None => self.others.line(Level::Debug, None, text.0),
        }
    }
}

impl Visit for Session {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "id" {
            self.number = Some(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "listener" => self.listener = format!("{value:?}"),
            "client" => self.client = address(&format!("{value:?}")),
            _ => {}
        }
    }
}

/// An address as it prints itself.
fn address(text: &str) -> Option<Address> {
    match text.strip_prefix("unix:") {
        Some(path) => Some(Address::Unix(path.into())),
        None => text.parse().ok().map(Address::Inet),
    }
}

/// An event's fields, one after another.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        // Writing to memory does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, "{name}: {value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogSink, LogTarget};
    use crate::observe::LogFiles;
    use jiff::tz::TimeZone;
    use std::path::Path;
    use std::time::UNIX_EPOCH;
    use tracing::{debug, debug_span, trace};
    use tracing_subscriber::layer::SubscriberExt;

    fn say() {
        let session = debug_span!("session", id = 7u64, listener = %"0.0.0.0:143");
        session.in_scope(|| trace!(action = ?"Close", "done"));
        debug!("of no session");
        debug!(target: "elsewhere", "of another crate");
    }

    #[test]
    fn what_is_wanted_of_a_client_reaches_every_log() {
        let path = std::env::temp_dir().join(format!("gatepost-debugged-{}.log", std::process::id()));
        let mut files = LogFiles::new(|| UNIX_EPOCH, TimeZone::UTC);
        let log = files.log(&[LogTarget::new(LogSink::File(path.clone()), Level::Emerg)]).expect("a log");
        let debugged = vec![Peers::Network(std::net::Ipv4Addr::new(192, 0, 2, 0).into(), 24), Peers::Unix];
        let lines = DebugLines::new(BTreeMap::new(), log).in_full_for(debugged);
        assert!(lines.is_wanted());
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::callsite::rebuild_interest_cache();
            for (id, client) in
                [(1u64, "192.0.2.7:4000"), (2, "198.51.100.7:4000"), (3, "unix:"), (4, "[::1]:1")]
            {
                debug_span!("session", id, client = %client, listener = %"0.0.0.0:143")
                    .in_scope(|| trace!("told"));
            }
        });
        let written = std::fs::read_to_string(&path).expect("a log");
        let _ = std::fs::remove_file(&path);
        let line = |id: u64| format!("1970/01/01 00:00:00 [debug] {}#0: *{id} told\n", std::process::id());
        assert_eq!(written, line(1) + &line(3));
    }

    #[test]
    fn traces_reach_the_log_of_their_listener() {
        let folder = std::env::temp_dir().join(format!("gatepost-trace-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut files = LogFiles::new(|| UNIX_EPOCH, TimeZone::UTC);
        let mut log = |path: &Path, level| {
            let target = LogTarget::new(LogSink::File(path.into()), level);
            files.log(&[target]).expect("a log")
        };
        let (server, main) = (folder.join("server.log"), folder.join("main.log"));
        let by_listener = BTreeMap::from([("0.0.0.0:143".to_owned(), log(&server, Level::Debug))]);
        let lines = DebugLines::new(by_listener, log(&main, Level::Info));
        assert!(lines.is_wanted());
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::callsite::rebuild_interest_cache();
            say();
        });
        let process = std::process::id();
        let written = std::fs::read_to_string(&server).expect("a log");
        let rest = std::fs::read_to_string(&main).expect("a log");
        let _ = std::fs::remove_dir_all(&folder);
        assert_eq!(written, format!("1970/01/01 00:00:00 [debug] {process}#0: *7 done, action: \"Close\"\n"));
        assert_eq!(rest, "", "only logs that say debug are told");
    }
}
