//! The system's resolver, for names of backends where no `resolver` is set: asked off the event loop, once for all who want to know.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatepost_core::ResolveError;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long what it says holds, for it does not tell for how long it may be kept: long enough that a wave of logins asks once, short enough
/// that a name that moves is followed soon.
const FOUND: Duration = Duration::from_secs(10);

/// How long it holds that there is nothing: its reason may have been a moment's.
const NOT_FOUND: Duration = Duration::from_secs(1);

/// How many names are remembered, and how many it may be working at. Each of those holds a thread, or waits for one.
const NAMES_MAX: usize = 1024;

/// What is known of a name.
type Found = Result<Arc<[IpAddr]>, ResolveError>;

/// Asks the system's resolver and remembers for a moment what it says. Whoever wants to know what is being asked waits for the same
/// answer, which is remembered also if none of them has the patience. Belongs to the runtime that it is used in.
#[derive(Clone, Debug, Default)]
pub(crate) struct System {
    names: Arc<Mutex<BTreeMap<Arc<str>, Asked>>>,
}

/// A name that was asked for: nothing until there is an answer, and then until when it holds.
type Asked = watch::Receiver<Option<(Found, Instant)>>;

impl System {
    /// The addresses of a name, of both families.
    pub(crate) async fn addresses_of(self, name: Arc<str>) -> Found {
        self.by(name, look_up).await
    }

    /// The same with another resolver than the system's.
    async fn by<F>(&self, name: Arc<str>, look_up: impl FnOnce(Arc<str>) -> F) -> Found
    where
        F: Future<Output = Found> + Send + 'static,
    {
        let Some(mut asked) = self.asked(name, look_up) else { return Err(ResolveError::Server) };
        let answer = asked.wait_for(Option::is_some).await;
        let answer = answer.ok().and_then(|answer| Some(answer.as_ref()?.0.clone()));
        // The runtime is ending.
        answer.unwrap_or(Err(ResolveError::Server))
    }

    /// Where the answer will be, or is and holds; none if there is too much to do already.
    fn asked<F>(&self, name: Arc<str>, look_up: impl FnOnce(Arc<str>) -> F) -> Option<Asked>
    where
        F: Future<Output = Found> + Send + 'static,
    {
        let mut names = self.names();
        let now = Instant::now();
        if let Some(asked) = names.get(&name).filter(|asked| holds(asked, now)) {
            return Some(asked.clone());
        }
        if names.len() >= NAMES_MAX {
            names.retain(|_, asked| holds(asked, now));
        }
        if names.len() >= NAMES_MAX {
            let answered = |asked: &Asked| asked.borrow().as_ref().map(|&(_, until)| until);
            let oldest = names.iter().filter_map(|(name, asked)| Some((answered(asked)?, name))).min();
            let oldest = oldest.map(|(_, name)| name.clone());
            names.remove(&oldest?);
        }
        let (tell, asked) = watch::channel(None);
        names.insert(name.clone(), asked.clone());
        let found = look_up(name);
        tokio::spawn(async move {
            let found = found.await;
            let until = Instant::now() + if found.is_ok() { FOUND } else { NOT_FOUND };
            tell.send_replace(Some((found, until)));
        });
        Some(asked)
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Asked>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is anything to wait for, or to know.
fn holds(asked: &Asked, now: Instant) -> bool {
    match &*asked.borrow() {
        Some((_, until)) => now < *until,
        None => asked.has_changed().is_ok(),
    }
}

async fn look_up(name: Arc<str>) -> Found {
    // It does not tell in numbers why it found nothing.
    let found = lookup_host((&*name, 0)).await.map_err(|_| ResolveError::NotFound)?;
    let found: Arc<[IpAddr]> = found.map(|address| address.ip()).collect();
    Some(found).filter(|found| !found.is_empty()).ok_or(ResolveError::NotFound)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use tokio::time::{advance, sleep, timeout};

    use super::*;

    /// The system with a resolver that takes a second to say something else each time, and knows no name that begins with `no`.
    #[derive(Clone, Default)]
    struct Slow {
        system: System,
        asked: Arc<AtomicU8>,
    }

    impl Slow {
        async fn addresses_of(&self, name: &str) -> Found {
            let count = self.asked.clone();
            let look_up = |name: Arc<str>| async move {
                sleep(Duration::from_secs(1)).await;
                let count = count.fetch_add(1, Ordering::Relaxed);
                let found = || Arc::from([IpAddr::from([127, 0, 0, count])]);
                (!name.starts_with("no")).then(found).ok_or(ResolveError::NotFound)
            };
            self.system.by(name.into(), look_up).await
        }

        async fn last_octet(&self, name: &str) -> Option<u8> {
            match self.addresses_of(name).await.ok()?.first() {
                Some(IpAddr::V4(address)) => Some(address.octets()[3]),
                _ => None,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_for_the_same_name_waits_for_the_same_answer() {
        let system = Slow::default();
        let begun = Instant::now();
        let all = tokio::join!(
            system.last_octet("coalesce"),
            system.last_octet("coalesce"),
            system.last_octet("coalesce")
        );
        assert_eq!(all, (Some(0), Some(0), Some(0)));
        assert_eq!(begun.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_moment() {
        let system = Slow::default();
        for (wait, wanted) in [(0, 0), (9, 0), (1, 1), (10, 2)] {
            advance(Duration::from_secs(wait)).await;
            assert_eq!(system.last_octet("hold").await, Some(wanted), "{wait}");
        }
        // That there is none holds for a second.
        for (wait, seconds) in [(0, 1), (0, 0), (1, 1)] {
            advance(Duration::from_secs(wait)).await;
            let begun = Instant::now();
            assert_eq!(system.last_octet("none").await, None);
            assert_eq!(begun.elapsed().as_secs(), seconds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_waited_for_is_remembered() {
        let system = Slow::default();
        timeout(Duration::from_millis(1), system.last_octet("patient")).await.expect_err("no answer yet");
        advance(Duration::from_secs(2)).await;
        sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        assert_eq!(system.last_octet("patient").await, Some(0));
        assert_eq!(begun.elapsed().as_millis(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_names_are_remembered_than_there_is_room_for() {
        let system = Slow::default();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..NAMES_MAX {
            let system = system.clone();
            tasks.spawn(async move { system.addresses_of(&format!("{number}.room")).await });
        }
        sleep(Duration::from_millis(1)).await;
        assert_eq!(system.addresses_of("one.more.room").await, Err(ResolveError::Server));
        while let Some(found) = tasks.join_next().await {
            found.expect("no panic").expect("an address");
        }
        // One that was answered makes place.
        assert!(system.addresses_of("one.more.room").await.is_ok());
        assert_eq!(system.system.names().len(), NAMES_MAX);
        advance(FOUND).await;
        assert!(system.addresses_of("another.room").await.is_ok());
        assert_eq!(system.system.names().len(), 1);
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = System::default().addresses_of("localhost".into()).await.expect("addresses");
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
        let unknown = System::default().addresses_of("gatepost.invalid".into()).await;
        assert_eq!(unknown, Err(ResolveError::NotFound));
    }
}
