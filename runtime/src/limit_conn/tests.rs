use std::sync::Barrier;
use std::thread;

use gatepost_core::Secret;

use super::*;

const SMALL: u64 = ZONE_BYTES_MIN;

fn settings(zones: &[(&str, &str, u64)]) -> BTreeMap<Arc<str>, Settings> {
    let settings =
        |&(name, key, bytes): &(&str, &str, u64)| (name.into(), Settings { key: key.into(), bytes });
    zones.iter().map(settings).collect()
}

fn zones(zones: &[(&str, &str, u64)]) -> Zones {
    Zones::new(&settings(zones), &Zones::default()).expect("zones")
}

fn claim(zone: &str, key: &str, connections: u16) -> Claim {
    Claim { zone: zone.into(), key: Secret::from(key.as_bytes()), connections }
}

fn full(zone: &str) -> NoPlace {
    NoPlace::Full(zone.into())
}

#[test]
fn there_are_as_many_places_as_are_said_and_they_can_be_had_again() {
    let zones = zones(&[("user", "$remote_user", SMALL)]);
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
    let zones = zones(&[("a", "$remote_addr", SMALL), ("u", "$remote_user", SMALL)]);
    let _fred = zones.admit(&[claim("u", "fred", 1)]).expect("a place");
    let both = [claim("a", "127.0.0.1", 1), claim("u", "fred", 1)];
    assert_eq!(zones.admit(&both).unwrap_err(), full("u"));
    assert_eq!(zones.zones["a"].used(), 0);
}

#[test]
fn a_zone_takes_so_many_keys_and_no_more_and_forgets_them_all() {
    let zones = zones(&[("user", "$remote_user", SMALL)]);
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
    let zones = zones(&[("user", "$remote_user", SMALL)]);
    for user in 0..20_000 {
        let place = zones.admit(&[claim("user", &format!("user{user}"), 1)]);
        drop(place.expect("those before have left"));
    }
    assert_eq!(zones.zones["user"].used(), 0);
}

#[test]
fn threads_never_let_in_one_too_many() {
    let zones = zones(&[("user", "$remote_user", SMALL)]);
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

#[test]
fn another_process_counts_until_it_is_known_to_be_gone() {
    let zones = zones(&[("user", "$remote_user", SMALL)]);
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
    let before = zones(&[("a", "$remote_addr", SMALL), ("u", "$remote_user", SMALL)]);
    let held = before.admit(&[claim("a", "127.0.0.1", 9), claim("u", "fred", 9)]).expect("places");
    let after = settings(&[("a", "$remote_addr", 2 * SMALL), ("u", "$remote_user", SMALL)]);
    let after = Zones::new(&after, &before).expect("zones");
    drop(before);
    assert_eq!(after.admit(&[claim("u", "fred", 1)]).unwrap_err(), full("u"));
    after.admit(&[claim("a", "127.0.0.1", 1)]).expect("of another size, it begins anew");
    drop(held);
    after.admit(&[claim("u", "fred", 1)]).expect("the session of before is over");
}

#[test]
fn a_reload_cannot_have_a_zone_count_by_something_else() {
    let before = zones(&[("a", "$remote_addr", SMALL)]);
    let error = Zones::new(&settings(&[("a", "$remote_user", SMALL)]), &before).expect_err("another key");
    let words = "limit_conn_zone \"a\" uses the \"$remote_user\" key while previously it used the \"$remote_addr\" key";
    assert_eq!(error.to_string(), words);
}
