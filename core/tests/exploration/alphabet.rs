//! What clients, auth servers and backends may say. In clear it is `mallory` who speaks, or one who alters what others say, and names
//! herself, so that anything of hers is known again wherever it turns up; under TLS, and where there is none to be had, it is `fred`.

use gatepost_core::Protocol;

/// Octets that arrive together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) octets: &'static str,
    /// The end of them: what is there behind the login that they complete, if they do.
    pub(crate) behind: &'static str,
    pub(crate) means: Means,
    /// Whether they are a whole answer of an auth server, or the end of one, behind which its connection may be used again.
    pub(crate) is_whole: bool,
}

impl Word {
    /// What is there behind the login that this completes, if that is known: of several lines it may be any that does, where a name or a
    /// password is what was a command elsewhere.
    pub(crate) fn leaves(self) -> Option<&'static str> {
        let is_known = !self.behind.is_empty() || self.octets.matches('\n').count() <= 1;
        is_known.then_some(self.behind)
    }
}

/// What an auth server or a backend decides with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    Nothing,
    Yes,
    No,
    AskAgain,
}

const fn word(octets: &'static str) -> Word {
    Word { octets, behind: "", means: Means::Nothing, is_whole: false }
}

const fn and(octets: &'static str, behind: &'static str) -> Word {
    Word { octets, behind, means: Means::Nothing, is_whole: false }
}

const fn meaning(octets: &'static str, means: Means) -> Word {
    Word { octets, behind: "", means, is_whole: false }
}

const fn whole(octets: &'static str, means: Means) -> Word {
    Word { octets, behind: "", means, is_whole: true }
}

/// What nobody but a client, its auth server and its backend may see, as itself and in base64.
pub(crate) const SECRETS: [&str; 6] =
    ["hunter2", "aHVudGVyMg", "AGZyZWQAaHVudGVyMg", "AG1hbGxvcnkAaHVudGVyMg", "sesame", "AGFsaWNlAHNlc2FtZQ"];

/// What only she says.
pub(crate) const MALLORYS: [&str; 3] = ["mallory", "bWFsbG9yeQ", "AG1hbGxvcnkAaHVudGVyMg"];

/// What tells a client that its password is wrong.
pub(crate) const BLAME: [&str; 3] = ["[AUTHENTICATIONFAILED]", "[AUTH]", "535 "];

/// What a client may say. `in_clear` where it could have TLS and does not.
pub(crate) const fn client(protocol: Protocol, in_clear: bool) -> &'static [Word] {
    match (protocol, in_clear) {
        (Protocol::Imap, false) => {
            const {
                &[
                    word("a NOOP\r\n"),
                    word("a LOGIN fred hunter2\r\n"),
                    and("a LOGIN fred hunter2\r\nb NOOP\r\n", "b NOOP\r\n"),
                    and("a LOGIN fred hunter2\r\nb CAPABILITY\r\nc", "b CAPABILITY\r\nc"),
                    word("a LOGIN {4}\r\n"),
                    word("fred {7}\r\n"),
                    word("hunter2\r\n"),
                    word("a AUTHENTICATE PLAIN\r\n"),
                    word("AGZyZWQAaHVudGVyMg==\r\n"),
                    word("a AUTHENTICATE XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
                    word("*\r\n"),
                    word("a STARTTLS\r\n"),
                    word("a STARTTLS\r\nb NOOP\r\n"),
                    word("a LO"),
                    word("GIN fred hunter2\r\n"),
                    word("?\r\n"),
                    word("a LOGOUT\r\n"),
                ]
            }
        }
        (Protocol::Imap, true) => {
            const {
                &[
                    word("m ID (\"name\" \"mallory\")\r\n"),
                    word("m LOGIN mallory hunter2\r\n"),
                    word("m LOGIN {7}\r\n"),
                    word("mallory {7}\r\n"),
                    word("m AUTHENTICATE LOGIN\r\n"),
                    word("bWFsbG9yeQ==\r\n"),
                    word("m STARTTLS\r\n"),
                    word("m STARTTLS\r\nm LOGIN mallory hunter2\r\n"),
                    word("m LOGIN"),
                    word("m?\r\n"),
                ]
            }
        }
        (Protocol::Pop3, false) => {
            const {
                &[
                    word("NOOP\r\n"),
                    word("USER fred\r\n"),
                    word("PASS hunter2\r\n"),
                    and("USER fred\r\nPASS hunter2\r\nSTAT\r\n", "STAT\r\n"),
                    and("USER fred\r\nPASS hunter2\r\nUSER wilma\r\nPASS", "USER wilma\r\nPASS"),
                    word("AUTH PLAIN\r\n"),
                    word("AGZyZWQAaHVudGVyMg==\r\n"),
                    word("AUTH XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
                    word("*\r\n"),
                    word("STLS\r\n"),
                    word("STLS\r\nNOOP\r\n"),
                    word("US"),
                    word("ER fred\r\n"),
                    word("?\r\n"),
                    word("QUIT\r\n"),
                ]
            }
        }
        (Protocol::Pop3, true) => {
            const {
                &[
                    word("CAPA\r\n"),
                    word("USER mallory\r\n"),
                    word("PASS hunter2\r\n"),
                    word("AUTH LOGIN\r\n"),
                    word("bWFsbG9yeQ==\r\n"),
                    word("STLS\r\n"),
                    word("STLS\r\nUSER mallory\r\n"),
                    word("US"),
                    word("ER mallory\r\n"),
                ]
            }
        }
        (Protocol::Smtp, false) => {
            const {
                &[
                    word("EHLO c.test\r\n"),
                    word("AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n"),
                    and("AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\nMAIL FROM:<a@b>\r\n", "MAIL FROM:<a@b>\r\n"),
                    word("AUTH LOGIN\r\n"),
                    word("ZnJlZA==\r\n"),
                    word("ZnJlZA==\r\naHVudGVyMg==\r\n"),
                    word("AUTH XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
                    word("*\r\n"),
                    word("MAIL FROM:<a@b>\r\n"),
                    and("RCPT TO:<c@d>\r\nDATA\r\n", "DATA\r\n"),
                    word("STARTTLS\r\n"),
                    word("STARTTLS\r\nNOOP\r\n"),
                    word("EH"),
                    word("LO c.test\r\n"),
                    word("?\r\n"),
                    word("QUIT\r\n"),
                ]
            }
        }
        (Protocol::Smtp, true) => {
            const {
                &[
                    word("EHLO mallory.test\r\n"),
                    word("AUTH PLAIN AG1hbGxvcnkAaHVudGVyMg==\r\n"),
                    word("AUTH LOGIN\r\n"),
                    word("bWFsbG9yeQ==\r\n"),
                    word("MAIL FROM:<mallory@b>\r\n"),
                    word("RCPT TO:<mallory@d>\r\n"),
                    word("STARTTLS\r\n"),
                    word("STARTTLS\r\nMAIL FROM:<mallory@b>\r\n"),
                    word("EHLO mallory"),
                    word("mallory?\r\n"),
                ]
            }
        }
    }
}

/// What a client may say while it is somebody else's turn: a whole command, one that begins an
/// exchange, a login, and part of one; in clear what should be forgotten under TLS. It is kept
/// unread until it is the client's turn, when all the rest may come as well, and a part is where the rest of it belongs.
pub(crate) const fn ahead(protocol: Protocol, in_clear: bool) -> &'static [Word] {
    match (protocol, in_clear) {
        (Protocol::Imap, false) => {
            const {
                &[
                    word("d NOOP\r\n"),
                    word("a AUTHENTICATE PLAIN\r\n"),
                    word("a LOGIN fred hunter2\r\n"),
                    word("a LO"),
                ]
            }
        }
        (Protocol::Imap, true) => {
            const {
                &[
                    word("m STARTTLS\r\nm LOGIN mallory hunter2\r\n"),
                    word("m LOGIN mallory hunter2\r\n"),
                    word("m LOGIN"),
                ]
            }
        }
        (Protocol::Pop3, false) => {
            const { &[word("NOOP\r\n"), word("AUTH PLAIN\r\n"), word("USER fred\r\nPASS hunter2\r\n"), word("US")] }
        }
        (Protocol::Pop3, true) => {
            const { &[word("STLS\r\nUSER mallory\r\n"), word("USER mallory\r\nPASS hunter2\r\n"), word("US")] }
        }
        (Protocol::Smtp, false) => {
            const {
                &[
                    word("MAIL FROM:<a@b>\r\n"),
                    word("AUTH LOGIN\r\n"),
                    word("AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n"),
                    word("EH"),
                ]
            }
        }
        (Protocol::Smtp, true) => {
            const {
                &[
                    word("STARTTLS\r\nMAIL FROM:<mallory@b>\r\n"),
                    word("AUTH PLAIN AG1hbGxvcnkAaHVudGVyMg==\r\n"),
                    word("EHLO mallory"),
                ]
            }
        }
    }
}

/// How a client asks for TLS that has said nothing before.
pub(crate) const fn starttls(protocol: Protocol) -> Word {
    match protocol {
        Protocol::Imap => word("t STARTTLS\r\n"),
        Protocol::Pop3 => word("STLS\r\n"),
        Protocol::Smtp => word("STARTTLS\r\n"),
    }
}

/// Before anything else, where a PROXY header is due.
pub(crate) const PROXY_HEADERS: [Word; 4] = [
    word("PROXY TCP4 203.0.113.9 198.51.100.1 40001 143\r\n"),
    word("PROXY UNKNOWN\r\n"),
    word("PROXY TC"),
    word("GET / HTTP/1.0\r\n"),
];

/// What an auth server may say, whose connections are `kept` for other sessions or not.
pub(crate) const fn auth(kept: bool) -> &'static [Word] {
    if kept { &AUTH_KEPT } else { &AUTH }
}

/// What it may say if they are not. Each is an answer, or what is left of one behind the first line, or that line.
const AUTH: [Word; 10] = [
    meaning("Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n", Means::Yes),
    meaning(
        "Auth-Status: OK\r\nAuth-Server: 198.51.100.2, 198.51.100.3\r\nAuth-Port: 143\r\nAuth-User: alice\r\nAuth-Pass: sesame\r\n\r\n",
        Means::Yes,
    ),
    meaning("Auth-Status: no\r\n\r\n", Means::No),
    meaning("Auth-Status: no\r\nAuth-Wait: 3\r\n\r\n", Means::No),
    meaning("Auth-Status: WAIT\r\nAuth-Wait: 400\r\n\r\n", Means::AskAgain),
    word("Auth-Status: OK\r\n\r\n"),
    word(
        "Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\nAuth-Server-TLS: perhaps\r\n\r\n",
    ),
    word("HTTP/1.0 503 x\r\n\r\n"),
    word("HTTP/1.0 200 OK\r\n"),
    word("\u{1}\r\n"),
];

/// What it may say if they are: answers that end as HTTP has it, and those that leave a doubt; the first line of one, and the rest,
/// which by itself is what a server has sent too much behind an answer before, and means nothing.
const AUTH_KEPT: [Word; 11] = [
    whole(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n",
        Means::Yes,
    ),
    whole(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nAuth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n2\r\nbo",
        Means::Yes,
    ),
    meaning(
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nAuth-Status: OK\r\nAuth-Server: 198.51.100.2, 198.51.100.3\r\nAuth-Port: 143\r\n\r\n",
        Means::Yes,
    ),
    whole("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: no\r\nAuth-Wait: 3\r\n\r\n", Means::No),
    meaning(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: no\r\nAuth-Wait: 3\r\n\r\nHTTP/1.1 200 OK\r\n",
        Means::No,
    ),
    meaning("HTTP/1.1 200 OK\r\nAuth-Status: no\r\n\r\n", Means::No),
    whole(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: WAIT\r\nAuth-Wait: 400\r\n\r\n",
        Means::AskAgain,
    ),
    word("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"),
    word("HTTP/1.1 200 OK\r\n"),
    whole("Content-Length: 0\r\nAuth-Status: no\r\nAuth-Wait: 3\r\n\r\n", Means::No),
    meaning("Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n", Means::Yes),
];

/// What a backend may say besides that offers to take at once what else goes step by step.
pub(crate) const fn offers(protocol: Protocol, in_clear: bool) -> &'static [Word] {
    match (protocol, in_clear) {
        (Protocol::Imap, false) => {
            const {
                &[
                    word("* OK [CAPABILITY LITERAL+] hello\r\n"),
                    word("* CAPABILITY LITERAL-\r\na OK listed\r\n"),
                ]
            }
        }
        (Protocol::Imap, true) => const { &[word("* OK [CAPABILITY LITERAL+] mallory\r\n")] },
        (Protocol::Smtp, false) => const { &[word("250-one\r\n250 PIPELINING\r\n")] },
        (Protocol::Smtp, true) => const { &[word("250-mallory\r\n250-PIPELINING\r\n250 STARTTLS\r\n")] },
        (Protocol::Pop3, _) => &[],
    }
}

/// What a backend may say; `in_clear` where it is to have TLS and does not.
pub(crate) const fn backend(protocol: Protocol, in_clear: bool) -> &'static [Word] {
    match (protocol, in_clear) {
        (Protocol::Imap, false) => {
            const {
                &[
                    word("* OK hello\r\n"),
                    word("+ go on\r\n"),
                    word("a OK in\r\n"),
                    and("a OK in\r\n* 1 EXISTS\r\n", "* 1 EXISTS\r\n"),
                    meaning("a NO [AUTHENTICATIONFAILED] no\r\n", Means::No),
                    word("* BYE gone\r\n"),
                    word("m OK in\r\n"),
                    word("a O"),
                    word("K in\r\n"),
                ]
            }
        }
        (Protocol::Imap, true) => {
            const {
                &[
                    word("* OK [CAPABILITY SASL-IR] mallory\r\n"),
                    word("* CAPABILITY mallory\r\n"),
                    word("a OK mallory\r\n"),
                    word("t OK mallory\r\n"),
                    word("a OK go on\r\n* OK mallory\r\n"),
                    word("a NO mallory\r\n"),
                ]
            }
        }
        (Protocol::Pop3, false) => {
            const {
                &[
                    word("+OK\r\n"),
                    and("+OK in\r\nmore\r\n", "more\r\n"),
                    meaning("-ERR [AUTH] no\r\n", Means::No),
                    word("+ \r\n"),
                    word("+O"),
                    word("K\r\n"),
                ]
            }
        }
        (Protocol::Pop3, true) => {
            const { &[word("+OK mallory\r\n"), word("+OK go on\r\n+OK mallory\r\n"), word("-ERR mallory\r\n")] }
        }
        (Protocol::Smtp, false) => {
            const {
                &[
                    word("220 hello\r\n"),
                    word("250-one\r\n250 two\r\n"),
                    word("334 \r\n"),
                    word("235 in\r\n"),
                    and("235 in\r\n250 more\r\n", "250 more\r\n"),
                    meaning("535 no\r\n", Means::No),
                    word("22"),
                    word("0 hello\r\n"),
                ]
            }
        }
        (Protocol::Smtp, true) => {
            const {
                &[
                    word("220 mallory\r\n"),
                    word("250-mallory\r\n250 STARTTLS\r\n"),
                    word("220 go on\r\n250 mallory\r\n"),
                    word("454 mallory\r\n"),
                ]
            }
        }
    }
}
