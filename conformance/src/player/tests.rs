//! The player against a proxy that does just what a test tells it to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatepost_core::Wire;

use super::play;
use crate::divergence::Version;
use crate::subject::{Acted, Deed, Ending, Seen, Server, Stage, Subject};
use crate::transcript::{BackendTls, Lookup, Open, Runner, TlsTry, Transcript, Variables};

/// A proxy that greets with `hello` and does `deeds` when the client has sent a whole line.
struct Puppet {
    runner: Runner,
    exact: bool,
    /// Answers only a line that comes in one piece: what cutting is to find.
    deaf_to_pieces: bool,
    deeds: Vec<Seen>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    log: &'static str,
}

struct PuppetStage {
    exact: bool,
    deaf_to_pieces: bool,
    in_pieces: bool,
    log: &'static str,
    deeds: Vec<Seen>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    pending: VecDeque<Seen>,
}

impl Puppet {
    fn new(deeds: &[(Wire, Deed)]) -> Self {
        let deeds = deeds.iter().cloned().map(|(wire, deed)| Seen { wire, deed }).collect();
        Self {
            runner: Runner::Core,
            exact: true,
            deaf_to_pieces: false,
            deeds,
            heard: Arc::default(),
            log: "[info] a client came",
        }
    }
}

impl Subject for Puppet {
    fn runner(&self) -> Runner {
        self.runner
    }

    fn version(&self) -> Version {
        "1.22.1".parse().unwrap()
    }

    fn stage(&self, _: &Transcript) -> Result<Box<dyn Stage>, String> {
        let (deeds, heard) = (self.deeds.clone(), Arc::clone(&self.heard));
        let &Self { exact, deaf_to_pieces, log, .. } = self;
        let pending = VecDeque::new();
        Ok(Box::new(PuppetStage { exact, deaf_to_pieces, in_pieces: false, log, deeds, heard, pending }))
    }
}

impl Stage for PuppetStage {
    fn exact(&self) -> bool {
        self.exact
    }

    fn variables(&self) -> Variables {
        Variables::new()
    }

    fn open(&mut self, _: &Open) -> Acted {
        self.pending.push_back(Seen { wire: Wire::Client, deed: sends("hello\r\n") });
        Ok(())
    }

    fn client_sends(&mut self, octets: &[u8]) -> Acted {
        self.heard.lock().unwrap().push(octets.to_vec());
        if octets.ends_with(b"\n") && !(self.deaf_to_pieces && self.in_pieces) {
            self.pending.extend(self.deeds.drain(..));
        }
        Ok(())
    }

    fn pause(&mut self, _: Wire) -> Acted {
        self.in_pieces = true;
        Ok(())
    }

    fn client_ends(&mut self, _: Ending) -> Acted {
        Ok(())
    }

    fn shake_hands(&mut self, _: &TlsTry) -> Acted {
        Err("this proxy has no TLS".to_owned())
    }

    fn shake_backends_hand(&mut self, _: &BackendTls) -> Acted {
        Err("this proxy has no TLS".to_owned())
    }

    fn look_up(&mut self, _: &Lookup) -> Acted {
        Err("this proxy asks nobody".to_owned())
    }

    fn reachable(&mut self, _: Server, _: bool) -> Acted {
        Ok(())
    }

    fn accept(&mut self, _: Server) -> Acted {
        Ok(())
    }

    fn refuse(&mut self, _: Server) -> Acted {
        Ok(())
    }

    fn server_sends(&mut self, _: Server, octets: &[u8]) -> Acted {
        self.heard.lock().unwrap().push(octets.to_vec());
        Ok(())
    }

    fn server_ends(&mut self, _: Server, _: Ending) -> Acted {
        Ok(())
    }

    fn pass(&mut self, _: Duration, _: bool) -> Acted {
        self.pending.extend(self.deeds.drain(..));
        Ok(())
    }

    fn drain(&mut self) -> Acted {
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Seen>, String> {
        Ok(self.pending.pop_front())
    }

    fn next_at_once(&mut self) -> Result<Option<Seen>, String> {
        self.next()
    }

    fn log(&mut self) -> Vec<String> {
        vec![self.log.to_owned()]
    }
}

fn sends(text: &str) -> Deed {
    Deed::Sends(text.as_bytes().to_vec())
}

fn transcript(script: &str, rest: &str) -> Transcript {
    let text = format!(
        r#"(id: "x", title: "x", rows: ["IMAP-001"], config: (protocol: Imap), runners: [Core, Nginx],
            script: [Open(()), Sees("hello\r\n"), {script}], {rest})"#
    );
    ron::from_str(&text).unwrap()
}

fn failure(script: &str, puppet: &Puppet) -> String {
    play(&transcript(script, ""), puppet).unwrap_err().to_string()
}

#[test]
fn a_proxy_that_does_what_the_script_says_passes() {
    let puppet = Puppet::new(&[
        (Wire::Client, sends("a OK\r\n* ")),
        (Wire::Client, sends("BYE\r\n")),
        (Wire::Client, Deed::Ends(Ending::Fin)),
    ]);
    let script = r#"Client("a\r\n"), Sees("a OK\r\n"), SeesLike("? B*\r\n"), ProxyFin, Never([AuthRequest]),
        Logs("*client*")"#;
    play(&transcript(script, ""), &puppet).unwrap();
}

#[test]
fn a_failure_names_the_step_both_texts_and_what_went_before() {
    let puppet = Puppet::new(&[(Wire::Client, sends("a NO\r\n"))]);
    let told = failure(r#"Mark("m"), Client("a\r\n"), Sees("a OK\r\n")"#, &puppet);
    for part in [
        "x on core",
        "step 2 of block \"m\"",
        r#"expected exactly "a OK\r\n""#,
        r#"got "a NO\r\n""#,
        r#"client -> proxy: "a\r\n""#,
        r#"proxy -> client: "a NO\r\n""#,
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn what_no_step_mentions_fails_the_run() {
    let surplus = Puppet::new(&[(Wire::Client, sends("a OK\r\nb OK\r\n"))]);
    let told = failure(r#"Client("a\r\n"), Sees("a OK\r\n"), Client("c\r\n")"#, &surplus);
    assert!(told.contains(r#"no step accounts for this: proxy -> client: "b OK\r\n""#), "{told}");
    let told = failure(r#"Client("a\r\n"), Sees("a OK\r\n")"#, &surplus);
    assert!(told.contains("the end of the script"), "{told}");
    let asks = Puppet::new(&[(Wire::Client, sends("a OK\r\n")), (Wire::Auth, Deed::Opens)]);
    let told = failure(r#"Client("a\r\n"), Sees("a OK\r\n"), Quiet(10)"#, &asks);
    assert!(told.contains("auth server: connects"), "{told}");
}

#[test]
fn what_does_not_happen_fails_the_run() {
    let silent = Puppet::new(&[]);
    for step in [r#"Sees("a OK\r\n")"#, "ProxyFin", "AuthGets(())", "BackendOpens", "BackendSeesFin"] {
        assert!(failure(&format!(r#"Client("a\r\n"), {step}"#), &silent).contains("nothing"), "{step}");
    }
    let cut_short = Puppet::new(&[(Wire::Client, sends("a O")), (Wire::Client, Deed::Ends(Ending::Fin))]);
    let told = failure(r#"Client("a\r\n"), Sees("a OK\r\n")"#, &cut_short);
    assert!(told.contains("and no more, but proxy -> client: FIN"), "{told}");
}

#[test]
fn nothing_may_happen_while_it_is_quiet() {
    let puppet = Puppet::new(&[(Wire::Client, sends("* BYE\r\n"))]);
    assert!(failure("Quiet(10)", &puppet).contains("no step accounts for this"));
    play(&transcript(r#"Wait(10), Sees("* BYE\r\n")"#, ""), &puppet).unwrap();
}

#[test]
fn order_between_parties_counts_where_the_stage_is_exact() {
    let deeds = [(Wire::Backend, Deed::Opens), (Wire::Client, sends("a OK\r\n"))];
    let script = r#"Client("a\r\n"), Sees("a OK\r\n"), BackendOpens"#;
    let exact = Puppet::new(&deeds);
    assert!(failure(script, &exact).contains("expected something on Client"));
    let sockets = Puppet { exact: false, ..Puppet::new(&deeds) };
    play(&transcript(script, ""), &sockets).unwrap();
}

#[test]
fn a_reset_is_no_fin() {
    let puppet = Puppet::new(&[(Wire::Client, Deed::Ends(Ending::Reset))]);
    assert!(
        failure(r#"Client("a\r\n"), ProxyFin"#, &puppet).contains("expected that the proxy ends with FIN")
    );
    play(&transcript(r#"Client("a\r\n"), ProxyGone"#, ""), &puppet).unwrap();
}

#[test]
fn what_happened_since_the_mark_cannot_be_denied() {
    let puppet = Puppet::new(&[(Wire::Client, sends("a OK\r\n"))]);
    let script = |incident: &str| format!(r#"Client("a\r\n"), Sees("a OK\r\n"), Never([{incident}])"#);
    assert!(failure(&script("BytesToClient"), &puppet).contains("it did happen"));
    assert!(failure(&script(r#"Log("*client*")"#), &puppet).contains("the log says"));
    assert!(failure(r#"Mark("m"), Logs("*client*")"#, &puppet).contains("the log has no such line"));
}

#[test]
fn a_runner_plays_its_own_version_of_a_block_and_only_where_it_applies() {
    let differs = |version: &str| {
        format!(
            r#"differs: [(runner: Nginx, version: Some("{version}"), block: "m",
                instead: [Client("a\r\n"), Sees("a BAD\r\n")], stop: true, why: ["x"])]"#
        )
    };
    let script = r#"Mark("m"), Client("a\r\n"), Sees("a OK\r\n"), Mark("n"), Client("b\r\n")"#;
    let good = Puppet::new(&[(Wire::Client, sends("a OK\r\n"))]);
    play(&transcript(script, &differs("<1.29")), &good).unwrap();
    let bad = || Puppet { runner: Runner::Nginx, ..Puppet::new(&[(Wire::Client, sends("a BAD\r\n"))]) };
    play(&transcript(script, &differs("<1.29")), &bad()).unwrap();
    let no_longer = Puppet { runner: Runner::Nginx, ..good };
    let told = play(&transcript(script, &differs("<1.29")), &no_longer).unwrap_err().to_string();
    assert!(told.contains("as this runner differs"), "{told}");
    assert!(play(&transcript(script, &differs(">=1.29")), &bad()).is_err());
}

#[test]
fn no_line_of_our_log_holds_a_password_or_a_control() {
    for log in ["login as fred, hunter2", "AGZyZWQAaHVudGVyMg==", "eABodW50ZXIy", "an escape: \x1B[2J"] {
        let puppet = Puppet { log, ..Puppet::new(&[]) };
        assert!(failure("", &puppet).contains("no log may hold"), "{log:?}");
        let nginx = Puppet { runner: Runner::Nginx, ..puppet };
        play(&transcript("", ""), &nginx).unwrap();
    }
}

#[test]
fn every_octet_is_a_place_to_cut() {
    let puppet = Puppet::new(&[(Wire::Client, sends("a OK\r\n"))]);
    play(&transcript(r#"Client("abc\r\n"), Sees("a OK\r\n")"#, ""), &puppet).unwrap();
    let heard = puppet.heard.lock().unwrap();
    let cuts = ["abc\r\n", "a", "bc\r\n", "ab", "c\r\n", "abc", "\r\n", "abc\r", "\n"];
    let octets = ["a", "b", "c", "\r", "\n"];
    assert_eq!(*heard, cuts.into_iter().chain(octets).map(|cut| cut.as_bytes().to_vec()).collect::<Vec<_>>());
}

/// What servers send is cut as what the client sends is.
#[test]
fn servers_are_cut_too() {
    let asked = [(Wire::Auth, Deed::Opens), (Wire::Auth, sends("GET / HTTP/1.0\r\n\r\n"))];
    let dialed = [(Wire::Backend, Deed::Opens)];
    for (deeds, script) in [
        (&asked[..], r#"AuthGets(()), AuthSaysExactly("abc")"#),
        (&dialed[..], r#"BackendOpens, BackendSays("abc")"#),
    ] {
        let puppet = Puppet::new(deeds);
        play(&transcript(&format!(r#"Client("\n"), {script}"#), ""), &puppet).unwrap();
        let mut heard = puppet.heard.lock().unwrap();
        heard.retain(|segment| segment != b"\n");
        let cuts = ["abc", "a", "bc", "ab", "c", "a", "b", "c"];
        assert_eq!(*heard, cuts.map(|cut| cut.as_bytes().to_vec()), "{script}");
    }
}

#[test]
fn no_cut_is_behind_a_starttls_line_or_its_answer() {
    let hears = |script: &str, deeds: &[(Wire, Deed)]| {
        let puppet = Puppet::new(deeds);
        play(&transcript(script, ""), &puppet).unwrap();
        let heard = puppet.heard.lock().unwrap();
        heard.iter().any(|segment| segment.starts_with(b"beyond"))
    };
    assert!(!hears(r#"Client("STLS\r\nbeyond")"#, &[]));
    assert!(hears(r#"Client("NOOP\r\nbeyond")"#, &[]));
    let backend = |line: &str| [(Wire::Backend, Deed::Opens), (Wire::Backend, sends(line))];
    let script = |line: &str| {
        format!(r#"Client("\n"), BackendOpens, BackendGets("{line}"), BackendSays("+OK\nbeyond")"#)
    };
    assert!(!hears(&script("STLS\r\n"), &backend("STLS\r\n")));
    assert!(hears(&script("CAPA\r\n"), &backend("CAPA\r\n")));
}

/// `GATEPOST_SEED` and its like choose the places, so the test only knows what is true of any.
#[test]
fn a_program_is_played_as_written_and_then_cut_by_seeds() {
    let heard = |runner: Runner| {
        let puppet = Puppet { runner, ..Puppet::new(&[(Wire::Client, sends("a OK\r\n"))]) };
        play(&transcript(r#"Client("abcdefgh\r\n"), Sees("a OK\r\n")"#, ""), &puppet).unwrap();
        let heard = puppet.heard.lock().unwrap();
        heard.clone()
    };
    let cut = heard(Runner::Binary);
    assert_eq!(cut[0], b"abcdefgh\r\n");
    assert!(cut.len() > 2, "{cut:?}");
    assert_eq!(cut.concat(), cut[0].repeat(cut.concat().len() / 10));
    assert_eq!(heard(Runner::Nginx).len(), 1);
}

/// The test that cutting finds something: a proxy that wants its lines in one piece.
#[test]
fn a_failure_in_pieces_names_the_cuts_and_the_seed() {
    let script = transcript(r#"Client("ab\r\n"), Sees("a OK\r\n")"#, "");
    let told = |runner: Runner| {
        let puppet =
            Puppet { runner, deaf_to_pieces: true, ..Puppet::new(&[(Wire::Client, sends("a OK\r\n"))]) };
        play(&script, &puppet).unwrap_err().to_string()
    };
    let binary = told(Runner::Binary);
    assert!(binary.contains("x on binary, cut what the client sends behind ["), "{binary}");
    assert!(binary.contains("GATEPOST_SEED=0x"), "{binary}");
    let core = told(Runner::Core);
    assert!(core.contains("x on core, cut what the client sends behind [1]"), "{core}");
}
