//! What is said about processes.

use std::path::Path;

use rustix::process::{Gid, Uid};

use super::*;
use crate::config::{Affinity, User};

/// What `text` comes to for root on a machine with two users.
fn as_root(text: &str) -> (crate::config::Process, Vec<String>) {
    let machine = machine().root().user("nobody", 65534).user("mail", 8);
    match load_on(machine, &format!("{text} mail {{}}")) {
        Ok(Loaded { config, warnings, .. }) => (config.process, first_lines(&warnings)),
        Err(told) => panic!("{text}\n{}", all_lines(&told)),
    }
}

fn refused(text: &str) -> String {
    let machine = machine().root().user("nobody", 65534).user("mail", 8);
    match load_on(machine, &format!("{text} mail {{}}")) {
        Ok(_) => panic!("{text}\nis taken"),
        Err(told) => first_lines(&told).join("; "),
    }
}

fn user(name: &str, uid: u32, gid: u32) -> Option<User> {
    let name = std::ffi::CString::new(name).unwrap();
    Some(User { name, uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) })
}

const AT: &str = "in /etc/nginx/nginx.conf:1";

#[test]
fn the_worker_is_whom_the_file_names_or_nobody() {
    assert_eq!(as_root("").0.user, user("nobody", 65534, 65534));
    assert_eq!(as_root("user mail;").0.user, user("mail", 8, 8));
    assert_eq!(as_root("user mail nobody;").0.user, user("mail", 8, 65534));
    assert_eq!(refused("user joe;"), format!("[emerg] getpwnam(\"joe\") failed {AT}"));
    assert_eq!(refused("user mail joe;"), format!("[emerg] getgrnam(\"joe\") failed {AT}"));
    let (process, told) = as_root("user mail; master_process off;");
    assert_eq!(process.user, None);
    assert_eq!(
        told,
        [format!(
            "[warn] the \"user\" directive has no effect with \"master_process off\": there is no worker {AT}"
        )]
    );
}

#[test]
fn who_is_not_root_cannot_choose() {
    let (config, told) = fit("user www-data; mail {}");
    assert_eq!(config.process.user, None);
    let words = "the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored";
    assert_eq!(told, [format!("[warn] {words} {AT}")]);
    assert_eq!(fit("mail {}").0.process.user, None);
}

#[test]
fn a_root_without_nobody_has_to_say_who_the_worker_is() {
    let told = load_on(machine().root(), "mail {}").map(drop).unwrap_err();
    assert_eq!(first_lines(&told), ["[emerg] getpwnam(\"nobody\") failed"]);
    assert!(all_lines(&told).contains("hint: say by `user` who the worker is to be"), "{}", all_lines(&told));
}

#[test]
fn limits_and_places_are_what_they_say() {
    let (process, told) = as_root(
        "daemon off; worker_rlimit_nofile 65536; worker_shutdown_timeout 1m30s; worker_priority -5; \
         working_directory run; env TZ; env A=; env B=c=d; worker_processes 2; worker_cpu_affinity 0101 '11 11';",
    );
    assert_eq!(told, [""; 0]);
    assert!(!process.daemon && process.master);
    assert_eq!((process.connections, process.descriptors, process.core_bytes), (512, Some(65536), None));
    assert_eq!(process.shutdown_timeout.map(|timeout| timeout.as_secs()), Some(90));
    assert_eq!(process.priority, Some(-5));
    assert_eq!(process.directory.as_deref(), Some(Path::new("/etc/nginx/run")));
    let environment = [("TZ", None), ("A", Some("")), ("B", Some("c=d"))];
    assert_eq!(process.environment, environment.map(|(name, value)| (name.into(), value.map(Into::into))));
    let Affinity::Masks(masks) = process.affinity else { panic!("masks were given") };
    let cpus = |at: usize| (0..8).filter(|&cpu| masks[at].is_set(cpu)).collect::<Vec<_>>();
    assert_eq!((cpus(0), cpus(1)), (vec![0, 2], vec![0, 1, 2, 3]));
    let (process, told) = as_root("worker_rlimit_core 1g;");
    assert_eq!(process.core_bytes, Some(1 << 30));
    assert_eq!(told, [format!("[warn] core files of the worker will hold passwords and keys {AT}")]);
}

#[test]
fn wrong_values_are_refused_in_nginx_s_words() {
    for (text, words) in [
        ("worker_priority x;", "\"worker_priority\" directive invalid number"),
        ("worker_priority --1;", "\"worker_priority\" directive invalid number"),
        ("worker_rlimit_nofile 1k;", "\"worker_rlimit_nofile\" directive invalid number"),
        ("worker_rlimit_core x;", "\"worker_rlimit_core\" directive invalid value"),
        ("worker_shutdown_timeout x;", "\"worker_shutdown_timeout\" directive invalid value"),
        ("worker_cpu_affinity 012;", "invalid character \"2\" in \"worker_cpu_affinity\""),
        ("worker_cpu_affinity auto 1 1;", "invalid number of arguments in \"worker_cpu_affinity\" directive"),
        ("env =x;", "\"env\" directive invalid value"),
        ("events { worker_connections x; }", "invalid number \"x\""),
    ] {
        assert_eq!(refused(text), format!("[emerg] {words} {AT}"), "{text}");
    }
    let many = format!("worker_cpu_affinity {};", "1".repeat(1025));
    assert_eq!(refused(&many), format!("[emerg] \"worker_cpu_affinity\" supports up to 1024 CPUs only {AT}"));
    let words = "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, using \
                 last mask for remaining worker processes";
    assert_eq!(as_root("worker_cpu_affinity 1 10;").1, [format!("[warn] {words} {AT}")]);
}
