use super::*;
use std::time::Duration;

/// A server's settings, and a client that trusts it.
struct Scene {
    fixture: Fixture,
    pair: (PathBuf, PathBuf),
    settings: Settings,
}

impl Scene {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        let pair = fixture.pair(&PKCS_ED25519);
        let settings = settings(vec![pair.clone()]);
        Self { fixture, pair, settings }
    }

    fn with(&self, change: impl FnOnce(&mut Settings)) -> Acceptor {
        let mut settings = self.settings.clone();
        change(&mut settings);
        server_config(&settings).expect("a configuration")
    }

    /// Whether each of `servers` resumes what a client has from the one before it, the first from none.
    fn resumed(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
        servers: &[&Acceptor],
    ) -> Vec<bool> {
        let client = self.fixture.client(&[version]);
        servers.iter().map(|server| shake(server, client.clone()).0.expect("TLS").resumed).collect()
    }
}

const BOTH: [&rustls::SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn without_tickets(settings: &mut Settings) {
    settings.resumption.tickets = false;
}

#[test]
fn tickets_outlive_a_new_reading_of_the_same_configuration() {
    let scene = Scene::new();
    let (before, after) = (scene.with(|_| ()), scene.with(|_| ()));
    for version in BOTH {
        assert_eq!(scene.resumed(version, &[&before, &after, &before]), [false, true, true]);
    }
}

#[test]
fn without_tickets_and_cache_nothing_is_resumed() {
    let scene = Scene::new();
    let server = scene.with(without_tickets);
    for version in BOTH {
        assert_eq!(scene.resumed(version, &[&server, &server]), [false, false]);
    }
}

#[test]
fn a_cache_resumes_without_tickets_wherever_it_is_shared() {
    let scene = Scene::new();
    let zone = Zone::of_bytes(1 << 20);
    let make = || {
        scene.with(|settings| {
            without_tickets(settings);
            settings.resumption.cache = Some(zone.clone());
        })
    };
    let (one, other) = (make(), make());
    let alone = scene.with(|settings| {
        without_tickets(settings);
        settings.resumption.cache = Some(Zone::of_sessions(10));
    });
    for version in BOTH {
        assert_eq!(scene.resumed(version, &[&one, &other]), [false, true]);
        assert_eq!(scene.resumed(version, &[&one, &alone, &alone]), [false, false, true]);
    }
}

#[test]
fn whoever_shares_a_key_file_resumes_the_others_sessions() {
    let scene = Scene::new();
    let [first, second] = ["1", "2"].map(|digit| scene.fixture.file(digit, &digit.repeat(80)));
    let keys = |files: &[&PathBuf]| {
        let files = files.iter().map(|&file| file.clone()).collect();
        scene.with(|settings| settings.resumption.ticket_keys = files)
    };
    let (old, rotated, new, memory) =
        (keys(&[&first]), keys(&[&second, &first]), keys(&[&second]), scene.with(|_| ()));
    for version in BOTH {
        assert_eq!(scene.resumed(version, &[&old, &rotated]), [false, true]);
        assert_eq!(scene.resumed(version, &[&rotated, &new]), [false, true]);
        assert_eq!(scene.resumed(version, &[&old, &new]), [false, false]);
        assert_eq!(scene.resumed(version, &[&old, &memory]), [false, false]);
    }
}

/// CVE-2014-3616, CVE-2025-23419: whatever the keys and the cache, a session is of use only where the same is shown and
/// asked for.
#[test]
fn no_session_crosses_to_a_server_of_another_kind() {
    let mut scene = Scene::new();
    let other_pair = scene.fixture.pair(&PKCS_ED25519);
    let (ca, other_ca) = (scene.pair.0.clone(), other_pair.0.clone());
    let zone = Zone::of_bytes(1 << 20);
    let file = scene.fixture.file("key", &"k".repeat(48));
    let asking = |ca: &PathBuf| {
        let ca = ca.clone();
        move |settings: &mut Settings| {
            settings.verify_client = VerifyClient::Optional;
            settings.client_ca = vec![ca];
        }
    };
    type Change = Box<dyn Fn(&mut Settings)>;
    let kinds: Vec<Change> = vec![
        Box::new(|_| ()),
        Box::new(move |settings| {
            settings.certificates = super::settings(vec![other_pair.clone()]).certificates;
        }),
        Box::new(|settings| settings.protocol = Protocol::Pop3),
        Box::new(|settings| (settings.verify_client, settings.depth) = (VerifyClient::OptionalNoCa, 1)),
        Box::new(move |settings| asking(&ca.clone())(settings)),
        Box::new(move |settings| asking(&other_ca.clone())(settings)),
    ];
    let means: [Change; 3] = [
        Box::new(|_| ()),
        Box::new(move |settings| settings.resumption.ticket_keys = vec![file.clone()]),
        Box::new(move |settings| {
            without_tickets(settings);
            settings.resumption.cache = Some(zone.clone());
        }),
    ];
    for mean in &means {
        let servers: Vec<_> =
            kinds.iter().map(|kind| scene.with(|settings| (kind(settings), mean(settings)).0)).collect();
        for version in BOTH {
            for (from, one) in servers.iter().enumerate() {
                for (to, other) in servers.iter().enumerate() {
                    assert_eq!(scene.resumed(version, &[one, other]), [false, from == to], "{from} to {to}");
                }
            }
        }
    }
}

#[test]
fn no_time_means_no_resumption() {
    let scene = Scene::new();
    let server = scene.with(|settings| {
        settings.resumption.timeout = Duration::ZERO;
        settings.resumption.cache = Some(Zone::of_sessions(10));
    });
    for version in BOTH {
        assert_eq!(scene.resumed(version, &[&server, &server]), [false, false]);
    }
}

#[test]
fn clients_are_given_as_many_tickets_as_was_said() {
    let scene = Scene::new();
    for count in [0, 1, 3] {
        let server = scene.with(|settings| settings.resumption.tls13_tickets = count);
        let (_, client) = shake(&server, scene.fixture.client(&[&TLS13]));
        assert_eq!(client.expect("TLS").tls13_tickets_received() as usize, count);
    }
}

#[test]
fn odd_key_files_are_told() {
    let scene = Scene::new();
    let said = |path: PathBuf| {
        let mut settings = scene.settings.clone();
        settings.resumption.ticket_keys = vec![path];
        server_config(&settings).expect_err("an odd file").to_string()
    };
    assert_eq!(said("/nowhere/key".into()), "open() \"/nowhere/key\" failed (2: No such file or directory)");
    for length in [0, 47, 49, 79, 81] {
        let path = scene.fixture.file("odd", &"x".repeat(length));
        assert_eq!(said(path.clone()), format!("{path:?} must be 48 or 80 bytes"));
    }
}
