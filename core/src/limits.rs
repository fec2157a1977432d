//! Every number that bounds a session before its relay, its unit, and why it is that number.
//! What an operator can set is in [`Policy`](crate::Policy); these cannot be set.

use core::time::Duration;

/// The most octets a driver should hand over in one `Received`: one page, so that a session's memory before
/// login is bounded by its buffers plus this.
pub const READ_BYTES_MAX: usize = 4096;

/// A SASL line, or a command line with an initial response, without its line end: RFC 4954 section 4 asks for 12288
/// octets and RFC 5034 and RFC 4959 for what the mechanisms need; one number for all three protocols.
pub const SASL_LINE_BYTES_MAX: usize = 12288;

/// How much a client may send ahead of its turn, while somebody else is busy for it. It is read no further then, so that with one more
/// read, twice this is there; and as many replies as that holds commands are the most that is ever queued for a client.
pub const AHEAD_BYTES_MAX: usize = READ_BYTES_MAX;

/// The shortest bound that a command may be given, however small its buffer is configured (RFC 5321 section 4.5.3.1.4), and likewise for a
/// line of a backend.
pub const COMMAND_BYTES_MIN: usize = 512;

/// An IMAP tag. RFC 3501 sets no bound; 128 octets is four times what nginx takes.
pub const TAG_BYTES_MAX: usize = 128;

/// Where in a command its word has ended: behind a tag, with room for more than the one space that belongs there.
pub const COMMAND_WORD_BYTES_MAX: usize = 2 * TAG_BYTES_MAX;

/// A HELO or EHLO argument (RFC 5321 section 4.5.3.1.2).
pub const HELO_BYTES_MAX: usize = 255;

/// A PROXY header; version 1 ends at 107 octets, version 2 says how long it is.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;

/// How long a PROXY header may take, where `timeout` is not shorter. Balancers send it with their first octets; the PROXY protocol's
/// description, section 2, asks for 3 seconds at least, three times what a lost packet costs.
pub const PROXY_HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// The auth server's status line and headers. nginx's 1024 fail in silence (divergences D3).
pub const AUTH_HEAD_BYTES_MAX: usize = 16 * 1024;

/// What of an answer comes behind its headers, where its connection is to be used again: to read more than this costs more than a
/// connection.
pub const AUTH_BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a connection that was kept may be silent behind a question before the question goes by a new one: what lies between may have
/// forgotten it, and lets nothing through. Longer than the two or three seconds by which many systems put off a refusal, lest those be
/// asked twice; and half of the server's share of `auth_http_timeout`, if that is shorter.
pub const AUTH_REUSED_SILENCE_MAX: Duration = Duration::from_secs(5);

/// The digits of a chunk's size in such an answer (RFC 9112 section 7.1): as many as a number of 64 bits has.
pub const AUTH_CHUNK_DIGITS_MAX: usize = 16;

/// A line that refuses a login in the auth server's words, line end included: all that POP3 and SMTP let a reply have
/// (RFC 2449 section 4, RFC 5321 section 4.5.3.1.5). Longer texts are cut.
pub const REFUSAL_LINE_BYTES_MAX: usize = 512;

/// The longest `Auth-Error-Code` that is taken. No registered one comes near it.
pub const ERROR_CODE_BYTES_MAX: usize = 128;

/// The longest key that sessions are counted by, in octets; freenginx's. Whoever has a longer one is not counted.
pub const LIMIT_KEY_BYTES_MAX: usize = 255;

/// How long a backend may take to connect and greet where another may take its place, unless `proxy_connect_timeout` says
/// otherwise: long enough for a lost packet or two, and a few tries fit into `timeout`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the DNS may take for the name of a backend where `resolver_timeout` does not say otherwise.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);

/// How many servers `Auth-Server` may name, separated by commas. More would hardly all be tried within `timeout`.
pub const AUTH_SERVERS_MAX: usize = 16;

/// The shortest pause before an auth server that said `WAIT` is asked again, in seconds (divergences S8).
pub const AUTH_WAIT_SECONDS_MIN: u64 = 1;

/// How many `timeout`s a client may be kept waiting by `WAIT` answers in all (divergences S8).
pub const AUTH_WAIT_TIMEOUTS_MAX: u32 = 10;

/// What of a client's or backend's text goes into one log line.
pub const LOGGED_BYTES_MAX: usize = 1024;

/// How many times `proxy_buffer` a backend may say in all during a login; untagged IMAP lines are kept for the client.
pub const BACKEND_BUFFERS_MAX: usize = 16;

/// The longest literal that need not wait for a server that says LITERAL- (RFC 7888 section 5), in octets.
pub const LITERAL_MINUS_BYTES_MAX: usize = 4096;

/// The longest AUTH command to an SMTP backend, with its line end; longer responses go on a line of their own
/// (RFC 5321 section 4.5.3.1.4, RFC 4954 section 4).
pub const SMTP_AUTH_LINE_BYTES_MAX: usize = 512;
