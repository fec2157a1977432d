use super::keys::{Chain, EPOCHS_KEPT};
use super::*;
use rustls_pki_types::UnixTime;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that is set by hand.
#[derive(Debug, Default)]
struct Clock(AtomicU64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

const HOUR: u64 = 60 * 60;
const LONG: Duration = Duration::from_secs(1_000_000);

fn at(seconds: u64) -> Arc<Clock> {
    Arc::new(Clock(AtomicU64::new(seconds)))
}

/// Keys that read the same clock.
fn keys(clock: &Arc<Clock>) -> TicketKeys {
    let clock = clock.clone();
    TicketKeys::random(Arc::new(move || Duration::from_secs(clock.0.load(Ordering::Relaxed)))).expect("keys")
}

fn files(octets: &[&[u8]], context: u8, lifetime: Duration, clock: &Arc<Clock>) -> Option<Tickets> {
    Tickets::of_files(octets.iter().copied(), [context; 32], lifetime, clock.clone())
}

#[test]
fn a_ticket_opens_to_what_was_sealed_and_to_nothing_else() {
    let clock = at(1000);
    let tickets = Tickets::new(keys(&clock), [1; 32], LONG, clock);
    let ticket = tickets.seal(b"state", None).expect("a ticket");
    assert_eq!(tickets.open(&ticket), Some((b"state".to_vec(), 1000)));
    assert_ne!(tickets.seal(b"state", None).expect("a ticket"), ticket, "no two are alike");
    assert!(!ticket.windows(5).any(|window| window == b"state"));
    for at in 0..ticket.len() {
        let mut forged = ticket.clone();
        forged[at] ^= 1;
        assert_eq!(tickets.open(&forged), None, "octet {at}");
        assert_eq!(tickets.open(&ticket[..at]), None, "cut at {at}");
    }
    assert_eq!(tickets.open(&vec![0; 1 << 20]), None);
}

/// CVE-2014-3616, CVE-2025-23419.
#[test]
fn a_ticket_is_worth_nothing_where_something_else_is_asked_of_clients() {
    let clock = at(1000);
    let keys = keys(&clock);
    let [one, same, other] =
        [1, 1, 2].map(|context| Tickets::new(keys.clone(), [context; 32], LONG, clock.clone()));
    let ticket = one.seal(b"state", None).expect("a ticket");
    assert!(same.open(&ticket).is_some());
    assert_eq!(other.open(&ticket), None);
}

#[test]
fn a_ticket_is_good_for_its_time() {
    for key in [None, Some([7; 48])] {
        let clock = at(1000);
        let lifetime = Duration::from_secs(300);
        let tickets = match &key {
            Some(key) => files(&[key], 1, lifetime, &clock).expect("keys"),
            None => Tickets::new(keys(&clock), [1; 32], lifetime, clock.clone()),
        };
        assert_eq!(tickets.lifetime(), 300);
        let ticket = tickets.seal(b"state", None).expect("a ticket");
        for (now, good) in [(939, false), (940, true), (1299, true), (1300, false), (1_000_000, false)] {
            clock.0.store(now, Ordering::Relaxed);
            assert_eq!(tickets.open(&ticket).is_some(), good, "at {now}");
        }
        clock.0.store(1200, Ordering::Relaxed);
        let again = tickets.seal(b"state", Some(1000)).expect("a ticket");
        clock.0.store(1300, Ordering::Relaxed);
        assert_eq!(tickets.open(&again), None, "made at 1200 for a session of 1000");
    }
    assert_eq!(files(&[&[7; 48]], 1, LONG, &at(0)).expect("keys").lifetime(), 24 * 60 * 60);
}

#[test]
fn keys_change_and_old_ones_are_forgotten_once_they_are_of_no_use() {
    let clock = at(0);
    let keys = keys(&clock);
    let tickets = Tickets::new(keys.clone(), [1; 32], LONG, clock.clone());
    let at = |hour: u64| clock.0.store(hour * HOUR, Ordering::Relaxed);
    let name = || tickets.seal(b"state", None).expect("a ticket")[..NAME_BYTES].to_vec();
    at(5);
    let (first, last_ticket) = (name(), tickets.seal(b"state", None).expect("a ticket"));
    at(6);
    assert_ne!(name(), first);
    at(28);
    assert!(tickets.open(&last_ticket).is_some(), "23 hours old");
    at(30);
    assert_eq!(tickets.open(&last_ticket), None);
    let chain = keys.chain.lock().expect("a lock");
    assert!(chain.keys.len() as u64 == EPOCHS_KEPT && chain.keys.iter().all(|key| key.name[..] != first[..]));
}

/// A clock that was ahead when the process began, as one without a battery may be; and one that is set to far ahead.
#[test]
fn the_time_of_day_has_no_say_over_keys() {
    let (even, day) = (at(0), at(2_000_000_000));
    let tickets = Tickets::new(keys(&even), [1; 32], LONG, day.clone());
    let name = || tickets.seal(b"state", None).expect("a ticket")[..NAME_BYTES].to_vec();
    let (first, ahead) = (name(), tickets.seal(b"state", None).expect("a ticket"));
    day.0.store(1000, Ordering::Relaxed);
    assert_eq!(tickets.open(&ahead), None, "it would be good for years");
    assert_eq!(name(), first);
    even.0.store(6 * HOUR, Ordering::Relaxed);
    let second = name();
    assert_ne!(second, first, "keys go on changing");
    day.0.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(name(), second);
}

#[test]
fn copies_of_keys_go_the_same_way() {
    let clock = at(0);
    let keys = keys(&clock);
    let copy = {
        let chain = keys.chain.lock().expect("a lock");
        let chain = Chain { link: chain.link.clone(), since: chain.since, keys: chain.keys.clone() };
        TicketKeys { chain: Arc::new(Mutex::new(chain)), ..keys.clone() }
    };
    let [mine, other] = [keys, copy].map(|keys| Tickets::new(keys, [1; 32], LONG, clock.clone()));
    for hour in [3, 7, 8, 100, 101, 130] {
        clock.0.store(hour * HOUR, Ordering::Relaxed);
        // Now the one, now the other is first to notice what time it is.
        let (from, to) = if hour % 2 == 0 { (&mine, &other) } else { (&other, &mine) };
        let ticket = from.seal(b"state", None).expect("a ticket");
        assert!(to.open(&ticket).is_some(), "hour {hour}");
    }
}

#[test]
fn the_first_file_seals_and_all_open() {
    let clock = at(1000);
    let (old, new) = ([&[1; 16][..], &[2; 32]].concat(), [&[3; 16][..], &[4; 64]].concat());
    let before = files(&[&old], 1, LONG, &clock).expect("keys");
    let rotated = files(&[&new, &old], 1, LONG, &clock).expect("keys");
    let after = files(&[&new], 1, LONG, &clock).expect("keys");
    let (old_ticket, new_ticket) =
        (before.seal(b"old", None).expect("a ticket"), rotated.seal(b"new", None).expect("a ticket"));
    assert_eq!((&old_ticket[..16], &new_ticket[..16]), (&[1; 16][..], &[3; 16][..]));
    assert_eq!(rotated.open(&old_ticket), Some((b"old".to_vec(), 1000)));
    assert_eq!(after.open(&new_ticket), Some((b"new".to_vec(), 1000)));
    assert_eq!((after.open(&old_ticket), before.open(&new_ticket)), (None, None));
    for odd in [0, 47, 49, 79, 81] {
        assert!(files(&[&vec![0; odd]], 1, LONG, &clock).is_none(), "{odd} octets");
    }
}
