//! Logs: where lines go, which, and in what form.

use std::num::NonZeroU32;

use gatepost_core::report::Level;
use gatepost_core::{Address, Peers};

use super::{fit, unfit};
use crate::config::{Escape, LogFormat, LogSink, LogTarget, Piece, Syslog, Variable};

#[test]
fn a_log_may_be_a_syslog_server_and_have_a_limit() {
    let (config, told) =
        fit("error_log syslog:server=localhost,facility=mail,tag=mx,severity=crit,nohostname info;\n\
         error_log syslog:server=unix:/dev/log debug_mail debug_http; error_log error.log rate=100; \
         error_log error.log info rate=7m/s; error_log error.log rate=0;\n mail { }");
    assert_eq!(told, [""; 0]);
    let [udp, unix, limited, slow, free] = &*config.logs else { panic!("{:?}", config.logs) };
    let syslog = |server, facility, severity: Level, tag: &str, host: Option<&str>| {
        let (tag, host) = (tag.into(), host.map(Into::into));
        LogSink::Syslog(Syslog { server, facility, severity: severity.into(), tag, host })
    };
    let address = Address::Inet("[::1]:514".parse().unwrap());
    assert_eq!(*udp, LogTarget::new(syslog(address, 2, Level::Crit, "mx", None), Level::Info));
    let address = Address::Unix("/dev/log".into());
    let local = syslog(address, 23, Level::Info, "nginx", Some("localhost"));
    assert_eq!(*unix, LogTarget::new(local, Level::Debug));
    let rates = [limited, slow, free].map(|log| (log.level, log.rate.map(NonZeroU32::get)));
    assert_eq!(rates, [(Level::Error, Some(100)), (Level::Info, Some(7)), (Level::Error, None)]);
}

#[test]
fn access_logs_are_inherited_and_their_formats_may_come_later() {
    let (config, told) = fit(
        "mail { auth_http localhost; access_log logs/mail.log; access_log syslog:server=unix:/dev/log,severity=notice short;\n\
         server { listen 143; } server { listen 110; access_log off; }\n\
         server { listen 25; access_log /srv/smtp.json json; }\n\
         log_format short '$remote_addr ' \"${status}\"; log_format json escape=json '{\"user\":\"$remote_user\"}'; }",
    );
    assert_eq!(told, [""; 0]);
    let [imap, pop3, smtp] = &*config.servers else { panic!("three") };
    let short = [
        Piece::Variable(Variable::RemoteAddr),
        Piece::Text(b" ".as_slice().into()),
        Piece::Variable(Variable::Status),
    ];
    let [file, syslog] = &*imap.access_logs else { panic!("{imap:?}") };
    assert_eq!(file.sink, LogSink::File("/etc/nginx/logs/mail.log".into()));
    assert!(file.format.pieces.contains(&Piece::Variable(Variable::Outcome)), "the default: {file:?}");
    assert!(matches!(&syslog.sink, LogSink::Syslog(syslog) if syslog.severity == Level::Notice.into()));
    assert_eq!(*syslog.format, LogFormat { escape: Escape::Default, pieces: short.into() });
    assert!(pop3.access_logs.is_empty());
    let [json] = &*smtp.access_logs else { panic!("{smtp:?}") };
    assert_eq!((json.format.escape, json.format.pieces.len()), (Escape::Json, 3));
}

#[test]
fn a_format_s_name_may_begin_as_a_parameter_does() {
    let (config, told) =
        fit("mail { auth_http localhost; log_format gzipped $pid; log_format buffered $status; \
         access_log a gzipped; access_log b buffered; server { listen 143; } }");
    assert_eq!(told, [""; 0]);
    let formats: Vec<_> =
        config.servers[0].access_logs.iter().map(|log| log.format.pieces.as_slice()).collect();
    assert_eq!(formats, [[Piece::Variable(Variable::Pid)], [Piece::Variable(Variable::Status)]]);
}

#[test]
fn an_access_log_that_cannot_be_is_refused() {
    let at = "/etc/nginx/nginx.conf";
    for (said, complaint) in [
        ("access_log a b;", "unknown log format \"b\""),
        ("access_log a mail c;", "invalid parameter \"c\""),
        ("access_log a mail buffer=32k;", "invalid parameter \"buffer=32k\""),
        ("access_log a gzip;", "invalid parameter \"gzip\""),
        ("access_log a gzip=9;", "invalid parameter \"gzip=9\""),
        ("access_log a if=$status;", "invalid parameter \"if=$status\""),
        ("access_log off mail;", "invalid parameter \"mail\""),
        ("access_log syslog:tag=x;", "no syslog server specified"),
        ("log_format a;", "invalid number of arguments in \"log_format\" directive"),
        ("log_format a escape=json;", "invalid number of arguments in \"log_format\" directive"),
        ("log_format a escape=xml $pid;", "unknown log format escaping \"xml\""),
        ("log_format a $pid; log_format a $pid;", "duplicate \"log_format\" name \"a\""),
        ("log_format a '$request';", "unknown \"request\" variable"),
        ("log_format a '${pid';", "the closing bracket in \"pid\" variable is missing"),
        ("log_format a 'US$ 5';", "invalid variable name"),
    ] {
        let told = unfit(&format!("mail {{ auth_http localhost; {said} server {{ listen 143; }} }}"));
        assert_eq!(told, [format!("[emerg] {complaint} in {at}:1")], "{said}");
    }
}

#[test]
fn a_log_that_cannot_be_is_refused() {
    let at = "/etc/nginx/nginx.conf";
    for (log, said) in [
        ("memory:1m", "nginx was built without debug support"),
        ("stderr rate=x", "invalid rate \"x\""),
        ("stderr rate=-1", "invalid rate \"-1\""),
        ("stderr info burst=7", "invalid parameter \"burst=7\""),
        ("syslog:facility=mail", "no syslog server specified"),
        ("syslog:server=127.0.0.1,colour=red", "unknown syslog parameter \"colour=red\""),
    ] {
        let text = format!("error_log {log}; mail {{ }}");
        assert_eq!(unfit(&text), [format!("[emerg] {said} in {at}:1")], "{log}");
    }
}

#[test]
fn logs_are_inherited_as_a_whole() {
    let (config, told) = fit(
        "error_log logs/error.log; mail { auth_http localhost; error_log /var/log/mail.log debug_mail debug_core; \
         error_log stderr warn; server { listen 143; } server { listen 110; error_log own info; } }",
    );
    let file = |path: &str, level| LogTarget::new(LogSink::File(path.into()), level);
    assert_eq!(*config.logs, [file("/etc/nginx/logs/error.log", Level::Error)]);
    let stderr = LogTarget::new(LogSink::Stderr, Level::Warn);
    assert_eq!(*config.servers[0].logs, [file("/var/log/mail.log", Level::Debug), stderr]);
    assert_eq!(*config.servers[1].logs, [file("/etc/nginx/own", Level::Info)]);
    assert_eq!(told, [""; 0]);
    let (config, _) = fit("mail { auth_http localhost; server { listen 143; } }");
    let default = [LogTarget::new(LogSink::Stderr, Level::Error)];
    assert_eq!((&*config.logs, &*config.servers[0].logs), (&default[..], &default[..]));
}

#[test]
fn everything_can_be_wanted_of_some_clients() {
    let text = "events { debug_connection 192.0.2.0/24; debug_connection unix:; debug_connection localhost; } mail {}";
    let (config, told) = fit(text);
    assert_eq!(told, [""; 0]);
    let ip = |text: &str| text.parse().unwrap();
    let wanted = [
        Peers::Network(ip("192.0.2.0"), 24),
        Peers::Unix,
        Peers::Network(ip("::1"), 128),
        Peers::Network(ip("127.0.0.1"), 32),
    ];
    assert_eq!(config.process.debugged, wanted);
    assert_eq!(
        unfit("events { debug_connection x.invalid; } mail {}"),
        ["[emerg] host not found in debug_connection \"x.invalid\" in /etc/nginx/nginx.conf:1"]
    );
}
