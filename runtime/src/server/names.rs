//! The names of groups that are looked up again (`server … resolve`): one thread does that for all, until its process ends.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Shared;
use crate::resolve::Resolver;
use crate::upstream::Renewal;

/// Begins to look them up, on the calling thread, in tasks that do not end by themselves. To drop them ends them.
///
/// # Errors
///
/// Those of [`Resolver::new`].
pub(super) fn renew(shared: &Arc<Shared>) -> io::Result<JoinSet<()>> {
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
        let ask = move |host, family| resolver.clone().current(host, family);
        let renewing = renewal.run(ask, move |level, line| log.line(level, None, line));
        tasks.spawn_local(async move { match renewing.await {} });
    }
    Ok(tasks)
}
