//! From a whole frame to a typed command. A grammar borrows from the frame, knows no state and never guesses.

#[cfg(feature = "imap")]
pub(crate) mod imap;
#[cfg(feature = "pop3")]
pub(crate) mod pop3;
#[cfg(feature = "smtp")]
pub(crate) mod smtp;

/// Why a frame is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxError {
    #[error("no tag")]
    NoTag,
    #[error("unknown command")]
    UnknownCommand,
    #[error("wrong arguments")]
    Arguments,
    #[error("control octet")]
    Control,
    /// Everything is right up to a literal whose octets have not come.
    #[error("a literal is missing")]
    Unfinished,
}

/// `text` up to the first `separator`, and what is behind it; all of it and nothing where there is none.
pub(crate) fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&octet| octet == separator) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// The words of `text`, however many spaces are between them.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&octet| octet == b' ').filter(|word| !word.is_empty())
}

/// The letters at the beginning of `text`.
pub(crate) fn letters(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|octet| !octet.is_ascii_alphabetic()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Whether a line is an HTTP request line (RFC 9112 section 3), which on a mail port means an attack across protocols (decision 16).
pub(crate) fn is_http_request(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"DELETE", b"TRACE", b"PATCH"];
    let method = letters(line);
    METHODS.contains(&method) && words(line).last().is_some_and(|version| version.starts_with(b"HTTP/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_request_is_a_method_and_a_version() {
        for line in ["GET / HTTP/1.1\r\n", "POST /a b HTTP/1.0\r\n", "CONNECT mx.test:25 HTTP/2\r\n"] {
            assert!(is_http_request(line.as_bytes()), "{line:?}");
        }
        for line in [
            "GET\r\n",
            "GET INBOX\r\n",
            "NOOP HTTP/1.1\r\n",
            "GETS / HTTP/1.1\r\n",
            "a GET / HTTP/1.1\r\n",
            "\r\n",
        ] {
            assert!(!is_http_request(line.as_bytes()), "{line:?}");
        }
    }
}
