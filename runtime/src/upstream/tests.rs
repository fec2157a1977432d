use std::collections::{BTreeMap, BTreeSet};

use gatepost_core::Seed;
use proptest::prelude::*;

use super::*;

const NOW: Instant = Instant::from_unix_millis(1_795_176_000_000);

fn member(text: &str) -> Member {
    let address: std::net::SocketAddr = text.parse().expect("an address");
    Member::new(Server { address: address.into(), name: None })
}

/// Servers 192.0.2.0 and so on.
fn members(weights: &[u32]) -> Vec<Member> {
    let weighted = |(at, &weight)| Member { weight, ..member(&format!("192.0.2.{at}:143")) };
    weights.iter().enumerate().map(weighted).collect()
}

fn group(rule: Rule, members: Vec<Member>) -> Arc<Upstream> {
    Arc::new(Upstream::new(&Settings { rule, members }))
}

fn die(number: u64) -> Die {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    Die::new(Seed(seed))
}

fn guest(number: u32) -> Guest {
    let login = format!("user{number}@example.com").into_bytes();
    Guest { address: Some(IpAddr::from((0x0a00_0000 + number * 251).to_be_bytes())), login: login.into() }
}

fn pick_for(group: &Arc<Upstream>, guest: &Guest, number: u64) -> Option<Lease> {
    group.pick(guest, &mut Tried::default(), NOW, &mut die(number))
}

/// The last octet of the address of whoever is chosen, for each of so many guests.
fn choices(group: &Arc<Upstream>, guests: u32) -> Vec<u8> {
    (0..guests)
        .map(|number| {
            let lease = pick_for(group, &guest(number), number.into()).expect("a server");
            match lease.server().address.ip() {
                Some(IpAddr::V4(address)) => address.octets()[3],
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

fn counted(choices: &[u8]) -> BTreeMap<u8, usize> {
    choices.iter().fold(BTreeMap::new(), |mut counts, &choice| {
        *counts.entry(choice).or_default() += 1;
        counts
    })
}

#[test]
fn weights_are_kept_within_a_hundredth_over_ten_thousand_choices() {
    let weights = [5, 1, 3, 1];
    for rule in [
        Rule::RoundRobin,
        Rule::LeastConn,
        Rule::IpHash,
        Rule::Random { two: false },
        Rule::Random { two: true },
        Rule::Hash { key: Key::Login, consistent: true },
        Rule::Hash { key: Key::Login, consistent: false },
        Rule::Hash { key: Key::Address, consistent: true },
        Rule::Hash { key: Key::Address, consistent: false },
    ] {
        let counts = counted(&choices(&group(rule, members(&weights)), 10_000));
        for (at, weight) in (0..).zip(weights) {
            let (share, wanted) = (counts[&at] as f64 / 10_000.0, f64::from(weight) / 10.0);
            // Hashes and dice are by chance: one part in a hundred of all.
            assert!((share - wanted).abs() <= 0.01, "{rule:?}: {at} has {share}, not {wanted}");
        }
    }
}

#[test]
fn weights_are_kept_by_sessions_that_last_too() {
    let weights = [5, 1, 3, 1];
    for rule in [Rule::RoundRobin, Rule::LeastConn, Rule::Random { two: true }] {
        let group = group(rule, members(&weights));
        let held: Vec<Lease> =
            (0..10_000).map(|number| pick_for(&group, &guest(0), number).expect("a server")).collect();
        for (peer, weight) in group.peers().all().iter().zip(weights) {
            let (share, wanted) = (f64::from(peer.sessions) / 10_000.0, f64::from(weight) / 10.0);
            assert!((share - wanted).abs() <= 0.01, "{rule:?}: {share}, not {wanted}");
        }
        drop(held);
    }
}

#[test]
fn turns_are_spread_evenly() {
    let order = choices(&group(Rule::RoundRobin, members(&[5, 1, 1])), 7);
    assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn of_two_drawn_the_one_with_fewer_sessions_is_taken() {
    let group = group(Rule::Random { two: true }, members(&[1, 1]));
    let mut held = Vec::new();
    for number in 0..100 {
        held.push(pick_for(&group, &guest(0), number).expect("a server"));
        let sessions: Vec<u32> = group.peers().all().iter().map(|peer| peer.sessions).collect();
        assert!(sessions[0].abs_diff(sessions[1]) <= 1, "{sessions:?}");
    }
}

#[test]
fn least_conn_counts_sessions_that_last() {
    let group = group(Rule::LeastConn, members(&[2, 1]));
    let held: Vec<Lease> =
        (0..9).map(|number| pick_for(&group, &guest(0), number).expect("a server")).collect();
    let sessions =
        |group: &Arc<Upstream>| group.peers().all().iter().map(|peer| peer.sessions).collect::<Vec<_>>();
    assert_eq!(sessions(&group), [6, 3]);
    drop(held);
    assert_eq!(sessions(&group), [0, 0]);
}

#[test]
fn a_consistent_hash_does_not_depend_on_the_order_of_servers() {
    let rule = Rule::Hash { key: Key::Login, consistent: true };
    let forth = members(&[1, 2, 3, 4]);
    let back: Vec<Member> = forth.iter().rev().cloned().collect();
    assert_eq!(choices(&group(rule, forth), 2000), choices(&group(rule, back), 2000));
}

#[test]
fn losing_one_server_of_a_consistent_hash_moves_its_users_alone() {
    let keys = [Key::Login, Key::Address].map(|key| Rule::Hash { key, consistent: true });
    for (rule, n) in keys.into_iter().flat_map(|rule| [2_u32, 3, 5, 10].map(|n| (rule, n))) {
        let all = members(&vec![1; n as usize]);
        let before = choices(&group(rule, all.clone()), 10_000);
        for gone in 0..n {
            let mut left = all.clone();
            left.remove(gone as usize);
            let after = choices(&group(rule, left), 10_000);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            assert!(
                moved as f64 <= 10_000.0 * (1.0 / f64::from(n) + 0.02),
                "{moved} of 10000 moved, n = {n}"
            );
            let others = before.iter().zip(&after).filter(|(before, _)| u32::from(**before) != gone);
            assert!(others.into_iter().all(|(before, after)| before == after), "somebody else's users moved");
        }
    }
}

/// nginx's answers for three servers of equal weight, as `ip_hash` of its http module gives them.
#[test]
fn ip_hash_looks_at_three_octets_as_nginx_does() {
    let group = group(Rule::IpHash, members(&[1, 1, 1]));
    let choice = |address: &str| {
        let guest = Guest { address: address.parse().ok(), ..Guest::default() };
        pick_for(&group, &guest, 0).expect("a server").server().address.clone()
    };
    assert_eq!(choice("192.0.2.1"), choice("192.0.2.254"));
    assert_eq!(choice("::ffff:192.0.2.1"), choice("192.0.2.254"));
    let networks = (0..=255).map(|net| choice(&format!("10.0.{net}.1")).to_string());
    assert_eq!(networks.collect::<BTreeSet<_>>().len(), 3);
    // 127.0.0.x: ((89·113 + 127) % 6271 = 3913; (3913·113) % 6271 = 3199; (3199·113) % 6271 = 4040; 4040 % 3 = 2.
    assert_eq!(choice("127.0.0.1").to_string(), "192.0.2.2:143");
}

#[test]
fn a_session_is_sent_to_each_server_once_and_to_backups_last() {
    let mut all = members(&[1, 1, 1, 1]);
    (all[1].backup, all[2].down) = (true, true);
    let group = group(Rule::RoundRobin, all);
    let (mut tried, mut chosen) = (Tried::default(), Vec::new());
    while let Some(lease) = group.pick(&guest(0), &mut tried, NOW, &mut die(0)) {
        chosen.push(lease.server().address.to_string());
    }
    assert_eq!(chosen, ["192.0.2.0:143", "192.0.2.3:143", "192.0.2.1:143"]);
}

#[test]
fn a_failed_server_is_left_alone_and_then_tried_by_one_session() {
    let group = group(Rule::RoundRobin, members(&[1, 1]));
    let mut failed = pick_for(&group, &guest(0), 0).expect("a server");
    failed.judge(Judgement::Failed, NOW);
    let address = failed.server().address.clone();
    drop(failed);
    let at = |millis: u64| Instant::from_unix_millis(NOW.unix_millis() + millis);
    let pick = |now| group.pick(&guest(0), &mut Tried::default(), now, &mut die(0)).expect("a server");
    for millis in [0, 1, 9_999] {
        assert_ne!(pick(at(millis)).server().address, address, "{millis} ms later");
    }
    let mut later: Vec<Lease> = (0..6).map(|_| pick(at(10_000))).collect();
    let mut trials: Vec<_> = later.iter_mut().filter(|lease| lease.server().address == address).collect();
    assert_eq!(trials.len(), 1, "one session tries it");
    trials[0].judge(Judgement::Sound, at(10_000));
    let both: Vec<Lease> = (0..6).map(|_| pick(at(10_000))).collect();
    assert_eq!(both.iter().filter(|lease| lease.server().address == address).count(), 3, "it is back");
}

#[test]
fn the_only_server_is_never_given_up() {
    let group = group(Rule::RoundRobin, members(&[1]));
    for _ in 0..3 {
        pick_for(&group, &guest(0), 0).expect("a server").judge(Judgement::Failed, NOW);
    }
    assert!(pick_for(&group, &guest(0), 0).is_some());
}

#[derive(Clone, Debug)]
enum Deed {
    Pick(u32),
    Judge(usize, bool),
    Leave(usize),
    Wait(u64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => any::<u32>().prop_map(|guest| Deed::Pick(guest % 1000)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(at, sound)| Deed::Judge(at, sound)),
        2 => any::<usize>().prop_map(Deed::Leave),
        1 => (0..15_000_u64).prop_map(Deed::Wait),
    ];
    prop::collection::vec(deed, 1..200)
}

fn rules() -> impl Strategy<Value = Rule> {
    prop_oneof![
        Just(Rule::RoundRobin),
        Just(Rule::LeastConn),
        Just(Rule::IpHash),
        any::<bool>().prop_map(|two| Rule::Random { two }),
        any::<bool>().prop_map(|consistent| Rule::Hash { key: Key::Login, consistent }),
    ]
}

fn some_members() -> impl Strategy<Value = Vec<Member>> {
    let one = (1..4_u32, 0..3_u32, 0..3_u32, prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    prop::collection::vec(one, 2..6).prop_map(|all| {
        let made = |(at, (weight, max_conns, max_fails, backup, down))| Member {
            weight,
            max_conns,
            max_fails,
            backup,
            down,
            ..member(&format!("192.0.2.{at}:143"))
        };
        all.into_iter().enumerate().map(made).collect()
    })
}

proptest! {
    /// What the group decides is held against what was told it, counted here by itself.
    #[test]
    fn nobody_is_sent_where_nobody_may_go(rule in rules(), all in some_members(), deeds in deeds()) {
        let group = group(rule, all.clone());
        let mut now = NOW;
        let mut held: Vec<Lease> = Vec::new();
        let mut failed: BTreeMap<usize, Vec<Instant>> = BTreeMap::new();
        for (number, deed) in (0..).zip(deeds) {
            match deed {
                Deed::Wait(millis) => now = now.after(Duration::from_millis(millis)),
                Deed::Leave(at) if !held.is_empty() => drop(held.swap_remove(at % held.len())),
                Deed::Judge(at, sound) if !held.is_empty() => {
                    let of = held.len();
                    let lease = &mut held[at % of];
                    let at = lease.place.id as usize;
                    match sound {
                        true => {
                            lease.judge(Judgement::Sound, now);
                            failed.remove(&at);
                        }
                        false => {
                            lease.judge(Judgement::Failed, now);
                            failed.entry(at).or_default().push(now);
                        }
                    }
                }
                Deed::Leave(_) | Deed::Judge(..) => {}
                Deed::Pick(number_of_guest) => {
                    let sessions = |at: usize| held.iter().filter(|lease| (lease.place.id as usize) == at).count();
                    let has_room = |at: usize| {
                        let most = all[at].max_conns as usize;
                        !all[at].down && (most == 0 || sessions(at) < most)
                    };
                    // Whoever did not fail within its time is fit beyond doubt.
                    let is_sound = |at: usize| {
                        has_room(at) && (all[at].max_fails == 0 || !failed.contains_key(&at))
                    };
                    let sound_primary = (0..all.len()).any(|at| !all[at].backup && is_sound(at));
                    let picked = group.pick(&guest(number_of_guest), &mut Tried::default(), now, &mut die(number));
                    let Some(lease) = picked else {
                        prop_assert!(!(0..all.len()).any(is_sound), "somebody was fit");
                        continue;
                    };
                    let at = lease.place.id as usize;
                    prop_assert!(has_room(at), "down or full: {:?}", all[at]);
                    prop_assert!(!(all[at].backup && sound_primary), "a backup while a primary is fit");
                    // `max_fails` of them, the last within `fail_timeout`: it is down for sure.
                    let most = all[at].max_fails as usize;
                    let fails = failed.get(&at).map_or(&[][..], Vec::as_slice);
                    let burst = most > 0 && fails.len() >= most && fails[fails.len() - most..]
                        .iter().all(|then| *then == now);
                    prop_assert!(!burst, "down since this very moment: {:?}", all[at]);
                    held.push(lease);
                }
            }
        }
        // However it went: when all have left, `fail_timeout` later everybody is asked again.
        drop(held);
        let later = now.after(Duration::from_secs(10));
        let mut tried = Tried::default();
        let mut asked = BTreeSet::new();
        while let Some(lease) = group.pick(&guest(0), &mut tried, later, &mut die(0)) {
            asked.insert(lease.place.id as usize);
        }
        let wanted: BTreeSet<usize> = (0..all.len()).filter(|&at| !all[at].down).collect();
        prop_assert_eq!(asked, wanted);
    }
}
