//! What directives were called once (config.md 11).

/// The name of today for a directive that nginx renamed.
pub(super) fn name_of_today(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(old, _)| *old == name).map(|(_, today)| *today)
}

const NAMES: &[(&str, &str)] = &[
    // Until 0.5.15, and as an alias until 1.9.1.
    ("imap", "mail"),
    // Until 0.5.15.
    ("auth", "pop3_auth"),
    // Until 0.1.45, in `events {}`.
    ("connections", "worker_connections"),
];
