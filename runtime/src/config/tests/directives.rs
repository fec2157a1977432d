//! Every directive: with its default, well used, with too few or too many arguments, in the wrong place, twice, and with bad
//! arguments. The table says what should come of it; Debian's nginx reads the same files.

mod table;

use std::collections::BTreeSet;

use super::super::schema;
use super::witness::{Desk, is_there};
use super::{Loaded, load_text};
use table::{At, Entry, Second, TABLE, Witness};

const AUTH: &str = "auth_http 127.0.0.1:14080;";

/// Where anything can stand.
const PLACES: [At; 4] = [At::Main, At::Events, At::Mail, At::Server];

impl At {
    fn places(self) -> Vec<Self> {
        match self {
            Self::Both => vec![Self::Mail, Self::Server],
            Self::Any => vec![Self::Main, Self::Mail, Self::Server],
            one => vec![one],
        }
    }
}

/// A file that differs from one without fault by `directives`.
#[derive(Debug)]
struct Case {
    name: &'static str,
    at: At,
    directives: String,
    /// What it is refused with; none if it is to be taken.
    expected: Option<String>,
    /// The same of nginx; none if it is not asked.
    of_nginx: Option<Option<String>>,
}

impl Case {
    fn text(&self) -> String {
        let Self { name, at, directives, .. } = self;
        // These exclude each other.
        let auth = if *name == "auth_users" { "" } else { AUTH };
        let server = "server { listen 127.0.0.1:14143; protocol imap; }";
        let sound = format!("mail {{ {AUTH} {server} }}");
        // Behind what needs it, for nginx does not know it.
        let zone = if *name == "limit_conn" { "limit_conn_zone $remote_addr zone=z:1m;" } else { "" };
        match at {
            At::Main if *name == "mail" => directives.clone(),
            At::Main => format!("{directives} {sound}"),
            At::Events => format!("events {{ {directives} }} {sound}"),
            At::Server => {
                format!(
                    "mail {{ {auth} server {{ listen 127.0.0.1:14143; protocol imap; {directives} }} {zone} }}"
                )
            }
            At::Upstream => {
                format!("mail {{ {AUTH} upstream a {{ server 127.0.0.1:143; {directives} }} {server} }}")
            }
            At::Mail | At::Both | At::Any => format!("mail {{ {auth} {directives} {server} {zone} }}"),
        }
    }

    /// What the file's first line has to do without.
    fn without(&self) -> &'static [&'static str] {
        match (self.at, self.name) {
            (At::Events, _) | (_, "events") => &["events"],
            (_, "pid") => &["pid"],
            _ => &[],
        }
    }
}

impl Entry {
    /// The directive with these arguments.
    fn with(&self, arguments: &str) -> String {
        match (arguments, arguments.ends_with('}')) {
            ("", _) => format!("{};", self.name),
            (arguments, true) => format!("{} {arguments}", self.name),
            (arguments, false) => format!("{} {arguments};", self.name),
        }
    }

    fn case(&self, at: At, directives: String, expected: Option<String>, arguments: &str) -> Case {
        let named = |said: &str| said.replace('*', self.name);
        let of_nginx = match self.witness {
            Witness::Same(but) => {
                let other = but.iter().find(|(own, _)| *own == arguments).map(|(_, said)| named(said));
                Some(other.or_else(|| expected.clone()))
            }
            Witness::Unknown => Some(Some(format!("unknown directive \"{}\"", self.name))),
            Witness::Misplaced => Some(Some(format!("\"{}\" directive is not allowed here", self.name))),
            Witness::Absent(_) => None,
        };
        let of_nginx = match at {
            At::Upstream => Some(Some("\"upstream\" directive is not allowed here".to_owned())),
            _ => of_nginx,
        };
        Case { name: self.name, at, directives, expected, of_nginx }
    }

    fn cases(&self) -> Vec<Case> {
        let said = |text: &str| Some(text.replace('*', self.name));
        let places = self.at.places();
        let mut cases = Vec::new();
        for &at in &places {
            if !self.default.is_empty() {
                cases.push(self.case(at, self.with(self.default), None, self.default));
            }
            for arguments in self.valid {
                cases.push(self.case(at, self.with(arguments), None, arguments));
            }
            for arguments in self.miscounted {
                let mut case = self.case(at, self.with(arguments), None, arguments);
                case.expected = said("invalid number of arguments in \"*\" directive");
                if let Witness::Same(_) = self.witness {
                    case.of_nginx = Some(case.expected.clone());
                }
                cases.push(case);
            }
            if let (Some(first), Some(last)) = (self.valid.first(), self.valid.last()) {
                let twice = format!("{} {}", self.with(first), self.with(last));
                let refused = (self.second == Second::Refused).then(|| said("\"*\" directive is duplicate"));
                cases.push(self.case(at, twice, refused.flatten(), first));
            }
        }
        for (arguments, text) in self.bad {
            let mut case = self.case(places[0], self.with(arguments), said(text), arguments);
            if text.contains("must be \"on\" or \"off\"") {
                case.expected = said(text); // which is looked at before anything else
            }
            cases.push(case);
        }
        let of_this_name: Vec<_> = TABLE
            .iter()
            .filter(|entry| entry.name == self.name)
            .flat_map(|entry| entry.at.places())
            .collect();
        for at in PLACES.into_iter().filter(|at| !of_this_name.contains(at)) {
            let arguments = self.valid.first().copied().unwrap_or_default();
            cases.push(self.case(
                at,
                self.with(arguments),
                said("\"*\" directive is not allowed here"),
                arguments,
            ));
        }
        cases
    }
}

/// A line for each case that does not come out as the table says.
fn differing(say: impl Fn(&Desk, &Case) -> Option<(Option<String>, Option<String>)>) -> Vec<String> {
    let desk = Desk::new("directives");
    let mut lines = Vec::new();
    for case in TABLE.iter().flat_map(Entry::cases) {
        desk.write(&case.text(), case.without());
        if let Some((expected, got)) = say(&desk, &case) {
            let got = got.map(|got| desk.bare(&got));
            if got != expected {
                let Case { name, at, directives, .. } = case;
                lines.push(format!(
                    "{name}, {at:?}: {directives}\n  expected {expected:?}\n  got      {got:?}"
                ));
            }
        }
    }
    lines
}

#[test]
fn every_directive_of_the_schema_is_in_the_table_with_its_six_cases() {
    let rows: Vec<_> = schema::rows().iter().map(|row| row.name).collect();
    let entries: Vec<_> = TABLE.iter().map(|entry| entry.name).collect();
    assert_eq!(rows.iter().collect::<BTreeSet<_>>(), entries.iter().collect());
    assert_eq!(rows.len(), entries.len(), "one of them is there twice, or only once of two");
    for entry in TABLE {
        assert!(!entry.valid.is_empty(), "{}", entry.name);
        assert!(!entry.miscounted.is_empty() || matches!(entry.name, "http" | "stream"), "{}", entry.name);
    }
}

#[test]
fn every_directive_is_taken_and_refused_as_the_table_says() {
    let differing = differing(|desk, case| Some((case.expected.clone(), desk.gatepost())));
    assert!(differing.is_empty(), "{}:\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn nginx_takes_and_refuses_every_directive_as_the_table_says() {
    if !is_there() {
        return;
    }
    let differing = differing(|desk, case| case.of_nginx.clone().map(|expected| (expected, desk.nginx())));
    assert!(differing.is_empty(), "{}:\n{}", differing.len(), differing.join("\n"));
}

/// What is written as the default is what silence means.
#[test]
fn every_default_is_the_default() {
    for entry in TABLE.iter().filter(|entry| !entry.default.is_empty()) {
        for at in entry.at.places() {
            let with = entry.case(at, entry.with(entry.default), None, entry.default);
            let without = Case { directives: String::new(), ..entry.case(at, String::new(), None, "") };
            let (with, without) = (with.text(), without.text());
            assert_eq!(meaning(&with), meaning(&without), "{with}");
        }
    }
}

fn meaning(text: &str) -> String {
    let Loaded { config, .. } = load_text(text).unwrap_or_else(|told| panic!("{text}\n{told:?}"));
    let server = |server: &crate::config::Server| {
        let tls = (server.tls.is_some(), server.backend_tls.is_some());
        format!("{:?} {:?} {:?} {:?} {tls:?}", server.policy, server.listeners, server.logs, server.resolver)
    };
    let servers: Vec<_> = config.servers.iter().map(server).collect();
    format!("{} {:?} {:?} {servers:#?}", config.worker_processes, config.pid, config.logs)
}
