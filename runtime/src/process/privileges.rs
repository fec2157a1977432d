//! What a worker gives up before it hears anything from anybody.

use std::io;

use gatepost_core::report::Level;
use nix::unistd::{initgroups, setresgid, setresuid};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setpriority_process, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

use super::raw;
use crate::config::{Process, User};
use crate::observe::Log;

/// What a worker cannot go on without.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed: {source}")]
pub(super) struct Refused {
    call: String,
    source: io::Error,
}

fn refused(call: impl Into<String>) -> impl FnOnce(io::Error) -> Refused {
    move |source| Refused { call: call.into(), source }
}

/// Has as many descriptors allowed as it takes to serve all whom `worker_connections` lets in, or as many as the system
/// lets it have: what nginx spreads over its processes, each with a limit of its own, is one process here. Says so in
/// `log` if they do not suffice.
pub(super) fn have_descriptors(process: &Process, wanted: usize, log: &Log) {
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    match process.descriptors {
        Some(descriptors) => {
            if let Err(error) = setrlimit(Resource::Nofile, both(descriptors)) {
                let call = format!("setrlimit(RLIMIT_NOFILE, {descriptors})");
                log.system(Level::Alert, &call, &error.into(), "");
            }
        }
        None => {
            let limit = getrlimit(Resource::Nofile);
            let possible = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
            if limit.current.is_some_and(|current| current < possible) {
                // Within the hard limit it is anybody's right.
                let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), ..limit });
            }
        }
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < wanted) {
        let connections = process.connections;
        let message =
            format_args!("{connections} worker_connections exceed open file resource limit: {limit}");
        log.line(Level::Warn, None, message);
    }
}

/// Sets limits and priority as `process` says, becomes its user, forgets every capability and the environment.
///
/// Limits and a priority that the system does not grant are said in `log`, as nginx does, and not waited for. The order is
/// the only possible one: what needs root comes first.
///
/// # Errors
///
/// It could not become whom it should be, or could not give up what it should: better no worker than one with the
/// rights of its master.
pub(super) fn give_up(process: &Process, log: &Log) -> Result<(), Refused> {
    let grumble = |call: &str, granted: rustix::io::Result<()>| {
        if let Err(error) = granted {
            log.system(Level::Alert, call, &error.into(), "");
        }
    };
    // Passwords and keys are in the memory that a core file would hold, so there is one only where it was asked for.
    let core_bytes = process.core_bytes.unwrap_or(0);
    grumble(&format!("setrlimit(RLIMIT_CORE, {core_bytes})"), setrlimit(Resource::Core, both(core_bytes)));
    if let Some(priority) = process.priority {
        grumble(&format!("setpriority({priority})"), setpriority_process(None, priority));
    }
    forget_bounding_set().map_err(|error| refused("prctl(PR_CAPBSET_DROP)")(error.into()))?;
    if let Some(user) = &process.user {
        become_user(user)?;
    }
    clear_ambient_capability_set()
        .map_err(|error| refused("prctl(PR_CAP_AMBIENT_CLEAR_ALL)")(error.into()))?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, none).map_err(|error| refused("capset()")(error.into()))?;
    set_no_new_privs(true).map_err(|error| refused("prctl(PR_SET_NO_NEW_PRIVS)")(error.into()))?;
    // Nor may another process of the same user look into this one's memory.
    let dumpable = match process.core_bytes {
        Some(_) => DumpableBehavior::Dumpable,
        None => DumpableBehavior::NotDumpable,
    };
    set_dumpable_behavior(dumpable).map_err(|error| refused("prctl(PR_SET_DUMPABLE)")(error.into()))?;
    if let Some(directory) = &process.directory {
        let call = format!("chdir(\"{}\")", directory.display());
        rustix::process::chdir(directory).map_err(|error| refused(call)(error.into()))?;
    }
    // Whoever is in the worker should not find there what the master was started with.
    let mut environment = process.environment.clone();
    environment.push(("TZ".into(), None));
    raw::set_environment(&environment).map_err(refused("setenv()"))
}

fn both(limit: u64) -> Rlimit {
    Rlimit { current: Some(limit), maximum: Some(limit) }
}

/// Real, effective and saved ids alike: nothing to come back to.
fn become_user(user: &User) -> Result<(), Refused> {
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let name = user.name.to_string_lossy();
    let (nix_uid, nix_gid) = (nix::unistd::Uid::from_raw(uid), nix::unistd::Gid::from_raw(gid));
    setresgid(nix_gid, nix_gid, nix_gid).map_err(|error| refused(format!("setgid({gid})"))(error.into()))?;
    initgroups(&user.name, nix_gid)
        .map_err(|error| refused(format!("initgroups({name}, {gid})"))(error.into()))?;
    setresuid(nix_uid, nix_uid, nix_uid).map_err(|error| refused(format!("setuid({uid})"))(error.into()))
}

/// Without the right to do so (CAP_SETPCAP) there are no capabilities worth the name, and `PR_SET_NO_NEW_PRIVS` keeps
/// it at that.
fn forget_bounding_set() -> rustix::io::Result<()> {
    for (_, capability) in CapabilitySet::all().iter_names() {
        match remove_capability_from_bounding_set(capability) {
            // A kernel that does not know it; the right is missing.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(Errno::PERM) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
