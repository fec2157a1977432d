//! The ways from phase to phase that were taken, as a diagram in the README.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::{env, fs};

/// The phases in the order in which a session comes to them, for a diagram that reads so.
const PHASES: [&str; 11] = [
    "Arrive",
    "Identify",
    "Greet",
    "Converse",
    "Sasl",
    "Upgrade",
    "Authorize",
    "Refused",
    "Penalty",
    "Admit",
    "Login",
];

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const BEGIN: &str = "<!-- drawn by core/tests/exploration/diagram.rs -->\n";
const END: &str = "<!-- drawn so far -->\n";

/// From where to where, and by whose doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagram(BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>);

impl Diagram {
    pub(crate) fn add(&mut self, from: &'static str, cause: &'static str, to: &'static str) {
        self.0.entry((from, to)).or_default().insert(cause);
    }

    pub(crate) fn join(&mut self, other: Self) {
        for (way, causes) in other.0 {
            self.0.entry(way).or_default().extend(causes);
        }
    }

    /// In Mermaid's language. The ways out, which every phase has, are left out.
    fn text(&self) -> String {
        let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Arrive\n");
        for from in PHASES {
            assert!(self.0.contains_key(&(from, "[*]")), "no way out of {from}");
            for to in PHASES.into_iter().chain(["Relay"]).filter(|&to| to != from) {
                if let Some(causes) = self.0.get(&(from, to)) {
                    let causes: Vec<_> = causes.iter().copied().collect();
                    writeln!(text, "    {from} --> {to}: {}", causes.join(", ")).unwrap();
                }
            }
        }
        text + "    Relay --> [*]\n```\n"
    }

    /// Compares it with the README's, or with `GATEPOST_README=write` puts it there.
    pub(crate) fn is_in_the_readme(&self) {
        let readme = fs::read_to_string(README).unwrap();
        let (before, rest) = readme.split_once(BEGIN).expect("where the diagram begins");
        let (drawn, behind) = rest.split_once(END).expect("where the diagram ends");
        let text = self.text();
        if env::var_os("GATEPOST_README").is_some_and(|wish| wish == "write") {
            return fs::write(README, [before, BEGIN, &text, END, behind].concat()).unwrap();
        }
        assert!(
            drawn == text,
            "the diagram in README.md is out of date; to draw it anew: \
             GATEPOST_README=write cargo test -p gatepost-core --features fuzzing --test exploration slice\n{text}"
        );
    }
}
