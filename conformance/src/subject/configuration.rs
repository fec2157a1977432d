//! One `nginx.conf` for nginx and Gatepost alike, made from what a transcript asks for.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::transcript::{Protocol, Tls, Transcript};

/// `server_name` of every transcript, and the name in its certificate.
pub const SERVER_NAME: &str = "mx.test";

/// The request target of every transcript's `auth_http`.
pub const AUTH_URI: &str = "/auth";

/// The directives that are times; a runner with a real clock shortens them.
const TIMES: [&str; 6] = [
    "timeout",
    "auth_http_timeout",
    "proxy_connect_timeout",
    "proxy_timeout",
    "resolver_timeout",
    "smtp_greeting_delay",
];

/// The files and addresses of one process.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Where the certificate is, in PEM.
    pub certificate: &'a Path,
    /// Where its key is, in PEM.
    pub key: &'a Path,
    /// Where the certificate of the authority is that vouches for clients, in PEM, if there is one.
    pub client_authority: Option<&'a Path>,
    /// Where the process id goes.
    pub pid: &'a Path,
    /// Where to listen.
    pub listener: SocketAddr,
    /// Where the auth server is.
    pub auth_server: SocketAddr,
    /// Where the backend is.
    pub backend: SocketAddr,
    /// Where the DNS server is, whatever `resolver` says. It is asked for IPv4 addresses, as clients have them here.
    pub name_server: SocketAddr,
}

/// The text of the configuration. `preamble` comes first, for what one program needs alone.
///
/// # Errors
///
/// A time that is none.
pub fn text(transcript: &Transcript, places: &Places<'_>, preamble: &str) -> Result<String, String> {
    let config = &transcript.config;
    let Places { certificate, key, client_authority, pid, listener, auth_server, backend, name_server } =
        places;
    let protocol = match config.protocol {
        Protocol::Imap => "imap",
        Protocol::Pop3 => "pop3",
        Protocol::Smtp => "smtp",
    };
    let (ssl, starttls) = match config.tls {
        Tls::Off => ("", "off"),
        Tls::StartTls => ("", "on"),
        Tls::Only => ("", "only"),
        Tls::Implicit => (" ssl", "off"),
    };
    let auth_http = match config.auth_http {
        true => format!("auth_http{};", format!(" {auth_server}{AUTH_URI}").repeat(config.auth_urls)),
        false => String::new(),
    };
    let members: String = config
        .upstream
        .iter()
        .map(|parameters| format!("        server {backend} {parameters};\n"))
        .collect();
    let upstream = match config.upstream.is_empty() {
        true => String::new(),
        false => format!("upstream backends {{\n{members}    }}"),
    };
    let parameters: String = config.listen.iter().map(|word| format!(" {word}")).collect();
    let (mut directives, mut zones) = (String::new(), String::new());
    if config.directives.iter().any(|directive| directive.starts_with("proxy_ssl")) {
        let _ = writeln!(directives, "        proxy_ssl_trusted_certificate {};", certificate.display());
    }
    if let Some(authority) = client_authority {
        let _ = writeln!(directives, "        ssl_client_certificate {};", authority.display());
    }
    for directive in &config.directives {
        // Zones belong to all servers.
        if directive.starts_with("limit_conn_zone ") {
            let _ = writeln!(zones, "    {directive};");
            continue;
        }
        let directive = match directive.split_once(' ') {
            Some(("resolver", _)) => format!("resolver {name_server} ipv6=off"),
            _ => hastened(directive, transcript.haste())?,
        };
        let _ = writeln!(directives, "        {directive};");
    }
    Ok(format!(
        "{preamble}daemon off;
master_process off;
pid {pid};
error_log stderr info;
events {{
    worker_connections 64;
}}
mail {{
    server_name {SERVER_NAME};
    {auth_http}
    {upstream}
{zones}    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen {listener}{ssl}{parameters};
        protocol {protocol};
        starttls {starttls};
{directives}    }}
}}
",
        pid = pid.display(),
        certificate = certificate.display(),
        key = key.display(),
    ))
}

/// A directive whose time, if it is one, is divided by `haste`.
fn hastened(directive: &str, haste: u32) -> Result<String, String> {
    match directive.split_once(' ') {
        Some((name, time)) if TIMES.contains(&name) => {
            Ok(format!("{name} {}ms", millis(time.trim())? / u64::from(haste)))
        }
        _ => Ok(directive.to_owned()),
    }
}

/// The milliseconds of one of nginx's times with a single unit: `60s`, `500ms`, `2m`, `60`.
///
/// # Errors
///
/// If it is none.
pub fn millis(time: &str) -> Result<u64, String> {
    let digits = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match time.get(digits.len()..).unwrap_or_default() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("{unit:?} is no unit of time")),
    };
    digits.parse::<u64>().map(|number| number * unit).map_err(|error| format!("{time:?}: {error}"))
}

/// The words of a directive; double quotes hold spaces together.
///
/// # Errors
///
/// If a quote is not closed.
pub fn words(directive: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = directive.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote is not closed")?,
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_spaces_outside_of_quotes() {
        let expected = ["smtp_capabilities", "PIPELINING", "SIZE 1000"].map(str::to_owned);
        assert_eq!(words("smtp_capabilities PIPELINING  \"SIZE 1000\"").unwrap(), expected);
        assert!(words("a \"b").is_err());
    }

    #[test]
    fn times_are_shortened_and_nothing_else_is() {
        assert_eq!(hastened("timeout 60s", 20).unwrap(), "timeout 3000ms");
        assert_eq!(hastened("max_errors 5", 20).unwrap(), "max_errors 5");
        assert!(hastened("timeout soon", 20).is_err());
    }
}
