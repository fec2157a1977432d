//! Lines as they stand in files.

use super::*;
use std::net::UdpSocket;
use std::time::{Duration, UNIX_EPOCH};

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_176_000)
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gatepost-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }
    fn target(&self, level: Level) -> LogTarget {
        LogTarget::new(LogSink::File(self.0.clone()), level)
    }
    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).expect("a log")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_line_has_nginx_form() {
    let file = Scratch::new("form.log");
    let mut files = LogFiles::new(noon, TimeZone::fixed(jiff::tz::offset(1)));
    let log = files.log(&[file.target(Level::Info)]).expect("a log");
    log.line(Level::Info, Some(7), "client logged in");
    log.line(Level::Crit, None, "two\nlines");
    log.line(Level::Debug, Some(7), "unheard");
    let process = std::process::id();
    assert_eq!(
        file.text(),
        format!(
            "2026/11/20 13:00:00 [info] {process}#0: *7 client logged in\n\
             2026/11/20 13:00:00 [crit] {process}#0: two lines\n"
        )
    );
}

#[test]
fn every_target_gets_what_its_level_admits() {
    let (all, some) = (Scratch::new("all.log"), Scratch::new("some.log"));
    let mut files = LogFiles::new(noon, TimeZone::UTC);
    let targets = [all.target(Level::Debug), some.target(Level::Error), all.target(Level::Crit)];
    let log = files.log(&targets).expect("a log");
    log.line(Level::Warn, None, "warned");
    log.line(Level::Crit, None, "broke");
    assert_eq!(all.text().lines().count(), 3);
    assert_eq!(some.text().lines().count(), 1);
    assert!(log.admits(Level::Debug));
}

#[test]
fn a_long_line_is_cut_between_characters() {
    let file = Scratch::new("long.log");
    let log = LogFiles::new(noon, TimeZone::UTC).log(&[file.target(Level::Info)]).expect("a log");
    for shift in 0..4 {
        log.line(Level::Info, None, format_args!("{}{}", "x".repeat(shift), "ü€".repeat(2000)));
    }
    let text = file.text();
    assert_eq!(text.lines().count(), 4);
    for line in text.lines() {
        assert!((LINE_BYTES_MAX - 4..LINE_BYTES_MAX).contains(&line.len()), "{}", line.len());
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_told_in_nginx_words() {
    let target = LogTarget::new(LogSink::File("/nowhere/at/all".into()), Level::Info);
    let error = LogFiles::new(noon, TimeZone::UTC).log(&[target]).expect_err("no such directory");
    assert_eq!(error.to_string(), "open() \"/nowhere/at/all\" failed (2: No such file or directory)");
}

#[test]
fn a_file_that_was_renamed_is_made_anew_when_logs_are_reopened() {
    let (file, rotated) = (Scratch::new("rotated.log"), Scratch::new("rotated.log.1"));
    let mut files = LogFiles::new(noon, TimeZone::UTC);
    let log = files.log(&[file.target(Level::Info)]).expect("a log");
    std::fs::rename(&file.0, &rotated.0).expect("renamed");
    log.line(Level::Info, None, "before");
    assert!(files.reopen().is_empty());
    log.line(Level::Info, None, "after");
    assert!(rotated.text().ends_with("before\n"), "{}", rotated.text());
    assert!(file.text().ends_with("after\n"), "{}", file.text());
}

#[test]
fn a_log_that_cannot_be_reopened_goes_on_in_the_old_file() {
    let (folder, rotated) = (Scratch::new("folder"), Scratch::new("moved"));
    std::fs::create_dir(&folder.0).expect("a folder");
    let path = folder.0.join("a.log");
    let mut files = LogFiles::new(noon, TimeZone::UTC);
    let target = LogTarget::new(LogSink::File(path.clone()), Level::Info);
    let log = files.log(&[target]).expect("a log");
    std::fs::rename(&path, &rotated.0).expect("moved");
    std::fs::remove_dir(&folder.0).expect("removed");
    let failed: Vec<_> = files.reopen().iter().map(ToString::to_string).collect();
    let told = format!("open() \"{}\" failed (2: No such file or directory)", path.display());
    assert_eq!(failed, [told]);
    log.line(Level::Info, None, "still here");
    assert!(rotated.text().ends_with("still here\n"), "{}", rotated.text());
}

#[test]
fn lines_that_were_lost_are_told_of_when_there_is_room_again() {
    let path = std::env::temp_dir().join(format!("gatepost-{}-lost.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let server = Syslog {
        server: gatepost_core::Address::Unix(path.to_str().expect("UTF-8").into()),
        facility: 2,
        severity: Level::Info.into(),
        tag: "t".into(),
        host: None,
    };
    let target = LogTarget::new(LogSink::Syslog(server), Level::Info);
    let log = LogFiles::new(noon, TimeZone::UTC).log(&[target]).expect("a log");
    for _ in 0..3 {
        log.line(Level::Info, None, "unheard");
    }
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    log.line(Level::Warn, Some(7), "heard");
    let process = std::process::id();
    let heard = || {
        let mut octets = [0; 1000];
        let length = socket.recv(&mut octets).expect("a datagram");
        String::from_utf8_lossy(&octets[..length]).into_owned()
    };
    let time = "2026/11/20 12:00:00";
    assert_eq!(
        heard(),
        format!("<17>Nov 20 12:00:00 t: {time} [alert] {process}#0: 3 lines of this log were lost")
    );
    assert_eq!(heard(), format!("<20>Nov 20 12:00:00 t: {time} [warn] {process}#0: *7 heard"));
    std::fs::remove_file(&path).expect("removed");
}

/// What a UDP server hears that is away for two lines.
fn heard_by_a_server_that_comes_back() -> Vec<String> {
    let bind = |at: &str| {
        let socket = UdpSocket::bind(at).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("an option");
        socket
    };
    let socket = bind("127.0.0.1:0");
    let at = socket.local_addr().expect("an address");
    let server = Syslog {
        server: gatepost_core::Address::Inet(at),
        facility: 2,
        severity: Level::Info.into(),
        tag: "t".into(),
        host: None,
    };
    let target = LogTarget::new(LogSink::Syslog(server), Level::Info);
    let log = LogFiles::new(noon, TimeZone::UTC).log(&[target]).expect("a log");
    let say = |words: &str| {
        log.line(Level::Info, None, words);
        // For the system to hear that nobody is there.
        std::thread::sleep(Duration::from_millis(50));
    };
    say("here");
    drop(socket);
    say("lost");
    say("lost, which tells of the one before");
    let socket = bind(&at.to_string());
    ["back", "last", "settled"].into_iter().for_each(say);
    let mut octets = [0; 1000];
    let datagrams = std::iter::from_fn(|| {
        let length = socket.recv(&mut octets).ok()?;
        Some(String::from_utf8_lossy(octets.get(..length)?).into_owned())
    });
    datagrams.filter_map(|text| text.rsplit_once("#0: ").map(|(_, words)| words.to_owned())).collect()
}

/// It is heard of a datagram's loss only with the next; and not always, for the system may drop that word: hence some attempts.
#[test]
fn over_udp_too_every_lost_line_is_counted_and_none_is_lost_once_the_server_is_back() {
    let told = "1 lines of this log were lost";
    let expected = [told, "back", told, "last", "settled"];
    let attempts: Vec<_> =
        (0..5).map(|_| heard_by_a_server_that_comes_back()).take_while(|heard| *heard != expected).collect();
    assert!(attempts.len() < 5, "{attempts:?}");
}

#[test]
fn a_limited_log_is_told_so_once_and_counts_for_all_who_share_it() {
    let file = Scratch::new("limited.log");
    let rate = std::num::NonZeroU32::new(2);
    let targets = [LogTarget { rate, ..file.target(Level::Info) }];
    let mut files = LogFiles::new(noon, TimeZone::UTC);
    let (one, same) = (files.log(&targets).expect("a log"), files.log(&targets).expect("a log"));
    for number in 0..3 {
        one.line(Level::Info, Some(number), "a client");
        same.line(Level::Info, Some(number), "another");
    }
    one.line(Level::Error, Some(7), "trouble");
    let text = file.text();
    let messages: Vec<_> = text.lines().filter_map(|line| line.split_once("#0: ")).collect();
    let messages: Vec<_> = messages.iter().map(|(_, message)| *message).collect();
    assert_eq!(
        messages,
        ["*0 a client", "*0 another", "too many log messages, limiting", "*7 trouble"],
        "{text}"
    );
}

#[test]
fn a_full_disk_silences_only_itself() {
    let file = Scratch::new("second.log");
    let full = LogTarget::new(LogSink::File("/dev/full".into()), Level::Info);
    let targets = [full, file.target(Level::Info)];
    let log = LogFiles::new(noon, TimeZone::UTC).log(&targets).expect("a log");
    log.line(Level::Info, None, "told");
    assert_eq!(file.text().lines().count(), 1);
}
