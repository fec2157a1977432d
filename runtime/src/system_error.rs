//! The operating system's errors in nginx's words.

use std::io::{self, ErrorKind};

use gatepost_core::{Address, SystemError};

/// `error` as nginx's log shows it: the call, `errno`, and the system's text without Rust's addition.
///
/// A stream that is not the kernel's has errors without a number; they get the one the kernel would have used, so that
/// a simulation reads as the real world does. Errors that have no such number get 0 and speak for themselves.
pub(crate) fn system_error(call: &'static str, error: &io::Error) -> SystemError {
    match error.raw_os_error().or_else(|| number_of(error.kind())) {
        Some(code) => SystemError { call, code, text: text_of(code) },
        None => SystemError { call, code: 0, text: error.to_string() },
    }
}

/// A connection that could not be made. nginx begins to connect and learns the outcome when it first reads, hence
/// `recv()`, except where the kernel refuses to begin (logging.md section 4).
pub(crate) fn connect_error(address: &Address, error: &io::Error) -> SystemError {
    const CONNECTION_RESET: i32 = 104;
    const TIMED_OUT: i32 = 110;
    const REFUSED: i32 = 111;
    const NO_ROUTE: i32 = 113;
    let told = system_error("connect()", error);
    match (address, told.code) {
        (Address::Inet(_), CONNECTION_RESET | TIMED_OUT | REFUSED | NO_ROUTE) => {
            SystemError { call: "recv()", ..told }
        }
        _ => told,
    }
}

/// The system's text for `code`: `Connection refused`.
pub(crate) fn text_of(code: i32) -> String {
    let mut text = io::Error::from_raw_os_error(code).to_string();
    if let Some(at) = text.rfind(" (os error ") {
        text.truncate(at);
    }
    text
}

fn number_of(kind: ErrorKind) -> Option<i32> {
    Some(match kind {
        ErrorKind::NotFound => 2,
        ErrorKind::PermissionDenied => 13,
        ErrorKind::BrokenPipe | ErrorKind::WriteZero => 32,
        ErrorKind::AddrInUse => 98,
        ErrorKind::AddrNotAvailable => 99,
        ErrorKind::NetworkUnreachable => 101,
        ErrorKind::ConnectionAborted => 103,
        ErrorKind::ConnectionReset => 104,
        ErrorKind::NotConnected => 107,
        ErrorKind::TimedOut => 110,
        ErrorKind::ConnectionRefused => 111,
        ErrorKind::HostUnreachable => 113,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_in_nginx_log() {
        let reset = io::Error::from_raw_os_error(104);
        assert_eq!(
            system_error("recv()", &reset).to_string(),
            "recv() failed (104: Connection reset by peer)"
        );
        let pipe = ErrorKind::BrokenPipe.into();
        assert_eq!(system_error("send()", &pipe).to_string(), "send() failed (32: Broken pipe)");
        let odd = io::Error::other("the world ended");
        assert_eq!(system_error("recv()", &odd).to_string(), "recv() failed (0: the world ended)");
    }

    #[test]
    fn a_refused_connection_is_told_by_the_call_nginx_names() {
        let refused = ErrorKind::ConnectionRefused.into();
        let inet = Address::Inet(([127, 0, 0, 1], 143).into());
        assert_eq!(connect_error(&inet, &refused).to_string(), "recv() failed (111: Connection refused)");
        let unix = Address::Unix("/p".into());
        assert_eq!(connect_error(&unix, &refused).call, "connect()");
        assert_eq!(connect_error(&inet, &io::Error::from_raw_os_error(101)).call, "connect()");
    }
}
