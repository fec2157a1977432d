//! The names of groups that are looked up again (`server … resolve`): one thread does that for all, until its process ends.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Shared;
use crate::resolve::Resolver;
use crate::upstream::Renewal;

/// Begins to look them up, on the calling thread. To drop the tasks ends them.
///
/// # Errors
///
/// Those of [`Resolver::new`].
pub(super) fn renew(shared: &Arc<Shared>) -> io::Result<JoinSet<Infallible>> {
    let (mut tasks, mut resolvers) = (JoinSet::new(), BTreeMap::<_, Resolver>::new());
    let groups = shared.doors.iter().flat_map(|door| [&door.upstreams, &door.auth_upstreams]);
    for renewal in Renewal::of(groups) {
        let resolver = match resolvers.get(renewal.resolver()) {
            Some(made) => made.clone(),
            None => {
                let made = Resolver::new(renewal.resolver())?;
                resolvers.insert(renewal.resolver().clone(), made.clone());
                made
            }
        };
        let log = shared.log.clone();
        tasks.spawn_local(renewal.run(
            move |host, family| resolver.clone().current(host, family),
            move |level, line| log.line(level, None, line),
        ));
    }
    Ok(tasks)
}
