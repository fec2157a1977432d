use super::*;
use rustls_pki_types::UnixTime;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// So many has a client then that comes back from each of its connections, however often it does.
#[test]
fn whoever_comes_with_a_ticket_is_given_one() {
    let scene = Scene::new();
    let zone = Zone::of_bytes(1 << 20);
    for by_cache in [false, true] {
        let server = scene.with(|settings| {
            settings.resumption.tls13_tickets = 3;
            settings.resumption.tickets = !by_cache;
            settings.resumption.cache = by_cache.then(|| zone.clone());
        });
        let client = scene.fixture.client(&[&TLS13]);
        let given = || {
            let (facts, client) = shake(&server, client.clone());
            (facts.expect("TLS").resumed, client.expect("TLS").tls13_tickets_received())
        };
        assert_eq!([given(), given(), given()], [(false, 3), (true, 1), (true, 1)]);
    }
}

/// RFC 5077 section 3.3: the new ticket that TLS 1.2 gives at each resumption is for the old secret. RFC 8446 section 4.6.1:
/// that of TLS 1.3 is for a new one.
#[test]
fn coming_back_often_makes_no_session_of_tls_12_last_longer() {
    let scene = Scene::new();
    let zone = Zone::of_bytes(1 << 20);
    let file = scene.fixture.file("key", &"k".repeat(48));
    type Change<'a> = &'a dyn Fn(&mut Settings);
    let means: [Change; 4] = [
        &|_| (),
        &|settings| settings.resumption.ticket_keys = vec![file.clone()],
        &|settings| settings.resumption.cache = Some(zone.clone()),
        &|settings| {
            without_tickets(settings);
            settings.resumption.cache = Some(zone.clone());
        },
    ];
    for (number, mean) in means.into_iter().enumerate() {
        let mut settings = scene.settings.clone();
        mean(&mut settings);
        for (version, lasting) in [(&TLS12, false), (&TLS13, true)] {
            let clock = Arc::new(Clock::now());
            let server = server_config_at(&settings, aws_lc_rs::default_provider(), clock.clone());
            let (server, client) = (server.expect("a configuration"), scene.fixture.client(&[version]));
            let after = |seconds| {
                clock.0.fetch_add(seconds, Ordering::Relaxed);
                shake(&server, client.clone()).0.expect("TLS").resumed
            };
            let told = [after(0), after(200), after(99), after(1), after(299)];
            assert_eq!(told, [false, true, true, lasting, true], "{version:?} {number}");
        }
    }
}

/// A session that was found and could not be resumed leaves nothing to the one that begins instead.
#[test]
fn a_session_that_begins_anew_has_all_its_time() {
    let scene = Scene::new();
    let clock = Arc::new(Clock::now());
    let server = server_config_at(&scene.settings, aws_lc_rs::default_provider(), clock.clone());
    let server = server.expect("a configuration");
    let client = scene.fixture.client(&[&TLS12]);
    let after = |seconds, suite: Option<&str>| {
        clock.0.fetch_add(seconds, Ordering::Relaxed);
        let mut server = server.clone();
        if let Some(suite) = suite {
            let mut provider = CryptoProvider::clone(server.config.crypto_provider());
            provider.cipher_suites.retain(|has| cipher_name(has.suite()).contains(suite));
            let other = server_config_at(&scene.settings, provider, clock.clone());
            server = other.expect("a configuration");
        }
        shake(&server, client.clone()).0.expect("TLS").resumed
    };
    let told = [
        after(0, None),
        after(200, Some("CHACHA20")),
        after(200, Some("CHACHA20")),
        after(99, Some("CHACHA20")),
        after(1, Some("CHACHA20")),
    ];
    assert_eq!(told, [false, false, true, true, false]);
}

/// A clock that is set by hand.
#[derive(Debug)]
struct Clock(AtomicU64);

impl Clock {
    fn now() -> Self {
        let now = crate::net::wall_clock().duration_since(std::time::UNIX_EPOCH).expect("a time");
        Self(AtomicU64::new(now.as_secs()))
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
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
