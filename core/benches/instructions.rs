//! How many instructions the core takes for what it does all day. They are the same on every run, so that a change shows on a machine
//! that has no quiet minute; what a session costs in the kernel is for `runtime/benches/side_by_side` to tell.
//!
//! It takes valgrind, and the runner in the version of the library:
//!
//! ```sh
//! cargo install gungraun-runner --version 0.20.0 --locked
//! cargo bench -p gatepost-core --features fuzzing --bench instructions
//! ```

#![expect(missing_docs, unused_qualifications, reason = "the macros of the benchmarks write such code")]

#[path = "instructions/story.rs"]
mod story;

use std::hint::black_box;

use gatepost_core::{Protocol, fuzzing};
use gungraun::prelude::*;

use crate::story::Story;

// A whole login, from the client's arrival to the relay.
#[library_benchmark]
#[bench::imap(Story::imap())]
#[bench::imap_in_one_step(Story::imap_in_one_step())]
#[bench::imap_under_starttls(Story::imap_under_starttls())]
#[bench::pop3(Story::pop3())]
#[bench::smtp(Story::smtp())]
#[bench::smtp_without_login(Story::smtp_without_login())]
fn login(story: Story) -> usize {
    black_box(story.play())
}

// Commands, cut from a stream that comes at once and read.
#[library_benchmark]
#[bench::imap(
    Protocol::Imap,
    b"a CAPABILITY\r\nb ID (\"name\" \"x\")\r\nc NOOP\r\nd LOGIN {4+}\r\nfred {7+}\r\nhunter2\r\n"
)]
#[bench::pop3(Protocol::Pop3, b"CAPA\r\nNOOP\r\nUSER fred\r\nPASS hunter2\r\n")]
#[bench::smtp(
    Protocol::Smtp,
    b"EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
)]
fn commands(protocol: Protocol, octets: &[u8]) {
    fuzzing::commands(protocol, black_box(octets), 4096);
}

// A line of the length that a client may send at most, as it comes from a slow client and at once. One must not cost much more an
// octet than a shorter one.
#[library_benchmark]
#[bench::short_by_octets(256, 1)]
#[bench::long_by_octets(4096, 1)]
#[bench::long_at_once(4096, 4096)]
fn line(bytes: usize, piece: usize) -> usize {
    let mut line = vec![b'x'; bytes - 2];
    line.extend_from_slice(b"\r\n");
    fuzzing::framed(black_box(&line), piece, bytes, true).len()
}

// The head of an auth server's answer: as short as it can be, and with everything an auth server may say behind what a web server adds.
#[library_benchmark]
#[bench::short(b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 143\r\n\r\n")]
#[bench::long(
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\
      Connection: keep-alive\r\nCache-Control: no-store\r\nX-Request-Id: 0123456789abcdef\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.1\r\n\
      Auth-Port: 143\r\nAuth-User: fred@example.org\r\nAuth-Pass: hunter2\r\nAuth-Wait: 3\r\n\r\n"
)]
fn auth_answer(octets: &[u8]) -> bool {
    fuzzing::is_auth_answer(black_box(octets))
}

// A PROXY header, of either version.
#[library_benchmark]
#[bench::v1(b"PROXY TCP4 203.0.113.9 198.51.100.1 40001 143\r\n")]
#[bench::v2(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc6\x33\x64\x01\x9c\x41\x00\x8f")]
fn proxy_header(octets: &[u8]) -> bool {
    fuzzing::has_proxy_header(black_box(octets))
}

library_benchmark_group!(name = sessions, benchmarks = login);
library_benchmark_group!(name = parsers, benchmarks = [commands, line, auth_answer, proxy_header]);

main!(library_benchmark_groups = [sessions, parsers]);
