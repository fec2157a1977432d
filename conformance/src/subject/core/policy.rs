//! The policy that a transcript's directives ask for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{
    Address, AuthServer, AuthUrl, BackendTls, Group, Guest, Mechanism, Mechanisms, Peers, Policy,
    ProxyHeader, StartTls, Target, Verdict, VerifyClient,
};

use super::limits;
use super::stage::AUTH_SERVER;
use crate::subject::configuration::{AUTH_URI, SERVER_NAME, millis, words};
use crate::transcript::{Config, Protocol, Tls};

/// `resolver_timeout` where it is not said.
const RESOLVER_TIMEOUT: Duration = Duration::from_secs(30);

/// The policy of one `server {}`.
pub(super) fn of(config: &Config) -> Result<Policy, String> {
    let protocol = match config.protocol {
        Protocol::Imap => gatepost_core::Protocol::Imap,
        Protocol::Pop3 => gatepost_core::Protocol::Pop3,
        Protocol::Smtp => gatepost_core::Protocol::Smtp,
    };
    let target = Target::Address(Address::Inet(AUTH_SERVER));
    let url = AuthUrl { uri: AUTH_URI.into(), ..AuthUrl::new(target, &AUTH_SERVER.ip().to_string()) };
    let auth = AuthServer::at(vec![url; config.auth_urls]);
    let mut policy = Policy::new(protocol, SERVER_NAME, config.auth_http.then_some(auth));
    if !config.auth_http {
        (policy.backend.pass_error_message, policy.backend.smtp_auth) = (true, true);
    }
    if !config.upstream.is_empty() {
        policy.upstreams = Arc::new(BTreeMap::from([("backends".into(), config.upstream.len())]));
    }
    policy.starttls = match config.tls {
        Tls::Off | Tls::Implicit => StartTls::Off,
        Tls::StartTls => StartTls::On,
        Tls::Only => StartTls::Only,
    };
    limits::apply(config, &mut policy)?;
    for directive in &config.directives {
        apply(directive, &mut policy).map_err(|error| format!("{directive:?}: {error}"))?;
    }
    Ok(policy)
}

fn apply(directive: &str, policy: &mut Policy) -> Result<(), String> {
    let words = words(directive)?;
    let (name, arguments) = words.split_first().ok_or("there is no directive")?;
    let one = || match arguments {
        [only] => Ok(only.as_str()),
        _ => Err("one argument, please"),
    };
    let flag = || match one()? {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off, please"),
    };
    let number = || one()?.parse::<u32>().map_err(|error| error.to_string());
    let time = || millis(one()?).map(Duration::from_millis);
    let auth = |policy: &mut Policy| policy.auth.take().ok_or("there is no auth server");
    match name.as_str() {
        "timeout" => policy.timeout = time()?,
        "auth_http_timeout" => policy.auth = Some(AuthServer { timeout: time()?, ..auth(policy)? }),
        "auth_http_keepalive" => {
            let keepalive = usize::try_from(number()?).map_err(|error| error.to_string())?;
            policy.auth = Some(AuthServer { keepalive, ..auth(policy)? });
        }
        "smtp_greeting_delay" => policy.greeting_delay = time()?,
        "max_errors" => policy.errors_max = number()?,
        "max_commands" => policy.commands_max = number()?,
        "imap_capabilities" | "pop3_capabilities" | "smtp_capabilities" => {
            policy.capabilities = arguments.iter().map(|word| word.as_str().into()).collect();
        }
        "imap_auth" | "pop3_auth" | "smtp_auth" => {
            policy.mechanisms = Mechanisms::none();
            for word in arguments {
                match mechanism(word)? {
                    Some(mechanism) => policy.mechanisms = policy.mechanisms.with(mechanism),
                    None => policy.unauthenticated = true,
                }
            }
        }
        "auth_strict" => policy.auth_strict = flag()?,
        "plaintext_auth" => policy.plaintext_auth = flag()?,
        "imap_client_buffer" | "smtp_client_buffer" => {
            policy.client_buffer_bytes = usize::try_from(number()?).map_err(|error| error.to_string())?;
        }
        "auth_http_header" => match arguments {
            [name, value] => {
                let mut server = auth(policy)?;
                server.headers.push((name.as_str().into(), value.as_str().into()));
                policy.auth = Some(server);
            }
            _ => return Err("two arguments, please".to_owned()),
        },
        "proxy_buffer" => {
            policy.backend.buffer_bytes = usize::try_from(number()?).map_err(|error| error.to_string())?;
        }
        "proxy_timeout" => policy.backend.idle_timeout = time()?,
        "proxy_pass_error_message" => policy.backend.pass_error_message = flag()?,
        "xclient" => policy.backend.xclient = flag()?,
        "proxy_smtp_auth" => policy.backend.smtp_auth = flag()?,
        "proxy_oauth" => policy.backend.oauth = flag()?,
        "proxy_pipelining" => policy.backend.pipelining = flag()?,
        "set_real_ip_from" => policy.real_ip_from.push(peers(one()?)?),
        "allow" => policy.access.0.push((Verdict::Allow, peers(one()?)?)),
        "deny" => policy.access.0.push((Verdict::Deny, peers(one()?)?)),
        "proxy_protocol" => {
            policy.backend.proxy_header = match one()? {
                "off" => ProxyHeader::Off,
                "on" => ProxyHeader::V1,
                "v2" => ProxyHeader::V2,
                word => return Err(format!("{word:?} is no version")),
            };
        }
        "proxy_ssl" => {
            policy.backend.tls = match one()? {
                "off" => BackendTls::Off,
                "on" => BackendTls::On,
                "starttls" => BackendTls::StartTls,
                word => return Err(format!("{word:?} is no way to TLS")),
            };
            policy.backend.tls_configured |= policy.backend.tls != BackendTls::Off;
        }
        "proxy_ssl_name" => {
            policy.backend.tls_name = Some(one()?.into());
            policy.backend.tls_configured = true;
        }
        "ssl_verify_client" => {
            policy.verify_client = match one()? {
                "off" => VerifyClient::Off,
                "on" => VerifyClient::On,
                "optional" => VerifyClient::Optional,
                "optional_no_ca" => VerifyClient::OptionalNoCa,
                word => return Err(format!("{word:?} is no way to verify")),
            };
        }
        "auth_http_pass_client_cert" => {
            policy.auth = Some(AuthServer { pass_client_cert: flag()?, ..auth(policy)? });
        }
        "proxy_pass" => {
            let name = one()?;
            let (name, &servers) = policy.upstreams.get_key_value(name).ok_or("there is no such upstream")?;
            let group = Group { name: name.clone(), servers, guest: Guest::default() };
            policy.backend.pass = Some(Target::Group(group));
        }
        "proxy_connect_timeout" => policy.backend.connect_timeout = Some(time()?),
        "lingering_time" => policy.lingering.time = time()?,
        "lingering_timeout" => policy.lingering.silence = time()?,
        // These were understood together.
        "limit_conn_zone" | "limit_conn" | "limit_conn_dry_run" => {}
        "resolver" => policy.resolver_timeout = Some(RESOLVER_TIMEOUT),
        "resolver_timeout" => policy.resolver_timeout = Some(time()?),
        _ => return Err("the core has no such thing".to_owned()),
    }
    Ok(())
}

/// `all`, or an address, with or without how many bits of it count.
fn peers(text: &str) -> Result<Peers, String> {
    if text == "all" {
        return Ok(Peers::All);
    }
    let (network, bits) = text.split_once('/').map_or((text, None), |(network, bits)| (network, Some(bits)));
    let network: IpAddr = network.parse().map_err(|error| format!("{network:?}: {error}"))?;
    let bits = match bits {
        Some(bits) => bits.parse::<u8>().map_err(|error| error.to_string())?,
        None if network.is_ipv4() => 32,
        None => 128,
    };
    Ok(Peers::Network(network, bits))
}

fn mechanism(word: &str) -> Result<Option<Mechanism>, String> {
    Ok(match word {
        "plain" => Some(Mechanism::Plain),
        "login" => Some(Mechanism::Login),
        "cram-md5" => Some(Mechanism::CramMd5),
        "external" => Some(Mechanism::External),
        "xoauth2" => Some(Mechanism::XOauth2),
        "oauthbearer" => Some(Mechanism::OauthBearer),
        "apop" => Some(Mechanism::Apop),
        "none" => None,
        _ => return Err(format!("the core knows no {word:?}")),
    })
}
