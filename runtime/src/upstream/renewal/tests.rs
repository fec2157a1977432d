use std::net::Ipv4Addr;
use std::rc::Rc;

use gatepost_core::{Address, Guest, Instant, Judgement, Seed, Server};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::Instant as Moment;

use super::*;
use crate::upstream::{Die, Lease, Member, Name, Rule, Settings, Tried};

const NOW: Instant = Instant::from_unix_millis(1_795_176_000_000);

/// What a DNS server says.
type Answer = Result<Current, ResolveError>;

/// A DNS server, asked for IPv4 and for IPv6.
#[derive(Clone)]
struct Zone(Rc<RefCell<[OfFamily; 2]>>);

/// What it answers, if it does, and when it was asked.
struct OfFamily {
    answer: Option<Answer>,
    asked: Vec<Moment>,
}

impl Zone {
    /// Nobody knows anything.
    fn new() -> Self {
        let nothing = |_| OfFamily { answer: Some(Err(ResolveError::NotFound)), asked: Vec::new() };
        Self(Rc::new(RefCell::new([Family::V4, Family::V6].map(nothing))))
    }

    fn says(&self, family: Family, answer: Result<(&[&str], u64), ResolveError>) {
        let current = |(addresses, seconds): (&[&str], u64)| Current {
            addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
            holds: Duration::from_secs(seconds),
        };
        self.0.borrow_mut()[index(family)].answer = Some(answer.map(current));
    }

    fn is_silent(&self, family: Family) {
        self.0.borrow_mut()[index(family)].answer = None;
    }

    /// When it was asked, in seconds.
    fn asked(&self, family: Family, begun: Moment) -> Vec<u64> {
        self.0.borrow()[index(family)].asked.iter().map(|at| at.duration_since(begun).as_secs()).collect()
    }

    async fn answer(self, family: Family) -> Answer {
        let answer = {
            let mut zone = self.0.borrow_mut();
            zone[index(family)].asked.push(Moment::now());
            zone[index(family)].answer.clone()
        };
        match answer {
            Some(answer) => answer,
            None => pending().await,
        }
    }
}

fn index(family: Family) -> usize {
    usize::from(family == Family::V6)
}

fn name(addresses: &[&str], ipv6: bool) -> Name {
    let servers = vec!["192.0.2.53:53".parse().expect("an address")];
    Name {
        host: "mail.example".into(),
        port: 143,
        model: Member {
            max_fails: 1,
            ..Member::new(Server { address: Address::Unix("".into()), name: None })
        },
        before: 1,
        addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
        resolver: resolve::Settings { servers, valid: None, ipv4: true, ipv6 },
        timeout: Duration::from_secs(30),
    }
}

/// A group of a server, a name, and another server.
fn group(name: Name) -> Arc<Upstream> {
    let fixed = |last: u8| {
        let address = Address::from(std::net::SocketAddr::from((Ipv4Addr::new(198, 51, 100, last), 143)));
        Member::new(Server { address, name: None })
    };
    let settings = Settings { rule: Rule::RoundRobin, members: vec![fixed(1), fixed(2)] };
    Arc::new(Upstream::with_names(&settings, vec![name]))
}

/// The renewal of these groups at work, and what it tells the log.
fn begin(groups: &[&Arc<Upstream>], zone: &Zone) -> (JoinHandle<Infallible>, Rc<RefCell<Vec<String>>>) {
    let log = Rc::new(RefCell::new(Vec::new()));
    let by_name =
        |upstream: &&Arc<Upstream>| Arc::new(Upstreams::from([("backends".into(), Arc::clone(*upstream))]));
    let groups: Vec<_> = groups.iter().map(by_name).collect();
    let mut renewals = Renewal::of(&groups);
    assert_eq!(renewals.len(), 1, "a name is asked for once");
    let (zone, told) = (zone.clone(), log.clone());
    let ask = move |host: Arc<str>, family| {
        assert_eq!(&*host, "mail.example");
        zone.clone().answer(family)
    };
    let tell = move |level: Level, line| told.borrow_mut().push(format!("{} {line}", level.name()));
    (spawn_local(renewals.remove(0).run(ask, tell)), log)
}

fn pick_at(upstream: &Arc<Upstream>, tried: &mut Tried, now: Instant) -> Option<Lease> {
    upstream.pick(&Guest::default(), tried, now, &mut Die::new(Seed([0; 16])))
}

/// All servers, in their order.
fn servers(upstream: &Arc<Upstream>) -> Vec<String> {
    let mut tried = Tried::default();
    let mut all = Vec::new();
    while let Some(lease) = pick_at(upstream, &mut tried, NOW) {
        all.push(lease.server().address.to_string());
    }
    all.sort();
    all.retain(|address| !address.starts_with("198.51.100."));
    all
}

fn tell<F: Future>(story: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, story)
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_millis(seconds * 1000 + 10)).await;
}

#[test]
fn a_name_is_asked_for_again_when_its_answer_has_run_out() {
    tell(async {
        let (zone, upstream) = (Zone::new(), group(name(&["192.0.2.1"], true)));
        zone.says(Family::V4, Ok((&["192.0.2.2", "192.0.2.1"], 20)));
        assert_eq!(servers(&upstream), ["192.0.2.1:143"]);
        let begun = Moment::now();
        let (_running, log) = begin(&[&upstream], &zone);
        seconds(0).await;
        assert_eq!(servers(&upstream), ["192.0.2.1:143", "192.0.2.2:143"]);
        zone.says(Family::V4, Ok((&["192.0.2.3"], 0)));
        zone.says(Family::V6, Ok((&["2001:db8::1"], 1_000_000)));
        seconds(19).await;
        assert_eq!(servers(&upstream), ["192.0.2.1:143", "192.0.2.2:143"]);
        seconds(1).await;
        assert_eq!(servers(&upstream), ["192.0.2.3:143"]);
        seconds(40).await;
        assert_eq!(servers(&upstream), ["192.0.2.3:143", "[2001:db8::1]:143"]);
        seconds(24 * 60 * 60 - 30).await;
        assert_eq!(zone.asked(Family::V6, begun), [0, 60], "there was none");
        seconds(60).await;
        assert_eq!(
            zone.asked(Family::V6, begun),
            [0, 60, 60 + 24 * 60 * 60],
            "nothing holds for longer than a day"
        );
        // A time to live of 0 is one second.
        let asked = zone.asked(Family::V4, begun);
        assert_eq!(asked[..4], [0, 20, 21, 22]);
        let log = log.borrow();
        let is_now =
            |addresses| format!("notice \"mail.example\" is now {addresses} in upstream \"backends\"");
        let wanted = ["192.0.2.2, 192.0.2.1", "192.0.2.3", "192.0.2.3, 2001:db8::1"].map(is_now);
        assert_eq!(*log, wanted);
    });
}

#[test]
fn a_lookup_that_fails_leaves_the_servers_as_they_are() {
    tell(async {
        let (zone, upstream) = (Zone::new(), group(name(&["192.0.2.1", "2001:db8::1"], true)));
        zone.says(Family::V4, Err(ResolveError::Server));
        zone.says(Family::V6, Ok((&["2001:db8::1"], 1000)));
        let begun = Moment::now();
        let (_running, log) = begin(&[&upstream], &zone);
        seconds(100).await;
        assert_eq!(servers(&upstream), ["192.0.2.1:143", "[2001:db8::1]:143"]);
        assert_eq!(zone.asked(Family::V4, begun), [0, 1, 3, 7, 15, 31, 61, 91]);
        // Of IPv4 there is none: that is an answer. Then there is nothing at all, which is none.
        zone.says(Family::V4, Err(ResolveError::NotFound));
        seconds(30).await;
        assert_eq!(servers(&upstream), ["[2001:db8::1]:143"]);
        zone.says(Family::V6, Err(ResolveError::NotFound));
        seconds(2000).await;
        assert_eq!(servers(&upstream), ["[2001:db8::1]:143"]);
        zone.says(Family::V4, Ok((&["192.0.2.9"], 60)));
        seconds(60).await;
        assert_eq!(servers(&upstream), ["192.0.2.9:143"]);
        let wanted = [
            r#"error "mail.example" could not be resolved (2: Server failure) while renewing upstream "backends""#,
            r#"notice "mail.example" is now 2001:db8::1 in upstream "backends""#,
            r#"error "mail.example" could not be resolved (3: Host not found) while renewing upstream "backends""#,
            r#"notice "mail.example" is now 192.0.2.9 in upstream "backends""#,
        ];
        assert_eq!(*log.borrow(), wanted);
    });
}

#[test]
fn a_silent_family_holds_up_neither_the_other_nor_anybody_else() {
    tell(async {
        let (zone, upstream) = (Zone::new(), group(name(&[], true)));
        zone.is_silent(Family::V6);
        zone.says(Family::V4, Err(ResolveError::NotFound));
        let begun = Moment::now();
        let (_running, log) = begin(&[&upstream], &zone);
        seconds(1).await;
        assert_eq!(*log.borrow(), [""; 0], "of IPv6 there may be some");
        zone.says(Family::V4, Ok((&["192.0.2.1"], 60)));
        seconds(2).await;
        assert_eq!(servers(&upstream), ["192.0.2.1:143"]);
        seconds(60).await;
        assert_eq!(zone.asked(Family::V6, begun), [0, 31, 63]);
        let line = r#"error "mail.example" could not be resolved (110: Operation timed out) while renewing upstream "backends""#;
        assert_eq!(log.borrow().iter().filter(|told| *told == line).count(), 1, "{:?}", log.borrow());
    });
}

#[test]
fn a_family_that_nobody_wants_is_not_asked_for() {
    tell(async {
        let (zone, upstream) = (Zone::new(), group(name(&[], false)));
        zone.says(Family::V4, Ok((&["192.0.2.1"], 60)));
        let begun = Moment::now();
        let (_running, log) = begin(&[&upstream], &zone);
        seconds(100).await;
        assert_eq!(zone.asked(Family::V6, begun), [0; 0]);
        assert_eq!(zone.asked(Family::V4, begun), [0, 60]);
        zone.says(Family::V4, Err(ResolveError::NotFound));
        seconds(60).await;
        assert_eq!(log.borrow().len(), 2, "{:?}", log.borrow());
        assert!(log.borrow()[1].contains("(3: Host not found)"), "{:?}", log.borrow());
    });
}

#[test]
fn what_is_known_of_a_server_that_stays_is_kept_and_no_session_is_touched() {
    tell(async {
        let (zone, upstream) = (Zone::new(), group(name(&["192.0.2.1", "192.0.2.2"], true)));
        let of = |address: &str| {
            let mut tried = Tried::default();
            std::iter::from_fn(|| pick_at(&upstream, &mut tried, NOW))
                .find(|lease| lease.server().address.to_string() == address)
        };
        of("192.0.2.1:143").expect("a server").judge(Judgement::Failed, NOW);
        let (mut staying, mut going) = (of("192.0.2.2:143").expect("a server"), Some(of("198.51.100.2:143")));
        zone.says(Family::V4, Ok((&["192.0.2.0", "192.0.2.1", "192.0.2.3"], 10)));
        let (_running, _) = begin(&[&upstream], &zone);
        seconds(1).await;
        assert_eq!(servers(&upstream), ["192.0.2.0:143", "192.0.2.3:143"], "one is down, another is gone");
        let later = NOW.after(Duration::from_secs(10));
        let mut tried = Tried::default();
        let all: Vec<_> = std::iter::from_fn(|| pick_at(&upstream, &mut tried, later)).collect();
        assert_eq!(all.len(), 5, "the one that was down is tried");
        drop(all);
        // Whoever is with a server that is gone stays there, and what it finds out concerns nobody else.
        staying.judge(Judgement::Failed, NOW);
        assert_eq!(staying.server().address.to_string(), "192.0.2.2:143");
        drop((staying, going.take()));
        // It comes back as one of whom nothing is known.
        zone.says(Family::V4, Ok((&["192.0.2.2", "192.0.2.1"], 10)));
        seconds(10).await;
        assert_eq!(servers(&upstream).first().map(String::as_str), Some("192.0.2.1:143"));
        assert_eq!(servers(&upstream).len(), 2);
    });
}

#[test]
fn groups_that_have_the_same_name_share_its_answers() {
    tell(async {
        let (zone, one) = (Zone::new(), group(name(&[], true)));
        let other = group(Name { port: 110, ..name(&[], true) });
        zone.says(Family::V4, Ok((&["192.0.2.1"], 10)));
        let begun = Moment::now();
        let (running, log) = begin(&[&one, &other, &one], &zone);
        seconds(1).await;
        assert_eq!(
            (servers(&one), servers(&other)),
            (vec!["192.0.2.1:143".into()], vec!["192.0.2.1:110".into()])
        );
        seconds(19).await;
        assert_eq!(zone.asked(Family::V4, begun), [0, 10, 20]);
        assert_eq!(log.borrow().len(), 1, "{:?}", log.borrow());
        running.abort();
        seconds(60).await;
        assert_eq!(zone.asked(Family::V4, begun), [0, 10, 20], "it ends when it is told to");
    });
}

/// Under TLS a group goes by another name here, and for each protocol it is another; but it was written once.
#[test]
fn the_log_names_each_group_once_and_as_it_was_written() {
    let made = || group(name(&[], true));
    let groups =
        |names: &[&str]| Arc::new(names.iter().map(|&name| (name.into(), made())).collect::<Upstreams>());
    let groups = [groups(&["https://auths", "auths", "backends"]), groups(&["auths", "backends"])];
    let renewals = Renewal::of(&groups);
    let [renewal] = renewals.as_slice() else { panic!("a name is asked for once") };
    let log = RefCell::new(Vec::new());
    let tell = |level: Level, line| log.borrow_mut().push(format!("{} {line}", level.name()));
    let answer =
        Current { addresses: vec![Ipv4Addr::new(192, 0, 2, 1).into()], holds: Duration::from_secs(60) };
    renewal.learn(Family::V4, Ok(answer), &tell);
    renewal.learn(Family::V4, Err(ResolveError::Server), &tell);
    let wanted = [
        r#"notice "mail.example" is now 192.0.2.1 in upstream "auths", upstream "backends""#,
        r#"error "mail.example" could not be resolved (2: Server failure) while renewing upstream "auths", upstream "backends""#,
    ];
    assert_eq!(*log.borrow(), wanted);
}

#[test]
fn a_name_counts_for_two_servers_at_least() {
    for (addresses, servers) in
        [(&[][..], 4), (&["192.0.2.1"], 4), (&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 5)]
    {
        assert_eq!(group(name(addresses, true)).servers(), servers);
    }
}
