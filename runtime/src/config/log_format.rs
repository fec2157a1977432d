//! `log_format`: what a line of an `access_log` is made of. The names of variables are those of nginx's `stream` and `http`
//! where one of them has the same thing.

use std::fmt;

/// The format of an `access_log` that names none, which may be named by `mail`.
pub(super) const DEFAULT: &str = concat!(
    r#"$remote_addr - $remote_user [$time_local] $protocol $status $outcome $auth_method "$ssl_protocol $ssl_cipher" "#,
    r#"$upstream_addr $bytes_received $bytes_sent $session_time"#
);

/// What a line is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    /// How what comes from elsewhere is made harmless.
    pub escape: Escape,
    /// In this order, without anything between.
    pub pieces: Vec<Piece>,
}

/// `escape=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// `"`, `\`, control characters and octets beyond ASCII as `\xHH`; what there is not as `-`.
    #[default]
    Default,
    /// As within a string of JSON; what there is not as nothing.
    Json,
    /// As it is but for control characters, which are spaces, so that a line stays a line; what there is not as nothing.
    None,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As written in the configuration.
    Text(Box<[u8]>),
    /// Something of the session.
    Variable(Variable),
}

macro_rules! variables {
    ($($name:literal $variant:ident $what:literal,)*) => {
        /// What a format can tell of a session.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Variable {
            $(#[doc = $what] $variant,)*
        }

        impl Variable {
            /// Every one there is, by its name.
            pub const ALL: &[(&str, Self)] = &[$(($name, Self::$variant),)*];
        }
    };
}

variables! {
    "remote_addr" RemoteAddr "The client's address; that of a trusted PROXY header if there was one.",
    "remote_port" RemotePort "Its port.",
    "realip_remote_addr" PeerAddr "The address that the connection came from.",
    "realip_remote_port" PeerPort "Its port.",
    "remote_host" RemoteHost "The client's host name (SMTP with `resolver`).",
    "server_addr" ServerAddr "The address that the connection came to.",
    "server_port" ServerPort "Its port.",
    "server_name" ServerName "`server_name`.",
    "listen" Listen "The `listen` it came in by, as other log lines show it.",
    "protocol" Protocol "`imap`, `pop3` or `smtp`.",
    "connection" Connection "The connection's number, `*N` of other log lines.",
    "pid" Pid "The number of the process.",
    "hostname" HostName "The name of this machine.",
    "time_local" TimeLocal "The end of the session: `21/Nov/2026:17:00:00 +0100`.",
    "time_iso8601" TimeIso8601 "The same: `2026-11-21T17:00:00+01:00`.",
    "msec" Msec "The same in seconds since 1970, with milliseconds.",
    "session_time" SessionTime "How long the session lasted, in seconds with milliseconds.",
    "bytes_received" BytesReceived "Octets from the client.",
    "bytes_sent" BytesSent "Octets to the client.",
    "status" Status "How it went: 200 if the user was logged in and the relay ran its course.",
    "outcome" Outcome "The same in a word.",
    "remote_user" RemoteUser "The last login that was tried.",
    "auth_method" AuthMethod "How it was tried, as `Auth-Method` says it.",
    "auth_attempts" AuthAttempts "How many logins were tried.",
    "starttls" StartTls "`on` if STARTTLS was accepted.",
    "ssl_protocol" SslProtocol "`TLSv1.3`.",
    "ssl_cipher" SslCipher "`TLS_AES_256_GCM_SHA384`.",
    "ssl_server_name" SslServerName "The name that the client asked for (SNI).",
    "ssl_alpn_protocol" SslAlpnProtocol "The protocol agreed on (ALPN).",
    "ssl_session_reused" SslSessionReused "`r` if the session was resumed, otherwise `.`.",
    "ssl_client_verify" SslClientVerify "`SUCCESS`, `FAILED:reason`, or `NONE` without a certificate.",
    "ssl_client_s_dn" SslClientSubject "The subject of the client's certificate.",
    "ssl_client_i_dn" SslClientIssuer "Its issuer.",
    "ssl_client_serial" SslClientSerial "Its serial number.",
    "ssl_client_fingerprint" SslClientFingerprint "Its SHA-1.",
    "limit_conn_status" LimitConnStatus "What `limit_conn` came to: `PASSED`, `REJECTED` or `REJECTED_DRY_RUN`.",
    "upstream_addr" UpstreamAddr "The backend.",
    "upstream_bytes_received" UpstreamBytesReceived "Octets from the backend.",
    "upstream_bytes_sent" UpstreamBytesSent "Octets to the backend.",
    "proxy_protocol_addr" ProxyAddr "The client's address in the PROXY header.",
    "proxy_protocol_port" ProxyPort "Its port.",
    "proxy_protocol_server_addr" ProxyServerAddr "The address connected to, in the PROXY header.",
    "proxy_protocol_server_port" ProxyServerPort "Its port.",
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `$` without a name behind it.
    NoName,
    /// `${` without its `}`.
    NoBrace(String),
    /// A name that means nothing here.
    Unknown(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("invalid variable name"),
            Self::NoBrace(name) => write!(f, "the closing bracket in \"{name}\" variable is missing"),
            Self::Unknown(name) => write!(f, "unknown \"{name}\" variable"),
        }
    }
}

/// Takes `text` apart into `pieces`. A variable is `$name` or `${name}`.
pub(crate) fn parse(text: &[u8], pieces: &mut Vec<Piece>) -> Result<(), Fault> {
    let mut rest = text;
    while let Some(dollar) = rest.iter().position(|&octet| octet == b'$') {
        let (before, behind) = rest.split_at(dollar);
        push_text(before, pieces);
        let behind = behind.get(1..).unwrap_or_default();
        let is_of_name = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'_';
        let braced = behind.strip_prefix(b"{");
        let from = braced.unwrap_or(behind);
        let (name, after) = from.split_at(from.iter().take_while(|octet| is_of_name(octet)).count());
        let name = String::from_utf8_lossy(name).into_owned();
        rest = match braced {
            Some(_) => after.strip_prefix(b"}").ok_or_else(|| Fault::NoBrace(name.clone()))?,
            None => after,
        };
        if name.is_empty() {
            return Err(Fault::NoName);
        }
        match Variable::ALL.iter().find(|(known, _)| *known == name) {
            Some((_, variable)) => pieces.push(Piece::Variable(*variable)),
            None => return Err(Fault::Unknown(name)),
        }
    }
    push_text(rest, pieces);
    Ok(())
}

fn push_text(text: &[u8], pieces: &mut Vec<Piece>) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
}

/// The name that is nearest to `name`, if any is near.
pub(super) fn likely(name: &str) -> Option<&'static str> {
    let near = Variable::ALL.iter().map(|(known, _)| (strsim::osa_distance(name, known), *known));
    near.filter(|(distance, _)| *distance <= 3).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Result<Vec<Piece>, Fault> {
        let mut pieces = Vec::new();
        parse(text.as_bytes(), &mut pieces).map(|()| pieces)
    }

    #[test]
    fn a_format_is_text_and_variables() {
        let text = |text: &str| Piece::Text(text.as_bytes().into());
        let variable = Piece::Variable;
        assert_eq!(
            pieces("[$remote_addr] ${protocol}s$status$"),
            Err(Fault::NoName),
            "a variable's name is missing at the end"
        );
        assert_eq!(
            pieces("[$remote_addr] ${protocol}s$status").unwrap(),
            [
                text("["),
                variable(Variable::RemoteAddr),
                text("] "),
                variable(Variable::Protocol),
                text("s"),
                variable(Variable::Status)
            ]
        );
        assert_eq!(pieces("").unwrap(), []);
        assert_eq!(pieces("$remote_add").unwrap_err().to_string(), "unknown \"remote_add\" variable");
        let missing = "the closing bracket in \"pid\" variable is missing";
        assert_eq!(pieces("${pid").unwrap_err().to_string(), missing);
        assert_eq!(likely("remote_add"), Some("remote_addr"));
        assert_eq!(likely("no_such_thing_at_all"), None);
    }

    #[test]
    fn the_readme_lists_every_variable() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
        let readme = readme.expect("a README");
        let missing = Variable::ALL.iter().filter(|(name, _)| !readme.contains(&format!("`${name}`")));
        assert_eq!(missing.map(|(name, _)| *name).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn the_default_is_sound_and_no_name_means_two_things() {
        assert!(pieces(DEFAULT).is_ok());
        let names: std::collections::BTreeSet<_> = Variable::ALL.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), Variable::ALL.len());
    }
}
