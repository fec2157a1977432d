//! Too many connections: who is turned away, and how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Pid;

use crate::served::{Said, Served, eventually};

/// What each of many clients hears first.
fn greeted(served: &Served, clients: usize) -> (Vec<TcpStream>, usize) {
    let clients: Vec<_> = (0..clients).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    let (mut kept, mut refused) = (Vec::new(), 0);
    for mut client in clients {
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut heard = [0; 64];
        match client.read(&mut heard) {
            Ok(count) if heard[..count].starts_with(b"+OK POP3 ready") => kept.push(client),
            Ok(count) => {
                assert_eq!(std::str::from_utf8(&heard[..count]).unwrap(), "-ERR too many connections\r\n");
                // And then it is over.
                assert_eq!(client.read(&mut heard).unwrap_or(0), 0);
                refused += 1;
            }
            Err(error) => panic!("neither a greeting nor a refusal: {error}"),
        }
    }
    (kept, refused)
}

/// Seconds of CPU that a process has used.
fn cpu_seconds(process: Pid) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap();
    let fields: Vec<_> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[test]
fn worker_connections_bounds_the_sessions_of_all_threads_together() {
    let events = "worker_connections 4;".to_owned();
    let served = Served::start(&Said { main: "worker_processes 2;".into(), events, ..Said::default() });
    // The one that looked whether it answers has gone by now.
    eventually("all places are free", || greeted(&served, 8).1 == 0);
    eventually("they are free again", || {
        let (kept, refused) = greeted(&served, 20);
        if kept.len() == 8 {
            assert_eq!(refused, 12);
            served.await_line("alert", "4 worker_connections are not enough");
        }
        kept.len() == 8
    });
    eventually("places that were left can be taken", || {
        let (mut kept, _) = greeted(&served, 1);
        kept.iter_mut().all(|client| client.write_all(b"QUIT\r\n").is_ok()) && !kept.is_empty()
    });
}

#[test]
fn without_descriptors_clients_are_refused_and_the_cpu_rests() {
    let served = Served::start_by(&Said::main("worker_processes 2;"), |program, file| {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", "ulimit -n 64; exec \"$0\" -c \"$1\"", program]).arg(file);
        command
    });
    served.await_line("warn", "512 worker_connections exceed open file resource limit: 64");
    // The one that looked whether it answers may still be on its way out.
    std::thread::sleep(Duration::from_millis(300));
    let (kept, refused) = greeted(&served, 200);
    assert_eq!(kept.len() + refused, 200);
    assert_eq!(kept.len(), (64 - 28) / 2);
    served.await_line("crit", "open file resource limit 64 is not enough for more than 18 clients");
    let worker = served.workers()[0];
    let (before, late) = (cpu_seconds(worker), TcpStream::connect(served.address).unwrap());
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_seconds(worker) - before;
    assert!(used < 0.3, "{used} s of CPU in 1 s of which nothing happened");
    drop((kept, late));
    eventually("it serves again", || greeted(&served, 5).0.len() == 5);
}

/// Proportional memory of a process, in octets.
fn memory(process: Pid) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.as_raw_nonzero())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn the_memory_of_a_crowd_that_leaves_is_the_systems_again() {
    const CROWD: usize = 800;
    let events = format!("worker_connections {CROWD};");
    let served =
        Served::start(&Said { main: "worker_rlimit_nofile 4096;".into(), events, ..Said::default() });
    let worker = served.workers()[0];
    eventually("it has had guests before", || greeted(&served, 64).0.len() == 64);
    let before = memory(worker);
    let (crowd, _) = greeted(&served, CROWD - 64);
    let took = memory(worker).saturating_sub(before);
    assert!(took > CROWD as u64 * 1024, "{} clients took {took} octets", crowd.len());
    drop(crowd);
    eventually("what the crowd took is given back", || memory(worker).saturating_sub(before) < took / 4);
}
