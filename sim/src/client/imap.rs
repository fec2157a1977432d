//! An IMAP client (RFC 3501) that fetches the whole INBOX.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Call, Caller, Sasl, Security, Seen, Step, VisitError, log_in};
use crate::dialogue::Ear;

/// How to give name and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// LOGIN with quoted strings.
    Quoted,
    /// LOGIN with literals, each sent when asked for.
    Literals,
    /// LOGIN with non-synchronising literals (RFC 7888).
    NonSynchronising,
    /// AUTHENTICATE.
    Sasl(Sasl),
}

impl How {
    fn steps(self, tag: &str, login: &str, password: &str) -> Vec<Step> {
        let (m, n) = (login.len(), password.len());
        let say = |text: String| Step::Say(text + "\r\n");
        match self {
            Self::Quoted => vec![say(format!("{tag} LOGIN {} {}", quoted(login), quoted(password)))],
            Self::Literals => vec![
                say(format!("{tag} LOGIN {{{m}}}")),
                say(format!("{login} {{{n}}}")),
                say(password.to_owned()),
            ],
            Self::NonSynchronising => {
                vec![say(format!("{tag} LOGIN {{{m}+}}\r\n{login} {{{n}+}}\r\n{password}"))]
            }
            Self::Sasl(sasl) => sasl.steps(&format!("{tag} AUTHENTICATE"), login, password),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

const SELECT: &str = "s SELECT INBOX\r\n";

/// The whole visit.
///
/// # Errors
///
/// Whatever was not as expected. A refused login is expected.
pub async fn visit<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    caller: &Caller,
    how: How,
    ear: Ear,
) -> Result<Seen, VisitError> {
    let mut seen = Seen::default();
    visit_and_tell(stream, caller, how, ear, &mut seen).await?;
    Ok(seen)
}

/// The same for a visit that may be cut short: what was seen until then is in `seen`, which is empty before.
///
/// # Errors
///
/// As there.
pub async fn visit_and_tell<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    caller: &Caller,
    how: How,
    ear: Ear,
    seen: &mut Seen,
) -> Result<(), VisitError> {
    let mut call = Call::begin(stream, caller, ear).await?;
    seen.greeting = call.line().await?;
    if !seen.greeting.starts_with("* OK") {
        return Err(call.unexpected(&seen.greeting));
    }
    if let Security::StartTls(tls) = &caller.security {
        call.say("t STARTTLS\r\n").await?;
        expect_ok(&mut call, "t").await?;
        call = call.secure(tls).await?;
    }
    if caller.asks_first {
        call.doing = "asking what there is";
        call.say("c CAPABILITY\r\n").await?;
        let untagged = expect_ok(&mut call, "c").await?;
        if !untagged.iter().any(|line| line.starts_with("* CAPABILITY IMAP4")) {
            return Err(call.unexpected(&untagged.join("\n")));
        }
    }
    for (tag, password) in (1..).zip(&caller.passwords) {
        let tag = format!("a{tag}");
        let steps = how.steps(&tag, &caller.login, password);
        let behind = caller.pipelined.then_some(SELECT);
        log_in(&mut call, steps, "+", behind).await?;
        let (_, reply) = tagged(&mut call, &tag).await?;
        if reply.starts_with("OK") {
            seen.admitted = Some(reply);
            break;
        }
        seen.refusals.push(reply);
    }
    if seen.admitted.is_some() {
        if !caller.pipelined {
            call.say(SELECT).await?;
        }
        inbox(&mut call, seen).await?;
    }
    seen.farewell = call.leave("z LOGOUT\r\n").await?;
    Ok(())
}

/// Hears the answer to SELECT, then fetches every message.
async fn inbox<S: AsyncRead + AsyncWrite + Unpin>(
    call: &mut Call<S>,
    seen: &mut Seen,
) -> Result<(), VisitError> {
    call.doing = "selecting INBOX";
    let untagged = expect_ok(call, "s").await?;
    let exists = untagged.iter().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS"));
    let Some(count) = exists.and_then(|count| count.parse::<usize>().ok()) else {
        return Err(call.unexpected(&untagged.join("\n")));
    };
    call.doing = "fetching";
    for number in 1..=count {
        call.say(format!("f{number} FETCH {number} (UID BODY.PEEK[])\r\n")).await?;
        let line = call.line().await?;
        let head = format!("* {number} FETCH (");
        let literal = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
        let octets = match literal {
            Some((text, octets)) if text.starts_with(&head) => octets.parse::<usize>().ok(),
            _ => None,
        };
        let Some(octets) = octets else { return Err(call.unexpected(&line)) };
        seen.mail.push(call.octets(octets).await?);
        let line = call.line().await?;
        if !line.ends_with(')') {
            return Err(call.unexpected(&line));
        }
        expect_ok(call, &format!("f{number}")).await?;
    }
    Ok(())
}

/// The untagged lines before the answer to `tag`, and the answer without its tag.
async fn tagged<S: AsyncRead + AsyncWrite + Unpin>(
    call: &mut Call<S>,
    tag: &str,
) -> Result<(Vec<String>, String), VisitError> {
    let mut untagged = Vec::new();
    loop {
        let line = call.line().await?;
        if line.starts_with("* ") {
            untagged.push(line);
            continue;
        }
        return match line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
            Some(reply) => Ok((untagged, reply.to_owned())),
            None => Err(call.unexpected(&line)),
        };
    }
}

async fn expect_ok<S: AsyncRead + AsyncWrite + Unpin>(
    call: &mut Call<S>,
    tag: &str,
) -> Result<Vec<String>, VisitError> {
    let (untagged, reply) = tagged(call, tag).await?;
    match reply.starts_with("OK") {
        true => Ok(untagged),
        false => Err(call.unexpected(&reply)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend;
    use crate::post_office::PostOffice;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_client_alone_with_a_backend_fetches_its_mail() {
        let mail = [&b"A: 1\r\n\r\n.\r\nf1 OK\r\n"[..], b"B: {3}\r\n\r\n"].map(Bytes::from_static);
        for (how, pipelined) in [(How::Quoted, true), (How::Literals, false), (How::NonSynchronising, true)] {
            let office = PostOffice::default();
            office.open("john \"x\\\"", "hunter2", mail.clone());
            let caller = Caller {
                login: "john \"x\\\"".into(),
                passwords: vec!["hunter1".into(), "hunter2".into()],
                security: Security::Clear,
                asks_first: false,
                pipelined: false,
                half_closes: false,
            };
            let caller = match pipelined {
                true => Caller { passwords: vec!["hunter2".into()], pipelined, half_closes: true, ..caller },
                false => caller,
            };
            let (near, far) = tokio::io::duplex(64);
            let serving = tokio::spawn({
                let office = office.clone();
                async move { backend::imap::serve(far, &office, Ear::default()).await }
            });
            let seen = visit(near, &caller, how, Ear::default()).await.unwrap();
            assert_eq!(seen.mail, mail);
            assert_eq!(seen.refusals.len(), caller.passwords.len() - 1);
            assert_eq!(seen.farewell, ["* BYE until soon", "z OK completed"]);
            serving.await.unwrap().unwrap();
        }
    }
}
