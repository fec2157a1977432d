use std::env;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::iter;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use gatepost_core::Secret;
use rustix::fs::{FlockOperation, flock};

use super::*;

const SMALL: u64 = ZONE_BYTES_MIN;

fn settings(zones: &[(&str, LimitKey, u64)]) -> BTreeMap<Arc<str>, Settings> {
    let settings = |(name, key, bytes): &(&str, LimitKey, u64)| {
        ((*name).into(), Settings { key: key.clone(), bytes: *bytes })
    };
    zones.iter().map(settings).collect()
}

fn zones(zones: &[(&str, LimitKey, u64)]) -> Zones {
    Zones::new(&settings(zones), &Zones::default()).expect("zones")
}

fn claim(zone: &str, key: &str, connections: u16) -> Claim {
    Claim { zone: zone.into(), key: Secret::from(key.as_bytes()), connections, early: false }
}

fn full(zone: &str) -> NoPlace {
    NoPlace::Full(zone.into())
}

#[test]
fn there_are_as_many_places_as_are_said_and_they_can_be_had_again() {
    let zones = zones(&[("user", LimitKey::Login, SMALL)]);
    let two = [claim("user", "fred", 2)];
    let first = zones.admit(&two).expect("a place");
    let second = zones.admit(&two).expect("another");
    assert_eq!(zones.admit(&two).unwrap_err(), full("user"));
    let _other = zones.admit(&[claim("user", "wilma", 2)]).expect("she has places of her own");
    drop(first);
    let third = zones.admit(&two).expect("one was given up");
    assert_eq!(zones.admit(&two).unwrap_err(), full("user"));
    drop((second, third));
    assert_eq!(zones.zones["user"].sessions(b"fred"), 0);
    assert_eq!(zones.zones["user"].used(), 1, "a key without sessions takes memory");
}

#[test]
fn where_one_zone_has_no_place_none_is_kept_in_the_others() {
    let zones = zones(&[("a", LimitKey::Address, SMALL), ("u", LimitKey::Login, SMALL)]);
    let _fred = zones.admit(&[claim("u", "fred", 1)]).expect("a place");
    let both = [claim("a", "127.0.0.1", 1), claim("u", "fred", 1)];
    assert_eq!(zones.admit(&both).unwrap_err(), full("u"));
    assert_eq!(zones.zones["a"].used(), 0);
}

#[test]
fn a_zone_takes_so_many_keys_and_no_more_and_forgets_them_all() {
    let zones = zones(&[("user", LimitKey::Login, SMALL)]);
    let (mut places, mut refused) = (Vec::new(), 0);
    for user in 0..3000 {
        match zones.admit(&[claim("user", &format!("user{user}"), 1)]) {
            Ok(place) => places.push(place),
            Err(why) => {
                assert_eq!(why, NoPlace::NoMemory("user".into()));
                refused += 1;
            }
        }
    }
    // Eight pages of 170.
    assert!((1300..=1360).contains(&places.len()), "{} keys", places.len());
    assert_eq!(places.len() + refused, 3000);
    assert_eq!(zones.zones["user"].used(), places.len());
    // Whoever is known needs no memory.
    zones.admit(&[claim("user", "user0", 2)]).expect("a place");
    drop(places);
    assert_eq!(zones.zones["user"].used(), 0);
}

#[test]
fn keys_that_come_and_go_leave_nothing_behind() {
    let zones = zones(&[("user", LimitKey::Login, SMALL)]);
    for user in 0..20_000 {
        let place = zones.admit(&[claim("user", &format!("user{user}"), 1)]);
        drop(place.expect("those before have left"));
    }
    assert_eq!(zones.zones["user"].used(), 0);
}

#[test]
fn threads_never_let_in_one_too_many() {
    let zones = zones(&[("user", LimitKey::Login, SMALL)]);
    let begin = Barrier::new(4);
    let held: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    begin.wait();
                    let mut held = Vec::new();
                    for _ in 0..200 {
                        held.extend(zones.admit(&[claim("user", "fred", 50)]));
                        // Half of them leave again at once.
                        if held.len() % 2 == 0 {
                            held.pop();
                        }
                        assert!(zones.zones["user"].sessions(b"fred") <= 50);
                    }
                    let kept = held.len();
                    std::mem::forget(held);
                    kept
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(zones.zones["user"].sessions(b"fred") as usize, held);
}

/// In the environment of a visitor: the files of the zone's records and of its turn.
const SHARED: [&str; 2] = ["GATEPOST_TEST_TABLE", "GATEPOST_TEST_TURN"];

/// How often each visitor has the only place there is.
const VISITS: u32 = 3000;

/// A process that comes and goes.
struct Visitor(Child);

impl Visitor {
    fn has_ended_well(&mut self) -> Option<bool> {
        self.0.try_wait().expect("a child").map(|status| status.success())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a visitor does. Whoever has the place locks a file that nobody else may find locked then.
fn visit([table, turn]: [OsString; 2]) {
    let open = |path| OpenOptions::new().read(true).write(true).open(path).expect("a file");
    let alone = open(&table);
    let zone = Zone::of(open(&table), Turn::of(open(&turn))).expect("a zone");
    zone.take(b"visitors", 2).expect("room for two");
    let both_are_here = || (zone.sessions(b"visitors") == 2).then_some(());
    within_reason(both_are_here).expect("the other one comes");
    for _ in 0..VISITS {
        let at = within_reason(|| match zone.take(b"fred", 1) {
            Err(NoRoom::Full) => None,
            at => Some(at.expect("room for another key")),
        });
        let at = at.expect("the other one leaves");
        flock(&alone, FlockOperation::NonBlockingLockExclusive).expect("nobody else has the place");
        flock(&alone, FlockOperation::Unlock).expect("it is ours");
        zone.give_up(at);
    }
}

/// What comes of trying again and again, as long as somebody may still be waiting for it.
fn within_reason<T>(attempt: impl FnMut() -> Option<T>) -> Option<T> {
    iter::repeat_with(attempt).take(5_000_000).inspect(|_| thread::yield_now()).find_map(|outcome| outcome)
}

#[test]
fn processes_never_have_one_place_twice() {
    if let [Some(table), Some(turn)] = SHARED.map(env::var_os) {
        return visit([table, turn]);
    }
    let zones = zones(&[("user", LimitKey::Login, SMALL)]);
    let path = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let files = zones.zones["user"].files().map(path);
    let mut visitors = [(); 2].map(|()| {
        let shared = SHARED.into_iter().zip(&files);
        let this = env::current_exe().expect("a program");
        let name = "limit_conn::tests::processes_never_have_one_place_twice";
        let mut visitor = Command::new(this);
        visitor.args(["--exact", name, "--nocapture"]).envs(shared).stdout(Stdio::null());
        Visitor(visitor.spawn().expect("a process"))
    });
    for _ in 0..1200 {
        let ended = visitors.each_mut().map(Visitor::has_ended_well);
        assert!(!ended.contains(&Some(false)), "a visitor has seen another in its place");
        if ended == [Some(true); 2] {
            assert_eq!(zones.zones["user"].used(), 2, "that there were two visitors");
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("visitors are in each other's way");
}

#[test]
fn another_process_counts_until_it_is_known_to_be_gone() {
    let zones = zones(&[("user", LimitKey::Login, SMALL)]);
    let other = Pid::from_raw(i32::MAX).expect("a number");
    zones.zones["user"].take_as(other, b"fred");
    let two = [claim("user", "fred", 2)];
    let own = zones.admit(&two).expect("a place");
    assert_eq!(zones.admit(&two).unwrap_err(), full("user"), "that of the other process is not counted");
    zones.forget(other);
    zones.admit(&two).expect("a place");
    assert_eq!(zones.zones["user"].sessions(b"fred"), 1, "what is ours was given up");
    drop(own);
}

#[test]
fn a_reload_goes_on_counting_in_zones_that_are_the_same() {
    let before = zones(&[("a", LimitKey::Address, SMALL), ("u", LimitKey::Login, SMALL)]);
    let held = before.admit(&[claim("a", "127.0.0.1", 9), claim("u", "fred", 9)]).expect("places");
    let after = settings(&[("a", LimitKey::Address, 2 * SMALL), ("u", LimitKey::Login, SMALL)]);
    let after = Zones::new(&after, &before).expect("zones");
    drop(before);
    assert_eq!(after.admit(&[claim("u", "fred", 1)]).unwrap_err(), full("u"));
    after.admit(&[claim("a", "127.0.0.1", 1)]).expect("of another size, it begins anew");
    drop(held);
    after.admit(&[claim("u", "fred", 1)]).expect("the session of before is over");
}

#[test]
fn a_reload_cannot_have_a_zone_count_by_something_else() {
    let before = zones(&[("a", LimitKey::Address, SMALL)]);
    let error = Zones::new(&settings(&[("a", LimitKey::Login, SMALL)]), &before).expect_err("another key");
    let words = "limit_conn_zone \"a\" uses the \"$remote_user\" key while previously it used the \"$remote_addr\" key";
    assert_eq!(error.to_string(), words);
}

#[test]
fn a_zone_may_have_any_name() {
    let name = "z".repeat(1000);
    let zones = zones(&[(&name, LimitKey::Login, SMALL)]);
    zones.admit(&[claim(&name, "fred", 1)]).expect("a place");
}
